//! `$filter` of histories: two time bounds, application classes, and nothing else.

use copilot_lake_tables::Instant;

use crate::http::filter::{Comparison, Filter, Literal, Operator};
use crate::http::response::ServiceError;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryFilter {
    /// Exclusive bounds, in microseconds since the Unix epoch.
    pub(crate) after: i64,
    pub(crate) before: i64,
    /// Application classes; empty: all.
    pub(crate) classes: Vec<String>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    After(i64),
    Before(i64),
    Class(String),
}

impl HistoryFilter {
    pub(crate) const ALL: Self = Self { after: i64::MIN, before: i64::MAX, classes: Vec::new() };

    pub(crate) fn matches(&self, created: i64, class: &str) -> bool {
        self.after < created
            && created < self.before
            && (self.classes.is_empty() || self.classes.iter().any(|wanted| wanted.eq_ignore_ascii_case(class)))
    }

    /// Parses the decoded text; `whole_seconds` refuses finer times.
    pub(crate) fn parse(text: &str, whole_seconds: bool) -> Result<Self, ServiceError> {
        let filter = Filter::parse(text, invalid, |comparison| term(comparison, whole_seconds))?;
        let (mut after, mut before, mut classes) = (None, None, Vec::new());
        for part in filter.all() {
            let named: Option<Vec<_>> = match part {
                Filter::Compare(Term::After(at)) => {
                    after = after.max(Some(*at));
                    continue;
                }
                Filter::Compare(Term::Before(at)) => {
                    before = Some(before.map_or(*at, |before: i64| before.min(*at)));
                    continue;
                }
                Filter::Compare(Term::Class(class)) => Some(vec![class.clone()]),
                Filter::Or(any) => any.iter().map(class).collect(),
                Filter::And(_) => None,
            };
            classes =
                named.filter(|_| classes.is_empty()).ok_or_else(|| invalid("the combination is not supported"))?;
        }
        match (after, before) {
            (None, None) => Ok(Self { classes, ..Self::ALL }),
            (Some(after), Some(before)) => Ok(Self { after, before, classes }),
            _ => Err(ServiceError::new(500, "InternalServerError", "Failed to execute request.")),
        }
    }
}

fn class(filter: &Filter<Term>) -> Option<String> {
    match filter {
        Filter::Compare(Term::Class(class)) => Some(class.clone()),
        _ => None,
    }
}

fn term(Comparison { property, operator, literal }: Comparison<'_>, whole_seconds: bool) -> Result<Term, ServiceError> {
    match (property, operator, literal) {
        ("createdDateTime", Operator::Greater, literal) => instant(&literal, whole_seconds).map(Term::After),
        ("createdDateTime", Operator::Less, literal) => instant(&literal, whole_seconds).map(Term::Before),
        ("appClass", Operator::Equal, Literal::Quoted(class)) => Ok(Term::Class(class)),
        (property, operator, _) => {
            let kind = match operator {
                Operator::Equal => "Equal",
                Operator::NotEqual => "NotEqual",
                Operator::Less => "LessThan",
                Operator::Greater => "GreaterThan",
                Operator::GreaterOrEqual => "GreaterThanOrEqual",
            };
            let message =
                format!("The entity property '{property}' and operationKind '{kind}' is not allowed in $filter query.");
            Err(ServiceError::new(400, "BadRequest", &message))
        }
    }
}

fn instant(literal: &Literal<'_>, whole_seconds: bool) -> Result<i64, ServiceError> {
    let text: &str = match literal {
        Literal::Word(word) if word.len() > 10 && !(whole_seconds && word.contains('.')) => word,
        _ => "",
    };
    let at = Instant::parse(text);
    at.map(|at| at.0).ok_or_else(|| invalid(&format!("{literal:?} is not a time that is supported")))
}

fn invalid(what: &str) -> ServiceError {
    ServiceError::new(400, "BadRequest", &format!("Invalid filter clause: {what}."))
}

#[cfg(test)]
mod tests {
    use super::HistoryFilter;

    #[test]
    fn both_bounds_or_none() {
        let (after, before) = ("createdDateTime gt 2025-10-01T00:00:00Z", "createdDateTime lt 2025-10-02T00:00:00Z");
        let (word, teams) = ("appClass eq 'IPM.Word'", "appClass eq 'IPM.Teams'");
        let parse = |text: &str| HistoryFilter::parse(text, true);
        let both = parse(&format!("{after} and {before}")).unwrap();
        assert_eq!((both.before - both.after, both.classes.len()), (86_400_000_000, 0));
        for text in [
            format!("({word} or {teams}) and ({after} and {before})"),
            format!("{after} and {before} and (({word}) or {teams})"),
        ] {
            let got = parse(&text).unwrap();
            assert_eq!((got.after, got.before, got.classes.len()), (both.after, both.before, 2), "{text}");
        }
        assert_eq!(parse(&format!("{word} or {teams}")).unwrap().classes.len(), 2);
        assert!(both.matches(both.after + 1, "x") && !both.matches(both.after, "x") && !both.matches(both.before, "x"));
        assert_eq!(parse(after).unwrap_err().status, 500);
        assert_eq!(parse(before).unwrap_err().status, 500);
        for text in [
            "createdDateTime ge 2025-10-01T00:00:00Z",
            "sessionId eq 'x'",
            "appClass ne 'x'",
            "createdDateTime gt 2025-10-01T00:00:00.5Z and createdDateTime lt 2025-10-02T00:00:00Z",
            "createdDateTime gt 2025-10-01 and createdDateTime lt 2025-10-02T00:00:00Z",
            "appClass eq 'a' or createdDateTime lt 2025-10-02T00:00:00Z",
            "appClass eq 'a' and appClass eq 'b'",
            "appClass eq 'a' and",
            "(appClass eq 'a'",
        ] {
            assert_eq!(parse(text).unwrap_err().status, 400, "{text}");
        }
        let finer = "createdDateTime gt 2025-10-01T00:00:00.5Z and createdDateTime lt 2025-10-02T00:00:00Z";
        assert!(HistoryFilter::parse(finer, false).is_ok());
    }
}
