//! What a scenario says about Microsoft Graph.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;
use crate::scenario::toml_value::Moment;

/// Mailbox folders in the order in which the service reads them. The first two have been seen, the others are made up.
pub(crate) const FOLDERS: [&str; 4] = ["TeamsMessagesData", "TeamChat", "CopilotMessages", "ConnectedAIApps"];

// Spelled here again on purpose: sharing the roles with the extractor would hide a wrong one.

/// The role that histories need.
pub(crate) const HISTORY_ROLE: &str = "AiEnterpriseInteraction.Read.All";
/// The role that users need.
pub(crate) const USER_ROLE: &str = "User.Read.All";
/// The role that groups need.
pub(crate) const GROUP_ROLE: &str = "GroupMember.Read.All";

/// A tenant: its users, groups and interactions, and how the service behaves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GraphSpec {
    pub(crate) users: u32,
    pub(crate) interactions: u32,
    pub(crate) days: u16,
    pub(crate) end: Option<Moment>,
    pub(crate) licensed: f64,
    pub(crate) deleted: f64,
    pub(crate) quiet: f64,
    pub(crate) late: Late,
    pub(crate) folders: usize,
    pub(crate) roles: Vec<String>,
    pub(crate) whole_seconds: bool,
    pub(crate) refuse_filters: bool,
    pub(crate) everyone_forbidden: bool,
    pub(crate) refuse_unlicensed: bool,
    pub(crate) limits: Option<HistoryLimits>,
    pub(crate) user: Vec<UserSpec>,
    pub(crate) group: Vec<GroupSpec>,
    pub(crate) interaction: Vec<InteractionSpec>,
}

impl Default for GraphSpec {
    fn default() -> Self {
        Self {
            users: 0,
            interactions: 0,
            days: 91,
            end: None,
            licensed: 0.75,
            deleted: 0.02,
            quiet: 0.15,
            late: Late::default(),
            folders: 2,
            roles: [HISTORY_ROLE, USER_ROLE, GROUP_ROLE].map(str::to_owned).to_vec(),
            whole_seconds: false,
            refuse_filters: false,
            everyone_forbidden: false,
            refuse_unlicensed: false,
            limits: None,
            user: Vec::new(),
            group: Vec::new(),
            interaction: Vec::new(),
        }
    }
}

/// Interactions that become readable only some time after they were made.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Late {
    /// Share of all interactions.
    pub(crate) share: f64,
    /// The longest delay; the shortest is half of it.
    pub(crate) hours: f64,
}

impl Default for Late {
    fn default() -> Self {
        Self { share: 0.02, hours: 6.0 }
    }
}

/// The limits of history requests per application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HistoryLimits {
    pub(crate) requests_per_second: u32,
    /// The share of the rate that is sustainable.
    pub(crate) sustained: f64,
    /// Seconds over which the sustained rate is measured.
    pub(crate) window: u64,
    /// Whether refusals carry `Retry-After`.
    pub(crate) retry_after: bool,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { requests_per_second: 30, sustained: 0.83, window: 30, retry_after: true }
    }
}

/// An explicit user, or changes to a generated one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserSpec {
    /// The index of the user to change; a new user if absent.
    pub(crate) index: Option<u32>,
    pub(crate) id: Option<String>,
    pub(crate) upn: Option<String>,
    pub(crate) licensed: Option<bool>,
    pub(crate) plans: Option<Vec<PlanSpec>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) deleted: Option<Moment>,
    /// Properties as they are sent.
    pub(crate) values: BTreeMap<String, toml::Value>,
    /// An explicit number of generated interactions.
    pub(crate) interactions: Option<u32>,
    /// The status of requests for their history.
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

/// A service plan of a user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanSpec {
    pub(crate) id: String,
    #[serde(default = "enabled")]
    pub(crate) status: String,
}

fn enabled() -> String {
    "Enabled".to_owned()
}

/// How a scenario names a user: by index, object id or principal name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum UserReference {
    Index(u32),
    Name(String),
}

/// A group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupSpec {
    pub(crate) id: String,
    pub(crate) members: Vec<UserReference>,
    /// How many users from the first on.
    pub(crate) first: u32,
    /// The interval between members, starting with the first user.
    pub(crate) every: Option<u32>,
    /// The ids of groups that are members.
    pub(crate) groups: Vec<String>,
}

/// An explicit interaction.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InteractionSpec {
    pub(crate) user: Option<UserReference>,
    pub(crate) values: BTreeMap<String, toml::Value>,
    pub(crate) json: BTreeMap<String, String>,
    pub(crate) omit: Vec<String>,
    pub(crate) raw: Option<String>,
    pub(crate) arrives: Option<Moment>,
    pub(crate) at: Option<Moment>,
    pub(crate) folder: Option<String>,
}

/// Changes to a tenant at one call of `advance`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GraphPhase {
    pub(crate) interactions: u32,
    pub(crate) from: Option<Moment>,
    pub(crate) until: Option<Moment>,
    pub(crate) user: Vec<UserSpec>,
    pub(crate) group: Vec<GroupSpec>,
    pub(crate) interaction: Vec<InteractionSpec>,
}

impl GraphSpec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let shares = [self.licensed, self.deleted, self.quiet, self.late.share];
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(Error::scenario("[graph]: shares are between 0 and 1"));
        }
        if !(1..=FOLDERS.len()).contains(&self.folders) {
            return Err(Error::scenario(format!("[graph]: `folders` is between 1 and {}", FOLDERS.len())));
        }
        if self.days == 0 || self.interactions > 0 && self.users == 0 {
            return Err(Error::scenario("[graph]: interactions need `users` and `days`"));
        }
        self.interaction.iter().try_for_each(InteractionSpec::check)
    }
}

impl InteractionSpec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.user.is_none() {
            return Err(Error::scenario("an interaction needs a `user`"));
        }
        self.folder_number().map(|_| ())
    }

    /// The index of its folder, where set.
    pub(crate) fn folder_number(&self) -> Result<Option<usize>, Error> {
        let Some(name) = &self.folder else { return Ok(None) };
        let found = FOLDERS.iter().position(|folder| folder.eq_ignore_ascii_case(name));
        found.map(Some).ok_or_else(|| Error::scenario(format!("no folder `{name}`, but {}", FOLDERS.join(", "))))
    }
}
