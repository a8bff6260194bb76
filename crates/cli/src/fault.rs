//! Panics, reported like every other error but without their message, which may quote user data.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

use crate::output::console::Console;
use crate::problem::{ExitCode, Problem};

/// Reports panics to the console in one line each, by their location only.
pub(crate) fn report_to(console: &Console) {
    let console = console.clone();
    set_hook(Box::new(move |panic| {
        let place = panic.location().map(|at| format!(", {}:{}", at.file(), at.line())).unwrap_or_default();
        let problem = Problem::new(ExitCode::Failed, format!("internal error{place}"))
            .hint("please report this line and the command that you ran; what was committed stays");
        console.problem(&problem);
    }));
}

/// Runs the program; a panic, which was already reported, is a failure.
pub(crate) fn catch(run: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(ExitCode::Failed)
}
