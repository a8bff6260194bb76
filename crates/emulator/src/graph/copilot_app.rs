//! Application classes, and the mailbox folders in which the service keeps their interactions.

use self::ResponseStyle::{Card, Html, Meeting, Text};
use crate::data::random::{Random, mix};
use crate::scenario::graph::FOLDERS;

/// The style of an application's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CopilotApp {
    /// `appClass`.
    pub(crate) class: &'static str,
    /// What the responding application is called.
    pub(crate) name: &'static str,
    pub(crate) shape: ResponseStyle,
    /// The type of file that prompts are about.
    pub(crate) file: Option<&'static str>,
    /// Its weight by folder.
    often: [u32; 4],
}

const fn app(
    class: &'static str,
    name: &'static str,
    shape: ResponseStyle,
    file: Option<&'static str>,
    often: [u32; 4],
) -> CopilotApp {
    CopilotApp { class, name, shape, file, often }
}

/// The application of meetings.
pub(crate) static TEAMS: CopilotApp =
    app("IPM.SkypeTeams.Message.Copilot.Teams", "Copilot in Teams", Meeting, None, [24, 0, 0, 0]);

static APPS: [&CopilotApp; 15] = [
    &TEAMS,
    &app("IPM.SkypeTeams.Message.Copilot.BizChat", "Microsoft 365 Chat", Card, None, [40, 30, 0, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.Word", "Copilot in Word", Html, Some("docx"), [15, 10, 0, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.Excel", "Copilot in Excel", Html, Some("xlsx"), [10, 4, 0, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.PowerPoint", "Copilot in PowerPoint", Text, Some("pptx"), [4, 6, 0, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.Outlook", "Copilot in Outlook", Text, None, [5, 15, 0, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.WebChat", "Microsoft 365 Chat", Text, None, [0, 20, 10, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.Loop", "Copilot in Loop", Text, Some("loop"), [0, 3, 8, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.OneNote", "Copilot in OneNote", Html, None, [0, 3, 8, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.CoworkChat", "Copilot Cowork", Card, None, [0, 2, 12, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.SharePoint", "Copilot in SharePoint", Html, None, [0, 1, 8, 4]),
    &app("IPM.SkypeTeams.Message.Copilot.Whiteboard", "Copilot in Whiteboard", Text, None, [0, 1, 4, 0]),
    &app("IPM.SkypeTeams.Message.Copilot.ThirdPartyCopilot", "Travel agent", Text, None, [0, 2, 0, 12]),
    &app("IPM.SkypeTeams.Message.ConnectedAIApp.AzureAI.field-service", "field-service", Text, None, [0, 1, 0, 10]),
    &app(
        "IPM.SkypeTeams.Message.ConnectedAIApp.Entra.88888888-8888-8888-8888-888888888888",
        "Contract check",
        Text,
        None,
        [0, 1, 0, 6],
    ),
];

impl CopilotApp {
    /// Picks the application of a session in a folder.
    pub(crate) fn choose(random: &mut Random, folder: usize) -> &'static Self {
        APPS[random.index(APPS.iter().map(|app| app.often[folder]))]
    }

    /// The application of a class; an unknown class counts as a chat.
    pub(crate) fn by_class(class: &str) -> &'static Self {
        APPS.into_iter().find(|app| app.class.eq_ignore_ascii_case(class)).unwrap_or(APPS[6])
    }

    /// The folder with most of its interactions.
    pub(crate) fn folder(&self) -> usize {
        (0..FOLDERS.len()).max_by_key(|at| (self.often[*at], FOLDERS.len() - at)).unwrap_or(0)
    }

    pub(crate) fn conversation(&self) -> &'static str {
        if self.shape == Card { "bizchat" } else { "appchat" }
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
