//! Interactions as JSON.

use std::io::Write;

use copilot_lake_tables::Instant;
use serde_json::Value;

use crate::data::random::{Random, guid_text, mix};
use crate::data::representatives::Language;
use crate::graph::copilot_app::ResponseStyle;
use crate::graph::interaction::GeneratedInteraction;
use crate::graph::interaction_body::{Attached, card, cites, content, thread};
use crate::graph::phrases::{locale, title};
use crate::graph::tenant::Tenant;
use crate::identity::TENANT_ID;

/// The application id in all responses.
const COPILOT_APP: &str = "fb8d773d-7ef8-4ec0-a117-179f88add510";

/// What the addresses of meetings begin with.
const THREADS: &str = "https://microsoft.teams.com/threads/";

/// Appends a generated interaction.
pub(crate) fn write_generated(out: &mut Vec<u8>, tenant: &Tenant, made: &GeneratedInteraction) {
    let (body, random) = (content(made), &mut made.random(10));
    let GeneratedInteraction { ms, app, .. } = *made;
    let session = match made.session {
        0 => Value::Null,
        session => format!("19:{:016x}{:016x}_1@thread.v2", mix(session, 7), mix(session, 8)).into(),
    };
    let request = match random.below(100) {
        0 => ",\"requestId\":null".to_owned(),
        1 => String::new(),
        _ => format!(",\"requestId\":\"{}\"", guid_text(made.request)),
    };
    let kind = if made.response { "aiResponse" } else { "userPrompt" };
    // Writing to memory cannot fail.
    let _ = write!(out, r#"{{"id":"{ms}","sessionId":{session}{request},"appClass":"{}","#, app.class);
    let _ = write!(out, r#""interactionType":"{kind}","conversationType":"{}","etag":"{ms}","#, app.conversation());
    let locale = locale(Language::of(made.asker.into()));
    let _ = write!(out, r#""createdDateTime":"{}","locale":"{locale}","contexts":["#, created(made));
    let _ = write!(out, r#"{}],"from":{{"@odata.type":"#, contexts(made, random));
    let _ = write!(out, r##""#microsoft.graph.chatMessageFromIdentitySet",{}}},"##, from(tenant, made, random));
    let (text_kind, text) = (if body.html { "html" } else { "text" }, Value::from(body.text));
    let _ = write!(out, r#""body":{{"contentType":"{text_kind}","content":{text}}},"attachments":["#);
    let links = if matches!(body.attached, Attached::Card(_)) { links(made) } else { String::new() };
    let mention = if body.mentions { mention(tenant, made) } else { String::new() };
    let _ = write!(out, r#"{}],"links":[{links}],"mentions":[{mention}]"#, attachment(made, body.attached));
    // Undocumented properties.
    if random.chance(5) {
        let (label, tokens) = (guid_text(made.seed), random.below(4_000));
        let _ = write!(out, r#","sensitivityLabelId":"{label}","usage":{{"tokens":{tokens}}}"#);
    }
    out.push(b'}');
}

/// `createdDateTime` with as many digits as it needs.
fn created(made: &GeneratedInteraction) -> String {
    let second = Instant::from_seconds(made.ms.div_euclid(1_000)).to_string();
    let fraction = made.ms.rem_euclid(1_000) * 10_000 + i64::from(made.ticks);
    let fraction = format!(".{fraction:07}");
    format!("{}{}Z", second.trim_end_matches('Z'), fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// The contexts. Responses about meetings mostly have none.
fn contexts(made: &GeneratedInteraction, random: &mut Random) -> String {
    if made.app.shape == ResponseStyle::Meeting {
        if made.response && random.chance(600) {
            return String::new();
        }
        let (name, kind, thread) = ("Teams Meeting Copilot", "TeamsMeeting", thread(made));
        return format!(r#"{{"contextReference":"{THREADS}{thread}","displayName":"{name}","contextType":"{kind}"}}"#);
    }
    let Some(kind) = made.app.file else { return String::new() };
    // All of a session is about the same file.
    let mut random = Random::new(mix(made.session, 0x6669_6C65));
    let (file, title) = (random.next() as u32, title(&mut random));
    let url = format!("https://contoso.sharepoint.com/sites/Office/Documents/file-{file:08x}.{kind}");
    let name = Value::from(format!("{title}.{kind}"));
    format!(r#"{{"contextReference":"{url}","displayName":{name},"contextType":"{kind}"}}"#)
}

/// The author. Property order differs between prompts and responses, as in the service.
fn from(tenant: &Tenant, made: &GeneratedInteraction, random: &mut Random) -> String {
    let device = match random.below(1_000) {
        0..=39 => r#""Windows 11 desktop""#,
        40..=49 => r#"{"id":null,"displayName":"iPhone"}"#,
        _ => "null",
    };
    if !made.response {
        return format!(r#""application":null,"device":{device},"user":{}"#, user(tenant, made.asker, None));
    }
    let application = format!(
        r##"{{"@odata.type":"#microsoft.graph.teamworkApplicationIdentity","id":"{COPILOT_APP}","displayName":"{}","##,
        made.app.name
    );
    format!(r#""device":{device},"user":null,"application":{application}"applicationIdentityType":"bot"}}"#)
}

/// A user's identity; without a name it is the address in Teams.
fn user(tenant: &Tenant, user: u32, name: Option<&str>) -> String {
    let Some(person) = tenant.people.get(user as usize) else { return "null".to_owned() };
    let id = person.id();
    let name = Value::from(name.map_or_else(|| format!("8:orgid:{id}"), str::to_owned));
    format!(
        r##"{{"@odata.type":"#microsoft.graph.teamworkUserIdentity","id":"{id}","displayName":{name},{}"##,
        format_args!(r#""userIdentityType":"aadUser","tenantId":"{TENANT_ID}"}}"#)
    )
}

fn attachment(made: &GeneratedInteraction, attached: Attached) -> String {
    let id = attached.id(made);
    match attached {
        Attached::Nothing => String::new(),
        Attached::Meeting => {
            let rest = format!(r#""contentUrl":"{THREADS}{id}","content":null,"name":"Teams Meeting Copilot"}}"#);
            format!(r#"{{"attachmentId":"{id}","contentType":"reference",{rest}"#)
        }
        Attached::Card(_) => {
            let kind = "application/vnd.microsoft.card.adaptive";
            let card = Value::from(card(made));
            format!(
                r#"{{"attachmentId":"{id}","contentType":"{kind}","contentUrl":null,"content":{card},"name":null}}"#
            )
        }
    }
}

fn mention(tenant: &Tenant, made: &GeneratedInteraction) -> String {
    let name = "Priya Müller";
    let user = user(tenant, made.asker / 2, Some(name));
    let kind = "#microsoft.graph.aiInteractionMentionedIdentitySet";
    let identity = format!(r#""application":null,"device":null,"user":{user},"conversation":null,"tag":null"#);
    format!(r#"{{"mentionId":0,"mentionText":"{name}","mentioned":{{"@odata.type":"{kind}",{identity}}}}}"#)
}

/// The citations: meetings twice, as an event and as a meeting.
fn links(made: &GeneratedInteraction) -> String {
    let mut links = Vec::new();
    for cite in cites(made) {
        let kinds: &[&str] = if cite.meeting { &["Event", "Meeting"] } else { &["File"] };
        for kind in kinds {
            let id = match *kind {
                "Meeting" => String::new(),
                _ => format!("&EntityRepresentationId={}", guid_text(cite.seed)),
            };
            let title = Value::from(cite.title.as_str());
            links.push(format!(r#"{{"linkUrl":"{}{id}","displayName":{title},"linkType":"{kind}"}}"#, cite.url));
        }
    }
    links.join(",")
}
