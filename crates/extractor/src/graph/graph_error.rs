//! Error responses of Microsoft Graph: the one place where its statuses and codes are classified.
//!
//! <https://learn.microsoft.com/graph/errors>

use reqwest::StatusCode;

use super::role;
use crate::error::Error;
use crate::http::attempt_error::{AttemptError, Transient};
use crate::http::error_response::ErrorResponse;
use crate::http::request::ResourceKind;

const DENIED: &str = "Authorization_RequestDenied";

/// What an error response means for the call.
pub(crate) fn classify(response: ErrorResponse<'_>) -> AttemptError {
    let (kind, status) = (response.request.kind, response.status);
    let code = response.body.code.clone();
    let message = response.body.message.to_ascii_lowercase();
    if response.is_transient() {
        // A 500 may concern this request alone, such as a broken mailbox: it is not worth all attempts.
        let own = status == StatusCode::INTERNAL_SERVER_ERROR;
        return AttemptError::Transient(Transient { request_specific: own, ..response.transient(&code) });
    }
    if status == StatusCode::UNAUTHORIZED {
        return response.access_token_rejected();
    }
    if status == StatusCode::PRECONDITION_FAILED || message.contains("delegated context") {
        return AttemptError::Permanent(Error::SignInRefused {
            code: format!("status {}", status.as_u16()),
            advice: "an application token is needed: the service refuses that of a person, as `az login` gives it; \
                     use another `auth.method`",
        });
    }
    let (table, call) = (response.request.table, response.call());
    let one = matches!(kind, ResourceKind::History { .. } | ResourceKind::User);
    AttemptError::Permanent(match (status.as_u16(), role_of(kind)) {
        (403, Some(role)) if code == DENIED || response.token.claims().lacks(role) => {
            Error::PermissionMissing { table, privilege: Some(role.to_owned()), call }
        }
        (400, _) if kind == (ResourceKind::History { filtered: true }) && response.request.page == Some(1) => {
            Error::FilterRefused { call }
        }
        (status @ (403 | 404), _) if one => {
            let reason = reason(&code, &message);
            Error::UserRefused { status, code, reason, call }
        }
        (404, _) if kind == ResourceKind::Members => Error::GroupMissing { call },
        (status, _) => Error::Refused { status, code, message: String::new(), call },
    })
}

/// The application permission that a request needs.
fn role_of(kind: ResourceKind) -> Option<&'static str> {
    match kind {
        ResourceKind::History { .. } => Some(role::HISTORIES),
        ResourceKind::Users | ResourceKind::User => Some(role::USERS),
        ResourceKind::Members => Some(role::MEMBERS),
        ResourceKind::Json | ResourceKind::Changes | ResourceKind::File => None,
    }
}

/// Our wording for known codes and messages, the latter in lower case; empty for unknown ones.
fn reason(code: &str, message: &str) -> &'static str {
    let says = |word: &str| message.contains(word) || code.to_ascii_lowercase().contains(word);
    if says("mailbox") {
        "the user has no mailbox that the service reads"
    } else if says("copilot") && (says("license") || says("licence")) {
        "the user has no Copilot licence that the service accepts"
    } else if code.eq_ignore_ascii_case("Request_ResourceNotFound") {
        "the directory has no such user"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_and_messages_have_words_of_our_own() {
        for (code, message, expected) in [
            ("Forbidden", "user 'a b' has no valid copilot license.", "licence"),
            ("NoCopilotLicense", "", "licence"),
            ("MailboxNotEnabledForRESTAPI", "", "mailbox"),
            ("ResourceNotFound", "the user does not have a mailbox", "mailbox"),
            ("Request_ResourceNotFound", "resource 'x' does not exist", "no such user"),
        ] {
            assert!(reason(code, message).contains(expected), "{code} {message}");
        }
        assert_eq!(reason("Forbidden", "what a person wrote about a license"), "");
        assert_eq!(reason("", ""), "");
    }
}
