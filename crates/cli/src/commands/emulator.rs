//! `emulator`: the emulated service alone.

use std::io::Write as _;

use anyhow::Result;
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use serde_json::{Map, json};

use crate::args::EmulatorArgs;
use crate::output::console::{Console, Level};
use crate::problem::usage;
use crate::signals;

/// Runs `emulator` until a signal ends it.
pub(crate) async fn run_emulator(args: EmulatorArgs, console: &Console) -> Result<()> {
    let scenario = match &args.scenario {
        Some(path) => Scenario::load(path)?,
        None => Scenario::demo(),
    };
    if !args.listen.ip().is_loopback() {
        return Err(usage(format!("the emulator listens on this machine only, not on `{}`", args.listen.ip()))
            .hint("as in `--listen 127.0.0.1:8400`")
            .into());
    }
    let emulator = Emulator::start(args.listen, scenario).await?;
    let url = emulator.url();
    let url = url.as_str().trim_end_matches('/');
    // On stdout, so that it can be redirected into a file.
    let configuration = format!(
        "[auth]\nauthority = \"{url}\"\ntenant_id = \"{TENANT_ID}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = \"{CLIENT_SECRET}\"\n\n[dataverse]\nurl = \"{url}\"\n\n\
         [graph]\nurl = \"{url}\"\nusers = [\"licensed\"]\nsince = \"90d\"\n"
    );
    let mut fields = Map::new();
    for (name, value) in
        [("url", url), ("tenant_id", TENANT_ID), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]
    {
        fields.insert(name.to_owned(), json!(value));
    }
    let text = format!("the emulator listens at {url} until Ctrl-C; stdout has a copilot-lake.toml for it");
    console.event(Level::Info, "listening", &text, fields);
    if !console.is_json() {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(configuration.as_bytes())?;
        stdout.flush()?;
    }
    signals::stop_requested().await;
    emulator.stop().await;
    Ok(())
}
