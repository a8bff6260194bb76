//! How DataFusion is set up, wherever parts of a query run.

use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::split_memory::SplitMemoryPool;

/// Memory for joins, and for sorts and aggregates before they spill to temporary files; reading files needs more on top.
pub(crate) const MEMORY: usize = 2 << 30;

/// Memory that queries may reserve.
#[derive(Debug)]
pub(crate) struct QueryMemory {
    /// What sorts and aggregates have at most before they spill.
    pub(crate) spillable: usize,
    pool: Arc<dyn MemoryPool>,
}

impl QueryMemory {
    /// So many bytes, which joins share with sorts and aggregates.
    pub(crate) fn shared(bytes: usize) -> Self {
        Self { spillable: bytes, pool: Arc::new(FairSpillPool::new(bytes)) }
    }

    /// So many bytes for sorts and aggregates, and so many more for joins and whatever else cannot spill.
    pub(crate) fn split(spillable: usize, unspillable: usize) -> Self {
        Self { spillable, pool: Arc::new(SplitMemoryPool::new(spillable, unspillable)) }
    }

    /// What queries share: this memory, and stores.
    pub(crate) fn runtime(self) -> Result<Arc<RuntimeEnv>> {
        RuntimeEnvBuilder::new().with_memory_pool(self.pool).build_arc()
    }
}

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
