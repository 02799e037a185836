//! The form in the console: keys, the question before it is sent, and what comes back.

use crossterm::event::KeyEvent;

use crate::engine::{Ack, request};
use crate::run::{Command, Rejection, RejectionCode, still_open};

use super::super::app::{App, Effect};
use super::super::foretold::Foretold;
use super::super::forms::{self, Meant};
use super::super::popups::{Ask, Care, Deed, Focus, Popup};
use super::super::{input, text, views};
use super::fields::{At, Field};
use super::{Form, Of, Outside, Page, Sent, Where};

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
            let state = self.run.as_ref().filter(|run| run.id() == form.run).map(|run| &run.state);
            // By the rule that its key asks.
            let over = |own: &&str| state.is_none_or(|state| still_open(state, own, false).is_err());
            self.say(match form.own().filter(over) {
                Some(own) => format!("what you typed for {own} is kept: it is in a file when the console ends"),
                None if form.own().is_some() => self.keys.fill("what you typed is kept: {modify} opens it again"),
                None => self.keys.fill("what you typed is kept: {add} opens it again"),
            });
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

    /// What was typed into forms and not sent: for which step, and the text, which is JSON where it can be read.
    pub(in crate::console) fn unsent(&self) -> Vec<(String, String)> {
        let open = self.layers.iter().filter_map(|layer| match &layer.popup {
            Popup::Form(form) => Some(form.as_ref()),
            _ => None,
        });
        let forms = open.chain(&self.drafts).filter(|form| form.is_changed());
        let forms = forms.map(|form| (form.own().unwrap_or("new-step").to_owned(), form.text()));
        forms.chain(self.unsent_answers()).collect()
    }

    /// A key in the form.
    pub(in crate::console) fn form_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let size = self.size;
        let (state, form) = match (&self.run, self.layers.last_mut().map(|layer| &mut layer.popup)) {
            (Some(run), Some(Popup::Form(form))) => (&run.state, form),
            _ => return Vec::new(),
        };
        let meant = forms::meant(event);
        let again = std::mem::take(&mut form.starts_over);
        if meant == Some(Meant::Close) {
            self.close_form();
            return Vec::new();
        }
        if form.sent.is_some() {
            // What is on its way is what was shown.
            return Vec::new();
        }
        form.notice = None;
        let newer = form.standing.as_ref().is_some_and(|standing| standing.newer);
        match meant {
            Some(Meant::OtherPage) => form.turn_page(),
            Some(Meant::Editor) => return self.edit_outside(),
            Some(Meant::StartOver) if again || !form.is_changed() => form.start_over(state),
            Some(Meant::StartOver) => {
                form.starts_over = true;
                let key = forms::shown(Meant::StartOver);
                form.notice = Some(format!("{key} again throws away what you typed"));
            }
            Some(Meant::TakeNewer) if newer => form.take_newer(state),
            Some(Meant::Send) => return self.review(),
            Some(Meant::Enter) if !form.enter_begins_a_line() => return self.review(),
            _ => {
                let page = views::form::height(form, size).max(2);
                form.key(meant, event, isize::try_from(page).unwrap_or(isize::MAX));
            }
        }
        Vec::new()
    }

    /// Pasted text goes into the form as it is.
    pub(in crate::console) fn form_paste(&mut self, pasted: &str) {
        if let Some(form) = self.form().filter(|form| form.sent.is_none()) {
            form.paste(pasted);
        }
    }

    /// Opens a text of the form in the operator's editor: what has the keys, or the JSON.
    fn edit_outside(&mut self) -> Vec<Effect> {
        let Some(form) = self.form() else { return Vec::new() };
        let step = form.own().unwrap_or("new-step").to_owned();
        let Outside { field, text } = form.outside();
        // By its end an editor knows what it is.
        let name = match &field {
            Some(At::Json(names)) if *names == ["run"] => format!("{step}.sh"),
            Some(_) => format!("{step}.txt"),
            None => format!("{step}.json"),
        };
        form.outside = field;
        vec![Effect::Edit { text, name }]
    }

    /// The editor has ended.
    pub(in crate::console) fn edited(&mut self, result: Result<String, String>) {
        let Some(form) = self.form() else { return };
        let field = form.outside.take();
        match result {
            Ok(edited) => form.take_edited(field.as_ref(), &edited),
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
        form.tried = true;
        if !form.mistakes.is_empty() {
            form.go_to_mistake();
            // Among the fields it is seen where the keys go.
            form.notice = (form.page == Page::Json).then(|| match form.told().count() {
                1 => "not sent: there is a mistake".to_owned(),
                number => format!("not sent: there are {number} mistakes, and this is the first"),
            });
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
                (format!("Change {id}?"), vec![said], "change it")
            }
            Of::New(new) => {
                let id = command.target().unwrap_or_default().to_owned();
                let place = &new.choices()[new.place as usize];
                let rewired = matches!(command, Command::Add { rewire: true, .. });
                let rewired = if rewired { "; what depends on that then depends on it" } else { "" };
                let put = format!("It is put {place}{rewired}.");
                (format!("Add {id}?"), std::iter::once(put).chain(form.from_defaults()).collect(), "add it")
            }
        };
        let ask = Ask {
            title,
            effect,
            yes: yes.into(),
            no: "back to the form".into(),
            care: Care::Plain,
            focus: Focus::Answers,
            reason: Some(form.reason.clone()),
            run: form.run,
            deed: Deed::Send(command),
            result: None,
            instead: None,
            foretold: Foretold::default(),
            seen: None,
            kills: false,
            agreed: None,
        };
        self.ask(ask)
    }

    /// The question over the form was answered. Gives the version of the plan for which it is sent; `Err`: it is not sent after all.
    pub(in crate::console) fn form_answer(&mut self, ask: &Ask, refused: Option<&str>) -> Result<Option<u64>, ()> {
        let form = self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Form(form) => Some(form).filter(|form| form.is_asked_by(ask)),
            _ => None,
        });
        let Some((run, form)) = self.run.as_ref().zip(form) else { return Ok(None) };
        let version = run.state.plan_version;
        form.refresh(&run.state);
        if let Some(reason) = &ask.reason {
            form.reason = reason.clone();
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

    /// The question over the form was answered with no: its reason stays with what was typed. Whether it was the form's.
    pub(in crate::console) fn back_to_form(&mut self, ask: &Ask) -> bool {
        let form = self.form().filter(|form| form.is_asked_by(ask));
        let Some((form, reason)) = form.zip(ask.reason.as_ref()) else { return false };
        form.reason = reason.clone();
        true
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
    /// Whether a question is about what this form sends.
    fn is_asked_by(&self, ask: &Ask) -> bool {
        match ask.command() {
            Some(Command::Modify { step, .. }) => self.own() == Some(step.as_str()),
            Some(Command::Add { .. }) => self.own().is_none(),
            _ => false,
        }
    }

    /// Whether Enter begins a line: in JSON, and in a text that has several.
    pub fn enter_begins_a_line(&self) -> bool {
        self.page == Page::Json || self.fields.get(self.selected).is_some_and(Field::has_lines)
    }

    /// A key for the page that is seen, of so many rows.
    fn key(&mut self, meant: Option<Meant>, event: KeyEvent, page: isize) {
        match self.page {
            Page::Fields => self.field_key(meant, event, page),
            Page::Json => match meant {
                Some(Meant::Enter | Meant::NewLine) => self.json.new_line(true),
                Some(Meant::PageDown) => drop(self.json.step(page)),
                Some(Meant::PageUp) => drop(self.json.step(-page)),
                _ => self.json.key(event),
            },
        }
    }

    fn field_key(&mut self, meant: Option<Meant>, event: KeyEvent, page: isize) {
        let fields = self.fields.len();
        let last = fields.saturating_sub(1);
        let Some(field) = self.fields.get_mut(self.selected) else { return };
        // As many lines as are seen of a text among the fields.
        let page = (page / 2).clamp(3, 14);
        let mut in_text = |lines: isize| field.textbox().is_some_and(|text| text.has_lines() && text.step(lines));
        match meant {
            Some(Meant::Down) if in_text(1) => {}
            Some(Meant::Up) if in_text(-1) => {}
            Some(Meant::PageDown) if in_text(page) => {}
            Some(Meant::PageUp) if in_text(-page) => {}
            Some(Meant::Next | Meant::Down) => self.selected = forms::turned(self.selected, fields, false),
            Some(Meant::Previous | Meant::Up) => self.selected = forms::turned(self.selected, fields, true),
            Some(Meant::PageDown) => self.selected = last,
            Some(Meant::PageUp) => self.selected = 0,
            Some(Meant::Enter | Meant::NewLine) => match field.textbox() {
                Some(text) => text.new_line(false),
                None => self.notice = Some("this field is one line".into()),
            },
            Some(_) => {}
            None => field.key(event),
        }
        self.follow();
    }

    fn paste(&mut self, pasted: &str) {
        match self.page {
            Page::Json => {
                self.notice = input::pasted(pasted).map(|pasted| self.json.insert(&pasted)).err();
            }
            Page::Fields => {
                let Some(field) = self.fields.get_mut(self.selected) else { return };
                self.notice = field.paste(pasted).err();
                self.follow();
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
