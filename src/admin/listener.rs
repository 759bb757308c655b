//! The admin socket in the file system: made without a moment in which others could connect, taken over from a process
//! that died, left alone where one still listens, and removed at the end.

use mio::net::UnixListener;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// Another process listens there.
    #[error("{0}: another process listens on this socket; stop it, or give [admin] socket another path")]
    InUse(PathBuf),
    /// Something that is no socket is there.
    #[error("{0}: a file that is no socket is there; remove it, or give [admin] socket another path")]
    NoSocket(PathBuf),
    /// The directory does not exist, or this process may not write there.
    #[error("{path}: the socket cannot be made: {source}; make its directory writable for this process")]
    Io {
        /// The path of the socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A listening socket that only its owner may connect to; its file goes when it is dropped.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `path`.
    ///
    /// # Errors
    /// See [`ListenerError`].
    pub fn bind(path: &Path) -> Result<Self, ListenerError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => return Err(ListenerError::NoSocket(path.to_owned())),
            // A socket that refuses was left behind by a process that is gone.
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(ListenerError::InUse(path.to_owned())),
            _ => {}
        }
        bind_in_place(path).map_err(|source| ListenerError::Io { path: path.to_owned(), source })
    }
}

/// Makes the socket in a directory that nobody else can enter, and moves it to `path` once its mode is right.
fn bind_in_place(path: &Path) -> io::Result<Listener> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The directory of all nodes' sockets (/run/drover) is gone after every start of the machine.
    if !directory.exists() {
        DirBuilder::new().mode(0o755).create(directory)?;
    }
    let nursery = directory.join(format!(".{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&nursery)?;
    let made = nursery.join("s");
    let result = (|| {
        let socket = UnixListener::bind(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        let metadata = fs::symlink_metadata(&made)?;
        fs::rename(&made, path)?;
        Ok(Listener { socket, path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) })
    })();
    if result.is_err() {
        let _ = fs::remove_file(&made);
    }
    let _ = fs::remove_dir(&nursery);
    result
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another process may have taken the path over in the meantime.
        if fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
