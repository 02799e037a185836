//! The `manual` agent: a person does it. The attempt is one question, with the instructions and the fields to fill in; its answer is the outcome.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::plan::{AgentSpec, Fields, ManualSpec, Step};
use crate::run::{AgentResult, Answer, Answered, Outcome, OutcomeStatus, Question, ResultStatus};

use super::stop::Stop;
use super::{Agent, AttemptContext};

struct Manual(ManualSpec);

/// Makes the agent, if the specification is of this kind.
pub(super) fn bind(spec: &AgentSpec) -> Option<Box<dyn Agent>> {
    match spec {
        AgentSpec::Manual(spec) => Some(Box::new(Manual(spec.clone()))),
        _ => None,
    }
}

impl Agent for Manual {
    fn attempt(&self, mut context: AttemptContext) -> BoxFuture<'_, Outcome> {
        async move {
            let question = match question(&self.0, &context.step) {
                Ok(question) => question,
                Err(wrong) => return Outcome::failed(wrong),
            };
            tokio::select! {
                biased;
                _ = context.stop.above(Stop::None) => Outcome::stopped(),
                answered = context.desk.ask(question) => outcome(&answered),
            }
        }
        .boxed()
    }
}

/// What the person is asked. The step's parameters go before the agent's entry, and its `action` stands for instructions that nobody gives.
fn question(spec: &ManualSpec, step: &Step) -> Result<Question, String> {
    let said = |name: &str| step.parameters.get(name).filter(|value| !value.is_null());
    let instructions = match said("instructions") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => return Err(format!("the parameter `instructions` must be a text, not {other}")),
        None => spec.instructions.clone(),
    };
    let fields = match said("fields") {
        Some(fields) => serde_json::from_value::<Fields>(fields.clone())
            .map_err(|error| format!("the parameter `fields` does not say what is to be filled in: {error}"))?,
        None => spec.fields.clone(),
    };
    let remind_seconds = match said("remind_seconds") {
        Some(seconds) => Some(
            seconds
                .as_f64()
                .ok_or_else(|| format!("the parameter `remind_seconds` must be a number, not {seconds}"))?,
        ),
        None => spec.remind_seconds,
    };
    let title = step.name.as_deref().or(step.action.as_deref().filter(|_| instructions.is_some()));
    let title = title.unwrap_or(&step.step_id).lines().next().unwrap_or_default().to_owned();
    let message = instructions.or_else(|| step.action.as_deref().map(str::to_owned));
    Ok(Question { title, message, fields, is_task: true, remind_seconds }.bounded())
}

fn outcome(answered: &Answered) -> Outcome {
    let Answered { user, time, answer, notes } = answered;
    let mut metadata = Map::new();
    metadata.insert("answered_by".into(), user.clone().into());
    metadata.insert("answered_at".into(), json!(time));
    metadata.extend(notes.iter().map(|notes| ("notes".to_owned(), notes.clone().into())));
    let mut result = AgentResult { metadata: Some(metadata), ..AgentResult::default() };
    match answer {
        Answer::Accepted(values) => {
            result.status = Some(ResultStatus::Success);
            result.data = (!values.is_empty()).then(|| Value::Object(values.clone()));
            Outcome { result: Some(Box::new(result)), ..Outcome::default() }
        }
        Answer::Declined => {
            result.status = Some(ResultStatus::Failed);
            let said = notes.as_ref().map(|notes| format!(": {notes}")).unwrap_or_default();
            let error = Some(format!("{user} says that it failed{said}"));
            Outcome { status: OutcomeStatus::Failed, error, result: Some(Box::new(result)), ..Outcome::default() }
        }
    }
}
