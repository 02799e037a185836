//! Where things are: pure geometry, shared by drawing and by scrolling.

use ratatui::layout::Rect;

use super::super::run_model::{OpenRun, Pane};

/// Below this many columns the panes stand one above the other.
const SIDE_BY_SIDE: u16 = 116;

/// The places of an open run. A pane that is not to be seen is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunLayout {
    /// Title, gauge, and what answers the run's question.
    pub header: Rect,
    /// The heading of the steps.
    pub steps_title: Rect,
    /// The rows of steps.
    pub steps: Rect,
    /// The heading and the facts of the selected step.
    pub detail_title: Rect,
    /// Its tab.
    pub detail: Rect,
    /// The heading of the log.
    pub log_title: Rect,
    /// Its lines.
    pub log: Rect,
    /// Whether the log is to be seen.
    pub has_log: bool,
    /// The rule over the footer; messages stand in it.
    pub rule: Rect,
    /// The keys.
    pub footer: Rect,
}

/// Whether the panes stand one above the other.
pub fn is_narrow(size: (u16, u16)) -> bool {
    size.0 < SIDE_BY_SIDE
}

fn rows(area: Rect, top: u16, height: u16) -> Rect {
    let y = area.y + top.min(area.height);
    Rect { x: area.x, y, width: area.width, height: height.min(area.bottom() - y) }
}

/// The layout of an open run.
pub fn run(area: Rect, run: &OpenRun) -> RunLayout {
    let (width, height) = (area.width, area.height);
    if height < 8 || width < 20 {
        return RunLayout::default();
    }
    let roomy = height >= 30;
    let head = if roomy { 4 } else { 3 };
    let mut layout = RunLayout {
        header: rows(area, 0, 3),
        rule: rows(area, height - 2, 1),
        footer: rows(area, height - 1, 1),
        ..RunLayout::default()
    };
    let body = rows(area, head, height - 2 - head);
    let title_and =
        |area: Rect, title: u16| (rows(area, 0, title), rows(area, title, area.height.saturating_sub(title)));
    if run.zoom {
        match run.focus {
            Pane::Steps => (layout.steps_title, layout.steps) = title_and(body, 1),
            Pane::Detail => (layout.detail_title, layout.detail) = title_and(body, 2),
            Pane::Log => {
                (layout.log_title, layout.log) = title_and(body, 1);
                layout.has_log = true;
            }
        }
        return layout;
    }
    let narrow = width < SIDE_BY_SIDE;
    let wanted = match height {
        0..20 => 0,
        // One line says what happened last; all of it is there when the log has the keys.
        20..30 if run.focus == Pane::Log => 7,
        20..30 if narrow => 2,
        20..30 => 3,
        _ => (height / 6).clamp(5, 12) + 1,
    };
    let panes = rows(body, 0, body.height - wanted);
    let log = rows(body, body.height - wanted, wanted);
    if wanted > 0 {
        layout.has_log = true;
        (layout.log_title, layout.log) = title_and(log, 1);
    }
    if narrow {
        // The pane that has the keys has the room. The list needs no more rows than it has steps; what it leaves goes to the detail.
        let count = if run.list.is_filtered() { run.state.steps.len() } else { run.row_count() };
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let share = match run.focus {
            Pane::Steps => 65,
            Pane::Detail => 30,
            Pane::Log => 45,
        };
        let steps = (panes.height * share / 100).clamp(4, count.saturating_add(1).max(4));
        let steps = steps.min(panes.height);
        (layout.steps_title, layout.steps) = title_and(rows(panes, 0, steps), 1);
        (layout.detail_title, layout.detail) = title_and(rows(panes, steps, panes.height - steps), 2);
    } else {
        let left = (u32::from(width) * 47 / 100).clamp(60, 110) as u16;
        let gap = 3;
        let panes = if roomy { Rect { height: panes.height - 1, ..panes } } else { panes };
        let steps = Rect { width: left, ..panes };
        let detail = Rect { x: panes.x + left + gap, width: width - left - gap, ..panes };
        (layout.steps_title, layout.steps) = title_and(steps, 1);
        (layout.detail_title, layout.detail) = title_and(detail, 2);
    }
    layout
}
