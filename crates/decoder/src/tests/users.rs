//! Users: rows of `graph_user`, who is licensed, and what does not fit.

use copilot_lake_tables::{GRAPH_USER, Instant};
use serde_json::{Value, json};

use super::of_batch;
use crate::{COPILOT_PLAN_ID, DecodedUsers, User, decode_users};

const ID: &str = "4db02e4b-d144-400e-b194-53253a34c5be";

fn decode(rows: &Value) -> DecodedUsers {
    decode_users(rows.to_string().as_bytes(), Instant(7_000_000), |id| Instant(id.len() as i64 * 1_000_000)).unwrap()
}

fn plan(id: &str, status: &str, assigned: &Value) -> Value {
    json!({ "servicePlanId": id, "service": "exchange", "capabilityStatus": status, "assignedDateTime": assigned })
}

#[test]
fn every_value_of_a_user_arrives() {
    let decoded = decode(&json!([{
        "@odata.type": "#microsoft.graph.user",
        "id": ID.to_uppercase(),
        "displayName": "Ann Doe",
        "userPrincipalName": "ann@contoso.example",
        "accountEnabled": false,
        "department": "Care",
        "jobTitle": "Lead",
        "companyName": "Contoso",
        "officeLocation": "Oslo",
        "country": "NO",
        "employeeType": "Employee",
        "mail": null,
        "onPremises": { "a": [1] },
        "deletedDateTime": "2025-10-01T00:00:00Z",
        "assignedPlans": [
            plan("0d0c0d31-fae7-41f2-b909-eaf4d7f26dba", "Enabled", &json!("2020-01-01T00:00:00Z")),
            plan(COPILOT_PLAN_ID, "Deleted", &json!("2021-01-01T00:00:00Z")),
            plan(&COPILOT_PLAN_ID.to_uppercase(), "enabled", &json!("2024-02-01T00:00:00Z")),
            plan(COPILOT_PLAN_ID, "Enabled", &json!("2024-01-01T01:00:00+01:00")),
            plan(COPILOT_PLAN_ID, "Enabled", &Value::Null),
        ],
    }]));
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let expected = [
        ("user_id", ID),
        ("first_seen_at", "1970-01-01T00:00:36Z"),
        ("license_assigned_at", "2024-01-01T00:00:00Z"),
        ("account_enabled", "false"),
        ("has_copilot_license", "true"),
        ("user_principal_name", "ann@contoso.example"),
        ("display_name", "Ann Doe"),
        ("department", "Care"),
        ("job_title", "Lead"),
        ("company_name", "Contoso"),
        ("office_location", "Oslo"),
        ("country", "NO"),
        ("employee_type", "Employee"),
        ("extracted_at", "1970-01-01T00:00:07Z"),
        ("extra_json", r#"{"mail":null,"onPremises":{"a":[1]}}"#),
    ];
    let batch = decoded.batch.unwrap();
    assert_eq!(batch.schema(), *GRAPH_USER.layout().schema());
    let mut row = of_batch(&batch).remove(0);
    for (column, value) in expected {
        assert_eq!(row.remove(column).as_deref(), Some(value), "{column}");
    }
    assert!(row.is_empty(), "{row:?}");
    let user = User {
        id: ID.to_owned(),
        principal_name: Some("ann@contoso.example".to_owned()),
        is_licensed: true,
        deleted_at: Instant::parse("2025-10-01T00:00:00Z"),
    };
    assert_eq!(decoded.users, [user]);
}

#[test]
fn a_licence_is_an_enabled_plan() {
    let of = |plans: Value| {
        let decoded = decode(&json!([{ "id": "a", "assignedPlans": plans }]));
        let row = of_batch(decoded.batch.as_ref().unwrap()).remove(0);
        let rejects: Vec<_> =
            decoded.rejects.iter().map(|reject| (reject.column_name, reject.raw_json.clone())).collect();
        let is_licensed = row.get("has_copilot_license").map(|text| text == "true");
        assert_eq!(decoded.users[0].is_licensed, is_licensed == Some(true));
        (is_licensed, row.contains_key("license_assigned_at"), rejects)
    };
    let good = || plan(COPILOT_PLAN_ID, "Enabled", &json!("2024-01-01T00:00:00Z"));
    assert_eq!(of(json!([])), (Some(false), false, vec![]));
    assert_eq!(of(json!([{}])), (Some(false), false, vec![]));
    assert_eq!(of(json!([good()])), (Some(true), true, vec![]));
    assert_eq!(of(json!([plan(COPILOT_PLAN_ID, "Warning", &json!("x"))])), (Some(false), false, vec![]));
    // Not sent is not known.
    assert_eq!(of(Value::Null), (None, false, vec![]));
    let row = of_batch(decode(&json!([{ "id": "a" }])).batch.as_ref().unwrap()).remove(0);
    assert_eq!(row.get("has_copilot_license"), None);
    // What is no plan could have been the one.
    for odd in [json!([7]), json!([null]), json!([{ "servicePlanId": 1 }]), json!({})] {
        assert_eq!(of(odd.clone()), (None, false, vec![("has_copilot_license", odd.to_string())]));
    }
    let odd = json!([7, good()]);
    assert_eq!(of(odd.clone()), (Some(true), true, vec![("has_copilot_license", odd.to_string())]));
    let odd = json!([plan(COPILOT_PLAN_ID, "Enabled", &json!("soon"))]);
    assert_eq!(of(odd), (Some(true), false, vec![("license_assigned_at", "\"soon\"".to_owned())]));
}

#[test]
fn misfits_are_kept_and_nobody_is_no_row() {
    let decoded = decode(&json!([
        { "id": "a", "accountEnabled": "yes", "displayName": 5, "deletedDateTime": "soon" },
        { "displayName": "nobody" },
        { "id": "" },
        { "id": 5 },
        "no row",
        { "id": "b" },
    ]));
    assert_eq!(decoded.rows, 6);
    let users: Vec<_> = decoded.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(users, ["a", "b"]);
    let rows = of_batch(decoded.batch.as_ref().unwrap());
    assert_eq!(rows.iter().map(|row| row["user_id"].as_str()).collect::<Vec<_>>(), users);
    let mut rejects: Vec<_> = decoded
        .rejects
        .iter()
        .map(|reject| {
            let key = if reject.record_key.starts_with("sha256:") { "sha256" } else { &reject.record_key };
            (key, reject.column_name, reject.raw_json.as_str())
        })
        .collect();
    rejects.sort_unstable();
    let expected = [
        ("a", "account_enabled", "\"yes\""),
        ("a", "deletedDateTime", "\"soon\""),
        ("a", "display_name", "5"),
        ("sha256", "", "\"no row\""),
        ("sha256", "", r#"{"displayName":"nobody"}"#),
        ("sha256", "", r#"{"id":""}"#),
        ("sha256", "", r#"{"id":5}"#),
    ];
    assert_eq!(rejects, expected);
    assert_eq!(decode(&json!([])).batch, None);
    assert!(decode_users(b"{}", Instant(0), |_| Instant(0)).is_err());
    assert!(decode_users(b"[\"\xff\"]", Instant(0), |_| Instant(0)).is_err());
}
