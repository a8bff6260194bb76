//! A command line that clap rejects, reported like every other error.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::config::secrecy::masked;
use crate::problem::{Problem, usage};

/// The problem with a command line; `None` for help and version, which are printed as they are.
pub(crate) fn problem(error: &clap::Error) -> Option<Problem> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let hint = hint(error).unwrap_or_else(|| format!("`{} --help` shows the flags, with an example", command(error)));
    Some(usage(message(error)).hint(hint))
}

/// The message by its kind and what it is about, in the house's style: backticks, one line.
fn message(error: &clap::Error) -> String {
    // What was typed in the wrong place may be a secret.
    let argument = match texts(error, ContextKind::InvalidArg).join(" ") {
        argument if error.kind() == ErrorKind::UnknownArgument => masked(&argument).to_owned(),
        argument => argument,
    };
    let value = texts(error, ContextKind::InvalidValue).join(" ");
    let value = masked(&value);
    match error.kind() {
        ErrorKind::UnknownArgument => format!("unexpected argument `{argument}` found"),
        ErrorKind::InvalidSubcommand => {
            let subcommand = texts(error, ContextKind::InvalidSubcommand).join(" ");
            format!("unrecognized subcommand `{}`", masked(&subcommand))
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("a value is required for `{argument}` but none was supplied")
        }
        ErrorKind::InvalidValue => format!("invalid value `{value}` for `{argument}`"),
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("invalid value `{value}` for `{argument}`{cause}")
        }
        ErrorKind::TooManyValues => {
            format!("unexpected value `{value}` for `{argument}` found; no more were expected")
        }
        ErrorKind::NoEquals => format!("equal sign is needed when assigning values to `{argument}`"),
        ErrorKind::MissingRequiredArgument => {
            format!("the following required arguments were not provided: {argument}")
        }
        ErrorKind::ArgumentConflict => match texts(error, ContextKind::PriorArg).as_slice() {
            [prior] if *prior == argument => format!("the argument `{argument}` cannot be used multiple times"),
            [prior] => format!("the argument `{argument}` cannot be used with `{prior}`"),
            prior => format!("the argument `{argument}` cannot be used with: {}", prior.join(" ")),
        },
        ErrorKind::MissingSubcommand => format!("`{}` requires a subcommand but none was provided", command(error)),
        kind => kind.as_str().unwrap_or("the command line is wrong").to_owned(),
    }
}

/// The values that are possible, else the name that was likely meant.
fn hint(error: &clap::Error) -> Option<String> {
    let valid = texts(error, ContextKind::ValidValue);
    if !valid.is_empty() {
        return Some(format!("possible values: {}", valid.join(", ")));
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        let subcommands = texts(error, ContextKind::ValidSubcommand);
        return Some(format!("subcommands: {}; `{} --help` says what they do", subcommands.join(", "), command(error)));
    }
    let kinds = [
        (ContextKind::SuggestedSubcommand, "subcommand"),
        (ContextKind::SuggestedArg, "argument"),
        (ContextKind::SuggestedValue, "value"),
    ];
    for (kind, noun) in kinds {
        let similar: Vec<_> = texts(error, kind).iter().map(|name| format!("`{name}`")).collect();
        match similar.as_slice() {
            [] => {}
            [one] => return Some(format!("a similar {noun} exists: {one}")),
            several => return Some(format!("some similar {noun}s exist: {}", several.join(", "))),
        }
    }
    // Some tips repeat what was typed.
    let typed = texts(error, ContextKind::InvalidArg).concat();
    let tip = texts(error, ContextKind::Suggested).into_iter().find(|_| masked(&typed) == typed)?;
    Some(tip.replace('\'', "`"))
}

/// The command as it was typed, without arguments: what stands in the usage line before the first of them.
fn command(error: &clap::Error) -> String {
    let usage = texts(error, ContextKind::Usage).concat();
    let words = usage.split_whitespace().skip_while(|word| *word == "Usage:");
    let command: Vec<_> = words.take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    if command.is_empty() { "copilot-lake".to_owned() } else { command.join(" ") }
}

/// What clap knows of one aspect of the error.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        Some(ContextValue::Number(number)) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn reported(args: &[&str]) -> (String, String) {
        let problem = problem(&Args::try_parse_from(args).err().unwrap()).unwrap();
        (problem.message, problem.hint.unwrap())
    }

    #[test]
    fn a_missing_subcommand_names_those_there_are() {
        let (message, hint) = reported(&["copilot-lake", "-q"]);
        assert_eq!(message, "`copilot-lake` requires a subcommand but none was provided");
        assert!(hint.starts_with("subcommands: ") && hint.contains("extract"), "{hint}");
    }

    #[test]
    fn a_wrong_flag_is_reported_like_every_other_error() {
        let (message, hint) = reported(&["copilot-lake", "extract", "--fulll"]);
        assert_eq!(message, "unexpected argument `--fulll` found");
        assert!(hint.contains("`--full`"), "{hint}");
        let (message, hint) = reported(&["copilot-lake", "extract", "--since", "1d", "--full"]);
        assert!(message.contains("`--full`"), "{message}");
        assert_eq!(hint, "`copilot-lake extract --help` shows the flags, with an example");
        let (message, hint) = reported(&["copilot-lake", "--log", "xml", "tables"]);
        assert!(
            message.starts_with("invalid value `xml`") && hint == "possible values: text, json",
            "{message} {hint}"
        );
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        const SECRET: &str = "aB3~xyZ9.Qq8_canary";
        let flagged = format!("--client-secret={SECRET}");
        let value = format!("--log={SECRET}");
        for line in [&["extract", SECRET][..], &[SECRET], &["extract", &flagged], &[&value, "tables"], &["-q", SECRET]]
        {
            let args: Vec<&str> = std::iter::once("copilot-lake").chain(line.iter().copied()).collect();
            let (message, hint) = reported(&args);
            assert!(!message.contains(SECRET) && !hint.contains(SECRET), "{message} {hint}");
        }
    }

    /// Clap's own text, on one line and with backticks, is what users and scripts have seen so far.
    #[test]
    fn the_message_is_that_of_clap() {
        let lines = [
            &["extract", "--fulll"][..],
            &["extarct"],
            &["extract", "--since"],
            &["extract", "--since", "1d", "--full"],
            &["extract", "--full", "--full"],
            &["--log", "xml", "tables"],
            &["emulator", "--listen", "nowhere"],
            &["tables", "a", "b"],
            &["replay"],
            &["-q", "-v", "tables"],
        ];
        for line in lines {
            let args: Vec<&str> = std::iter::once("copilot-lake").chain(line.iter().copied()).collect();
            let error = Args::try_parse_from(&args).err().unwrap();
            let text = error.render().to_string();
            let text: Vec<_> = text
                .lines()
                .map(str::trim)
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                .filter(|line| !line.is_empty() && !line.starts_with("tip: ") && !line.starts_with("[possible values"))
                .collect();
            let text = text.join(" ").replacen("error: ", "", 1).replace('\'', "`");
            assert_eq!(problem(&error).unwrap().message, text, "{line:?}");
        }
    }
}
