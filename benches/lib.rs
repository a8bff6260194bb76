//! What the benches measure with: real pages of the emulator, as the extractor gets them.

pub mod process;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_extractor::{Auth, Credential, Dataverse, DataverseSettings, Network, Page, Secret, Selection, Slice};
use copilot_lake_tables::{COPILOT_EVENT, Instant};
use futures::TryStreamExt as _;

/// Pages of 5,000 generated events, about 1.2 KB of JSON each.
///
/// # Panics
/// When the emulator cannot be started or asked.
pub fn pages(rows: usize) -> Vec<Page> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), Scenario::rows(rows, 4)).await.expect("an emulator");
        let auth = Auth {
            authority: emulator.url(),
            tenant_id: TENANT_ID.to_owned(),
            client_id: CLIENT_ID.to_owned(),
            credential: Credential::Secret(Secret::new(CLIENT_SECRET)),
        };
        let settings = DataverseSettings {
            url: emulator.url(),
            auth,
            more_identities: Vec::new(),
            network: Network::default(),
            page_size: 5_000,
        };
        let service = Dataverse::new(settings).expect("settings that work");
        let slice = Slice {
            table: &COPILOT_EVENT,
            scope: String::new(),
            time_column: "createdon",
            start: Instant::from_seconds(0),
            end: Instant::parse("2030-01-01").expect("a date"),
        };
        let pages = service.pages(&slice, &Selection::all(&COPILOT_EVENT)).try_collect().await.expect("every page");
        emulator.stop().await;
        pages
    })
}
