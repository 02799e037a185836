//! The form in the console: keys, the question before it is sent, and what comes back.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, DataCursor};

use crate::engine::{Ack, request};
use crate::run::{Command, Rejection, RejectionCode};

use super::super::app::{App, Effect};
use super::super::foretold::Foretold;
use super::super::keys::Key;
use super::super::popups::{Ask, Care, Deed, Focus, Popup};
use super::super::{text, views};
use super::{Form, Of, Page, Sent, Where};

impl App {
    /// The open form.
    pub fn form(&mut self) -> Option<&mut Form> {
        self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Form(form) => Some(form.as_mut()),
            _ => None,
        })
    }

    /// `e`: a form on the selected step; the one that was closed before, with what was typed.
    pub(in crate::console) fn open_modify(&mut self) -> Vec<Effect> {
        let step = self.drawn().step.as_ref().map(|(step, _)| step.clone());
        let form = self.run.as_ref().zip(step).and_then(|(run, step)| Form::modify(&run.state, &step));
        self.open_form(form)
    }

    /// `a`: a form for a new step beside the selected one.
    pub(in crate::console) fn open_add(&mut self) -> Vec<Effect> {
        let step = self.drawn().step.as_ref().map(|(step, _)| step.clone());
        let form = self.run.as_ref().zip(step).map(|(run, step)| Form::add(&run.state, &step));
        self.open_form(form)
    }

    fn open_form(&mut self, form: Option<Form>) -> Vec<Effect> {
        let Some(form) = form else { return Vec::new() };
        let kept = self.drafts.iter().position(|draft| draft.is_like(&form));
        let form = match kept {
            Some(place) => {
                let kept = self.drafts.remove(place);
                Form { notice: Some("this is what you typed before; F8 starts over".into()), ..kept }
            }
            None => form,
        };
        self.push(Popup::Form(Box::new(form)));
        Vec::new()
    }

    /// Closes the form; what was typed is kept.
    fn close_form(&mut self) {
        let Some(place) = self.layers.iter().rposition(|layer| matches!(layer.popup, Popup::Form(_))) else { return };
        let Popup::Form(form) = self.layers.remove(place).popup else { return };
        if form.is_changed() {
            let key = if form.own().is_some() { "e" } else { "a" };
            self.say(format!("what you typed is kept: {key} opens it again"));
            self.drafts.push(Form { sent: None, notice: None, starts_over: false, ..*form });
        }
    }

    /// Brings the form up to date with the run. Done once before a frame.
    pub(in crate::console) fn refresh_form(&mut self) {
        let Some(run) = &self.run else { return };
        for layer in &mut self.layers {
            if let Popup::Form(form) = &mut layer.popup {
                form.refresh(&run.state);
            }
        }
    }

    /// What was typed into forms and not sent: what it is for, and the JSON.
    pub(in crate::console) fn unsent(&self) -> Vec<(String, String)> {
        let open = self.layers.iter().filter_map(|layer| match &layer.popup {
            Popup::Form(form) => Some(form.as_ref()),
            _ => None,
        });
        let forms = open.chain(&self.drafts).filter(|form| form.is_changed());
        forms.map(|form| (form.own().unwrap_or("new-step").to_owned(), form.text())).collect()
    }

    /// A key in the form.
    pub(in crate::console) fn form_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let key = Key::from(event);
        let pressed = |name: &str| name.parse() == Ok(key);
        let size = self.size;
        let (state, form) = match (&self.run, self.layers.last_mut().map(|layer| &mut layer.popup)) {
            (Some(run), Some(Popup::Form(form))) => (&run.state, form),
            _ => return Vec::new(),
        };
        let first_f8 = std::mem::take(&mut form.starts_over);
        if event.code == KeyCode::Esc || pressed("Ctrl-c") {
            self.close_form();
            return Vec::new();
        }
        if form.sent.is_some() {
            // What is on its way is what was shown.
            return Vec::new();
        }
        form.notice = None;
        let newer = form.standing.as_ref().is_some_and(|standing| standing.newer);
        match event.code {
            KeyCode::F(2) => form.turn_page(),
            KeyCode::F(4) => return self.edit_outside(),
            KeyCode::F(8) if first_f8 || !form.is_changed() => form.start_over(state),
            KeyCode::F(8) => {
                form.starts_over = true;
                form.notice = Some("F8 again throws away what you typed".into());
            }
            KeyCode::Enter if form.page == Page::Fields => return self.review(),
            _ if pressed("Ctrl-s") => return self.review(),
            _ if pressed("Ctrl-t") => form.turn_page(),
            _ if pressed("Ctrl-o") => return self.edit_outside(),
            _ if pressed("Ctrl-r") && newer => form.take_newer(state),
            _ => match form.page {
                Page::Fields => form.field_key(event),
                Page::Json => {
                    let page = views::form::height(form, size).max(2);
                    form.json_key(event, page as usize);
                }
            },
        }
        Vec::new()
    }

    /// Pasted text goes into the form as it is.
    pub(in crate::console) fn form_paste(&mut self, pasted: &str) {
        if let Some(form) = self.form().filter(|form| form.sent.is_none()) {
            form.paste(pasted);
        }
    }

    /// Opens the JSON in the operator's editor.
    fn edit_outside(&mut self) -> Vec<Effect> {
        let Some(form) = self.form() else { return Vec::new() };
        let name = form.own().unwrap_or("new-step").to_owned();
        vec![Effect::Edit { text: form.text(), name }]
    }

    /// The editor has ended.
    pub(in crate::console) fn edited(&mut self, result: Result<String, String>) {
        let Some(form) = self.form() else { return };
        match result {
            Ok(edited) => form.take_edited(&edited),
            Err(why) => form.notice = Some(text::clean(&why).into_owned()),
        }
    }

    /// Asks, with the effect, before what was typed is sent; or goes to what is wrong with it.
    fn review(&mut self) -> Vec<Effect> {
        let (state, form) = match (&self.run, self.layers.last_mut().map(|layer| &mut layer.popup)) {
            (Some(run), Some(Popup::Form(form))) => (&run.state, form),
            _ => return Vec::new(),
        };
        form.refresh(state);
        if !form.mistakes.is_empty() {
            form.go_to_mistake();
            return Vec::new();
        }
        if form.standing.is_some() {
            // It is said already, with what can be done.
            return Vec::new();
        }
        let command = match form.command() {
            Ok(command) => command,
            Err(why) => {
                form.notice = Some(text::clean(&why).into_owned());
                return Vec::new();
            }
        };
        let (title, effect, yes) = match &form.of {
            Of::Step { id, .. } => {
                let said = "It takes effect with the step's next attempt.".to_owned();
                (format!("Change {id}?"), said, "change it")
            }
            Of::New(new) => {
                let id = command.target().unwrap_or_default().to_owned();
                let place = &new.choices()[new.place as usize];
                let rewired = matches!(command, Command::Add { rewire: true, .. });
                let rewired = if rewired { "; what depends on that then depends on it" } else { "" };
                (format!("Add {id}?"), format!("It is put {place}{rewired}."), "add it")
            }
        };
        let ask = Ask {
            title,
            effect: vec![effect],
            yes: yes.into(),
            no: "back to the form".into(),
            care: Care::Plain,
            focus: Focus::Reason,
            reason: Some(form.reason.clone()),
            run: form.run,
            deed: Deed::Send(command),
            result: None,
            foretold: Foretold::default(),
            seen: None,
        };
        self.ask(ask)
    }

    /// The question over the form was answered. Gives the version of the plan for which it is sent; `Err`: it is not sent after all.
    pub(in crate::console) fn form_answer(&mut self, ask: &Ask, refused: Option<&str>) -> Result<Option<u64>, ()> {
        let form = self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Form(form) => Some(form),
            _ => None,
        });
        let Some((run, form)) = self.run.as_ref().zip(form) else { return Ok(None) };
        let version = run.state.plan_version;
        form.refresh(&run.state);
        if let Some(reason) = &ask.reason {
            form.reason = reason.clone();
        }
        if ask.focus == Focus::No {
            return Err(());
        }
        if let Some(why) = refused {
            form.notice = Some(why.to_owned());
            return Err(());
        }
        // The step has changed, or started, while the question was open.
        if form.standing.is_some() {
            form.notice = Some("not sent".into());
            return Err(());
        }
        form.sent = ask.command().map(|command| Sent { command: command.clone(), version, again: false });
        // What somebody else does to another step is no reason to refuse a new one.
        Ok(form.own().is_some().then_some(version))
    }

    /// The engine has answered a command; says whether it was the form's.
    pub(in crate::console) fn form_answered(&mut self, command: &Command, result: &Result<Ack, Rejection>) {
        let ours = |form: &Form| form.sent.as_ref().is_some_and(|sent| sent.command == *command);
        let Some(form) = self.form().filter(|form| ours(form)) else {
            // It was closed while its command was on its way.
            if result.is_ok() {
                self.drafts.retain(|draft| draft.command().ok().as_ref() != Some(command));
            }
            return;
        };
        match result {
            Ok(_) => {
                self.layers.retain(|layer| !matches!(layer.popup, Popup::Form(_)));
                if let (Command::Add { step, .. }, Some(run)) = (command, &mut self.run) {
                    // The selection goes to what was added, as soon as it is there.
                    run.select_when_there(step["step_id"].as_str().unwrap_or_default());
                }
            }
            Err(rejection) if rejection.code == RejectionCode::Stale => {
                if let Some(sent) = &mut form.sent {
                    sent.again = true;
                }
            }
            Err(rejection) => {
                form.sent = None;
                form.notice = Some(text::clean(&format!("refused: {rejection}")).into_owned());
            }
        }
    }

    /// Something else in the plan was changed while the form's command was on its way: it is sent again if this step is as it was.
    pub(in crate::console) fn form_follow(&mut self) -> Option<Effect> {
        let user = self.settings.user.clone();
        let version = self.run.as_ref()?.state.plan_version;
        let state = &self.run.as_ref()?.state;
        let form = self.layers.iter_mut().find_map(|layer| match &mut layer.popup {
            Popup::Form(form) => Some(form),
            _ => None,
        })?;
        let again = form.sent.as_ref().is_some_and(|sent| sent.again && version > sent.version);
        if !again {
            return None;
        }
        form.refresh(state);
        let sent = form.sent.take()?;
        if form.standing.is_some() {
            form.notice = Some("not sent: look at what has happened to the step".into());
            return None;
        }
        let mut request = request(sent.command.clone(), user).because(form.reason.text());
        request.expected_plan_version = Some(version);
        form.sent = Some(Sent { version, again: false, ..sent });
        Some(Effect::Send { run: form.run, request: Box::new(request) })
    }
}

impl Form {
    fn field_key(&mut self, event: KeyEvent) {
        let last = self.fields.len().saturating_sub(1);
        let Some(field) = self.fields.get_mut(self.selected) else { return };
        match event.code {
            KeyCode::Tab | KeyCode::Down => self.selected = if self.selected == last { 0 } else { self.selected + 1 },
            KeyCode::BackTab | KeyCode::Up => self.selected = self.selected.checked_sub(1).unwrap_or(last),
            KeyCode::PageDown => self.selected = last,
            KeyCode::PageUp => self.selected = 0,
            _ if field.fixed.is_some() => {}
            KeyCode::Right | KeyCode::Char(' ') if field.turn(false) => {}
            KeyCode::Left if field.turn(true) => {}
            // A choice takes no letters.
            _ if matches!(field.kind, super::fields::Kind::Choice(_)) => {}
            _ => {
                field.key(event);
            }
        }
        self.take_choices();
    }

    fn json_key(&mut self, event: KeyEvent, page: usize) {
        let DataCursor(row, column) = self.json.cursor();
        let go = |row: usize| CursorMove::Jump(u16::try_from(row).unwrap_or(u16::MAX), column as u16);
        match event.code {
            KeyCode::PageDown => self.json.move_cursor(go((row + page).min(self.json.lines().len() - 1))),
            KeyCode::PageUp => self.json.move_cursor(go(row.saturating_sub(page))),
            KeyCode::Enter if event.modifiers.is_empty() => {
                let line = &self.json.lines()[row];
                let before: String = line.chars().take(column).collect();
                let spaces = before.chars().take_while(|c| *c == ' ').count();
                let opens = before.trim_end().ends_with(['{', '[']);
                let indent = " ".repeat(spaces + if opens { 2 } else { 0 });
                self.json.insert_newline();
                self.json.insert_str(indent);
            }
            KeyCode::BackTab => {}
            KeyCode::Char(letter) if !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
                self.json.insert_str(letter.encode_utf8(&mut [0; 4]));
            }
            _ => {
                self.json.input(event);
            }
        }
    }

    fn paste(&mut self, pasted: &str) {
        let pasted = pasted.replace("\r\n", "\n").replace('\r', "\n");
        // Control characters have no place in JSON; a tab is space.
        let pasted: String = pasted.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        match self.page {
            Page::Json => {
                self.json.insert_str(pasted);
            }
            Page::Fields => {
                let line = pasted.trim_end_matches('\n');
                let Some(field) = self.fields.get_mut(self.selected) else { return };
                if line.contains(['\n', '\t']) {
                    self.notice = Some("a field is one line: several are pasted into the JSON (F2)".into());
                } else if field.fixed.is_none() && !matches!(field.kind, super::fields::Kind::Choice(_)) {
                    field.insert(line);
                }
            }
        }
    }

    /// Where a new step goes; for tests and titles.
    pub fn place(&self) -> Option<Where> {
        match &self.of {
            Of::New(new) => Some(new.place),
            Of::Step { .. } => None,
        }
    }
}
