//! The emulator over HTTP, as a client sees it.

mod access;
mod batches;
mod data;
mod faults;
mod files;
mod filters;
mod graph_directory;
mod graph_faults;
mod graph_history;
mod graph_rows;
mod graph_time;
mod identities;
mod links;
mod metadata;
mod pages;
mod phases;
mod sign_in;
mod tracking;

use std::path::Path;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use crate::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};

/// A running emulator and a client that has signed in.
pub(super) struct World {
    pub(super) emulator: Emulator,
    client: reqwest::Client,
    token: String,
}

/// A response, read to its end.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        (self.status, error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }

    pub(super) fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()["value"].as_array().unwrap().clone()
    }

    pub(super) fn link(&self) -> Option<String> {
        self.json()["@odata.nextLink"].as_str().map(str::to_owned)
    }
}

impl World {
    pub(super) async fn new(scenario: &str) -> Self {
        Self::with(Scenario::parse_in(scenario, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()).await
    }

    pub(super) async fn with(scenario: Scenario) -> Self {
        let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
        let mut world = Self { emulator, client, token: String::new() };
        world.sign_in().await;
        world
    }

    pub(super) async fn sign_in(&mut self) {
        let got = self.ask_token(TENANT_ID, CLIENT_ID, CLIENT_SECRET).await;
        self.token = got.json()["access_token"].as_str().unwrap_or_default().to_owned();
    }

    pub(super) async fn ask_token(&self, tenant: &str, client: &str, secret: &str) -> Got {
        self.ask_token_with(tenant, &[("client_id", client), ("client_secret", secret)]).await
    }

    /// Requests a token with these fields in addition to the usual ones; a later scope replaces the usual one.
    pub(super) async fn ask_token_with(&self, tenant: &str, fields: &[(&str, &str)]) -> Got {
        let scope = format!("{}/.default", self.emulator.url());
        let common = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
        let fields = common.iter().chain(fields);
        let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = self.emulator.url().join(&format!("{tenant}/oauth2/v2.0/token")).unwrap();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        read(request).await.unwrap()
    }

    /// A request to the Web API: a path behind `/api/data/v9.2/`, or a whole URL.
    pub(super) async fn get(&self, path: &str) -> Got {
        self.try_get(path, &[]).await.unwrap()
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.try_get(path, headers).await.unwrap()
    }

    pub(super) async fn try_get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Got, reqwest::Error> {
        let url = match path.starts_with("http://") {
            true => path.to_owned(),
            false => format!("{}api/data/v9.2/{path}", self.emulator.url()),
        };
        let mut request = self.client.get(url).header(AUTHORIZATION, format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request).await
    }

    /// A request with a body, to a path behind `/api/data/v9.2/`.
    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: String) -> Got {
        self.try_post(path, headers, body).await.unwrap()
    }

    pub(super) async fn try_post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Got, reqwest::Error> {
        let request = self.client.post(format!("{}api/data/v9.2/{path}", self.emulator.url())).body(body);
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// A request to Microsoft Graph: a path behind `/v1.0/`, or a whole URL.
    pub(super) async fn graph(&self, path: &str) -> Got {
        match path.starts_with("http://") {
            true => self.get(path).await,
            false => self.get(&format!("{}v1.0/{path}", self.emulator.url())).await,
        }
    }

    /// Follows links of Microsoft Graph to the end; returns every page's rows.
    pub(super) async fn graph_walk(&self, path: &str) -> Vec<Vec<Value>> {
        let mut next = Some(path.to_owned());
        let mut pages = Vec::new();
        while let Some(path) = next {
            let got = self.graph(&path).await;
            pages.push(got.rows());
            next = got.link();
            assert!(pages.len() < 10_000, "pages without end");
        }
        pages
    }

    /// Follows links to the end; returns every page's rows.
    pub(super) async fn walk(&self, path: &str, page_size: usize) -> Vec<Vec<Value>> {
        let prefer = format!("odata.maxpagesize={page_size}");
        let mut next = Some(path.to_owned());
        let mut pages = Vec::new();
        while let Some(path) = next {
            let got = self.get_with(&path, &[("prefer", &prefer)]).await;
            pages.push(got.rows());
            next = got.link();
            assert!(pages.len() < 10_000, "pages without end");
        }
        pages
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Got, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Got { status, headers, bytes: response.bytes().await?.to_vec() })
}

/// A scenario with this many generated events in two weeks.
pub(super) fn events(rows: usize) -> String {
    format!("[[table]]\nname = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 2\n")
}

/// A scenario with this many generated rows of every table.
pub(super) fn all(rows: usize) -> String {
    let table = |table: &copilot_lake_tables::Table| {
        format!("[[table]]\nname = \"{}\"\nrows = {rows}\nweeks = 2\n", table.name)
    };
    copilot_lake_tables::dataverse_tables().map(table).collect()
}

/// The path of a person's history.
pub(super) fn history(user: &str) -> String {
    format!("copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions")
}

/// The ids of everyone in the emulator's tenant.
pub(super) async fn people(world: &World) -> Vec<Value> {
    let got = world.get(&format!("{}_emulator/graph/users", world.emulator.url())).await;
    String::from_utf8(got.bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The ids of rows.
pub(super) fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["msdyn_copiloteventid"].as_str().unwrap().to_owned()).collect()
}
