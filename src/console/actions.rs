//! The one table of actions. Keymap, footer, help, palette and commands of the command line are made from it: nothing
//! about an action stands twice. What an action does to the console is in `update`, whether it is possible now in `availability`; nothing
//! here knows the screen.

use uuid::Uuid;

use crate::run::Command;

/// What an operator can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described by its line in the table")]
pub enum Action {
    Start,
    Pause,
    Resume,
    Cancel,
    Rollback,
    Retry,
    RetryDownstream,
    Skip,
    Complete,
    Release,
    Approve,
    Reject,
    Answer,
    Hold,
    Unhold,
    Modify,
    Add,
    Remove,
    MoveUp,
    MoveDown,
    Undo,
    MoreParallel,
    FewerParallel,
    Checkpoints,
    Versions,
    Interventions,
    Timeline,
    ZoomIn,
    ZoomOut,
    Earlier,
    Later,
    WholeRun,
    FollowNow,
    Restore,
    Fork,
    UseVersion,
    Compare,
    Export,
    Graph,
    Metrics,
    Visit,
    Fold,
    Left,
    Right,
    StepView,
    FoldHeading,
    Mark,
    Why,
    NextNeedingMe,
    NextRun,
    PreviousRun,
    Open,
    Attach,
    Back,
    Zoom,
    NextPane,
    PreviousPane,
    PreviousTab,
    NextTab,
    Down,
    Up,
    First,
    Last,
    PageDown,
    PageUp,
    HalfPageDown,
    HalfPageUp,
    Filter,
    NextMatch,
    PreviousMatch,
    Search,
    OnlyLines,
    Select,
    SaveOutput,
    Follow,
    FollowRun,
    Wrap,
    ScrollLeft,
    ScrollRight,
    Times,
    Copy,
    Mouse,
    Refresh,
    Palette,
    Help,
    Quit,
}

/// Where an action works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every place.
    Everywhere,
    /// In the list of runs and plans.
    Runs,
    /// In the list of runs, and among the steps of an open run.
    Lists,
    /// In an open run.
    Run,
    /// In the checkpoints, versions and interventions of an open run.
    History,
    /// In the timeline of an open run.
    Timeline,
    /// In the graph of an open run.
    Graph,
    /// Among the numbers of an open run.
    Metrics,
    /// In an open run, its history, its timeline, its graph and its numbers.
    OfRun,
}

/// Under which heading the help lists an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// About the whole run.
    Run,
    /// About the selected step.
    Step,
    /// About what was.
    History,
    /// About what is looked at.
    Look,
    /// Moving about.
    Move,
    /// About the output.
    Output,
    /// About the console.
    Console,
}

/// The headings in the order in which the help shows them.
pub const GROUPS: [(Group, &str); 7] = [
    (Group::Run, "The run"),
    (Group::Step, "The selected step"),
    (Group::History, "Looking back"),
    (Group::Look, "Looking"),
    (Group::Output, "Output"),
    (Group::Move, "Moving"),
    (Group::Console, "The console"),
];

/// What an action is about, for building its command.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The selected step.
    pub step: Option<&'a str>,
    /// The limit of attempts at the same time, as it stands.
    pub max_parallel: u32,
    /// The selected checkpoint.
    pub checkpoint: Option<u64>,
    /// The selected version of the plan, among the versions.
    pub version: Option<u64>,
    /// The selected intervention, among the interventions.
    pub intervention: Option<Uuid>,
}

/// What kind of action it is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A command to the engine, and how it is built; `None` when there is no step it could be about.
    Command(fn(Target<'_>) -> Option<Command>),
    /// Something the console does by itself.
    Local,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which action.
    pub action: Action,
    /// Its name, for a file of keys, a palette, the command line.
    pub name: &'static str,
    /// What it does, on one line.
    pub doc: &'static str,
    /// The word or two beside its key in the footer.
    pub label: &'static str,
    /// Its keys unless changed; the first one is shown.
    pub keys: &'static [&'static str],
    /// Where it works.
    pub scope: Scope,
    /// Heading in the help.
    pub group: Group,
    /// Place in the footer, smallest first; 0: not in the footer. Actions with the same rank are alternatives of the same key: the one that
    /// is possible is shown.
    pub rank: u8,
    /// What kind of action.
    pub kind: Kind,
}

macro_rules! command {
    ($($build:tt)+) => { Kind::Command($($build)+) };
}

#[rustfmt::skip]
/// The table. Actions that share a key are alternatives of which at most one is possible at a time; the first possible one is taken.
pub const TABLE: &[Entry] = &[
    entry(Action::Start, "start", "start a run that is idle", "start", &["p", "Enter"], Scope::Everywhere, Group::Run, 3, command!(|_| Some(Command::Start))),
    entry(Action::Pause, "pause", "pause: nothing new starts, what runs may finish", "pause", &["p"], Scope::Everywhere, Group::Run, 3, command!(|_| Some(Command::Pause))),
    entry(Action::Resume, "resume", "resume: go on, or take over a run whose engine is gone", "resume", &["p"], Scope::Everywhere, Group::Run, 3, command!(|_| Some(Command::Resume))),
    entry(Action::Cancel, "cancel", "cancel the run: stop every attempt and end it (asks first)", "cancel", &["c"], Scope::Everywhere, Group::Run, 33, command!(|_| Some(Command::Cancel))),
    entry(Action::Rollback, "rollback", "undo what is completed, then end the run (asks first)", "roll back", &["U"], Scope::Run, Group::Run, 27, command!(|_| Some(Command::Rollback))),
    entry(Action::MoreParallel, "more", "let one more attempt run at the same time", "more", &["+"], Scope::OfRun, Group::Run, 0,
        command!(|target| Some(Command::SetParallel { value: target.max_parallel.saturating_add(1) }))),
    entry(Action::FewerParallel, "fewer", "let one attempt fewer run at the same time", "fewer", &["-"], Scope::OfRun, Group::Run, 0,
        command!(|target| Some(Command::SetParallel { value: target.max_parallel.saturating_sub(1) }))),
    entry(Action::Retry, "retry", "run the step again (asks before it stops an attempt)", "retry", &["r"], Scope::Run, Group::Step, 5,
        command!(|target| Some(Command::Retry { step: target.step?.into(), downstream: false }))),
    entry(Action::RetryDownstream, "retry-downstream", "run the step again, and everything after it", "retry with the rest", &["R"], Scope::Run, Group::Step, 17,
        command!(|target| Some(Command::Retry { step: target.step?.into(), downstream: true }))),
    entry(Action::Skip, "skip", "do not run the step; what depends on it goes on", "skip", &["s"], Scope::Run, Group::Step, 6,
        command!(|target| Some(Command::Skip { step: target.step?.into() }))),
    entry(Action::Complete, "complete", "the step's work was done by hand: count it as completed", "done by hand", &["m"], Scope::Run, Group::Step, 7,
        command!(|target| Some(Command::Complete { step: target.step?.into(), result: None }))),
    entry(Action::Release, "release", "release the hold: the step may start", "release", &["o"], Scope::Run, Group::Step, 8,
        command!(|target| Some(Command::Release { step: target.step?.into() }))),
    entry(Action::Approve, "approve", "approve the result in review: the step is completed", "approve", &["o"], Scope::Run, Group::Step, 8,
        command!(|target| Some(Command::Approve { step: target.step?.into() }))),
    entry(Action::Reject, "reject", "reject the result in review: the step fails (asks first)", "reject", &["x"], Scope::Run, Group::Step, 9,
        command!(|target| Some(Command::Reject { step: target.step?.into() }))),
    entry(Action::Answer, "answer", "answer what the step asks: say that it is done, or fill in its fields", "answer", &["o"], Scope::Run, Group::Step, 8, Kind::Local),
    entry(Action::Hold, "hold", "set a hold point: the run stops before this step", "hold point", &["b"], Scope::Run, Group::Step, 18,
        command!(|target| Some(Command::Hold { step: target.step?.into() }))),
    entry(Action::Unhold, "unhold", "take the hold point off the step", "no hold point", &["b"], Scope::Run, Group::Step, 18,
        command!(|target| Some(Command::Unhold { step: target.step?.into() }))),
    entry(Action::Modify, "modify", "change the step: its fields, or its JSON", "edit", &["e"], Scope::Run, Group::Step, 10, Kind::Local),
    entry(Action::Add, "add", "add a step after it, before it, or at the end", "add", &["a"], Scope::Run, Group::Step, 11, Kind::Local),
    entry(Action::Remove, "remove", "take the step out of the plan (asks first)", "remove", &["d"], Scope::Run, Group::Step, 12,
        command!(|target| Some(Command::Remove { step: target.step?.into() }))),
    entry(Action::MoveUp, "move-up", "move the step up in the order", "move up", &["K"], Scope::Run, Group::Step, 19, Kind::Local),
    entry(Action::MoveDown, "move-down", "move the step down in the order", "move down", &["J"], Scope::Run, Group::Step, 20, Kind::Local),
    entry(Action::Undo, "undo", "undo the newest intervention, or the selected one (asks)", "undo", &["u"], Scope::OfRun, Group::Run, 13,
        command!(|target| Some(match target.intervention {
            Some(intervention) => Command::UndoIntervention { intervention },
            None => Command::Undo { version: target.version },
        }))),
    entry(Action::Checkpoints, "checkpoints", "the places to go back to, and what changed between them", "checkpoints", &["C"], Scope::OfRun, Group::History, 14, Kind::Local),
    entry(Action::Versions, "versions", "the versions of the plan, and what changed between them", "versions", &["V"], Scope::OfRun, Group::History, 15, Kind::Local),
    entry(Action::Interventions, "interventions", "who did what, when and why, and what the engine refused", "interventions", &["I"], Scope::OfRun, Group::History, 16, Kind::Local),
    entry(Action::Timeline, "timeline", "the attempts against time, the critical path, and what is expected", "timeline", &["T"], Scope::OfRun, Group::Look, 28, Kind::Local),
    entry(Action::ZoomIn, "zoom-in", "timeline: less time on the screen, in more detail", "closer", &[">"], Scope::Timeline, Group::Look, 1, Kind::Local),
    entry(Action::ZoomOut, "zoom-out", "timeline: more time on the screen", "wider", &["<"], Scope::Timeline, Group::Look, 2, Kind::Local),
    entry(Action::Earlier, "earlier", "timeline: what was before", "earlier", &["Left", "h"], Scope::Timeline, Group::Look, 7, Kind::Local),
    entry(Action::Later, "later", "timeline: what comes after", "later", &["Right", "l"], Scope::Timeline, Group::Look, 8, Kind::Local),
    entry(Action::WholeRun, "whole-run", "timeline: all of the run on the screen", "all", &["0"], Scope::Timeline, Group::Look, 5, Kind::Local),
    entry(Action::FollowNow, "follow-now", "timeline: go along with the time, or stay where you are", "follow now", &["f"], Scope::Timeline, Group::Look, 6, Kind::Local),
    entry(Action::Restore, "restore", "go back to the selected checkpoint (asks first)", "go back", &["Enter"], Scope::History, Group::History, 1,
        command!(|target| Some(Command::Restore { checkpoint: target.checkpoint? }))),
    entry(Action::UseVersion, "use-version", "bring the selected version of the plan back (asks first)", "bring back", &["Enter"], Scope::History, Group::History, 1,
        command!(|target| Some(Command::UseVersion { version: target.version? }))),
    entry(Action::Fork, "fork", "make a new run that begins at the selected checkpoint (asks first)", "fork", &["f"], Scope::History, Group::History, 2, Kind::Local),
    entry(Action::Compare, "compare", "compare other versions with the selected one", "compare", &["Space"], Scope::History, Group::History, 2, Kind::Local),
    entry(Action::Export, "export", "write the run's snapshot, or the list of interventions, to a file", "export", &["X"], Scope::OfRun, Group::History, 26, Kind::Local),
    entry(Action::Graph, "graph", "the plan as a graph: what waits for what", "graph", &["D"], Scope::OfRun, Group::Look, 29, Kind::Local),
    entry(Action::Metrics, "metrics", "how the agents do, what failed, how long the run stood still", "metrics", &["M"], Scope::OfRun, Group::Look, 30, Kind::Local),
    entry(Action::Visit, "visit", "to the selected step among the steps; a group opens", "open", &["Enter"], Scope::Graph, Group::Look, 1, Kind::Local),
    entry(Action::Fold, "fold", "fold the group this is out of; a whole group opens", "fold", &["Space"], Scope::Graph, Group::Look, 2, Kind::Local),
    entry(Action::StepView, "step-view", "steps as a list, as a tree, by stage", "list, tree, stages", &["v"], Scope::Run, Group::Look, 31, Kind::Local),
    entry(Action::FoldHeading, "fold-heading", "fold a stage or what hangs below a step, or open it again", "fold", &["Space"], Scope::Run, Group::Look, 32, Kind::Local),
    entry(Action::Mark, "mark", "mark the selected run or step: actions then do it to all that are marked", "mark", &["Space"], Scope::Lists, Group::Look, 32, Kind::Local),
    entry(Action::Why, "why", "why is it not running?", "why not running", &["W"], Scope::Run, Group::Look, 21, Kind::Local),
    entry(Action::NextNeedingMe, "next-needing-me", "go to the next thing that waits for a person", "needs me", &["!"], Scope::Everywhere, Group::Look, 23, Kind::Local),
    entry(Action::NextRun, "next-run", "go to the next active run", "next run", &["}"], Scope::OfRun, Group::Look, 41, Kind::Local),
    entry(Action::PreviousRun, "previous-run", "go to the previous active run", "previous run", &["{"], Scope::OfRun, Group::Look, 0, Kind::Local),
    entry(Action::Open, "open", "open what is selected", "open", &["Enter"], Scope::Everywhere, Group::Look, 22, Kind::Local),
    entry(Action::Attach, "attach", "a run that another process has open: steer it from here", "attach", &["A"], Scope::Everywhere, Group::Run, 4, Kind::Local),
    entry(Action::Back, "back", "back, out of what was opened", "back", &["Esc"], Scope::Everywhere, Group::Look, 34, Kind::Local),
    entry(Action::Zoom, "zoom", "give the pane the whole screen, and back", "zoom", &["z"], Scope::Run, Group::Look, 0, Kind::Local),
    entry(Action::Filter, "filter", "show only what contains a text", "filter", &["/"], Scope::Everywhere, Group::Look, 24, Kind::Local),
    entry(Action::NextMatch, "next-match", "next match; behind an output's last one, in the next step", "next", &["n"], Scope::Everywhere, Group::Look, 0, Kind::Local),
    entry(Action::PreviousMatch, "previous-match", "previous match", "previous", &["N"], Scope::Everywhere, Group::Look, 0, Kind::Local),
    entry(Action::PreviousTab, "previous-tab", "previous tab of the detail", "tab", &["[", "Left", "h"], Scope::Run, Group::Look, 0, Kind::Local),
    entry(Action::NextTab, "next-tab", "next tab of the detail: output, result, definition, attempts", "tab", &["]", "Right", "l"], Scope::Run, Group::Look, 0, Kind::Local),
    entry(Action::Follow, "follow", "follow the output as it grows, or stay where you are", "follow", &["f"], Scope::Run, Group::Output, 36, Kind::Local),
    entry(Action::FollowRun, "follow-run", "follow the run: select what waits for you, else what runs", "follow the run", &["F"], Scope::Run, Group::Look, 0, Kind::Local),
    entry(Action::Wrap, "wrap", "wrap long lines, or cut them", "wrap", &["w"], Scope::Run, Group::Output, 0, Kind::Local),
    entry(Action::ScrollLeft, "scroll-left", "output: what is left of the pane, of lines that are cut", "left", &["Left", "h"], Scope::Run, Group::Output, 0, Kind::Local),
    entry(Action::ScrollRight, "scroll-right", "output: what is right of the pane, of lines that are cut", "right", &["Right", "l"], Scope::Run, Group::Output, 0, Kind::Local),
    entry(Action::Times, "times", "show the time of each line, or hide it", "times", &["t"], Scope::Run, Group::Output, 0, Kind::Local),
    entry(Action::Search, "search", "output: search for a text or an expression", "search", &["/"], Scope::Run, Group::Output, 24, Kind::Local),
    entry(Action::OnlyLines, "only-lines", "output: show only the lines that contain a text", "only lines", &["&"], Scope::Run, Group::Output, 37, Kind::Local),
    entry(Action::Select, "select", "output: select lines, to copy or save them", "select", &["v"], Scope::Run, Group::Output, 38, Kind::Local),
    entry(Action::SaveOutput, "save-output", "output: write it, or what is selected, to a file", "save", &["S"], Scope::Run, Group::Output, 39, Kind::Local),
    entry(Action::Copy, "copy", "copy what is selected, or the pane's text", "copy", &["y"], Scope::Everywhere, Group::Output, 25, Kind::Local),
    entry(Action::Down, "down", "down", "down", &["j", "Down"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::Up, "up", "up", "up", &["k", "Up"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::Left, "left", "left, in the graph", "left", &["h", "Left"], Scope::Graph, Group::Move, 0, Kind::Local),
    entry(Action::Right, "right", "right, in the graph", "right", &["l", "Right"], Scope::Graph, Group::Move, 0, Kind::Local),
    entry(Action::First, "first", "to the beginning", "first", &["g", "Home"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::Last, "last", "to the end", "last", &["G", "End"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::PageDown, "page-down", "a page down", "page", &["PgDn", "Space"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::PageUp, "page-up", "a page up", "page", &["PgUp"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::HalfPageDown, "half-page-down", "half a page down", "half page", &["Ctrl-d"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::HalfPageUp, "half-page-up", "half a page up", "half page", &["Ctrl-u"], Scope::Everywhere, Group::Move, 0, Kind::Local),
    entry(Action::NextPane, "next-pane", "next pane: steps, detail, log", "next pane", &["Tab"], Scope::Run, Group::Move, 46, Kind::Local),
    entry(Action::PreviousPane, "previous-pane", "previous pane", "pane", &["Shift-Tab"], Scope::Run, Group::Move, 0, Kind::Local),
    entry(Action::Mouse, "mouse", "leave the mouse to the terminal, or take it back", "mouse", &["Ctrl-t"], Scope::Everywhere, Group::Console, 45, Kind::Local),
    entry(Action::Refresh, "refresh", "read plans and runs again, and draw the screen anew", "refresh", &["F5", "Ctrl-l"], Scope::Everywhere, Group::Console, 0, Kind::Local),
    entry(Action::Palette, "palette", "every action, found by its name", "all actions", &[":"], Scope::Everywhere, Group::Console, 44, Kind::Local),
    entry(Action::Help, "help", "every key that works here; those that do not now are dim", "help", &["?", "F1"], Scope::Everywhere, Group::Console, 42, Kind::Local),
    entry(Action::Quit, "quit", "leave the console (asks when runs are active)", "quit", &["q", "Ctrl-c"], Scope::Everywhere, Group::Console, 43, Kind::Local),
];

/// The actions that may share a key where they meet: which of them is meant follows from the state that was drawn.
pub const ALTERNATIVES: &[&[Action]] = &[
    &[Action::Start, Action::Pause, Action::Resume],
    &[Action::Hold, Action::Unhold],
    &[Action::Release, Action::Approve, Action::Answer],
    &[Action::Start, Action::Restore, Action::UseVersion, Action::Visit, Action::Open],
    &[Action::StepView, Action::Select],
    &[Action::Filter, Action::Search],
    &[Action::PreviousTab, Action::ScrollLeft],
    &[Action::NextTab, Action::ScrollRight],
    &[Action::Compare, Action::Fold, Action::FoldHeading, Action::Mark, Action::PageDown],
];

/// What a run waits a person for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The selected step asks something.
    Question,
    /// The result of the selected step is in review.
    Review,
    /// The selected step is held.
    Hold,
    /// The selected step has failed, or was interrupted.
    Failure,
    /// Another step waits for a person.
    Elsewhere,
    /// The run is paused, and may go on.
    Pause,
    /// The run has not started.
    Start,
}

/// The actions that answer what a run waits for, the nearest first. While they are possible they stand before all others in the footer, in this order.
pub const ANSWERS: &[(Need, &[Action])] = &[
    (Need::Question, &[Action::Answer]),
    (Need::Review, &[Action::Approve, Action::Reject]),
    (Need::Hold, &[Action::Release]),
    (Need::Failure, &[Action::Retry, Action::Skip, Action::Complete]),
    (Need::Elsewhere, &[Action::NextNeedingMe]),
    (Need::Pause, &[Action::Resume]),
    (Need::Start, &[Action::Start]),
];

#[expect(clippy::too_many_arguments, reason = "a line of the table above is read across, column by column")]
const fn entry(
    action: Action,
    name: &'static str,
    doc: &'static str,
    label: &'static str,
    keys: &'static [&'static str],
    scope: Scope,
    group: Group,
    rank: u8,
    kind: Kind,
) -> Entry {
    Entry { action, name, doc, label, keys, scope, group, rank, kind }
}

impl Scope {
    /// Whether an action of this scope works in a place, given as the scope of that place.
    pub fn covers(self, place: Scope) -> bool {
        self == Scope::Everywhere
            || self == place
            || (self == Scope::Lists && matches!(place, Scope::Runs | Scope::Run))
            || (self == Scope::OfRun
                && matches!(place, Scope::Run | Scope::History | Scope::Timeline | Scope::Graph | Scope::Metrics))
    }
}

impl Action {
    /// Its line in the table.
    pub fn entry(self) -> &'static Entry {
        // Every action has its line: a test goes through them.
        TABLE.iter().find(|entry| entry.action == self).unwrap_or(&TABLE[0])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::console::keys::Key;

    #[test]
    fn names_are_unique_and_every_key_parses() {
        let mut names = HashSet::new();
        for entry in TABLE {
            assert!(names.insert(entry.name), "{} stands twice", entry.name);
            assert_eq!(entry.action.entry().name, entry.name);
            assert!(!entry.doc.is_empty() && !entry.label.is_empty() && !entry.keys.is_empty(), "{}", entry.name);
            for key in entry.keys {
                assert_eq!(key.parse::<Key>().unwrap().to_string(), *key);
            }
        }
    }
}
