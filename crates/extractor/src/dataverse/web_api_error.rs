//! Error responses of the Dataverse Web API: the one place where its statuses and codes are classified.

use copilot_lake_tables::table;
use reqwest::StatusCode;

use crate::error::Error;
use crate::http::attempt_error::{AttemptError, Transient};
use crate::http::error_response::{ErrorResponse, sanitized};
use crate::http::request::ResourceKind;

// Codes of the Dataverse Web API: https://learn.microsoft.com/power-apps/developer/data-platform/reference/web-service-error-codes
const NO_PROPERTY_OR_SEGMENT: &str = "0x80060888";
const NO_ROW_OR_FILE: &str = "0x80040217";
const NO_ROW_FOR_KEY: &str = "0x80060891";
const PRIVILEGE_DENIED: &str = "0x80040220";
const NOT_A_MEMBER: &str = "0x80072560";
const SQL_TIMEOUT: &str = "0x80044151";
const TOO_MANY_AT_ONCE: &str = "0x80072326";
const TOO_MUCH_TIME: &str = "0x80072321";
const DELTA_TOKEN_EXPIRED: &str = "0x80044352";
const COLUMN_SECURED: &str = "0x8004f504";

/// What an error response means for the call.
pub(crate) fn classify(response: ErrorResponse<'_>) -> AttemptError {
    let code = spelled(&response.body.code);
    let message = response.body.message.as_str();
    let (request, status) = (response.request, response.status);
    let call = || response.call();
    if let (ResourceKind::Changes, Some(table)) = (request.kind, request.table)
        && (status == StatusCode::GONE || code == DELTA_TOKEN_EXPIRED)
    {
        return AttemptError::Permanent(Error::DeltaTokenExpired { table, call: call() });
    }
    if response.is_transient() || code == SQL_TIMEOUT {
        let transient = response.transient(&code);
        let too_many_in_flight = transient.throttled.is_some() && (code == TOO_MANY_AT_ONCE || code == TOO_MUCH_TIME);
        // A 500 may concern this request alone, such as a row that cannot be read: it is not worth all attempts.
        let request_specific = status == StatusCode::INTERNAL_SERVER_ERROR;
        return AttemptError::Transient(Transient { too_many_in_flight, request_specific, ..transient });
    }
    if status == StatusCode::UNAUTHORIZED {
        return response.access_token_rejected();
    }
    if let (Some(table), Some(column)) = (request.table, request.column)
        && status == StatusCode::FORBIDDEN
        && is_column_security(&code, message)
    {
        return AttemptError::Permanent(Error::ColumnSecured { table, column, call: call() });
    }
    if let (Some(table), Some(column)) = (request.table, missing_property(&code, message))
        && status == StatusCode::BAD_REQUEST
    {
        return AttemptError::Permanent(Error::ColumnMissing { table, column, call: call() });
    }
    let is_unexplained = response.is_empty_refusal() && request.kind != ResourceKind::File;
    let refusal = match (status.as_u16(), code.as_str()) {
        (403, NOT_A_MEMBER) => Error::PermissionMissing { table: request.table, privilege: None, call: call() },
        (403, _) if code == PRIVILEGE_DENIED || privilege(message).is_some() => {
            let privilege = privilege(message).or_else(|| Some(table(request.table?)?.read_privilege()));
            Error::PermissionMissing { table: request.table, privilege, call: call() }
        }
        (404, NO_PROPERTY_OR_SEGMENT) => Error::TableMissing { table: request.table, call: call() },
        (404, NO_ROW_OR_FILE) if request.kind == ResourceKind::File => {
            let reason = if message.starts_with("No file attachment found") {
                "the service has no file for this column of the row"
            } else {
                "the service has no such row, or no file for it"
            };
            Error::FileMissing { reason, call: call() }
        }
        (404, NO_ROW_FOR_KEY) if request.kind == ResourceKind::File => {
            Error::FileMissing { reason: "the service has no such row", call: call() }
        }
        (204, _) if request.kind == ResourceKind::File => {
            Error::FileMissing { reason: "the service answers without content", call: call() }
        }
        _ => Error::Refused { status: status.as_u16(), message: documented(&code, message), code, call: call() },
    };
    if is_unexplained { response.unexplained(refusal) } else { AttemptError::Permanent(refusal) }
}

/// A code in the spelling of the constants above: some responses send it as a signed decimal.
fn spelled(code: &str) -> String {
    match code.parse::<i32>() {
        Ok(decimal) if decimal < 0 => format!("{decimal:#010x}"),
        _ => code.to_ascii_lowercase(),
    }
}

/// The privilege named in a message, such as `prvReadmsdyn_copilotevent`.
fn privilege(message: &str) -> Option<String> {
    let mut words = message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.find(|word| word.starts_with("prv") && word.len() > 3 && word.len() <= 128).map(str::to_owned)
}

/// Whether a refusal is about column security: by the code, its name, or its documented message.
fn is_column_security(code: &str, message: &str) -> bool {
    const NAME: &str = "attributepermissionreadismissing";
    let message = message.to_ascii_lowercase();
    code == COLUMN_SECURED
        || code == NAME
        || message.contains(NAME)
        || message.contains("read permissions to a secured field")
}

/// The unknown property named in the documented message.
fn missing_property(code: &str, message: &str) -> Option<String> {
    let quoted =
        message.strip_prefix("Could not find a property named '").filter(|_| code == NO_PROPERTY_OR_SEGMENT)?;
    let (property, _) = quoted.split_once('\'')?;
    Some(sanitized(property, 128)).filter(|property| !property.is_empty())
}

/// What may be shown of a message: documented texts, reduced to names of columns and types.
fn documented(code: &str, message: &str) -> String {
    let quoted: Vec<_> = message.split('\'').skip(1).step_by(2).map(|name| sanitized(name, 128)).collect();
    match (code, quoted.as_slice()) {
        (NO_PROPERTY_OR_SEGMENT, [property, ty, ..]) if message.starts_with("Could not find a property named") => {
            format!("could not find a property named '{property}' on type '{ty}'")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_both_spellings() {
        assert_eq!(spelled("-2147015902"), "0x80072322");
        assert_eq!(spelled("0X8004ABCD"), "0x8004abcd");
    }

    #[test]
    fn the_privilege_is_found_in_the_documented_message() {
        let message = "Principal user (Id=1, type=8, roleCount=1, privilegeCount=2, accessMode=4), is missing \
                       prvReadmsdyn_copilotevent privilege (Id=2) on OTC=10 for entity 'msdyn_copilotevent'.";
        assert_eq!(privilege(message).as_deref(), Some("prvReadmsdyn_copilotevent"));
        assert_eq!(privilege("nothing of the kind"), None);
    }

    #[test]
    fn column_security_is_told_by_code_name_or_message() {
        for (code, message) in [
            ("0x8004f504", ""),
            ("attributepermissionreadismissing", ""),
            ("", "AttributePermissionReadIsMissing"),
            ("", "The user does not have read permissions to a secured field. The requested operation could not be"),
        ] {
            assert!(is_column_security(code, message), "{code} {message}");
        }
        assert!(!is_column_security(PRIVILEGE_DENIED, "is missing prvReadmsdyn_copilotevent privilege"));
    }

    #[test]
    fn a_missing_property_is_a_name() {
        let missing = |property: &str| {
            let message = format!("Could not find a property named '{property}' on type 'Microsoft.Dynamics.CRM.t'.");
            missing_property(NO_PROPERTY_OR_SEGMENT, &message)
        };
        assert_eq!(missing("_x_value").as_deref(), Some("_x_value"));
        assert_eq!(missing("x\ny z").as_deref(), Some("xyz"));
        assert_eq!(missing(" "), None);
        assert_eq!(missing_property(NO_PROPERTY_OR_SEGMENT, "Resource not found for the segment 'x'."), None);
        assert_eq!(missing_property("", "Could not find a property named 'x' on type 't'."), None);
    }

    #[test]
    fn of_a_message_only_names_are_shown() {
        let message = "Could not find a property named 'x' on type 'Microsoft.Dynamics.CRM.t'. What a person wrote.";
        let shown = "could not find a property named 'x' on type 'Microsoft.Dynamics.CRM.t'";
        assert_eq!(documented(NO_PROPERTY_OR_SEGMENT, message), shown);
        assert_eq!(documented("0x80040203", "Invalid argument: dear customer"), "");
    }
}
