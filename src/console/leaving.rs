//! Leaving the console while runs are active: let them go on, pause and drain, stop, cancel, or stay.

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use uuid::Uuid;

use crate::engine::request;
use crate::run::{Command, RunStatus, RunSummary};

use super::app::{App, Effect};
use super::keys::Key;
use super::popups::{Leaving, Popup};
use super::runs_model::is_active;
use super::{text, words};

impl App {
    /// Runs that would be left alone: those that are active, by the newest that is known of each. What is on the screen may be newer than the
    /// list.
    pub(super) fn still_active(&self) -> Vec<RunSummary> {
        let ended = |run: &RunSummary| {
            self.run.as_ref().is_some_and(|open| {
                open.id() == run.run_id && open.state.seq > run.seq && !is_active(&open.state.summary())
            })
        };
        self.runs.active().filter(|run| !ended(run)).cloned().collect()
    }

    /// What is to be known before Ctrl-Z stops this process, and with it the engine of the runs that are active.
    pub(super) fn stands_still(&self) -> Option<String> {
        if self.settings.attached.is_some() {
            return None;
        }
        let active = self.still_active();
        let first = active.first()?;
        let what = match active.len() {
            1 => format!("{} {} stands", text::clean(&first.plan_id), first.short_id()),
            more => format!("{more} runs stand"),
        };
        let instead = if self.settings.reachable { "; q l in the console would leave it running" } else { "" };
        Some(format!(
            "{what} still until `fg`: what runs goes on, but nothing new starts, and no time limit is kept{instead}"
        ))
    }

    /// The process goes on after that.
    pub(super) fn stood_still(&mut self, lasted: TimeDelta) {
        let lasted = words::duration(lasted.as_seconds_f64());
        self.say(format!("stopped for {lasted} by Ctrl-Z: nothing new was started, and no time limit kept"));
    }

    /// The last run may have ended while the question was open: then there is nothing to ask any more, or the console may go.
    pub(super) fn leave_when_nothing_runs(&mut self) -> Option<Effect> {
        let leaving = self.leaving?;
        if !self.still_active().is_empty() {
            return None;
        }
        if !matches!(leaving, Leaving::Asking | Leaving::ToCancel) {
            return Some(Effect::Quit);
        }
        self.leaving = None;
        self.close_layers(|layer| matches!(layer.popup, Popup::Quit(_)));
        self.say(self.keys.fill("nothing runs any more: {quit} leaves"));
        None
    }

    pub(super) fn quit(&mut self) -> Vec<Effect> {
        if self.settings.attached.is_some() || self.still_active().is_empty() {
            return vec![Effect::Quit];
        }
        self.leaving.get_or_insert(Leaving::Asking);
        let leaving = self.leaving.unwrap_or(Leaving::Asking);
        self.push(Popup::Quit(leaving));
        Vec::new()
    }

    pub(super) fn quit_key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let control_c = Key::from(event) == Key::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let state = self.leaving.unwrap_or(Leaving::Asking);
        let next = match event.code {
            KeyCode::Char('l') if state == Leaving::Asking && self.settings.reachable => {
                self.leaving = Some(Leaving::GoingOn);
                return vec![Effect::Quit];
            }
            // Nothing that is not on the screen: whoever presses them again has not read it, and a run that is paused by that stands still all night.
            _ if control_c || event.code == KeyCode::Char('q') => None,
            // The same key twice must not stop attempts: who taps it again means what it meant before.
            KeyCode::Char('p') if state == Leaving::Asking => Some(Leaving::Draining),
            // It loses work, of runs that are perhaps not on the screen: as everywhere, one key does not do that.
            KeyCode::Char('k') if state == Leaving::Draining => Some(Leaving::ToStop),
            KeyCode::Char('y') if state == Leaving::ToStop => Some(Leaving::Stopping),
            KeyCode::Esc | KeyCode::Char('n') if state == Leaving::ToStop => Some(Leaving::Draining),
            KeyCode::Char('e') if state == Leaving::Stopping && self.disk_fails() => Some(Leaving::Stopping),
            KeyCode::Char('c') if state == Leaving::Cancelling => Some(Leaving::ToKill),
            KeyCode::Char('y') if state == Leaving::ToKill => Some(Leaving::Cancelling),
            KeyCode::Esc | KeyCode::Char('n') if state == Leaving::ToKill => Some(Leaving::Cancelling),
            KeyCode::Char('c') if matches!(state, Leaving::Asking | Leaving::Draining) => Some(Leaving::ToCancel),
            KeyCode::Char('y') if state == Leaving::ToCancel => Some(Leaving::Cancelling),
            KeyCode::Esc | KeyCode::Char('s' | 'n') => {
                self.layers.pop();
                match self.leaving.take() {
                    Some(Leaving::Draining | Leaving::Stopping) if self.disk_fails() => {}
                    Some(Leaving::Draining) => self.say("you stay; what was paused stays so"),
                    Some(Leaving::Stopping) => self.say("you stay; what was paused or stopped stays so"),
                    Some(Leaving::Cancelling) => self.say("you stay; cancelling goes on"),
                    Some(
                        Leaving::Asking | Leaving::ToStop | Leaving::ToCancel | Leaving::ToKill | Leaving::GoingOn,
                    )
                    | None => {}
                }
                return Vec::new();
            }
            _ => None,
        };
        let Some(next) = next else { return Vec::new() };
        let again = next == state;
        // Only who says so to a box that asks it wants to kill.
        let kills = state == Leaving::ToKill && event.code == KeyCode::Char('y');
        if again && next == Leaving::Stopping && self.disk_fails() {
            // The engine stops what runs when it ends, also where it cannot write that down.
            return vec![Effect::Quit];
        }
        self.leaving = Some(next);
        if let Some(layer) = self.layers.last_mut() {
            layer.popup = Popup::Quit(next);
            // It is another question, which has not been on the screen.
            layer.drawn &= again;
        }
        let active = self.still_active();
        if active.is_empty() {
            return vec![Effect::Quit];
        }
        let send = |run: Uuid, command: Command| {
            let mut request = request(command, &self.settings.user).because("leaving the console");
            request.no_kill = request.command == Command::Cancel && !kills;
            Effect::Send { run, request: Box::new(request) }
        };
        active
            .iter()
            .filter_map(|run| match next {
                Leaving::Asking | Leaving::ToStop | Leaving::ToCancel | Leaving::ToKill | Leaving::GoingOn => None,
                Leaving::Draining if run.status == RunStatus::Running && !run.cancelling => {
                    Some(send(run.run_id, Command::Pause))
                }
                Leaving::Draining => None,
                Leaving::Stopping if !run.cancelling && !again => Some(send(run.run_id, Command::Interrupt)),
                Leaving::Stopping => None,
                Leaving::Cancelling if !run.cancelling || kills => Some(send(run.run_id, Command::Cancel)),
                Leaving::Cancelling => None,
            })
            .collect()
    }
}

impl App {
    /// Whether the operator has left and the runs go on.
    pub(super) fn goes_on(&self) -> bool {
        self.leaving == Some(Leaving::GoingOn)
    }

    /// Whether the disk does not take what is decided about the open run.
    pub(super) fn disk_fails(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.storage.is_some())
    }
}
