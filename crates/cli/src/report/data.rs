//! The numbers of the page as JSON, for its script and for other programs.

use serde_json::{Value as Json, json};

use super::answer::Value;
use super::numbers::Unit;
use super::table::{ReportTable, text};
use crate::output::printable::escaped_json;

/// The tables by the ids of their charts, as JSON that ends no element and no line of a script.
pub(super) fn data<'a>(tables: impl Iterator<Item = (&'a str, &'a ReportTable)>) -> String {
    let tables: serde_json::Map<_, _> = tables.map(|(id, table)| (id.to_owned(), of_table(table))).collect();
    embedded(&Json::Object(tables))
}

fn of_table(table: &ReportTable) -> Json {
    let columns: Vec<_> =
        table.columns.iter().map(|column| json!([text(&column.heading), unit(column.unit)])).collect();
    let rows: Vec<_> = table.rows.iter().map(|row| row.iter().map(of_value).collect::<Json>()).collect();
    json!({ "columns": columns, "rows": rows })
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(words) => json!(text(words)),
        Value::Count(count) => json!(count),
        Value::Number(number) => json!(number),
        Value::Day(day) => json!(day.to_string()),
        Value::Moment(moment) => json!(moment.to_string()),
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Plain => "",
        Unit::Count => "count",
        Unit::Percent => "percent",
        Unit::Hours => "hours",
        Unit::Seconds => "seconds",
    }
}

/// JSON inside an HTML element: no tag, entity, comment or line separator can begin in it.
fn embedded(value: &Json) -> String {
    let json = value.to_string();
    escaped_json(&json).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_json_is_the_same_value_and_ends_nothing() {
        let value = json!({"a": "</script><!--&amp;\u{2028}\u{202e}\n", "b": [1.5, null]});
        let text = embedded(&value);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{202e}', '\n']), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), value);
    }
}
