//! From a key to a command: which step it is about, whether it is asked about first, and how it is sent.

use uuid::Uuid;

use crate::engine::request;
use crate::run::{Command, Request, StepState, StepStatus};

use super::actions::{Action, Group, Target};
use super::app::{App, Effect, Place};
use super::availability::{self, availability};
use super::input::Input;
use super::popup_keys::reason_of;
use super::run_model::{OpenRun, Ownership};

impl App {
    /// A command is about the step that was on the screen, also when the selection has gone along with events since; and it stays there.
    pub(super) fn keep_drawn_selection(&mut self, action: Action) {
        let Some((step, _)) = self.drawn().step.clone().filter(|_| action.entry().group == Group::Step) else { return };
        let Some(run) = self.run.as_mut().filter(|_| self.place == Place::Run) else { return };
        if let Some(position) = run.state.position(&step) {
            run.select(position);
        }
    }

    /// Sends a command, or asks first.
    pub(super) fn command(&mut self, action: Action, build: fn(Target<'_>) -> Option<Command>) -> Vec<Effect> {
        if self.is_about_marks(action) {
            return self.ask_for_marks(action);
        }
        let Some(run) = &self.run else { return Vec::new() };
        let (step, seen) = match self.drawn().step.clone() {
            Some((step, status)) => (Some(step), Some(status)),
            None => (None, None),
        };
        let target = self.target(run, step.as_deref());
        let Some(command) = build(target) else { return Vec::new() };
        let seen = seen.filter(|_| command.target().is_some());
        let id = run.id();
        if let Err(why) = availability::allowed(self, run, &command) {
            self.complain_of(command.target(), format!("{}: {why}", action.entry().label));
            self.expect_text_for(action);
            return Vec::new();
        }
        if action == Action::Resume && run.ownership == Ownership::Nobody {
            let request = request(Command::Resume, &self.settings.user);
            self.say("taking the run over");
            return vec![Effect::TakeOver { run: id, go_on: true, then: Box::new(request) }];
        }
        match self.question(&command, seen) {
            Some(ask) => self.ask(ask),
            None => vec![self.request(id, command, seen, None)],
        }
    }

    /// The effect that sends a command; a run that nobody owns is taken over first, without letting it go on by itself.
    pub(super) fn request(
        &self,
        run: Uuid,
        command: Command,
        seen: Option<StepStatus>,
        reason: Option<&Input>,
    ) -> Effect {
        let request = Box::new(self.request_of(command, seen, reason));
        let nobody = self.run.as_ref().is_some_and(|open| open.id() == run && open.ownership == Ownership::Nobody);
        if nobody { Effect::TakeOver { run, go_on: false, then: request } } else { Effect::Send { run, request } }
    }

    /// A command as it is sent, with the status its step had on the screen and the reason that was typed.
    pub(super) fn request_of(&self, command: Command, seen: Option<StepStatus>, reason: Option<&Input>) -> Request {
        let mut request = request(command, &self.settings.user);
        if let Some(reason) = reason {
            request = request.because(reason_of(reason).unwrap_or_default());
        }
        request.seen = seen;
        // Whoever was asked whether to cancel did not say yes to a kill.
        request.no_kill = request.command == Command::Cancel;
        request
    }

    /// Signing off, and answering, is about the one step that waits for it, wherever the selection stands: what is asked names it. Gives back what is to be
    /// done there; `None` where several wait, which is said. Never where the selected one was on the screen as one that waits: then that one was meant,
    /// and it is said what has become of it.
    pub(super) fn go_to_the_only(&mut self, action: Action) -> Option<Action> {
        let family: &[Action] = match action {
            Action::Release | Action::Approve | Action::Answer => &[Action::Release, Action::Approve, Action::Answer],
            Action::Reject => &[Action::Reject],
            _ => return Some(action),
        };
        let drawn = self.drawn();
        let was_waiting = drawn.asks || matches!(drawn.step, Some((_, StepStatus::Held | StepStatus::InReview)));
        if self.place != Place::Run || self.is_about_marks(action) || was_waiting || availability(self, action).is_ok()
        {
            return Some(action);
        }
        let Some(run) = &mut self.run else { return Some(action) };
        let answer_to = |step: &StepState| {
            family.iter().copied().find(|action| match action {
                Action::Release => step.status == StepStatus::Held,
                Action::Approve | Action::Reject => step.status == StepStatus::InReview,
                _ => step.question().is_some(),
            })
        };
        let needing = run.state.needs_person().into_iter();
        let waiting: Vec<(usize, Action)> =
            needing.filter_map(|place| Some((place, answer_to(&run.state.steps[place])?))).collect();
        match waiting[..] {
            [] => Some(action),
            [(only, action)] => {
                run.show_step(only);
                self.mean_selected();
                Some(action)
            }
            [..] => {
                let steps: Vec<usize> = waiting.iter().map(|(place, _)| *place).collect();
                let named = run.state.step_ids(&steps).join(", ");
                let said = format!("{}: {named} wait for you: {{next-needing-me}} goes to one", action.entry().label);
                self.complain(self.keys.fill(&said));
                self.expect_text();
                None
            }
        }
    }

    /// What an action is about, as it was drawn.
    pub(super) fn target<'a>(&self, run: &OpenRun, step: Option<&'a str>) -> Target<'a> {
        let history = self.history.as_ref().filter(|_| self.place == Place::History);
        Target {
            step,
            max_parallel: run.state.options.max_parallel,
            checkpoint: history.and_then(|history| history.checkpoint(&run.state)),
            version: history.and_then(|history| history.version(&run.state)),
            intervention: history.and_then(|history| history.intervention(&run.state)),
        }
    }
}
