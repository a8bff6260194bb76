//! A folder of the local file system as an object store.

use std::fmt;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode,
    Result,
};

use crate::storage::file_rights::FileRights;
use crate::storage::folders::Folders;
use crate::storage::local_io::{NAME, blocking, error};
use crate::storage::local_upload::LocalUpload;
use crate::storage::paths;
use crate::storage::publish;
use crate::storage::staged_file::StagedFile;

/// A folder as an object store. Clones are the same store.
///
/// When a put returns, it is durable, and so is everything that was completed or deleted through this store before; and
/// the file becomes visible only after all that. So a commit completes its data files and then puts its log entry, at
/// the cost of one sync per file and one per folder.
///
/// Reading and listing is left to `object_store`'s own local store, which never syncs.
#[derive(Debug, Clone)]
pub(crate) struct LocalStore {
    root: PathBuf,
    files: Arc<PrefixStore<LocalFileSystem>>,
    folders: Arc<Folders>,
    rights: FileRights,
}

impl LocalStore {
    /// The store in the folder `root`, which is at `prefix` of the file system. Nothing is created yet; what will be gets
    /// these rights.
    pub(crate) fn new(root: PathBuf, prefix: Path, rights: FileRights) -> Self {
        let files = Arc::new(PrefixStore::new(LocalFileSystem::new(), prefix));
        let folders = Arc::new(Folders::new(root.clone()));
        Self { root, files, folders, rights }
    }

    /// The folder.
    pub(crate) fn root(&self) -> &FilePath {
        &self.root
    }

    /// The rights of what it creates.
    pub(crate) fn rights(&self) -> FileRights {
        self.rights
    }

    /// Deletes a file.
    pub(crate) fn remove(&self, file: &FilePath) -> std::io::Result<()> {
        std::fs::remove_file(file)?;
        self.folders.note_change(folder_of(file));
        Ok(())
    }

    /// The path of a file. Names of staged files are reserved for this store.
    pub(crate) fn path_of(&self, location: &Path) -> Result<PathBuf> {
        let path = location.parts().fold(self.root.clone(), |path, part| path.join(part.as_ref()));
        match location.filename() {
            Some(name) if !paths::is_staged(name) => Ok(path),
            _ => Err(Error::Generic { store: NAME, source: format!("invalid file name: `{location}`").into() }),
        }
    }

    fn unsupported(&self, operation: &str) -> Error {
        Error::NotImplemented { operation: operation.to_owned(), implementer: self.to_string() }
    }

    /// A put, on a thread that may block.
    fn put_now(&self, target: &FilePath, payload: &PutPayload, mode: &PutMode) -> Result<()> {
        self.folders.check()?;
        let mut file = StagedFile::create(target, self.rights)?;
        file.write(0, payload)?;
        file.sync()?;
        self.folders.sync()?;
        match mode {
            PutMode::Create => file.publish()?,
            PutMode::Overwrite | PutMode::Update(_) => file.replace()?,
        }
        self.folders.note_change(folder_of(target));
        self.folders.sync()
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStore({})", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) || !options.attributes.is_empty() {
            return Err(self.unsupported("a conditional put, or one with attributes"));
        }
        let (this, target) = (self.clone(), self.path_of(location)?);
        blocking(move || this.put_now(&target, &payload, &options.mode)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return Err(self.unsupported("an upload with attributes"));
        }
        let (folders, target, rights) = (Arc::clone(&self.folders), self.path_of(location)?, self.rights);
        Ok(Box::new(blocking(move || LocalUpload::create(folders, target, rights)).await?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.folders.check()?;
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.folders.check()?;
        self.files.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let deleted = self.files.delete_stream(locations);
        let noted = deleted.and_then(move |location| {
            let noted = this.path_of(&location).map(|path| this.folders.note_change(folder_of(&path)));
            std::future::ready(noted.map(|()| location))
        });
        noted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    /// Sorted by path, as in other stores: readers of the log rely on it.
    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let found = self.files.list_with_offset(prefix, offset);
        let sorted = found.try_collect::<Vec<_>>().map_ok(|mut found| {
            found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            stream::iter(found).map(Ok)
        });
        sorted.into_stream().try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    /// For small files: the content goes through memory.
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        let content = self.get(from).await?.bytes().await?;
        self.put_opts(to, content.into(), mode.into()).await.map(drop)
    }

    /// The names are durable once the next put returns.
    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (this, from, to) = (self.clone(), self.path_of(from)?, self.path_of(to)?);
        blocking(move || {
            this.folders.check()?;
            let folder = folder_of(&to);
            this.rights.create_folders(folder).map_err(error("create the folder", folder))?;
            let renamed = match options.target_mode {
                RenameTargetMode::Overwrite => std::fs::rename(&from, &to),
                RenameTargetMode::Create => publish::rename_if_absent(&from, &to),
            };
            renamed.map_err(error("rename", &from))?;
            this.folders.note_change(folder_of(&from));
            this.folders.note_change(folder);
            Ok(())
        })
        .await
    }
}

/// The folder of a file.
fn folder_of(file: &FilePath) -> &FilePath {
    file.parent().unwrap_or(file)
}
