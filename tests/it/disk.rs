//! What a disk may hold after a power cut, derived from the journal that `preload/disk.c` wrote.
//!
//! Until a file is synced, each of its writes may or may not have reached the disk; the same goes for changes to a
//! folder's entries until the folder is synced. What was synced is there. Nothing else is assumed: a name may exist
//! before its content, a rename may survive without the write before it, and a file without its folder.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::harness::Numbers;

/// A file or a folder, independent of its names.
type Node = usize;

/// The root folder.
const ROOT: Node = 0;

/// A change to one node, or a sync of it.
#[derive(Debug)]
enum Step {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        length: usize,
    },
    /// Entries that a folder gains or loses in one step.
    Entries(Vec<(String, Option<Node>)>),
    Sync,
}

/// What was done to a disk, in order.
pub(crate) struct Journal {
    steps: Vec<(Node, Step)>,
    /// What each step does, for people to read.
    told: Vec<String>,
    /// Which nodes are folders.
    is_folder: Vec<bool>,
}

/// Which of the unsynced changes reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    Nothing,
    Everything,
    /// Names without content.
    Entries,
    /// Content without names.
    Content,
    /// Some, chosen by this seed; the last write to a file perhaps only in part.
    Some(u64),
}

/// Files and folders by path below the root; a folder has no content.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Journal {
    /// Reads the journal of changes below a folder.
    pub(crate) fn read(path: &Path, root: &Path) -> Self {
        let mut reader = Reader {
            root,
            by_inode: HashMap::from([(std::fs::metadata(root).unwrap().ino(), ROOT)]),
            by_path: HashMap::from([(root.to_owned(), ROOT)]),
            journal: Self { steps: vec![], told: vec![], is_folder: vec![true] },
        };
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let mut numbers = [0; 5];
            for number in &mut numbers {
                let (bytes, after) = rest.split_first_chunk().unwrap();
                (*number, rest) = (u64::from_le_bytes(*bytes), after);
            }
            let (a, after) = rest.split_at(numbers[3] as usize);
            let (b, after) = after.split_at(numbers[4] as usize);
            rest = after;
            reader.step(char::from(numbers[0] as u8), numbers[1], numbers[2] as usize, a, b);
        }
        reader.journal
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The last step before a cut.
    pub(crate) fn told(&self, cut: usize) -> &str {
        cut.checked_sub(1).map_or("nothing", |at| &self.told[at])
    }

    pub(crate) fn count(&self, is: impl Fn(&str) -> bool) -> usize {
        self.told.iter().filter(|told| is(told)).count()
    }

    /// What the disk holds when the power fails after this many steps.
    pub(crate) fn after_cut(&self, cut: usize, reached: Reached) -> Tree {
        let steps = &self.steps[..cut];
        let synced: HashMap<Node, usize> = steps
            .iter()
            .enumerate()
            .filter(|(_, (_, step))| matches!(step, Step::Sync))
            .map(|(at, (n, _))| (*n, at))
            .collect();
        let mut numbers = Numbers(match reached {
            Reached::Some(seed) => seed,
            _ => 0,
        });
        let mut folders: HashMap<Node, BTreeMap<String, Node>> = HashMap::new();
        let mut files: HashMap<Node, Vec<u8>> = HashMap::new();
        for (at, (node, step)) in steps.iter().enumerate() {
            let is_durable = synced.get(node).is_some_and(|synced| at < *synced);
            let is_content = matches!(step, Step::Write { .. } | Step::Cut { .. });
            let part = match reached {
                _ if is_durable => 1.0,
                Reached::Nothing => 0.0,
                Reached::Everything => 1.0,
                Reached::Entries => f64::from(u8::from(!is_content)),
                Reached::Content => f64::from(u8::from(is_content)),
                Reached::Some(_) => [0.0, 1.0, 0.0, 1.0, 0.5][numbers.next(5) as usize],
            };
            match step {
                Step::Sync => {}
                _ if part == 0.0 => {}
                Step::Entries(names) => {
                    let folder = folders.entry(*node).or_default();
                    for (name, node) in names {
                        match node {
                            Some(node) => folder.insert(name.clone(), *node),
                            None => folder.remove(name),
                        };
                    }
                }
                Step::Cut { length } => files.entry(*node).or_default().resize(*length, 0),
                Step::Write { at, bytes } => {
                    let bytes = &bytes[..(bytes.len() as f64 * part) as usize];
                    let file = files.entry(*node).or_default();
                    file.resize(file.len().max(at + bytes.len()), 0);
                    file[*at..at + bytes.len()].copy_from_slice(bytes);
                }
            }
        }
        let mut tree = Tree::default();
        self.collect(ROOT, Path::new(""), &folders, &files, &mut tree);
        tree
    }

    fn collect(
        &self,
        folder: Node,
        path: &Path,
        folders: &HashMap<Node, BTreeMap<String, Node>>,
        files: &HashMap<Node, Vec<u8>>,
        tree: &mut Tree,
    ) {
        for (name, node) in folders.get(&folder).into_iter().flatten() {
            let path = path.join(name);
            if self.is_folder[*node] {
                tree.0.insert(path.clone(), None);
                self.collect(*node, &path, folders, files, tree);
            } else {
                tree.0.insert(path, Some(files.get(node).cloned().unwrap_or_default()));
            }
        }
    }
}

impl Tree {
    /// The tree below a folder, as if it were the root.
    pub(crate) fn below(&self, folder: &str) -> Self {
        let inside = self.0.iter().filter_map(|(path, content)| {
            let path = path.strip_prefix(folder).ok().filter(|path| !path.as_os_str().is_empty())?;
            Some((path.to_owned(), content.clone()))
        });
        Self(inside.collect())
    }

    /// A hash: equal for equal trees.
    pub(crate) fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// Writes the tree into a folder, replacing what is there.
    pub(crate) fn restore(&self, folder: &Path) {
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        for (path, content) in &self.0 {
            std::fs::create_dir_all(folder).unwrap();
            let path = folder.join(path);
            match content {
                None => std::fs::create_dir_all(path).unwrap(),
                Some(content) => std::fs::write(path, content).unwrap(),
            }
        }
    }
}

/// The state while a journal is read.
struct Reader<'a> {
    root: &'a Path,
    by_inode: HashMap<u64, Node>,
    by_path: HashMap<PathBuf, Node>,
    journal: Journal,
}

impl Reader<'_> {
    fn step(&mut self, kind: char, inode: u64, offset: usize, a: &[u8], b: &[u8]) {
        let path = |bytes: &[u8]| PathBuf::from(std::str::from_utf8(bytes).unwrap());
        let node = self.by_inode.get(&inode).copied();
        let step = match (kind, node) {
            ('C' | 'M', _) => {
                let node = self.journal.is_folder.len();
                self.journal.is_folder.push(kind == 'M');
                self.by_inode.insert(inode, node);
                Some(self.entries(vec![(path(a), Some(node))]))
            }
            ('L', _) => Some(self.entries(vec![(path(b), Some(self.by_path[&path(a)]))])),
            ('R', _) => Some(self.entries(vec![(path(a), None), (path(b), Some(self.by_path[&path(a)]))])),
            // A file that somebody else made has none.
            ('U' | 'D', _) => self.by_path.contains_key(&path(a)).then(|| self.entries(vec![(path(a), None)])),
            ('W', Some(node)) => Some((node, Step::Write { at: offset, bytes: b.to_vec() })),
            ('T', Some(node)) => Some((node, Step::Cut { length: offset })),
            ('S', Some(node)) => Some((node, Step::Sync)),
            ('W' | 'T' | 'S', None) => None,
            (kind, _) => panic!("{kind:?} is no kind of record"),
        };
        let Some(step) = step else { return };
        let shown =
            |bytes: &[u8]| path(bytes).strip_prefix(self.root).map_or(String::new(), |p| p.display().to_string());
        self.journal.told.push(match kind {
            'W' | 'T' => format!("{kind} {offset} {} bytes", b.len()),
            _ => format!("{kind} {} {}", shown(a), shown(b)).trim_end().to_owned(),
        });
        self.journal.steps.push(step);
    }

    fn entries(&mut self, names: Vec<(PathBuf, Option<Node>)>) -> (Node, Step) {
        let folder = self.by_path[names[0].0.parent().unwrap()];
        let mut entries = vec![];
        for (path, node) in names {
            assert_eq!(self.by_path[path.parent().unwrap()], folder, "a file moved to another folder: {path:?}");
            entries.push((path.file_name().unwrap().to_str().unwrap().to_owned(), node));
            match node {
                Some(node) => self.by_path.insert(path, node),
                None => self.by_path.remove(&path),
            };
        }
        (folder, Step::Entries(entries))
    }
}
