//! `$filter` of histories: two bounds of the time, application classes, and nothing else.

use copilot_lake_tables::Instant;

use crate::http::lexer::Tokens;
use crate::http::response::Refusal;

/// Which interactions are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryFilter {
    /// Both exclusive, in microseconds since the Unix epoch.
    pub(crate) after: i64,
    pub(crate) before: i64,
    /// Application classes; empty: all.
    pub(crate) classes: Vec<String>,
}

impl HistoryFilter {
    pub(crate) const ALL: Self = Self { after: i64::MIN, before: i64::MAX, classes: Vec::new() };

    pub(crate) fn matches(&self, created: i64, class: &str) -> bool {
        self.after < created
            && created < self.before
            && (self.classes.is_empty() || self.classes.iter().any(|wanted| wanted.eq_ignore_ascii_case(class)))
    }

    /// Reads the decoded text; `whole_seconds`: finer times are refused.
    pub(crate) fn parse(text: &str, whole_seconds: bool) -> Result<Self, Refusal> {
        let mut parser = Parser { tokens: Tokens::new(text, ENDS), whole_seconds };
        let node = parser.any()?;
        if !parser.tokens.left().is_empty() {
            return Err(parser.unexpected());
        }
        let parts = match node {
            Node::And(parts) => parts,
            one => vec![one],
        };
        let (mut after, mut before, mut classes) = (None, None, Vec::new());
        for part in parts {
            let named: Option<Vec<_>> = match part {
                Node::After(at) => {
                    after = Some(after.unwrap_or(i64::MIN).max(at));
                    continue;
                }
                Node::Before(at) => {
                    before = Some(before.unwrap_or(i64::MAX).min(at));
                    continue;
                }
                Node::Class(class) => Some(vec![class]),
                Node::Or(any) => any.into_iter().map(Node::class).collect(),
                Node::And(_) => None,
            };
            classes =
                named.filter(|_| classes.is_empty()).ok_or_else(|| invalid("the combination is not supported"))?;
        }
        match (after, before) {
            (None, None) => Ok(Self { classes, ..Self::ALL }),
            (Some(after), Some(before)) => Ok(Self { after, before, classes }),
            _ => Err(Refusal::new(500, "InternalServerError", "Failed to execute request.")),
        }
    }
}

enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    After(i64),
    Before(i64),
    Class(String),
}

impl Node {
    fn class(self) -> Option<String> {
        match self {
            Self::Class(class) => Some(class),
            _ => None,
        }
    }
}

/// What ends a word.
const ENDS: &[char] = &[' ', '(', ')', '\''];

struct Parser<'a> {
    tokens: Tokens<'a>,
    whole_seconds: bool,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Node, Refusal> {
        let mut any = Vec::new();
        loop {
            match self.all()? {
                Node::Or(more) => any.extend(more),
                one => any.push(one),
            }
            if !self.tokens.take_word("or") {
                break;
            }
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Node::Or(any) })
    }

    fn all(&mut self) -> Result<Node, Refusal> {
        let mut all = Vec::new();
        loop {
            match self.one()? {
                Node::And(more) => all.extend(more),
                one => all.push(one),
            }
            if !self.tokens.take_word("and") {
                break;
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::And(all) })
    }

    fn one(&mut self) -> Result<Node, Refusal> {
        if self.tokens.take('(') {
            let node = self.any()?;
            return if self.tokens.take(')') { Ok(node) } else { Err(self.unexpected()) };
        }
        let name = self.tokens.word();
        let operator = self.tokens.word();
        let kind = match operator {
            "eq" => "Equal",
            "ne" => "NotEqual",
            "gt" => "GreaterThan",
            "ge" => "GreaterThanOrEqual",
            "lt" => "LessThan",
            "le" => "LessThanOrEqual",
            _ => return Err(self.unexpected()),
        };
        match (name, kind) {
            ("createdDateTime", "GreaterThan") => self.instant().map(Node::After),
            ("createdDateTime", "LessThan") => self.instant().map(Node::Before),
            ("appClass", "Equal") => self.text().map(Node::Class),
            _ => {
                let message =
                    format!("The entity property '{name}' and operationKind '{kind}' is not allowed in $filter query.");
                Err(Refusal::new(400, "BadRequest", &message))
            }
        }
    }

    fn instant(&mut self) -> Result<i64, Refusal> {
        let text = self.tokens.word();
        let at = Instant::parse(text).filter(|_| text.len() > 10);
        let at = at.filter(|_| !(self.whole_seconds && text.contains('.')));
        at.map(|at| at.0).ok_or_else(|| invalid(&format!("'{text}' is not a time that is supported")))
    }

    fn text(&mut self) -> Result<String, Refusal> {
        self.tokens.quoted().ok_or_else(|| self.unexpected())
    }

    fn unexpected(&self) -> Refusal {
        invalid(&format!("unexpected '{}'", self.tokens.left()))
    }
}

fn invalid(what: &str) -> Refusal {
    Refusal::new(400, "BadRequest", &format!("Invalid filter clause: {what}."))
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
