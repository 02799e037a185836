//! The brush: puts neutralised, measured text on the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::super::text;
use super::super::theme::{Glyphs, Role, Theme};
use crate::run::{Counts, StepStatus};

/// A buffer with the means to draw on it.
pub struct Brush<'a> {
    /// What is drawn on.
    pub buffer: &'a mut Buffer,
    /// Colours.
    pub theme: Theme,
    /// Glyphs.
    pub glyphs: Glyphs,
}

/// What a text may be drawn in: a role, or a ready style.
pub trait Ink {
    /// As a style of this theme.
    fn style(self, theme: &Theme) -> Style;
}

impl Ink for Role {
    fn style(self, theme: &Theme) -> Style {
        theme.style(self)
    }
}

impl Ink for Style {
    fn style(self, _theme: &Theme) -> Style {
        self
    }
}

impl Brush<'_> {
    /// Draws one line of text, cut with … to `width` columns; gives back the column after it.
    pub fn text(&mut self, x: u16, y: u16, width: u16, line: &str, ink: impl Ink) -> u16 {
        let area = self.buffer.area;
        if y < area.top() || y >= area.bottom() || x >= area.right() || width == 0 {
            return x;
        }
        let width = width.min(area.right() - x);
        let fitted = text::fit(line, width as usize);
        // What was drawn here before leaves its background (the selected row) and nothing else.
        let base = self.theme.base().fg.unwrap_or(ratatui::style::Color::Reset);
        let mut style = ink.style(&self.theme);
        style.fg = style.fg.or(Some(base));
        style.sub_modifier |= (Modifier::BOLD | Modifier::DIM) & !style.add_modifier;
        text::put(self.buffer, (x, y), &fitted, width, style)
    }

    /// Draws a line so that it ends before column `right`; gives back the column where it begins.
    pub fn text_right(&mut self, left: u16, right: u16, y: u16, line: &str, ink: impl Ink) -> u16 {
        let width = right.saturating_sub(left);
        let fitted = text::fit(line, width as usize);
        let x = right.saturating_sub(text::width(&fitted) as u16);
        self.text(x, y, width, &fitted, ink);
        x
    }

    /// Draws pieces one after the other; gives back the column after them.
    pub fn pieces(&mut self, x: u16, y: u16, width: u16, pieces: &[(&str, Role)]) -> u16 {
        let right = x.saturating_add(width);
        let mut at = x;
        for (piece, role) in pieces {
            at = self.text(at, y, right.saturating_sub(at), piece, *role);
        }
        at
    }

    /// A rule over the whole width.
    pub fn rule(&mut self, area: Rect) {
        let line = self.glyphs.rule.repeat(area.width as usize);
        self.text(area.x, area.y, area.width, &line, Role::Rule);
    }

    /// Lays a style over cells that are drawn already.
    pub fn over(&mut self, area: Rect, ink: impl Ink) {
        let style = ink.style(&self.theme);
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Makes what is drawn step back, behind a popup.
    pub fn fade(&mut self, area: Rect) {
        let faint = self.theme.style(Role::Faint);
        let base = self.theme.base();
        let style = base.patch(faint).remove_modifier(Modifier::BOLD | Modifier::REVERSED | Modifier::UNDERLINED);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.set_style(style);
                    if faint.bg.is_none() && base.bg.is_none() {
                        cell.bg = ratatui::style::Color::Reset;
                    }
                }
            }
        }
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let base = self.theme.base();
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                    cell.set_style(base);
                }
            }
        }
    }

    /// A gauge of what steps are in: done, failed, running, the rest, each with a glyph of its own. A state that exists has a cell, and the gauge is
    /// full only when everything is done.
    pub fn gauge(&mut self, x: u16, y: u16, cells: u16, counts: &Counts) {
        let total = u64::from(counts.total());
        if total == 0 || cells == 0 {
            return;
        }
        let failed = u64::from(counts.of(StepStatus::Failed) + counts.of(StepStatus::Interrupted));
        let (done, live) = (u64::from(counts.done()), u64::from(counts.live()));
        let all = u64::from(cells);
        let part = |number: u64| if number == 0 { 0 } else { (number * all / total).max(1) };
        let mut full = part(done);
        let (red, running) = (part(failed), part(live));
        if done < total {
            full = full.min(all.saturating_sub(1 + red + running));
        }
        let segments = [
            (full, self.glyphs.gauge_full, Role::Done),
            (red, self.glyphs.gauge_failed, Role::Failed),
            (running, self.glyphs.gauge_running, Role::Running),
        ];
        let right = x + cells;
        let mut at = x;
        for (number, glyph, role) in segments {
            let number = number.min(u64::from(right - at)) as u16;
            at = self.text(at, y, number, &glyph.repeat(number as usize), role);
        }
        let rest = self.glyphs.gauge_empty.repeat((right - at) as usize);
        self.text(at, y, right - at, &rest, Role::Rule);
    }
}
