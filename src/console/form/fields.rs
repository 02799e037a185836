//! The fields of the form: what an operator changes at night, made from a step's JSON and written back into it. Texts have as many lines as they have.
//!
//! Only what was typed is written back, so that a field cannot lose what it does not show.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::forms;
use super::super::input::{Input, pasted};
use super::super::textbox::TextBox;
use super::{Facts, NewStep, Where};
use crate::plan::{defaults_for, number_in_words};

/// One field of the form.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub label: String,
    /// What it is about.
    pub at: At,
    /// How its text and its JSON belong together.
    pub kind: Kind,
    /// What was typed.
    pub typed: Typed,
    /// What stood there when the field was made.
    shown: String,
    /// What the step has had since before the form was opened; `None`: the same as what was shown.
    pub was: Option<String>,
    /// What the plan's defaults give to a new step that says nothing itself.
    pub default: Option<String>,
    /// What it is for, and what would be right.
    pub help: String,
    /// What it means to leave it empty.
    pub empty: Cow<'static, str>,
    /// What stands there is only an example: the first letter that is typed replaces it.
    pub example: bool,
    /// Why it cannot be typed here.
    pub fixed: Option<&'static str>,
}

/// What is typed into a field.
#[derive(Debug, Clone)]
pub enum Typed {
    /// One line.
    Line(Input),
    /// A text of one line or of several.
    Text(Box<TextBox>),
}

impl Typed {
    /// The text, as it stands there.
    pub(super) fn text(&self) -> String {
        match self {
            Typed::Line(input) => input.text(),
            Typed::Text(text) => text.text(),
        }
    }
}

/// What a field is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A value of the step, by the names that lead to it.
    Json(Vec<String>),
    /// Where a new step is put.
    Place,
    /// Whether what follows is made to depend on it.
    Rewire,
}

/// How text and JSON belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A string on one line; empty: not there.
    Text,
    /// A string of one line or of several; empty: not there.
    Lines,
    /// A string of one line or of several that may be empty.
    Plain,
    /// A number; empty: not there.
    Number,
    /// Any JSON.
    Json,
    /// Names with commas between; empty: an empty list.
    Names,
    /// A hold point: empty for none, `yes`, or its reason.
    Hold,
    /// One of these; the first stands for "not there".
    Choice(Vec<String>),
}

impl Field {
    fn new(label: &str, at: At, kind: Kind, value: Option<&Value>, help: impl Into<String>) -> Self {
        let shown = shown(&kind, value);
        let (typed, held) = match kind {
            Kind::Lines | Kind::Plain => {
                let mut text = TextBox::new(&shown);
                // A line is gone on with; a text of several is read from its beginning.
                if !text.has_lines() {
                    text.go_to_end();
                }
                (Typed::Text(Box::new(text)), true)
            }
            _ => {
                let input = Input::holding(&shown);
                let held = input.is_some();
                (Typed::Line(input.unwrap_or_default()), held)
            }
        };
        Self {
            label: label.to_owned(),
            at,
            kind,
            fixed: (!held).then_some("one line does not hold it as it is: F2 shows it as JSON"),
            typed,
            shown,
            was: None,
            default: None,
            help: help.into(),
            empty: Cow::Borrowed(""),
            example: false,
        }
    }

    /// Whether something else was typed than what stood there.
    pub fn is_typed(&self) -> bool {
        self.fixed.is_none() && self.typed.text() != self.shown
    }

    /// Shows another value than before, unless something was typed.
    fn follow(&mut self, value: Option<&Value>) {
        let shown = shown(&self.kind, value);
        if !self.is_typed() && shown != self.shown {
            let example = self.example;
            self.set(&shown);
            (self.shown, self.example) = (shown, example);
        }
    }

    /// A key for it. What stands there as an example gives way to the first letter.
    pub fn key(&mut self, event: KeyEvent) {
        if self.fixed.is_some() {
            return;
        }
        if matches!(self.kind, Kind::Choice(_)) {
            match event.code {
                KeyCode::Right | KeyCode::Char(' ') => self.turn(false),
                KeyCode::Left => self.turn(true),
                // A choice takes no letters.
                _ => {}
            }
            return;
        }
        let letter = matches!(event.code, KeyCode::Char(_))
            && !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        self.give_way(letter);
        match &mut self.typed {
            Typed::Line(input) => {
                input.key(event);
            }
            Typed::Text(text) => text.key(event),
        }
    }

    /// Puts pasted text in.
    ///
    /// # Errors
    /// The field cannot hold it, and why: nothing was put in.
    pub fn paste(&mut self, raw: &str) -> Result<(), String> {
        if self.fixed.is_some() || matches!(self.kind, Kind::Choice(_)) {
            return Ok(());
        }
        // The example gives way to what can stand in its place.
        let mut put_in = self.clone();
        put_in.give_way(true);
        match &mut put_in.typed {
            Typed::Text(text) => text.insert(&pasted(raw)?),
            Typed::Line(input) => input.paste(raw)?,
        }
        *self = put_in;
        Ok(())
    }

    fn give_way(&mut self, to_text: bool) {
        if std::mem::take(&mut self.example) && to_text {
            self.set("");
        }
    }

    /// Another text in its place.
    pub fn set(&mut self, text: &str) {
        self.example = false;
        match &mut self.typed {
            Typed::Line(input) => *input = Input::holding(text).unwrap_or_default(),
            Typed::Text(typed) => typed.replace(text),
        }
    }

    /// The text of it that may have several lines, where it is one and can be typed.
    pub fn textbox(&mut self) -> Option<&mut TextBox> {
        match &mut self.typed {
            Typed::Text(text) if self.fixed.is_none() => Some(text),
            _ => None,
        }
    }

    /// The text of it, where it has several lines: then Enter makes another.
    pub fn has_lines(&self) -> bool {
        matches!(&self.typed, Typed::Text(text) if text.has_lines())
    }

    /// What is to be seen of it.
    pub fn text(&self) -> String {
        if self.fixed.is_some() { self.shown.clone() } else { self.typed.text() }
    }

    /// What stands in it while it is empty, in brackets: it is no text of its own.
    pub fn when_empty(&self) -> String {
        if self.empty.is_empty() { String::new() } else { format!("({})", self.empty) }
    }

    /// Whether it differs from what the step has.
    pub fn is_changed(&self) -> bool {
        self.was.as_ref().is_some_and(|was| *was != self.text())
    }

    /// Goes to the next choice, or the one before.
    fn turn(&mut self, back: bool) {
        let Kind::Choice(choices) = &self.kind else { return };
        if let Some(next) = forms::turned_choice(choices, &self.typed.text(), back) {
            self.set(&next);
        }
    }

    /// What was typed, as JSON; `None`: the field is not to be there. `Err`: it cannot be read, and why.
    pub fn value(&self) -> Result<Option<Value>, &'static str> {
        let text = self.typed.text();
        let trimmed = text.trim();
        Ok(match &self.kind {
            Kind::Text | Kind::Lines => (!trimmed.is_empty()).then(|| text.into()),
            Kind::Plain => Some(text.into()),
            Kind::Number if trimmed.is_empty() => None,
            Kind::Number => match serde_json::from_str(trimmed) {
                Ok(Value::Number(number)) => Some(Value::Number(number)),
                _ => return Err("this is not a number"),
            },
            Kind::Json if trimmed.is_empty() => None,
            Kind::Json => match serde_json::from_str(trimmed) {
                Ok(value) => Some(value),
                Err(_) => return Err("this is not JSON; text stands in double quotes"),
            },
            Kind::Names => {
                let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
                Some(names.map(Value::from).collect())
            }
            Kind::Hold => match trimmed.to_lowercase().as_str() {
                // What an empty field and a question call it is not meant as a reason.
                "" | "no" | "none" | "false" => None,
                "yes" | "true" => Some(true.into()),
                _ => Some(text.into()),
            },
            Kind::Choice(choices) if choices.first() == Some(&text) => None,
            Kind::Choice(_) if text == "yes" => Some(true.into()),
            Kind::Choice(_) => Some(text.into()),
        })
    }
}

/// A value as a field shows it.
fn shown(kind: &Kind, value: Option<&Value>) -> String {
    let value = value.filter(|value| !value.is_null());
    match (kind, value) {
        (Kind::Choice(choices), Some(Value::Bool(false)) | None) => choices[0].clone(),
        (Kind::Hold, Some(Value::Bool(false))) | (_, None) => String::new(),
        (Kind::Hold | Kind::Choice(_), Some(Value::Bool(true))) => "yes".to_owned(),
        (Kind::Json, Some(value)) => value.to_string(),
        (_, Some(Value::Number(number))) => number_in_words(number),
        (Kind::Names, Some(Value::Array(names))) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(value)) => value.to_string(),
    }
}

/// The value that some names lead to.
fn at<'a, S: AsRef<str>>(step: &'a Map<String, Value>, path: &[S]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(step.get(first.as_ref())?, |value, name| value.get(name.as_ref()))
}

/// A step with what the plan's defaults give it.
fn effective<'a>(step: &'a Map<String, Value>, defaults: &Map<String, Value>) -> Cow<'a, Map<String, Value>> {
    let held = defaults_for(defaults, step);
    if held.is_empty() {
        return Cow::Borrowed(step);
    }
    let mut step = step.clone();
    step.extend(held);
    Cow::Owned(step)
}

/// The fields of a step's JSON. They show what holds for it: what the plan's defaults give to a new step stands in them, and an empty one means the same in
/// an old step and in a new one.
pub fn of(step: &Map<String, Value>, new: Option<&NewStep>, facts: &Facts) -> Vec<Field> {
    let step = &*effective(step, &facts.defaults);
    let defaults = defaults_for(&facts.defaults, &Map::new());
    let mut fields = Vec::new();
    let json = |path: &[&str]| At::Json(path.iter().map(|name| (*name).to_owned()).collect());
    let mut push = |label: &str, path: &[&str], kind: Kind, help: &str, empty: &'static str| {
        let empty = Cow::Borrowed(empty);
        let default = at(&defaults, path).map(|value| shown(&kind, Some(value))).filter(|text| !text.is_empty());
        fields.push(Field { empty, default, ..Field::new(label, json(path), kind, at(step, path), help) });
    };
    if new.is_some() {
        push("step_id", &["step_id"], Kind::Text, "its id in the plan: letters, digits, - and _", "it needs one");
    }
    push("name", &["name"], Kind::Text, "what people call it", "none");
    let names_agent = AGENT.iter().any(|name| step.contains_key(*name));
    if !names_agent || new.is_some() {
        let empty = if new.is_some() { "a shell command, or an agent below" } else { "none" };
        push("command", &["run"], Kind::Lines, "a shell command", empty);
    }
    if names_agent || new.is_some() {
        let agents = match facts.agents.as_slice() {
            [] => "which agent does the work".to_owned(),
            agents => format!("which agent does the work: {}", agents.join(", ")),
        };
        let name = if step.contains_key("agent_name") { "agent_name" } else { "agent_type" };
        push("agent", &[name], Kind::Text, &agents, "none");
        push("action", &["action"], Kind::Lines, "what the agent is to do", "none");
    }
    for group in ["parameters", "env"] {
        for (name, held) in step.get(group).and_then(Value::as_object).into_iter().flatten() {
            let kind = if held.is_string() { Kind::Plain } else { Kind::Json };
            let help = match (group, held.is_string()) {
                ("env", _) => "a variable of its environment; F2 adds and removes them",
                (_, true) => "a parameter, as text; F2 adds and removes them",
                (_, false) => "a parameter, as JSON; F2 adds and removes them",
            };
            push(&format!("{group}.{name}"), &[group, name], kind, help, "empty text");
        }
    }
    push("timeout", &["timeout_seconds"], Kind::Number, "seconds for one attempt", "no limit");
    push("retries", &["max_retries"], Kind::Number, "attempts that follow a failed one by themselves", "none");
    push("retry after", &["retry", "delay_seconds"], Kind::Number, "seconds before the first of them", "1");
    let signed = step.get("hold").is_some_and(Value::is_object);
    push(
        "hold",
        &["hold"],
        if signed { Kind::Json } else { Kind::Hold },
        "a hold point: yes, or the reason to show",
        "none",
    );
    if facts.is_graph && !facts.is_generated {
        push(
            "depends on",
            &["depends_on"],
            Kind::Names,
            "steps that must be done before, with commas between",
            "nothing",
        );
    } else if !facts.is_generated {
        push("parallel", &["parallel_group"], Kind::Text, "neighbours with the same group run side by side", "alone");
    }
    let policies = ["as the plan says", "pause", "fail", "continue"].map(str::to_owned).to_vec();
    push("on failure", &["on_failure"], Kind::Choice(policies), "what the run does when it fails for good", "");
    let flag = ["no", "yes"].map(str::to_owned).to_vec();
    push(
        "idempotent",
        &["idempotent"],
        Kind::Choice(flag),
        "running it twice does no harm: after a crash it runs again by itself",
        "",
    );
    push("priority", &["priority"], Kind::Number, "higher goes first among the steps that are ready", "0");
    if let Some(reason) = &facts.live_hold
        && let Some(hold) = fields.iter_mut().find(|field| field.label == "hold")
    {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        hold.empty = Cow::Owned(format!("set live{reason}"));
        hold.help = "the plan has none; the one on the step was set live, and b takes it off".to_owned();
    }
    if let Some(new) = new {
        for field in &mut fields {
            field.example = field.label == "step_id" && field.text() == new.id;
        }
        let choices = new.choices();
        let at = choices[new.place as usize].clone();
        let mut place = Field::new("put it", At::Place, Kind::Choice(choices), None, "where in the plan");
        place.set(&at);
        place.shown = at;
        fields.insert(1, place);
        if facts.is_graph {
            let flag = vec!["no".to_owned(), "yes".to_owned()];
            let help = "whether what depends on the step before it then depends on the new one instead";
            let mut rewire = Field::new("rewire", At::Rewire, Kind::Choice(flag), Some(&Value::Bool(new.rewire)), help);
            rewire.fixed = (new.place != Where::After).then_some("only for a step that is put after another");
            fields.insert(2, rewire);
        }
    }
    fields
}

/// What a step says of the agent that does its work.
const AGENT: [&str; 3] = ["agent_type", "agent_name", "action"];

/// Writes what was typed into a step's JSON. A field that cannot be read is written as the text that it is: the check says so at its place.
pub fn write(fields: &[Field], step: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for field in fields.iter().filter(|field| field.is_typed()) {
        let At::Json(path) = &field.at else { continue };
        let Some(name) = path.first() else { continue };
        let default = defaults_for(defaults, step).remove(name);
        // One part of what the plan gives is typed: the others are not lost by it.
        if let Some(Value::Object(parts)) = default.filter(|_| path.len() > 1) {
            step.insert(name.clone(), parts.into());
        }
        let value = field.value().unwrap_or_else(|_| Some(field.typed.text().into()));
        set(step, path, value);
    }
}

/// Says in a new step what leaving a field out does not say: that nothing is meant, where the plan's defaults would give it something, and that it is still
/// to be said what the step does.
pub fn complete(fields: &[Field], step: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    let names_agent = AGENT.iter().any(|name| step.get(*name).is_some_and(|value| !value.is_null()));
    if names_agent && step.get("run").is_some_and(|run| run == "") {
        step.shift_remove("run");
    }
    for field in fields.iter().filter(|field| field.is_typed()) {
        let At::Json(path) = &field.at else { continue };
        let Some(name) = path.first().filter(|name| !step.contains_key(*name)) else { continue };
        if defaults_for(defaults, step).contains_key(name) {
            step.insert(name.clone(), Value::Null);
        }
    }
    let all = effective(step, defaults);
    let says = |name: &str| all.get(name).is_some_and(|value| !value.is_null());
    if !says("run") && !AGENT.into_iter().any(says) {
        step.insert("run".to_owned(), "".into());
    }
}

/// Shows in fields in which nothing was typed what holds for the step as it has become: who does its work is said by it or by the plan's defaults.
pub fn follow(fields: &mut [Field], step: &Map<String, Value>, defaults: &Map<String, Value>) {
    let step = effective(step, defaults);
    for field in fields {
        if let At::Json(path) = &field.at {
            let value = at(&step, path).cloned();
            field.follow(value.as_ref());
        }
    }
}

fn set(object: &mut Map<String, Value>, path: &[String], value: Option<Value>) {
    match path {
        [] => {}
        [name] => match value {
            Some(value) => {
                object.insert(name.clone(), value);
            }
            None => {
                object.shift_remove(name);
            }
        },
        [name, rest @ ..] => {
            let there = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if !there.is_object() {
                *there = Value::Object(Map::new());
            }
            if let Some(inner) = there.as_object_mut() {
                set(inner, rest, value);
                if inner.is_empty() {
                    object.shift_remove(name);
                }
            }
        }
    }
}
