//! Reports of what a tenant has now, for tests that compare it with a lake.

use serde_json::{Value, json};

use crate::data::json_fields::JsonFields;
use crate::graph::history_cursor::{HistoryCursor, HistoryEntry, Visibility};
use crate::graph::history_filter::HistoryFilter;
use crate::graph::interaction_json::write_generated;
use crate::graph::tenant::Tenant;
use crate::graph::tenant_user::TenantUser;
use crate::served::GraphServed;

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

/// Calls `each` for every interaction of a user that can be read now, in the order of pages.
pub(crate) fn interactions(tenant: &Tenant, user: u32, visibility: Visibility, each: &mut dyn FnMut(&Interaction<'_>)) {
    let id = tenant.people[user as usize].id();
    let mut made = Vec::new();
    for folder in 0..tenant.folders {
        for found in HistoryCursor::new(tenant, user, folder, &HistoryFilter::ALL, visibility) {
            made.clear();
            let json: &[u8] = match found {
                HistoryEntry::Generated(generated) => {
                    write_generated(&mut made, tenant, &generated);
                    &made
                }
                HistoryEntry::Explicit(explicit) => &explicit.json,
            };
            let Ok(fields) = JsonFields::read(json) else { continue };
            let text = |name: &str| fields.text(name).unwrap_or_default();
            let body = fields.raw("body").and_then(|body| JsonFields::read(body.as_bytes()).ok());
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

/// Everyone, including deleted users.
pub(crate) fn user_lines(tenant: &Tenant) -> Vec<Value> {
    let groups: Vec<_> = tenant.group_ids().map(|id| (id, tenant.members(id).unwrap_or_default())).collect();
    let line = |(person, at): (&TenantUser, u32)| {
        let groups = groups.iter().filter(|(_, members)| members.contains(&at)).map(|(id, _)| id);
        json!({
            "id": person.id(),
            "userPrincipalName": person.principal_name(at),
            "enabled": person.enabled,
            "licensed": person.licensed(),
            "deleted": person.deleted.map(|at| at.to_string()),
            "groups": groups.collect::<Vec<_>>(),
        })
    };
    tenant.people.iter().zip(0..).map(line).collect()
}

/// What a tenant has now, without what was sent of it.
pub(crate) fn served(tenant: &Tenant, visibility: Visibility) -> GraphServed {
    let there = || tenant.people.iter().filter(|person| person.deleted.is_none());
    let places = (0..tenant.people.len() as u32).flat_map(|user| (0..tenant.folders).map(move |folder| (user, folder)));
    let counts = places
        .map(|(user, folder)| HistoryCursor::new(tenant, user, folder, &HistoryFilter::ALL, visibility).count() as u64);
    GraphServed {
        users: there().count() as u64,
        licensed: there().filter(|person| person.licensed()).count() as u64,
        interactions: counts.sum(),
        ..GraphServed::default()
    }
}
