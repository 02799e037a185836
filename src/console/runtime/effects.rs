//! Carrying out what the console has decided: each effect at once or, where it may wait, in a task of its own that reports back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::engine::{Ack, EngineHandle, request};
use crate::plan::Terms;
use crate::run::{Command, Input, InterventionStatus, Moment, Rejection, RejectionCode, Request, RunStatus, decide};

use super::super::app::{Effect, Event};
use super::super::bulk::{Answered, Sent};
use super::super::output::{NotSaved, Save};
use super::super::plans::Shelf;
use super::super::values::{Given, Unbound};
use super::super::{export, feed, plans, tour};
use super::{Loop, MakeRun, Unmade};

impl Loop {
    pub(super) fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Err(error) = self.effect(effect) {
                self.app.complain(format!("the terminal: {error}"));
            }
        }
    }

    fn effect(&mut self, effect: Effect) -> std::io::Result<()> {
        let (handle, sender) = (self.handle.clone(), self.sender.clone());
        match effect {
            Effect::ListRuns => {
                self.report(async move { Event::RunsListed(handle.list().await.map_err(|error| error.to_string())) })
            }
            Effect::ListPlans => {
                let (folder, terms) = (self.options.plans_dir.clone(), self.options.terms.clone());
                let shelf = self.options.shelf.clone();
                self.report(async move { Event::PlansListed(plans::list(folder, terms, shelf).await) });
            }
            Effect::OpenPlan { path, idle, given } => {
                let (new_run, terms) = (Arc::clone(&self.options.new_run), self.options.terms.clone());
                let shelf = self.options.shelf.clone();
                self.report(open_plan(handle, new_run, path, (terms, shelf), idle, given));
            }
            Effect::Subscribe(run) => {
                self.end_feed();
                self.feed = Some(feed::follow(handle, run, sender));
            }
            Effect::Unsubscribe => self.end_feed(),
            Effect::Load(run) => {
                self.end_feed();
                self.feed = Some(feed::look(handle, run, sender));
            }
            Effect::Attach(run) => {
                self.end_feed();
                self.feed = Some(feed::attach(handle, run, self.links.clone(), sender));
            }
            Effect::Discard(run) => {
                self.report(async move { Event::Discarded { run, result: handle.discard(run).await } });
            }
            Effect::Send { run, request } => {
                let handle = self.engine_of(run);
                self.report(async move {
                    let command = request.command.clone();
                    Event::Answered { command, result: handle.send(run, *request).await }
                });
            }
            Effect::SendAll(sent) => {
                // They are steps of one run, or runs of this engine.
                let handle = sent.first().map_or(handle, |first| self.engine_of(first.order.run));
                self.report(async move { Event::AnsweredAll(send_all(&handle, sent, &sender).await) });
            }
            Effect::Preview { run, request } => {
                let handle = self.engine_of(run);
                self.report(async move {
                    let id = request.id;
                    Event::Previewed { request: id, result: handle.preview(run, *request).await.map(Box::new) }
                });
            }
            Effect::TakeOver { run, go_on, then } => {
                self.report(async move {
                    let command = then.command.clone();
                    match take_over(&handle, run, go_on, *then, &sender).await {
                        Ok(Some(ack)) => Event::Answered { command, result: Ok(ack) },
                        Ok(None) => Event::Say("the run is taken over".into()),
                        Err(rejection) => Event::Answered { command, result: Err(rejection) },
                    }
                });
            }
            Effect::Edit { text, name } => self.editing = Some((text, name)),
            Effect::Copy { text, what } => {
                let guard = &mut self.guard;
                match self.clipboard.copy(&text, |bytes| guard.send_bytes(bytes)) {
                    Ok(copied) => self.app.say(format!("{copied} ({what})")),
                    Err(error) => self.app.complain(format!("{what} could not be copied: {error}")),
                }
            }
            Effect::Save(save) => {
                let save = Save { to: from_home(&save.to), ..*save };
                self.report(async move {
                    let done = tokio::task::spawn_blocking(move || save.carry_out()).await;
                    Event::Saved(done.unwrap_or_else(|error| Err(NotSaved::Failed(error.to_string()))))
                });
            }
            Effect::Quote { title, said } => self.report(async move {
                match tokio::task::spawn_blocking(move || said.quoting()).await {
                    Ok(lines) => Event::Quoted { title, lines },
                    Err(error) => Event::Complain(error.to_string()),
                }
            }),
            Effect::Mouse(ours) => self.guard.set_mouse(ours)?,
            Effect::Fork { run, checkpoint, reason } => {
                let user = self.options.user.clone();
                self.report(async move {
                    Event::Forked { parent: run, checkpoint, result: handle.fork(run, checkpoint, &user, reason).await }
                });
            }
            Effect::PreviewFork { run, checkpoint, request } => self.report(async move {
                Event::PreviewedFork { request, result: handle.preview_fork(run, checkpoint).await }
            }),
            Effect::Export { run, what } => {
                self.report(async move {
                    match export::write(&handle, run, what).await {
                        Ok((what, path)) => Event::Say(format!("{what} written to {}", path.display())),
                        Err(error) => Event::Complain(format!("export: {error}")),
                    }
                });
            }
            Effect::Alert(text) => {
                let wanted = &self.options.notifications;
                if let Err(error) = wanted.start_command(&text) {
                    self.app.complain(format!("the command for notifications cannot be started: {error}"));
                }
                if wanted.bell {
                    self.guard.bell()?;
                }
                self.guard.notify(&text)?;
            }
            Effect::EndTour => {
                let folder = self.options.state_dir.clone();
                tokio::spawn(async move {
                    if let Err(error) = tour::end(&folder).await {
                        // The console may have ended meanwhile.
                        let _ = sender.send(Event::Complain(format!("the tour will come again: {error}"))).await;
                    }
                });
            }
            Effect::Repaint => self.guard.repaint()?,
            Effect::Quit => self.quit = true,
        }
        Ok(())
    }
}

/// A path as it was typed, with `~/` for the user's home as in a shell.
fn from_home(path: &Path) -> PathBuf {
    let rest = path.strip_prefix("~").ok();
    rest.and_then(|rest| Some(etcetera::home_dir().ok()?.join(rest))).unwrap_or_else(|| path.to_owned())
}

/// Takes a run over, answers what it waits for, and lets it go on.
pub(super) async fn go_on(
    handle: &EngineHandle,
    run: Uuid,
    user: &str,
    answers: Vec<Request>,
    sender: &mpsc::Sender<Event>,
) -> Result<RunStatus, Rejection> {
    let opened = handle.open(run, true).await?;
    // The console may have ended; the run goes on all the same.
    let _ = sender.send(Event::TakenOver { run, notes: opened.notes }).await;
    for answer in answers {
        handle.send(run, Request { user: user.to_owned(), ..answer }).await?;
    }
    let status = handle.subscribe(run).await?.state.status;
    match status {
        RunStatus::Paused => handle.send(run, request(Command::Resume, user)).await.map(|_| status),
        RunStatus::Idle => handle.send(run, request(Command::Start, user)).await.map(|_| status),
        _ => Ok(status),
    }
}

/// Makes a run of a plan's file as it is now: it may have been edited since it was listed. An idle run of exactly that plan is opened instead.
async fn open_plan(
    handle: EngineHandle,
    new_run: MakeRun,
    path: PathBuf,
    (terms, shelf): (Terms, Shelf),
    idle: Option<Uuid>,
    given: Given,
) -> Event {
    let (entry, plan) = plans::read(path.clone(), terms, shelf).await;
    let name = entry.plan_id;
    let mut looked_at = None;
    let invalid = |text: String| Err(Rejection::new(RejectionCode::Invalid, text));
    let result = match plan {
        None => invalid(format!(
            "it has {} now; reading the plans again shows them",
            crate::console::words::count(entry.problems, "problem")
        )),
        Some(plan) => {
            let same = match idle {
                Some(idle) => handle.subscribe(idle).await.is_ok_and(|found| found.state.plan == plan),
                None => false,
            };
            match (idle.filter(|_| same), new_run(Arc::clone(&plan), &path, &given)) {
                (Some(idle), _) => Ok(idle),
                (None, Ok(new)) => {
                    // What was filled in for it is not thrown away.
                    looked_at = given.0.is_empty().then_some(path);
                    handle.register(new).await
                }
                (None, Err(Unmade { wrong, known })) if !plan.variables.is_empty() => {
                    return Event::Unbound(Unbound { path, plan, known, wrong });
                }
                (None, Err(Unmade { wrong, .. })) => invalid(wrong),
            }
        }
    };
    Event::Registered { result, name, looked_at, start: false }
}

/// Takes a run over and sends what was asked; a resume only if the run does not go on by itself.
async fn take_over(
    handle: &EngineHandle,
    run: Uuid,
    go_on: bool,
    request: Request,
    sender: &mpsc::Sender<Event>,
) -> Result<Option<crate::engine::Ack>, Rejection> {
    let opened = handle.open(run, go_on).await?;
    if sender.send(Event::TakenOver { run, notes: opened.notes }).await.is_err() {
        return Err(Rejection::new(RejectionCode::Gone, "the console has ended"));
    }
    if request.command == Command::Resume {
        // Nobody has asked to resume against what the run waits for: a refusal would only stand in its log.
        let state = handle.subscribe(run).await?.state;
        let moment = Moment { now: Utc::now(), entropy: 0 };
        let possible = decide(&state, &Input::Request(request.clone()), &moment).is_ok();
        if state.status == RunStatus::Running || !possible {
            return Ok(None);
        }
    }
    handle.send(run, request).await.map(Some)
}

/// Sends a command to each of many, in their order; what is answered comes in that order as well. A run that nobody owns is taken over first, once.
async fn send_all(handle: &EngineHandle, all: Vec<Sent>, sender: &mpsc::Sender<Event>) -> Vec<Answered> {
    let mut opened: HashMap<Uuid, Result<(), Rejection>> = HashMap::new();
    for Sent { order, .. } in all.iter().filter(|one| one.order.take_over && one.order.command != Command::Resume) {
        if opened.contains_key(&order.run) {
            continue;
        }
        let result = handle.open(order.run, false).await;
        if let Ok(found) = &result {
            // The console may have ended; what was asked is done all the same.
            let _ = sender.send(Event::TakenOver { run: order.run, notes: found.notes.clone() }).await;
        }
        opened.insert(order.run, result.map(|_| ()));
    }
    let answers = all.into_iter().map(|Sent { order, request }| {
        let opened = opened.get(&order.run).cloned().unwrap_or(Ok(()));
        async move {
            let result = match opened {
                Err(rejection) => Err(rejection),
                // With nothing left to ask for it goes on by itself.
                Ok(()) if order.take_over && order.command == Command::Resume => {
                    let (run_id, status) = (order.run, InterventionStatus::Applied);
                    let by_itself = Ack { run_id, seq: 0, status, duplicate: false };
                    take_over(handle, order.run, true, request, sender).await.map(|ack| ack.unwrap_or(by_itself))
                }
                Ok(()) => handle.send(order.run, request).await,
            };
            (order, result)
        }
    });
    // Each is handed in before the first one's answer is there: the disk takes them together.
    join_all(answers).await
}
