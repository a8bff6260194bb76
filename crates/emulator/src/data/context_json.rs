//! The JSON text of `msdyn_interactioncontext`, in the variants seen in the service.

use crate::data::random::{guid_text, mix};
use crate::data::row_facts::{AVAILABLE, GENERATED, Identity, QUESTION, RowFacts};

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

/// The context of a row as JSON text.
pub(crate) fn context(facts: &RowFacts, chat: ChatReference) -> String {
    if facts.kind == AVAILABLE {
        return "{}".to_owned();
    }
    let mut random = facts.random(0x636F_6E74);
    let session = guid_text(mix(facts.session, 1));
    let embed = random.chance(150);
    let standalone = !embed && random.chance(80);
    if facts.kind != GENERATED {
        return format!(r#"{{"OcSessionId":"{session}","IsEmbed":{embed},"IsStandalone":{standalone}}}"#);
    }
    let status = random.weighted(&[(20_000, 955), (20_400, 15), (40_300, 15), (50_000, 15)]);
    let transcript = if chat == ChatReference::Absent {
        String::new()
    } else {
        let id = |identity: Identity| guid_text(identity.seed(facts));
        format!(r#""Transcript":{{"Id":"{}","DataId":"{}"}},"#, id(Identity::Transcript), id(Identity::Messages))
    };
    let asks = facts.scenario == QUESTION;
    let full = random.chance(500);
    if full {
        let state = random.weighted(&[("GENERATED", 94), ("CANCELLED", 4), ("FAILED", 2)]);
        let (category, sub) = random.weighted(&[
            (("KnowledgeSearch", "KnowledgeSearch"), 60),
            (("KnowledgeSearch", "SharePoint"), 15),
            (("CaseData", "Summary"), 15),
            (("Plugin", "CustomPlugin"), 10),
        ]);
        let auto = random.chance(300);
        let trigger = match auto {
            true => {
                random.weighted(&[(r#""follow-up-prompt""#, 7), (r#""customer-message""#, 2), (r#""case-open""#, 1)])
            }
            false => "null",
        };
        let redacted = random.chance(60);
        let expanded = random.chance(120);
        let suggested = !auto && random.chance(250);
        return format!(
            r#"{{"OcSessionId":"{session}","ResponseStatusCode":{status},"Plugins":{{"IsContentRedacted":{redacted}}},{transcript}"Filters":{{"AgentContextFilters":[],"AutomatedFilters":[]}},"Streaming":{{"State":"{state}"}},"ResponseSource":{{"category":"{category}","subCategory":"{sub}"}},"IsAutoPrompt":{auto},"AutoPromptTrigger":{trigger},"IsAutoExpanded":{expanded},"IsSuggestedPrompt":{suggested},"IsEmbed":{embed},"IsStandalone":{standalone}}}"#
        );
    }
    let filters = r#""Filters":{"AgentContextFilters":[],"DynamicFilters":{"IsApplied":false}}"#;
    match random.below(3) {
        variant if chat == ChatReference::Kept || (variant == 0 && asks) => {
            format!(r#"{{"ResponseStatusCode":{status},"Plugins":{{}},{transcript}{filters}}}"#)
        }
        0 => format!("{{{filters}}}"),
        _ => format!(
            r#"{{"OcSessionId":"{session}","ResponseStatusCode":{status},{filters},"IsEmbed":{embed},"IsStandalone":{standalone}}}"#
        ),
    }
}
