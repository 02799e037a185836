//! Keeps secret values out of output, messages and results.
//!
//! Only literal occurrences are found: a secret that a program prints encoded, escaped or cut in two lines is not recognised.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind};
use serde_json::Value;

use crate::run::AgentResult;

/// What stands in the place of a secret.
pub use crate::plan::MASKED as MASK;

/// The secrets of a run. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Masker(Option<Arc<Secrets>>);

struct Secrets {
    values: Vec<Vec<u8>>,
    longest: usize,
    search: AhoCorasick,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.values.len())
    }
}

impl Masker {
    /// Masks these values; empty ones are left out.
    ///
    /// # Errors
    /// The values are too many or too long to search for at once.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut values: Vec<Vec<u8>> = secrets.into_iter().map(|secret| secret.as_ref().as_bytes().to_vec()).collect();
        values.retain(|value| !value.is_empty());
        values.sort();
        values.dedup();
        let Some(longest) = values.iter().map(Vec::len).max() else { return Ok(Self(None)) };
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&values)
            .map_err(|error| format!("the secrets cannot be searched for: {error}"))?;
        Ok(Self(Some(Arc::new(Secrets { values, longest, search }))))
    }

    /// Masks more: what each secret looks like where it is written in another way, and further texts.
    ///
    /// # Errors
    /// As for [`Masker::new`].
    pub(super) fn with(&self, written: impl Fn(&str) -> Vec<String>, further: Vec<String>) -> Result<Self, String> {
        let known = self.0.iter().flat_map(|secrets| &secrets.values);
        let known: Vec<String> = known.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let written: Vec<String> = known.iter().flat_map(|secret| written(secret)).collect();
        Self::new(known.into_iter().chain(written).chain(further))
    }

    /// A result without secrets.
    pub(super) fn result(&self, mut result: AgentResult) -> AgentResult {
        if self.is_empty() {
            return result;
        }
        result.data = result.data.map(|data| self.value(data));
        result.error = result.error.map(|error| self.text(&error).into_owned());
        result.sources = result.sources.map(|sources| sources.into_iter().map(|source| self.value(source)).collect());
        result.metadata = result.metadata.map(|metadata| {
            metadata.into_iter().map(|(name, value)| (self.text(&name).into_owned(), self.value(value))).collect()
        });
        result.quality_details = result
            .quality_details
            .map(|details| details.into_iter().map(|(name, score)| (self.text(&name).into_owned(), score)).collect());
        result
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The text without secrets.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.0 {
            Some(secrets) if secrets.search.is_match(text) => {
                Cow::Owned(secrets.search.replace_all(text, &vec![MASK; secrets.values.len()]))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Masks every text within a JSON value, names of fields included.
    pub fn value(&self, value: Value) -> Value {
        if self.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.text(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.text(&name).into_owned(), self.value(value))).collect()
            }
            other => other,
        }
    }

    /// Masks a stream of bytes.
    pub(super) fn stream(&self) -> MaskStream {
        MaskStream { secrets: self.0.clone(), held: Vec::new() }
    }
}

/// Masks a stream that comes in pieces: the end of a piece that may be the beginning of a secret is held back until more is known.
pub(super) struct MaskStream {
    secrets: Option<Arc<Secrets>>,
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes a piece and gives what can be shown.
    pub fn push(&mut self, piece: &[u8], mut show: impl FnMut(&[u8])) {
        let Some(secrets) = &self.secrets else { return show(piece) };
        self.held.extend_from_slice(piece);
        let rest = secrets.mask(&self.held, false, &mut show);
        self.held.drain(..rest);
    }

    /// The stream has ended: gives what was held back.
    pub fn finish(&mut self, mut show: impl FnMut(&[u8])) {
        if let Some(secrets) = &self.secrets {
            secrets.mask(&std::mem::take(&mut self.held), true, &mut show);
        }
    }
}

impl Secrets {
    /// Shows what is certain of `bytes`, masked, and says how much that is.
    fn mask(&self, bytes: &[u8], ended: bool, show: &mut impl FnMut(&[u8])) -> usize {
        let mut from = 0;
        loop {
            let open = if ended { bytes.len() } else { self.beginning_of_one(bytes, from) };
            match self.search.find(Input::new(bytes).range(from..).anchored(Anchored::No)) {
                // A match from `open` on may still grow into a longer one.
                Some(found) if found.start() < open => {
                    if found.start() > from {
                        show(&bytes[from..found.start()]);
                    }
                    show(MASK.as_bytes());
                    from = found.end();
                }
                _ => {
                    if open > from {
                        show(&bytes[from..open]);
                    }
                    return open;
                }
            }
        }
    }

    /// The first place from which the rest of `bytes` is the beginning of a secret that has not ended; their length when there is none.
    fn beginning_of_one(&self, bytes: &[u8], from: usize) -> usize {
        let first = from.max(bytes.len().saturating_sub(self.longest - 1));
        let open = |rest: &[u8]| self.values.iter().any(|value| value.len() > rest.len() && value.starts_with(rest));
        (first..bytes.len()).find(|at| open(&bytes[*at..])).unwrap_or(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(masker: &Masker, pieces: &[&[u8]]) -> Vec<u8> {
        let mut shown = Vec::new();
        let mut stream = masker.stream();
        for piece in pieces {
            stream.push(piece, |bytes| shown.extend_from_slice(bytes));
        }
        stream.finish(|bytes| shown.extend_from_slice(bytes));
        shown
    }

    #[test]
    fn a_secret_cut_anywhere_is_found_and_harmless_text_is_not_kept_back() {
        let masker = Masker::new(["hunter2", ""]).unwrap();
        let text = b"password hunter2 and hunter3";
        for cut in 0..text.len() {
            let (a, b) = text.split_at(cut);
            assert_eq!(String::from_utf8(masked(&masker, &[a, b])).unwrap(), "password ••• and hunter3");
        }
        let mut shown = Vec::new();
        masker.stream().push(b"no secret here: ", |bytes| shown.extend_from_slice(bytes));
        assert_eq!(shown, b"no secret here: ");
    }

    #[test]
    fn texts_and_values_are_masked_through_and_through() {
        let masker = Masker::new(["abc", "abcdef"]).unwrap();
        assert_eq!(masker.text("xabcdefabcx"), "x••••••x");
        let value = serde_json::json!({"abc": ["1 abc", 2]});
        assert_eq!(masker.value(value), serde_json::json!({"•••": ["1 •••", 2]}));
        assert!(Masker::default().is_empty());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "[ab]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..6)) {
            let masker = Masker::new(["ab", "aba", "bbbb", "babab"]).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                pieces.push(&text.as_bytes()[from..cut]);
                from = cut;
            }
            let whole = masked(&masker, &[text.as_bytes()]);
            prop_assert_eq!(masked(&masker, &pieces), whole.clone());
            prop_assert_eq!(whole, masker.text(&text).into_owned().into_bytes());
        }
    }
}
