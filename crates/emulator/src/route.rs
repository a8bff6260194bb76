//! Routes: which service a request is for, and which resource.

use crate::dataverse::dataverse_route::DataverseRoute;
use crate::graph::graph_route::GraphRoute;
use crate::http::managed_identity_token::Host;
use crate::http::request_kind::RequestKind;

/// The resource of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The token endpoint of a tenant.
    Token(String),
    /// The token of a managed identity.
    Managed(Host),
    Dataverse(DataverseRoute),
    Graph(GraphRoute),
    /// The emulator's own paths.
    Control(ControlRoute),
}

/// A path that only the emulator has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControlRoute {
    Served,
    Advance,
    /// The rows of a table.
    Rows(String),
    GraphUsers,
}

impl Route {
    /// Parses a path as it was sent.
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["_emulator", "served"] => Self::Control(ControlRoute::Served),
            ["_emulator", "advance"] => Self::Control(ControlRoute::Advance),
            ["_emulator", "rows", table] => Self::Control(ControlRoute::Rows((*table).to_owned())),
            ["_emulator", "graph", "users"] => Self::Control(ControlRoute::GraphUsers),
            [tenant, "oauth2", "v2.0", "token"] => Self::Token((*tenant).to_owned()),
            ["metadata", "identity", "oauth2", "token"] => Self::Managed(Host::Machine),
            ["msi", "token"] => Self::Managed(Host::AppService),
            ["api", "data", "v9.2", rest @ ..] => Self::Dataverse(DataverseRoute::parse(rest)),
            parts => GraphRoute::parse(parts).map_or(Self::Dataverse(DataverseRoute::Elsewhere), Self::Graph),
        }
    }

    pub(crate) const fn kind(&self) -> RequestKind {
        match self {
            Self::Token(_) | Self::Managed(_) => RequestKind::Token,
            Self::Dataverse(route) => route.kind(),
            Self::Graph(call) => call.kind(),
            Self::Control(_) => RequestKind::Other,
        }
    }

    /// The table of the request.
    pub(crate) const fn table(&self) -> Option<&'static str> {
        match self {
            Self::Dataverse(route) => route.table(),
            _ => None,
        }
    }
}
