//! The services that rows are read from, and how much of an answer is taken from them.

/// The largest page that is accepted, in bytes, whether a service or an archive has it; more is a mistake or an attack.
pub const MAX_PAGE_BYTES: u64 = 64 << 20;

/// The largest content of a File column, in bytes (MaxSizeInKB 32768), wherever it comes from.
pub const MAX_FILE_BYTES: u64 = 32 << 20;

/// A service that rows are read from. A third one would have its own folder in the crates that read it, its table
/// definitions, and an entry in [`Service::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Copilot for Customer Service, in Dataverse.
    Dataverse,
    /// Microsoft 365 Copilot, in Microsoft Graph.
    Graph,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 2] = [Self::Dataverse, Self::Graph];

    /// The name in `source` columns, in `--source` and of its section in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dataverse => "dataverse",
            Self::Graph => "graph",
        }
    }

    /// What is read from it.
    pub const fn doc(self) -> &'static str {
        match self {
            Self::Dataverse => "Copilot for Customer Service, in Dataverse",
            Self::Graph => "Microsoft 365 Copilot, in Microsoft Graph",
        }
    }

    /// The service of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Whether each of its slices is one user's. Such a slice may be skipped for a reason of that user's, and its watermark
    /// is the user's own.
    pub const fn has_slices_of_users(self) -> bool {
        matches!(self, Self::Graph)
    }
}
