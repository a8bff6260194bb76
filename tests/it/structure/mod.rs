//! The structure of the crates, read from their syntax trees: which file needs which, and what names mean.
//!
//! - `source`: the files of a crate, parsed into modules.
//! - `syntax`: what a module declares, imports and refers to.
//! - `resolve`: the file that defines what a path names.
//! - `circle`: files that need each other.
//! - `words`: words that names must not contain.

mod circle;
mod resolve;
mod source;
mod syntax;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use resolve::needs;
use source::Crate;
use syntax::{Declaration, Kind};

/// A rule that holds for every crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// No two files need each other, directly or in a circle.
    NoCircles,
    /// One type name has one meaning in the workspace.
    OneMeaning,
    /// Items are not named with private words.
    StandardWords,
}

/// Crates that do not keep a rule yet, and why. The list only shrinks: an exception that nothing needs fails the test.
/// Without an entry here, a test prints what a crate still has to fix.
const EXCEPTIONS: &[(&str, Rule, &str)] = &[];

/// Compares the crates that break a rule with those that may.
fn check(rule: Rule, broken: &BTreeMap<String, String>) {
    let excepted: BTreeSet<&str> =
        EXCEPTIONS.iter().filter(|(_, of, _)| *of == rule).map(|(name, _, _)| *name).collect();
    let mut faults = String::new();
    for (name, what) in broken.iter().filter(|(name, _)| !excepted.contains(name.as_str())) {
        faults += &format!("\ncrate {name}:\n{what}");
    }
    assert!(faults.is_empty(), "{rule:?} does not hold:\n{faults}");
    let unneeded: Vec<_> = excepted.into_iter().filter(|name| !broken.contains_key(*name)).collect();
    assert!(unneeded.is_empty(), "{rule:?} holds for {unneeded:?}: take them off EXCEPTIONS in {}", file!());
}

#[test]
fn no_two_files_need_each_other() {
    let mut broken = BTreeMap::new();
    for krate in source::crates() {
        let circles = circle::circles(&needs(&krate));
        if !circles.is_empty() {
            broken.insert(krate.name.clone(), circles.iter().map(|circle| circle.describe(&krate)).collect());
        }
    }
    check(Rule::NoCircles, &broken);
}

#[test]
fn a_type_name_has_one_meaning() {
    let crates = source::crates();
    let mut places: BTreeMap<&str, Vec<(&Crate, &str)>> = BTreeMap::new();
    for krate in &crates {
        for (declaration, file) in krate.declarations().filter(|(of, _)| of.kind == Kind::Type) {
            places.entry(&declaration.name).or_default().push((krate, file));
        }
    }
    let mut broken: BTreeMap<String, String> = BTreeMap::new();
    // `Error` is exempt: every library has one. So are associated types, which are not declarations of their own.
    for (name, places) in places.iter().filter(|(name, places)| places.len() > 1 && **name != "Error") {
        let files: Vec<_> = places.iter().map(|(_, file)| *file).collect();
        for krate in places.iter().map(|(krate, _)| &krate.name).collect::<BTreeSet<_>>() {
            *broken.entry(krate.clone()).or_default() += &format!("  `{name}` means {}\n", files.join(", and "));
        }
    }
    check(Rule::OneMeaning, &broken);
}

#[test]
fn items_are_named_with_standard_words() {
    let mut broken: BTreeMap<String, String> = BTreeMap::new();
    for krate in source::crates() {
        let mut faults = String::new();
        let mut bare: BTreeMap<_, Vec<&str>> = BTreeMap::new();
        for (Declaration { name, kind, .. }, file) in krate.declarations() {
            if let Some(word) = words::refused(name, *kind) {
                faults += &format!("  {file}: `{name}` (the word `{word}`)\n");
            } else if *kind == Kind::Function && words::BARE.contains(&name.as_str()) {
                bare.entry((Path::new(file).parent().unwrap(), name)).or_default().push(file);
            }
        }
        for ((folder, name), files) in bare.iter().filter(|(_, files)| files.len() > 1) {
            faults += &format!("  {} functions `{name}` side by side in {}\n", files.len(), folder.display());
        }
        if !faults.is_empty() {
            broken.insert(krate.name.clone(), faults);
        }
    }
    check(Rule::StandardWords, &broken);
}

#[test]
fn a_circle_is_found_through_what_hides_it() {
    let krate = Crate::of_texts(&[
        ("lib.rs", "mod a; mod b; mod leaf; pub(crate) use b::inner::Hidden;"),
        ("a.rs", "use crate::Hidden; pub(crate) struct Seen(Hidden, crate::leaf::Leaf);"),
        ("b.rs", "pub(crate) mod inner; pub(crate) use super::a::Seen as Renamed;"),
        ("b/inner.rs", "pub(crate) struct Hidden; fn f() { let _ = stringify!(super::Renamed); }"),
        ("leaf.rs", "pub(crate) struct Leaf; #[cfg(test)] mod tests { use crate::a::Seen; }"),
    ]);
    let circles = circle::circles(&needs(&krate));
    let [circle] = circles.as_slice() else { panic!("{} circles", circles.len()) };
    assert_eq!(
        circle.describe(&krate),
        "  2 files need each other: a.rs, b/inner.rs\n    a.rs -> b/inner.rs: Hidden\n    b/inner.rs -> a.rs: Seen\n"
    );
}
