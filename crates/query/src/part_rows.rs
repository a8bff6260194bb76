//! The rows that a part of a view is made from, and the function by which SQL chooses them.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Date32Type};
use copilot_lake_tables::Week;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Rows by their group and their week: those of one share of the groups, so that what joins and aggregates hold fits in
/// memory however many rows a week has.
#[derive(Debug, Clone)]
pub(crate) struct PartRows {
    /// The weeks whose rows are taken; `None`: all.
    pub(crate) weeks: Option<Arc<BTreeSet<Week>>>,
    /// The keys of groups whose rows are taken from other weeks, too.
    pub(crate) groups: Arc<HashSet<String>>,
    /// Which share of the groups it is, counted from 0.
    pub(crate) share: u64,
    /// How many shares there are, at least one.
    pub(crate) shares: u64,
}

impl PartRows {
    /// The name of [`PartRows::function`] in SQL.
    pub(crate) const FUNCTION: &str = "is_of_part";

    /// `is_of_part(group_key, week_start)`: whether a row is among these.
    pub(crate) fn function(self) -> ScalarUDF {
        let signature = Signature::exact(vec![DataType::Utf8, DataType::Date32], Volatility::Immutable);
        ScalarUDF::new_from_impl(IsOfPart { rows: Arc::new(self), signature })
    }

    /// Whether the files of these weeks have other rows, too.
    pub(crate) fn leaves_out_some_of(&self, sources: &BTreeSet<Week>) -> bool {
        self.shares > 1 || self.weeks.as_ref().is_some_and(|weeks| !sources.is_subset(weeks))
    }

    fn has(&self, key: &str, week_start: Option<i32>) -> bool {
        let is_of_weeks = match (&self.weeks, week_start) {
            (Some(weeks), Some(day)) => weeks.contains(&Week::of_day(day)),
            _ => true,
        };
        (is_of_weeks || self.groups.contains(key)) && share(key, self.shares) == self.share
    }
}

fn share(key: &str, shares: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % shares
}

#[derive(Debug)]
struct IsOfPart {
    rows: Arc<PartRows>,
    signature: Signature,
}

/// Functions of different parts differ; comparing their groups would take long.
impl PartialEq for IsOfPart {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rows, &other.rows)
    }
}

impl Eq for IsOfPart {}

impl Hash for IsOfPart {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.rows).hash(state);
    }
}

impl ScalarUDFImpl for IsOfPart {
    fn name(&self) -> &str {
        PartRows::FUNCTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [keys, weeks] = args.args.as_slice() else {
            return exec_err!("{} needs two arguments", PartRows::FUNCTION);
        };
        let (keys, weeks) = (keys.to_array(args.number_rows)?, weeks.to_array(args.number_rows)?);
        let (keys, weeks) = (keys.as_string::<i32>(), weeks.as_primitive::<Date32Type>());
        let of_part = keys.iter().zip(weeks).map(|(key, week)| Some(self.rows.has(key.unwrap_or_default(), week)));
        Ok(ColumnarValue::Array(Arc::new(of_part.collect::<BooleanArray>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_of_one_share_and_of_the_weeks_unless_its_group_is_taken() {
        let week = Week::parse("2025-06-01").unwrap();
        let (own, other) = (Some(week.start_days()), Some(week.next().start_days()));
        let weeks = Some(Arc::new(BTreeSet::from([week])));
        let groups = Arc::new(HashSet::from(["linked".to_owned()]));
        let rows = PartRows { weeks, groups, share: 0, shares: 1 };
        assert!(rows.has("any", own) && rows.has("any", None) && rows.has("linked", other));
        assert!(!rows.has("any", other));
        assert!(!rows.leaves_out_some_of(&BTreeSet::from([week])));
        assert!(rows.leaves_out_some_of(&BTreeSet::from([week, week.next()])));
        let of_shares = |key: &str| {
            let of_share = |share: &u64| PartRows { share: *share, shares: 3, ..rows.clone() }.has(key, own);
            (0..3).filter(of_share).collect::<Vec<_>>()
        };
        let found: Vec<_> = (0..100).map(|number| of_shares(&format!("request {number}"))).collect();
        assert!(found.iter().all(|shares| shares.len() == 1), "{found:?}");
        assert_eq!(found.iter().flatten().collect::<BTreeSet<_>>().len(), 3);
    }
}
