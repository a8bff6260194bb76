//! Tests against a service that answers exactly what each test says, byte by byte.

mod assertions;
#[cfg(unix)]
mod azure_cli;
mod emulator;
mod environment;
mod errors;
mod faults;
mod files;
mod managed;
mod network;
mod server;
mod sign_in;
mod tracking;
mod walk;

use std::time::Duration;

use copilot_lake_tables::{COPILOT_EVENT, Week};
use futures::StreamExt;
use url::Url;

use crate::backoff::Backoff;
use crate::retry::Patience;
use crate::{Auth, Credential, Dataverse, DataverseSettings, Error, Network, Page, Secret, Selection, Slice};
use server::{Reply, Request, Server};

const SECRET: &str = "the-client-secret";

fn settings(url: Url) -> DataverseSettings {
    with_credential(url, Credential::Secret(Secret::new(SECRET)))
}

fn with_credential(url: Url, credential: Credential) -> DataverseSettings {
    let auth =
        Auth { authority: url.clone(), tenant_id: "tenant".to_owned(), client_id: "client".to_owned(), credential };
    DataverseSettings { url, auth, network: Network::default(), page_size: 3 }
}

/// As patient as in use, but in milliseconds.
fn dataverse(url: Url) -> Dataverse {
    impatient(settings(url))
}

fn impatient(settings: DataverseSettings) -> Dataverse {
    let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(4), jitter: || 0.0 };
    Dataverse::with_patience(settings, Patience { backoff, ..Patience::documented() }).unwrap()
}

fn who_am_i() -> Reply {
    Reply::ok(r#"{"UserId":"u","OrganizationId":"o"}"#)
}

fn slice() -> Slice {
    let week = Week::parse("2025-06-22").unwrap();
    Slice { table: &COPILOT_EVENT, scope: String::new(), clock: "createdon", start: week.start(), end: week.end() }
}

async fn walk(service: &Dataverse) -> Vec<Result<Page, Error>> {
    service.pages(&slice(), &Selection::of(&COPILOT_EVENT)).collect().await
}

fn rows(pages: &[Result<Page, Error>]) -> Vec<&str> {
    pages.iter().map(|page| std::str::from_utf8(page.as_ref().unwrap().rows()).unwrap()).collect()
}

/// A page whose link leads to `link` of the server that was asked.
fn page(request: &Request, rows: &str, link: Option<&str>) -> Reply {
    let link = link.map_or_else(String::new, |link| format!(r#","@odata.nextLink":"{}{link}""#, request.base()));
    Reply::ok(format!(r#"{{"@odata.context":"c","value":{rows}{link}}}"#))
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::new(status, format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#))
        .header("x-ms-service-request-id", "11111111-aaaa")
}
