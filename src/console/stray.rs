//! Text without a field: typed on after a key that was refused, or into a question that has gone by itself. No letter of it is taken for a key.
//!
//! Nobody who types a reason looks at each letter. Where the field is missing that it was meant for, "signed by ann" would skip a step, open forms and
//! answer them. So what is typed on without a stop counts for nothing, until whoever types stops, or presses a key that is none of a text.

use chrono::{DateTime, TimeDelta, Utc};
use crossterm::event::{KeyCode, KeyEvent};

use super::actions::{Action, Kind};
use super::app::App;
use super::keys::Key;
use super::popups::Layer;

/// Whoever begins to type so long after the key may not have looked yet: it takes a while to think of a reason.
const BEGINS: TimeDelta = TimeDelta::seconds(4);
/// Whoever stops typing for this long has looked up. Between two letters of a text it is a third of it for most.
const STOPPED: TimeDelta = TimeDelta::milliseconds(800);

/// What is said beside why there is no field.
pub(super) const NOTE: &str = "what you typed then was not taken for keys";

/// Whether whoever presses the key of an action is going to type: a reason, a search, a step.
fn is_typed_into(action: Action) -> bool {
    match action {
        Action::Start | Action::Pause | Action::Resume | Action::MoreParallel | Action::FewerParallel => false,
        Action::Answer | Action::Modify | Action::Add | Action::Fork => true,
        Action::Filter | Action::Search | Action::OnlyLines | Action::SaveOutput => true,
        action => matches!(action.entry().kind, Kind::Command(_)),
    }
}

/// A text that was meant for a field which is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    /// It may begin.
    Expected(DateTime<Utc>),
    /// Letters of it were typed, the last one then.
    Typed(DateTime<Utc>),
}

/// Whether a key may begin a text: what texts begin with, and no sign.
fn begins_text(event: KeyEvent) -> bool {
    matches!(event.code, KeyCode::Char(letter) if letter.is_alphanumeric()) && Key::from(event).is_letter()
        || event.code == KeyCode::Enter
}

/// Whether a key may be part of a text, or end it.
fn is_text(event: KeyEvent) -> bool {
    Key::from(event).is_letter() || matches!(event.code, KeyCode::Enter | KeyCode::Backspace)
}

/// Whether a key only moves the selection by a row: that may be done also where a text was meant.
fn only_moves(event: KeyEvent) -> bool {
    matches!(event.code, KeyCode::Char('j' | 'k'))
}

impl App {
    /// The key of an action was refused: what is typed next may have been meant for what it opens.
    pub(super) fn expect_text_for(&mut self, action: Action) {
        if is_typed_into(action) {
            self.expect_text();
        }
    }

    /// What had the keys is gone by itself: what is typed next may have been meant for it.
    pub(super) fn expect_text(&mut self) {
        self.typed_on = Some(Stray::Expected(self.now));
    }

    /// Takes layers away, not by a key.
    pub(super) fn close_layers(&mut self, closes: impl Fn(&Layer) -> bool) {
        let before = self.layers.len();
        self.layers.retain(|layer| !closes(layer));
        if self.layers.len() < before {
            self.expect_text();
        }
    }

    /// Whether a key is part of a text that was meant for a field which is not there.
    pub(super) fn is_stray(&mut self, event: KeyEvent) -> bool {
        let within = |since: DateTime<Utc>, time| (TimeDelta::zero()..time).contains(&(self.now - since));
        let before = self.typed_on.take();
        let stray = match before {
            Some(Stray::Expected(since)) if within(since, BEGINS) && only_moves(event) => {
                self.typed_on = before;
                false
            }
            Some(Stray::Expected(since)) => within(since, BEGINS) && begins_text(event),
            Some(Stray::Typed(since)) => within(since, STOPPED) && is_text(event),
            None => false,
        };
        if stray {
            self.typed_on = Some(Stray::Typed(self.now));
            self.note_beside_message(NOTE);
        }
        stray
    }
}
