//! What the benches measure with: real pages of the emulator, as the extractor gets them.

pub mod process;

use std::pin::pin;

use copilot_lake_decoder::decode_users;
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_extractor::{
    Auth, Credential, Dataverse, DataverseSettings, Graph, GraphSettings, HistoryQuery, Network, Page, Secret,
    Selection, Slice,
};
use copilot_lake_tables::{COPILOT_EVENT, Instant};
use futures::{Stream, TryStreamExt as _};

/// Starts an emulator inside this process.
///
/// # Panics
/// When it cannot be started.
pub async fn emulator(scenario: Scenario) -> Emulator {
    Emulator::start(([127, 0, 0, 1], 0).into(), scenario).await.expect("an emulator")
}

fn auth(emulator: &Emulator) -> Auth {
    Auth {
        authority: emulator.url(),
        tenant_id: TENANT_ID.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        credential: Credential::Secret(Secret::new(CLIENT_SECRET)),
    }
}

/// A client of the emulated environment, with pages of 5,000 rows.
///
/// # Panics
/// When it cannot be made.
pub fn dataverse(emulator: &Emulator) -> Dataverse {
    let settings = DataverseSettings {
        url: emulator.url(),
        auth: auth(emulator),
        more_identities: Vec::new(),
        network: Network::default(),
        page_size: 5_000,
    };
    Dataverse::new(settings).expect("settings that work")
}

/// The pages of all events.
///
/// # Panics
/// Never: the dates are dates.
pub fn event_pages(
    service: &Dataverse,
) -> impl Stream<Item = Result<Page, copilot_lake_extractor::Error>> + Send + use<> {
    let slice = Slice {
        table: &COPILOT_EVENT,
        scope: String::new(),
        time_column: "createdon",
        start: Instant::from_seconds(0),
        end: Instant::parse("2030-01-01").expect("a date"),
    };
    service.pages(&slice, &Selection::all(&COPILOT_EVENT))
}

/// Pages of 5,000 generated events in four weeks, about 1.2 KB of JSON each.
///
/// # Panics
/// When the emulator cannot be started or asked.
pub fn pages(rows: usize) -> Vec<Page> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let emulator = emulator(Scenario::rows(rows, 4)).await;
        let pages = event_pages(&dataverse(&emulator)).try_collect().await.expect("every page");
        emulator.stop().await;
        pages
    })
}

/// The histories of a tenant of so many users with so many interactions: each user's id, and the rows of each page.
///
/// # Panics
/// When the emulator cannot be started or asked.
pub fn histories(users: u32, interactions: u32) -> Vec<(String, Vec<Vec<u8>>)> {
    let scenario = format!(
        "seed = 7\n[graph]\nusers = {users}\ninteractions = {interactions}\nlicensed = 1.0\ndeleted = 0.0\n\
         late = {{ share = 0.0 }}\n"
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let emulator = emulator(Scenario::parse(&scenario).expect("a scenario")).await;
        let settings = GraphSettings {
            url: emulator.url(),
            version: "v1.0".to_owned(),
            auth: auth(&emulator),
            more_identities: Vec::new(),
            network: Network::default(),
            requests_per_second: 10_000.0,
            model: None,
        };
        let service = Graph::new(settings).expect("settings that work");
        let people: Vec<Page> = service.users().try_collect().await.expect("every user");
        let mut histories = Vec::new();
        for page in &people {
            let decoded = decode_users(page.rows(), Instant(0), |_| Instant(0)).expect("users");
            for user in decoded.users {
                let mut pages = pin!(service.history(&user.id, &HistoryQuery::default()));
                let mut rows = Vec::new();
                // Pages count against a budget until they are dropped.
                while let Some(page) = pages.try_next().await.expect("every page") {
                    rows.push(page.rows().to_vec());
                }
                histories.push((user.id, rows));
            }
        }
        emulator.stop().await;
        histories
    })
}
