//! Writing an output to a file: its name is asked, with one proposed.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Effect};
use super::input::Input;
use super::keys::Key;
use super::output::{NotSaved, Save, Saved};
use super::popups::Popup;
use super::text;
use super::words;
use crate::engine::size;

/// The question for the file.
#[derive(Debug, Clone)]
pub struct SaveForm {
    /// Its heading.
    pub title: String,
    /// What is written, in words.
    pub what: String,
    /// The name of the file.
    pub input: Input,
    /// How far it is.
    pub state: Saving,
    save: Save,
}

/// How far saving is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saving {
    /// The name is typed.
    Naming,
    /// It did not work; another name may.
    Refused(String),
    /// There is a file with this name.
    IsThere,
    /// It is being written.
    Writing,
}

impl App {
    pub(super) fn open_saving(&mut self) {
        let Some(source) = self.output.source().map(|source| source.path.clone()) else { return };
        let Some((run, step)) = self.run.as_ref().and_then(|run| Some((run, run.list.selected.clone()?))) else {
            return;
        };
        let attempt = run.shown_attempt().map_or(1, |attempt| attempt.number);
        let name = format!("{}-{step}.{attempt}.log", run.state.plan.plan_id);
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
        let mut input = Input::default();
        input.insert(name.trim_start_matches(['.', '-']));
        let part = self.output.selected();
        let filter = self.output.shown_only().cloned();
        let what = match (part, &filter) {
            (Some(_), _) => self.output.selected_in_words().unwrap_or_default(),
            (None, Some(filter)) => format!("only the lines with {filter}"),
            (None, None) => format!("all of it, {}", size(self.output.bytes())),
        };
        let title = format!("Save the output of {}", text::clean(&step));
        let save = Save { source, part, filter, to: PathBuf::new(), replace: false };
        self.push(Popup::Save(Box::new(SaveForm { title, what, input, state: Saving::Naming, save })));
    }

    pub(super) fn save_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let Some(Popup::Save(form)) = self.layers.last_mut().map(|layer| &mut layer.popup) else { return Vec::new() };
        let control_c = Key::from(event) == Key::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let leaves = event.code == KeyCode::Esc || control_c;
        match form.state {
            Saving::IsThere if event.code == KeyCode::Char('y') => {
                form.state = Saving::Writing;
                form.save.replace = true;
                return vec![Effect::Save(Box::new(form.save.clone()))];
            }
            // As every question that loses something: Enter does nothing.
            Saving::IsThere if leaves || event.code == KeyCode::Char('n') => {
                form.state = Saving::Naming;
            }
            Saving::IsThere => {}
            Saving::Writing if leaves => {
                self.layers.pop();
                self.say("it is still being written, and this line will tell");
            }
            Saving::Writing => {}
            _ if leaves => {
                self.layers.pop();
                self.say("not saved");
            }
            _ if event.code == KeyCode::Enter => {
                let typed = form.input.text().trim().to_owned();
                if typed.is_empty() {
                    form.state = Saving::Refused("a name for the file is missing".into());
                    return Vec::new();
                }
                form.save.to = PathBuf::from(typed);
                form.save.replace = false;
                form.state = Saving::Writing;
                return vec![Effect::Save(Box::new(form.save.clone()))];
            }
            _ => {
                form.input.key(event);
                form.state = Saving::Naming;
            }
        }
        Vec::new()
    }

    pub(super) fn save_paste(&mut self, pasted: &str) {
        if let Some(Popup::Save(form)) = self.layers.last_mut().map(|layer| &mut layer.popup)
            && matches!(form.state, Saving::Naming | Saving::Refused(_))
        {
            form.state = match form.input.paste(pasted) {
                Ok(()) => Saving::Naming,
                Err(why) => Saving::Refused(why),
            };
        }
    }

    /// The output was written, or was not.
    pub(super) fn output_saved(&mut self, result: Result<Saved, NotSaved>) {
        let is_writing = |popup: &Popup| matches!(popup, Popup::Save(form) if form.state == Saving::Writing);
        let place = self.layers.iter().rposition(|layer| is_writing(&layer.popup));
        match result {
            Ok(Saved { path, lines, bytes }) => {
                if let Some(place) = place {
                    self.layers.remove(place);
                }
                self.output.leave_selection();
                let lines = words::count(usize::try_from(lines).unwrap_or(usize::MAX), "line");
                self.say(format!("saved {lines}, {}, to {}", size(bytes), path.display()));
            }
            Err(why) => {
                let (state, said) = match why {
                    NotSaved::IsThere => (Saving::IsThere, "there is a file with this name".to_owned()),
                    NotSaved::Failed(why) => (Saving::Refused(text::clean(&why).into_owned()), why),
                };
                match place.and_then(|place| self.layers.get_mut(place)).map(|layer| &mut layer.popup) {
                    Some(Popup::Save(form)) => form.state = state,
                    _ => self.complain(format!("not saved: {said}")),
                }
            }
        }
    }
}
