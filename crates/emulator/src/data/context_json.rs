//! The JSON text of `msdyn_interactioncontext`, in the variants seen in the service: `templates/context.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::data::random::mix;
use crate::data::row_facts::{AVAILABLE, GENERATED, Identity, QUESTION, RowFacts};
use crate::data::template::{SeededGuid, Template, TemplateValues, Weighted, parse};

/// Whether a response names the chat that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatReference {
    /// Unknown whether there is one: some variants name it.
    Unknown,
    /// It exists and is named.
    Kept,
    /// It does not exist.
    Absent,
}

#[derive(Debug, Deserialize)]
struct ContextTemplates {
    status: Weighted<String>,
    state: Weighted<String>,
    source: Weighted<String>,
    trigger: Weighted<String>,
    transcript: Template,
    feedback: Template,
    full: Template,
    chat: Template,
    filters: Template,
    session: Template,
}

static TEMPLATES: LazyLock<ContextTemplates> =
    LazyLock::new(|| parse("context.toml", include_str!("../../templates/context.toml")));

/// The context of a row as JSON text.
pub(crate) fn context(facts: &RowFacts, chat: ChatReference) -> String {
    if facts.kind == AVAILABLE {
        return "{}".to_owned();
    }
    let mut random = facts.random(0x636F_6E74);
    let session = SeededGuid(mix(facts.session, 1));
    let embed = random.chance(150);
    let standalone = !embed && random.chance(80);
    if facts.kind != GENERATED {
        let values: TemplateValues<'_> = &[("session", &session), ("embed", &embed), ("standalone", &standalone)];
        return TEMPLATES.feedback.text(values);
    }
    let status = TEMPLATES.status.pick(&mut random);
    let id = |identity: Identity| SeededGuid(identity.seed(facts));
    let transcript = match chat {
        ChatReference::Absent => String::new(),
        ChatReference::Unknown | ChatReference::Kept => {
            TEMPLATES.transcript.text(&[("chat", &id(Identity::Transcript)), ("messages", &id(Identity::Messages))])
        }
    };
    if random.chance(500) {
        let state = TEMPLATES.state.pick(&mut random);
        let source = TEMPLATES.source.pick(&mut random);
        let auto = random.chance(300);
        let trigger = if auto { TEMPLATES.trigger.pick(&mut random).as_str() } else { "null" };
        let redacted = random.chance(60);
        let expanded = random.chance(120);
        let suggested = !auto && random.chance(250);
        let values: TemplateValues<'_> = &[
            ("session", &session),
            ("status", status),
            ("redacted", &redacted),
            ("transcript", &transcript),
            ("state", state),
            ("source", source),
            ("auto", &auto),
            ("trigger", &trigger),
            ("expanded", &expanded),
            ("suggested", &suggested),
            ("embed", &embed),
            ("standalone", &standalone),
        ];
        return TEMPLATES.full.text(values);
    }
    let variant = match random.below(3) {
        _ if chat == ChatReference::Kept => &TEMPLATES.chat,
        0 if facts.scenario == QUESTION => &TEMPLATES.chat,
        0 => &TEMPLATES.filters,
        _ => &TEMPLATES.session,
    };
    let values: TemplateValues<'_> = &[
        ("session", &session),
        ("status", status),
        ("transcript", &transcript),
        ("embed", &embed),
        ("standalone", &standalone),
    ];
    variant.text(values)
}
