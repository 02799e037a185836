//! The nearest valid name for one that is not known.

/// The candidate that is most likely meant by `name`, if any is close enough to be worth naming.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    suggest_within(name, candidates, &mut usize::MAX.clone())
}

/// [`suggest`] that stops when `budget` comparisons have been made.
pub(super) fn suggest_within<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    budget: &mut usize,
) -> Option<&'a str> {
    // Longer names are no typing mistakes, and comparing them costs the product of the lengths.
    if name.is_empty() || name.len() > 128 {
        return None;
    }
    let plain = folded(name);
    let length = plain.chars().count();
    let allowed = (length / 3).clamp(1, 4);
    let mut best: Option<(usize, &str)> = None;
    // What leaves words off, or has some too many: worth naming where only one is meant.
    let mut worded: Option<&str> = None;
    let mut several = false;
    for candidate in candidates {
        if *budget == 0 {
            break;
        }
        *budget -= 1;
        if is_worded_like(&plain, candidate) {
            several |= worded.is_some_and(|other| other != candidate);
            worded = Some(candidate);
        }
        // The distance is at least the difference in characters, of which one has up to four bytes.
        let allowed_bytes = if name.is_ascii() { allowed * 4 } else { allowed * 4 + name.len() };
        let apart = candidate.len().abs_diff(name.len());
        if candidate == name || apart > allowed_bytes || (apart > allowed && candidate.is_ascii() && name.is_ascii()) {
            continue;
        }
        let distance = strsim::osa_distance(&plain, &folded(candidate));
        if distance <= allowed && distance < length && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate).or(worded.filter(|_| !several))
}

/// Whether one of two names is the other with words left off its end.
fn is_worded_like(plain: &str, candidate: &str) -> bool {
    let continues = |long: &str, short: &str| {
        let word_ends = |sign: &u8| matches!(sign, b'_' | b'-' | b' ' | b'.');
        long.as_bytes().get(short.len()).is_some_and(word_ends)
            && long.get(..short.len()).is_some_and(|start| start.eq_ignore_ascii_case(short))
    };
    plain.len().min(candidate.len()) >= 3 && (continues(candidate, plain) || continues(plain, candidate))
}

/// Upper case, and which sign separates words, are no differences.
fn folded(name: &str) -> String {
    name.chars()
        .flat_map(char::to_lowercase)
        .map(|sign| if matches!(sign, '-' | ' ' | '.') { '_' } else { sign })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_name() {
        let fields = ["step_id", "depends_on", "timeout_seconds", "max_retries"];
        assert_eq!(suggest("dependson", fields), Some("depends_on"));
        assert_eq!(suggest("Depends-On", fields), Some("depends_on"));
        assert_eq!(suggest("timeout_second", fields), Some("timeout_seconds"));
        assert_eq!(suggest("stpe_id", fields), Some("step_id"));
    }

    #[test]
    fn a_name_that_leaves_words_off_finds_the_one_that_has_them() {
        let fields = ["step_id", "run", "timeout_seconds", "max_retries", "max_parallel"];
        assert_eq!(suggest("timeout", fields), Some("timeout_seconds"));
        assert_eq!(suggest("run-command", fields), Some("run"));
        assert_eq!(suggest("max", fields), None, "either may be meant");
        assert_eq!(suggest("time", fields), None, "half a word is no word");
    }

    #[test]
    fn a_name_far_from_all_finds_none() {
        assert_eq!(suggest("colour", ["step_id", "depends_on"]), None);
        assert_eq!(suggest("x", ["y"]), None);
        assert_eq!(suggest("", ["a"]), None);
        assert_eq!(suggest("ab", []), None);
    }

    #[test]
    fn the_nearest_of_several_wins() {
        assert_eq!(suggest("step_2x", ["step_1", "step_2", "step_3"]), Some("step_2"));
    }

    #[test]
    fn work_is_bounded() {
        let names: Vec<String> = (0..100).map(|number| format!("name{number}")).collect();
        let mut budget = 10;
        suggest_within("name99x", names.iter().map(String::as_str), &mut budget);
        assert_eq!(budget, 0);
    }
}
