//! Casts to the metadata types that hold the options of choice columns.

use copilot_lake_tables::{Column, Type};

/// The metadata type that holds the options of a choice column, and what to expand of it. A cast to their common base
/// type is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChoiceCast {
    pub(crate) ty: &'static str,
    pub(crate) expand: &'static str,
}

pub(crate) const PICKLIST: ChoiceCast =
    ChoiceCast { ty: "PicklistAttributeMetadata", expand: "OptionSet,GlobalOptionSet" };
pub(crate) const STATE: ChoiceCast = ChoiceCast { ty: "StateAttributeMetadata", expand: "OptionSet" };
pub(crate) const STATUS: ChoiceCast = ChoiceCast { ty: "StatusAttributeMetadata", expand: "OptionSet" };

impl ChoiceCast {
    pub(crate) fn for_column(column: &Column) -> Option<Self> {
        match (column.ty, column.wire) {
            (Type::Choice(_), "statecode") => Some(STATE),
            (Type::Choice(_), "statuscode") => Some(STATUS),
            (Type::Choice(_), _) => Some(PICKLIST),
            _ => None,
        }
    }
}
