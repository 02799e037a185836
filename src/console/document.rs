//! Text of the detail that is made from the state: a step's definition, a result. Made once, when what it shows has changed, never while
//! drawing.

use serde_json::Value;

use super::run_model::{OpenRun, Tab};
use super::{text, words};

/// A document is cut here: a result may have any size, and what is longer is read in its file.
const LONGEST: usize = 20_000;

/// What a document shows; it is made anew when this changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    tab: Tab,
    step: String,
    plan_version: u64,
    attempt: Option<u32>,
    since: Option<i64>,
}

/// Lines and the first one that is seen.
#[derive(Debug, Clone, Default)]
pub struct Document {
    subject: Option<Subject>,
    /// The text, neutralised line by line.
    pub lines: Vec<String>,
    /// First line that is seen.
    pub offset: usize,
}

impl Document {
    /// Scrolls by a number of lines, within what there is.
    pub fn scroll(&mut self, by: isize, height: usize) {
        let furthest = self.lines.len().saturating_sub(height);
        self.offset = self.offset.saturating_add_signed(by).min(furthest);
    }
}

/// Makes the document anew if what it shows has changed.
pub fn refresh(run: &mut OpenRun) {
    let Some(position) = run.position() else {
        run.document = Document::default();
        return;
    };
    let state = &run.state;
    let (definition, step) = (&state.plan.steps[position], &state.steps[position]);
    let subject = Subject {
        tab: run.tab,
        step: definition.step_id.clone(),
        plan_version: state.plan_version,
        attempt: run.shown_attempt().map(|attempt| attempt.number),
        since: step.since.map(|since| since.timestamp_micros()),
    };
    if run.document.subject.as_ref() == Some(&subject) {
        return;
    }
    let moved = run.document.subject.as_ref().is_none_or(|old| old.tab != subject.tab || old.step != subject.step);
    let lines = match run.tab {
        Tab::Definition => json(&crate::plan::step_json(definition)),
        Tab::Result => result(run),
        Tab::Output | Tab::Attempts => Vec::new(),
    };
    // What stands in the place of the output is laid out while it is drawn, which knows its length.
    let longest = if run.tab == Tab::Output { usize::MAX } else { lines.len().saturating_sub(1) };
    let offset = if moved { 0 } else { run.document.offset.min(longest) };
    run.document = Document { subject: Some(subject), lines, offset };
}

fn result(run: &OpenRun) -> Vec<String> {
    let Some(step) = run.step() else { return Vec::new() };
    if run.attempt.is_none()
        && let Some(by_hand) = &step.by_hand
    {
        let mut lines = vec![format!("completed by hand by {}", text::clean(&by_hand.user))];
        if let Some(result) = &by_hand.result {
            lines.push(String::new());
            lines.extend(json(result));
        }
        return lines;
    }
    if step.expansion.is_some() {
        let whole = run.position().and_then(|position| run.state.result_data(position));
        return whole.map(|list| json(&list)).unwrap_or_default();
    }
    let outcome = run.shown_attempt().and_then(|attempt| attempt.outcome.as_ref());
    match outcome.and_then(|outcome| outcome.result.as_ref()).and_then(|result| serde_json::to_value(result).ok()) {
        Some(result) => json(&result),
        None => Vec::new(),
    }
}

fn json(value: &Value) -> Vec<String> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().take(LONGEST).map(|line| text::clean(line).into_owned()).collect();
    let left = text.lines().count() - lines.len();
    if left > 0 {
        lines.push(format!("{} more are not shown", words::count(left, "line")));
    }
    lines
}
