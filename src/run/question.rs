//! Questions that attempts ask people, and their answers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::Fields;

/// The longest title, in characters; what is longer is cut.
const LONGEST_TITLE: usize = 200;
/// The longest text of a question, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// So many fields a question may have.
pub const MAX_FIELDS: usize = 100;

/// Something that an attempt asks a person.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What it is about, on one line.
    pub title: String,
    /// What is asked or to be done, in a subset of Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is to be filled in.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields,
    /// Work is asked for: the answer is that it was done, or that it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_task: bool,
    /// People are reminded each time so many seconds have passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_seconds: Option<f64>,
}

/// What a person says to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes, or done: with the values of the fields.
    Accepted(Map<String, Value>),
    /// No, or failed.
    Declined,
}

/// An answer, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Who.
    pub user: String,
    /// When.
    pub time: DateTime<Utc>,
    /// What.
    pub answer: Answer,
    /// Their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A question that an attempt has asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What.
    pub question: Arc<Question>,
    /// When.
    pub time: DateTime<Utc>,
    /// The answer; `None` while it is open, and for good when the attempt ended without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Arc<Answered>>,
}

impl Question {
    /// The question within its bounds: what others wrote may be of any size.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Some((end, _)) = self.title.char_indices().nth(LONGEST_TITLE) {
            self.title.truncate(end);
            self.title.push('…');
        }
        if let Some(message) = &mut self.message
            && message.len() > MAX_MESSAGE_BYTES
        {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        self.fields.0.truncate(MAX_FIELDS);
        self
    }

    /// What the two answers are called: the one that gives what is asked for, and the one that does not.
    pub fn answers(&self) -> (&'static str, &'static str) {
        if self.is_task { ("done", "failed") } else { ("answer", "decline") }
    }
}
