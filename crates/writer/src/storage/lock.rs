//! The lock of a lake: one writing command at a time.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use copilot_lake_tables::Instant;

use crate::clock::now_millis;
use crate::error::Error;
use crate::storage::file_rights::{FileRights, refused_link};
use crate::storage::folders::make_folders;
use crate::storage::lease::Lease;
use crate::storage::paths::LOCK;

/// The lock of a lake; a file's is released when dropped, and by the system when the process is killed.
#[derive(Debug)]
pub struct Lock {
    held: HeldLock,
    /// Uploads of killed runs that were aborted when it was taken.
    pub aborted_uploads: usize,
}

#[derive(Debug)]
enum HeldLock {
    /// The system's lock lives as long as this handle.
    File(File),
    Lease(Arc<Lease>),
    /// No other process can reach the lake.
    Process,
}

impl Lock {
    /// Takes the lock of the lake in a folder for a run; both are created with these rights if they are missing.
    pub(crate) fn on_file(root: &Path, rights: FileRights, run_id: &str) -> Result<Self, Error> {
        let path = root.join(LOCK);
        let action = format!("lock {}", path.display());
        make_folders(root, rights).map_err(Error::file(format!("create the folder {}", root.display())))?;
        let file = rights.options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(refused_link).map_err(Error::file(action.clone()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may not have written its name yet.
                let _ = file.read_to_string(&mut text);
                let mut lines = text.lines().map(str::to_owned);
                let run_id = lines.next().unwrap_or_else(|| "an unnamed run".to_owned());
                let since = lines.next().unwrap_or_else(|| "an unknown time".to_owned());
                return Err(Error::Held { run_id, since });
            }
            Err(TryLockError::Error(source)) => return Err(Error::File { action, source }),
        }
        let since = Instant(now_millis() * 1000).floor_second();
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{run_id}\n{since}\n")?;
            file.flush()
        };
        write(&mut file).map_err(Error::file(action))?;
        Ok(Self { held: HeldLock::File(file), aborted_uploads: 0 })
    }

    /// A lease, held until it is released, or not renewed for long enough.
    pub(crate) fn lease(lease: Arc<Lease>, aborted_uploads: usize) -> Self {
        Self { held: HeldLock::Lease(lease), aborted_uploads }
    }

    /// The lock of a lake that only this process can reach.
    pub(crate) fn process() -> Self {
        Self { held: HeldLock::Process, aborted_uploads: 0 }
    }

    /// Releases the lock, so that the next run need not wait.
    pub async fn release(self) {
        if let HeldLock::Lease(lease) = &self.held {
            lease.release().await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: removing it would let two runs lock two files of the same name.
        if let HeldLock::File(file) = &self.held {
            let _ = file.set_len(0);
            let _ = file.unlock();
        }
    }
}
