//! What a file of the simulated disk holds: what is readable, what a power cut would leave, and chance.

use std::ops::Range;

/// How much reaches a real disk at once; holes after a cut are of this size.
const PAGE: usize = 4096;

/// A file's content.
#[derive(Default, Clone)]
pub(super) struct Content {
    pub now: Vec<u8>,
    pub durable: Vec<u8>,
    /// A sync has failed: what waited then never reaches the disk, though later syncs report success, unless it is written again.
    pub lost: Range<usize>,
}

impl Content {
    pub fn sync(&mut self) {
        let unchanged = self.durable.len() <= self.now.len() && self.now.starts_with(&self.durable);
        if unchanged && self.lost.is_empty() {
            // The usual, without copying what is there already.
            self.durable.extend_from_slice(&self.now[self.durable.len()..]);
            return;
        }
        let old = std::mem::replace(&mut self.durable, self.now.clone());
        for place in self.lost.clone() {
            self.durable[place] = old.get(place).copied().unwrap_or(0);
        }
    }

    pub fn lose(&mut self) {
        let common = self.now.iter().zip(&self.durable).take_while(|(one, other)| one == other).count();
        let start = if self.lost.is_empty() { common } else { common.min(self.lost.start) };
        self.lost = start..self.now.len();
    }

    pub fn lose_what_waits(&mut self, dice: &mut Dice) {
        let common = self.now.iter().zip(&self.durable).take_while(|(one, other)| one == other).count();
        if common < self.durable.len() {
            // It was cut and perhaps written to since the last sync: the old or the new.
            if dice.chance() {
                self.now.clone_from(&self.durable);
            }
        } else {
            let waiting = self.now.len() - common;
            let kept = dice.up_to(waiting);
            self.now.truncate(common + kept);
            if dice.chance() {
                for page in self.now[common..].chunks_mut(PAGE) {
                    if dice.chance() {
                        page.fill(0);
                    }
                }
            }
        }
        for place in self.lost.start..self.lost.end.min(self.now.len()) {
            self.now[place] = self.durable.get(place).copied().unwrap_or(0);
        }
        self.lost = 0..0;
        self.durable.clone_from(&self.now);
    }
}

/// Small, good enough and repeatable: splitmix64.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn chance(&mut self) -> bool {
        self.roll() & 1 == 1
    }

    pub fn up_to(&mut self, most: usize) -> usize {
        match self.roll() % 4 {
            0 => 0,
            1 => most,
            _ => (self.roll() % (most as u64 + 1)) as usize,
        }
    }
}
