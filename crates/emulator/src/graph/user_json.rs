//! People as JSON.

use serde_json::Value;

use crate::data::explicit_rows::json;
use crate::data::json::Object;
use crate::data::random::{Random, mix};
use crate::graph::phrases::{language, locale};
use crate::graph::service_plans::{assigned_licenses, assigned_plans};
use crate::graph::user::Person;
use crate::http::response::Refusal;

/// What is sent when nothing is selected.
const DEFAULT: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

/// What can be selected beside.
const MORE: [&str; 10] = [
    "accountEnabled",
    "assignedLicenses",
    "assignedPlans",
    "companyName",
    "country",
    "deletedDateTime",
    "department",
    "employeeType",
    "userType",
    "usageLocation",
];

/// The properties that `$select` names, or those that are sent without it.
pub(crate) fn select(text: Option<&str>) -> Result<Vec<&'static str>, Refusal> {
    let Some(text) = text else { return Ok(DEFAULT.to_vec()) };
    let find = |name: &str| {
        let known = DEFAULT.into_iter().chain(MORE).find(|known| known.eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let message = format!("Could not find a property named '{name}' on type 'microsoft.graph.user'.");
            Refusal::new(400, "BadRequest", &format!("Parsing OData Select and Expand failed: {message}"))
        })
    };
    text.split(',').map(|name| find(name.trim())).collect()
}

/// Appends a person; `index` is the person's number.
pub(crate) fn write(out: &mut Vec<u8>, person: &Person, index: u32, select: &[&str]) {
    let mut object = Object::new(out);
    for name in select {
        let said = person.spec.as_ref().and_then(|spec| spec.values.get(*name));
        object.push(name, &said.map_or_else(|| value(person, index, name).to_string(), json));
    }
    object.end();
}

fn value(person: &Person, index: u32, name: &str) -> Value {
    let mut random = Random::new(mix(person.seed, crate::data::random::hash(name.as_bytes())));
    let (first, last) = person.names();
    let mut one_of = |missing: u64, of: &[&'static str]| -> Value {
        if random.chance(missing) { Value::Null } else { (*random.pick(of)).into() }
    };
    match name {
        "id" => person.id().into(),
        "userPrincipalName" => person.principal_name(index).into(),
        "mail" => person.principal_name(index).into(),
        "displayName" => format!("{first} {last}").into(),
        "givenName" => first.into(),
        "surname" => last.into(),
        "accountEnabled" => person.enabled.into(),
        "deletedDateTime" => person.deleted.map(|at| at.to_string()).into(),
        "assignedPlans" => assigned_plans(person),
        "assignedLicenses" => assigned_licenses(person),
        "department" => one_of(80, &["Sales", "Finance", "Operations", "IT", "Personal & Recht", "Customer Service"]),
        "jobTitle" => one_of(80, &["Analyst", "Account manager", "Sachbearbeiterin", "Team lead", "Contrôleur"]),
        "companyName" => one_of(100, &["Contoso", "Contoso GmbH"]),
        "officeLocation" => one_of(120, &["Lisbon 3/12", "Köln", "Lyon", "18/2111"]),
        "country" => one_of(50, &["Portugal", "Germany", "France", "Österreich"]),
        "usageLocation" => one_of(50, &["PT", "DE", "FR", "AT"]),
        "employeeType" => one_of(200, &["Employee", "Contractor", "Intern"]),
        "mobilePhone" => one_of(700, &["+351 555 0100", "+49 555 0101"]),
        "preferredLanguage" => one_of(300, &[locale(language(index))]),
        "userType" => "Member".into(),
        "businessPhones" => Vec::<Value>::new().into(),
        _ => Value::Null,
    }
}
