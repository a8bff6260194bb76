//! What a tenant has now, for those who compare.

use std::collections::BTreeMap;

use bytes::Bytes;
use copilot_lake_tables::Instant;
use serde::Serialize;
use serde_json::json;

use crate::data::json::number;
use crate::data::json_fields::Fields;
use crate::graph::history_cursor::{Found, Present, Walk};
use crate::graph::history_filter::HistoryFilter;
use crate::graph::interaction_json::{Renderer, session_id};
use crate::graph::service::Graph;
use crate::graph::tenant::Tenant;
use crate::http::response::Answer;

/// What of Microsoft Graph exists, and what of it was sent until now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GraphServed {
    /// People who are there now.
    pub users: u64,
    /// Those of them who have the licence that histories require.
    pub licensed: u64,
    /// Interactions that can be read now, those of meetings once for everyone who was there.
    pub interactions: u64,
    /// Rows in answers by the kind of the request, repeated ones counted each time.
    pub rows: BTreeMap<&'static str, u64>,
    /// People whose history was sent, at least a page of it.
    pub histories: u64,
    /// Requests for histories that were refused because there were too many.
    pub throttled: u64,
    /// Requests for somebody's history while another one for it was under way. Clients keep this at 0.
    pub at_once: u64,
    /// Links of histories that did not come back as they were sent.
    pub links_altered: u64,
}

/// An interaction that can be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction<'a> {
    /// In whose history it is.
    pub user_id: &'a str,
    /// Empty when it has none.
    pub session_id: &'a str,
    /// Its id, unique within a session of a user.
    pub id: &'a str,
    /// `createdDateTime` as it is sent.
    pub created: &'a str,
    /// `userPrompt` or `aiResponse`.
    pub interaction_type: &'a str,
    /// `appClass`.
    pub app_class: &'a str,
    /// The content of its body; empty when it has none.
    pub body: &'a str,
}

impl Interaction<'_> {
    /// FNV-1a of the body, of 64 bits.
    pub fn body_hash(&self) -> u64 {
        self.body.bytes().fold(0xCBF2_9CE4_8422_2325, |n, c| (n ^ u64::from(c)).wrapping_mul(0x0000_0100_0000_01B3))
    }

    fn write(&self, out: &mut Vec<u8>) {
        for part in [self.user_id, self.session_id, self.id, self.created, self.interaction_type, self.app_class] {
            out.extend_from_slice(part.as_bytes());
            out.push(b'\t');
        }
        out.extend_from_slice(format!("{:016x}\n", self.body_hash()).as_bytes());
    }
}

/// Calls for every interaction of a person that can be read now, in the order in which pages have them.
pub(crate) fn interactions(tenant: &Tenant, user: u32, present: Present, each: &mut dyn FnMut(&Interaction<'_>)) {
    let id = tenant.people[user as usize].id();
    let mut renderer = Renderer::new(tenant);
    let (mut session, mut number_text, mut created) = (Vec::new(), Vec::new(), Vec::new());
    for folder in 0..tenant.folders {
        for found in Walk::new(tenant, user, folder, &HistoryFilter::ALL, present) {
            match found {
                Found::Made(made) => {
                    session.clear();
                    if made.session > 0 {
                        session_id(&mut session, made.session);
                    }
                    number_text.clear();
                    number(&mut number_text, made.ms);
                    created.clear();
                    renderer.created(&mut created, &made);
                    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
                    each(&Interaction {
                        user_id: &id,
                        session_id: text(&session),
                        id: text(&number_text),
                        created: text(&created),
                        interaction_type: if made.response { "aiResponse" } else { "userPrompt" },
                        app_class: made.app.class,
                        body: renderer.content(&made),
                    });
                }
                Found::Spelled(spelled) => {
                    let Ok(fields) = Fields::read(&spelled.json) else { continue };
                    let text = |name: &str| fields.text(name).unwrap_or_default();
                    let body = fields.raw("body").and_then(|body| Fields::read(body.as_bytes()).ok());
                    let body = body.as_ref().and_then(|body| body.text("content")).unwrap_or_default();
                    each(&Interaction {
                        user_id: &id,
                        session_id: &text("sessionId"),
                        id: &text("id"),
                        created: &text("createdDateTime"),
                        interaction_type: &text("interactionType"),
                        app_class: &text("appClass"),
                        body: &body,
                    });
                }
            }
        }
    }
}

impl Graph {
    /// Every interaction that can be read now, a line each.
    pub(crate) fn interaction_lines(&self, now: Instant) -> Answer {
        let (tenant, present) = (self.tenant(), self.present(now));
        let mut user = 0;
        Answer::lines(move || {
            let mut lines = Vec::new();
            while lines.len() < 65_536 && (user as usize) < tenant.people.len() {
                interactions(&tenant, user, present, &mut |interaction| interaction.write(&mut lines));
                user += 1;
            }
            (!lines.is_empty()).then(|| Bytes::from(lines))
        })
    }

    /// Everyone who is or was there, a JSON object per line.
    pub(crate) fn user_lines(&self) -> Answer {
        let tenant = self.tenant();
        let groups: Vec<_> = tenant.group_ids().map(|id| (id.to_owned(), tenant.members(id))).collect();
        let mut at = 0;
        Answer::lines(move || {
            let person = tenant.people.get(at as usize)?;
            let member = |members: &Option<_>| {
                members.as_ref().is_some_and(|members: &std::collections::BTreeSet<u32>| members.contains(&at))
            };
            let groups = groups.iter().filter(|(_, members)| member(members)).map(|(id, _)| id);
            let line = json!({
                "id": person.id(),
                "userPrincipalName": person.principal_name(at),
                "enabled": person.enabled,
                "licensed": person.licensed(),
                "deleted": person.deleted.map(|at| at.to_string()),
                "groups": groups.collect::<Vec<_>>(),
            });
            at += 1;
            Some(Bytes::from(format!("{line}\n")))
        })
    }

    pub(crate) fn served(&self, now: Instant) -> GraphServed {
        let tenant = self.tenant();
        let there = || tenant.people.iter().filter(|person| person.deleted.is_none());
        let known = self.counts().interactions.filter(|(at, _)| *at == now.0);
        let interactions = known.map_or_else(|| count(&tenant, self.present(now)), |(_, count)| count);
        let mut counts = self.counts();
        counts.interactions = Some((now.0, interactions));
        GraphServed {
            users: there().count() as u64,
            licensed: there().filter(|person| person.licensed()).count() as u64,
            interactions,
            rows: counts.rows.clone(),
            histories: counts.read.len() as u64,
            throttled: counts.throttled,
            at_once: counts.at_once,
            links_altered: counts.links_altered,
        }
    }
}

/// How many interactions can be read now.
fn count(tenant: &Tenant, present: Present) -> u64 {
    let places = (0..tenant.people.len() as u32).flat_map(|user| (0..tenant.folders).map(move |folder| (user, folder)));
    let counts =
        places.map(|(user, folder)| Walk::new(tenant, user, folder, &HistoryFilter::ALL, present).count() as u64);
    counts.sum()
}
