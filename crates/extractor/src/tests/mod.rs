//! Tests against a service that answers exactly what each test says, byte by byte.

mod assertions;
#[cfg(unix)]
mod azure_cli;
mod batches;
mod emulator;
mod environment;
mod errors;
mod faults;
mod files;
mod graph_pace;
mod graph_refusals;
mod graph_sign_in;
mod graph_walk;
mod limits;
mod managed;
mod network;
mod outage;
mod server;
mod several_identities;
mod sign_in;
mod stopping;
mod tracking;
mod walk;

use std::time::Duration;

use copilot_lake_tables::{COPILOT_EVENT, Week};
use futures::StreamExt;
use url::Url;

use crate::http::backoff::Backoff;
use crate::http::retry::RetryPolicy;
use crate::http::transfer_limit::TransferLimit;
use crate::{
    Auth, Credential, Dataverse, DataverseSettings, Error, Graph, GraphSettings, HistoryQuery, Network, Page,
    ProxyFailure, Secret, Selection, Slice,
};
use server::{Reply, Request, Server};

const SECRET: &str = "the-client-secret";

fn settings(url: Url) -> DataverseSettings {
    with_credential(url, Credential::Secret(Secret::new(SECRET)))
}

fn with_credential(url: Url, credential: Credential) -> DataverseSettings {
    let auth =
        Auth { authority: url.clone(), tenant_id: "tenant".to_owned(), client_id: "client".to_owned(), credential };
    DataverseSettings { url, auth, more_identities: Vec::new(), network: Network::default(), page_size: 3 }
}

/// The production retry policy, in milliseconds.
fn dataverse(url: Url) -> Dataverse {
    impatient(settings(url))
}

fn impatient(settings: DataverseSettings) -> Dataverse {
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(4), jitter: || 0.0 };
    Dataverse::with_retry_policy(settings, RetryPolicy { backoff, ..RetryPolicy::documented() }).unwrap()
}

fn graph_settings(url: Url) -> GraphSettings {
    let DataverseSettings { url, auth, network, .. } = settings(url);
    GraphSettings {
        url,
        version: "v1.0".to_owned(),
        auth,
        more_identities: Vec::new(),
        network,
        requests_per_second: 1e6,
        model: None,
    }
}

/// The production retry policy in milliseconds, without a noticeable rate limit.
fn graph(url: Url) -> Graph {
    graph_of(graph_settings(url))
}

fn graph_of(settings: GraphSettings) -> Graph {
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(4), jitter: || 0.0 };
    Graph::with_retry_policy(settings, RetryPolicy { backoff, ..RetryPolicy::documented() }).unwrap()
}

/// The application user of Dataverse, and the organization.
const USER: &str = "11111111-0000-4000-8000-00000000000a";
const ORGANIZATION: &str = "22222222-0000-4000-8000-00000000000b";

/// A Graph user, who must never show up in errors and logs.
const PERSON: &str = "f9d841e5-0000-4000-8000-00000000beef";
const OTHER: &str = "f9d841e5-0000-4000-8000-00000000cafe";

fn june() -> HistoryQuery {
    let Slice { start, end, .. } = slice();
    HistoryQuery { app_classes: Vec::new(), window: Some(start..end) }
}

async fn history(service: &Graph) -> Vec<Result<Page, Error>> {
    service.history(PERSON, &june()).collect().await
}

fn who_am_i() -> Reply {
    Reply::ok(format!(r#"{{"UserId":"{USER}","OrganizationId":"{ORGANIZATION}"}}"#))
}

fn slice() -> Slice {
    let week = Week::parse("2025-06-22").unwrap();
    Slice {
        table: &COPILOT_EVENT,
        scope: String::new(),
        time_column: "createdon",
        start: week.start(),
        end: week.end(),
    }
}

async fn walk(service: &Dataverse) -> Vec<Result<Page, Error>> {
    service.pages(&slice(), &Selection::all(&COPILOT_EVENT)).collect().await
}

fn rows(pages: &[Result<Page, Error>]) -> Vec<&str> {
    pages.iter().map(|page| std::str::from_utf8(page.as_ref().unwrap().rows()).unwrap()).collect()
}

/// A page whose next link leads to `link` on the same server.
fn page(request: &Request, rows: &str, link: Option<&str>) -> Reply {
    let link = link.map_or_else(String::new, |link| format!(r#","@odata.nextLink":"{}{link}""#, request.base()));
    Reply::ok(format!(r#"{{"@odata.context":"c","value":{rows}{link}}}"#))
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::new(status, format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#))
        .header("x-ms-service-request-id", "11111111-aaaa")
}
