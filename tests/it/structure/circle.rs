//! Files that need each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use super::resolve::Needs;
use super::source::Crate;

/// Files that all need each other, and the shortest way round.
pub(crate) struct Circle {
    files: BTreeSet<usize>,
    /// From a file to the next, and the names that it takes from there; the last leads to the first.
    steps: Vec<(usize, usize, BTreeSet<String>)>,
}

impl Circle {
    pub(crate) fn describe(&self, krate: &Crate) -> String {
        let names: Vec<_> = self.files.iter().map(|file| krate.files[*file].as_str()).collect();
        let mut text = format!("  {} files need each other: {}\n", names.len(), names.join(", "));
        for (from, to, taken) in &self.steps {
            let taken: Vec<_> = taken.iter().map(String::as_str).collect();
            writeln!(text, "    {} -> {}: {}", krate.files[*from], krate.files[*to], taken.join(", ")).unwrap();
        }
        text
    }
}

pub(crate) fn circles(needs: &Needs) -> Vec<Circle> {
    let reached: BTreeMap<usize, BTreeSet<usize>> = needs.keys().map(|file| (*file, reach(needs, *file))).collect();
    let mut circles = Vec::new();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    for (file, reach) in &reached {
        if !reach.contains(file) || seen.contains(file) {
            continue;
        }
        let mutual = |other: &usize| reached.get(other).is_some_and(|back| back.contains(file));
        let files: BTreeSet<usize> = reach.iter().copied().filter(mutual).collect();
        seen.extend(&files);
        let shortest = files.iter().map(|file| shortest(needs, *file)).min_by_key(Vec::len).unwrap();
        circles.push(Circle { files, steps: shortest });
    }
    circles
}

/// All files that a file needs, itself only if it is in a circle.
fn reach(needs: &Needs, from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(needs.get(&file).into_iter().flat_map(BTreeMap::keys).filter(|to| reached.insert(**to)));
    }
    reached
}

/// The shortest way from a file in a circle back to it.
fn shortest(needs: &Needs, start: usize) -> Vec<(usize, usize, BTreeSet<String>)> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for to in needs.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if !came_from.contains_key(to) {
                came_from.insert(*to, file);
                queue.push_back(*to);
            }
        }
    }
    let mut steps = Vec::new();
    let mut to = start;
    loop {
        let from = came_from[&to];
        steps.push((from, to, needs[&from][&to].clone()));
        to = from;
        if to == start {
            steps.reverse();
            return steps;
        }
    }
}
