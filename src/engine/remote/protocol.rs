//! What is spoken on the socket: one JSON value a line, each way.
//!
//! Both sides begin with a [`Hello`]. Then the client calls and the engine answers each call, in the order of the calls; what a subscription
//! brings comes under the number of the call that asked for it, until the client drops it or the engine says that it is over.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::engine::{Ack, NewRun, Notice, Opened, RunUpdate, StorageTrouble};
use crate::run::{Recorded, Rejection, Request, RunState};

/// The version of what is spoken. Another one is refused with words: the two programs are told apart, not guessed at.
pub const PROTOCOL: u32 = 1;

/// The longest line that is taken from a client, in bytes: a plan may be 64 MiB, and is a part of a line when it is opened.
pub const MAX_LINE: usize = 80 << 20;

/// The first line of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of what is spoken.
    pub protocol: u32,
    /// The program's version, for messages.
    pub version: String,
    /// The process.
    pub pid: u32,
}

impl Hello {
    /// This program's.
    pub fn this() -> Self {
        Self { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into(), pid: std::process::id() }
    }
}

/// A line of the client.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the client; what answers it carries the same.
    pub call: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What a client can ask. Each is a method of [`EngineHandle`](crate::engine::EngineHandle).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the method of its name, with its parameters")]
pub enum Ask {
    Send {
        run_id: Uuid,
        request: Box<Request>,
    },
    Subscribe {
        run_id: Uuid,
    },
    Overview,
    Notices,
    Register {
        new: Box<NewRun>,
    },
    Open {
        run_id: Uuid,
        go_on: bool,
    },
    Close {
        run_id: Uuid,
    },
    /// What the call of this number brings is not wanted any more; there is no answer.
    Drop {
        call: u64,
    },
}

/// A line of the engine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Which call it is about.
    pub call: u64,
    /// The answer.
    pub say: Say,
}

/// What an engine answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "it lives for as long as it takes to write or to read it")]
pub enum Say {
    /// It was refused.
    Refused(Rejection),
    /// To [`Ask::Send`].
    Ack(Ack),
    /// To [`Ask::Register`]: the new run.
    Registered(Uuid),
    /// To [`Ask::Open`].
    Opened(Opened),
    /// To [`Ask::Close`], and to [`Ask::Notices`] when they begin.
    Done,
    /// To [`Ask::Subscribe`]: what follows begins after it.
    Subscribed {
        /// The durable state.
        state: Arc<RunState>,
        /// The newest events in it.
        recent: Vec<Arc<Recorded>>,
        /// Whether the disk takes the run's events.
        storage: Option<Arc<StorageTrouble>>,
    },
    /// To [`Ask::Overview`]: what follows begins after it.
    Overview(Vec<RunUpdate>),
    /// Of a subscription: a batch is durable.
    Batch(Arc<Vec<Arc<Recorded>>>),
    /// Of a subscription: whether the disk takes the run's events.
    Storage(Option<Arc<StorageTrouble>>),
    /// Of the overview.
    Update(Arc<RunUpdate>),
    /// Of the notices.
    Notice(Notice),
    /// The client was too slow and so much was left out; the subscription is over, and can be asked for anew.
    Missed(u64),
    /// The subscription is over.
    Over,
}
