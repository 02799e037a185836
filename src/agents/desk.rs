//! Where attempts ask people: a question goes to the engine, which journals it, and the answer comes back when it is durable.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::run::{Answered, Asked, Question};

/// The attempt's end: asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Mutex<mpsc::Sender<Posed>>>);

/// A question on its way, and where its answer goes.
#[derive(Debug)]
struct Posed {
    question: Question,
    reply: oneshot::Sender<Arc<Answered>>,
}

/// The engine's end of one attempt's desk.
///
/// An attempt that is taken up again asks the same questions as before, in the same order: one that the journal has an answer to is answered
/// at once, one that it knows as open is not journaled a second time.
#[derive(Debug)]
pub struct DeskClerk {
    posed: mpsc::Receiver<Posed>,
    answers: mpsc::UnboundedReceiver<(u32, Arc<Answered>)>,
    /// What the journal knows of the attempt's questions.
    asked: Vec<Asked>,
    /// Answers by number that came before their question was posed again.
    early: HashMap<u32, Arc<Answered>>,
    /// How many questions the attempt has posed.
    number: u32,
    waits: Option<(u32, oneshot::Sender<Arc<Answered>>)>,
}

/// Gives answers to an attempt, by the number of the question within the attempt.
pub type AnswerSender = mpsc::UnboundedSender<(u32, Arc<Answered>)>;

/// A desk for one attempt, of which the journal knows these questions.
pub fn desk(asked: Vec<Asked>) -> (Desk, DeskClerk, AnswerSender) {
    let (pose, posed) = mpsc::channel(1);
    let (answer, answers) = mpsc::unbounded_channel();
    let clerk = DeskClerk { posed, answers, asked, early: HashMap::new(), number: 0, waits: None };
    (Desk(Arc::new(Mutex::new(pose))), clerk, answer)
}

impl Desk {
    /// A desk at which nobody answers.
    pub fn empty() -> Self {
        desk(Vec::new()).0
    }

    /// Asks people and waits for their answer, however long that takes; one question after the other. Where nobody can answer any more it waits
    /// for ever, until the attempt is stopped.
    pub async fn ask(&self, question: Question) -> Arc<Answered> {
        // Held until the answer is there: whoever asks meanwhile waits for their turn.
        let pose = self.0.lock().await;
        let (reply, answer) = oneshot::channel();
        if pose.send(Posed { question, reply }).await.is_err() {
            return std::future::pending().await;
        }
        match answer.await {
            Ok(answered) => answered,
            Err(_) => std::future::pending().await,
        }
    }
}

impl DeskClerk {
    /// Hands answers on until the attempt asks something that the journal does not know; then gives back its number and the question. Safe to
    /// cancel.
    pub async fn next(&mut self) -> (u32, Question) {
        loop {
            tokio::select! {
                Some(posed) = self.posed.recv() => if let Some(new) = self.pose(posed) {
                    return new;
                },
                Some((number, answered)) = self.answers.recv() => {
                    // Whoever asked may have ended meanwhile; so below.
                    match self.waits.take_if(|(waits, _)| *waits == number) {
                        Some((_, reply)) => drop(reply.send(answered)),
                        None => drop(self.early.insert(number, answered)),
                    }
                }
                else => std::future::pending::<()>().await,
            }
        }
    }

    fn pose(&mut self, posed: Posed) -> Option<(u32, Question)> {
        self.number += 1;
        let number = self.number;
        let known = self.asked.get(number as usize - 1);
        let is_known = known.is_some();
        let answered = known.and_then(|asked| asked.answered.clone()).or_else(|| self.early.remove(&number));
        if let Some(answered) = answered {
            let _ = posed.reply.send(answered);
            return None;
        }
        self.waits = Some((number, posed.reply));
        (!is_known).then_some((number, posed.question))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::run::Answer;

    fn answered(user: &str) -> Arc<Answered> {
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Arc::new(Answered { user: user.into(), time, answer: Answer::Declined, notes: None })
    }

    fn question(title: &str) -> Question {
        Question { title: title.into(), ..Question::default() }
    }

    #[tokio::test]
    async fn questions_are_asked_one_after_the_other_and_each_gets_its_answer() {
        let (desk, mut clerk, answers) = desk(Vec::new());
        let asking = tokio::spawn(async move {
            let (first, second) = (desk.ask(question("one")), desk.ask(question("two")));
            tokio::join!(first, second)
        });
        let (number, first) = clerk.next().await;
        assert_eq!((number, first.title.as_str()), (1, "one"));
        answers.send((1, answered("ann"))).unwrap();
        let (number, second) = clerk.next().await;
        assert_eq!((number, second.title.as_str()), (2, "two"));
        answers.send((2, answered("bob"))).unwrap();
        let (one, two) = tokio::select! { asked = asking => asked.unwrap(), _ = clerk.next() => unreachable!() };
        assert_eq!((one.user.as_str(), two.user.as_str()), ("ann", "bob"));
    }

    #[tokio::test]
    async fn an_attempt_that_is_taken_up_again_asks_nothing_twice() {
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let asked = |answered| Asked { question: Arc::new(question("known")), time, answered };
        let (desk, mut clerk, answers) = desk(vec![asked(Some(answered("ann"))), asked(None)]);
        // The answer to the open one may be there before the attempt has come so far.
        answers.send((2, answered("bob"))).unwrap();
        let asking = tokio::spawn(async move {
            let first = desk.ask(question("known")).await;
            let second = desk.ask(question("known")).await;
            let users = (first.user.clone(), second.user.clone());
            desk.ask(question("new")).await;
            users
        });
        let (number, new) = clerk.next().await;
        assert_eq!((number, new.title.as_str()), (3, "new"), "only what the journal does not know goes there");
        answers.send((3, answered("cid"))).unwrap();
        let users = tokio::select! { asked = asking => asked.unwrap(), _ = clerk.next() => unreachable!() };
        assert_eq!(users, ("ann".to_owned(), "bob".to_owned()));
    }
}
