//! Handles requests to Graph: admits them, then answers by route; errors have Graph's shape.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use copilot_lake_tables::Instant;
use hyper::Method;
use serde_json::json;

use crate::data::random::guid_text;
use crate::emulated_clock::Clock;
use crate::error::Error;
use crate::graph::directory::{DirectoryRequest, not_found};
use crate::graph::explicit::add_explicit;
use crate::graph::graph_request::GraphRequest;
use crate::graph::graph_route::{GraphResource, GraphRoute};
use crate::graph::history_cursor::Visibility;
use crate::graph::history_request::HistoryRequest;
use crate::graph::tenant::Tenant;
use crate::graph::tenant_report::served;
use crate::graph::throttle::{Throttle, too_many};
use crate::http::api_request::ApiRequest;
use crate::http::response::{HttpResponse, ServiceError};
use crate::http::token_issuer::challenge;
use crate::scenario::fault_spec::FaultKind;
use crate::scenario::graph::{GROUP_ROLE, GraphPhase, GraphSpec, HISTORY_ROLE, USER_ROLE};
use crate::served::GraphServed;

/// A tenant of Microsoft Graph.
#[derive(Debug)]
pub(crate) struct EmulatedGraph {
    settings: GraphSpec,
    tenant: RwLock<Arc<Tenant>>,
    throttle: Throttle,
    /// What the tenant had at a time, cached.
    counted: Mutex<Option<(i64, GraphServed)>>,
}

impl EmulatedGraph {
    /// The tenant of a scenario. Its generated interactions end with the day that the scenario says, or with
    /// `usual_end`, in days since the Unix epoch.
    pub(crate) fn new(spec: &GraphSpec, seed: u64, usual_end: i32, clock: &Clock) -> Result<Self, Error> {
        let end = Instant::from_days(spec.end.map_or(usual_end, |end| end.0.days()) + 1);
        let mut tenant = Tenant::new(spec, seed, end)?;
        add_explicit(&mut tenant, &spec.interaction, end.plus_seconds(-1))?;
        if spec.users > 0 || !spec.interaction.is_empty() {
            clock.pass(end);
        }
        let settings = GraphSpec { user: Vec::new(), group: Vec::new(), interaction: Vec::new(), ..spec.clone() };
        Ok(Self {
            throttle: Throttle::new(spec.limits.clone()),
            settings,
            tenant: RwLock::new(Arc::new(tenant)),
            counted: Mutex::default(),
        })
    }

    pub(crate) fn tenant(&self) -> Arc<Tenant> {
        Arc::clone(&self.tenant.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) const fn visibility(&self, now: Instant) -> Visibility {
        Visibility { now, late: self.settings.late }
    }

    /// Applies a phase; `before` is the time before it.
    pub(crate) fn advance(&self, phase: &GraphPhase, before: Instant, now: Instant) -> Result<(), Error> {
        let mut tenant = Tenant::clone(&self.tenant());
        tenant.users(&phase.user)?;
        phase.group.iter().try_for_each(|group| tenant.group(group))?;
        let fresh = phase.user.iter().any(|user| user.interactions.is_some());
        if phase.interactions > 0 || fresh {
            let until = phase.until.map_or(now.plus_seconds(-60), |at| at.0);
            let from = phase.from.map_or(before, |at| at.0).min(until.plus_seconds(-60));
            tenant.generate(phase.interactions, self.settings.quiet, from, until)?;
        }
        // Slightly in the past, so that a window ending now includes them.
        add_explicit(&mut tenant, &phase.interaction, now.floor_second().plus_seconds(-2))?;
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.tenant.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tenant);
        Ok(())
    }

    /// What the tenant has now.
    pub(crate) fn served(&self, now: Instant) -> GraphServed {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, served) = match counted.take().filter(|(at, _)| *at == now.0) {
            Some(known) => counted.insert(known),
            None => counted.insert((now.0, served(&self.tenant(), self.visibility(now)))),
        };
        served.clone()
    }

    /// Answers a request; also returns the number of rows.
    pub(crate) fn answer(&self, route: &GraphRoute, call: &ApiRequest<'_>) -> (HttpResponse, usize) {
        let request_id = guid_text(call.shared.recorder.nanos());
        let client_id = call.client_request_id.unwrap_or(&request_id);
        let (mut answer, rows) = self.admitted(route, call).unwrap_or_else(|error| {
            let date = call.shared.clock.now().floor_second().to_string();
            let mut inner = json!({
                "date": date.trim_end_matches('Z'), "request-id": request_id, "client-request-id": client_id,
            });
            if error.status == 429 {
                inner["code"] = "429".into();
                inner["status"] = "429".into();
                inner["message"] = error.message.as_str().into();
            }
            let body = json!({ "error": { "code": error.code, "message": error.message, "innerError": inner } });
            let is_challenge = error.status == 401;
            let mut answer = error.into_response();
            if is_challenge {
                answer.headers = challenge(&call.origin).headers;
            }
            answer.frames = [Bytes::from(body.to_string())].into();
            (answer, 0)
        });
        answer.header("request-id", &request_id);
        answer.header("client-request-id", client_id);
        (answer, rows)
    }

    fn admitted(&self, route: &GraphRoute, call: &ApiRequest<'_>) -> Result<(HttpResponse, usize), ServiceError> {
        let limit = || match route.resource {
            GraphResource::History(_) => {
                let checked = self.throttle.check(call.application.unwrap_or_default());
                checked.inspect_err(|_| call.shared.recorder.count(|_, graph| graph.throttled += 1))
            }
            _ => Ok(()),
        };
        if let Some(page) = call.admit(limit, error_of_fault)? {
            return Ok((page, 0));
        }
        let role = match &route.resource {
            GraphResource::History(_) => HISTORY_ROLE,
            GraphResource::Members(_) => GROUP_ROLE,
            GraphResource::Users | GraphResource::User(_) | GraphResource::Deleted | GraphResource::Unknown(_) => {
                USER_ROLE
            }
        };
        if !self.settings.roles.iter().any(|held| held == role) {
            let message = "Insufficient privileges to complete the operation.";
            return Err(ServiceError::new(403, "Authorization_RequestDenied", message));
        }
        if call.method != Method::GET {
            return Err(ServiceError::new(405, "Request_BadRequest", "The emulator's tenant can be read only."));
        }
        let (root, url) = (format!("{}/{}/", call.origin, route.version), format!("{}{}", call.origin, call.path));
        let request = GraphRequest { root, url, query: call.query, faults: &call.faults };
        let (tenant, now) = (self.tenant(), call.shared.clock.now());
        let people = DirectoryRequest { tenant: &tenant, request: &request, now };
        match &route.resource {
            GraphResource::Users | GraphResource::Deleted | GraphResource::Members(_) => people.page(&route.resource),
            GraphResource::User(name) => Ok((people.one(name)?, 1)),
            GraphResource::History(name) => {
                let user = self.history_of(&tenant, name)?;
                let history = HistoryRequest {
                    tenant: &tenant,
                    user,
                    request: &request,
                    visibility: self.visibility(now),
                    whole_seconds: self.settings.whole_seconds,
                    refuse_filters: self.settings.refuse_filters,
                };
                let (answer, rows, altered) = history.answer()?;
                call.shared.recorder.history(user, altered);
                Ok((answer, rows))
            }
            GraphResource::Unknown(name) => {
                let message = format!("Resource not found for the segment '{name}'.");
                Err(ServiceError::new(400, "BadRequest", &message))
            }
        }
    }

    /// The user whose history is requested, unless it may not be read.
    fn history_of(&self, tenant: &Tenant, name: &str) -> Result<u32, ServiceError> {
        if self.settings.everyone_forbidden {
            return Err(forbidden());
        }
        let user = tenant.find(name).ok_or_else(|| not_found(name))?;
        let person = &tenant.people[user as usize];
        if let Some(spec) = &person.spec
            && let Some(status) = spec.status.filter(|status| *status != 200)
        {
            let usual = match status {
                404 => not_found(name),
                403 => forbidden(),
                status => ServiceError::new(status, "UnknownError", ""),
            };
            return Err(usual.instead(spec.code.as_deref(), spec.message.as_deref()));
        }
        if self.settings.refuse_unlicensed && !person.licensed() {
            return Err(ServiceError::new(403, "Forbidden", "The user has no valid Copilot license."));
        }
        Ok(user)
    }
}

fn forbidden() -> ServiceError {
    ServiceError::new(403, "Forbidden", "UnknownError")
}

/// The error response of a fault, where it has one.
pub(crate) fn error_of_fault(fault: FaultKind) -> Option<ServiceError> {
    Some(match fault {
        FaultKind::BadRequest => ServiceError::new(400, "", ""),
        FaultKind::Unauthorized => {
            let message = "Access token is empty, expired or not for this service.";
            ServiceError::new(401, "InvalidAuthenticationToken", message)
        }
        FaultKind::NoPrivilege | FaultKind::NoMember => forbidden(),
        FaultKind::Timeout => ServiceError::new(408, "RequestTimeout", "The request timed out."),
        FaultKind::TooManyRequests => too_many(),
        FaultKind::Internal => ServiceError::new(500, "InternalServerError", "Failed to execute request."),
        FaultKind::Unavailable => ServiceError::new(503, "ServiceUnavailable", "The service is unavailable."),
        _ => return None,
    })
}
