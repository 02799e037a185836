//! What is possible now, and why the rest is not: for the footer, the help and for every key.
//!
//! For commands the answer comes from the rules that decide them in the engine: there is no second list.

use crate::run::{
    Command, Rejection, RejectionCode, Request, RunState, RunStatus, StepState, StepStatus, newest_undoable, permits,
    restorable, short_id, still_open,
};

use super::actions::{ANSWERS, Action, Kind, Need, Scope, Target};
use super::app::{App, Drawn, Place};
use super::attaching::{process, unreached};
use super::history::Kind as HistoryKind;
use super::rows::View;
use super::run_model::{OpenRun, Ownership, Pane, Tab};

/// A plan of more steps is not walked over for every frame: what an undo leads to is then said when its key is pressed.
const WALKED: usize = 2000;

/// Whether an action can be taken now; if not, why not and what would make it possible.
///
/// # Errors
/// The reason, in a sentence for the operator.
pub fn availability(app: &App, action: Action) -> Result<(), String> {
    if leads_to(app, action).is_some() {
        return Ok(());
    }
    if !action.entry().scope.covers(app.scope()) {
        let why = match (app.place, action.entry().scope) {
            (Place::Runs, _) => "this works in an open run: {open} opens the one that is selected",
            (_, Scope::Timeline) => "this works in the timeline: {timeline} shows it",
            (_, Scope::Graph) => "this works in the graph: {graph} shows it",
            (_, Scope::History) => {
                "this works in the run's checkpoints and versions: {checkpoints} and {versions} show them"
            }
            (_, Scope::Metrics) => "this works among the metrics: {metrics} shows them",
            (Place::Graph, _) => "this works among the steps: {visit} goes to the selected one",
            _ => "this works among the steps: {back} goes back to them",
        };
        return Err(app.keys.fill(why));
    }
    if let Kind::Command(build) = action.entry().kind {
        if app.is_about_marks(action) {
            return app.availability_of_marks(action);
        }
        let open = app.run.as_ref().filter(|_| app.place != Place::Runs);
        let none = "{mark} marks runs that it is to be about, {open} opens one";
        return command(app, open.ok_or_else(|| app.keys.fill(none))?, action, build);
    }
    if app.place == Place::History && action == Action::Copy {
        let text = app.history.as_ref().and_then(|history| history.text());
        return text.map(|_| ()).ok_or_else(|| "there is nothing beside the list yet".into());
    }
    if app.place == Place::Timeline
        && let Some(answer) = super::timeline::availability(app, action)
    {
        return answer;
    }
    if app.place == Place::Metrics
        && let Some(answer) = super::metrics::availability(app, action)
    {
        return answer;
    }
    let run = app.run.as_ref().filter(|_| app.place == Place::Run);
    let kind = app.history.as_ref().map(|history| history.kind);
    match action {
        Action::Fork | Action::Restore if kind != Some(HistoryKind::Checkpoints) => {
            Err(app.keys.fill("this is about a checkpoint: {checkpoints} lists them"))
        }
        Action::Fork => match app.run.as_ref().map(|run| (run, app.target(run, None).checkpoint)) {
            Some((_, None)) | None => Err("no checkpoint is selected".into()),
            Some((run @ OpenRun { ownership: Ownership::Damaged(_), .. }, _)) => {
                let verify = (app.settings.command_line)(&format!("verify {}", short_id(run.id())));
                Err(format!("its journal is damaged: `{verify}` says where, and which checkpoint is good"))
            }
            Some(_) => Ok(()),
        },
        Action::Filter if app.place == Place::Graph => {
            Err(app.keys.fill("the graph has no filter: {back} goes back to the steps, where {filter} finds one"))
        }
        Action::Copy if app.place == Place::Graph => {
            Err(app.keys.fill("{visit} goes to the step, and there it is copied"))
        }
        Action::Compare if kind != Some(HistoryKind::Versions) => {
            Err(app.keys.fill("this compares versions: {versions} lists them"))
        }
        Action::Mark => app.markable(),
        Action::Attach => app.attachable(),
        Action::Open if app.place == Place::Runs && app.runs.selected.is_none() => {
            Err("there is nothing to open".into())
        }
        Action::NextNeedingMe => {
            let open = app.run.as_ref().filter(|_| app.place != Place::Runs);
            let here = open.is_some_and(|run| !run.state.needs_person().is_empty());
            if here || app.runs.waits() { Ok(()) } else { Err("nothing waits for you".into()) }
        }
        Action::NextRun | Action::PreviousRun if !app.has_other_runs() => Err("no other run is active".into()),
        Action::NextMatch | Action::PreviousMatch if app.in_output() && !app.has_filter() => {
            Err(app.keys.fill("nothing is searched for: {search} searches"))
        }
        Action::NextMatch | Action::PreviousMatch if !app.has_filter() => {
            Err(app.keys.fill("there is no filter: {filter} sets one"))
        }
        Action::Follow | Action::Wrap | Action::Times if run.is_none_or(|run| run.tab != Tab::Output) => {
            Err(app.keys.fill("this works in the output: {next-tab} and {previous-tab} change the tab"))
        }
        Action::ScrollLeft | Action::ScrollRight if !app.in_output() => Err(app.keys.fill(
            "this works in the output: {next-pane} goes to the pane, {next-tab} and {previous-tab} change the tab",
        )),
        Action::ScrollLeft | Action::ScrollRight if !app.output.has_cut_lines() => {
            Err("no line that is seen is cut".into())
        }
        Action::Search | Action::OnlyLines | Action::Select | Action::SaveOutput => {
            if run.is_none_or(|run| run.tab != Tab::Output) {
                return Err(app.keys.fill("this works in the output: {next-tab} and {previous-tab} change the tab"));
            }
            if app.output.bytes() == 0 { Err("there is no output yet".into()) } else { Ok(()) }
        }
        Action::FollowRun if run.is_none_or(|run| !run.moves_on()) => Err("nothing of the run goes on".into()),
        Action::Why => {
            let run = run.ok_or("no run is open")?;
            run.position().map(|_| ()).ok_or_else(|| run.no_step().into())
        }
        Action::Answer => {
            let run = run.ok_or("no run is open")?;
            steerable(app, run)?;
            let step = run.step().ok_or("no step is selected")?;
            match step.question() {
                _ if run.state.cancelling => Err("the run is being cancelled".into()),
                Some(_) => Ok(()),
                None => Err(app.keys.fill("this step asks nothing: {next-needing-me} goes to what waits for you")),
            }
        }
        Action::Modify | Action::MoveUp | Action::MoveDown => {
            let run = run.ok_or("no run is open")?;
            steerable(app, run)?;
            let id = run.list.selected.as_deref().ok_or(run.no_step())?;
            still_open(&run.state, id, false).map_err(|rejection| rejection.to_string())
        }
        Action::Add => {
            let run = run.ok_or("no run is open")?;
            steerable(app, run)?;
            match run.state.status {
                _ if run.state.cancelling => Err("the run is being cancelled".into()),
                _ if run.state.rolling_back => Err("the run is being rolled back: its plan is not changed now".into()),
                RunStatus::Completed => Err("the run is completed; retrying a step with everything after it, or going back to a checkpoint, reopens it".into()),
                _ => match run.position() {
                    Some(position) if run.state.takes_part(position) => Ok(()),
                    Some(_) => Err("this is a step of a rollback that is over: select one of the plan's own".into()),
                    None => Err(run.no_step().into()),
                },
            }
        }
        Action::Copy if run.is_none() => Err("there is nothing to copy here: open a run first".into()),
        Action::Copy if run.is_some_and(|run| run.focus == Pane::Steps && run.position().is_none()) => {
            Err(run.map_or("no run is open", OpenRun::no_step).into())
        }
        _ => Ok(()),
    }
}

/// The list to which an action goes from elsewhere in an open run, instead of being refused: what it is about is chosen there.
pub fn leads_to(app: &App, action: Action) -> Option<HistoryKind> {
    if matches!(app.place, Place::Runs | Place::History) || app.run.is_none() {
        return None;
    }
    match action {
        Action::Restore | Action::Fork => Some(HistoryKind::Checkpoints),
        Action::UseVersion | Action::Compare => Some(HistoryKind::Versions),
        _ => None,
    }
}

/// Whether an action has a meaning in the place and the list that is looked at: what has none is not shown as a key of the place.
pub fn belongs(app: &App, action: Action) -> bool {
    if app.in_output() && app.output.is_selecting() {
        let of_selection = [Action::Select, Action::Copy, Action::SaveOutput, Action::Back, Action::Help, Action::Quit];
        return of_selection.contains(&action);
    }
    match action {
        // While it is the console's, the mouse needs no word.
        Action::Mouse => return !app.mouse,
        Action::Search | Action::Select | Action::OnlyLines | Action::SaveOutput => {
            return app.in_output() && app.output.bytes() > 0;
        }
        Action::Follow => return app.in_output() && app.output.has_stopped(),
        Action::StepView if app.in_output() => return false,
        Action::Attach => return app.is_elsewhere(),
        Action::Copy => return !matches!(app.place, Place::Runs | Place::Graph),
        Action::Filter | Action::Graph if app.place == Place::Graph => return false,
        Action::NextRun | Action::PreviousRun => return app.has_other_runs(),
        Action::FoldHeading => return app.run.as_ref().is_some_and(|run| run.list.rows.view != View::List),
        // In the list of runs, a command is about those that are marked.
        _ if app.place == Place::Runs && matches!(action.entry().kind, Kind::Command(_)) => {
            return app.is_about_marks(action);
        }
        Action::Fold => return app.run.as_ref().is_some_and(OpenRun::can_fold),
        _ => {}
    }
    match app.place {
        Place::Timeline => return action != Action::Timeline,
        Place::Metrics => return !matches!(action, Action::Metrics | Action::Filter),
        _ => {}
    }
    let Some(history) = app.history.as_ref().filter(|_| app.place == Place::History) else { return true };
    match action {
        Action::Restore | Action::Fork => history.kind == HistoryKind::Checkpoints,
        Action::UseVersion | Action::Compare => history.kind == HistoryKind::Versions,
        Action::Checkpoints => history.kind != HistoryKind::Checkpoints,
        Action::Versions => history.kind != HistoryKind::Versions,
        Action::Interventions => history.kind != HistoryKind::Interventions,
        _ => true,
    }
}

/// Which action a key means among those that share it: decided by what was drawn, so that a run that has meanwhile paused by itself is not
/// resumed by a key that said "pause".
pub fn meant(app: &App, drawn: &Drawn, candidates: &[Action]) -> Option<Action> {
    let has = |action| candidates.contains(&action);
    if let Some(action) = app.meant_for_marks(candidates) {
        return Some(action);
    }
    let kind = app.history.as_ref().filter(|_| app.place == Place::History).map(|history| history.kind);
    if has(Action::Restore) || has(Action::UseVersion) {
        return Some(match kind {
            Some(HistoryKind::Versions) => Action::UseVersion,
            Some(HistoryKind::Interventions) => Action::Open,
            _ => Action::Restore,
        });
    }
    if has(Action::Pause) || has(Action::Resume) {
        return Some(match drawn.status {
            Some(RunStatus::Idle) => Action::Start,
            Some(RunStatus::Running) if drawn.live => Action::Pause,
            _ => Action::Resume,
        });
    }
    if has(Action::Visit) {
        return Some(Action::Visit);
    }
    for (usual, of_output) in [(Action::StepView, Action::Select), (Action::Filter, Action::Search)] {
        if has(usual) && has(of_output) {
            return Some(if app.in_output() { of_output } else { usual });
        }
    }
    for (tab, sideways) in [(Action::PreviousTab, Action::ScrollLeft), (Action::NextTab, Action::ScrollRight)] {
        if has(tab) && has(sideways) {
            return Some(if app.in_output() && app.output.has_cut_lines() { sideways } else { tab });
        }
    }
    if has(Action::Start) && has(Action::Open) {
        let idle = drawn.status == Some(RunStatus::Idle) && app.place == Place::Run;
        return Some(if idle { Action::Start } else { Action::Open });
    }
    let by_selection = [Action::Compare, Action::Fork, Action::Fold, Action::FoldHeading, Action::Mark];
    if by_selection.into_iter().any(has) {
        return candidates.iter().find(|action| has_object(app, **action)).or(candidates.last()).copied();
    }
    if [Action::Release, Action::Approve, Action::Answer].into_iter().any(has) {
        let asks = app.run.as_ref().and_then(|run| run.step()?.question()).is_some();
        if asks && has(Action::Answer) {
            return Some(Action::Answer);
        }
        let reviewed = drawn.step.as_ref().is_some_and(|(_, status)| *status == StepStatus::InReview);
        return Some(if reviewed { Action::Approve } else { Action::Release });
    }
    if has(Action::Hold) {
        let run = app.run.as_ref()?;
        let point = run.position().is_some_and(|position| run.state.is_hold_point(position));
        return Some(if point { Action::Unhold } else { Action::Hold });
    }
    candidates.first().copied()
}

/// The actions that answer what the open run waits a person for, the nearest first: as far as they are possible now.
pub fn answers(app: &App, seen: &Drawn) -> Vec<Action> {
    let needs = needs(app, seen);
    let of = ANSWERS.iter().filter(|(need, _)| needs.contains(need)).flat_map(|(_, actions)| *actions);
    of.copied().filter(|action| availability(app, *action).is_ok()).collect()
}

/// What the open run waits a person for, as it is drawn. In the places beside its steps the keys of the place go before that.
fn needs(app: &App, seen: &Drawn) -> Vec<Need> {
    let Some(run) = app.run.as_ref().filter(|_| app.place == Place::Run) else { return Vec::new() };
    let mut needs = Vec::new();
    let status = seen.step.as_ref().map(|(_, status)| *status);
    let asks = status.is_some() && run.step().and_then(StepState::question).is_some();
    let own = match status {
        _ if asks => Some(Need::Question),
        Some(StepStatus::InReview) => Some(Need::Review),
        Some(StepStatus::Held) => Some(Need::Hold),
        Some(StepStatus::Failed | StepStatus::Interrupted) => Some(Need::Failure),
        _ => None,
    };
    needs.extend(own);
    if own.is_none() && !run.state.needs_person().is_empty() {
        needs.push(Need::Elsewhere);
    }
    needs.extend(match seen.status {
        Some(RunStatus::Paused) => Some(Need::Pause),
        Some(RunStatus::Idle) => Some(Need::Start),
        _ => None,
    });
    needs
}

/// Whether what is selected is something that an action could be about: of actions that share a key, the first one of which this holds is meant.
fn has_object(app: &App, action: Action) -> bool {
    let steps = app.run.as_ref().filter(|run| app.place == Place::Run && run.focus == Pane::Steps);
    match action {
        Action::FoldHeading => steps.is_some_and(OpenRun::folds),
        Action::Mark => app.place == Place::Runs || steps.is_some_and(|run| run.position().is_some()),
        Action::Fold => true,
        _ => belongs(app, action),
    }
}

/// [`meant`] for the actions of one key: with keys of the operator's own, what would be meant may have another key.
pub fn meant_by_key(app: &App, drawn: &Drawn, candidates: &[Action]) -> Option<Action> {
    let action = meant(app, drawn, candidates)?;
    if candidates.contains(&action) { Some(action) } else { candidates.first().copied() }
}

fn command(app: &App, run: &OpenRun, action: Action, build: fn(Target<'_>) -> Option<Command>) -> Result<(), String> {
    steerable(app, run)?;
    if run.ownership == Ownership::Nobody && action == Action::Resume && !run.state.status.is_ended() {
        return Ok(());
    }
    let state = &run.state;
    let target = app.target(run, run.list.selected.as_deref());
    let Some(command) = build(target) else {
        return Err(match action {
            Action::Restore => "no checkpoint is selected",
            Action::UseVersion => "no version is selected",
            _ => run.no_step(),
        }
        .into());
    };
    possible(app, state, command).map_err(|rejection| rejection.to_string())
}

/// Whether a command is possible, as far as that is known at once: what costs a walk over the plan is said when its key is pressed.
pub(super) fn possible(app: &App, state: &RunState, command: Command) -> Result<(), Rejection> {
    let refuse = |why: &str| Err(Rejection::new(RejectionCode::NotNow, why));
    match command {
        // Where it leads is read from the disk when it is asked for.
        Command::Restore { checkpoint } => restorable(state, checkpoint),
        Command::UseVersion { .. } if state.cancelling => refuse("the run is being cancelled"),
        Command::UseVersion { version } if version == state.plan_version => refuse("this is the plan as it is"),
        Command::UseVersion { .. } => Ok(()),
        // Whether the steps after it are idle costs a walk over them: the engine answers that when it is asked.
        Command::Retry { step, downstream: true } => retry_downstream(app, state, step),
        // What a change of the plan leads to costs a walk over it. Here only what is known at once.
        Command::Remove { step } => still_open(state, &step, true),
        // What there is to undo costs a walk over all steps.
        Command::Rollback
            if state.steps.len() > WALKED && (state.status == RunStatus::Paused || state.status.is_ended()) =>
        {
            Ok(())
        }
        // What is sent is the undo of just that.
        Command::Undo { version: None } if !state.cancelling => {
            let newest = newest_undoable(state)?;
            if state.steps.len() > WALKED { Ok(()) } else { ask(app, state, newest.command()) }
        }
        Command::Undo { .. } | Command::UndoIntervention { .. } if !state.cancelling && state.steps.len() > WALKED => {
            Ok(())
        }
        command => ask(app, state, command),
    }
}

/// Whether a command would be taken, whatever that costs; `Ok` for those that [`availability`] knows already.
///
/// # Errors
/// The engine's own refusal, in words.
pub fn allowed(app: &App, run: &OpenRun, command: &Command) -> Result<(), String> {
    match command {
        Command::Retry { downstream: true, .. }
        | Command::Remove { .. }
        | Command::Undo { .. }
        | Command::UndoIntervention { .. }
        | Command::UseVersion { .. }
        | Command::Reorder { .. } => ask(app, &run.state, command.clone()).map_err(|rejection| rejection.to_string()),
        _ => Ok(()),
    }
}

/// Whether the run takes commands from here at all.
pub(super) fn steerable(app: &App, run: &OpenRun) -> Result<(), String> {
    match &run.ownership {
        Ownership::Ours | Ownership::Attached(_) | Ownership::Nobody => Ok(()),
        Ownership::Elsewhere(owner) => Err(unreached(owner).unwrap_or_else(|| {
            let who = process(owner.pid);
            app.keys.fill(&format!("{who} has this run open: {{attach}} steers it from here"))
        })),
        Ownership::Damaged(_) => Err("its journal is damaged: it can be read, but not go on".into()),
    }
}

fn retry_downstream(app: &App, state: &RunState, step: String) -> Result<(), Rejection> {
    let turn = state.position(&step).is_some_and(|position| state.takes_part(position));
    let completed = turn && state.step(&step).is_some_and(|(_, found)| found.status == StepStatus::Completed);
    if completed && !state.cancelling && state.status != RunStatus::Idle {
        return Ok(());
    }
    if turn && state.status == RunStatus::Completed {
        return Ok(());
    }
    ask(app, state, Command::Retry { step, downstream: false })
}

fn ask(app: &App, state: &RunState, command: Command) -> Result<(), Rejection> {
    permits(state, &Request::new(uuid::Uuid::nil(), command, &app.settings.user))
}
