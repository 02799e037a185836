//! Where the socket lies: in a folder that only its user can enter, with a path short enough for a socket.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The kernel takes 107 bytes of path (sun_path has 108 with the closing zero on Linux, 104 elsewhere).
const LONGEST: usize = 103;

/// Listens on a new socket.
///
/// # Errors
/// No folder on this machine can hold one; the error of the last that was tried.
pub(super) fn bind() -> io::Result<(UnixListener, PathBuf)> {
    let uid = rustix::process::getuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let shared = [std::env::temp_dir(), "/tmp".into()].map(|dir| dir.join(format!("holdpoint-{uid}")));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for dir in runtime.map(|dir| dir.join("holdpoint")).into_iter().chain(shared) {
        match bind_in(&dir, uid) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_in(dir: &Path, uid: u32) -> io::Result<(UnixListener, PathBuf)> {
    if !dir.is_absolute() {
        return Err(io::Error::other(format!("{} is no absolute path", dir.display())));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // In a folder that others may write to, somebody may have made it before us.
    let found = std::fs::symlink_metadata(dir)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{} is not a folder for this user only", dir.display())));
    }
    sweep(dir);
    let random = uuid::Uuid::now_v7().as_u128() as u32;
    let path = dir.join(format!("{}-{random:08x}.sock", std::process::id()));
    if path.as_os_str().len() > LONGEST {
        return Err(io::Error::other(format!("{} is too long for a socket", path.display())));
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
    Ok((listener, path))
}

/// Removes the sockets on which nobody listens any more: of processes that were killed.
fn sweep(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let ours = path.extension().is_some_and(|extension| extension == "sock");
        let refused =
            || UnixStream::connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if ours && refused() {
            // Somebody else may sweep at the same time.
            let _ = std::fs::remove_file(&path);
        }
    }
}
