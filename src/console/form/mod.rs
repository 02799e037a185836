//! The form in which a step is changed or added: fields for what is changed at night, and the step's whole JSON.
//!
//! The JSON is what is meant; the fields are a view of it. What was typed is kept in every case: when the engine refuses, when the step starts or
//! is changed by somebody else meanwhile, when the form is closed. What is sent is the difference to the step as it was when the form was opened.

pub mod fields;
pub mod mistakes;
mod session;

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::plan::{Plan, Step, defaults_for, merge_patch, number_in_words, patched};
use crate::run::{Command, Place, RunState, still_open};

use super::input::Input;
use super::textbox::TextBox;
use super::{text, words};
use fields::{At, Field};
use mistakes::{Mistake, check, path_at};

/// The form.
#[derive(Debug, Clone)]
pub struct Form {
    /// Which run.
    pub run: Uuid,
    /// What it is about.
    pub of: Of,
    /// What of it is seen.
    pub page: Page,
    /// The fields.
    pub fields: Vec<Field>,
    /// Which of them has the keys.
    pub selected: usize,
    /// The JSON, while it is typed.
    pub json: TextBox,
    /// What is wrong with it.
    pub mistakes: Vec<Mistake>,
    /// It was tried to send it: from then on it is told what is missing.
    tried: bool,
    /// What became of it: why it was refused, what is to be done first. Neutralised.
    pub notice: Option<String>,
    /// What has happened to the step meanwhile. Neutralised.
    pub standing: Option<Standing>,
    /// The command is on its way.
    pub sent: Option<Sent>,
    /// F8 was pressed once.
    pub starts_over: bool,
    /// The field whose text is open in an editor; none: the JSON is.
    outside: Option<At>,
    /// The reason given in the question before it is sent.
    pub reason: Input,
    /// The JSON from which the fields were made.
    base: Map<String, Value>,
    facts: Facts,
    /// The text it began with.
    began: String,
    /// What was checked last.
    checked: Option<(u64, String)>,
}

/// What a form is about.
#[derive(Debug, Clone)]
pub enum Of {
    /// A step of the plan.
    Step {
        /// Its id.
        id: String,
        /// The step as it was when the form was opened.
        before: Arc<Step>,
    },
    /// A new step.
    New(NewStep),
}

/// Where a new step is put.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// The step that was selected.
    pub neighbour: String,
    /// Where.
    pub place: Where,
    /// What depends on the neighbour then depends on the new one.
    pub rewire: bool,
    /// The id that is proposed.
    pub id: String,
}

/// Where, seen from the step that was selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// After it.
    After,
    /// Before it.
    Before,
    /// After all.
    End,
}

const PLACES: [Where; 3] = [Where::After, Where::Before, Where::End];

impl NewStep {
    /// The places in words, in the order of [`Where`].
    pub fn choices(&self) -> Vec<String> {
        vec![format!("after {}", self.neighbour), format!("before {}", self.neighbour), "at the end".to_owned()]
    }

    fn place(&self) -> Place {
        match self.place {
            Where::After => Place::After(self.neighbour.clone()),
            Where::Before => Place::Before(self.neighbour.clone()),
            Where::End => Place::End,
        }
    }
}

/// The pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The fields.
    Fields,
    /// The JSON.
    Json,
}

/// What has happened to the step since the form was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What.
    pub text: String,
    /// Whether the newer step can be taken in, and what was typed kept.
    pub newer: bool,
}

/// A command that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// What was sent.
    pub command: Command,
    /// The plan it was made for.
    pub version: u64,
    /// It was refused because something in the plan has changed: it is looked at again when the screen has got there.
    pub again: bool,
}

/// What of a form is opened in an editor.
struct Outside {
    /// The field whose text it is; none: the JSON.
    field: Option<At>,
    text: String,
}

/// What of the plan the form shows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Agents there are.
    pub agents: Vec<String>,
    /// Whether steps name what they depend on.
    pub is_graph: bool,
    /// Whether it is one of the steps that a run makes itself, whose place in the order is none of its own.
    pub is_generated: bool,
    /// The reason of a hold point that the plan does not have and that was set on the step; may be empty.
    pub live_hold: Option<String>,
    /// The plan's defaults, where the step is a new one: to the others they have been given.
    pub defaults: Map<String, Value>,
}

impl Form {
    /// A form on a step of the plan.
    pub fn modify(state: &RunState, id: &str) -> Option<Self> {
        let (before, _) = state.step(id)?;
        let text = pretty(&as_json(before));
        Some(Self::new(state, Of::Step { id: id.to_owned(), before: Arc::clone(before) }, text))
    }

    /// A form for a new step.
    pub fn add(state: &RunState, neighbour: &str) -> Self {
        let taken = |id: &str| state.position(id).is_some() || state.removed.contains_key(id);
        let mut id = "new-step".to_owned();
        for number in 2.. {
            if !taken(&id) {
                break;
            }
            id = format!("new-step-{number}");
        }
        let mut step = Map::from_iter([("step_id".to_owned(), id.as_str().into())]);
        fields::complete(&[], &mut step, &state.plan.defaults);
        let text = pretty(&step.into());
        let new = NewStep { neighbour: neighbour.to_owned(), place: Where::After, rewire: false, id };
        Self::new(state, Of::New(new), text)
    }

    fn new(state: &RunState, of: Of, began: String) -> Self {
        let own = match &of {
            Of::Step { id, .. } => state.position(id),
            Of::New(_) => None,
        };
        let planned = |place: usize| state.plan.steps[place].hold.as_deref().is_some_and(crate::plan::Hold::is_set);
        let live = own.filter(|place| state.is_hold_point(*place) && !planned(*place));
        let facts = Facts {
            agents: state.plan.agents.keys().cloned().collect(),
            is_graph: state.order().is_graph(),
            is_generated: own.is_some_and(|place| state.plan.steps[place].generated.is_some()),
            live_hold: live.map(|place| text::clean(state.hold_reason(place).unwrap_or_default()).into_owned()),
            defaults: match &of {
                Of::Step { .. } => Map::new(),
                Of::New(_) => state.plan.defaults.clone(),
            },
        };
        let mut form = Self {
            run: state.run_id,
            of,
            page: Page::Fields,
            fields: Vec::new(),
            selected: 0,
            json: TextBox::new(""),
            mistakes: Vec::new(),
            tried: false,
            notice: None,
            standing: None,
            sent: None,
            starts_over: false,
            outside: None,
            reason: Input::default(),
            base: Map::new(),
            facts,
            began: began.clone(),
            checked: None,
        };
        form.begin(&began);
        form
    }

    /// Shows a text, on both pages.
    fn begin(&mut self, source: &str) {
        self.json = TextBox::new(source);
        // It is JSON that was just written, or was read before it came here.
        let _ = self.make_fields(source);
    }

    /// Makes the fields from a text.
    fn make_fields(&mut self, source: &str) -> Result<(), ()> {
        let Ok(Value::Object(step)) = serde_json::from_str(source) else { return Err(()) };
        let new = match &self.of {
            Of::New(new) => Some(new),
            Of::Step { .. } => None,
        };
        self.fields = fields::of(&step, new, &self.facts);
        if let Of::Step { before, .. } = &self.of
            && let Value::Object(before) = as_json(before)
        {
            let was = fields::of(&before, None, &self.facts);
            for field in &mut self.fields {
                let before = was.iter().find(|one| one.at == field.at);
                field.was = Some(before.map(Field::text).unwrap_or_default());
            }
        }
        self.base = step;
        self.selected = self.selected.min(self.fields.len().saturating_sub(1));
        Ok(())
    }

    /// The step's JSON as it was typed.
    pub fn text(&self) -> String {
        let typed = self.page == Page::Fields
            && self.fields.iter().any(|field| matches!(field.at, At::Json(_)) && field.is_typed());
        if typed { pretty(&Value::Object(self.composed())) } else { self.json.text() }
    }

    fn composed(&self) -> Map<String, Value> {
        let mut step = self.base.clone();
        fields::write(&self.fields, &mut step, &self.facts.defaults);
        if let Of::New(_) = self.of {
            fields::complete(&self.fields, &mut step, &self.facts.defaults);
        }
        step
    }

    /// What the plan's defaults give to a new step that does not say it itself, in words.
    pub fn from_defaults(&self) -> Option<String> {
        let Ok(Value::Object(step)) = serde_json::from_str(&self.text()) else { return None };
        let given = defaults_for(&self.facts.defaults, &step);
        let word = |name: &str, value: &Value| match value {
            // What has parts finds no room here.
            Value::Object(_) | Value::Array(_) => name.to_owned(),
            Value::Number(number) => format!("{name} {}", number_in_words(number)),
            other => format!("{name} {}", text::fit(&text::clean(&other.to_string()), 24)),
        };
        let given: Vec<String> = given.iter().map(|(name, value)| word(&text::clean(name), value)).collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        (!given.is_empty()).then(|| format!("The plan's defaults give it {}.", words::list(&given, 8)))
    }

    /// The text whose mistakes are shown: where only fields are seen, they must be found again in it.
    fn checked_text(&self) -> String {
        match self.page {
            Page::Fields => pretty(&Value::Object(self.composed())),
            Page::Json => self.text(),
        }
    }

    /// Whether anything was typed.
    pub fn is_changed(&self) -> bool {
        let form = |field: &Field| !matches!(field.at, At::Json(_)) && field.is_typed();
        self.text() != self.began || self.fields.iter().any(form)
    }

    /// Its heading.
    pub fn title(&self) -> String {
        match &self.of {
            Of::Step { id, .. } => format!("Change {id}"),
            Of::New(_) => "Add a step".to_owned(),
        }
    }

    /// The id of the step that is changed.
    pub fn own(&self) -> Option<&str> {
        match &self.of {
            Of::Step { id, .. } => Some(id),
            Of::New(_) => None,
        }
    }

    /// Whether two forms are about the same thing.
    pub fn is_like(&self, other: &Form) -> bool {
        self.run == other.run && self.own() == other.own()
    }

    /// Looks for mistakes, and for what has happened to the step. Done once before a frame.
    pub fn refresh(&mut self, state: &RunState) {
        let source = self.checked_text();
        let now = (state.plan_version, source);
        if self.checked.as_ref() != Some(&now) {
            self.mistakes = self.find_mistakes(&state.plan, &now.1, state.options.simulate);
            self.checked = Some(now);
        }
        self.standing = self.look(state);
    }

    /// The mistakes that are told: what is only missing is not one before it is sent.
    pub fn told(&self) -> impl Iterator<Item = &Mistake> {
        self.mistakes.iter().filter(|mistake| self.tried || !mistake.is_missing)
    }

    fn find_mistakes(&self, plan: &Plan, source: &str, simulate: bool) -> Vec<Mistake> {
        match check(plan, source, self.own(), simulate) {
            Ok(step) => self.unsaid(source, &step).into_iter().collect(),
            Err(found) => found,
        }
    }

    /// What a merge patch cannot say of the change.
    fn unsaid(&self, source: &str, step: &Step) -> Option<Mistake> {
        let Of::Step { before, .. } = &self.of else { return None };
        let after: Value = serde_json::from_str(source).ok()?;
        let made = patched(before, &merge_patch(&as_json(before), &after));
        let made = serde_json::from_value::<Step>(made);
        // What a run says of a step that it has made itself stands in no JSON, and stays as it is.
        let same = made.is_ok_and(|made| Step { generated: step.generated.clone(), ..made } == *step);
        let message = "a null in what is put in cannot be sent: in a change, null takes a field away";
        let place = source.find("null").map_or(0..source.len(), |place| place..place + 4);
        (!same).then(|| Mistake::at(source, place, message, Some("leave it out, or give it another value")))
    }

    fn look(&self, state: &RunState) -> Option<Standing> {
        let Of::Step { id, before } = &self.of else { return None };
        if let Err(rejection) = still_open(state, id, false) {
            return Some(Standing { text: text::clean(&rejection.to_string()).into_owned(), newer: false });
        }
        let (now, _) = state.step(id)?;
        if Arc::ptr_eq(now, before) || now == before {
            return None;
        }
        let newest = state
            .versions
            .iter()
            .rev()
            .find(|one| one.change.edits.iter().any(|edit| edit.step_ids().contains(&id.as_str())));
        let who = newest.map_or_else(|| "somebody".to_owned(), |one| one.change.user.clone());
        let fields: Vec<String> =
            crate::plan::field_changes(before, now).into_iter().map(|change| change.field).collect();
        let names: Vec<&str> = fields.iter().map(String::as_str).collect();
        let text = format!("{who} has changed this step meanwhile ({})", words::list(&names, 4));
        Some(Standing { text: text::clean(&text).into_owned(), newer: true })
    }

    /// Takes the step as it is now for the one to change, with what was typed laid over it.
    pub fn take_newer(&mut self, state: &RunState) {
        let Of::Step { id, before } = &self.of else { return };
        let Some((now, _)) = state.step(id) else { return };
        let Ok(after) = serde_json::from_str::<Value>(&self.text()) else {
            self.notice = Some("mend the JSON first: what was typed cannot be laid over the newer step".into());
            return;
        };
        let mut made = as_json(now);
        json_patch::merge(&mut made, &merge_patch(&as_json(before), &after));
        self.began = pretty(&as_json(now));
        self.of = Of::Step { id: id.clone(), before: Arc::clone(now) };
        self.begin(&pretty(&made));
        self.notice = Some("the newer step is taken in; what you typed is kept".into());
        self.refresh(state);
    }

    /// Throws away what was typed.
    pub fn start_over(&mut self, state: &RunState) {
        let fresh = match &self.of {
            Of::Step { id, .. } => Self::modify(state, id),
            Of::New(new) => Some(Self::add(state, &new.neighbour)),
        };
        if let Some(fresh) = fresh {
            *self = Self { page: self.page, reason: std::mem::take(&mut self.reason), ..fresh };
        }
    }

    /// Shows the other page. What was typed in fields stands in the JSON then; JSON that cannot be read stays where it is.
    pub fn turn_page(&mut self) {
        let source = self.text();
        match self.page {
            Page::Fields => {
                self.json.replace(&source);
                let _ = self.make_fields(&source);
                self.page = Page::Json;
            }
            Page::Json => match self.make_fields(&source) {
                Ok(()) => self.page = Page::Fields,
                Err(()) => self.notice = Some("the form shows JSON that can be read: mend it first".into()),
            },
        }
    }

    /// The text that is opened in an editor: the one of a field that may have several lines, else the whole JSON.
    fn outside(&mut self) -> Outside {
        let field = (self.page == Page::Fields).then_some(self.selected);
        let text = field.and_then(|place| {
            let field = self.fields.get_mut(place)?;
            let at = field.at.clone();
            Some((at, field.textbox()?.text()))
        });
        match text {
            Some((at, text)) => Outside { field: Some(at), text },
            None => Outside { field: None, text: self.text() },
        }
    }

    /// The text came back from an editor; `field`: it is the text of that field, and not the JSON.
    pub fn take_edited(&mut self, field: Option<&At>, source: &str) {
        let source = source.replace("\r\n", "\n");
        if let Some(at) = field {
            // The last line ends as lines do in files.
            let text = source.strip_suffix('\n').unwrap_or(&source);
            if let Some(field) = self.fields.iter_mut().find(|field| field.at == *at) {
                field.set(text);
            }
            return;
        }
        let source = source.trim_end_matches('\n');
        self.json.replace(source);
        if self.make_fields(source).is_err() {
            self.page = Page::Json;
        }
    }

    /// The field a mistake belongs to, on the page of fields.
    pub fn field_of(&self, mistake: &Mistake) -> Option<usize> {
        let (_, source) = self.checked.as_ref()?;
        // A mistake of the step as a whole belongs to no field.
        if mistake.span == (0..source.len()) {
            return None;
        }
        let path = path_at(source, mistake.span.start.min(source.len()));
        self.fields.iter().position(|field| match &field.at {
            At::Json(names) => !path.is_empty() && (path.starts_with(names) || names.starts_with(&path)),
            _ => false,
        })
    }

    /// Goes to the first mistake.
    pub fn go_to_mistake(&mut self) {
        let Some(first) = self.mistakes.first() else { return };
        match self.page {
            Page::Fields => {
                let found = self.mistakes.iter().find_map(|mistake| self.field_of(mistake));
                match found {
                    Some(field) => self.selected = field,
                    None => self.notice = Some("the mistake is in what only the JSON shows: F2".into()),
                }
            }
            Page::Json => {
                self.json.go_to(first.line - 1, first.column - 1);
            }
        }
    }

    /// The command that does what was typed; `Err`: why there is none.
    fn command(&self) -> Result<Command, String> {
        let after: Value =
            serde_json::from_str(&self.text()).map_err(|error| format!("the JSON cannot be read: {error}"))?;
        match &self.of {
            Of::Step { id, before } => {
                let patch = merge_patch(&as_json(before), &after);
                if patch.as_object().is_some_and(Map::is_empty) {
                    return Err("nothing is changed".into());
                }
                Ok(Command::Modify { step: id.clone(), patch })
            }
            Of::New(new) => {
                let rewire = new.rewire && new.place == Where::After && self.facts.is_graph;
                Ok(Command::Add { step: after, place: new.place(), rewire })
            }
        }
    }

    /// What was typed in one field is seen in those that depend on it: in a form for a new step.
    fn follow(&mut self) {
        if let Of::New(_) = self.of {
            let step = self.composed();
            fields::follow(&mut self.fields, &step, &self.facts.defaults);
            self.take_choices();
        }
    }

    /// What was chosen in the fields that are not JSON.
    fn take_choices(&mut self) {
        let Of::New(new) = &mut self.of else { return };
        let choices = new.choices();
        for field in &mut self.fields {
            match field.at {
                At::Place => {
                    let place = choices.iter().position(|choice| *choice == field.typed.text()).unwrap_or(0);
                    new.place = PLACES[place];
                }
                At::Rewire => {
                    new.rewire = field.typed.text() == "yes";
                    field.fixed = (new.place != Where::After).then_some("only for a step that is put after another");
                }
                At::Json(_) => {}
            }
        }
    }
}

/// A step's JSON as it is edited: whole seconds are whole.
fn as_json(step: &Step) -> Value {
    fn whole(value: Option<&mut Value>) {
        if let Some(value) = value
            && let Some(seconds) = value.as_f64()
            && seconds.fract() == 0.0
            && (0.0..1e15).contains(&seconds)
        {
            *value = Value::from(seconds as u64);
        }
    }
    let mut value = crate::plan::step_json(step);
    whole(value.get_mut("timeout_seconds"));
    if let Some(retry) = value.get_mut("retry").and_then(Value::as_object_mut) {
        retry.iter_mut().for_each(|(_, value)| whole(Some(value)));
    }
    value
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
