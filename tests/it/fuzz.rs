//! Whatever stands on the disk: events that no engine wrote in this order, journals and checkpoint files of any bytes. Nothing panics, nothing is
//! made up, and what is read is either what was written or an error that says so.

use std::sync::Arc;

use holdpoint::journal::sim::SimDisk;
use holdpoint::journal::{JournalError, Store};
use holdpoint::run::{Command, Event, Input, Recorded};
use proptest::prelude::*;

use crate::journal_support::{Bench, text};
use crate::run_props::{Case, config};
use crate::run_random::{Op, PlanShape, op, plan_shape};
use crate::run_rules::same;
use crate::run_support::reloaded;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
enum Damage {
    Put {
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    Insert {
        at: prop::sample::Index,
        bytes: Vec<u8>,
    },
    Cut {
        at: prop::sample::Index,
        length: u8,
    },
    /// A piece of it once more, somewhere else.
    Again {
        from: prop::sample::Index,
        length: u16,
        at: prop::sample::Index,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..20);
    let words = prop::sample::select(vec![
        "\n",
        "{}",
        "null",
        "\"seq\":1",
        "[[[[[[[[",
        "}",
        ",",
        "1e999",
        "\u{0}",
        "\"\\ud800\"",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), bytes()).prop_map(|(at, bytes)| Damage::Put { at, bytes }),
        (any::<prop::sample::Index>(), bytes()).prop_map(|(at, bytes)| Damage::Insert { at, bytes }),
        (any::<prop::sample::Index>(), words).prop_map(|(at, word)| Damage::Insert { at, bytes: word.into() }),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, length)| Damage::Cut { at, length }),
        (any::<prop::sample::Index>(), any::<u16>(), any::<prop::sample::Index>())
            .prop_map(|(from, length, at)| Damage::Again { from, length, at }),
    ]
}

impl Damage {
    fn done_to(&self, content: &mut Vec<u8>) {
        let len = content.len() + 1;
        match self {
            Damage::Put { at, bytes } => {
                let at = at.index(len);
                let end = (at + bytes.len()).min(content.len());
                content.splice(at..end, bytes.iter().copied());
            }
            Damage::Insert { at, bytes } => drop(content.splice(at.index(len)..at.index(len), bytes.iter().copied())),
            Damage::Cut { at, length } => {
                let at = at.index(len);
                content.drain(at..(at + usize::from(*length)).min(content.len()));
            }
            Damage::Again { from, length, at } => {
                let from = from.index(len);
                let piece = content[from..(from + usize::from(*length)).min(content.len())].to_vec();
                let at = at.index(len);
                content.splice(at..at, piece);
            }
        }
    }
}

fn lived(shape: &PlanShape, ops: &[Op]) -> Case {
    let mut case = Case::new(shape);
    let start = case.driver.request(Command::Start, "ann");
    let _ = case.driver.feed(&Input::Request(start));
    for op in ops {
        case.run(op);
    }
    case
}

proptest! {
    #![proptest_config(config())]

    /// `apply` is total: events of another run, of another plan, in another order or twice never panic, and what follows from the state (counts,
    /// what is ready, what waits) is still what follows from it.
    #[test]
    fn events_that_do_not_belong_break_nothing(
        shape in plan_shape(),
        other in plan_shape(),
        ops in prop::collection::vec(op(), 0..20),
        strange in prop::collection::vec(op(), 0..30),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut state = lived(&shape, &ops).driver.state;
        let events: Vec<Arc<Recorded>> = lived(&other, &strange).driver.journal;
        for pick in order {
            let event = pick.get(&events);
            // The ids of interventions are made by the engine: the same one twice cannot be.
            if matches!(event.event, Event::Intervention(_) | Event::InterventionSettled { .. }) {
                continue;
            }
            let counted = Recorded { seq: state.seq + 1, time: state.updated_at.max(event.time), event: event.event.clone() };
            state.apply(&counted);
            prop_assert_eq!(state.counts().total() as usize, state.steps.len());
            prop_assert_eq!(state.plan.steps.len(), state.steps.len());
        }
        same(&state, &reloaded(&state), "what follows from the state is not what it says");
    }

    /// A plan of any bytes is a plan or refused with its places; nothing of it acts on a terminal that the refusal is shown on.
    #[test]
    fn a_plan_of_any_bytes_is_read_or_refused(
        damages in prop::collection::vec(damage(), 0..6),
        junk in prop::collection::vec(any::<u8>(), 0..200),
        alone in any::<bool>(),
        simulate in any::<bool>(),
    ) {
        let mut content = if alone { junk.clone() } else { include_bytes!("../../plans/console-demo.json").to_vec() };
        for damage in &damages {
            damage.done_to(&mut content);
        }
        if !alone && !content.is_empty() {
            let middle = content.len() / 2;
            content.splice(middle..middle, junk);
        }
        let loaded = holdpoint::plan::check_bytes("p.json", &content, &holdpoint::plan::Terms::simulate(simulate));
        let text = String::from_utf8_lossy(&content);
        prop_assert_eq!(loaded.plan.is_none(), loaded.has_errors());
        for told in &loaded.diagnostics {
            prop_assert!(text.get(told.span.clone()).is_some(), "{:?} is no place in the text", told.span);
        }
        let shown = holdpoint::plan::render_text("p.json", &text, &loaded.diagnostics, false);
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        if let Some(plan) = loaded.plan {
            prop_assert!(holdpoint::plan::order::Order::new(&plan).is_ok(), "what was accepted has an order");
        }
    }

    /// A journal of any bytes is read up to its damage, or refused; it is never changed by reading, and nothing it says was not written.
    #[test]
    fn a_journal_of_any_bytes_is_read_or_refused(
        steps in 1usize..4,
        damages in prop::collection::vec(damage(), 1..4),
        checkpoint in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let (driver, batches) = bench.recorded(1, steps);
        let dir = bench.store.dir(driver.id());
        let path = if checkpoint {
            let newest = bench.store.full_checkpoints(&dir).unwrap().pop().expect("a closed run has a full file");
            dir.join(format!("checkpoint-{newest}.json"))
        } else {
            bench.journal(driver.id())
        };
        let whole = bench.disk.content(&path).unwrap();
        let mut content = whole.clone();
        for damage in &damages {
            damage.done_to(&mut content);
        }
        let journal = bench.disk.content(&bench.journal(driver.id())).unwrap();
        let disk = SimDisk::new();
        disk.put(&bench.journal(driver.id()), journal);
        disk.put(&path, content.clone());
        let store = Store::on(Arc::new(disk.clone()), bench.store.root());

        match store.load(&dir) {
            Ok(loaded) => {
                let end: Vec<_> = batches.iter().flatten().take_while(|event| event.seq <= loaded.state.seq).cloned().collect();
                let written = crate::journal_support::fold(&[end]);
                prop_assert_eq!(text(&loaded.state), text(&written), "what was read was never written");
            }
            Err(JournalError::Damaged(_) | JournalError::Newer { .. } | JournalError::NeverBegun { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        let _ = store.list_runs().unwrap();
        if let Ok(verified) = store.verify(&dir, None)
            && verified.is_whole()
            && let Some(head) = verified.head
        {
            // A journal that ends early is whole, as after a power cut: only its head hash, kept elsewhere, can tell.
            let read = usize::try_from(head.bytes).unwrap();
            let now = disk.content(&bench.journal(driver.id())).unwrap();
            let was = bench.disk.content(&bench.journal(driver.id())).unwrap();
            prop_assert_eq!(&now[..read], &was[..read], "the damage was not found");
        }
        if let Ok(mut events) = store.read_events(&dir, 1) {
            while events.read(10).is_ok_and(|batches| !batches.is_empty()) {}
        }
        prop_assert_eq!(disk.content(&path).unwrap(), content);
    }
}
