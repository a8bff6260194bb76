//! The files of a crate, parsed into modules. Code for tests is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::Item;

use super::syntax::{Declaration, Import, Syntax, is_for_tests};

/// The index of a module in [`Crate::modules`].
pub(crate) type ModuleId = usize;

/// A crate as its sources describe it.
pub(crate) struct Crate {
    /// Its folder under `crates/`.
    pub(crate) name: String,
    /// Paths of its files, relative to the repository.
    pub(crate) files: Vec<String>,
    /// The first is the root.
    pub(crate) modules: Vec<Module>,
}

/// A module: a file, or a part of one between braces.
pub(crate) struct Module {
    /// The index of its file in [`Crate::files`].
    pub(crate) file: usize,
    pub(crate) parent: Option<ModuleId>,
    pub(crate) children: BTreeMap<String, ModuleId>,
    pub(crate) syntax: Syntax,
}

impl Module {
    pub(crate) fn imports<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Import> {
        self.syntax.imports.iter().filter(move |import| import.name == name)
    }

    /// Whether it declares an item of this name other than a module.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.syntax.declarations.iter().any(|declaration| declaration.is_of_module && declaration.name == name)
    }
}

impl Crate {
    /// A crate of these files, named relative to its `src`; the first is the root.
    pub(crate) fn of_texts(texts: &[(&str, &str)]) -> Self {
        let texts: BTreeMap<_, _> =
            texts.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        Self::load("texts", Path::new("lib.rs"), &|path| texts.get(path).cloned())
    }

    fn load(name: &str, root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut krate = Self { name: name.to_owned(), files: Vec::new(), modules: Vec::new() };
        krate.add_file(root, root.parent().unwrap(), None, read).unwrap();
        krate
    }

    /// Adds the module of a file, and those below it; `folder` is where the files of its children lie.
    fn add_file(
        &mut self,
        path: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> Option<ModuleId> {
        let text = read(path)?;
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.files.push(path.to_string_lossy().into_owned());
        Some(self.add_module(self.files.len() - 1, folder, parent, &parsed.items, read))
    }

    fn add_module(
        &mut self,
        file: usize,
        folder: &Path,
        parent: Option<ModuleId>,
        items: &[Item],
        read: &dyn Fn(&Path) -> Option<String>,
    ) -> ModuleId {
        let id = self.modules.len();
        self.modules.push(Module { file, parent, children: BTreeMap::new(), syntax: Syntax::of(items) });
        for item in items {
            let Item::Mod(module) = item else { continue };
            if is_for_tests(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let below = folder.join(&name);
            let child = match &module.content {
                Some((_, items)) => self.add_module(file, &below, Some(id), items, read),
                None => {
                    let alone = folder.join(format!("{name}.rs"));
                    self.add_file(&alone, &below, Some(id), read)
                        .or_else(|| self.add_file(&below.join("mod.rs"), &below, Some(id), read))
                        .unwrap_or_else(|| panic!("the module {name} of {} has no file", self.files[file]))
                }
            };
            self.modules[id].children.insert(name, child);
        }
        id
    }

    /// Everything that its modules declare, with the file.
    pub(crate) fn declarations(&self) -> impl Iterator<Item = (&Declaration, &str)> {
        self.modules
            .iter()
            .flat_map(|module| module.syntax.declarations.iter().map(|of| (of, self.files[module.file].as_str())))
    }
}

/// All crates of the workspace, without its tests and benches.
pub(crate) fn crates() -> Vec<Crate> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &Path| fs::read_to_string(repository.join(path)).ok();
    let mut crates = Vec::new();
    for entry in fs::read_dir(repository.join("crates")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let roots = ["lib.rs", "main.rs"].map(|root| Path::new("crates").join(&name).join("src").join(root));
        if let Some(root) = roots.into_iter().find(|root| repository.join(root).exists()) {
            crates.push(Crate::load(&name, &root, &read));
        }
    }
    assert!(crates.len() > 5, "the crates were not found");
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    crates
}
