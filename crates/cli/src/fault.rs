//! Faults of the program itself: told like every other error, without what was being worked on.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use crate::output::console::Console;
use crate::problem::{ExitCode, Problem};

/// Tells of a panic in one line. Its text is left out: it may hold what people wrote.
pub(crate) fn report_to(console: &Console) {
    let console = console.clone();
    set_hook(Box::new(move |panic| {
        let place = panic.location().map(|at| format!(", {}:{}", at.file(), at.line())).unwrap_or_default();
        let problem = Problem::new(ExitCode::Failed, format!("a fault of the program{place}"))
            .hint("report this line with the command that you ran; what is committed stays");
        console.problem(&problem);
    }));
}

/// Runs the program; a panic, already told, is a failure.
pub(crate) fn catch(run: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(ExitCode::Failed)
}
