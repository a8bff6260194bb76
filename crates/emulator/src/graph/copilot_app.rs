//! Application classes (`templates/apps.toml`), and the mailbox folders in which the service keeps their interactions.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::{Random, mix};
use crate::data::template::parse;
use crate::scenario::graph::FOLDERS;

/// The style of an application's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResponseStyle {
    /// Text about a meeting, with a placeholder for it.
    Meeting,
    /// An adaptive card.
    Card,
    /// HTML.
    Html,
    /// Text, mostly Markdown.
    Text,
}

/// An application class.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct CopilotApp {
    /// `appClass`.
    pub(crate) class: String,
    /// What the responding application is called.
    pub(crate) name: String,
    pub(crate) style: ResponseStyle,
    /// The type of file that prompts are about.
    pub(crate) file: Option<String>,
    /// Its weight by folder.
    folders: [u32; FOLDERS.len()],
}

#[derive(Debug, Deserialize)]
struct CopilotApps {
    app: Vec<CopilotApp>,
}

static APPS: LazyLock<Vec<CopilotApp>> =
    LazyLock::new(|| parse::<CopilotApps>("apps.toml", include_str!("../../templates/apps.toml")).app);

impl CopilotApp {
    /// The application of meetings.
    pub(crate) fn of_meetings() -> &'static Self {
        &APPS[0]
    }

    /// Picks the application of a session in a folder.
    pub(crate) fn choose(random: &mut Random, folder: usize) -> &'static Self {
        &APPS[random.index(APPS.iter().map(|app| app.folders[folder]))]
    }

    /// The application of a class; an unknown class counts as a chat.
    pub(crate) fn by_class(class: &str) -> &'static Self {
        const CHAT: &str = "IPM.SkypeTeams.Message.Copilot.WebChat";
        let named = |class: &str| APPS.iter().find(|app| app.class.eq_ignore_ascii_case(class));
        named(class).or_else(|| named(CHAT)).unwrap_or(&APPS[0])
    }

    /// The folder with most of its interactions.
    pub(crate) fn folder(&self) -> usize {
        (0..FOLDERS.len()).max_by_key(|at| (self.folders[*at], FOLDERS.len() - at)).unwrap_or(0)
    }

    pub(crate) fn conversation(&self) -> &'static str {
        if self.style == ResponseStyle::Card { "bizchat" } else { "appchat" }
    }
}

/// How many of a user's `rows` interactions are in a folder.
pub(crate) fn share(rows: u32, seed: u64, folder: usize, folders: usize) -> u32 {
    let last = folders - 1;
    match mix(seed, 0x666F_6C64) % 16 {
        // Some have nothing in the first folder, some nothing in the others.
        0 => rows * u32::from(folder == last),
        1 => rows * u32::from(folder == 0),
        _ => {
            let part = |folder: usize| (u64::from(rows) * [0, 25, 8, 4][folder] / 100) as u32;
            if folder == 0 { rows - (1..folders).map(part).sum::<u32>() } else { part(folder) }
        }
    }
}
