//! Functions that bear the same name in DuckDB: built in there, or a macro of [`MACROS`]. They know no table.

mod aggregates;
mod date_diff;
mod date_parts;
mod days;
mod getvariable;
mod json;
mod seconds;
mod timezone;

use std::collections::BTreeMap;

use datafusion::functions::datetime::to_char;
use datafusion::functions::regex::regexp_like;
use datafusion::functions_nested::string::string_to_array_udf;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

pub(crate) use self::json::JsonOperators;
pub use self::timezone::local_time;

/// What DuckDB lacks of [`functions`], as macros.
pub(crate) const MACROS: &[&str] = &[days::LOCAL_DAY, days::WEEK_OF, days::LAKE_WEEK, seconds::SECONDS_BETWEEN];

/// Every function, over these parameters of the session.
pub(crate) fn functions(params: &BTreeMap<String, String>) -> Vec<ScalarUDF> {
    let mut functions = vec![
        getvariable::getvariable(params),
        timezone::timezone(),
        days::local_day(),
        days::week_of(),
        days::lake_week(),
        seconds::seconds_between(),
        json::json_extract_string(),
        json::json_extract(),
        date_diff::date_diff(),
        ScalarUDF::clone(&to_char()).with_aliases(["strftime"]),
        ScalarUDF::clone(&string_to_array_udf()).with_aliases(["string_split"]),
        ScalarUDF::clone(&regexp_like()).with_aliases(["regexp_matches"]),
    ];
    functions.extend(date_parts::date_parts());
    functions
}

/// Every aggregate.
pub(crate) fn aggregate_functions() -> impl Iterator<Item = AggregateUDF> {
    aggregates::aggregates()
}
