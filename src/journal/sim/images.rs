//! What the disk was before every call: each is a place at which the process can be killed or the power cut, without running anything again.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::{Content, Inner, Node, Operation, SimDisk};

/// A disk as it was at a moment.
#[derive(Clone)]
pub struct Image {
    /// How many calls had been made.
    pub calls: u64,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    files: HashMap<u64, Content>,
    next: u64,
}

impl Image {
    /// Another disk that is as this one was, for another process: whoever was at work then has ended.
    pub fn disk(&self) -> SimDisk {
        let inner = Inner {
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            files: self.files.clone(),
            next: self.next,
            ..Inner::default()
        };
        SimDisk { inner: Arc::new(Mutex::new(inner)), process: 0 }
    }
}

impl SimDisk {
    /// Keeps an image before every call from now on, and one in the middle of every write.
    pub fn keep_images(&self) {
        self.inner().images.get_or_insert_default();
    }

    /// The images so far, and one of now. No more are kept.
    pub fn take_images(&self) -> Vec<Image> {
        let mut inner = self.inner();
        inner.keep_image();
        inner.images.take().unwrap_or_default()
    }
}

impl Inner {
    fn image(&self) -> Image {
        Image {
            calls: self.calls.get(&Operation::Any).copied().unwrap_or_default(),
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            files: self.files.clone(),
            next: self.next,
        }
    }

    pub(super) fn keep_image(&mut self) {
        if self.images.is_some() {
            let image = self.image();
            self.images.get_or_insert_default().push(image);
        }
    }

    /// The moment at which a part of a write is there.
    pub(super) fn keep_torn_image(&mut self, file: u64, part: &[u8]) {
        if self.images.is_some() {
            let mut image = self.image();
            image.files.entry(file).or_default().now.extend_from_slice(part);
            self.images.get_or_insert_default().push(image);
        }
    }
}
