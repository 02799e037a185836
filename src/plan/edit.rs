//! Changes of a plan: adding, removing, replacing and reordering steps, what undoes them, and what lies between two plans.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::diagnostic::Diagnostic;
use super::{Plan, Step, unbound_agents, unsupported};

/// One change of a plan's steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "snake_case")]
pub enum Edit {
    /// A step is put in.
    Add {
        /// Its place afterwards, from 0.
        position: usize,
        /// The step, defaults applied.
        step: Arc<Step>,
    },
    /// A step is taken out.
    Remove {
        /// Which step.
        step_id: String,
    },
    /// A step gets another definition under the same id.
    Replace {
        /// The new definition, whole.
        step: Arc<Step>,
    },
    /// Steps that stand beside each other get another order.
    Reorder {
        /// The place of the first of them, from 0.
        position: usize,
        /// All of them, in the new order.
        steps: Vec<String>,
    },
}

impl Edit {
    /// The steps it is about.
    pub fn step_ids(&self) -> Vec<&str> {
        match self {
            Edit::Add { step, .. } | Edit::Replace { step } => vec![&step.step_id],
            Edit::Remove { step_id } => vec![step_id],
            Edit::Reorder { steps, .. } => steps.iter().map(String::as_str).collect(),
        }
    }

    /// What it does, in a few words.
    pub fn in_words(&self) -> String {
        match self {
            Edit::Add { step, position } => format!("+ {} (place {})", step.step_id, position + 1),
            Edit::Remove { step_id } => format!("- {step_id}"),
            Edit::Replace { step } => format!("~ {}", step.step_id),
            Edit::Reorder { steps, .. } if steps.len() > 6 => format!("↕ {} steps", steps.len()),
            Edit::Reorder { steps, .. } => format!("↕ {}", steps.join(", ")),
        }
    }
}

/// An edit that does not fit the plan it was applied to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The step is not there.
    #[error("the plan has no step `{0}`")]
    NoStep(String),
    /// The id is taken.
    #[error("the plan has a step `{0}` already")]
    Taken(String),
    /// The steps to be reordered do not stand there.
    #[error("the steps to be reordered do not stand beside each other as they did")]
    Misplaced,
}

impl Plan {
    /// Makes one change, and returns what undoes it. Does not check that the plan still has an order of work.
    ///
    /// # Errors
    /// The change does not fit; the plan is as it was.
    pub fn edit(&mut self, edit: &Edit) -> Result<Edit, EditError> {
        let place = |steps: &[Arc<Step>], id: &str| {
            // What is taken out again was most often put in last.
            steps.iter().rposition(|step| step.step_id == id).ok_or_else(|| EditError::NoStep(id.to_owned()))
        };
        match edit {
            Edit::Add { position, step } => {
                if place(&self.steps, &step.step_id).is_ok() {
                    return Err(EditError::Taken(step.step_id.clone()));
                }
                self.steps.insert(self.place_for(step, *position), Arc::clone(step));
                Ok(Edit::Remove { step_id: step.step_id.clone() })
            }
            Edit::Remove { step_id } => {
                let position = place(&self.steps, step_id)?;
                let step = self.steps.remove(position);
                Ok(Edit::Add { position, step })
            }
            Edit::Replace { step } => {
                let position = place(&self.steps, &step.step_id)?;
                let before = std::mem::replace(&mut self.steps[position], Arc::clone(step));
                Ok(Edit::Replace { step: before })
            }
            Edit::Reorder { position, steps } => {
                let range = *position..position.saturating_add(steps.len());
                let before = self.steps.get(range.clone()).ok_or(EditError::Misplaced)?.to_vec();
                let known: HashMap<&str, &Arc<Step>> =
                    before.iter().map(|step| (step.step_id.as_str(), step)).collect();
                let after: Option<Vec<Arc<Step>>> =
                    steps.iter().map(|id| known.get(id.as_str()).map(|step| Arc::clone(step))).collect();
                let distinct: std::collections::HashSet<&String> = steps.iter().collect();
                let after = after.filter(|_| distinct.len() == before.len()).ok_or(EditError::Misplaced)?;
                self.steps.splice(range, after);
                let steps = before.iter().map(|step| step.step_id.clone()).collect();
                Ok(Edit::Reorder { position: *position, steps })
            }
        }
    }

    /// Makes changes one after the other, and returns what undoes them, in the order in which to do it.
    ///
    /// # Errors
    /// One of them does not fit; the plan is then of no use.
    pub fn edit_all(&mut self, edits: &[Edit]) -> Result<Vec<Edit>, EditError> {
        let mut inverse = edits.iter().map(|edit| self.edit(edit)).collect::<Result<Vec<_>, _>>()?;
        inverse.reverse();
        Ok(inverse)
    }

    /// Where a new step comes that is to stand at a position: what a run has made itself stands behind all that was written, and the steps of a
    /// rollback behind everything.
    pub fn place_for(&self, step: &Step, position: usize) -> usize {
        match step.undoes() {
            Some(_) => self.steps.len(),
            None if step.generated.is_some() => position.min(self.own_steps()),
            None => position.min(self.written()),
        }
    }
}

/// The changes that make one plan's steps into another's. Instances come and go with what they were made for; what is told of them is only
/// whether one that is in both has another definition. The steps of a rollback stay or go together.
pub fn difference(from: &Plan, to: &Plan) -> Vec<Edit> {
    let there: HashMap<&str, &Arc<Step>> = to.steps.iter().map(|step| (step.step_id.as_str(), step)).collect();
    let here: HashMap<&str, &Arc<Step>> = from.steps.iter().map(|step| (step.step_id.as_str(), step)).collect();
    let mut edits = Vec::new();
    let undoing = |plan: &Plan| -> Vec<String> {
        plan.steps[plan.own_steps()..].iter().map(|step| step.step_id.clone()).collect()
    };
    let (undone, undoes) = (undoing(from), undoing(to));
    let other_rollback = undone != undoes;
    if other_rollback {
        edits.extend(undone.into_iter().rev().map(|step_id| Edit::Remove { step_id }));
    }
    for step in &from.steps {
        match there.get(step.step_id.as_str()) {
            _ if other_rollback && step.undoes().is_some() => {}
            None if step.generated.is_none() => edits.push(Edit::Remove { step_id: step.step_id.clone() }),
            Some(other) if !Arc::ptr_eq(step, other) && step != *other => {
                edits.push(Edit::Replace { step: Arc::clone(other) });
            }
            None | Some(_) => {}
        }
    }
    // What stays, in the order it has and in the order it is to have.
    let (before, after) = (&from.steps[..from.written()], &to.steps[..to.written()]);
    let stays: Vec<&str> =
        before.iter().map(|step| step.step_id.as_str()).filter(|id| there.contains_key(id)).collect();
    let wanted: Vec<&str> = after.iter().map(|step| step.step_id.as_str()).filter(|id| here.contains_key(id)).collect();
    if let Some((position, steps)) = moved(&stays, &wanted) {
        edits.push(Edit::Reorder { position, steps: steps.iter().map(|id| (*id).to_owned()).collect() });
    }
    for (position, step) in after.iter().enumerate() {
        if !here.contains_key(step.step_id.as_str()) {
            edits.push(Edit::Add { position, step: Arc::clone(step) });
        }
    }
    if other_rollback {
        let steps = to.steps.iter().enumerate().skip(to.own_steps());
        edits.extend(steps.map(|(position, step)| Edit::Add { position, step: Arc::clone(step) }));
    }
    edits
}

/// The stretch in which two orders of the same things differ: its beginning, and the new order of it.
pub fn moved<'a, T: PartialEq>(before: &[T], after: &'a [T]) -> Option<(usize, &'a [T])> {
    let first = before.iter().zip(after).position(|(a, b)| a != b)?;
    let last = before.iter().zip(after).rposition(|(a, b)| a != b)?;
    Some((first, &after[first..=last]))
}

/// One field of a step in two versions of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field's name; nested ones with dots (`parameters.rows`).
    pub field: String,
    /// What it was; null: not there.
    pub before: Value,
    /// What it is; null: not there.
    pub after: Value,
}

/// Which fields differ between two definitions of a step.
pub fn field_changes(before: &Step, after: &Step) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare("", &step_json(before), &step_json(after), &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            compare(&path, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null), found);
        }
        return;
    }
    found.push(FieldChange { field: path.to_owned(), before: before.clone(), after: after.clone() });
}

/// A step with a JSON merge patch (RFC 7396) laid over it, as JSON: a field is removed by null. Not checked yet.
pub fn patched(step: &Step, patch: &Value) -> Value {
    let mut value = step_json(step);
    json_patch::merge(&mut value, patch);
    value
}

/// A step as its author may write it: without what only a run says of the steps it makes itself.
pub fn step_json(step: &Step) -> Value {
    let mut value = serde_json::to_value(step).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.remove("generated");
    }
    value
}

/// A number of a step, as it is read: seconds are fractions in the format, and a plan that says 60 is not told of 60.0. Whole numbers are told to their last
/// digit.
pub fn number_in_words(number: &Number) -> String {
    match number.as_f64() {
        Some(fraction) if number.is_f64() => fraction.to_string(),
        _ => number.to_string(),
    }
}

/// The JSON merge patch (RFC 7396) that makes one JSON into another: what is only in the first is removed by null. What a patch cannot say is
/// lost in it: an object that is put in cannot hold a null.
pub fn merge_patch(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return after.clone() };
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter_map(|(name, value)| match old.get(name) {
        Some(was) if was == value => None,
        Some(was) => Some((name.clone(), merge_patch(was, value))),
        None => Some((name.clone(), value.clone())),
    });
    Value::Object(gone.chain(changed).collect())
}

/// Reads the text of one step that is to stand in a plan, and checks it as a step of that plan: every problem at once, with its place in the
/// text. With `defaults`, the plan's defaults are given to it (a new step); without, it is taken as it stands.
///
/// # Errors
/// All that is wrong with it; warnings alone are no error.
pub fn check_step(plan: &Plan, text: &str, defaults: bool, simulate: bool) -> Result<Step, Vec<Diagnostic>> {
    let mut report = super::diagnostic::Report::new();
    if !super::json::Document::parse(text, &mut report).sound {
        return Err(report.finish(text));
    }
    let own = serde_json::from_str::<Value>(text).ok();
    let id = own.as_ref().and_then(|step| step["step_id"].as_str()).unwrap_or_default();
    let made = plan.steps[plan.written()..].iter().find(|step| step.step_id == id);
    // An id that only a run can give is read as one that a plan can have, of the same length: every place stays what it is.
    let stand_in = made.map(|_| id.replace('.', "_"));
    let readable = stand_in.as_ref().map(|stand_in| text.replacen(&format!("\"{id}\""), &format!("\"{stand_in}\""), 1));
    let id = stand_in.as_deref().unwrap_or(id);
    let head = surroundings(plan, own.as_ref(), id, defaults, made.is_some());
    let checked = super::load("step", &format!("{head}\n{}\n]}}", readable.as_deref().unwrap_or(text)));
    let before = head.len() + 1;
    let mut found: Vec<Diagnostic> =
        checked.diagnostics.into_iter().filter(Diagnostic::is_error).map(|one| one.inside(before, text)).collect();
    let step = checked.plan.as_ref().filter(|_| found.is_empty()).and_then(|plan| plan.steps.last()).cloned();
    let Some(mut step) = step else {
        if found.is_empty() {
            found.push(Diagnostic::error(0..text.len(), "this is not one step").inside(0, text));
        }
        return Err(found);
    };
    if let Some(made) = made {
        let of_the_whole = ["depends_on", "dependencies", "parallel_group", "foreach"];
        let given =
            |name: &&&str| own.as_ref().is_some_and(|own| own.get(**name).is_some_and(|value| !value.is_null()));
        if let Some(name) = of_the_whole.iter().find(given) {
            let message = format!("an instance has no `{name}` of its own: it belongs to the step as a whole");
            return Err(vec![Diagnostic::error(0..text.len(), message).inside(0, text)]);
        }
        let own = Step::clone(&step);
        step = Arc::new(Step {
            step_id: made.step_id.clone(),
            generated: made.generated.clone(),
            foreach: None,
            depends_on: made.depends_on.clone(),
            ..own
        });
    }
    // What a run refuses a plan for, it refuses a step for.
    let alone = Plan { steps: vec![Arc::clone(&step)], ..headless(plan, defaults) };
    let unsupported = unsupported(&alone).into_iter().filter(|one| one.step.is_some()).map(|one| one.message);
    let unbound = if simulate { Vec::new() } else { unbound_agents(&alone) };
    let refused: Vec<Diagnostic> = unsupported
        .chain(unbound.iter().map(super::Unbound::message))
        .map(|message| Diagnostic::error(0..text.len(), message).inside(0, text))
        .collect();
    if refused.is_empty() { Ok(Arc::unwrap_or_clone(step)) } else { Err(refused) }
}

/// A plan without its steps.
fn headless(plan: &Plan, defaults: bool) -> Plan {
    let defaults = if defaults { plan.defaults.clone() } else { serde_json::Map::new() };
    Plan { steps: Vec::new(), metadata: serde_json::Map::new(), defaults, ..plan.clone() }
}

/// The text of the plan up to the place of its last step: of the other steps only those stand in it that the last one may name.
fn surroundings(plan: &Plan, own: Option<&Value>, id: &str, defaults: bool, instance: bool) -> String {
    let named: Vec<&str> = own
        .and_then(|step| step.get("depends_on").or_else(|| step.get("dependencies")))
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    // Expressions may name any step; they are rare, and then all of them stand there.
    let all = own.is_none_or(|step| step.get("when").is_some() || step.to_string().contains("{{"));
    let stands = |step: &&Arc<Step>| {
        step.step_id != id && step.generated.is_none() && (all || named.contains(&step.step_id.as_str()))
    };
    let mut head = match serde_json::to_value(headless(plan, defaults)) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    head.remove("steps");
    if instance {
        // So that `item` and `index` are known.
        head.insert("defaults".into(), serde_json::json!({"foreach": []}));
    }
    let mut text = Value::Object(head).to_string();
    text.pop();
    text.push_str(r#","steps":["#);
    for step in plan.steps[..plan.written()].iter().filter(stands) {
        // Only the id counts; what it depends on may not stand here.
        text.push_str(&format!(r#"{{"step_id":"{}","run":"true"}},"#, step.step_id));
    }
    text
}

impl Diagnostic {
    /// The same, told about a text that stands inside the checked one, `before` bytes into it.
    fn inside(mut self, before: usize, text: &str) -> Self {
        let clamp = |place: usize| {
            let mut place = place.saturating_sub(before).min(text.len());
            while !text.is_char_boundary(place) {
                place -= 1;
            }
            place
        };
        let told = |span: &std::ops::Range<usize>| {
            let start = clamp(span.start);
            let line_start = text[..start].rfind('\n').map_or(0, |place| place + 1);
            let line = text[..start].matches('\n').count() + 1;
            (start..clamp(span.end).max(start), line, text[line_start..start].chars().count() + 1)
        };
        (self.span, self.line, self.column) = told(&self.span);
        self.related.retain(|one| one.span.start >= before);
        for one in &mut self.related {
            (one.span, one.line, one.column) = told(&one.span);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(steps: Value) -> Plan {
        let text = json!({"plan_id": "p", "defaults": {"max_retries": 2}, "agents": {"shell": {"kind": "command", "command": ["sh"]}}, "steps": steps});
        let loaded = crate::plan::load("p", &text.to_string());
        loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    fn ids(plan: &Plan) -> String {
        plan.steps.iter().map(|step| step.step_id.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn abcd() -> Plan {
        plan(json!([
            {"step_id": "a", "run": "1"}, {"step_id": "b", "run": "1"}, {"step_id": "c", "run": "1"}, {"step_id": "d", "run": "1"}
        ]))
    }

    #[test]
    fn every_edit_has_its_inverse() {
        let before = abcd();
        let step = Arc::new(Step { step_id: "x".into(), run: Some("x".into()), ..Step::default() });
        let other = Arc::new(Step { run: Some("2".into()), ..before.steps[1].as_ref().clone() });
        let edits = [
            Edit::Add { position: 1, step },
            Edit::Replace { step: other },
            Edit::Reorder { position: 1, steps: vec!["c".into(), "b".into(), "x".into()] },
            Edit::Remove { step_id: "a".into() },
        ];
        let mut after = before.clone();
        let inverse = after.edit_all(&edits).unwrap();
        assert_eq!(ids(&after), "c b x d");
        assert_eq!(after.steps[1].run.as_deref(), Some("2"));
        after.edit_all(&inverse).unwrap();
        assert_eq!(after, before);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut plan = abcd();
        let twice = Edit::Reorder { position: 0, steps: vec!["a".into(), "a".into()] };
        assert_eq!(plan.edit(&twice), Err(EditError::Misplaced));
        let far = Edit::Reorder { position: 3, steps: vec!["d".into(), "e".into()] };
        assert_eq!(plan.edit(&far), Err(EditError::Misplaced));
        assert_eq!(plan.edit(&Edit::Remove { step_id: "z".into() }), Err(EditError::NoStep("z".into())));
        let taken = Edit::Add { position: 0, step: Arc::clone(&plan.steps[2]) };
        assert_eq!(plan.edit(&taken), Err(EditError::Taken("c".into())));
        assert_eq!(plan, abcd());
    }

    #[test]
    fn the_difference_makes_one_plan_into_the_other() {
        let from = abcd();
        let mut to = plan(json!([
            {"step_id": "d", "run": "1"}, {"step_id": "x", "run": "1"}, {"step_id": "b", "run": "2"}, {"step_id": "a", "run": "1"}
        ]));
        for (one, other) in [(from.clone(), to.clone()), (to.clone(), from.clone()), (from.clone(), from.clone())] {
            let mut made = one.clone();
            made.edit_all(&difference(&one, &other)).unwrap();
            assert_eq!(made, other);
        }
        assert!(difference(&from, &from).is_empty());
        to.steps.truncate(1);
        let mut made = from.clone();
        made.edit_all(&difference(&from, &to)).unwrap();
        assert_eq!(ids(&made), "d");
    }

    #[test]
    fn a_step_is_checked_as_a_step_of_its_plan() {
        let plan = abcd();
        let step =
            check_step(&plan, r#"{"step_id": "n", "run": "true", "depends_on": ["a", "c"]}"#, true, false).unwrap();
        assert_eq!(step.max_retries, Some(2), "the plan's defaults hold for a new step");
        let step = check_step(&plan, r#"{"step_id": "b", "run": "true"}"#, false, false).unwrap();
        assert_eq!(step.max_retries, None, "what was taken away from a step does not come back");

        let text =
            "{\n  \"step_id\": \"n\",\n  \"run\": \"true\",\n  \"depends_on\": [\"zz\"],\n  \"max_retires\": 1\n}";
        let found = check_step(&plan, text, true, false).unwrap_err();
        let told: Vec<(usize, usize, &str)> =
            found.iter().map(|one| (one.line, one.column, &text[one.span.clone()])).collect();
        assert_eq!(told, [(4, 18, "\"zz\""), (5, 3, "\"max_retires\"")], "{found:?}");

        for (text, says) in [
            ("{", "closed"),
            ("", "empty"),
            ("[]", "step"),
            (r#"{"step_id": "n", "run": "1"}, {"step_id": "m", "run": "2"}"#, "after the end"),
            (r#"{"step_id": "n", "run": "1"}]}, {"#, "broken JSON"),
            (r#"{"step_id": "n", "agent_type": "nobody"}"#, "not bound"),
            (r#"{"step_id": "n", "run": "1", "hold": "{{ run }}"}"#, "cannot be honoured"),
            (r#"{"step_id": "n", "run": "1", "rollback": {"agent_type": "nobody"}}"#, "the rollback of `n` wants"),
            (r#"{"step_id": "n", "run": "1", "generated": {"kind": "rollback", "of": "a"}}"#, "`generated`"),
        ] {
            let found = check_step(&plan, text, true, false).expect_err(text);
            assert!(found.iter().any(|one| one.message.contains(says)), "{text}: {found:?}");
            assert!(found.iter().all(|one| text.get(one.span.clone()).is_some()), "{text}: {found:?}");
        }
        assert!(check_step(&plan, r#"{"step_id": "n", "agent_type": "nobody"}"#, true, true).is_ok(), "simulated");
    }

    #[test]
    fn a_merge_patch_makes_one_json_into_the_other() {
        for (before, after, patch) in [
            (json!({"a": 1, "b": 2}), json!({"b": 3, "c": 4}), json!({"a": null, "b": 3, "c": 4})),
            (
                json!({"p": {"x": 1, "y": {"z": 1}}}),
                json!({"p": {"y": {}}}),
                json!({"p": {"x": null, "y": {"z": null}}}),
            ),
            (json!({"p": [1, null]}), json!({"p": [null, {"a": null}]}), json!({"p": [null, {"a": null}]})),
            (json!({"p": {"x": 1}}), json!({"p": "x"}), json!({"p": "x"})),
            (json!({"p": "x"}), json!({"p": {"x": {"y": 1}}}), json!({"p": {"x": {"y": 1}}})),
            (json!({"a": null}), json!({"a": null}), json!({})),
        ] {
            assert_eq!(merge_patch(&before, &after), patch);
            let mut made = before.clone();
            json_patch::merge(&mut made, &patch);
            assert_eq!(made, after, "{patch}");
        }
    }

    #[test]
    fn a_patch_removes_with_null_and_changes_are_told_by_field() {
        let plan = plan(json!([{"step_id": "a", "run": "x", "parameters": {"rows": 1, "deep": {"on": true}}}]));
        let value =
            patched(&plan.steps[0], &json!({"max_retries": null, "parameters": {"rows": 5, "deep": {"off": 1}}}));
        let after: Step = serde_json::from_value(value).unwrap();
        let told: Vec<String> = field_changes(&plan.steps[0], &after)
            .iter()
            .map(|one| format!("{} {} {}", one.field, one.before, one.after))
            .collect();
        assert_eq!(told, ["parameters.rows 1 5", "parameters.deep.off null 1", "max_retries 2 null"]);
    }
}
