//! Interactions as JSON.

use crate::data::dates::Dates;
use crate::data::json::{number, quote, quoted_guid, string};
use crate::data::random::{Random, guid, mix};
use crate::graph::copilot_app::ResponseStyle;
use crate::graph::generated_interaction::GeneratedInteraction;
use crate::graph::interaction_body::{self, Attached, Body, card, card_id, cites};
use crate::graph::phrases::{language, locale, title};
use crate::graph::tenant::Tenant;
use crate::identity::TENANT_ID;

/// The application id in all responses.
const COPILOT_APP: &[u8] = b"fb8d773d-7ef8-4ec0-a117-179f88add510";

/// Renders interactions, reusing its buffers.
pub(crate) struct InteractionRenderer<'a> {
    tenant: &'a Tenant,
    dates: Dates,
    content: String,
    text: String,
    card: Vec<u8>,
}

impl<'a> InteractionRenderer<'a> {
    pub(crate) fn new(tenant: &'a Tenant) -> Self {
        let (content, text, card) = (String::new(), String::new(), Vec::new());
        Self { tenant, dates: Dates::default(), content, text, card }
    }

    /// The content of a generated interaction's body.
    pub(crate) fn content(&mut self, made: &GeneratedInteraction) -> &str {
        self.content.clear();
        interaction_body::content(&mut self.content, made);
        &self.content
    }

    /// Appends `createdDateTime` with as many digits as it needs.
    pub(crate) fn created(&mut self, out: &mut Vec<u8>, made: &GeneratedInteraction) {
        self.dates.instant(out, made.ms.div_euclid(1_000));
        let fraction = made.ms.rem_euclid(1_000) * 10_000 + i64::from(made.ticks);
        if fraction > 0 {
            let digits = format!("{fraction:07}");
            out.pop();
            out.push(b'.');
            out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
            out.push(b'Z');
        }
    }

    /// Appends a generated interaction.
    pub(crate) fn made(&mut self, out: &mut Vec<u8>, made: &GeneratedInteraction) {
        self.content.clear();
        let body = interaction_body::content(&mut self.content, made);
        let mut random = made.random(10);
        out.extend_from_slice(b"{\"id\":\"");
        number(out, made.ms);
        out.extend_from_slice(b"\",\"sessionId\":");
        match made.session {
            0 => out.extend_from_slice(b"null"),
            session => {
                out.push(b'"');
                session_id(out, session);
                out.push(b'"');
            }
        }
        match random.below(100) {
            0 => out.extend_from_slice(b",\"requestId\":null"),
            1 => {}
            _ => {
                out.extend_from_slice(b",\"requestId\":");
                quoted_guid(out, made.request);
            }
        }
        field(out, "appClass", made.app.class);
        field(out, "interactionType", if made.response { "aiResponse" } else { "userPrompt" });
        field(out, "conversationType", made.app.conversation());
        out.extend_from_slice(b",\"etag\":\"");
        number(out, made.ms);
        out.extend_from_slice(b"\",\"createdDateTime\":\"");
        self.created(out, made);
        out.push(b'"');
        field(out, "locale", locale(language(made.asker)));
        out.extend_from_slice(b",\"contexts\":[");
        self.contexts(out, made, &mut random);
        out.extend_from_slice(b"],\"from\":{\"@odata.type\":\"#microsoft.graph.chatMessageFromIdentitySet\",");
        self.from(out, made, &mut random);
        out.extend_from_slice(b"},\"body\":{\"contentType\":");
        out.extend_from_slice(if body.html { b"\"html\"" } else { b"\"text\"" });
        out.extend_from_slice(b",\"content\":");
        string(out, &self.content);
        out.extend_from_slice(b"},\"attachments\":[");
        self.attachment(out, made, body.attached);
        out.extend_from_slice(b"],\"links\":[");
        if matches!(body.attached, Attached::Card(_)) {
            links(out, made);
        }
        out.extend_from_slice(b"],\"mentions\":[");
        self.mention(out, made, body);
        out.push(b']');
        // Undocumented properties.
        if random.chance(5) {
            out.extend_from_slice(b",\"sensitivityLabelId\":");
            quoted_guid(out, made.seed);
            out.extend_from_slice(b",\"usage\":{\"tokens\":");
            number(out, random.below(4_000) as i64);
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// Appends the contexts. Responses about meetings mostly have none.
    fn contexts(&mut self, out: &mut Vec<u8>, made: &GeneratedInteraction, random: &mut Random) {
        if made.app.shape == ResponseStyle::Meeting {
            if made.response && random.chance(600) {
                return;
            }
            out.extend_from_slice(b"{\"contextReference\":\"https://microsoft.teams.com/threads/");
            self.thread(out, made);
            out.extend_from_slice(b"\",\"displayName\":\"Teams Meeting Copilot\",\"contextType\":\"TeamsMeeting\"}");
            return;
        }
        let Some(kind) = made.app.file else { return };
        // All of a session is about the same file.
        let mut random = Random::new(mix(made.session, 0x6669_6C65));
        let (file, title) = (random.next() as u32, title(&mut random));
        let url = format!("https://contoso.sharepoint.com/sites/Office/Documents/file-{file:08x}.{kind}");
        out.extend_from_slice(b"{\"contextReference\":");
        quote(out, url.as_bytes());
        out.extend_from_slice(b",\"displayName\":");
        string(out, &format!("{title}.{kind}"));
        field(out, "contextType", kind);
        out.push(b'}');
    }

    fn thread(&mut self, out: &mut Vec<u8>, made: &GeneratedInteraction) {
        self.text.clear();
        interaction_body::thread(&mut self.text, made);
        out.extend_from_slice(self.text.as_bytes());
    }

    /// Appends the author. Property order differs between prompts and responses, as in the service.
    fn from(&self, out: &mut Vec<u8>, made: &GeneratedInteraction, random: &mut Random) {
        let device: &[u8] = match random.below(1_000) {
            0..=39 => b"\"Windows 11 desktop\"",
            40..=49 => b"{\"id\":null,\"displayName\":\"iPhone\"}",
            _ => b"null",
        };
        if made.response {
            out.extend_from_slice(b"\"device\":");
            out.extend_from_slice(device);
            out.extend_from_slice(b",\"user\":null,\"application\":{");
            out.extend_from_slice(b"\"@odata.type\":\"#microsoft.graph.teamworkApplicationIdentity\",\"id\":");
            quote(out, COPILOT_APP);
            field(out, "displayName", made.app.name);
            out.extend_from_slice(b",\"applicationIdentityType\":\"bot\"}");
            return;
        }
        out.extend_from_slice(b"\"application\":null,\"device\":");
        out.extend_from_slice(device);
        out.extend_from_slice(b",\"user\":");
        self.user(out, made.asker, None);
    }

    /// Appends a user's identity; without a name it is the address in Teams.
    fn user(&self, out: &mut Vec<u8>, user: u32, name: Option<&str>) {
        let Some(person) = self.tenant.people.get(user as usize) else {
            out.extend_from_slice(b"null");
            return;
        };
        out.extend_from_slice(b"{\"@odata.type\":\"#microsoft.graph.teamworkUserIdentity\",\"id\":\"");
        person.write_id(out);
        out.extend_from_slice(b"\",\"displayName\":");
        match name {
            Some(name) => string(out, name),
            None => {
                out.extend_from_slice(b"\"8:orgid:");
                person.write_id(out);
                out.push(b'"');
            }
        }
        out.extend_from_slice(b",\"userIdentityType\":\"aadUser\",\"tenantId\":");
        quote(out, TENANT_ID.as_bytes());
        out.push(b'}');
    }

    fn attachment(&mut self, out: &mut Vec<u8>, made: &GeneratedInteraction, attached: Attached) {
        match attached {
            Attached::Nothing => {}
            Attached::Meeting => {
                out.extend_from_slice(b"{\"attachmentId\":\"");
                self.thread(out, made);
                out.extend_from_slice(b"\",\"contentType\":\"reference\",\"contentUrl\":\"");
                out.extend_from_slice(b"https://microsoft.teams.com/threads/");
                self.thread(out, made);
                out.extend_from_slice(b"\",\"content\":null,\"name\":\"Teams Meeting Copilot\"}");
            }
            Attached::Card(seed) => {
                out.extend_from_slice(b"{\"attachmentId\":\"");
                self.text.clear();
                card_id(&mut self.text, seed);
                out.extend_from_slice(self.text.as_bytes());
                out.extend_from_slice(b"\",\"contentType\":\"application/vnd.microsoft.card.adaptive\",");
                out.extend_from_slice(b"\"contentUrl\":null,\"content\":");
                self.card.clear();
                card(&mut self.card, made);
                string(out, std::str::from_utf8(&self.card).unwrap_or_default());
                out.extend_from_slice(b",\"name\":null}");
            }
        }
    }

    fn mention(&self, out: &mut Vec<u8>, made: &GeneratedInteraction, body: Body) {
        if !body.mentions {
            return;
        }
        out.extend_from_slice(b"{\"mentionId\":0,\"mentionText\":\"Priya M\xC3\xBCller\",\"mentioned\":{");
        out.extend_from_slice(b"\"@odata.type\":\"#microsoft.graph.aiInteractionMentionedIdentitySet\",");
        out.extend_from_slice(b"\"application\":null,\"device\":null,\"user\":");
        self.user(out, made.asker / 2, Some("Priya Müller"));
        out.extend_from_slice(b",\"conversation\":null,\"tag\":null}}");
    }
}

/// Appends a session's id.
pub(crate) fn session_id(out: &mut Vec<u8>, session: u64) {
    out.extend_from_slice(format!("19:{:016x}{:016x}_1@thread.v2", mix(session, 7), mix(session, 8)).as_bytes());
}

/// Appends a further property, whose value needs no escapes.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    quote(out, value.as_bytes());
}

/// Appends the citations: meetings twice, as an event and as a meeting.
fn links(out: &mut Vec<u8>, made: &GeneratedInteraction) {
    let mut first = true;
    for cite in cites(made) {
        let kinds: &[&str] = if cite.meeting { &["Event", "Meeting"] } else { &["File"] };
        for kind in kinds {
            out.extend_from_slice(if first { b"{\"linkUrl\":\"" } else { b",{\"linkUrl\":\"" });
            first = false;
            out.extend_from_slice(cite.url.as_bytes());
            if *kind != "Meeting" {
                out.extend_from_slice(b"&EntityRepresentationId=");
                guid(out, cite.seed);
            }
            out.extend_from_slice(b"\",\"displayName\":");
            string(out, &cite.title);
            field(out, "linkType", kind);
            out.push(b'}');
        }
    }
}
