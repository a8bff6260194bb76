//! Interactions as JSON: `templates/interaction.toml`.

use std::sync::LazyLock;

use copilot_lake_tables::Instant;
use serde::Deserialize;

use crate::data::random::{Random, guid_text, mix};
use crate::data::representatives::PEOPLE;
use crate::data::template::{QuotedText, SeededGuid, Template, TemplateValues, Weighted, parse};
use crate::data::texts::{GRAPH, Language};
use crate::graph::copilot_app::ResponseStyle;
use crate::graph::interaction::GeneratedInteraction;
use crate::graph::interaction_body::{Attached, card, cites, content, digits, thread};
use crate::graph::tenant::Tenant;
use crate::identity::TENANT_ID;

#[derive(Debug, Deserialize)]
struct InteractionTemplates {
    request: Weighted<Template>,
    device: Weighted<String>,
    interaction: Template,
    session: Template,
    undocumented: Template,
    from_user: Template,
    from_copilot: Template,
    user: Template,
    meeting_context: Template,
    file_context: Template,
    meeting_attachment: Template,
    card_attachment: Template,
    mention: Template,
    link: Template,
}

static TEMPLATES: LazyLock<InteractionTemplates> =
    LazyLock::new(|| parse("interaction.toml", include_str!("../../templates/interaction.toml")));

/// Appends a generated interaction.
pub(crate) fn write_generated(out: &mut Vec<u8>, tenant: &Tenant, made: &GeneratedInteraction) {
    let (body, random) = (content(made), &mut made.random(10));
    let session = match made.session {
        0 => "null".to_owned(),
        session => TEMPLATES.session.text(&[("id", &digits(session, 7))]),
    };
    let mention = || {
        let (name, user) = (&PEOPLE.mentioned, user(tenant, made.asker / 2, Some(&PEOPLE.mentioned)));
        TEMPLATES.mention.text(&[("name", name), ("user", &user)])
    };
    let values: TemplateValues<'_> = &[
        ("id", &made.ms),
        ("session", &session),
        ("request", &TEMPLATES.request.pick(random).text(&[("id", &SeededGuid(made.request))])),
        ("class", &made.app.class),
        ("type", if made.response { &"aiResponse" } else { &"userPrompt" }),
        ("conversation", &made.app.conversation()),
        ("created", &created(made)),
        ("locale", &Language::of(made.asker.into()).locale()),
        ("contexts", &contexts(made, random)),
        ("from", &from(tenant, made, random)),
        ("content_type", if body.html { &"html" } else { &"text" }),
        ("content", &QuotedText(&body.text)),
        ("attachments", &attachment(made, body.attached)),
        ("links", &if matches!(body.attached, Attached::Card(_)) { links(made) } else { String::new() }),
        ("mentions", &if body.mentions { mention() } else { String::new() }),
        ("undocumented", &undocumented(made, random)),
    ];
    TEMPLATES.interaction.fill(out, values);
}

/// Undocumented properties.
fn undocumented(made: &GeneratedInteraction, random: &mut Random) -> String {
    match random.chance(5) {
        true => {
            let tokens = random.below(4_000) as i64;
            TEMPLATES.undocumented.text(&[("label", &SeededGuid(made.seed)), ("tokens", &tokens)])
        }
        false => String::new(),
    }
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
    if made.app.style == ResponseStyle::Meeting {
        if made.response && random.chance(600) {
            return String::new();
        }
        return TEMPLATES.meeting_context.text(&[("thread", &thread(made))]);
    }
    let Some(kind) = &made.app.file else { return String::new() };
    // All of a session is about the same file.
    let mut random = Random::new(mix(made.session, 0x6669_6C65));
    let file = format!("{:08x}", random.next() as u32);
    let name = format!("{}.{kind}", random.pick(&GRAPH.titles));
    TEMPLATES.file_context.text(&[("file", &file), ("type", kind), ("name", &QuotedText(&name))])
}

/// The author. Property order differs between prompts and responses, as in the service.
fn from(tenant: &Tenant, made: &GeneratedInteraction, random: &mut Random) -> String {
    let device = TEMPLATES.device.pick(random);
    match made.response {
        true => TEMPLATES.from_copilot.text(&[("device", device), ("app", &made.app.name)]),
        false => TEMPLATES.from_user.text(&[("device", device), ("user", &user(tenant, made.asker, None))]),
    }
}

/// A user's identity; without a name it is the address in Teams.
fn user(tenant: &Tenant, user: u32, name: Option<&str>) -> String {
    let Some(person) = tenant.people.get(user as usize) else { return "null".to_owned() };
    let id = person.id();
    let name = name.map_or_else(|| format!("8:orgid:{id}"), str::to_owned);
    TEMPLATES.user.text(&[("id", &id), ("name", &QuotedText(&name)), ("tenant", &TENANT_ID)])
}

fn attachment(made: &GeneratedInteraction, attached: Attached) -> String {
    let id = attached.id(made);
    match attached {
        Attached::Nothing => String::new(),
        Attached::Meeting => TEMPLATES.meeting_attachment.text(&[("id", &id)]),
        Attached::Card(_) => TEMPLATES.card_attachment.text(&[("id", &id), ("card", &QuotedText(&card(made)))]),
    }
}

/// The citations: meetings twice, as an event and as a meeting.
fn links(made: &GeneratedInteraction) -> String {
    let mut links = Vec::new();
    for cite in cites(made) {
        let kinds: &[&str] = if cite.meeting { &["Event", "Meeting"] } else { &["File"] };
        for kind in kinds {
            let url = match *kind {
                "Meeting" => cite.url.clone(),
                _ => format!("{}&EntityRepresentationId={}", cite.url, guid_text(cite.seed)),
            };
            links.push(TEMPLATES.link.text(&[("url", &url), ("title", &QuotedText(cite.title)), ("type", kind)]));
        }
    }
    links.join(",")
}
