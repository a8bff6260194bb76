//! How DataFusion is set up, wherever parts of a query run.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

/// Memory for sorts and aggregates before they spill to temporary files; reading files needs more on top.
pub(crate) const MEMORY: usize = 2 << 30;

/// Sets options, with that much memory before queries spill.
pub(crate) fn set_options(options: &mut ConfigOptions, memory: usize) {
    // Plain strings everywhere, so that results have the types that the tables declare.
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // Most columns are decoded only where the condition on another one is met: events are filtered by kind.
    options.execution.parquet.pushdown_filters = true;
    // Nanoseconds, the default, end in the year 2262.
    options.execution.parquet.coerce_int96 = Some("us".to_owned());
    // The zone of casts from an instant to a date or a text; local times come from timezone().
    options.execution.time_zone = Some("UTC".to_owned());
    // A shipped query keeps its order when it is read as a table, as in DuckDB.
    options.sql_parser.enable_subquery_sort_elimination = false;
    // As in DuckDB, whatever the direction.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    // What each sort keeps for merging, in every partition: a query has several.
    let partitions = options.execution.target_partitions.max(1);
    let kept = &mut options.execution.sort_spill_reservation_bytes;
    *kept = (*kept).min(memory / 16 / partitions);
}

/// What queries share: that much memory before they spill, and stores.
pub(crate) fn runtime(memory: usize) -> Result<Arc<RuntimeEnv>> {
    RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(memory))).build_arc()
}
