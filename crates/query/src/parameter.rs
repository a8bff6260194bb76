//! Parameters of queries: what a value may be.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{Date32Type, Int32Type};

/// A parameter of a shipped query.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in `getvariable('name')`.
    pub name: &'static str,
    /// What its value may be.
    pub ty: ParameterType,
    /// What it is where it is not given; `None` if the query does without.
    pub default: Option<&'static str>,
    /// What it means.
    pub doc: String,
}

/// What the value of a parameter may be, by its word in the header of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// `date`.
    Date,
    /// `number`: a whole one.
    Number,
    /// `time zone`: an IANA name or an offset.
    TimeZone,
    /// `weekday`: one that weeks may begin with.
    Weekday,
    /// `yes or no`.
    YesOrNo,
    /// `text`: any.
    Text,
}

impl ParameterType {
    const ALL: [Self; 6] = [Self::Date, Self::Number, Self::TimeZone, Self::Weekday, Self::YesOrNo, Self::Text];

    /// The type of that word.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ty| ty.name() == word)
    }

    /// Its word in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Number => "number",
            Self::TimeZone => "time zone",
            Self::Weekday => "weekday",
            Self::YesOrNo => "yes or no",
            Self::Text => "text",
        }
    }

    /// What a value is, with an article: `a date such as 2026-10-01`.
    pub fn description(self) -> &'static str {
        match self {
            Self::Date => "a date such as 2026-10-01",
            Self::Number => "a whole number such as 30",
            Self::TimeZone => "a time zone such as Europe/Berlin",
            Self::Weekday => "sunday or monday",
            Self::YesOrNo => "yes or no",
            Self::Text => "a text",
        }
    }

    /// Whether a value is of this type: whether the casts and functions of the queries take it.
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Date => Date32Type::parse(value).is_some(),
            Self::Number => Int32Type::parse(value).is_some(),
            Self::TimeZone => value.parse::<Tz>().is_ok(),
            Self::Weekday => matches!(value, "sunday" | "monday"),
            Self::YesOrNo => matches!(value, "yes" | "no"),
            Self::Text => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_as_the_queries_cast_them() {
        use ParameterType::{Date, Number, Text, TimeZone, Weekday, YesOrNo};
        for (ty, good, bad) in [
            (Date, ["2026-10-01", "2024-02-29"], ["Oct", "2026-10", "01.10.2026", "2026-02-30", ""]),
            (Number, ["30", "-1"], ["abc", "1.5", "30 days", "99999999999", ""]),
            (TimeZone, ["Europe/Berlin", "+05:30"], ["Berlin", "Europe", "CEST", "1", ""]),
            (Weekday, ["sunday", "monday"], ["Monday", "tuesday", "mon", "1", ""]),
            (YesOrNo, ["yes", "no"], ["Yes", "true", "false", "1", ""]),
        ] {
            for value in good {
                assert!(ty.accepts(value), "{ty:?} {value}");
            }
            for value in bad {
                assert!(!ty.accepts(value), "{ty:?} {value}");
            }
            assert_eq!(ParameterType::named(ty.name()), Some(ty));
        }
        assert!(Text.accepts(""));
        assert_eq!(ParameterType::named("datum"), None);
    }
}
