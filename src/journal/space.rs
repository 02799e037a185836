//! How much room is left where runs are kept: a run whose disk is full stops, so whoever looks is told before.

use std::path::Path;

/// Less than this, in bytes, is little on any disk.
const LITTLE: u64 = 64 << 20;
/// Less than this, in bytes, is little where it is no more than a twentieth of the disk.
const SOME: u64 = 1 << 30;

/// The room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What may still be written.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

impl Space {
    /// The room on the file system of a folder; `None` where nobody can tell. May wait for the disk.
    pub fn of(folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// Whether it is nearly full.
    pub fn is_low(self) -> bool {
        self.total > 0 && (self.free < LITTLE || (self.free < SOME && self.free < self.total / 20))
    }

    /// What is left, in words.
    pub fn left(self) -> String {
        size(self.free)
    }
}

/// A number of bytes in words: `812 B`, `1.5 KiB`, `3.2 GiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_little_on_any_disk_and_some_only_on_a_large_one() {
        let space = |free, total| Space { free, total };
        assert!(space(60 << 20, 100 << 20).is_low());
        assert!(space(900 << 20, 100 << 30).is_low());
        assert!(!space(900 << 20, 2 << 30).is_low());
        assert!(!space(2 << 30, 100 << 30).is_low());
        assert!(!space(0, 0).is_low(), "a file system that tells no size is not full");
        assert!(Space::of(Path::new("/")).is_some_and(|found| found.total > 0));
    }

    #[test]
    fn sizes_are_short() {
        let all = [(0, "0 B"), (812, "812 B"), (1536, "1.5 KiB"), (61 << 20, "61.0 MiB"), (5400 << 20, "5.3 GiB")];
        for (bytes, said) in all {
            assert_eq!(size(bytes), said);
        }
    }
}
