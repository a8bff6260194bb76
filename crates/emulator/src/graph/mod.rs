//! Microsoft Graph: users, groups, and the histories of their interactions with Copilot.
//!
//! Nothing is rendered ahead: of a generated interaction only its number is kept. Knows nothing of Dataverse.
//! <https://learn.microsoft.com/microsoft-365-copilot/extensibility/api/ai-services/interaction-export/aiinteractionhistory-getallenterpriseinteractions>

pub(crate) mod copilot_app;
pub(crate) mod directory;
pub(crate) mod emulated_graph;
pub(crate) mod explicit;
pub(crate) mod graph_request;
pub(crate) mod graph_route;
pub(crate) mod history_cursor;
pub(crate) mod history_filter;
pub(crate) mod history_request;
pub(crate) mod interaction;
pub(crate) mod interaction_body;
pub(crate) mod interaction_json;
pub(crate) mod service_plans;
pub(crate) mod tenant;
pub(crate) mod tenant_report;
pub(crate) mod tenant_user;
pub(crate) mod throttle;
pub(crate) mod user_json;
pub(crate) mod working_hours;
