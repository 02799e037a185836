//! Diagnostics as text for people: the place, the line, the offending text underlined, and what would have been right.
//!
//! A plan may come from anybody, so nothing of it reaches the terminal as it is: what would act on the screen, or hide, is written out.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Lines, Related, Severity, push_visible, visible};

/// A related place is drawn in the same picture when it is no further away than this many lines.
const NEAR: usize = 100;
/// Longer lines, in characters, are cut around the place that matters.
const LONGEST_LINE: usize = 150;

/// The diagnostics of one text, one below the other, with a blank line between them, as they are printed.
///
/// `text` must be the text that was loaded: for bytes that are not UTF-8, [`String::from_utf8_lossy`] of them.
pub fn render_text(source_name: &str, text: &str, diagnostics: &[Diagnostic], color: bool) -> String {
    render_within(source_name, text, diagnostics, color, LONGEST_LINE)
}

/// The same where lines of more than `longest` characters have no room: they are cut around the place that matters, a third of that before it.
pub fn render_within(source_name: &str, text: &str, diagnostics: &[Diagnostic], color: bool, longest: usize) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(LONGEST_LINE * 2);
    let lines = Lines::new(text);
    let name = visible(source_name);
    let mut rendered = String::new();
    for diagnostic in diagnostics {
        if !rendered.is_empty() {
            rendered.push('\n');
        }
        rendered.push_str(&render_one(&renderer, &name, text, &lines, diagnostic, longest));
        rendered.push('\n');
    }
    rendered
}

fn render_one(
    renderer: &Renderer,
    name: &str,
    text: &str,
    lines: &Lines,
    diagnostic: &Diagnostic,
    longest: usize,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let line = diagnostic.line.max(1);
    let (near, far): (Vec<&Related>, Vec<&Related>) =
        diagnostic.related.iter().partition(|related| related.line.abs_diff(line) <= NEAR);
    let origin = Origin::path(name).line(line).char_column(diagnostic.column.max(1));
    let mut group = Group::with_title(level.primary_title(visible(&diagnostic.message))).element(origin);
    if !text.is_empty() && line <= lines.count() {
        group = group.element(picture(text, lines, diagnostic, &near, longest));
    }
    for related in far {
        let place = format!("{}: {name}:{}:{}", visible(&related.label), related.line, related.column);
        group = group.element(Level::NOTE.message(place));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    without_second_origin(&renderer.render(&[group]))
}

/// The renderer can work out the place itself, but wrongly for a line that is cut or has something written out; when it is told the
/// place, it takes the picture for one of another file and puts a line with `:::` above it. That line goes.
fn without_second_origin(rendered: &str) -> String {
    let plain = |line: &str| {
        let mut escape = false;
        let keep = |sign: &char| {
            let hidden = escape || *sign == '\u{1b}';
            escape = hidden && *sign != 'm';
            !hidden
        };
        line.chars().filter(keep).collect::<String>()
    };
    let lines = rendered.lines().filter(|line| !line.contains(":::") || plain(line).trim() != ":::");
    lines.collect::<Vec<_>>().join("\n")
}

/// A place to underline, and what stands below it.
struct Mark {
    line: usize,
    span: Range<usize>,
    primary: bool,
    label: Option<String>,
}

fn picture(
    text: &str,
    lines: &Lines,
    diagnostic: &Diagnostic,
    near: &[&Related],
    longest: usize,
) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let mark = |span: &Range<usize>, primary: bool, label: Option<String>| {
        let start = span.start.min(text.len());
        Mark { line: lines.line_of(start), span: start..span.end.clamp(start, text.len()), primary, label }
    };
    let mut marks = vec![mark(&diagnostic.span, true, diagnostic.label.clone())];
    marks.extend(near.iter().map(|related| mark(&related.span, false, Some(related.label.clone()))));
    let first = marks.iter().map(|mark| mark.line).min().unwrap_or(1);
    let last = marks.iter().map(|mark| mark.line).max().unwrap_or(first);
    let mut source = String::new();
    let mut annotations = Vec::new();
    for line in first..=last {
        let here: Vec<&Mark> = marks.iter().filter(|mark| mark.line == line).collect();
        if line > first {
            source.push('\n');
        }
        // Lines without a mark are folded away; what they say does not matter.
        if here.is_empty() && line != first && line != last {
            let shown = draw_line(text, lines.range(text, line), &[], longest).0;
            source.push_str(&shown);
            continue;
        }
        let base = source.len();
        let (shown, places) = draw_line(text, lines.range(text, line), &here, longest);
        source.push_str(&shown);
        for (mark, place) in here.iter().zip(places) {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(base + place.start..base + place.end);
            annotations.push(match &mark.label {
                Some(label) => annotation.label(visible(label)),
                None => annotation,
            });
        }
    }
    Snippet::source(source).line_start(first).annotations(annotations)
}

/// One line as it is shown, and where in it the marks stand. A mark that goes on behind the line ends with it.
fn draw_line(text: &str, range: Range<usize>, marks: &[&Mark], longest: usize) -> (String, Vec<Range<usize>>) {
    let mut shown = String::new();
    let line = &text[range.clone()];
    let inside = |place: usize| place.clamp(range.start, range.end) - range.start;
    // A long line is cut so that the first mark is in sight.
    let focus = marks.iter().find(|mark| mark.primary).or(marks.first()).map_or(0, |mark| inside(mark.span.start));
    let (from, to) = if line.len() <= longest || line.chars().nth(longest).is_none() {
        (0, line.len())
    } else {
        let from =
            line[..focus].char_indices().rev().nth((longest / 3).saturating_sub(1)).map_or(0, |(place, _)| place);
        let to = line[from..].char_indices().nth(longest).map_or(line.len(), |(place, _)| from + place);
        (from, to)
    };
    let mut places = vec![0..0; marks.len()];
    if from > 0 {
        shown.push('…');
        places.iter_mut().for_each(|place| *place = shown.len()..shown.len());
    }
    let mut cut = |place: usize, shown_place: usize| {
        for (mark, drawn) in marks.iter().zip(&mut places) {
            if inside(mark.span.start) == place {
                drawn.start = shown_place;
                drawn.end = shown_place;
            }
            if inside(mark.span.end) >= place && inside(mark.span.start) <= place {
                drawn.end = shown_place;
            }
        }
    };
    for (place, character) in line[from..to].char_indices() {
        cut(from + place, shown.len());
        match character {
            '\t' => shown.push_str("    "),
            '\u{feff}' if range.start == 0 && from + place == 0 => {}
            _ => push_visible(&mut shown, character),
        }
    }
    cut(to, shown.len());
    if to < line.len() {
        shown.push('…');
    }
    (shown, places)
}
