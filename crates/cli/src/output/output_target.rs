//! Where the output of a command goes: to stdout, to a file or to a store. A file is there once it is complete.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use copilot_lake_writer::{FileRights, StoredFile};

use crate::output::output_file::{self, PendingName};
use crate::output::store_output::StoreOutput;

/// Where an output goes.
pub(crate) enum OutputTarget {
    /// The standard output.
    Stdout,
    /// A file, which gets its name once the output is complete.
    File(PathBuf),
    /// A file in a store, and its URL as it is shown.
    Store(Box<StoredFile>, String),
}

/// What completes an output once it is written.
pub(crate) enum OutputCompletion {
    /// Nothing: it was seen as it was written.
    Seen,
    Name(PendingName),
    Store(Box<StoreOutput>),
}

impl OutputTarget {
    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Stdout => "the standard output".to_owned(),
            Self::File(path) => path.display().to_string(),
            Self::Store(_, url) => url.clone(),
        }
    }

    /// What failed when an output cannot be written there.
    pub(crate) fn unwritten(&self) -> String {
        match self {
            Self::Stdout => "cannot write the result".to_owned(),
            Self::File(_) | Self::Store(..) => format!("cannot write `{}`", self.shown()),
        }
    }

    /// Begins an output, which is written to the sink and then completed. `rights`: who may read the file.
    pub(crate) fn begin(self, rights: FileRights) -> Result<(Box<dyn Write + Send>, OutputCompletion)> {
        let begun: (Box<dyn Write + Send>, _) = match self {
            Self::Stdout => (Box::new(std::io::stdout()), OutputCompletion::Seen),
            Self::File(path) => {
                let (file, name) = output_file::create(&path, rights)?;
                (Box::new(file), name.map_or(OutputCompletion::Seen, OutputCompletion::Name))
            }
            Self::Store(file, _) => {
                let (sink, output) = StoreOutput::new(*file);
                (Box::new(sink), OutputCompletion::Store(Box::new(output)))
            }
        };
        Ok(begun)
    }
}

impl OutputCompletion {
    /// Sends what is written to a store so far.
    pub(crate) async fn send(&mut self) -> Result<()> {
        match self {
            Self::Store(output) => output.send().await,
            Self::Seen | Self::Name(_) => Ok(()),
        }
    }

    /// Completes the output; a file gets its final name.
    pub(crate) async fn finish(self) -> Result<()> {
        match self {
            Self::Seen => Ok(()),
            Self::Name(name) => name.give(),
            Self::Store(output) => output.finish().await,
        }
    }

    /// Leaves nothing of an output that cannot be completed.
    pub(crate) async fn discard(self) {
        if let Self::Store(output) = self {
            output.discard().await;
        }
    }
}
