//! Advice for lakes and tables that need a person's help.

use copilot_lake_writer::{Remedy, SystemFailure};

/// What to do before the lake or the table can be used again.
pub(crate) const fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::OfSystem(failure) => of_system(failure),
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
        Remedy::RestoreLog => {
            "restore the table's folder from a backup; or move it away, and `copilot-lake extract --repair` creates it \
             again and reads its rows"
        }
        Remedy::ReplaceFile => {
            "if the file is there and damaged, move it away; then `copilot-lake extract --repair` re-reads its rows"
        }
        Remedy::MoveAway => "move these files away, or name another lake with `--lake`, then run it again",
    }
}

const fn of_system(failure: SystemFailure) -> &'static str {
    match failure {
        SystemFailure::NoSpace => {
            "make room on that disk, or raise this user's quota, then run it again; what was committed is kept"
        }
        SystemFailure::FileTooLarge => {
            "raise the limit of a file's size (`ulimit -f`), or use a file system that allows larger files"
        }
        SystemFailure::ReadOnly => "mount that file system so that it can be written, or name another place",
        SystemFailure::PermissionDenied => {
            "give this user the right to that file or folder, or run it as the user to whom it belongs"
        }
        SystemFailure::TooManyOpenFiles => "raise the limit of open files, as by `ulimit -n 4096`, then run it again",
        SystemFailure::OutOfMemory => {
            "give the process more memory (a container's limit, `ulimit -v`), then run it again"
        }
        SystemFailure::Device => {
            "the device reports errors: check it before anything else is written, and restore the lake from a backup if \
             files are lost"
        }
        SystemFailure::StoreUnavailable => {
            "the object store cannot be reached, or is busy: check the lake's URL, `lake.options` (endpoint, region), \
             `network.proxy` and the network, then run it again"
        }
        SystemFailure::StoreRefuses => {
            "the object store refuses: check the credential, the region and the endpoint, and grant the identity reading, \
             writing, listing and deleting in the bucket or container"
        }
    }
}
