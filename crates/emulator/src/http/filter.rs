//! `$filter`, as both services write it: comparisons joined by `and`, `or` and parentheses.
//!
//! The caller turns each comparison into a condition of its own type.

use crate::http::odata::unquote;
use crate::http::response::ServiceError;

/// A filter over conditions of type `C`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter<C> {
    /// At least two, none of which is an `And`.
    And(Vec<Filter<C>>),
    /// At least two, none of which is an `Or`.
    Or(Vec<Filter<C>>),
    Compare(C),
}

/// A comparison as the client wrote it.
#[derive(Debug)]
pub(crate) struct Comparison<'a> {
    pub(crate) property: &'a str,
    pub(crate) operator: Operator,
    pub(crate) literal: Literal<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
    GreaterOrEqual,
}

/// The right-hand side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal<'a> {
    /// `null`, an instant, a GUID.
    Word(&'a str),
    /// The text between quotes.
    Quoted(String),
}

impl<C> Filter<C> {
    /// Parses the decoded text of `$filter`. `error` words a mistake as the service does.
    pub(crate) fn parse(
        text: &str,
        error: fn(&str) -> ServiceError,
        compare: impl Fn(Comparison<'_>) -> Result<C, ServiceError>,
    ) -> Result<Self, ServiceError> {
        let mut parser = Parser { rest: text, error, compare: &compare };
        let filter = parser.any()?;
        if parser.rest.trim().is_empty() { Ok(filter) } else { Err(parser.unexpected()) }
    }

    /// The conditions that must all hold.
    pub(crate) fn all(&self) -> &[Self] {
        match self {
            Self::And(all) => all,
            other => std::slice::from_ref(other),
        }
    }

    /// Both conditions.
    pub(crate) fn and(self, other: Self) -> Self {
        let parts = |filter| match filter {
            Self::And(all) => all,
            one => vec![one],
        };
        Self::And([parts(self), parts(other)].into_iter().flatten().collect())
    }

    fn or(self, other: Self) -> Self {
        let parts = |filter| match filter {
            Self::Or(any) => any,
            one => vec![one],
        };
        Self::Or([parts(self), parts(other)].into_iter().flatten().collect())
    }
}

struct Parser<'a, C> {
    rest: &'a str,
    error: fn(&str) -> ServiceError,
    compare: &'a dyn Fn(Comparison<'_>) -> Result<C, ServiceError>,
}

impl<'a, C> Parser<'a, C> {
    fn any(&mut self) -> Result<Filter<C>, ServiceError> {
        let mut filter = self.all()?;
        while self.take_word("or") {
            filter = filter.or(self.all()?);
        }
        Ok(filter)
    }

    fn all(&mut self) -> Result<Filter<C>, ServiceError> {
        let mut filter = self.one()?;
        while self.take_word("and") {
            filter = filter.and(self.one()?);
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter<C>, ServiceError> {
        if self.take('(') {
            let filter = self.any()?;
            return if self.take(')') { Ok(filter) } else { Err(self.unexpected()) };
        }
        let property = self.word();
        let operator = match self.word() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "lt" => Operator::Less,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            other => return Err((self.error)(&format!("'{other}' is not an operator"))),
        };
        let literal = self.literal()?;
        (self.compare)(Comparison { property, operator, literal }).map(Filter::Compare)
    }

    fn literal(&mut self) -> Result<Literal<'a>, ServiceError> {
        let Some(quoted) = self.rest.trim_start().strip_prefix('\'') else { return Ok(Literal::Word(self.word())) };
        let (text, rest) = unquote(quoted).ok_or_else(|| (self.error)("unterminated string"))?;
        self.rest = rest;
        Ok(Literal::Quoted(text))
    }

    /// The next word; empty when something else comes next.
    fn word(&mut self) -> &'a str {
        let text = self.rest.trim_start();
        let end = text.find([' ', '(', ')', '\'']).unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }

    fn take_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let found = self.word() == word;
        if !found {
            self.rest = before;
        }
        found
    }

    fn take(&mut self, c: char) -> bool {
        let after = self.rest.trim_start().strip_prefix(c);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn unexpected(&self) -> ServiceError {
        (self.error)(&format!("unexpected '{}'", self.rest.trim()))
    }
}
