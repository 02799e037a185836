//! Keys in a popup, and what becomes of the answer to a question.

use chrono::{DateTime, TimeDelta, Utc};
use crossterm::event::{KeyCode, KeyEvent};

use super::app::{App, Effect};
use super::foretold::Told;
use super::input::Input;
use super::keys::Key;
use super::popups::{Ask, Care, Deed, Focus, Layer, Popup};
use super::views;

/// A `y` behind which nothing is typed for so long is an answer, and no beginning of a text: whoever types leaves a quarter of a second between letters.
const ALONE: TimeDelta = TimeDelta::milliseconds(350);

impl App {
    pub(super) fn popup_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let key = Key::from(event);
        let pressed = |name: &str| name.parse() == Ok(key);
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let page = views::popups::text_height(area) as isize;
        let furthest = views::popups::longest_offset(self, area);
        if let Some(effects) = self.take_offer(key) {
            return effects;
        }
        let now = self.now;
        let Some(layer) = self.layers.last_mut() else { return Vec::new() };
        match &mut layer.popup {
            Popup::Help { offset } | Popup::Text { offset, .. } => {
                let by = match event.code {
                    KeyCode::Char('j') | KeyCode::Down => 1,
                    KeyCode::Char('k') | KeyCode::Up => -1,
                    KeyCode::PageDown | KeyCode::Char(' ') => page,
                    KeyCode::PageUp => -page,
                    KeyCode::Home | KeyCode::Char('g') => isize::MIN / 2,
                    KeyCode::End | KeyCode::Char('G') => isize::MAX / 2,
                    _ if pressed("Ctrl-d") => page / 2,
                    _ if pressed("Ctrl-u") => -page / 2,
                    KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'W') | KeyCode::F(1) => {
                        self.layers.pop();
                        return Vec::new();
                    }
                    _ if pressed("Ctrl-c") => {
                        self.layers.pop();
                        return Vec::new();
                    }
                    _ => 0,
                };
                *offset = offset.saturating_add_signed(by).min(furthest);
                Vec::new()
            }
            Popup::Ask(ask) => {
                let letter = key.is_letter();
                let agreed = ask.agreed.is_some();
                // Only a letter goes on with the text that the `y` may have begun.
                if !letter {
                    ask.agreed = None;
                }
                match event.code {
                    // Twice is once more the same, and Enter behind it as well.
                    KeyCode::Enter if agreed => return self.answer(),
                    KeyCode::Char('y') if agreed && letter => {
                        ask.agreed = None;
                        return self.answer();
                    }
                    KeyCode::Esc => return self.decline(),
                    _ if pressed("Ctrl-c") => return self.decline(),
                    // No further than the text goes: drawing knows how long it is.
                    KeyCode::PageDown => ask.foretold.offset = ask.foretold.offset.saturating_add(5).min(furthest),
                    KeyCode::PageUp => ask.foretold.offset = ask.foretold.offset.saturating_sub(5),
                    KeyCode::Tab | KeyCode::Down => ask.turn(false),
                    KeyCode::BackTab | KeyCode::Up => ask.turn(true),
                    // Whoever types a plain no means it.
                    KeyCode::Enter if ask.says_no() => return self.decline(),
                    KeyCode::Enter if ask.care() == Care::Plain => return self.answer(),
                    // Behind what was typed come the answers.
                    KeyCode::Enter => ask.focus = Focus::Answers,
                    _ if ask.is_in_field() => {
                        if let Some(field) = ask.field() {
                            field.key(event);
                        }
                    }
                    KeyCode::Char('o') if letter && ask.instead.is_some() => return self.open_instead(),
                    KeyCode::Char('y') if letter && ask.reason.is_none() => return self.answer(),
                    KeyCode::Char('y') if letter => ask.agreed = Some(now),
                    // A reason need not be gone to: what is typed begins it, so that no letter of it is taken for a key.
                    _ if letter => {
                        if let Some(reason) = ask.begin_reason() {
                            reason.key(event);
                        }
                    }
                    _ => {}
                }
                Vec::new()
            }
            Popup::Form(_) => self.form_key(event),
            Popup::Values(_) => self.values_key(event),
            Popup::Answer(_) => self.answer_key(event),
            // Whatever it is, it was only to be read.
            Popup::Recap(_) => {
                self.layers.pop();
                Vec::new()
            }
            Popup::Save(_) => self.save_key(event),
            Popup::Quit(_) => self.quit_key(event),
            Popup::Palette(_) => self.palette_key(event),
        }
    }

    /// When a question is answered with the `y` that was pressed, if nothing else is typed by then.
    pub fn agrees_at(&self) -> Option<DateTime<Utc>> {
        match &self.layers.last()?.popup {
            Popup::Ask(ask) => Some(ask.agreed? + ALONE),
            _ => None,
        }
    }

    /// Answers a question with the `y` that has stayed alone: a reason that begins with that letter is no yes.
    pub(super) fn agree_when_due(&mut self) -> Vec<Effect> {
        let agreed = self.agrees_at().filter(|due| *due <= self.now || self.now < *due - ALONE);
        if agreed.is_none() {
            return Vec::new();
        }
        if let Some(Popup::Ask(ask)) = self.layers.last_mut().map(|layer| &mut layer.popup) {
            ask.agreed = None;
        }
        self.answer()
    }

    /// The run that a question names is opened, and what it asks is not done.
    fn open_instead(&mut self) -> Vec<Effect> {
        let Some(Layer { popup: Popup::Ask(ask), .. }) = self.layers.pop() else { return Vec::new() };
        ask.instead.map(|(run, _)| self.switch_to(run)).unwrap_or_default()
    }

    /// A question is answered with no: nothing is done.
    fn decline(&mut self) -> Vec<Effect> {
        let Some(layer) = self.layers.pop() else { return Vec::new() };
        let Popup::Ask(ask) = layer.popup else { return Vec::new() };
        if !self.back_to_form(&ask) {
            self.say(left_alone(&ask));
        }
        Vec::new()
    }

    /// A question is answered with yes.
    fn answer(&mut self) -> Vec<Effect> {
        self.refresh_question();
        let Some(Layer { popup: Popup::Ask(ask), drawn: true }) = self.layers.last_mut() else { return Vec::new() };
        if !ask.take_result() {
            return Vec::new();
        }
        let Some(layer) = self.layers.pop() else { return Vec::new() };
        let Popup::Ask(ask) = layer.popup else { return Vec::new() };
        let refused = match &ask.foretold.told {
            Told::Refused(why) => Some(why.clone()),
            _ => None,
        };
        let Ok(version) = self.form_answer(&ask, refused.as_deref()) else { return Vec::new() };
        if let Some(why) = refused {
            self.complain(format!("{}: not done, {why}", ask.asked()));
            return Vec::new();
        }
        let kills = ask.kills;
        let mut effect = match ask.deed {
            Deed::Send(command) => self.request(ask.run, command, ask.seen, ask.reason.as_ref()),
            Deed::Fork { checkpoint } => {
                let reason = ask.reason.as_ref().and_then(reason_of);
                Effect::Fork { run: ask.run, checkpoint, reason }
            }
            Deed::Many(marked) => return self.send_to_marks(marked.orders, ask.reason.as_ref()),
        };
        if let Effect::Send { request, .. } | Effect::TakeOver { then: request, .. } = &mut effect {
            request.expected_plan_version = version;
            request.no_kill &= !kills;
        }
        vec![effect]
    }
}

/// What is said when a question was answered with no, so that nobody believes that something was done.
fn left_alone(ask: &Ask) -> String {
    format!("{}: not done", ask.asked())
}

/// The reason that was typed; an answer to the question is none, though it was typed there.
pub(super) fn reason_of(typed: &Input) -> Option<String> {
    let typed = typed.text().trim().to_owned();
    (!typed.is_empty() && !["y", "yes"].contains(&&*typed.to_lowercase())).then_some(typed)
}
