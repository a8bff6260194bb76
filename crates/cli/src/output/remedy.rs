//! Advice for tables that are damaged or that another tool changed.

use copilot_lake_writer::Remedy;

/// What to do about a table that cannot be written.
pub(crate) const fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Repair => "`copilot-lake extract --repair` re-reads what is missing",
        Remedy::PurgeDeletionVectors => {
            "in Spark or Fabric set the table's property `delta.enableDeletionVectors` to false, then run `REORG TABLE ... \
             APPLY (PURGE)` and `ALTER TABLE ... DROP FEATURE deletionVectors TRUNCATE HISTORY`; or move the table's \
             folder away, and `copilot-lake extract --repair` creates it again"
        }
        Remedy::Recreate => {
            "move the table's folder away, and `copilot-lake extract --repair` creates it again and reads its rows; or \
             undo it with the tool that did it, such as by `ALTER TABLE ... DROP FEATURE`"
        }
        Remedy::MoveAway => "move these files away, or name another lake with `--lake`, then run it again",
    }
}
