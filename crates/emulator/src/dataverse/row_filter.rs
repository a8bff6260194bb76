//! `$filter`: comparisons of known columns, joined by `and`, `or`, `not` and parentheses.

use std::cmp::Ordering;

use copilot_lake_tables::{Column, Instant, Type, is_guid};

use crate::data::json_fields::Fields;
use crate::http::lexer::Tokens;
use crate::http::response::Refusal;

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Compare),
}

/// A comparison of a column with a literal.
#[derive(Debug, Clone)]
pub(crate) struct Compare {
    pub(crate) column: &'static Column,
    pub(crate) operator: Operator,
    pub(crate) literal: Literal,
}

impl PartialEq for Compare {
    fn eq(&self, other: &Self) -> bool {
        self.column.wire == other.column.wire && self.operator == other.operator && self.literal == other.literal
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The right-hand side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Instant(Instant),
    Integer(i64),
    Decimal(f64),
    Boolean(bool),
    /// A GUID or a string, in lower case: comparisons ignore case.
    Text(String),
}

/// A half-open interval of an instant column, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Bounds {
    pub(crate) const ALL: Self = Self { from: i64::MIN, until: i64::MAX };
}

impl Filter {
    /// Reads the decoded text of `$filter`; `find` knows the columns by wire name.
    pub(crate) fn parse(text: &str, find: &dyn Fn(&str) -> Result<&'static Column, Refusal>) -> Result<Self, Refusal> {
        let mut parser = Parser { tokens: Tokens::new(text, ENDS), find };
        let filter = parser.any()?;
        if parser.tokens.left().is_empty() { Ok(filter) } else { Err(parser.unexpected()) }
    }

    /// The same without alternatives that ask for a null, and without conditions that exclude one, where `has_nulls` says
    /// that the column has none. `None`: it holds for every row.
    pub(crate) fn without_vain(&self, has_nulls: &dyn Fn(&str) -> bool) -> Option<Self> {
        let about_null = |filter: &Self, of: Operator| {
            matches!(filter, Self::Compare(Compare { column, operator, literal: Literal::Null })
                if *operator == of && !has_nulls(column.wire))
        };
        match self {
            Self::Or(any) => {
                let in_vain = |part: &&Self| part.all().iter().any(|one| about_null(one, Operator::Equal));
                let mut any: Vec<_> =
                    any.iter().filter(|part| !in_vain(part)).map(|part| part.without_vain(has_nulls)).collect();
                match any.len() {
                    1 => any.remove(0),
                    _ => any.into_iter().collect::<Option<_>>().map(Self::Or),
                }
            }
            Self::And(all) => {
                let mut kept = Vec::new();
                for part in all.iter().filter_map(|part| part.without_vain(has_nulls)) {
                    match part {
                        Self::And(parts) => kept.extend(parts),
                        other => kept.push(other),
                    }
                }
                (!kept.is_empty()).then_some(Self::And(kept))
            }
            other => (!about_null(other, Operator::NotEqual)).then(|| other.clone()),
        }
    }

    /// The conditions that must all hold.
    fn all(&self) -> &[Self] {
        match self {
            Self::And(all) => all,
            other => std::slice::from_ref(other),
        }
    }

    /// The interval of that column outside which no row matches, and the conditions that remain inside it.
    pub(crate) fn narrow(&self, column: &str) -> (Bounds, Vec<Self>) {
        let mut bounds = Bounds::ALL;
        let mut rest = Vec::new();
        for part in self.all() {
            match part {
                Self::Compare(Compare { column: of, operator, literal: Literal::Instant(Instant(at)) })
                    if of.wire == column && *operator != Operator::NotEqual =>
                {
                    let (from, until) = match operator {
                        Operator::Equal => (*at, at + 1),
                        Operator::Less => (i64::MIN, *at),
                        Operator::LessOrEqual => (i64::MIN, at + 1),
                        Operator::Greater => (at + 1, i64::MAX),
                        Operator::GreaterOrEqual | Operator::NotEqual => (*at, i64::MAX),
                    };
                    bounds = Bounds { from: bounds.from.max(from), until: bounds.until.min(until) };
                }
                other => rest.push(other.clone()),
            }
        }
        (bounds, rest)
    }

    /// Whether the row matches. A value that cannot be compared matches nothing but `ne`.
    pub(crate) fn matches(&self, row: &Fields<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.matches(row)),
            Self::Or(any) => any.iter().any(|filter| filter.matches(row)),
            Self::Not(filter) => !filter.matches(row),
            Self::Compare(compare) => compare.matches(row),
        }
    }
}

impl Compare {
    fn matches(&self, row: &Fields<'_>) -> bool {
        let raw = row.raw(self.column.wire).unwrap_or("null");
        let ordering = match &self.literal {
            Literal::Null => (raw == "null").then_some(Ordering::Equal),
            Literal::Instant(at) => {
                row.text(self.column.wire).and_then(|text| Instant::parse(&text)).map(|value| value.cmp(at))
            }
            Literal::Integer(n) => raw.parse::<i64>().ok().map(|value| value.cmp(n)),
            Literal::Decimal(n) => raw.parse::<f64>().ok().and_then(|value| value.partial_cmp(n)),
            Literal::Boolean(b) => raw.parse::<bool>().ok().map(|value| value.cmp(b)),
            Literal::Text(text) => row.text(self.column.wire).map(|value| value.to_lowercase().cmp(text)),
        };
        match (self.operator, ordering) {
            (Operator::NotEqual, ordering) => ordering != Some(Ordering::Equal),
            (_, None) => false,
            (Operator::Equal, Some(ordering)) => ordering.is_eq(),
            (Operator::Less, Some(ordering)) => ordering.is_lt(),
            (Operator::LessOrEqual, Some(ordering)) => ordering.is_le(),
            (Operator::Greater, Some(ordering)) => ordering.is_gt(),
            (Operator::GreaterOrEqual, Some(ordering)) => ordering.is_ge(),
        }
    }
}

/// What ends a word.
const ENDS: &[char] = &[' ', '(', ')'];

struct Parser<'a> {
    tokens: Tokens<'a>,
    find: &'a dyn Fn(&str) -> Result<&'static Column, Refusal>,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Filter, Refusal> {
        let mut any = vec![self.all()?];
        while self.tokens.take_word("or") {
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Or(any) })
    }

    fn all(&mut self) -> Result<Filter, Refusal> {
        let mut all = Vec::new();
        loop {
            // Parentheses around a conjunction do not hide its parts.
            match self.one()? {
                Filter::And(parts) => all.extend(parts),
                other => all.push(other),
            }
            if !self.tokens.take_word("and") {
                break;
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn one(&mut self) -> Result<Filter, Refusal> {
        if self.tokens.take_word("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.tokens.take('(') {
            let filter = self.any()?;
            return if self.tokens.take(')') { Ok(filter) } else { Err(self.unexpected()) };
        }
        let name = self.tokens.word();
        if name.is_empty() {
            return Err(self.unexpected());
        }
        let column = (self.find)(name)?;
        let operator = match self.tokens.word() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            other => return Err(syntax(&format!("'{other}' is not an operator"))),
        };
        let literal = self.literal(column)?;
        if literal == Literal::Null && !matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(syntax("null can be compared with eq and ne only"));
        }
        Ok(Filter::Compare(Compare { column, operator, literal }))
    }

    fn literal(&mut self, column: &Column) -> Result<Literal, Refusal> {
        let mismatch = |text: &str| {
            Refusal::bad_request(&format!(
                "A binary operator with incompatible types was detected: '{}' and '{text}'.",
                column.wire
            ))
        };
        if let Some(text) = self.tokens.quoted() {
            return match column.ty {
                Type::Text => Ok(Literal::Text(text.to_lowercase())),
                _ => Err(mismatch(&format!("'{text}'"))),
            };
        }
        if self.tokens.take('\'') {
            return Err(syntax("unterminated string"));
        }
        let text = self.tokens.word();
        let literal = match column.ty {
            _ if text == "null" => Some(Literal::Null),
            Type::Instant if text.len() > 10 => Instant::parse(text).map(Literal::Instant),
            Type::Guid | Type::Lookup(_) | Type::File => is_guid(text).then(|| Literal::Text(text.to_lowercase())),
            Type::Choice(_) | Type::Int32 | Type::Int64 => text.parse().ok().map(Literal::Integer),
            Type::Decimal => text.parse().ok().map(Literal::Decimal),
            Type::Boolean => text.parse().ok().map(Literal::Boolean),
            Type::Text | Type::Instant => None,
        };
        literal.ok_or_else(|| mismatch(text))
    }

    fn unexpected(&self) -> Refusal {
        syntax(&format!("unexpected '{}'", self.tokens.left()))
    }
}

fn syntax(what: &str) -> Refusal {
    Refusal::bad_request(&format!("Syntax error in the $filter expression: {what}."))
}
