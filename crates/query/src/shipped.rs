//! The shipped SQL: queries and views, each a file whose header documents it.

/// A file below `queries/`: one statement, the same text for DataFusion and DuckDB.
#[derive(Debug)]
pub struct Shipped {
    /// Its name: that of the file, without extension.
    pub name: &'static str,
    /// The whole file, header included.
    pub sql: &'static str,
}

/// A parameter of a shipped query.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in `getvariable('name')`.
    pub name: &'static str,
    /// What it means, its values and its default.
    pub doc: String,
}

/// The queries, in the order in which they are listed.
pub static QUERIES: &[Shipped] = &[
    Shipped { name: "feedback_rates", sql: include_str!("../../../queries/feedback_rates.sql") },
    Shipped { name: "scenario_usage", sql: include_str!("../../../queries/scenario_usage.sql") },
];

/// The views, each after those that it uses.
pub static VIEWS: &[Shipped] =
    &[Shipped { name: "copilot_activity", sql: include_str!("../../../queries/views/copilot_activity.sql") }];

/// The shipped query of that name.
pub fn query(name: &str) -> Option<&'static Shipped> {
    QUERIES.iter().find(|query| query.name == name)
}

impl Shipped {
    /// One line: what it shows.
    pub fn title(&self) -> &'static str {
        self.section("title").next().unwrap_or(self.name)
    }

    /// What question it answers, in a few sentences on one line.
    pub fn answers(&self) -> String {
        self.section("answers").collect::<Vec<_>>().join(" ")
    }

    /// The tables and views that it reads.
    pub fn tables(&self) -> Vec<&'static str> {
        self.section("tables").flat_map(|line| line.split(',')).map(str::trim).collect()
    }

    /// Its parameters; each has a default.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for line in self.section("parameters").filter(|line| *line != "none") {
            match (line.split_once(": "), parameters.last_mut()) {
                (Some((name, doc)), _) if !name.contains(' ') => {
                    parameters.push(Parameter { name, doc: doc.to_owned() });
                }
                (_, Some(last)) => {
                    last.doc.push(' ');
                    last.doc.push_str(line);
                }
                _ => {}
            }
        }
        parameters
    }

    /// The lines of one section of the header: what follows `-- <name>:`, and the indented lines below it.
    pub(crate) fn section(&self, name: &str) -> impl Iterator<Item = &'static str> + use<> {
        let start = format!("-- {name}:");
        let mut header = self.sql.lines().take_while(|line| line.starts_with("--"));
        let first = header.by_ref().find_map(|line| line.strip_prefix(&start));
        let rest = header.take_while(|line| line.starts_with("--  "));
        first.into_iter().chain(rest.map(|line| &line[2..])).map(str::trim).filter(|line| !line.is_empty())
    }
}
