//! A table of the lake for DataFusion: the files that its log has committed, read as Parquet.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use copilot_lake_tables::{Table, WEEK_START};
use copilot_lake_writer::LakeFile;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path;

/// Where the lake's store is registered: file paths below it start with the table's name.
pub(crate) const STORE: &str = "lake://lake/";

/// A table as the log had it when the session was opened.
#[derive(Debug)]
pub(crate) struct LakeTable {
    table: &'static Table,
    schema: TableSchema,
    files: Vec<LakeFile>,
    /// Why it cannot be read.
    unreadable: Option<Arc<copilot_lake_writer::Error>>,
}

impl LakeTable {
    pub(crate) fn new(table: &'static Table, files: Vec<LakeFile>) -> Self {
        let weeks = table.is_partitioned().then(|| Arc::new(Field::new(WEEK_START, DataType::Date32, true)));
        let schema = TableSchema::builder(Arc::clone(table.layout().schema()))
            .with_table_partition_cols(weeks.into_iter().collect::<Vec<_>>())
            .build();
        Self { table, schema, files, unreadable: None }
    }

    /// A table whose log cannot be read; scanning it returns the error.
    pub(crate) fn unreadable(table: &'static Table, error: copilot_lake_writer::Error) -> Self {
        Self { unreadable: Some(Arc::new(error)), ..Self::new(table, vec![]) }
    }

    /// Whether a condition depends on the week alone, so that pruning files applies it in full.
    fn is_about_weeks(&self, filter: &Expr) -> bool {
        self.table.is_partitioned() && expr_applicable_for_cols(&[WEEK_START], filter) && !filter.is_volatile()
    }

    /// The files whose week meets every condition on the week alone.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&LakeFile>> {
        let mut files: Vec<_> = self.files.iter().collect();
        let schema = Arc::new(Schema::new(vec![Field::new(WEEK_START, DataType::Date32, true)]));
        let names = DFSchema::try_from(Arc::clone(&schema))?;
        for filter in filters.iter().filter(|filter| self.is_about_weeks(filter)) {
            let weeks: Date32Array = files.iter().map(|file| file.week.map(|week| week.start_days())).collect();
            let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(weeks) as ArrayRef])?;
            let met = state.create_physical_expr(filter.clone(), &names)?.evaluate(&rows)?.into_array(files.len())?;
            let mut met = met.as_boolean().iter();
            files.retain(|_| met.next().flatten().unwrap_or(false));
        }
        Ok(files)
    }

    fn partitioned_file(&self, file: &LakeFile) -> Result<PartitionedFile> {
        let mut known = Statistics::new_unknown(self.schema.file_schema());
        known.num_rows = rows(file.rows);
        let meta = ObjectMeta {
            location: Path::parse(&file.path)?,
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: file.size,
            e_tag: None,
            version: None,
        };
        let week = ScalarValue::Date32(file.week.map(|week| week.start_days()));
        Ok(PartitionedFile::new_from_meta(meta)
            .with_partition_values(self.table.is_partitioned().then_some(week).into_iter().collect())
            .with_statistics(Arc::new(known)))
    }
}

/// The row count of the log. Files are never empty, so 0 means that another writer did not record it.
fn rows(count: u64) -> Precision<usize> {
    match usize::try_from(count) {
        Ok(count) if count > 0 => Precision::Exact(count),
        _ => Precision::Absent,
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// An empty relation if there are no files, so that the planner removes joins with it.
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        if !self.files.is_empty() || self.unreadable.is_some() {
            return None;
        }
        let schema = Arc::new(DFSchema::try_from(self.schema()).ok()?);
        Some(Cow::Owned(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match self.is_about_weeks(filter) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(error) = &self.unreadable {
            return Err(DataFusionError::External(Box::new(Arc::clone(error))));
        }
        let files = self.prune(state, filters)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let mut known = Statistics::new_unknown(self.schema.table_schema());
        known.num_rows = files.iter().map(|file| rows(file.rows)).reduce(|a, b| a.add(&b)).unwrap_or_default();
        let files = files.into_iter().map(|file| self.partitioned_file(file)).collect::<Result<Vec<_>>>()?;
        let source =
            ParquetSource::new(self.schema.clone()).with_table_parquet_options(state.default_table_options().parquet);
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, Arc::new(source))
            .with_file_groups(FileGroup::new(files).split_files(state.config().target_partitions()))
            .with_statistics(known)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
