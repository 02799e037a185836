//! A console of one line, for the tests of the terminal guard: it shows which key came last, and ends in every way there is.
//!
//! Keys: `q` ends, `p` panics while drawing, `u` panics between two frames, `b` panics on another thread, `a` panics on another task, `e` returns an error,
//! `w` ends without reading what is typed next, `s` hands the terminal over, `t` sets the title, `n` notifies, `h` draws hostile text, Ctrl-Z stops.

use std::error::Error;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use holdpoint::console::terminal::{Guard, Keys, Options, Signal, Signals, install_panic_hook};
use ratatui::text::Line;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    install_panic_hook(|info| format!("the report: {info}"));
    let mut signals = Signals::listen()?;
    let mut guard = Guard::enter(Options::from_env())?;
    let result = run(&mut guard, &mut signals).await;
    drop(guard);
    println!("left in good order");
    result
}

async fn run(guard: &mut Guard, signals: &mut Signals) -> Result<(), Box<dyn Error>> {
    let mut events = Keys::read()?;
    let mut last = "ready".to_owned();
    let mut frames = 0u32;
    loop {
        frames += 1;
        guard.draw(|frame| {
            assert!(last != "p", "panic in drawing");
            let hostile = if last == "h" { "\x1b[2J\x1b]0;evil\x07\u{202e}漢" } else { "" };
            frame.render_widget(Line::raw(format!("frame {frames}")), frame.area());
            let mut below = frame.area();
            below.y = 1;
            below.height = 1;
            frame.render_widget(Line::raw(format!("last: {last}")), below);
            if !hostile.is_empty() {
                // Past ratatui's own filter, as a careless widget would.
                frame.buffer_mut()[(0, 2)].set_symbol(hostile);
            }
        })?;
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => guard.stop(None).await?,
                Signal::Continued => guard.continued()?,
                Signal::Terminate | Signal::Hangup | Signal::Interrupt => return Ok(()),
            },
            typed = events.next() => match typed.map(|typed| typed.map(|typed| typed.event)) {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('z') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        last = "stopped".to_owned();
                        guard.stop(None).await?;
                    }
                    KeyCode::Char('q') => return Ok(()),
                    KeyCode::Char('w') => {
                        events.rest().await;
                        guard.set_title("deaf")?;
                        while rustix::io::ioctl_fionread(std::io::stdin())? == 0 {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        return Ok(());
                    }
                    KeyCode::Char('e') => return Err("an error".into()),
                    KeyCode::Char('u') => panic!("panic between frames"),
                    KeyCode::Char('b') => {
                        let _ = std::thread::spawn(|| panic!("panic on a thread")).join();
                        last = "b".to_owned();
                    }
                    KeyCode::Char('a') => {
                        let _ = tokio::spawn(async { panic!("panic in a task") }).await;
                        last = "a".to_owned();
                    }
                    KeyCode::Char('s') => {
                        events.rest().await;
                        guard.suspend_with(|| {
                            println!("handed over");
                            std::thread::sleep(Duration::from_millis(100));
                        })?;
                        events.go_on();
                        last = "s".to_owned();
                    }
                    KeyCode::Char('t') => {
                        guard.set_title("run \x1b]0;evil\x07 1")?;
                        last = "t".to_owned();
                    }
                    KeyCode::Char('n') => {
                        guard.bell()?;
                        guard.notify("a run \x07failed")?;
                        last = "n".to_owned();
                    }
                    KeyCode::Char(c) => last = c.to_string(),
                    other => last = format!("{other:?}"),
                },
                Some(Ok(Event::Resize(..) | _)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
    }
}
