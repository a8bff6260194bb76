//! The parameters that any SQL takes.

use crate::parameter::Parameter;
use crate::shipped::QUERIES;

/// The parameters that a text takes.
#[derive(Debug, Default)]
pub struct TextParameters<'a> {
    /// Those of the shipped queries that it names.
    pub of_queries: Vec<Parameter>,
    /// Those that it reads itself, by `getvariable('name')`.
    pub variables: Vec<&'a str>,
}

impl<'a> TextParameters<'a> {
    /// Those of any SQL; `None` if it reads one whose name is not written out. Comments count as text: a parameter too
    /// many is accepted rather than one too few.
    pub fn parse(sql: &'a str) -> Option<Self> {
        let lower_case = sql.to_ascii_lowercase();
        let mut found = Self::default();
        let words: Vec<_> = lower_case.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for parameter in QUERIES.iter().filter(|query| words.contains(&query.name)).flat_map(|query| query.parameters())
        {
            if !found.of_queries.iter().any(|other| other.name == parameter.name) {
                found.of_queries.push(parameter);
            }
        }
        for (at, function) in lower_case.match_indices("getvariable") {
            let arguments = sql[at + function.len()..].trim_start().strip_prefix('(')?.trim_start();
            let (name, rest) = arguments.strip_prefix('\'')?.split_once('\'')?;
            if !rest.trim_start().starts_with(')') {
                return None;
            }
            found.variables.push(name);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_what_its_queries_and_its_own_calls_take() {
        let names = |sql| {
            let found = TextParameters::parse(sql)?;
            let of_queries = found.of_queries.iter().map(|parameter| parameter.name);
            Some(of_queries.chain(found.variables).map(str::to_owned).collect::<Vec<_>>())
        };
        let none: Option<Vec<String>> = Some(Vec::new());
        assert_eq!(names("select * from payload"), none);
        assert_eq!(names("select * from M365_Unused_Licences"), Some(vec!["tz".to_owned(), "idle_days".to_owned()]));
        // The name of another query is no part of it.
        assert_eq!(names("select * from m365_retention_of_mine"), none);
        assert_eq!(
            names("select GetVariable ( 'a' ), getvariable('B') from transcript"),
            Some(["id", "a", "B"].map(str::to_owned).to_vec())
        );
        assert_eq!(names("select getvariable('a' || 'b')"), None);
        assert_eq!(names("select getvariable(name) from t"), None);
    }
}
