//! `--param name=value` of `query` and `report`, held to what the queries take.

use std::collections::BTreeMap;

use anyhow::Result;
use copilot_lake_query::{Parameter, QUERIES, Shipped, TextParameters};

use crate::config::secrecy;
use crate::nearest::hint;
use crate::problem::{Problem, usage};
use crate::report::CHOSEN;

/// The parameters that a query, or the queries of a report, take.
pub(super) struct Taken<'a> {
    /// What takes them.
    by: &'static str,
    /// Those with a type.
    typed: Vec<Parameter>,
    /// Names that the text reads itself.
    variables: Vec<&'a str>,
    /// Whether it may take others.
    is_open: bool,
}

impl<'a> Taken<'a> {
    /// Those that the header of a shipped query names.
    pub(super) fn by_query(query: &Shipped) -> Self {
        Self { by: "the query", typed: query.parameters(), variables: Vec::new(), is_open: false }
    }

    /// Those of the shipped queries that a text names, and those that it reads itself.
    pub(super) fn by_text(sql: &'a str) -> Self {
        let found = TextParameters::parse(sql);
        let is_open = found.is_none();
        let found = found.unwrap_or_default();
        Self { by: "the query", typed: found.of_queries, variables: found.variables, is_open }
    }

    /// Those that can be chosen for a report, as the headers of queries have them.
    pub(super) fn by_report() -> Self {
        let parameter = |name: &&str| QUERIES.iter().flat_map(Shipped::parameters).find(|of| of.name == *name);
        let typed = CHOSEN.iter().filter_map(parameter).collect();
        Self { by: "the report", typed, variables: Vec::new(), is_open: false }
    }

    /// Reads the values of parameters: each is taken by the query and of its type.
    pub(super) fn read(&self, given: &[String]) -> Result<BTreeMap<String, String>> {
        let mut params = BTreeMap::new();
        for param in given {
            let Some((name, value)) = param.split_once('=') else {
                return Err(usage(format!("`--param` takes name=value{}", secrecy::but_is(param)))
                    .hint("as in `--param tz=UTC`")
                    .into());
            };
            let name = match self.typed.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name)) {
                Some(parameter) if !parameter.ty.accepts(value) => return Err(misfit(parameter, value).into()),
                Some(parameter) => parameter.name,
                None if self.is_open || self.variables.iter().any(|known| known.eq_ignore_ascii_case(name)) => name,
                None => return Err(self.unknown(name).into()),
            };
            params.insert(name.to_owned(), value.to_owned());
        }
        Ok(params)
    }

    fn unknown(&self, name: &str) -> Problem {
        let mut known: Vec<_> = self.typed.iter().map(|parameter| parameter.name).collect();
        known.extend(&self.variables);
        let hint = hint("parameter", name, known.iter().copied(), || match known.as_slice() {
            [] => "it takes none".to_owned(),
            known => {
                format!("it takes {}", known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "))
            }
        });
        usage(format!("{} takes no parameter{}", self.by, secrecy::quoted(name))).hint(hint)
    }
}

/// A value that is not of the parameter's type.
fn misfit(parameter: &Parameter, value: &str) -> Problem {
    let Parameter { name, ty, doc, .. } = parameter;
    let but = match value {
        "" => ", but is empty".to_owned(),
        value if secrecy::could_be_secret(value) => String::new(),
        value => format!(", not `{value}`"),
    };
    usage(format!("`{name}` is {}{but}", ty.description())).hint(doc.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message and the hint for a parameter that is refused.
    fn refused(taken: &Taken<'_>, param: &str) -> (String, String) {
        let error = taken.read(&[param.to_owned()]).unwrap_err();
        let problem: Problem = error.downcast().unwrap();
        assert_eq!(problem.code as u8, 2);
        (problem.message, problem.hint.unwrap())
    }

    fn accepts(taken: &Taken<'_>, param: &str) -> bool {
        taken.read(&[param.to_owned()]).is_ok()
    }

    fn shipped(name: &str) -> Taken<'static> {
        Taken::by_query(copilot_lake_query::query(name).unwrap())
    }

    #[test]
    fn a_value_that_is_not_of_the_type_is_told_with_one_that_is() {
        let rates = shipped("feedback_rates");
        for value in ["Oct", "2026-10", "01.10.2026"] {
            let (message, hint) = refused(&rates, &format!("from={value}"));
            assert_eq!(message, format!("`from` is a date such as 2026-10-01, not `{value}`"));
            assert_eq!(hint, "leave out weeks that begin before this date");
        }
        assert_eq!(refused(&rates, "from=").0, "`from` is a date such as 2026-10-01, but is empty");
        assert_eq!(refused(&rates, "week_start=friday").0, "`week_start` is sunday or monday, not `friday`");
        assert_eq!(refused(&rates, "tz=Berlin").0, "`tz` is a time zone such as Europe/Berlin, not `Berlin`");
        let idle = refused(&shipped("m365_unused_licences"), "idle_days=abc").0;
        assert_eq!(idle, "`idle_days` is a whole number such as 30, not `abc`");
        for param in ["from=2026-10-01", "tz=Europe/Berlin", "TZ=UTC", "week_start=monday"] {
            assert!(accepts(&rates, param), "{param}");
        }
        let secret = refused(&rates, "to=hZ38Q~abcdefghijklmnopqrstuvwxyz.01234").0;
        assert_eq!(secret, "`to` is a date such as 2026-10-01");
    }

    #[test]
    fn a_name_that_the_query_does_not_take_is_refused() {
        let text = "select * from m365_unused_licences where id > getvariable('least')";
        let taken = Taken::by_text(text);
        let unknown = |name: &str| format!("the query takes no parameter `{name}`");
        assert_eq!(
            refused(&taken, "idle_day=7"),
            (unknown("idle_day"), "the nearest parameter is `idle_days`".to_owned())
        );
        assert_eq!(refused(&taken, "leest=7"), (unknown("leest"), "the nearest parameter is `least`".to_owned()));
        assert_eq!(refused(&taken, "q=7"), (unknown("q"), "it takes `tz`, `idle_days`, `least`".to_owned()));
        assert!(accepts(&taken, "idle_days=7") && accepts(&taken, "least=x") && !accepts(&taken, "idle_days=x"));
        assert_eq!(refused(&Taken::by_text("select 1"), "x=7"), (unknown("x"), "it takes none".to_owned()));
        // A name that is computed may be any.
        assert!(accepts(&Taken::by_text("select getvariable('a' || 'b')"), "ab=1"));
        assert_eq!(refused(&shipped("payload_health"), "tz=UTC"), (unknown("tz"), "it takes none".to_owned()));
    }

    #[test]
    fn a_report_takes_the_zone_and_the_week_of_its_queries() {
        let report = Taken::by_report();
        let read = report.read(&["TZ=Asia/Tokyo", "week_start=monday"].map(str::to_owned)).unwrap();
        assert_eq!(read["tz"], "Asia/Tokyo");
        assert_eq!(read["week_start"], "monday");
        let (message, hint) = refused(&report, "from=2026-10-01");
        assert_eq!(message, "the report takes no parameter `from`");
        assert_eq!(hint, "it takes `tz`, `week_start`");
        assert_eq!(refused(&report, "tz=Berlin").0, "`tz` is a time zone such as Europe/Berlin, not `Berlin`");
    }
}
