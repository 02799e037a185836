//! A backend that says nothing where nothing has changed: ratatui's own resets the style and hides the cursor with every frame.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// The cursor as the terminal was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    shown: bool,
    /// Where; not known after something was drawn.
    at: Option<Position>,
}

/// Crossterm's backend, without what the terminal knows already.
#[derive(Debug)]
pub(super) struct Sparing<W: Write> {
    inner: CrosstermBackend<W>,
    cursor: Cursor,
}

impl<W: Write> Sparing<W> {
    /// For a terminal whose cursor is hidden.
    pub(super) fn new(writer: W) -> Self {
        Self { inner: CrosstermBackend::new(writer), cursor: Cursor { shown: false, at: None } }
    }

    /// The terminal was given away and taken again: its cursor is hidden.
    pub(super) fn taken_again(&mut self) {
        self.cursor = Cursor { shown: false, at: None };
    }
}

impl<W: Write> Write for Sparing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.inner)
    }
}

impl<W: Write> Backend for Sparing<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut content = content.peekable();
        if content.peek().is_none() {
            return Ok(());
        }
        self.cursor.at = None;
        self.inner.draw(content)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.cursor.shown, false) { self.inner.hide_cursor() } else { Ok(()) }
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.cursor.shown, true) { Ok(()) } else { self.inner.show_cursor() }
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let position = position.into();
        if self.cursor.at == Some(position) {
            return Ok(());
        }
        self.cursor.at = Some(position);
        self.inner.set_cursor_position(position)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.cursor.at = None;
        self.inner.append_lines(lines)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.cursor.at = None;
        self.inner.clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.cursor.at = None;
        self.inner.clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

    use super::super::Screen;
    use super::*;

    /// What a frame writes.
    fn written(terminal: &mut Terminal<Sparing<Screen>>, screen: &Screen, draw: impl FnOnce(&mut Frame<'_>)) -> String {
        screen.bytes().clear();
        terminal.draw(draw).unwrap();
        String::from_utf8(screen.bytes().clone()).unwrap()
    }

    #[test]
    fn a_frame_without_a_change_writes_nothing_and_the_cursor_is_told_once() {
        let screen = Screen::default();
        let viewport = Viewport::Fixed(Rect::new(0, 0, 10, 2));
        let mut terminal = Terminal::with_options(Sparing::new(screen.clone()), TerminalOptions { viewport }).unwrap();
        let says = |text: &'static str| move |frame: &mut Frame<'_>| frame.render_widget(text, frame.area());
        let asks = |column| {
            move |frame: &mut Frame<'_>| {
                frame.render_widget("hello", frame.area());
                frame.set_cursor_position((column, 0));
            }
        };
        assert!(written(&mut terminal, &screen, says("hello")).contains("hello"));
        assert_eq!(written(&mut terminal, &screen, says("hello")), "");
        assert_eq!(written(&mut terminal, &screen, asks(3)), "\x1b[?25h\x1b[1;4H");
        assert_eq!(written(&mut terminal, &screen, asks(3)), "");
        assert_eq!(written(&mut terminal, &screen, asks(4)), "\x1b[1;5H");
        // What is drawn moves the cursor: it has to go back to its place.
        let moved = written(&mut terminal, &screen, |frame| {
            frame.render_widget("hallo", frame.area());
            frame.set_cursor_position((4, 0));
        });
        assert!(moved.ends_with("\x1b[1;5H"), "{moved:?}");
        assert_eq!(written(&mut terminal, &screen, says("hallo")), "\x1b[?25l");
        assert_eq!(written(&mut terminal, &screen, says("hallo")), "");
    }
}
