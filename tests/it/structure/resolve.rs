//! The file that defines what a path names: `use`, renaming and re-exports are followed.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Crate, ModuleId};

/// Which file needs which other, and the names it takes from there: `needs[from][to]`.
pub(crate) type Needs = BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Module(ModuleId),
    /// An item that a file defines, or something inside one: a variant, a method.
    Item {
        file: usize,
        name: String,
    },
}

impl Target {
    fn module(&self) -> Option<ModuleId> {
        match self {
            Self::Module(id) => Some(*id),
            Self::Item { .. } => None,
        }
    }
}

pub(crate) fn needs(krate: &Crate) -> Needs {
    let mut needs = Needs::new();
    for (id, module) in krate.modules.iter().enumerate() {
        let mut add = |targets: Vec<Target>| {
            for target in targets {
                if let Target::Item { file, name } = target
                    && file != module.file
                {
                    needs.entry(module.file).or_default().entry(file).or_default().insert(name);
                }
            }
        };
        for import in module.syntax.imports.iter().filter(|import| !import.is_reexport) {
            let targets = resolve(krate, id, &import.path, 0);
            // A module may have the name, too: then the paths in which the name stands say which is meant.
            if targets.iter().all(|target| target.module().is_none()) {
                add(targets);
            }
        }
        for path in &module.syntax.paths {
            add(resolve(krate, id, path, 0));
        }
    }
    needs
}

/// What a path means in a module; more than one thing where a name is that of a module and of an item.
fn resolve(krate: &Crate, from: ModuleId, path: &[String], depth: usize) -> Vec<Target> {
    let Some((first, rest)) = path.split_first() else { return vec![Target::Module(from)] };
    let module = &krate.modules[from];
    match first.as_str() {
        "crate" => resolve(krate, 0, rest, depth),
        "self" => resolve(krate, from, rest, depth),
        "super" => module.parent.map_or_else(Vec::new, |parent| resolve(krate, parent, rest, depth)),
        name => {
            let mut found = Vec::new();
            // Re-exports may name each other in a circle that means nothing.
            if depth < 20 {
                for import in module.imports(name).filter(|import| import.path.as_slice() != path) {
                    found.extend(resolve(krate, from, &import.path, depth + 1));
                }
            }
            if module.declares(name) {
                found.push(Target::Item { file: module.file, name: name.to_owned() });
            }
            found.extend(module.children.get(name).map(|child| Target::Module(*child)));
            if rest.is_empty() {
                return found;
            }
            // Of a function and a module with one name, the module goes on.
            let modules: Vec<_> = found.iter().filter_map(Target::module).collect();
            if modules.is_empty() {
                return found;
            }
            modules.into_iter().flat_map(|module| resolve(krate, module, rest, depth + 1)).collect()
        }
    }
}
