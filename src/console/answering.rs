//! The form in which an operator answers what a step asks: its instructions, a field for each value, notes, and the two answers.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Map;
use uuid::Uuid;

use crate::engine::Ack;
use crate::plan::{FieldSpec, FieldType, typed};
use crate::run::{Answer, Command, Question, Rejection, StepState};

use super::app::{App, Effect};
use super::forms::{self, Fields, Meant};
use super::input::Input;
use super::keys::Key;
use super::popups::Popup;
use super::{text, views};

/// One field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub spec: FieldSpec,
    /// What is typed.
    pub input: Input,
    /// What is wrong with it, neutralised.
    pub mistake: Option<String>,
}

/// What in the form has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// A field.
    Field(usize),
    /// The answerer's words.
    Notes,
    /// The answer that gives what is asked for.
    Yes,
    /// The answer that does not.
    No,
}

/// The form.
#[derive(Debug, Clone)]
pub struct AnswerForm {
    /// Which run.
    pub run: Uuid,
    /// Which step.
    pub step: String,
    /// Which attempt, and which of its questions, from 1.
    asked: (u32, u32),
    /// What is asked.
    pub question: Arc<Question>,
    /// The fields, in their order.
    pub fields: Fields<Field>,
    /// What goes with the answer.
    pub notes: Input,
    /// What has the keys.
    pub focus: Focus,
    /// First line of the instructions that is seen.
    pub offset: usize,
    /// Why the answer was refused, neutralised.
    pub notice: Option<String>,
    /// The answer that is on its way.
    pub sent: Option<Command>,
    /// The question is not open any more, and why.
    pub gone: Option<String>,
}

/// What stands in a field before anything is typed.
fn shown(spec: &FieldSpec) -> String {
    spec.default.as_ref().filter(|default| !default.is_null()).map(typed).unwrap_or_default()
}

impl Field {
    fn new(name: &str, spec: &FieldSpec) -> Self {
        let shown = shown(spec);
        let input = Input::of(&shown).with_lines(spec.kind() == FieldType::String);
        Self { name: name.to_owned(), spec: spec.clone(), input, mistake: None }
    }

    /// What it is called.
    pub fn label(&self) -> &str {
        self.spec.title.as_deref().unwrap_or(&self.name)
    }

    /// Whether something else stands there than at first.
    fn is_typed(&self) -> bool {
        self.input.text() != shown(&self.spec)
    }

    /// Its value; `Ok(None)`: nothing was typed, and nothing needs to be.
    fn value(&self) -> Result<Option<serde_json::Value>, String> {
        match self.input.text() {
            empty if empty.is_empty() && self.spec.required && self.spec.default.is_none() => {
                Err("it needs a value".into())
            }
            empty if empty.is_empty() => Ok(None),
            given => self.spec.read(&given).map(Some),
        }
    }
}

impl forms::Field for Field {
    fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    fn choices(&self) -> Option<Vec<String>> {
        if !self.spec.is_choice() {
            return None;
        }
        let none = (!self.spec.required && self.spec.default.is_none()).then(String::new);
        Some(none.into_iter().chain(self.spec.choices()).collect())
    }

    fn mistake(&self) -> Option<&str> {
        self.mistake.as_deref()
    }

    fn check(&mut self) {
        self.mistake = self.value().err().map(|said| text::clean(&said).into_owned());
    }
}

impl AnswerForm {
    fn new(run: Uuid, step: &str, asked: (u32, u32), question: &Arc<Question>) -> Self {
        let fields: Vec<Field> = question.fields.0.iter().map(|(name, spec)| Field::new(name, spec)).collect();
        let focus = if fields.is_empty() { Focus::Yes } else { Focus::Field(0) };
        Self {
            run,
            step: step.to_owned(),
            asked,
            question: Arc::clone(question),
            fields: Fields::new(fields),
            notes: Input::default(),
            focus,
            offset: 0,
            notice: None,
            sent: None,
            gone: None,
        }
    }

    /// Whether two forms are about the same question.
    fn is_like(&self, other: &Self) -> bool {
        (self.run, &self.step, self.asked) == (other.run, &other.step, other.asked)
    }

    /// Whether anything was typed.
    fn is_changed(&self) -> bool {
        !self.notes.is_empty() || self.fields.iter().any(Field::is_typed)
    }

    /// What was typed, as text that can be kept. None of it is secret: nobody is asked for secrets.
    fn text(&self) -> String {
        let values = self.fields.iter().filter(|field| field.is_typed());
        let values: Map<_, _> = values.map(|field| (field.name.clone(), field.input.text().into())).collect();
        let mut kept = Map::new();
        kept.insert("step".into(), self.step.as_str().into());
        kept.insert("question".into(), self.question.title.as_str().into());
        kept.extend((!values.is_empty()).then(|| ("values".into(), values.into())));
        kept.extend((!self.notes.is_empty()).then(|| ("notes".into(), self.notes.text().into())));
        serde_json::to_string_pretty(&kept).unwrap_or_default()
    }

    fn turn(&mut self, back: bool) {
        let fields = self.fields.len();
        let ring = fields + 3;
        let now = match self.focus {
            Focus::Field(place) => place,
            Focus::Notes => fields,
            Focus::Yes => fields + 1,
            Focus::No => fields + 2,
        };
        self.focus = match forms::turned(now, ring, back) {
            place if place < fields => Focus::Field(place),
            place if place == fields => Focus::Notes,
            place if place == fields + 1 => Focus::Yes,
            _ => Focus::No,
        };
    }

    fn key(&mut self, event: KeyEvent) {
        match (forms::meant(event), self.focus) {
            (Some(Meant::Next | Meant::Down), _) => self.turn(false),
            (Some(Meant::Previous | Meant::Up), _) => self.turn(true),
            (Some(_), _) => {}
            (None, Focus::Yes | Focus::No) => {
                if matches!(event.code, KeyCode::Left | KeyCode::Right) {
                    self.focus = if self.focus == Focus::Yes { Focus::No } else { Focus::Yes };
                }
            }
            (None, Focus::Notes) => {
                self.notes.key(event);
            }
            (None, Focus::Field(place)) => self.fields.key(place, event),
        }
    }

    /// Whether the answer that the keys are on lets the step fail.
    pub fn fails_step(&self) -> bool {
        self.focus == Focus::No && self.question.is_task
    }

    /// The answer that the keys are on; `None`: something is wrong, and the keys are there.
    fn answer(&mut self) -> Option<Answer> {
        if self.focus == Focus::No {
            return Some(Answer::Declined);
        }
        if let Err(wrong) = self.fields.try_to_send() {
            self.focus = Focus::Field(wrong);
            return None;
        }
        let given = |field: &Field| Some((field.name.clone(), field.value().ok()??));
        Some(Answer::Accepted(self.fields.iter().filter_map(given).collect::<Map<_, _>>()))
    }

    /// Whether a step still asks this; if not, what has become of it.
    fn gone(&self, step: Option<&StepState>) -> Option<String> {
        let (attempt, number) = self.asked;
        let found = step.and_then(|step| step.attempts.iter().find(|one| one.number == attempt));
        let asked = found.and_then(|attempt| attempt.questions.get(number as usize - 1));
        if let Some(answered) = asked.and_then(|asked| asked.answered.as_ref()) {
            return Some(format!("{} has answered it", text::clean(&answered.user)));
        }
        let open = step.and_then(StepState::question).is_some_and(|(which, _)| which == number)
            && found.is_some_and(|attempt| attempt.ended_at.is_none());
        (!open).then(|| format!("{} does not ask this any more", self.step))
    }
}

impl App {
    /// The form for answers that is open.
    fn answer_form(&mut self) -> Option<&mut AnswerForm> {
        self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Answer(form) => Some(form.as_mut()),
            _ => None,
        })
    }

    /// Opens the form for what the selected step asks, as it was left.
    pub(super) fn open_answer(&mut self) {
        let Some(run) = &self.run else { return };
        let Some(position) = run.position() else { return };
        let (id, step) = (&run.state.plan.steps[position].step_id, &run.state.steps[position]);
        let Some((number, asked)) = step.question() else { return };
        let form = AnswerForm::new(run.id(), id, (step.last_attempt, number), &asked.question);
        let draft = self.answer_drafts.iter().position(|draft| draft.is_like(&form));
        let form = draft.map_or(form, |place| self.answer_drafts.remove(place));
        self.push(Popup::Answer(Box::new(form)));
    }

    /// A key in the form.
    pub(super) fn answer_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let meant = forms::meant(event);
        let area = ratatui::layout::Rect::new(0, 0, self.size.0, self.size.1);
        let charset = self.glyphs;
        let Some(form) = self.answer_form() else { return Vec::new() };
        let sends = matches!(meant, Some(Meant::Send | Meant::Enter));
        if meant == Some(Meant::Close) || (form.gone.is_some() && sends) {
            self.close_answer();
            return Vec::new();
        }
        if form.sent.is_some() || form.gone.is_some() {
            return Vec::new();
        }
        form.notice = None;
        match meant {
            Some(Meant::PageDown | Meant::PageUp) => {
                let (furthest, page) = views::answer::scrolling(form, area, charset);
                let by = if meant == Some(Meant::PageDown) { page as isize } else { -(page as isize) };
                form.offset = form.offset.saturating_add_signed(by).min(furthest);
                return Vec::new();
            }
            _ if sends => {}
            None if form.fails_step() && Key::from(event) == Key::new(KeyCode::Char('y'), KeyModifiers::NONE) => {}
            _ => {
                form.key(event);
                return Vec::new();
            }
        }
        let Some(answer) = form.answer() else { return Vec::new() };
        // A step fails by no key that does something else elsewhere.
        if form.fails_step() && sends {
            let why = if form.notes.is_empty() { "; a word in Notes first says why" } else { "" };
            form.notice = Some(format!("{} fails with this answer: y says so{why}", form.step));
            return Vec::new();
        }
        let (run, step, question) = (form.run, form.step.clone(), Some(form.asked.1));
        let command = Command::Answer { step, question, answer };
        form.sent = Some(command.clone());
        let notes = form.notes.clone();
        vec![self.request(run, command, None, Some(&notes))]
    }

    /// What was typed is kept: the question is still open.
    fn close_answer(&mut self) {
        let Some(layer) = self.layers.pop() else { return };
        let Popup::Answer(mut form) = layer.popup else { return };
        match form.gone {
            Some(gone) => self.say(gone),
            None if form.is_changed() => {
                self.say(format!("{} still waits for an answer; what you typed is kept", form.step));
                form.sent = None;
                self.answer_drafts.push(*form);
            }
            None => self.say(format!("{} still waits for an answer", form.step)),
        }
    }

    /// Pasted text goes into the field.
    pub(super) fn answer_paste(&mut self, pasted: &str) {
        let Some(form) = self.answer_form().filter(|form| form.sent.is_none()) else { return };
        match form.focus {
            Focus::Notes => form.notice = form.notes.paste(pasted).err(),
            Focus::Field(place) => form.notice = form.fields.paste(place, pasted).err(),
            Focus::Yes | Focus::No => {}
        }
    }

    /// The engine has answered a command, which may be the form's.
    pub(super) fn answer_answered(&mut self, command: &Command, result: &Result<Ack, Rejection>) {
        let Some(form) = self.answer_form().filter(|form| form.sent.as_ref() == Some(command)) else { return };
        match result {
            Ok(_) => self.layers.retain(|layer| !matches!(layer.popup, Popup::Answer(_))),
            Err(rejection) => {
                form.sent = None;
                form.notice = Some(text::clean(&rejection.to_string()).into_owned());
            }
        }
    }

    /// What was typed as answers and not sent: for which step, and the text.
    pub(super) fn unsent_answers(&self) -> impl Iterator<Item = (String, String)> {
        let open = self.layers.iter().filter_map(|layer| match &layer.popup {
            Popup::Answer(form) if form.sent.is_none() && form.gone.is_none() => Some(form.as_ref()),
            _ => None,
        });
        let forms = open.chain(&self.answer_drafts).filter(|form| form.is_changed());
        forms.map(|form| (form.step.clone(), form.text()))
    }

    /// Looks whether the questions are still open: what was typed for others is of no use. Done once before a frame.
    pub(super) fn refresh_answer(&mut self) {
        if let Some(run) = &self.run {
            let asks = |draft: &AnswerForm| draft.gone(run.state.step(&draft.step).map(|(_, step)| step)).is_none();
            self.answer_drafts.retain(|draft| draft.run != run.id() || asks(draft));
        }
        let state = self.run.as_ref().map(|run| (run.id(), &run.state));
        let form = self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Answer(form) => Some(form),
            _ => None,
        });
        let (Some((run, state)), Some(form)) = (state, form) else { return };
        // Its own answer is told by the engine.
        if form.run == run && form.sent.is_none() {
            form.gone = form.gone(state.step(&form.step).map(|(_, step)| step));
        }
    }
}
