//! The service plans of users, as in `assignedPlans`.

use copilot_lake_tables::Instant;
use serde_json::{Value, json};

use crate::data::random::{Random, mix};
use crate::graph::tenant_user::{BUSINESS_CHAT, Licence, TenantUser};

/// Plans that every user has.
const OFFICE: [(&str, &str); 3] = [
    ("efb87545-963c-4e0d-99df-69c6916d9eb0", "exchange"),
    ("57ff2da0-773e-42df-b2af-ffb7a2317929", "TeamspaceAPI"),
    ("43de0ff5-c92c-492b-9116-175376d08c38", "MicrosoftOffice"),
];

/// Plans of a Copilot licence other than the one that histories require.
const BESIDE: [&str; 7] = [
    "a62f8878-de10-42f3-b68f-6149a25ceb97",
    "b95945de-b3bd-46db-8437-f2beb6ea2347",
    "0aedf20c-091d-420b-aadf-30c042609612",
    "931e4a88-a67f-48b5-814f-16a5f1e6028d",
    "89f1c4c8-0878-40f7-804d-869c9128ab5d",
    "82d30987-df9b-4486-b146-198b21d164c7",
    "fe6c28b3-d468-44ea-bbd0-a10a5167435c",
];

/// `Bing_Chat_Enterprise`: the free chat.
const FREE: &str = "0d0c0d31-fae7-41f2-b909-eaf4d7f26dba";

/// Plans of Sales Copilot.
const SALES: [&str; 2] = ["8ba1ff15-7bf6-4620-b65c-ecedb6942766", "a933a62f-c3fb-48e5-a0b7-ac92b94b4420"];

/// The `service` of Copilot plans.
const COPILOT: &str = "MicrosoftCopilot";

/// The value of `assignedPlans`.
pub(crate) fn assigned_plans(person: &TenantUser) -> Value {
    if let Some(plans) = person.spec.as_ref().and_then(|spec| spec.plans.as_ref()) {
        return plans.iter().map(|plan| object(&plan.id, COPILOT, &plan.status, assigned(person, 0))).collect();
    }
    let mut random = Random::new(mix(person.seed, 0x706C_616E));
    let (first, second) = (assigned(person, 0), assigned(person, 1));
    let mut plans: Vec<_> = OFFICE.iter().map(|(id, service)| object(id, service, "Enabled", first)).collect();
    let beside = |status: &str| -> Vec<_> { BESIDE.iter().map(|id| object(id, COPILOT, status, second)).collect() };
    match person.licence {
        Licence::Full => {
            // Left over from an earlier product.
            if random.chance(150) {
                plans.push(object(BUSINESS_CHAT, COPILOT, "Deleted", first));
            }
            plans.extend(beside("Enabled"));
            plans.push(object(BUSINESS_CHAT, COPILOT, "Enabled", second));
        }
        Licence::Suspended => {
            plans.extend(beside("Suspended"));
            plans.push(object(BUSINESS_CHAT, COPILOT, "Suspended", second));
        }
        Licence::Free => {}
        Licence::Other if random.chance(500) => {
            plans.extend(SALES.map(|id| object(id, COPILOT, "Enabled", second)));
        }
        Licence::Other => {
            plans.extend(beside("Enabled"));
            plans.push(object(BUSINESS_CHAT, COPILOT, "Deleted", first));
        }
        Licence::Without if random.chance(300) => return Vec::<Value>::new().into(),
        Licence::Without => return plans.into(),
    }
    plans.push(object(FREE, COPILOT, "Enabled", first));
    plans.into()
}

/// When a user got a licence.
fn assigned(person: &TenantUser, number: u64) -> Instant {
    const FIRST: i64 = 1_706_745_600;
    let mut random = Random::new(mix(person.seed, 0x6173_7367 + number));
    Instant::from_seconds(FIRST + (number * 300 * 86_400) as i64 + random.below(280 * 86_400) as i64)
}

fn object(id: &str, service: &str, status: &str, at: Instant) -> Value {
    json!({ "assignedDateTime": at.to_string(), "capabilityStatus": status, "service": service, "servicePlanId": id })
}
