//! `$filter` of rows: comparisons of known columns with instants, ids, texts and null.

use std::cmp::Ordering;

use copilot_lake_tables::{Column, Instant, Type, is_guid};

use crate::data::json_fields::JsonFields;
use crate::http::filter::{Comparison, Filter, Literal, Operator};
use crate::http::response::ServiceError;

/// A condition on a row.
pub(crate) type RowFilter = Filter<ColumnCondition>;

/// A comparison of a column with a value.
#[derive(Debug, Clone)]
pub(crate) struct ColumnCondition {
    pub(crate) column: &'static Column,
    pub(crate) operator: Operator,
    pub(crate) operand: Operand,
}

/// The right-hand side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Null,
    Instant(Instant),
    /// A GUID or a string, in lower case: comparisons ignore case.
    Text(String),
}

/// A half-open interval of an instant column, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl TimeRange {
    pub(crate) const ALL: Self = Self { from: i64::MIN, until: i64::MAX };
}

/// Parses the decoded text of `$filter`; `find` looks up columns by wire name.
pub(crate) fn parse(
    text: &str,
    find: impl Fn(&str) -> Result<&'static Column, ServiceError>,
) -> Result<RowFilter, ServiceError> {
    Filter::parse(text, syntax, |Comparison { property, operator, literal }| {
        let column = find(property)?;
        let operand = operand(column, literal)?;
        if operand == Operand::Null && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(syntax("null can be compared with eq and ne only"));
        }
        Ok(ColumnCondition { column, operator, operand })
    })
}

fn operand(column: &Column, literal: Literal<'_>) -> Result<Operand, ServiceError> {
    let (operand, shown) = match (literal, column.ty) {
        (Literal::Quoted(text), Type::Text) => return Ok(Operand::Text(text.to_lowercase())),
        (Literal::Quoted(text), _) => (None, format!("'{text}'")),
        (Literal::Word("null"), _) => return Ok(Operand::Null),
        (Literal::Word(word), ty) => {
            let operand = match ty {
                Type::Instant if word.len() > 10 => Instant::parse(word).map(Operand::Instant),
                Type::Guid | Type::Lookup(_) => is_guid(word).then(|| Operand::Text(word.to_lowercase())),
                _ => None,
            };
            (operand, word.to_owned())
        }
    };
    operand.ok_or_else(|| {
        let wire = column.wire;
        let message = format!("A binary operator with incompatible types was detected: '{wire}' and '{shown}'.");
        ServiceError::bad_request(&message)
    })
}

/// The error for a filter that cannot be parsed.
pub(crate) fn syntax(what: &str) -> ServiceError {
    ServiceError::bad_request(&format!("Syntax error in the $filter expression: {what}."))
}

impl RowFilter {
    /// The filter without alternatives that no row can match and without conditions that every row meets, because
    /// `has_nulls` says that a column that is compared with null has none. `None`: every row matches.
    pub(crate) fn simplified(&self, has_nulls: &dyn Fn(&str) -> bool) -> Option<Self> {
        let about_null = |filter: &Self, of: Operator| {
            matches!(filter, Self::Compare(ColumnCondition { column, operator, operand: Operand::Null })
                if *operator == of && !has_nulls(column.wire))
        };
        match self {
            Self::Or(any) => {
                let never = |part: &&Self| part.all().iter().any(|one| about_null(one, Operator::Equal));
                let mut any: Vec<_> =
                    any.iter().filter(|part| !never(part)).map(|part| part.simplified(has_nulls)).collect();
                match any.len() {
                    1 => any.remove(0),
                    _ => any.into_iter().collect::<Option<_>>().map(Self::Or),
                }
            }
            Self::And(all) => all.iter().filter_map(|part| part.simplified(has_nulls)).reduce(Self::and),
            other @ Self::Compare(_) => (!about_null(other, Operator::NotEqual)).then(|| other.clone()),
        }
    }

    /// The interval of a time column outside which no row matches, and the remaining conditions.
    pub(crate) fn narrow(&self, column: &str) -> (TimeRange, Vec<Self>) {
        let mut range = TimeRange::ALL;
        let mut rest = Vec::new();
        for part in self.all() {
            match part {
                Self::Compare(ColumnCondition { column: of, operator, operand: Operand::Instant(Instant(at)) })
                    if of.wire == column && *operator != Operator::NotEqual =>
                {
                    let (from, until) = match operator {
                        Operator::Equal => (*at, at + 1),
                        Operator::Less => (i64::MIN, *at),
                        Operator::Greater => (at + 1, i64::MAX),
                        Operator::GreaterOrEqual | Operator::NotEqual => (*at, i64::MAX),
                    };
                    range = TimeRange { from: range.from.max(from), until: range.until.min(until) };
                }
                other => rest.push(other.clone()),
            }
        }
        (range, rest)
    }

    /// Whether the row matches. A value of another type matches only `ne`.
    pub(crate) fn matches(&self, row: &JsonFields<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(row)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(row)),
            Self::Compare(condition) => condition.matches(row),
        }
    }
}

impl ColumnCondition {
    fn matches(&self, row: &JsonFields<'_>) -> bool {
        let text = || row.text(self.column.wire);
        let ordering = match &self.operand {
            Operand::Null => row.raw(self.column.wire).is_none_or(|raw| raw == "null").then_some(Ordering::Equal),
            Operand::Instant(at) => text().and_then(|text| Instant::parse(&text)).map(|value| value.cmp(at)),
            Operand::Text(operand) => text().map(|value| value.to_lowercase().cmp(operand)),
        };
        match (self.operator, ordering) {
            (Operator::NotEqual, ordering) => ordering != Some(Ordering::Equal),
            (_, None) => false,
            (Operator::Equal, Some(ordering)) => ordering.is_eq(),
            (Operator::Less, Some(ordering)) => ordering.is_lt(),
            (Operator::Greater, Some(ordering)) => ordering.is_gt(),
            (Operator::GreaterOrEqual, Some(ordering)) => ordering.is_ge(),
        }
    }
}
