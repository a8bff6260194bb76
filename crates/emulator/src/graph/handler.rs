//! Calls of Microsoft Graph: sign-in, roles and limits first, then what the path asks for; errors as Graph writes them.

use bytes::Bytes;
use hyper::{HeaderMap, Method};
use serde_json::json;

use crate::data::random::guid_text;
use crate::dataverse::handler::Asked;
use crate::graph::directory::{PeopleRequest, missing};
use crate::graph::history::HistoryRequest;
use crate::graph::route::{GraphCall, What};
use crate::graph::service::Graph;
use crate::graph::tenant::Tenant;
use crate::graph::throttle::too_many;
use crate::http::due_faults::Due;
use crate::http::response::{Answer, Refusal};
use crate::http::token_issuer::challenge;
use crate::scenario::fault::FaultKind;
use crate::scenario::graph::{GROUP_ROLE, HISTORY_ROLE, USER_ROLE};
use crate::server::Server;

/// What a call of Graph is about, beside its path.
pub(crate) struct GraphAsked<'a> {
    /// `http://host:port/v1.0/`.
    pub(crate) root: String,
    /// The address without its query.
    pub(crate) url: String,
    pub(crate) query: &'a str,
    pub(crate) faults: &'a Due<'a>,
}

impl Server {
    /// Answers a call of Microsoft Graph, and says how many rows the answer has.
    pub(crate) fn graph_answer(
        &self,
        graph: &Graph,
        call: &GraphCall,
        method: &Method,
        headers: &HeaderMap,
        path: &str,
        asked: &Asked<'_>,
    ) -> (Answer, usize) {
        let request_id = guid_text(self.recorder.moment());
        let client_id = headers.get("client-request-id").and_then(|value| value.to_str().ok()).unwrap_or(&request_id);
        let answered = self.graph_call(graph, call, method, path, asked);
        let (mut answer, rows) = answered.unwrap_or_else(|refusal| {
            let date = self.clock.now().floor_second().to_string();
            let mut inner = json!({
                "date": date.trim_end_matches('Z'), "request-id": request_id, "client-request-id": client_id,
            });
            if refusal.status == 429 {
                inner["code"] = "429".into();
                inner["status"] = "429".into();
                inner["message"] = refusal.message.as_str().into();
            }
            let body = json!({ "error": { "code": refusal.code, "message": refusal.message, "innerError": inner } });
            let mut answer = refusal.clone().into_answer();
            if refusal.status == 401 {
                answer.headers = challenge(&asked.origin).headers;
            }
            (answer.with([Bytes::from(body.to_string())]), 0)
        });
        answer.header("request-id", &request_id);
        answer.header("client-request-id", client_id);
        (answer, rows)
    }

    fn graph_call(
        &self,
        graph: &Graph,
        call: &GraphCall,
        method: &Method,
        path: &str,
        asked: &Asked<'_>,
    ) -> Result<(Answer, usize), Refusal> {
        if asked.faults.has(FaultKind::ExpiredToken) {
            self.tokens.expire(asked.authorization);
        }
        if !self.tokens.accept(asked.authorization, &[&asked.origin, asked.own_origin]) {
            return Err(unauthorized());
        }
        if matches!(call.what, What::History(_)) {
            graph.throttle.check(asked.application.unwrap_or_default()).inspect_err(|_| graph.throttled())?;
        }
        if let Some(refusal) = asked.faults.refusal(refusal_of) {
            return Err(refusal);
        }
        if let Some(page) = asked.faults.not_json() {
            return Ok((page, 0));
        }
        let role = match &call.what {
            What::History(_) => HISTORY_ROLE,
            What::Members(_) => GROUP_ROLE,
            What::Users | What::User(_) | What::Deleted | What::Unknown(_) => USER_ROLE,
        };
        if !graph.settings.roles.iter().any(|held| held == role) {
            let message = "Insufficient privileges to complete the operation.";
            return Err(Refusal::new(403, "Authorization_RequestDenied", message));
        }
        if method != Method::GET {
            return Err(Refusal::new(405, "Request_BadRequest", "The emulator's tenant can be read only."));
        }
        let (root, url) = (format!("{}/{}/", asked.origin, call.version), format!("{}{path}", asked.origin));
        let graph_asked = GraphAsked { root, url, query: asked.query, faults: &asked.faults };
        let tenant = graph.tenant();
        let people = PeopleRequest { tenant: &tenant, asked: &graph_asked, now: self.clock.now() };
        let (answer, rows) = match &call.what {
            What::Users | What::Deleted | What::Members(_) => people.page(&call.what)?,
            What::User(name) => (people.one(name)?, 1),
            What::History(name) => self.history(graph, &tenant, name, &graph_asked)?,
            What::Unknown(name) => {
                let message = format!("Resource not found for the segment '{name}'.");
                return Err(Refusal::new(400, "BadRequest", &message));
            }
        };
        graph.sent(call.kind(), rows);
        Ok((answer, rows))
    }

    fn history(
        &self,
        graph: &Graph,
        tenant: &Tenant,
        name: &str,
        asked: &GraphAsked<'_>,
    ) -> Result<(Answer, usize), Refusal> {
        let settings = &graph.settings;
        if settings.everyone_forbidden {
            return Err(forbidden());
        }
        let user = tenant.find(name).ok_or_else(|| missing(name))?;
        let person = &tenant.people[user as usize];
        if let Some(refusal) = person.spec.as_ref().and_then(|spec| {
            let usual = match spec.status.filter(|status| *status != 200)? {
                404 => missing(name),
                403 => forbidden(),
                status => Refusal::new(status, "UnknownError", ""),
            };
            Some(usual.instead(spec.code.as_deref(), spec.message.as_deref()))
        }) {
            return Err(refusal);
        }
        if settings.refuse_unlicensed && !person.licensed() {
            return Err(Refusal::new(403, "Forbidden", "The user has no valid Copilot license."));
        }
        let request = HistoryRequest {
            tenant,
            user,
            asked,
            present: graph.present(self.clock.now()),
            whole_seconds: settings.whole_seconds,
            refuse_filters: settings.refuse_filters,
        };
        let (answer, rows, altered) = request.answer()?;
        graph.read(user, altered);
        Ok((answer, rows))
    }
}

fn forbidden() -> Refusal {
    Refusal::new(403, "Forbidden", "UnknownError")
}

fn unauthorized() -> Refusal {
    Refusal::new(401, "InvalidAuthenticationToken", "Access token is empty, expired or not for this service.")
}

/// The refusal that a fault is, when it is one.
fn refusal_of(fault: FaultKind) -> Option<Refusal> {
    Some(match fault {
        FaultKind::Unauthorized => unauthorized(),
        FaultKind::NoPrivilege | FaultKind::NoMember => forbidden(),
        FaultKind::Timeout => Refusal::new(408, "RequestTimeout", "The request timed out."),
        FaultKind::TooManyRequests => too_many(),
        FaultKind::Internal => Refusal::new(500, "InternalServerError", "Failed to execute request."),
        FaultKind::Unavailable => Refusal::new(503, "ServiceUnavailable", "The service is unavailable."),
        _ => return None,
    })
}
