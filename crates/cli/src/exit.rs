//! Exit codes, and what a person is told when something goes wrong: the one place that maps errors to both.

use std::fmt;

/// The exit codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Everything asked for is done.
    Complete = 0,
    /// Nothing was done.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Some of it is done and kept; a rerun takes up the rest.
    Partial = 3,
    /// Another run holds the lake.
    Held = 4,
    /// Sign-in was refused, or a permission is missing for everything asked.
    Refused = 5,
}

/// What went wrong and where, what to do next, and the exit code.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// A problem with that exit code.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Bad usage or configuration.
pub(crate) fn usage(message: impl Into<String>) -> Problem {
    Problem::new(Code::Usage, message)
}

/// Whether the reader of stdout went away: no error, the output was simply enough.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(broken))
}

/// What to tell about an error, on one line, and how to exit.
pub(crate) fn problem(error: &anyhow::Error) -> Problem {
    let found = error.chain().find_map(known);
    let (code, hint) = found.unwrap_or((Code::Failed, None));
    Problem { code, message: one_line(error), hint }
}

/// The code and the hint of an error of ours.
fn known(error: &(dyn std::error::Error + 'static)) -> Option<(Code, Option<String>)> {
    if let Some(problem) = error.downcast_ref::<Problem>() {
        return Some((problem.code, problem.hint.clone()));
    }
    None
}

/// The chain of causes on one line, each said once.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if line.contains(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}

/// What clap found, in the form of every other error; `None` when it is help or a version, to be printed as it is.
pub(crate) fn of_clap(error: &clap::Error) -> Option<Problem> {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let text = error.render().to_string();
    let mut message = Vec::new();
    let mut hint = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint.get_or_insert_with(|| tip.replace('\'', "`"));
        } else if let Some(values) = line.strip_prefix("[possible values: ") {
            hint.get_or_insert_with(|| format!("possible values: {}", values.trim_end_matches(']')));
        } else if !line.is_empty() {
            message.push(line.strip_prefix("error: ").unwrap_or(line).replace('\'', "`"));
        }
    }
    let hint = hint.unwrap_or_else(|| "`--help` shows the flags, with an example".to_owned());
    Some(usage(message.join(" ")).hint(hint))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_problem_keeps_its_code_and_hint_below_context() {
        let error = anyhow::Error::from(usage("no lake at `x`").hint("extract first")).context("cannot query");
        let problem = problem(&error);
        assert_eq!(problem.code, Code::Usage);
        assert_eq!(problem.message, "cannot query: no lake at `x`");
        assert_eq!(problem.hint.as_deref(), Some("extract first"));
    }

    #[test]
    fn others_fail_on_one_line() {
        let error = Err::<(), _>(std::io::Error::other("a\n  b")).context("reading").unwrap_err();
        let problem = problem(&error);
        assert_eq!((problem.code, problem.message.as_str()), (Code::Failed, "reading: a b"));
    }

    #[test]
    fn a_broken_pipe_is_found_below_context() {
        let error = Err::<(), _>(std::io::Error::from(std::io::ErrorKind::BrokenPipe)).context("writing").unwrap_err();
        assert!(is_broken_pipe(&error));
    }
}
