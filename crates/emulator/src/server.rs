//! The path of a request: its faults, its response, and the record of both.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HOST, RANGE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use crate::control;
use crate::data::random::guid_text;
use crate::dataverse::batch_request::BatchRequest;
use crate::dataverse::dataverse_route::DataverseRoute;
use crate::dataverse::emulated_dataverse::ReceivedRequest;
use crate::emulated_clock::http_date;
use crate::graph::emulated_graph::error_of_fault as graph_error;
use crate::http::api_request::ApiRequest;
use crate::http::odata::{DELTA_TOKEN, decode};
use crate::http::preferences::Preferences;
use crate::http::recorder::{InFlight, MAILBOX_LIMIT, RecordedResponse};
use crate::http::request_kind::RequestKind;
use crate::http::response::{Cut, HttpResponse, ResponseBody, ServiceError};
use crate::route::Route;
use crate::scenario::fault_spec::FaultKind;
use crate::state::EmulatorState;

/// No response: the connection is reset.
#[derive(Debug, thiserror::Error)]
#[error("reset by the scenario")]
pub(crate) struct Reset;

/// Answers one request.
pub(crate) async fn respond(
    state: Arc<EmulatorState>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Reset> {
    let route = match (Route::parse(request.uri().path()), &state.graph) {
        (Route::Graph(_), None) => Route::Dataverse(DataverseRoute::Elsewhere),
        (route, _) => route,
    };
    if let Route::Control(route) = &route {
        return Ok(control::answer(&state, route, request.method()).into_response(None, None));
    }
    let (parts, body) = request.into_parts();
    let (shared, recorder) = (&state.shared, &state.shared.recorder);
    let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
    let authorization = text(&parts, AUTHORIZATION.as_str());
    let mut application = shared.tokens.holder(authorization);
    let (in_flight_guard, in_flight) = recorder.begin(application);
    let mut body = Some(body);
    let batch = match &route {
        Route::Dataverse(DataverseRoute::Batch) => Some(whole(&mut body).await),
        _ => None,
    };
    let origin = origin(&parts);
    let content_type = text(&parts, CONTENT_TYPE.as_str());
    let mut batch = batch.as_deref().map(|body| BatchRequest::parse(content_type, body, &origin));
    let decoded = decode(url);
    let prefer = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let preferences = Preferences::parse(prefer);
    let tracks = preferences.track || decoded.contains(DELTA_TOKEN) || decoded.contains("istracking=\"True\"");
    let kind = match route.kind() {
        RequestKind::Page if tracks => RequestKind::Tracking,
        kind => kind,
    };
    let (user, history_guard) = user(&state, &route);
    let resource = match kind {
        RequestKind::History => user.clone(),
        RequestKind::Page | RequestKind::Tracking | RequestKind::File => route.table().map(str::to_owned),
        // A batch of Files is of one table.
        RequestKind::Batch => batch.iter().flatten().find_map(|batch| batch.table()).map(str::to_owned),
        _ => None,
    };
    let faults = state.faults.triggered(kind, route.table(), &decoded);
    if kind != RequestKind::Token {
        recorder.arrival(application, kind, resource.as_deref());
    }
    let mut ms = faults.ms() + state.settings.latency_ms;
    if let Some(Ok(batch)) = &mut batch {
        if faults.is_empty() {
            batch.trigger(&state.faults);
        }
        ms = faults.ms() + state.settings.latency_ms * batch.parts.len() as u64 + batch.ms();
    }
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let end = |application, status, rows, retry_after, is_of_resource: bool| {
        let (user, resource) = (user.clone(), resource.clone().filter(|_| is_of_resource));
        let answered = RecordedResponse { kind, application, status, rows, retry_after, user, resource };
        recorder.end(parts.method.as_str(), url, answered);
    };
    if faults.has(FaultKind::Reset) {
        end(application, 0, 0, None, false);
        return Err(Reset);
    }
    let cut_chunked = faults.has(FaultKind::CutChunked).then_some(Cut::Chunked);
    let cut = faults.has(FaultKind::CutBody).then_some(Cut::Length).or(cut_chunked);
    let call = ApiRequest {
        shared,
        method: &parts.method,
        origin,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        authorization,
        application,
        in_flight,
        client_request_id: text(&parts, "client-request-id"),
        range: text(&parts, RANGE.as_str()),
        preferences,
        faults,
    };
    let (mut answer, mut rows) = match (&route, &state.graph) {
        (Route::Dataverse(route), _) => {
            let received = batch.as_ref().map_or(ReceivedRequest::Single(route), ReceivedRequest::Batch);
            state.dataverse.answer(received, &call)
        }
        (Route::Graph(route), Some(graph)) => graph.answer(route, &call),
        _ => {
            let form = whole(&mut body).await;
            let (answer, holder) = token(&state, &route, &parts, &form, &call);
            application = holder;
            (answer, 0)
        }
    };
    if answer.status == 200 {
        let faults = state.faults.replacing(kind, route.table(), &decoded, &answer);
        let error = faults.error(|fault| match &route {
            Route::Graph(_) => graph_error(fault),
            _ => state.dataverse.error_of_fault(fault, route.table()),
        });
        if let Some(error) = error {
            (answer, rows) = (error.into_response(), 0);
        }
    }
    let retry_after = answer.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
    let retry_after =
        retry_after.and_then(|(_, value)| Duration::try_from_secs_f64(value.to_str().ok()?.parse().ok()?).ok());
    // A server error may be of one table or mailbox alone: it says no more.
    let is_of_resource = answer.status >= 500 || (answer.status == 429 && answer.text().contains(MAILBOX_LIMIT));
    end(application, answer.status, rows, retry_after, is_of_resource);
    // Before the response goes out: a client that has received it may send its next request before this code continues.
    drop(history_guard);
    let accepts = text(&parts, ACCEPT_ENCODING.as_str()).is_some_and(|accepted| accepted.contains("gzip"));
    if state.settings.gzip && accepts && answer.status == 200 {
        compress(&mut answer);
    }
    answer.header(DATE, &http_date(shared.clock.now()));
    if answer.status == 200 {
        answer.header("odata-version", "4.0");
    }
    if !kind.is_of_graph() {
        answer.header("x-ms-service-request-id", &guid_text(recorder.nanos()));
        answer.header("x-ms-dop-hint", &state.settings.dop_hint.to_string());
    }
    Ok(answer.into_response(cut, Some(in_flight_guard)))
}

/// The user that a request is about, by object id if the user exists, and a guard while their history is requested.
fn user(state: &EmulatorState, route: &Route) -> (Option<String>, Option<InFlight>) {
    let (Route::Graph(route), Some(graph)) = (route, &state.graph) else { return (None, None) };
    let Some(name) = route.user() else { return (None, None) };
    let tenant = graph.tenant();
    let found = tenant.find(name);
    let history = found.filter(|_| route.kind() == RequestKind::History);
    let id = found.map(|at| tenant.people[at as usize].id());
    (Some(id.unwrap_or_else(|| name.to_owned())), history.map(|user| state.shared.recorder.begin_history(user)))
}

/// Answers a token request; also returns the application.
fn token(
    state: &EmulatorState,
    route: &Route,
    parts: &Parts,
    form: &[u8],
    call: &ApiRequest<'_>,
) -> (HttpResponse, Option<usize>) {
    if let Some(error) = call.faults.error(|fault| state.dataverse.error_of_fault(fault, None)) {
        return (error.into_response(), None);
    }
    let tokens = &call.shared.tokens;
    match (route, &parts.method) {
        (Route::Token(tenant), &Method::POST) => tokens.issue(tenant, form, &format!("{}{}", call.origin, call.path)),
        (Route::Managed(host), &Method::GET) => tokens.issue_managed(*host, &parts.headers, call.query),
        _ => (ServiceError::new(405, "", "The endpoint does not accept the method.").into_response(), None),
    }
}

/// The whole body of a request; empty the second time.
async fn whole(body: &mut Option<Incoming>) -> Bytes {
    let Some(body) = body.take() else { return Bytes::new() };
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// `http://host:port` as the client wrote it, even behind a proxy.
fn origin(parts: &Parts) -> String {
    let scheme = text(parts, "x-forwarded-proto").unwrap_or("http");
    let host = text(parts, "x-forwarded-host").or_else(|| text(parts, HOST.as_str())).unwrap_or("127.0.0.1");
    format!("{scheme}://{host}")
}

fn compress(answer: &mut HttpResponse) {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail; if it did, the response goes out as it is.
    if answer.frames.iter().all(|frame| encoder.write_all(frame).is_ok())
        && let Ok(bytes) = encoder.finish()
    {
        answer.frames = [Bytes::from(bytes)].into();
        answer.header(CONTENT_ENCODING, "gzip");
    }
}
