//! A hook's queue, and the task that delivers what is in it: in order, with tries that are further and further apart.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};

use super::event::Item;
use super::{Hook, Report, Target, command, webhook};

/// So many events wait for a hook at the most.
const MOST: usize = 1000;
/// The pause before the first new try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why something was not delivered.
#[derive(Debug)]
pub(super) struct Failed {
    /// In words.
    pub why: String,
    /// Trying again may help.
    pub again: bool,
    /// Not before this time, if the other side says so.
    pub after: Option<Duration>,
}

/// What waits for a hook.
#[derive(Debug)]
pub(super) struct Queue {
    hook: Hook,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Arc<Item>>,
    /// Taken out, and not delivered yet.
    under_way: bool,
    /// Lost since the last delivery, because there was no room.
    missed: u64,
    /// Given up, since the hook began to fail.
    failed: u64,
    /// Never delivered, in all.
    lost: u64,
    closed: bool,
}

impl Queue {
    pub fn new(hook: Hook) -> Self {
        Self { hook, waiting: Mutex::default(), changed: Notify::new() }
    }

    pub fn hook(&self) -> &Hook {
        &self.hook
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Plain values: whoever panicked has left them whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits: what has no room pushes out the oldest.
    pub fn push(&self, item: Arc<Item>, reports: &broadcast::Sender<Report>) {
        let mut waiting = self.waiting();
        waiting.items.push_back(item);
        let full = waiting.items.len() > MOST;
        let first = full && waiting.missed == 0;
        if full {
            waiting.items.pop_front();
            waiting.missed += 1;
            waiting.lost += 1;
        }
        drop(waiting);
        self.changed.notify_one();
        if first {
            say(reports, format!("hook {}: it is slower than what happens, and misses events", self.hook.name), true);
        }
    }

    /// So many events never came here.
    pub fn missed(&self, number: u64) {
        let mut waiting = self.waiting();
        waiting.missed += number;
        waiting.lost += number;
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_one();
    }

    /// What is to be said at the end.
    pub fn last_words(&self) -> Option<String> {
        let waiting = self.waiting();
        let left = waiting.items.len() as u64 + u64::from(waiting.under_way);
        let number = left + waiting.lost;
        let what = if number == 1 { "1 event was".to_owned() } else { format!("{number} events were") };
        (number > 0).then(|| format!("hook {}: {what} not delivered", self.hook.name))
    }

    /// The next event, and how many were missed before it; `None` when nothing more comes.
    async fn next(&self) -> Option<(Arc<Item>, u64)> {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(item) = waiting.items.pop_front() {
                    waiting.under_way = true;
                    return Some((item, std::mem::take(&mut waiting.missed)));
                }
                if waiting.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn delivered(&self) -> u64 {
        let mut waiting = self.waiting();
        waiting.under_way = false;
        std::mem::take(&mut waiting.failed)
    }

    /// Whether it is the first that is given up.
    fn given_up(&self, missed: u64) -> bool {
        let mut waiting = self.waiting();
        waiting.under_way = false;
        waiting.lost += 1;
        waiting.failed += 1;
        // Nobody has been told of them.
        waiting.missed += missed + 1;
        waiting.failed == 1
    }
}

fn say(reports: &broadcast::Sender<Report>, message: String, bad: bool) {
    if bad {
        tracing::warn!("{message}");
    } else {
        tracing::info!("{message}");
    }
    // Nobody may be listening.
    let _ = reports.send(Report::Hook { message, bad });
}

/// Delivers what comes, until nothing more does.
pub(super) async fn work(queue: Arc<Queue>, reports: broadcast::Sender<Report>) {
    let name = &queue.hook.name;
    while let Some((item, missed)) = queue.next().await {
        match deliver(&queue.hook, &item, missed).await {
            Ok(()) => match queue.delivered() {
                0 => {}
                1 => say(&reports, format!("hook {name} works again; 1 event was not delivered"), false),
                number => say(&reports, format!("hook {name} works again; {number} events were not delivered"), false),
            },
            Err(failed) => {
                // Said once, and again when it works: it may fail for every event of a long run.
                if queue.given_up(missed) {
                    let tries = match queue.hook.retries {
                        0 => String::new(),
                        _ if !failed.again => String::new(),
                        retries => format!(", after {} tries", retries + 1),
                    };
                    say(&reports, format!("hook {name} fails ({}){tries}: {}", item.kind.word(), failed.why), true);
                }
            }
        }
    }
}

async fn deliver(hook: &Hook, item: &Item, missed: u64) -> Result<(), Failed> {
    let body = item.to_json(missed);
    let mut pause = FIRST_PAUSE;
    let mut left = hook.retries;
    loop {
        let tried = match &hook.target {
            Target::Command(line) => command::run(line, item, &body, hook.timeout).await,
            Target::Webhook { url, secret } => webhook::post(url, secret.as_deref(), item, &body, hook.timeout).await,
        };
        let failed = match tried {
            Err(failed) if failed.again && left > 0 => failed,
            ended => return ended,
        };
        let wait = failed.after.map_or(pause, |after| after.max(pause)).min(LONGEST_PAUSE);
        if left == hook.retries {
            tracing::info!("hook {}: {}; it is tried again", hook.name, failed.why);
        }
        left -= 1;
        pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Kind;
    use super::*;
    use crate::plan::CommandLine;

    #[tokio::test]
    async fn a_hook_that_falls_behind_loses_the_oldest_and_is_told_how_many() {
        let hook = Hook {
            name: "slow".into(),
            on: BTreeSet::from(Kind::ALL),
            plans: Vec::new(),
            target: Target::Command(CommandLine::Shell("true".into())),
            timeout: Duration::from_secs(1),
            retries: 0,
        };
        let queue = Queue::new(hook);
        let (reports, mut told) = broadcast::channel(16);
        for number in 0..MOST + 5 {
            queue.push(Arc::new(Item::numbered(number)), &reports);
        }
        assert!(matches!(told.try_recv(), Ok(Report::Hook { message, bad: true }) if message.contains("slow")));
        assert!(told.try_recv().is_err(), "said once");
        let (item, missed) = queue.next().await.unwrap();
        assert_eq!((item.id.as_str(), missed), ("5", 5));
        assert!(item.to_json(missed).contains("\"missed\":5"));
        queue.delivered();
        let (item, missed) = queue.next().await.unwrap();
        assert_eq!((item.id.as_str(), missed), ("6", 0));
        assert!(!item.to_json(missed).contains("missed"));
        // One is under way, five were lost.
        let said = format!("hook slow: {} events were not delivered", MOST - 2 + 1 + 5);
        assert_eq!(queue.last_words(), Some(said));
    }
}
