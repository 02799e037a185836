//! Keeps lists from being multiplied in expressions.
//!
//! The template library repeats a list by `*` without making it, so nothing of its own bounds on work and on texts sees how long it gets before
//! something walks over it. No plan needs that: every operand of a `*` is sent through a filter that lets no list pass.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

/// What is put behind an operand.
const GUARD: &str = "|multiplied";

/// Teaches an environment the filter.
pub(super) fn add_guard(environment: &mut Environment) {
    environment.add_filter(&GUARD[1..], |value: Value| match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            Err(Error::new(ErrorKind::InvalidOperation, "a list cannot be multiplied"))
        }
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        _ => Ok(value),
    });
}

/// An expression with a guard behind every operand of a `*`.
pub(super) fn guarded(expression: &str) -> Cow<'_, str> {
    if !expression.contains('*') {
        return expression.into();
    }
    let bytes = expression.as_bytes();
    let mut places = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        match bytes[place] {
            b'\'' | b'"' => place = after_quotes(bytes, place),
            // A power; no list has one.
            b'*' if bytes.get(place + 1) == Some(&b'*') => place += 2,
            b'*' => {
                places.push(place);
                places.push(after_operand(bytes, place + 1));
                place += 1;
            }
            _ => place += 1,
        }
    }
    places.sort_unstable();
    let mut text = String::with_capacity(expression.len() + places.len() * GUARD.len());
    let mut from = 0;
    for place in places {
        text.push_str(&expression[from..place]);
        text.push_str(GUARD);
        from = place;
    }
    text.push_str(&expression[from..]);
    text.into()
}

/// The end of the operand that begins here: signs, a name, number, text or brackets, and what belongs to it behind that.
fn after_operand(bytes: &[u8], start: usize) -> usize {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || !byte.is_ascii();
    let skip = |mut place: usize, so: &dyn Fn(&u8) -> bool| {
        while bytes.get(place).is_some_and(so) {
            place += 1;
        }
        place
    };
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let mut place = skip(start, &|byte| is_space(byte) || *byte == b'-');
    let mut end = match bytes.get(place) {
        Some(b'\'' | b'"') => after_quotes(bytes, place),
        Some(b'(' | b'[' | b'{') => after_brackets(bytes, place),
        _ => skip(place, &is_name),
    };
    loop {
        place = skip(end, &is_space);
        end = match bytes.get(place) {
            Some(b'(' | b'[') => after_brackets(bytes, place),
            Some(b'.' | b'|') => skip(skip(place + 1, &is_space), &is_name),
            _ => return end,
        };
    }
}

/// The place behind a text in quotes.
fn after_quotes(bytes: &[u8], start: usize) -> usize {
    let mut place = start + 1;
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'\\' => place += 1,
            byte if *byte == bytes[start] => return place + 1,
            _ => {}
        }
        place += 1;
    }
    bytes.len()
}

/// The place behind what stands in brackets.
fn after_brackets(bytes: &[u8], start: usize) -> usize {
    let (mut place, mut open) = (start, 0usize);
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'\'' | b'"' => {
                place = after_quotes(bytes, place);
                continue;
            }
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        place += 1;
        if open == 0 {
            return place;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_operands_get_a_guard_wherever_they_end() {
        for (expression, expected) in [
            ("a + b", "a + b"),
            ("a*b", "a#*b#"),
            ("2 ** 3", "2 ** 3"),
            ("'*' ~ \"\\\"*\"", "'*' ~ \"\\\"*\""),
            ("n * steps['a-b'].result[0] | length + 1", "n #* steps['a-b'].result[0] | length# + 1"),
            ("(a * [1, (b * 2)]) * - f(x, ')') . y", "(a #* [1, (b #* 2#)]#) #* - f(x, ')') . y#"),
            ("a * b * c", "a #* b# #* c#"),
            ("a *", "a #*#"),
            ("a * 'ä", "a #* 'ä#"),
            ("ä * ö", "ä #* ö#"),
        ] {
            assert_eq!(guarded(expression).replace(GUARD, "#"), expected, "{expression}");
        }
    }
}
