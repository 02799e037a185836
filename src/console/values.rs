//! The form in which a plan's variables get their values before a run is made of it: one field for each, secrets never readable.
//!
//! What is typed is checked with the same [`bind`] that makes the run; what the environment gives is known here by name only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::KeyEvent;
use serde_json::Value;

use crate::plan::{Plan, Variable, bind};

use super::app::{App, Effect};
use super::forms::{self, Fields, Meant};
use super::input::Input;
use super::popups::Popup;
use super::{text, words};

/// Values as an operator gives them, by the variable's name. Shown nowhere: some are secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Given(pub BTreeMap<String, String>);

impl fmt::Debug for Given {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// A plan that cannot become a run before its variables have values.
#[derive(Debug, Clone)]
pub struct Unbound {
    /// Its file.
    pub path: PathBuf,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The variables that have a value from elsewhere: the environment, the command line.
    pub known: BTreeSet<String>,
    /// What is wrong with the values, a line each.
    pub wrong: String,
}

/// One variable.
#[derive(Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What the plan says of it.
    pub variable: Variable,
    /// What is typed.
    pub input: Input,
    /// Whether it has a value from elsewhere, which counts while nothing is typed.
    pub known: bool,
    /// What is wrong with it, neutralised.
    pub mistake: Option<String>,
    /// What stood there first.
    shown: String,
    /// A plan with just this variable.
    alone: Plan,
}

impl fmt::Debug for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Field").field("name", &self.name).field("mistake", &self.mistake).finish_non_exhaustive()
    }
}

/// The form.
#[derive(Debug, Clone)]
pub struct ValuesForm {
    /// The plan's file.
    pub path: PathBuf,
    /// Which plan.
    pub plan_id: String,
    /// The variables in the plan's order of names.
    pub fields: Fields<Field>,
    /// Which of them has the keys.
    pub selected: usize,
    /// Why the run was refused, neutralised.
    pub notice: Option<String>,
    /// The values are on their way.
    pub sent: bool,
}

/// Lines as one, neutralised.
fn in_one(lines: &str) -> String {
    text::clean_lines(lines).collect::<Vec<_>>().join("; ")
}

/// A value as it is typed.
fn typed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Field {
    fn new(plan: &Plan, name: &str, variable: &Variable, known: bool) -> Self {
        let variables = [(name.to_owned(), variable.clone())].into_iter().collect();
        let alone = Plan { variables, steps: Vec::new(), ..plan.clone() };
        // What comes from elsewhere goes before the default, and a secret is shown nowhere, not even as what the plan says.
        let shown = variable.default.as_ref().filter(|_| !known && !variable.secret).map(typed).unwrap_or_default();
        // What is a number, or one of a few, has no lines.
        let like = variable.default.as_ref().or(variable.choices.as_ref().and_then(|choices| choices.first()));
        let has_lines = !like.is_some_and(|like| like.is_number() || like.is_boolean());
        let input = Input::of(&shown).with_lines(has_lines);
        let variable = variable.clone();
        Self { name: name.to_owned(), variable, input, known, mistake: None, shown, alone }
    }

    /// What it may be, where the plan names it, as it is typed.
    pub fn values(&self) -> Vec<String> {
        let choices = self.variable.choices.iter().flatten().map(typed);
        let none = self.may_be_left().then(String::new).filter(|_| self.shown.is_empty());
        none.into_iter().chain(choices).collect()
    }

    /// Whether it needs no value from here.
    pub fn may_be_left(&self) -> bool {
        let variable = &self.variable;
        self.known || variable.default.is_some() || !(variable.required || variable.secret)
    }

    /// What it means to type nothing.
    pub fn when_empty(&self) -> &'static str {
        match () {
            () if self.known && self.variable.env.is_some() => "from the environment",
            () if self.known => "from the command line",
            () if self.variable.default.is_some() && self.variable.secret => "as the plan says",
            () if self.may_be_left() => "none",
            () => "required",
        }
    }

    /// What was typed; `None`: nothing, and what is known from elsewhere or the default counts.
    fn given(&self) -> Option<String> {
        let typed = self.input.text();
        (typed != self.shown).then_some(typed)
    }
}

impl forms::Field for Field {
    fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    fn choices(&self) -> Option<Vec<String>> {
        self.variable.choices.as_ref().map(|_| self.values())
    }

    fn mistake(&self) -> Option<&str> {
        self.mistake.as_deref()
    }

    fn check(&mut self) {
        self.mistake = match self.given() {
            None if self.may_be_left() => None,
            None => Some("it needs a value".into()),
            Some(given) => {
                let given = [(self.name.clone(), given)].into_iter().collect();
                let wrong = bind(&self.alone, &given, &|_| None).err();
                // The field says already which variable it is.
                let name = format!("`{}` ", self.name);
                let short = |said: &String| said.split_once(&name).map_or(said.clone(), |(_, rest)| rest.to_owned());
                wrong.and_then(|wrong| wrong.first().map(short)).map(|said| text::clean(&said).into_owned())
            }
        };
    }
}

impl ValuesForm {
    fn new(unbound: &Unbound) -> Self {
        let Unbound { path, plan, known, .. } = unbound;
        let field = |(name, variable): (&String, &Variable)| Field::new(plan, name, variable, known.contains(name));
        let fields: Vec<Field> = plan.variables.iter().map(field).collect();
        let selected = fields.iter().position(|field| !field.may_be_left()).unwrap_or(0);
        // Where nothing is missing, something from elsewhere is wrong.
        let notice = fields.iter().all(Field::may_be_left).then(|| in_one(&unbound.wrong));
        let (path, plan_id) = (path.clone(), plan.plan_id.clone());
        Self { path, plan_id, fields: Fields::new(fields), selected, notice, sent: false }
    }

    fn key(&mut self, event: KeyEvent) {
        let fields = self.fields.len();
        match forms::meant(event) {
            Some(Meant::Next | Meant::Down) => self.selected = forms::turned(self.selected, fields, false),
            Some(Meant::Previous | Meant::Up) => self.selected = forms::turned(self.selected, fields, true),
            Some(_) => {}
            None => self.fields.key(self.selected, event),
        }
    }

    /// The values; `None`: something is wrong, and the keys are there.
    fn values(&mut self) -> Option<Given> {
        if let Err(wrong) = self.fields.try_to_send() {
            self.selected = wrong;
            return None;
        }
        Some(Given(self.fields.iter().filter_map(|field| Some((field.name.clone(), field.given()?))).collect()))
    }
}

impl App {
    fn values_form(&mut self) -> Option<&mut ValuesForm> {
        self.layers.iter_mut().rev().find_map(|layer| match &mut layer.popup {
            Popup::Values(form) => Some(form.as_mut()),
            _ => None,
        })
    }

    /// A plan needs values before it can be opened, or those that were given are refused.
    pub(super) fn ask_for_values(&mut self, unbound: &Unbound) {
        let again = self.values_form().filter(|form| form.sent && form.path == unbound.path);
        if let Some(form) = again {
            form.sent = false;
            form.notice = Some(in_one(&unbound.wrong));
            return;
        }
        let here = self.place == super::app::Place::Runs && self.layers.is_empty();
        if here {
            self.push(Popup::Values(Box::new(ValuesForm::new(unbound))));
        } else {
            // Whoever has gone on to something else is not taken from it.
            let needed = words::count(unbound.plan.variables.len(), "variable");
            self.say(format!("{} has {needed} to give values to: open it again", unbound.plan.plan_id));
        }
    }

    /// A run was made, or refused for another reason; says whether the form waited for it.
    pub(super) fn values_answered(&mut self, refused: Option<&str>) -> bool {
        let Some(form) = self.values_form().filter(|form| form.sent) else { return false };
        match refused {
            None => self.layers.retain(|layer| !matches!(layer.popup, Popup::Values(_))),
            Some(why) => {
                form.sent = false;
                form.notice = Some(text::clean(why).into_owned());
            }
        }
        true
    }

    /// A key in the form.
    pub(super) fn values_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let Some(form) = self.values_form() else { return Vec::new() };
        let meant = forms::meant(event);
        if meant == Some(Meant::Close) {
            // What is on its way cannot be called back.
            let said = match form.sent {
                true => format!("{} is being opened already", form.plan_id),
                false => format!("{} is not opened", form.plan_id),
            };
            self.layers.pop();
            self.say(said);
            return Vec::new();
        }
        if form.sent {
            return Vec::new();
        }
        form.notice = None;
        if !matches!(meant, Some(Meant::Send | Meant::Enter)) {
            form.key(event);
            return Vec::new();
        }
        let Some(given) = form.values() else { return Vec::new() };
        form.sent = true;
        vec![Effect::OpenPlan { path: form.path.clone(), idle: None, given }]
    }

    /// Pasted text goes into the field.
    pub(super) fn values_paste(&mut self, pasted: &str) {
        let Some(form) = self.values_form().filter(|form| !form.sent) else { return };
        form.notice = form.fields.paste(form.selected, pasted).err();
    }
}
