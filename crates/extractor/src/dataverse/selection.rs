//! Selections: which columns of a table are requested.

use std::collections::HashSet;

use copilot_lake_tables::Table;

/// The columns to request, by wire name: properties, and annotations of properties such as
/// `_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In the order of the definition; unknown ones follow, sorted.
    wires: Vec<String>,
}

impl Selection {
    /// Every column of the definition.
    pub fn all(table: &Table) -> Self {
        Self { wires: table.columns.iter().map(|column| column.wire.to_owned()).collect() }
    }

    /// The key columns only.
    pub fn key_columns(table: &Table) -> Self {
        let key = table.columns.iter().filter(|column| table.key.contains(&column.name));
        Self { wires: key.map(|column| column.wire.to_owned()).collect() }
    }

    /// These wire names, in this order.
    pub(crate) fn new(wires: impl IntoIterator<Item = String>) -> Self {
        Self { wires: wires.into_iter().collect() }
    }

    /// Adds a wire name.
    pub(crate) fn with(mut self, wire: &str) -> Self {
        self.wires.push(wire.to_owned());
        self
    }

    /// The same without a property and its annotations.
    pub fn without(&self, property: &str) -> Self {
        Self { wires: self.wires.iter().filter(|wire| property_of(wire) != property).cloned().collect() }
    }

    /// Whether a property or one of its annotations is selected.
    pub fn contains(&self, property: &str) -> bool {
        self.wires.iter().any(|wire| property_of(wire) == property)
    }

    /// Whether exactly this wire name is selected, a property or an annotation.
    pub fn names(&self, wire: &str) -> bool {
        self.wires.iter().any(|known| known == wire)
    }

    /// All wire names.
    pub fn wires(&self) -> impl Iterator<Item = &str> {
        self.wires.iter().map(String::as_str)
    }

    /// Parses the output of [`Selection::text`].
    pub fn parse(text: &str) -> Self {
        Self { wires: text.split(',').map(str::to_owned).collect() }
    }

    /// All wire names, separated by commas, as stored in the ledger.
    pub fn text(&self) -> String {
        self.wires.join(",")
    }

    /// The properties for `$select`: an annotation only comes with its property.
    pub(crate) fn properties(&self) -> Vec<&str> {
        each_once(self.wires.iter().map(|wire| property_of(wire)))
    }

    /// The names of the selected annotations, each once.
    pub(crate) fn annotations(&self) -> Vec<&str> {
        each_once(self.wires.iter().filter_map(|wire| Some(wire.split_once('@')?.1)))
    }
}

/// The names in order, without those that came before.
fn each_once<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// The property of a wire name: itself, or the one annotated.
pub(crate) fn property_of(wire: &str) -> &str {
    wire.split_once('@').map_or(wire, |(property, _)| property)
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::{COPILOT_EVENT, COPILOT_TRANSCRIPT, SYSTEM_USER};

    #[test]
    fn the_selection_uses_the_services_names() {
        let selection = Selection::all(&COPILOT_EVENT);
        assert!(selection.text().starts_with("msdyn_copiloteventid,partitionid,createdon,"), "{selection:?}");
        assert!(selection.contains("_ownerid_value") && !selection.contains("ownerid"));
        assert_eq!(selection.properties().join(","), selection.text());
        assert!(selection.annotations().is_empty());
        assert_eq!(Selection::key_columns(&COPILOT_EVENT).text(), "msdyn_copiloteventid,partitionid");
    }

    #[test]
    fn an_annotation_is_a_preference_and_selects_its_property() {
        let transcript = Selection::all(&COPILOT_TRANSCRIPT);
        assert!(transcript.text().contains(",_regardingobjectid_value@Microsoft.Dynamics.CRM.lookuplogicalname,"));
        let once = transcript.properties().into_iter().filter(|property| *property == "_regardingobjectid_value");
        assert_eq!(once.count(), 1);
        assert_eq!(transcript.annotations(), ["Microsoft.Dynamics.CRM.lookuplogicalname"]);
        let alone = Selection::new(["a".to_owned(), "_b_value@X.Y".to_owned(), "_c_value@X.Y".to_owned()]);
        assert_eq!((alone.properties(), alone.annotations()), (vec!["a", "_b_value", "_c_value"], vec!["X.Y"]));
    }

    #[test]
    fn very_many_properties_are_compared_once() {
        // Compared pairwise, these would take minutes.
        let wires = (0..120_000).flat_map(|n| [format!("x{n}"), format!("x{n}@a{n}")]);
        let selection = Selection::new(wires);
        assert_eq!((selection.properties().len(), selection.annotations().len()), (120_000, 120_000));
        assert_eq!(Selection::parse(&selection.text()), selection);
    }

    #[test]
    fn what_is_left_out_takes_its_annotations_along() {
        let selection = Selection::all(&SYSTEM_USER);
        let without = selection.without("_businessunitid_value");
        assert_eq!(without.text(), "systemuserid,azureactivedirectoryobjectid,isdisabled,fullname,title");
        assert!(without.annotations().is_empty());
        assert_eq!(selection.without("modifiedon"), selection);
    }
}
