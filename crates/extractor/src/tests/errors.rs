//! Classification of Dataverse's error responses.

use super::*;

async fn error(status: u16, code: &'static str, message: &'static str) -> Error {
    let server = Server::start(move |_| refusal(status, code, message)).await;
    let mut pages = walk(&dataverse(server.url.clone())).await;
    assert_eq!((pages.len(), server.asked().len()), (1, 1), "no second try");
    pages.pop().unwrap().unwrap_err()
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let message = "Principal user (Id=1, type=8), is missing prvReadmsdyn_copilotevent privilege (Id=2) on OTC=1";
    let error = error(403, "0x80040220", message).await;
    assert!(
        error.to_string().starts_with("permission missing: `prvReadmsdyn_copilotevent` on `msdyn_copilotevent` (GET "),
        "{error}"
    );
    let Error::PermissionMissing { table: Some("msdyn_copilotevent"), privilege: Some(_), .. } = error else {
        panic!("{error}")
    };
}

#[tokio::test]
async fn an_identity_without_an_application_user_is_a_missing_permission() {
    let error = error(403, "0x80072560", "The user is not a member of the organization.").await;
    assert!(matches!(error, Error::PermissionMissing { privilege: None, .. }), "{error}");
    assert!(error.to_string().contains("no application user"), "{error}");
}

#[tokio::test]
async fn a_missing_table_is_named() {
    let error = error(404, "0x80060888", "Resource not found for the segment 'msdyn_copilotevents'.").await;
    assert!(matches!(error, Error::TableMissing { table: Some("msdyn_copilotevent"), .. }), "{error}");
}

#[tokio::test]
async fn a_missing_column_is_named_and_can_be_left_out() {
    let message =
        "Could not find a property named 'msdyn_aiagent' on type 'Microsoft.Dynamics.CRM.msdyn_copilotevent'.";
    let error = error(400, "0x80060888", message).await;
    assert!(error.to_string().starts_with("`msdyn_copilotevent` has no column `msdyn_aiagent` (GET "), "{error}");
    let Error::ColumnMissing { table: "msdyn_copilotevent", column, .. } = error else { panic!("{error}") };
    let selection = Selection::all(&COPILOT_EVENT);
    assert!(selection.contains(&column) && !selection.without(&column).contains(&column));
}

#[tokio::test]
async fn a_secured_column_of_rows_is_a_refusal() {
    let error = error(403, "0x8004F504", "dear customer").await;
    assert!(matches!(error, Error::Refused { status: 403, .. }), "{error}");
}

#[tokio::test]
async fn other_refusals_show_documented_text_only() {
    let text = error(400, "0x80060888", "Something else about 'dear customer'.").await.to_string();
    assert!(text.starts_with("refused: 0x80060888 (GET "), "{text}");
    let error = error(400, "0x80040203", "dear customer").await;
    let Error::Refused { status: 400, code, message, call } = &error else { panic!("{error}") };
    assert_eq!((code.as_str(), message.as_str()), ("0x80040203", ""));
    assert_eq!(call.request_id.as_deref(), Some("11111111-aaaa"));
    assert!(!format!("{error} {error:?}").contains("customer"));
}

#[tokio::test]
async fn not_implemented_and_not_found_are_not_asked_again() {
    assert!(matches!(error(501, "", "").await, Error::Refused { status: 501, .. }));
    assert!(matches!(error(404, "", "").await, Error::Refused { status: 404, .. }));
    assert!(matches!(error(404, "0x80040217", "").await, Error::Refused { status: 404, .. }), "no file was asked for");
}
