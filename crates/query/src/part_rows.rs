//! The rows that a part of a view is made from, and the function by which SQL chooses them.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Date32Type, UInt64Type};
use copilot_lake_tables::Week;
use datafusion::common::{HashSet, Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// Which rows a part takes. Groups that have rows in several weeks are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenRows {
    /// Those of its weeks, and those that linked groups have elsewhere.
    WeeksAndLinks,
    /// Those of linked groups.
    Links,
    /// Those of its weeks, but not those of linked groups.
    WeeksWithoutLinks,
}

/// Rows by their group and their week: those of one share of the groups, so that what joins and aggregates hold fits in
/// memory however many rows a week has.
#[derive(Debug, Clone)]
pub(crate) struct PartRows {
    pub(crate) taken: TakenRows,
    /// The weeks of the part; `None`: all.
    pub(crate) weeks: Option<Arc<BTreeSet<Week>>>,
    /// The hashes of linked groups.
    pub(crate) groups: Arc<HashSet<u64>>,
    /// Which share of the groups it is, counted from 0.
    pub(crate) share: u64,
    /// How many shares there are, at least one.
    pub(crate) shares: u64,
}

impl PartRows {
    /// The name of [`PartRows::function`] in SQL.
    pub(crate) const FUNCTION: &str = "is_of_part";

    /// `is_of_part(group_hash, week_start)`: whether a row is among these.
    pub(crate) fn function(self) -> ScalarUDF {
        let signature = Signature::exact(vec![DataType::UInt64, DataType::Date32], Volatility::Immutable);
        ScalarUDF::new_from_impl(IsOfPart { rows: Arc::new(self), signature })
    }

    /// Whether the files of these weeks have other rows, too.
    pub(crate) fn leaves_out_some_of(&self, sources: &BTreeSet<Week>) -> bool {
        let is_whole = |weeks: &Arc<BTreeSet<Week>>| self.taken == TakenRows::WeeksAndLinks && sources.is_subset(weeks);
        self.shares > 1 || self.weeks.as_ref().is_some_and(|weeks| !is_whole(weeks))
    }

    fn has(&self, group: u64, week_start: Option<i32>) -> bool {
        let is_of_weeks = match (&self.weeks, week_start) {
            (Some(weeks), Some(day)) => weeks.contains(&Week::of_day(day)),
            _ => true,
        };
        let is_taken = match self.taken {
            TakenRows::WeeksAndLinks => is_of_weeks || self.groups.contains(&group),
            TakenRows::Links => self.groups.contains(&group),
            TakenRows::WeeksWithoutLinks => is_of_weeks && !self.groups.contains(&group),
        };
        is_taken && group % self.shares == self.share
    }
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
        let [groups, weeks] = args.args.as_slice() else {
            return exec_err!("{} needs two arguments", PartRows::FUNCTION);
        };
        let (groups, weeks) = (groups.to_array(args.number_rows)?, weeks.to_array(args.number_rows)?);
        let (groups, weeks) = (groups.as_primitive::<UInt64Type>(), weeks.as_primitive::<Date32Type>());
        let of_part = groups.values().iter().zip(weeks).map(|(group, week)| Some(self.rows.has(*group, week)));
        Ok(ColumnarValue::Array(Arc::new(of_part.collect::<BooleanArray>())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};

    use super::*;
    use crate::group_hash::hashes;

    #[test]
    fn a_row_is_of_one_share_and_of_the_weeks_unless_its_group_is_taken() {
        let week = Week::parse("2025-06-01").unwrap();
        let (own, other) = (Some(week.start_days()), Some(week.next().start_days()));
        let weeks = Some(Arc::new(BTreeSet::from([week])));
        let (any, linked) = (7, 8);
        let taken = TakenRows::WeeksAndLinks;
        let rows = PartRows { taken, weeks, groups: Arc::new(HashSet::from([linked])), share: 0, shares: 1 };
        assert!(rows.has(any, own) && rows.has(any, None) && rows.has(linked, other));
        assert!(!rows.has(any, other));
        assert!(!rows.leaves_out_some_of(&BTreeSet::from([week])));
        assert!(rows.leaves_out_some_of(&BTreeSet::from([week, week.next()])));
        let of_links = PartRows { taken: TakenRows::Links, ..rows.clone() };
        assert!(of_links.has(linked, own) && of_links.has(linked, other) && !of_links.has(any, own));
        let without = PartRows { taken: TakenRows::WeeksWithoutLinks, ..rows.clone() };
        assert!(without.has(any, own) && !without.has(any, other) && !without.has(linked, own));
        assert!([of_links, without].iter().all(|rows| rows.leaves_out_some_of(&BTreeSet::from([week]))));
        let of_shares = |group: u64| {
            let of_share = |share: &u64| PartRows { share: *share, shares: 3, ..rows.clone() }.has(group, own);
            (0..3).filter(of_share).collect::<Vec<_>>()
        };
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|at| format!("request {at}"))));
        let found: Vec<_> = hashes(&[keys]).unwrap().into_iter().map(of_shares).collect();
        assert!(found.iter().all(|shares| shares.len() == 1), "{found:?}");
        assert_eq!(found.iter().flatten().collect::<BTreeSet<_>>().len(), 3);
    }
}
