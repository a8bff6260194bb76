//! `emulator`: the emulated service alone.

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
    let text = format!(
        "the emulator listens at {url} until Ctrl-C; a copilot-lake.toml for it:\n\n\
         [auth]\nauthority = \"{url}\"\ntenant_id = \"{TENANT_ID}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = \"{CLIENT_SECRET}\"\n\n[dataverse]\nurl = \"{url}\"\n"
    );
    let mut fields = Map::new();
    for (name, value) in
        [("url", url), ("tenant_id", TENANT_ID), ("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]
    {
        fields.insert(name.to_owned(), json!(value));
    }
    if console.is_json() {
        console.event(Level::Info, "listening", "", fields);
    } else {
        text.lines().for_each(|line| console.info(line));
    }
    signals::stop_requested().await;
    emulator.stop().await;
    Ok(())
}
