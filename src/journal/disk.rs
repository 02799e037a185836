//! The journal's narrow interface to the file system, and the real one.
//!
//! Everything the journal does to files goes through [`Disk`], so that a test can fail any write or sync and cut the power at any place
//! (see [`super::sim`]).

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

/// What the journal needs of a file system. Nothing follows a symbolic link in the last part of a path.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Makes a folder for the owner only (0700), with its parents; one that is there already is fine.
    fn create_dirs(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder for the owner only (0700); fails if it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a file for the owner only (0600), to be appended to and read; fails if it is there.
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to append to it and read it; fails if it is not there.
    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Writes bytes again where they stand, and makes them durable.
    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Opens a file to read it.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;
    /// Renames a file over another, or a folder to a name that is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes durable which names stand in a folder.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens the file system a folder lies on, to sync all of it.
    fn file_system(&self, path: &Path) -> io::Result<Arc<dyn DiskFileSystem>>;
    /// The names in a folder. A symbolic link is [`Kind::Other`], whatever it points to.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;
    /// What stands at a path itself; a symbolic link is [`Kind::Other`].
    fn kind(&self, path: &Path) -> io::Result<Kind>;
    /// The user that owns what stands at a path itself, if that is not the user of this process.
    fn foreign_owner(&self, path: &Path) -> io::Result<Option<u32>>;
    /// Takes the lock that the file at `path` stands for, and writes `owner` into it. Made if it is not there.
    fn lock(&self, path: &Path, owner: &str) -> io::Result<Locking>;
    /// Whether somebody holds the lock, and what they wrote into it.
    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>>;
}

/// A file that is appended to.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Appends all of it. After an error it is unknown how much was written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Reads from a place in it; 0 bytes at its end. Also what no name leads to any more can be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Whether this is the file that stands at `path` now: it was not removed, moved or replaced since it was opened.
    fn is_still_at(&self, path: &Path) -> io::Result<bool>;
}

/// A file that is read.
pub trait DiskRead: Read + Seek + Send {
    /// Its length now.
    fn length(&self) -> io::Result<u64>;
}

/// A whole file system.
pub trait DiskFileSystem: Send + Sync + fmt::Debug {
    /// Makes durable everything that was written to it before. Reports write errors since the last call on this value.
    fn sync(&self) -> io::Result<()>;
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// What it names.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link or something else; the journal does not touch it.
    Other,
}

/// What came of taking a lock.
#[derive(Debug)]
pub enum Locking {
    /// It is ours until the value is dropped.
    Taken(Arc<dyn Lock>),
    /// Somebody else has it; what they wrote into it.
    HeldBy(String),
}

/// A held lock; dropping it lets go.
pub trait Lock: Send + Sync + fmt::Debug {
    /// Whether whoever takes the lock at `path` now meets this one.
    fn is_still_at(&self, path: &Path) -> io::Result<bool>;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// An open file, and which one it is: that never changes, and it is asked for with every batch.
#[derive(Debug)]
struct OpenFile {
    file: File,
    device: u64,
    inode: u64,
}

impl OpenFile {
    fn new(file: File) -> io::Result<Arc<Self>> {
        let metadata = file.metadata()?;
        Ok(Arc::new(Self { file, device: metadata.dev(), inode: metadata.ino() }))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match std::fs::symlink_metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (self.device, self.inode)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Lock for OpenFile {
    fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        self.is_at(path)
    }
}

impl DiskFile for OpenFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        self.is_at(path)
    }
}

impl DiskRead for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// A folder held open so that errors of background writing since the last sync are reported by the next one.
#[derive(Debug)]
struct HeldDir(File);

impl DiskFileSystem for HeldDir {
    #[cfg(target_os = "linux")]
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    // Bits of open(2) flags fit an i32 on every platform that has them. NONBLOCK: a FIFO put there must not hang us.
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits().cast_signed())
}

/// Opens what must be a regular file.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = no_follow(options).open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => refused("a symbolic link"),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(refused("not a regular file")) }
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}; only plain files are used here"))
}

fn kind_of(kind: std::fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Dir
    } else {
        Kind::Other
    }
}

impl Disk for RealDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(OpenFile::new(open(OpenOptions::new().read(true).append(true).create_new(true), path)?)?)
    }

    fn open_append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(OpenFile::new(open(OpenOptions::new().read(true).append(true), path)?)?)
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Not opened to append: Linux would then append whatever the offset.
        let file = open(OpenOptions::new().write(true), path)?;
        file.write_all_at(bytes, offset)?;
        file.sync_data()
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(open(OpenOptions::new().read(true), path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn file_system(&self, path: &Path) -> io::Result<Arc<dyn DiskFileSystem>> {
        Ok(Arc::new(HeldDir(File::open(path)?)))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        std::fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                Ok(Listed { name: entry.file_name().to_string_lossy().into_owned(), kind: kind_of(entry.file_type()?) })
            })
            .collect()
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Ok(kind_of(std::fs::symlink_metadata(path)?.file_type()))
    }

    fn foreign_owner(&self, path: &Path) -> io::Result<Option<u32>> {
        let owner = std::fs::symlink_metadata(path)?.uid();
        Ok((owner != rustix::process::geteuid().as_raw()).then_some(owner))
    }

    fn lock(&self, path: &Path, owner: &str) -> io::Result<Locking> {
        let file = open(OpenOptions::new().read(true).write(true).create(true), path)?;
        // Whoever looks who holds it holds it shared for that moment: that is no owner.
        for _ in 0..LOOKERS {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    (&file).write_all(owner.as_bytes())?;
                    return Ok(Locking::Taken(OpenFile::new(file)?));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Locking::HeldBy(read_note(&file)))
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<String>> {
        let file = match open(OpenOptions::new().read(true), path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read_note(&file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// How often a lock that is held is tried again, and after what time: much longer than a look takes, much shorter than anybody notices.
const LOOKERS: u32 = 10;
const LOOK: std::time::Duration = std::time::Duration::from_millis(2);

/// What the holder wrote: a short line. It is for messages only, so a failure to read it is not one.
fn read_note(mut file: &File) -> String {
    let mut note = Vec::new();
    let _ = file.rewind();
    let _ = file.take(256).read_to_end(&mut note);
    String::from_utf8_lossy(&note).trim().to_string()
}
