//! What an entry of the lists says in full: read from the disk and compared where it has to be.

use uuid::Uuid;

use crate::run::{Branches, Intervention, InterventionStatus, RunState, checkpoint_id};

use super::super::log::asked;
use super::super::theme::Role;
use super::super::words::{self, Zone};
use super::{Line, Subject};

/// An intervention with everything that is known of it.
pub(super) fn told_in_full(record: &Intervention, state: &RunState, zone: Zone) -> Vec<Line> {
    let status = match record.status {
        InterventionStatus::Applied => ("applied", Role::Done),
        InterventionStatus::Pending => ("accepted; it waits for an attempt to stop", Role::Waiting),
        InterventionStatus::Failed => ("refused, or overtaken; it had no effect", Role::Failed),
    };
    // Said as something that was done, it has to be said at once that it was not.
    let refused = if record.status == InterventionStatus::Failed { ": refused" } else { "" };
    let mut lines = vec![
        Line::new(format!("{} {}{refused}", record.user, asked(record, state)), Role::Strong),
        Line::new(zone.show(record.timestamp, "%Y-%m-%d %H:%M:%S"), Role::Muted),
        Line::new(status.0, status.1),
    ];
    if record.undone_by.is_some() {
        lines.push(Line::new("undone since", Role::Held));
    }
    if let Some(step) = &record.target_step_id {
        lines.push(Line::new(format!("step     {step}"), Role::Text));
    }
    lines.push(match &record.reason {
        Some(reason) => Line::new(format!("reason   {reason}"), Role::Text),
        None => Line::new("no reason was given", Role::Faint),
    });
    if let Some(error) = &record.error {
        lines.push(Line::new("", Role::Text));
        lines.push(Line::new(error, Role::Warning));
    }
    let parameters = serde_json::to_string_pretty(&record.parameters).unwrap_or_default();
    // What an undo names by its id is said above in words.
    let said = record.intervention_type == "undo" && parameters.contains("intervention_id");
    if parameters != "{}" && parameters != "null" && !said {
        lines.push(Line::new("", Role::Text));
        lines.extend(parameters.lines().take(LONGEST).map(|line| Line::new(line, Role::Muted)));
    }
    lines.push(Line::new("", Role::Text));
    lines.push(Line::new(format!("id {}", record.intervention_id), Role::Faint));
    if let Some(id) = &record.command_id {
        lines.push(Line::new(format!("command id {id}"), Role::Faint));
    }
    lines
}

/// A text is cut here; the command line has the whole of it.
const LONGEST: usize = 2000;
/// So many changes against now are told by name.
const NOW_SHOWN: usize = 12;

/// The text of a checkpoint or of a version; reads files where it has to.
///
/// # Errors
/// What could not be read, in words.
pub async fn tell(handle: &crate::engine::EngineHandle, run: Uuid, subject: Subject) -> Result<Vec<Line>, String> {
    let said = |rejection: crate::run::Rejection| rejection.to_string();
    let now = handle.state(run).await.map_err(said)?;
    match subject {
        Subject::Checkpoint { seq, before } => {
            let at = handle.state_at(run, seq).await.map_err(said)?;
            let before = match before {
                Some(before) => Some((before, handle.state_at(run, before).await.map_err(said)?)),
                None => None,
            };
            // Comparing costs as much as the plans are long: not on a thread that others wait for.
            let made = tokio::task::spawn_blocking(move || checkpoint_text(&now, &at, before.as_ref()));
            made.await.map_err(|error| error.to_string())
        }
        Subject::Versions { from, to } => {
            let made = tokio::task::spawn_blocking(move || version_text(&now, from, to));
            made.await.map_err(|error| error.to_string())
        }
        Subject::Intervention(_) => Ok(Vec::new()),
    }
}

/// A checkpoint: what changed from the one `before` it, and what has since.
pub fn checkpoint_text(now: &RunState, at: &RunState, before: Option<&(u64, RunState)>) -> Vec<Line> {
    let mut lines = vec![Line::new(
        format!(
            "{} · {} of {} · {} · plan v{}",
            checkpoint_id(at.seq),
            at.step_index(),
            words::count(at.steps.len(), "step"),
            at.status.word(),
            at.plan_version
        ),
        Role::Strong,
    )];
    if Branches::of(now).left_at(at.seq).is_some() {
        lines
            .push(Line::new("left behind by going back; it can be gone back to, and forked, as any other", Role::Held));
    }
    let mut section = |title: String, changes: Vec<String>, most: usize| {
        lines.push(Line::new("", Role::Text));
        lines.push(Line::new(title, Role::Accent));
        if changes.is_empty() {
            lines.push(Line::new("nothing of the plan and its steps", Role::Muted));
        }
        let more = changes.len().saturating_sub(most);
        lines.extend(changes.iter().take(most).map(|change| Line::new(change, role_of(change))));
        if more > 0 {
            lines.push(Line::new(format!("and {} more", words::thousands(more)), Role::Muted));
        }
    };
    if let Some((seq, before)) = before {
        let title = format!("Changed since {}", checkpoint_id(*seq));
        section(title, crate::run::changes_between(before, at), LONGEST);
    }
    if at.seq != now.seq {
        section("Since then (what going back would take back)".into(), crate::run::changes_since(at, now), NOW_SHOWN);
    }
    lines
}

/// A version of the plan against another.
pub fn version_text(now: &RunState, from: u64, to: u64) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(made) = now.versions.iter().find(|one| one.change.version == to) {
        let change = &made.change;
        lines.push(Line::new(format!("Version {to} by {}", change.user), Role::Strong));
        let reason = change.reason.as_ref().map(|reason| Line::new(format!("“{reason}”"), Role::Text));
        lines.extend(reason);
    } else {
        lines.push(Line::new(format!("Version {to}, as the plan was opened by {}", now.user), Role::Strong));
        lines.extend(words::forked_from(now).map(|from| Line::new(from, Role::Text)));
    }
    let (Some(one), Some(other)) = (now.plan_at(from), now.plan_at(to)) else {
        lines.push(Line::new("this version cannot be made out again", Role::Warning));
        return lines;
    };
    lines.push(Line::new("", Role::Text));
    if from == to {
        lines.push(Line::new(words::count(one.steps.len(), "step"), Role::Text));
        let steps = one.steps.iter().take(LONGEST);
        lines.extend(steps.map(|step| Line::new(format!("  {}", step.step_id), Role::Muted)));
        return lines;
    }
    lines.push(Line::new(format!("From version {from} to version {to}"), Role::Accent));
    let changes = crate::run::plan_changes(&one, &other);
    if changes.is_empty() {
        lines.push(Line::new("the same plan", Role::Muted));
    }
    let more = changes.len().saturating_sub(LONGEST);
    lines.extend(changes.iter().take(LONGEST).map(|change| Line::new(change, role_of(change))));
    if more > 0 {
        lines.push(Line::new(format!("and {} more", words::thousands(more)), Role::Muted));
    }
    lines
}

fn role_of(change: &str) -> Role {
    // The lines of a long text stand indented under the step that they are of.
    match change.strip_prefix("  ").unwrap_or(change).split(' ').next() {
        Some("+") => Role::Done,
        Some("-") => Role::Failed,
        Some("~") => Role::Waiting,
        _ if change.contains("→ failed") => Role::Failed,
        _ => Role::Text,
    }
}
