//! What has happened, taken in: by the engine, by other processes, by what was asked for. Keys and the mouse are in `update` and `mouse`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use crossterm::event::KeyEventKind;
use uuid::Uuid;

use crate::engine::hooks::Report;
use crate::engine::{Notice, RunUpdate};
use crate::run::{Alert, Command, InterventionStatus, Recorded, RunState, RunStatus, RunSummary, StepStatus};

use super::super::event::{Effect, Event};
use super::super::foretold::Foresight;
use super::super::history::Line;
use super::super::output::{Answer, MAX_TEXT, Untold};
use super::super::popups::Popup;
use super::super::run_model::{OpenRun, Ownership, Progress};
use super::super::runs_model::RowId;
use super::super::theme::Role;
use super::super::{text, words};
use super::{App, Place};

impl App {
    pub(super) fn take_in(&mut self, event: Event, now: DateTime<Utc>) -> Vec<Effect> {
        match event {
            // What is pressed to see whether anything has happened is answered with what has.
            Event::Key(key) if key.kind != KeyEventKind::Release && self.came_back() => Vec::new(),
            Event::Mouse(_) | Event::Paste(_) if self.came_back() => Vec::new(),
            Event::Key(key) => self.key(key),
            Event::Mouse(event) => self.mouse(event),
            Event::Paste(pasted) => self.paste(&pasted),
            Event::Focus(has_focus) => {
                self.focus(has_focus);
                Vec::new()
            }
            Event::Resize(columns, rows) => {
                self.size = (columns, rows);
                Vec::new()
            }
            Event::Tick => {
                let mut effects = self.agree_when_due();
                effects.extend(self.followed());
                effects.extend(self.remind());
                effects
            }
            Event::Output(answer) => self.output_answered(answer),
            Event::Saved(result) => {
                self.output_saved(result);
                Vec::new()
            }
            Event::Storage { run, trouble } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == run) {
                    open.storage = trouble.map(|trouble| text::clean(&trouble.error).into_owned());
                }
                Vec::new()
            }
            Event::Terminate => vec![Effect::Quit],
            Event::EngineEnded => self.engine_ended(),
            Event::Space(low) => {
                self.low = low;
                Vec::new()
            }
            Event::RunsListed(Ok((listed, unreadable))) => {
                self.runs.error = match unreadable.as_slice() {
                    [] => None,
                    [one] => Some(text::clean(one).into_owned()),
                    [one, rest @ ..] => Some(format!("{} (and {} more)", text::clean(one), rest.len())),
                };
                self.note_runs(&listed);
                self.runs.set_runs(listed);
                Vec::new()
            }
            Event::RunsListed(Err(error)) => {
                self.runs.error = Some(text::clean(&error).into_owned());
                self.runs.loaded.0 = true;
                Vec::new()
            }
            Event::PlansChanged => vec![Effect::ListPlans],
            Event::Glimpsed { row, glimpse } => {
                self.glimpsed(row, glimpse.map(|glimpse| *glimpse));
                Vec::new()
            }
            Event::PlansListed(plans) => {
                self.glimpses.forget_plan();
                self.runs.set_plans(plans);
                Vec::new()
            }
            Event::Summary(summary) => self.summary(&summary),
            Event::Unbound(unbound) => {
                self.ask_for_values(&unbound);
                Vec::new()
            }
            Event::Registered { result: Ok(run), name, looked_at, start } => {
                self.making = false;
                self.values_answered(None);
                self.passing.extend(looked_at.map(|plan| (run, plan)));
                let mut effects = self.open(run, true);
                if start {
                    effects.push(self.request(run, Command::Start, None, None));
                } else if let Some(beside) = self.beside.take() {
                    let starts = self.keys.fill("this one has not started: {start} starts it");
                    self.complain(format!("{beside}; {starts}"));
                } else {
                    let place = self.settings.attached.map(|pid| format!(" in process {pid}")).unwrap_or_default();
                    self.say_of(run, format!("{name} is open{place} and has not started"));
                }
                effects
            }
            Event::Registered { result: Err(rejection), name, .. } => {
                self.making = false;
                if !self.values_answered(Some(&rejection.to_string())) {
                    self.complain(format!("{name} could not be opened: {rejection}"));
                }
                Vec::new()
            }
            Event::Subscribed { state, recent, storage, through } => {
                let run = state.run_id;
                let ownership = through.map_or(Ownership::Ours, Ownership::Attached);
                self.told_of_attaching(run, through);
                let mut effects = self.opened(Arc::unwrap_or_clone(state), &recent, ownership);
                effects.extend(self.update(Event::Storage { run, trouble: storage }, now));
                effects
            }
            Event::Loaded { state, recent, owner, damage } => {
                let ownership = match (damage, owner) {
                    (Some(damage), _) => Ownership::Damaged(text::clean(&damage).into_owned()),
                    (None, Some(owner)) => Ownership::Elsewhere(owner),
                    (None, None) => Ownership::Nobody,
                };
                self.opened(Arc::unwrap_or_clone(state), &recent, ownership)
            }
            Event::Detached { run, error } => self.detached(run, error),
            Event::Discarded { run, result } => self.discarded(run, result),
            Event::NotOpened { run, error } => {
                self.complain(error);
                if self.opening != Some(run) {
                    return Vec::new();
                }
                self.opening = None;
                // What is on the screen is followed again.
                match self.looked_at() {
                    Some(here) if here != run => self.open(here, self.runs.is_ours(here)),
                    _ => Vec::new(),
                }
            }
            Event::TakenOver { run, notes } => {
                if !notes.is_empty() {
                    self.say(notes.join("; "));
                }
                let here = self.run.as_ref().is_some_and(|open| open.id() == run);
                if here { vec![Effect::Subscribe(run), Effect::ListRuns] } else { vec![Effect::ListRuns] }
            }
            Event::Batch { run, batch } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == run) {
                    open.apply(&batch);
                    self.note_others(&batch.events);
                }
                let mut effects = self.tell_alerts();
                effects.extend(self.followed());
                effects.extend(self.leave_when_nothing_runs());
                effects
            }
            Event::FellBehind { missed } => {
                self.say(format!(
                    "the screen fell behind by {}; it shows the newest state again",
                    words::count(missed as usize, "change")
                ));
                Vec::new()
            }
            Event::Notice(notice) => {
                self.notice(notice);
                Vec::new()
            }
            Event::Previewed { request, result } => {
                self.foretell(request, result.map(Foresight::Command));
                Vec::new()
            }
            Event::PreviewedFork { request, result } => {
                self.foretell(request, result.map(Foresight::Fork));
                Vec::new()
            }
            Event::Answered { command, result } => {
                self.moved(&command, &result);
                self.form_answered(&command, &result);
                self.answer_answered(&command, &result);
                match result {
                    Ok(ack) => {
                        if ack.status != InterventionStatus::Pending {
                            self.select_what_came_back(&command);
                        }
                        self.done(&command, &ack);
                    }
                    Err(rejection) => self.refused(&command, &rejection.to_string()),
                }
                self.followed()
            }
            Event::AnsweredAll(answers) => {
                self.told_by_all(answers);
                self.followed()
            }
            Event::Told { run, subject, result } => {
                let open = self.run.as_ref().is_some_and(|open| open.id() == run);
                if let Some(history) = self.history.as_mut().filter(|_| open) {
                    history.answer(subject, result.unwrap_or_else(|error| vec![Line::new(error, Role::Error)]), now);
                }
                Vec::new()
            }
            Event::Quoted { title, lines } => {
                self.take_quoted(&title, lines);
                Vec::new()
            }
            Event::LeftBehind { missing, result } => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == missing.run) {
                    let result = result.map_err(|error| text::clean(&error).into_owned());
                    open.left.answer(&missing, result);
                }
                Vec::new()
            }
            Event::Estimated(answer) => {
                if let Some(open) = self.run.as_mut().filter(|open| open.id() == answer.run()) {
                    open.estimate.take(answer, now);
                }
                Vec::new()
            }
            Event::Forked { result: Ok(run), parent, checkpoint } => self.forked(run, parent, checkpoint),
            Event::Forked { result: Err(rejection), .. } => {
                self.complain(format!("fork: not done, {rejection}"));
                Vec::new()
            }
            Event::Reported(report) => self.reported(report),
            Event::Complain(said) => {
                self.complain(said);
                Vec::new()
            }
            Event::Edited(result) => {
                self.edited(result);
                Vec::new()
            }
            Event::Say(said) => {
                self.say(said);
                Vec::new()
            }
        }
    }

    /// Alerts of the open run: where its news are, and to whoever does not look.
    fn tell_alerts(&mut self) -> Vec<Effect> {
        let Some(run) = self.run.as_mut() else { return Vec::new() };
        let (alerts, name) = (run.take_alerts(), run.state.plan.plan_id.clone());
        alerts.iter().flat_map(|alert| self.alert(&name, alert)).collect()
    }

    fn alert(&mut self, plan: &str, alert: &Alert) -> Option<Effect> {
        let said = format!("{}: {}", text::clean(plan), text::clean(&alert.message));
        let hint = match self.place {
            Place::Metrics => String::new(),
            _ => self.keys.fill("; {metrics} shows how its agents do"),
        };
        self.complain(format!("alert: {said}{hint}"));
        self.settings.alerts.then_some(Effect::Alert(said))
    }

    /// What the hooks of this process have to say, and the alerts of the runs that are not open here.
    fn reported(&mut self, report: Report) -> Vec<Effect> {
        match report {
            Report::Hook { message, bad: true } => self.complain(message),
            Report::Hook { message, bad: false } => self.say(message),
            Report::Alert { run_id, .. } if self.run.as_ref().is_some_and(|open| open.id() == run_id) => {}
            Report::Alert { plan_id, alert, .. } => return self.alert(&plan_id, &alert).into_iter().collect(),
        }
        Vec::new()
    }

    /// What follows when the run, or the time, has gone on.
    fn followed(&mut self) -> Vec<Effect> {
        let mut effects = self.move_on();
        effects.extend(self.foresee_again());
        effects.extend(self.explain_again());
        effects.extend(self.form_follow());
        effects
    }

    fn opened(&mut self, state: RunState, recent: &[Arc<Recorded>], ownership: Ownership) -> Vec<Effect> {
        let id = state.run_id;
        let mut effects = Vec::new();
        match &mut self.run {
            Some(run) if run.id() == id => run.replace(state, recent, ownership),
            _ if self.opening == Some(id) => {
                effects.extend(self.let_go());
                let mut run = OpenRun::new(state, recent, ownership, self.settings.alert_rules);
                run.list.marked = self.step_marks.remove(&id).unwrap_or_default();
                self.run = Some(run);
                // A search holds for the next run as well, and counts in its steps.
                self.count_everywhere();
                self.timeline = None;
                self.drag = None;
                self.moving = None;
                // What was asked about the run before is not asked any more.
                self.close_layers(|layer| matches!(&layer.popup, Popup::Ask(ask) if ask.run != id));
            }
            // Left again before it was there.
            _ => return effects,
        }
        if self.opening == Some(id) {
            self.opening = None;
            self.place = Place::Run;
            self.history = None;
            if self.typing.take().is_some() {
                self.expect_text();
            }
        }
        if !self.visited.contains(&id) {
            self.visited.push(id);
        }
        effects
    }

    /// Nothing of the open run is looked at any more. What is marked in it stays marked until it is looked at again.
    pub(in crate::console) fn let_go(&mut self) -> Option<Effect> {
        let run = self.run.take()?;
        self.leave_its_steps();
        let id = run.id();
        let discard = self.pass_by(&run);
        if discard.is_none() && !run.list.marked.is_empty() {
            self.step_marks.insert(id, run.list.marked);
        }
        discard
    }

    /// Opens a run; `ours`: this engine owns it.
    pub fn open(&mut self, run: Uuid, ours: bool) -> Vec<Effect> {
        self.opening = Some(run);
        self.came_from = None;
        self.runs.selected = Some(RowId::Run(run));
        let mut effects = vec![match ours {
            true => Effect::Subscribe(run),
            false if self.steered.contains(&run) => Effect::Attach(run),
            false => Effect::Load(run),
        }];
        // The one that is looked at stays on the screen until the other is there.
        if self.place == Place::Runs && self.run.as_ref().is_some_and(|open| open.id() != run) {
            effects.extend(self.let_go());
        }
        effects
    }

    /// Nothing more comes of the runs: what is shown is read from the disk once more.
    fn engine_ended(&mut self) -> Vec<Effect> {
        let what =
            self.settings.attached.map_or("the engine has ended".to_owned(), |pid| format!("process {pid} has ended"));
        self.complain(format!("{what}; what you see is what is on the disk"));
        if self.is_attached_beside() {
            return vec![Effect::ListRuns];
        }
        let mut effects = vec![Effect::Unsubscribe, Effect::ListRuns];
        effects.extend(self.run.as_ref().map(|run| Effect::Load(run.id())));
        effects
    }

    fn summary(&mut self, update: &RunUpdate) -> Vec<Effect> {
        let summary = &update.summary;
        let before = self.runs.run(summary.run_id).map(|run| run.summary.clone());
        if before.as_ref().is_some_and(|before| before.seq > summary.seq && self.runs.is_ours(summary.run_id)) {
            return Vec::new();
        }
        self.note_run(summary.run_id);
        self.runs.summary(update);
        let mut effects = Vec::new();
        if self.settings.alerts
            && let Some(alert) = alert(before.as_ref(), summary)
        {
            effects.push(Effect::Alert(alert));
        }
        effects.extend(self.leave_when_nothing_runs());
        effects
    }

    /// Rings the bell again for what is still not answered, each time as much time has passed as the question says.
    fn remind(&mut self) -> Vec<Effect> {
        if !self.settings.alerts {
            return Vec::new();
        }
        let now = self.now;
        let mut due = Vec::new();
        for summary in self.runs.runs().filter(|run| run.owned).map(|run| &run.summary) {
            let Some((since, seconds)) = summary.reminds else { continue };
            let last = self.reminded.get(&summary.run_id).copied().filter(|last| *last >= since).unwrap_or(since);
            if (now - last).as_seconds_f64() >= seconds {
                due.push((summary.run_id, format!("{} still waits for your answer", text::clean(&summary.plan_id))));
            }
        }
        due.into_iter()
            .map(|(run, said)| {
                self.reminded.insert(run, now);
                Effect::Alert(said)
            })
            .collect()
    }

    /// The reader of the output has something.
    fn output_answered(&mut self, answer: Answer) -> Vec<Effect> {
        if let Answer::Elsewhere(told) = &answer {
            self.told_elsewhere(told);
        }
        self.output.apply(answer);
        if let Some(forward) = self.output.take_exhausted() {
            self.search_elsewhere(forward);
        }
        match self.output.take_text() {
            Some(Ok(text)) => {
                self.output.leave_selection();
                vec![Effect::Copy { text, what: "what was selected".into() }]
            }
            Some(Err(Untold::TooLong(_))) => {
                let most = MAX_TEXT >> 20;
                self.complain(
                    self.keys
                        .fill(&format!("more than {most} MiB are not copied: {{save-output}} writes them to a file")),
                );
                Vec::new()
            }
            Some(Err(Untold::Failed(error))) => {
                self.complain(format!("not copied: {error}"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn notice(&mut self, notice: Notice) {
        let Some(open) = &mut self.run else { return };
        match notice {
            Notice::Progress { run_id, step, attempt, value, message } if open.id() == run_id => {
                let known = open.progress.get(&step).filter(|known| known.attempt == attempt);
                let value = value.or(known.and_then(|known| known.value)).map(|value| value.clamp(0.0, 1.0));
                let message = message.map(|message| text::clean(&message).into_owned());
                open.progress.insert(step, Progress { attempt, value, message });
            }
            Notice::Output { run_id, step, attempt, bytes } if open.id() == run_id => {
                let shown = open.shown_attempt().map(|shown| shown.number);
                if open.list.selected.as_deref() == Some(&step) && shown == Some(attempt) {
                    self.output.grown(bytes);
                }
            }
            _ => {}
        }
    }
}

/// What to ring the bell for: a run that has come to fail or to wait for a person, and was not paused by one.
fn alert(before: Option<&RunSummary>, now: &RunSummary) -> Option<String> {
    let before = before?;
    let name = text::clean(&now.plan_id);
    let of = |status| now.counts.of(status) > before.counts.of(status);
    if now.status == RunStatus::Failed && before.status != RunStatus::Failed {
        return Some(format!("{name} failed"));
    }
    if now.asking > before.asking {
        return Some(format!("{name} asks you something"));
    }
    let told = now.paused == [crate::run::PauseReason::Question].into() && before.asking > 0;
    let own = [crate::run::PauseReason::Operator].into();
    if now.status == RunStatus::Paused && before.status != RunStatus::Paused && now.paused != own && !told {
        let reasons: Vec<&str> = now.paused.iter().map(|reason| reason.word()).collect();
        return Some(format!("{name} is paused and waits for you ({})", reasons.join(", ").replace('_', " ")));
    }
    if of(StepStatus::Held) {
        return Some(format!("{name} is held and waits for you"));
    }
    None
}
