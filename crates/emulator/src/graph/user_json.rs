//! Users as JSON.

use serde_json::Value;

use crate::data::json_writer::ObjectWriter;
use crate::data::random::{Random, hash, mix};
use crate::data::representatives::PEOPLE;
use crate::graph::service_plans::assigned_plans;
use crate::graph::tenant_user::TenantUser;
use crate::http::response::ServiceError;
use crate::scenario::toml_value::json;

/// The properties that can be selected.
const PROPERTIES: [&str; 12] = [
    "id",
    "accountEnabled",
    "userPrincipalName",
    "displayName",
    "department",
    "jobTitle",
    "companyName",
    "officeLocation",
    "country",
    "employeeType",
    "assignedPlans",
    "deletedDateTime",
];

/// The properties that `$select` names, or all of them.
pub(crate) fn select(text: Option<&str>) -> Result<Vec<&'static str>, ServiceError> {
    let Some(text) = text else { return Ok(PROPERTIES.to_vec()) };
    let find = |name: &str| {
        let known = PROPERTIES.into_iter().find(|known| known.eq_ignore_ascii_case(name));
        known.ok_or_else(|| {
            let message = format!("Could not find a property named '{name}' on type 'microsoft.graph.user'.");
            ServiceError::new(400, "BadRequest", &format!("Parsing OData Select and Expand failed: {message}"))
        })
    };
    text.split(',').map(|name| find(name.trim())).collect()
}

/// Appends a user; `index` is the user's index.
pub(crate) fn write(out: &mut Vec<u8>, person: &TenantUser, index: u32, select: &[&str]) {
    let mut object = ObjectWriter::new(out);
    for name in select {
        let given = person.spec.as_ref().and_then(|spec| spec.values.get(*name));
        object.push(name, &given.map_or_else(|| value(person, index, name).to_string(), json));
    }
    object.end();
}

fn value(person: &TenantUser, index: u32, name: &str) -> Value {
    let (first, last) = person.names();
    match name {
        "id" => person.id().into(),
        "userPrincipalName" => person.principal_name(index).into(),
        "displayName" => format!("{first} {last}").into(),
        "accountEnabled" => person.enabled.into(),
        "deletedDateTime" => person.deleted.map(|at| at.to_string()).into(),
        "assignedPlans" => assigned_plans(person),
        name => {
            let mut random = Random::new(mix(person.seed, hash(name.as_bytes())));
            let texts = PEOPLE.properties.get(name);
            texts.filter(|texts| !random.chance(texts.missing)).map(|texts| random.pick(&texts.values).as_str()).into()
        }
    }
}
