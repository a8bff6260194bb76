//! Requests: faults first, then the answer, then the record of both.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HOST, RANGE, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use crate::clock::{Clock, http_date};
use crate::data::random::guid_text;
use crate::data::table_store::Store;
use crate::dataverse::change_tracking::DELTA;
use crate::dataverse::handler::Asked;
use crate::dataverse::limits::Limiter;
use crate::dataverse::query::Preferences;
use crate::graph::service::{Asking, Graph};
use crate::http::response::{Answer, Cut, Refusal, Reply};
use crate::http::token_issuer::{Tokens, challenge};
use crate::route::{Kind, Route, decode};
use crate::scenario::fault::{FaultKind, Faults};
use crate::scenario::settings::ServiceSettings;
use crate::scenario::specs::Phase;
use crate::served::{Answered, Recorder};

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) stores: Vec<Store>,
    pub(crate) graph: Option<Graph>,
    pub(crate) settings: ServiceSettings,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Faults,
    pub(crate) limiter: Limiter,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Clock,
    pub(crate) phases: Mutex<VecDeque<Phase>>,
    /// Where it listens: `http://127.0.0.1:<port>`.
    pub(crate) own_origin: String,
}

/// No answer: the connection is cut.
#[derive(Debug, thiserror::Error)]
#[error("reset by the scenario")]
pub(crate) struct Reset;

impl Server {
    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
        let route = match (Route::of(request.uri().path()), &self.graph) {
            (Route::Graph(_), None) => Route::Other,
            (route, _) => route,
        };
        if route.kind() == Kind::Own {
            return Ok(self.answer_own(&route, request.method()).into_response(None, None));
        }
        let (parts, body) = request.into_parts();
        let url = parts.uri.path_and_query().map_or("/", |url| url.as_str());
        let authorization = text(&parts, AUTHORIZATION.as_str());
        let mut application = self.tokens.holder(authorization);
        let (guard, now) = self.recorder.begin(application);
        let decoded = decode(url);
        let prefer = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let preferences = Preferences::parse(prefer);
        let tracks = preferences.track || decoded.contains(DELTA) || decoded.contains("istracking=\"True\"");
        let kind = match route.kind() {
            Kind::Page if tracks => Kind::Tracking,
            kind => kind,
        };
        let (user, asking) = self.person(&route);
        let faults = self.faults.due(kind, route.table(), &decoded);
        if kind != Kind::Token {
            self.recorder.arrival(application, kind);
        }
        let ms = faults.ms() + self.settings.latency_ms;
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let end = |application, status, rows, retry_after| {
            let user = user.clone();
            let answered = Answered { kind, application, status, rows, retry_after, user };
            self.recorder.end(parts.method.as_str(), url, answered);
        };
        if faults.has(FaultKind::Reset) {
            end(application, 0, 0, None);
            return Err(Reset);
        }
        let cut = match () {
            () if faults.has(FaultKind::CutBody) => Some(Cut::Length),
            () if faults.has(FaultKind::CutChunked) => Some(Cut::Chunked),
            () => None,
        };
        let version = parts.uri.path().split('/').nth(3).filter(|part| part.starts_with('v')).unwrap_or("v9.2");
        let origin = origin(&parts);
        let asked = Asked {
            root: format!("{origin}/api/data/{version}/"),
            origin,
            own_origin: &self.own_origin,
            authorization,
            application,
            now,
            query: parts.uri.query().unwrap_or(""),
            range: text(&parts, RANGE.as_str()),
            preferences,
            faults,
        };
        let (mut answer, rows) = if kind == Kind::Token {
            let form = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let (answer, holder) = self.token(&route, &parts, &form, &asked);
            application = holder;
            (answer, 0)
        } else if let (Route::Graph(call), Some(graph)) = (&route, &self.graph) {
            self.graph_answer(graph, call, &parts.method, &parts.headers, parts.uri.path(), &asked)
        } else {
            match self.data(&route, &parts.method, &asked) {
                Ok(answered) => answered,
                Err(refusal) if refusal.status == 401 => (challenge(&asked.origin), 0),
                Err(refusal) => (refusal.into_answer(), 0),
            }
        };
        let retry_after = answer.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
        let retry_after = retry_after.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
        end(application, answer.status, rows, retry_after);
        // Before it goes out: who has it all may ask again before this is noticed here.
        drop(asking);
        let accepts = text(&parts, ACCEPT_ENCODING.as_str()).is_some_and(|accepted| accepted.contains("gzip"));
        if self.settings.gzip && accepts && answer.status == 200 {
            compress(&mut answer);
        }
        answer.header(DATE, &http_date(self.clock.now()));
        if answer.status == 200 {
            answer.header("odata-version", "4.0");
        }
        if !kind.is_of_graph() {
            answer.header("x-ms-service-request-id", &guid_text(self.recorder.moment()));
            answer.header("x-ms-dop-hint", &self.settings.dop_hint.to_string());
        }
        Ok(answer.into_response(cut, Some(guard)))
    }

    /// Whom of a tenant a request is about, by object id where there is one, and that their history is being asked for.
    fn person(&self, route: &Route) -> (Option<String>, Option<Asking>) {
        let (Route::Graph(call), Some(graph)) = (route, &self.graph) else { return (None, None) };
        let Some(name) = call.user() else { return (None, None) };
        let asking = if call.kind() == Kind::History { graph.asking(name) } else { None };
        (Some(graph.id_of(name).unwrap_or_else(|| name.to_owned())), asking)
    }

    /// Answers a request for a token, and says for which application.
    fn token(&self, route: &Route, parts: &Parts, form: &[u8], asked: &Asked<'_>) -> (Answer, Option<usize>) {
        if let Some(refusal) = asked.faults.refusal(|kind| self.refusal_of(kind, route)) {
            return (refusal.into_answer(), None);
        }
        match (route, &parts.method) {
            (Route::Token { tenant }, &Method::POST) => {
                let url = format!("{}{}", asked.origin, parts.uri.path());
                self.tokens.give(tenant, form, &url)
            }
            (Route::Managed(host), &Method::GET) => self.tokens.give_managed(*host, &parts.headers, asked.query),
            _ => (Refusal::new(405, "", "The endpoint does not accept the method.").into_answer(), None),
        }
    }
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name).and_then(|value| value.to_str().ok())
}

/// `http://host:port` as the client wrote it, even when a proxy stands between.
fn origin(parts: &Parts) -> String {
    let scheme = text(parts, "x-forwarded-proto").unwrap_or("http");
    let host = text(parts, "x-forwarded-host").or_else(|| text(parts, HOST.as_str())).unwrap_or("127.0.0.1");
    format!("{scheme}://{host}")
}

fn compress(answer: &mut Answer) {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail; if it did, the answer goes out as it is.
    if encoder.write_all(&answer.join()).is_ok()
        && let Ok(bytes) = encoder.finish()
    {
        answer.content = crate::http::response::Content::Frames([Bytes::from(bytes)].into());
        answer.header(CONTENT_ENCODING, "gzip");
    }
}
