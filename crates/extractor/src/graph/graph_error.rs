//! Error responses of Microsoft Graph: the one place where its statuses and codes are classified.
//!
//! <https://learn.microsoft.com/graph/errors>

use reqwest::StatusCode;

use super::role;
use crate::error::Error;
use crate::http::attempt_error::{AttemptError, Transient};
use crate::http::error_response::ErrorResponse;
use crate::http::request::ResourceKind;
use crate::http::throttle_scope::ThrottleScope;

const DENIED: &str = "Authorization_RequestDenied";
const PAGE_TOKEN_EXPIRED: &str = "Directory_ExpiredPageToken";
const TOO_MANY_REQUESTS: &str = "TooManyRequests";

/// What an error response means for the call.
pub(crate) fn classify(response: ErrorResponse<'_>) -> AttemptError {
    let (kind, status) = (response.request.kind, response.status);
    let code = response.body.code.clone();
    let message = response.body.message.to_ascii_lowercase();
    if response.is_transient() {
        // A 500 may concern this request alone, such as a broken mailbox: it is not worth all attempts.
        let own = status == StatusCode::INTERNAL_SERVER_ERROR;
        let mut transient = Transient { request_specific: own, ..response.transient(&code) };
        if transient.throttled.is_some() && matches!(kind, ResourceKind::History { .. }) {
            transient.throttled = Some(throttle_scope(&code, &message, &response.throttle_scope));
        }
        return AttemptError::Transient(transient);
    }
    if status == StatusCode::UNAUTHORIZED {
        return response.access_token_rejected();
    }
    let one = matches!(kind, ResourceKind::History { .. } | ResourceKind::User);
    let lacks_role = role_of(kind).is_some_and(|role| response.token.claims().lacks(role));
    let wrong_token = status == StatusCode::PRECONDITION_FAILED || message.contains(DELEGATED);
    // An application's token has its permissions in it: one user who is refused is that user's refusal.
    if wrong_token && (lacks_role || !one) {
        return AttemptError::Permanent(Error::SignInRefused {
            code: format!("status {}", status.as_u16()),
            advice: "an application token is needed: the service refuses that of a person, as `az login` gives it; \
                     use another `auth.method`",
        });
    }
    let (table, call) = (response.request.table, response.call());
    let is_unexplained = response.is_empty_refusal();
    let refusal = match (status.as_u16(), role_of(kind)) {
        (403, Some(role)) if code == DENIED || lacks_role => {
            Error::PermissionMissing { table, privilege: Some(role.to_owned()), call }
        }
        (400, _) if kind == (ResourceKind::History { filtered: true }) && response.request.page == Some(1) => {
            Error::FilterRefused { call }
        }
        (400, _) if matches!(kind, ResourceKind::Users | ResourceKind::Members) && code == PAGE_TOKEN_EXPIRED => {
            Error::PageTokenExpired { call }
        }
        (status @ (403 | 404 | 412), _) if one => {
            let reason = reason(&code, &message);
            let is_own = status == 404 || !matches!(reason, "" | NOT_AN_APPLICATION);
            Error::UserRefused { status, code, reason, is_own, call }
        }
        (404, _) if kind == ResourceKind::Members => Error::GroupMissing { call },
        (status, _) => Error::Refused { status, code, message: String::new(), call },
    };
    if is_unexplained { response.unexplained(refusal) } else { AttemptError::Permanent(refusal) }
}

/// What a message says of a token that is not an application's, in lower case.
const DELEGATED: &str = "delegated context";

const NOT_AN_APPLICATION: &str = "the service takes the token for that of a person, and an application's is needed";

/// Whom a 429 for a history concerns, by code and message, the latter in lower case, and by `x-ms-throttle-scope`.
///
/// The documented limit of histories is the tenant's, and what is documented of its 429 is this code alone. Mailboxes
/// have limits of their own, such as `MailboxConcurrency`.
///
/// <https://learn.microsoft.com/graph/throttling>
fn throttle_scope(code: &str, message: &str, header: &str) -> ThrottleScope {
    let (code, header) = (code.to_ascii_lowercase(), header.trim().to_ascii_lowercase());
    let says = |word: &str| message.contains(word) || code.contains(word);
    let of = header.split('/').next().unwrap_or_default();
    if says("mailbox") || of.contains("mailbox") || matches!(of, "user" | "resource") {
        ThrottleScope::Resource
    } else if of.contains("tenant")
        || of.contains("application")
        || says("tenant")
        || code.eq_ignore_ascii_case(TOO_MANY_REQUESTS)
    {
        ThrottleScope::Identity
    } else {
        ThrottleScope::Unclear
    }
}

/// The application permission that a request needs.
fn role_of(kind: ResourceKind) -> Option<&'static str> {
    match kind {
        ResourceKind::History { .. } => Some(role::HISTORIES),
        ResourceKind::Users | ResourceKind::User => Some(role::USERS),
        ResourceKind::Members => Some(role::MEMBERS),
        ResourceKind::Json | ResourceKind::Changes | ResourceKind::File | ResourceKind::Batch { .. } => None,
    }
}

/// Our wording for known codes and messages, the latter in lower case; empty for unknown ones.
fn reason(code: &str, message: &str) -> &'static str {
    let says = |word: &str| message.contains(word) || code.to_ascii_lowercase().contains(word);
    if says(DELEGATED) {
        NOT_AN_APPLICATION
    } else if says("mailbox") {
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
            ("PreconditionFailed", "requested api is not supported in delegated context", "application"),
        ] {
            assert!(reason(code, message).contains(expected), "{code} {message}");
        }
        assert_eq!(reason("Forbidden", "what a person wrote about a license"), "");
        assert_eq!(reason("", ""), "");
    }

    #[test]
    fn a_429_concerns_whom_it_names() {
        use ThrottleScope::{Identity, Resource, Unclear};
        for (code, message, header, expected) in [
            // As Exchange words it, through Graph.
            ("ApplicationThrottled", "application is over its mailboxconcurrency limit.", "", Resource),
            ("MailboxConcurrency", "", "", Resource),
            ("TooManyRequests", "the mailbox is busy.", "", Resource),
            ("TooManyRequests", "please retry again later.", "Mailbox/Concurrency/app/id", Resource),
            ("UnknownError", "", "User/ReadWrite/app/id", Resource),
            ("", "", "Resource/Read/app/id", Resource),
            // As it is documented.
            ("TooManyRequests", "please retry again later.", "", Identity),
            ("toomanyrequests", "", "", Identity),
            ("UnknownError", "", "Tenant_Application/ReadWrite/app/tenant", Identity),
            ("", "", "Application/ReadWrite/app", Identity),
            ("ApplicationThrottled", "the tenant has exceeded its limit.", "", Identity),
            // Neither.
            ("UnknownError", "", "", Unclear),
            ("", "", "", Unclear),
            ("ApplicationThrottled", "application is over a limit.", "", Unclear),
            ("429", "please retry.", "somebody/else", Unclear),
        ] {
            assert_eq!(throttle_scope(code, message, header), expected, "{code} {message} {header}");
        }
    }
}
