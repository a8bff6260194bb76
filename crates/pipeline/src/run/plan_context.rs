//! What planning needs besides the job of a service.

use copilot_lake_tables::Instant;
use copilot_lake_writer::Lake;

use crate::ledger::Ledger;
use crate::ledger::runs::Restart;
use crate::run::restart_barrier::RestartBarrier;

/// What planning needs besides the job of a service.
pub(crate) struct PlanContext<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) ledger: &'a Ledger,
    pub(crate) restart: &'a Restart,
    /// Whether everything is read again.
    pub(crate) full: bool,
    /// The window that is read again; without a start it begins with the oldest row.
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// Where planning with `--full` waits for the other services.
    pub(crate) restart_barrier: &'a RestartBarrier,
}
