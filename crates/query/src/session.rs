//! A session: the lake as its log had it at one moment, with the shipped views and functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use copilot_lake_tables::{TABLES, Table, Week};
use copilot_lake_writer::{Lake, LakeFile};
use datafusion::dataframe::DataFrame;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use url::Url;

use crate::division::Division;
use crate::engine::{self, MEMORY, QueryMemory};
use crate::error::{Error, is_of_table};
use crate::fallible::FallibleParts;
use crate::functions::{JsonOperators, aggregate_functions, functions};
use crate::group_hash::group_hash;
use crate::lake_table::{LakeTable, STORE};
use crate::one_row::JoinWithOneRow;
use crate::part_rows::PartRows;
use crate::shipped::{self, QUERIES, Shipped, VIEWS};
use crate::statement::{Headings, is_read, is_show_tables, write_out};
use crate::stored_view::stored_view;
use crate::time_text::WrittenOutTimes;
#[cfg(feature = "workers")]
use crate::workers::client::Workers;

/// Rows of a batch in a session over chosen files. Sorts and aggregates hold some batches of each file that they spilled.
const BATCH_ROWS: usize = 2_048;

/// `SHOW TABLES`: tables, views and shipped queries.
const TABLE_NAMES: &str =
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name";

/// The lake, ready for queries: as its log was when the session was opened. Read-only.
pub struct Session {
    context: SessionContext,
}

/// The result of a query while it is computed: batches of these columns, in order.
pub struct ResultRows {
    /// The columns of every batch.
    pub schema: SchemaRef,
    /// The batches. An error ends them.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl ResultRows {
    /// Waits for every batch.
    pub async fn collect(self) -> Result<Vec<RecordBatch>, Error> {
        self.batches.try_collect().await
    }
}

impl Session {
    /// Reads the logs of every table and registers tables, views and functions.
    ///
    /// `params` are what `getvariable('name')` finds in SQL. `current` are the materialized views whose stored rows are what
    /// their SQL answers now: these rows are read, and those of other views are computed.
    pub async fn open(
        lake: &Lake,
        params: &BTreeMap<String, String>,
        current: &[&'static Table],
    ) -> Result<Self, Error> {
        let session = Self::of_tables(files(lake).await, lake.store(), params, QueryMemory::shared(MEMORY))?;
        let mut stored = BTreeMap::new();
        for &view in current {
            stored.insert(view.name, LakeTable::new(view, lake.files(view).await?));
        }
        session.register_views(stored).await
    }

    /// A session over a lake without rows: which columns views and queries have follows from the definitions alone.
    pub async fn of_definitions() -> Result<Self, Error> {
        let tables = TABLES.iter().filter(|table| table.view_of().is_none());
        let tables = tables.map(|table| (*table, Ok(Vec::new()))).collect();
        let memory = QueryMemory::shared(MEMORY);
        let session = Self::of_tables(tables, Arc::new(InMemory::new()), &BTreeMap::new(), memory)?;
        session.register_views(BTreeMap::new()).await
    }

    /// The session with workers that compute its queries.
    #[cfg(feature = "workers")]
    pub fn on(self, workers: &Workers) -> Result<Self, Error> {
        let state = workers.distribute(self.context.state());
        let state = state.map_err(|error| Error::running(&error, FallibleParts::default))?;
        Ok(Self { context: SessionContext::new_with_state(state) })
    }

    /// A session without views, which have to be registered, over the files of those tables and weeks that are to be read.
    /// Its joins hold the side that is written first in memory: sizes of what is grouped and filtered are guesses.
    pub(crate) async fn over_files(
        lake: &Lake,
        memory: QueryMemory,
        is_read: impl Fn(&Table, Option<Week>) -> bool,
    ) -> Result<Self, Error> {
        let mut tables = files(lake).await;
        for (table, files) in &mut tables {
            if let Ok(files) = files {
                files.retain(|file| is_read(table, file.week));
            }
        }
        let session = Self::of_tables(tables, lake.store(), &BTreeMap::new(), memory)?;
        session.limit_memory();
        session.context.register_udf(group_hash());
        Ok(session)
    }

    /// Lets queries take no more memory than their text and the session's memory say.
    fn limit_memory(&self) {
        let state = self.context.state_ref();
        let mut state = state.write();
        let config = state.config_mut();
        *config = std::mem::take(config).with_batch_size(BATCH_ROWS);
        let options = config.options_mut();
        options.optimizer.join_reordering = false;
        // Each partition takes its share of the memory, and bringing the rows of a group together from several takes a third
        // more CPU.
        options.execution.target_partitions = 1;
    }

    /// Registers the files of a table under another name.
    pub(crate) fn register_files(&self, name: &str, table: &'static Table, files: Vec<LakeFile>) -> Result<(), Error> {
        let provider = Arc::new(LakeTable::new(table, files));
        self.context.register_table(name, provider).map_err(|error| Error::parsing(&error))?;
        Ok(())
    }

    /// Registers the function that chooses the rows of a part.
    pub(crate) fn register_part(&self, rows: PartRows) {
        self.context.register_udf(rows.function());
    }

    /// Lets queries see only some rows of a table. `sql`: those, out of the table, which is called `all` from now on.
    pub(crate) async fn restrict(&self, table: &str, all: &str, sql: &str) -> Result<(), Error> {
        let Some(provider) = self.context.deregister_table(table).map_err(|error| Error::parsing(&error))? else {
            return Ok(());
        };
        self.context.register_table(all, provider).map_err(|error| Error::parsing(&error))?;
        self.register_sql(table, sql).await
    }

    /// Registers the rows of a text under a name.
    pub(crate) async fn register_sql(&self, name: &str, sql: &str) -> Result<(), Error> {
        let rows = self.context.sql(sql).await.map_err(|error| Error::parsing(&error))?;
        self.context.register_table(name, rows.into_view()).map_err(|error| Error::parsing(&error))?;
        Ok(())
    }

    /// A session over these files, whose paths start at the store's root.
    #[cfg(test)]
    pub(crate) async fn over(
        tables: Vec<(&'static Table, Vec<LakeFile>)>,
        store: Arc<dyn ObjectStore>,
        params: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let tables = tables.into_iter().map(|(table, files)| (table, Ok(files))).collect();
        let session = Self::of_tables(tables, store, params, QueryMemory::shared(MEMORY))?;
        session.register_views(BTreeMap::new()).await
    }

    /// Registers tables; one that cannot be read fails only the queries that use it.
    fn of_tables(
        tables: Vec<(&'static Table, Result<Vec<LakeFile>, copilot_lake_writer::Error>)>,
        store: Arc<dyn ObjectStore>,
        params: &BTreeMap<String, String>,
        memory: QueryMemory,
    ) -> Result<Self, Error> {
        let mut context = context(memory).map_err(|error| Error::running(&error, FallibleParts::default))?;
        let root = Url::parse(STORE).map_err(|error| Error::Run(error.to_string()))?;
        context.register_object_store(&root, store);
        for function in functions(params) {
            context.register_udf(function);
        }
        for aggregate in aggregate_functions() {
            context.register_udaf(aggregate);
        }
        for operators in [Arc::new(Division) as Arc<dyn ExprPlanner>, Arc::new(JsonOperators)] {
            context.register_expr_planner(operators).map_err(|error| Error::parsing(&error))?;
        }
        context.register_function_rewrite(Arc::new(WrittenOutTimes)).map_err(|error| Error::parsing(&error))?;
        for (table, files) in tables {
            let provider = Arc::new(match files {
                Ok(files) => LakeTable::new(table, files),
                Err(error) if is_of_table(&error) => LakeTable::unreadable(table, error),
                Err(error) => return Err(error.into()),
            });
            context.register_table(table.name, provider).map_err(|error| Error::parsing(&error))?;
        }
        Ok(Self { context })
    }

    /// Registers the shipped views, some over their stored rows.
    async fn register_views(self, mut stored: BTreeMap<&str, LakeTable>) -> Result<Self, Error> {
        for view in VIEWS {
            match stored.remove(view.name) {
                Some(rows) => self.register_stored(view, rows).await?,
                None => self.register(view).await?,
            }
        }
        Ok(self)
    }

    /// Registers a view over its stored rows, which look as if its SQL had computed them.
    async fn register_stored(&self, view: &Shipped, rows: LakeTable) -> Result<(), Error> {
        let computed = self.context.sql(view.sql).await.map_err(|error| Error::parsing(&error))?;
        let (state, plan) = computed.into_parts();
        // Types are final once casts that the text implies are written out.
        let computed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {});
        let stored = computed.and_then(|computed| stored_view(view.name, rows, computed.schema()));
        let stored = DataFrame::new(state, stored.map_err(|error| Error::parsing(&error))?);
        self.context.register_table(view.name, stored.into_view()).map_err(|error| Error::parsing(&error))?;
        Ok(())
    }

    /// The complete result of a query, with its columns.
    ///
    /// The text is one read-only statement: no `CREATE`, `INSERT`, `COPY` or `SET`.
    pub async fn sql(&self, text: &str) -> Result<(SchemaRef, Vec<RecordBatch>), Error> {
        let rows = self.rows(text).await?;
        Ok((Arc::clone(&rows.schema), rows.collect().await?))
    }

    /// The result of a query while it is computed. Takes the same text as [`Session::sql`].
    pub async fn rows(&self, text: &str) -> Result<ResultRows, Error> {
        let (plan, headings) = self.plan(text).await?;
        let query = plan.clone();
        let parts = move || FallibleParts::in_query(query.clone());
        let stream = plan.execute_stream().await.map_err(|error| Error::planning(&error, &parts))?;
        let schema = headings.applied_to(&stream.schema());
        let named = Arc::clone(&schema);
        let batches = stream.map(move |batch| {
            let batch = batch.map_err(|error| Error::running(&error, &parts))?;
            let named = RecordBatch::try_new(Arc::clone(&named), batch.columns().to_vec());
            named.map_err(|error| Error::running(&error.into(), &parts))
        });
        Ok(ResultRows { schema, batches: batches.boxed() })
    }

    /// The physical plan of a query as an indented tree, with the files that it would read.
    pub async fn explain(&self, text: &str) -> Result<String, Error> {
        let (plan, _) = self.plan(text).await?;
        let query = plan.clone();
        let plan = plan.create_physical_plan().await;
        let plan = plan.map_err(|error| Error::planning(&error, || FallibleParts::in_query(query)))?;
        Ok(datafusion::physical_plan::displayable(plan.as_ref()).indent(true).to_string())
    }

    /// The plan of a text, and what its columns are called.
    async fn plan(&self, text: &str) -> Result<(DataFrame, Headings), Error> {
        let state = self.context.state();
        let dialect = state.config_options().sql_parser.dialect;
        let parse = |text: &str| state.sql_to_statement(text, &dialect).map_err(|error| Error::parsing(&error));
        let mut parsed = parse(text)?;
        if !is_read(&parsed) {
            let what = "the lake is read-only: only queries run, which begin with SELECT, FROM or WITH";
            return Err(Error::Question(what.to_owned()));
        }
        let lists_tables = matches!(&parsed, Statement::Statement(statement) if is_show_tables(statement));
        let text = if lists_tables { TABLE_NAMES } else { text };
        if lists_tables {
            parsed = parse(text)?;
        }
        self.register_queries_in(text).await?;
        let headings = match &mut parsed {
            Statement::Statement(statement) => {
                write_out(statement);
                Headings::written_in(statement)
            }
            _ => Headings::default(),
        };
        let plan = state.statement_to_plan(parsed).await;
        let plan = plan.map_err(|error| Error::parsing(&error).in_text(text, || function_names(&state)))?;
        let reads_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads_only.verify_plan(&plan).map_err(|error| Error::parsing(&error))?;
        if plan.schema().fields().is_empty() {
            return Err(Error::Question("the text selects no column".to_owned()));
        }
        let plan = self.context.execute_logical_plan(plan).await.map_err(|error| Error::parsing(&error))?;
        Ok((plan, headings))
    }

    /// Registers the shipped queries that a text may use as tables, or list. Planning all of them would take longer than
    /// most queries run.
    async fn register_queries_in(&self, text: &str) -> Result<(), Error> {
        let text = text.to_lowercase();
        let lists_all = text.contains("information_schema");
        for query in QUERIES.iter().filter(|query| lists_all || text.contains(query.name)) {
            self.register(query).await?;
        }
        Ok(())
    }

    /// Registers a shipped query or view, after those that it reads.
    pub(crate) async fn register(&self, query: &Shipped) -> Result<(), Error> {
        if self.context.table_exist(query.name).map_err(|error| Error::parsing(&error))? {
            return Ok(());
        }
        let shipped = |name: &str| shipped::query(name).or_else(|| shipped::view(name));
        for other in query.tables().into_iter().filter_map(shipped) {
            Box::pin(self.register(other)).await?;
        }
        self.register_sql(query.name, query.sql).await
    }
}

/// The functions that a text can call.
fn function_names(state: &SessionState) -> Vec<String> {
    let scalar = state.scalar_functions().keys();
    scalar.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys()).cloned().collect()
}

/// The files of every table but materialized views, which may be behind what they are made from.
async fn files(lake: &Lake) -> Vec<(&'static Table, Result<Vec<LakeFile>, copilot_lake_writer::Error>)> {
    let mut tables = Vec::with_capacity(TABLES.len());
    for table in TABLES.iter().filter(|table| table.view_of().is_none()) {
        tables.push((*table, lake.files(table).await));
    }
    tables
}

fn context(memory: QueryMemory) -> datafusion::error::Result<SessionContext> {
    let mut config = SessionConfig::new().with_information_schema(true);
    engine::set_options(config.options_mut(), memory.spillable);
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(JoinWithOneRow)];
    rules.extend(Optimizer::new().rules);
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(memory.runtime()?)
        .with_default_features()
        .with_optimizer_rules(rules)
        .build();
    Ok(SessionContext::new_with_state(state))
}
