//! Reading a table of the configuration: each value of its type, and all that is wrong with where it stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::plan::{CommandLine, suggest};

/// A whole file that is being read: what was wrong, and on which line each value stood.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// What is wrong, each with its line.
    pub problems: Vec<(usize, String)>,
    /// The line of each value, by its full name: `theme.name`.
    pub lines: BTreeMap<String, usize>,
}

/// A table that is being read: what nobody has asked for is unknown.
pub(super) struct Section<'a, 'r, 't> {
    table: Option<&'a DeTable<'a>>,
    /// Its name in messages.
    shown: String,
    /// What its values are called: `theme.`.
    prefix: String,
    known: Vec<&'static str>,
    reader: &'r mut Reader<'t>,
}

type Found<'a, T> = Option<(T, &'a Spanned<DeValue<'a>>)>;

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new(), lines: BTreeMap::new() }
    }

    /// The line of a place in the text, from 1.
    pub fn line(&self, place: usize) -> usize {
        let before = &self.text.as_bytes()[..place.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub fn wrong(&mut self, at: &Range<usize>, what: String) {
        self.problems.push((self.line(at.start), what));
    }

    /// All of the file.
    pub fn top<'a>(&mut self, table: &'a DeTable<'a>) -> Section<'a, '_, 't> {
        self.section(Some(table), String::new(), String::new())
    }

    /// A table, which may be absent. `shown` names it in messages, `prefix` stands before the names of its values.
    pub fn section<'a>(
        &mut self,
        table: Option<&'a DeTable<'a>>,
        shown: String,
        prefix: String,
    ) -> Section<'a, '_, 't> {
        Section { table, shown, prefix, known: Vec::new(), reader: self }
    }
}

impl<'a> Section<'a, '_, '_> {
    pub fn wrong(&mut self, at: &Range<usize>, what: String) {
        self.reader.wrong(at, what);
    }

    /// A value by its name, which is known from then on.
    pub fn find(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(name);
        let (key, value) = self.table?.iter().find(|(key, _)| key.get_ref() == name)?;
        let line = self.reader.line(key.span().start);
        self.reader.lines.insert(format!("{}{name}", self.prefix), line);
        Some(value)
    }

    /// A value as it is wanted; of another it is said what it is to be.
    fn wanted<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        take: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Found<'a, T> {
        let value = self.find(name)?;
        let taken = take(value.get_ref());
        if taken.is_none() {
            self.wrong(&value.span(), format!("`{name}` is to be {wanted}"));
        }
        Some((taken?, value))
    }

    /// A value that a reading of its own takes or says to be wrong.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        take: impl FnOnce(&'a DeValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.find(name)?;
        take(value.get_ref()).map_err(|what| self.wrong(&value.span(), what)).ok()
    }

    pub fn text(&mut self, name: &'static str) -> Option<(String, Range<usize>)> {
        let (text, value) = self.wanted(name, "a text", |value| value.as_str().map(str::to_owned))?;
        Some((text, value.span()))
    }

    /// A text that says something.
    pub fn filled(&mut self, name: &'static str) -> Option<String> {
        let (text, at) = self.text(name)?;
        if text.trim().is_empty() {
            self.wrong(&at, format!("`{name}` is empty"));
            return None;
        }
        Some(text)
    }

    /// A text or a list of texts.
    pub fn texts(&mut self, name: &'static str) -> Vec<(String, Range<usize>)> {
        let Some(value) = self.find(name) else { return Vec::new() };
        texts(value).unwrap_or_else(|| {
            self.wrong(&value.span(), format!("`{name}` is to be a text or a list of texts"));
            Vec::new()
        })
    }

    /// A line for the shell, or a program and its arguments.
    pub fn command(&mut self, name: &'static str) -> Option<CommandLine> {
        let value = self.find(name)?;
        let Some(words) = texts(value) else {
            self.wrong(&value.span(), format!("`{name}` is to be a text or a list of texts"));
            return None;
        };
        let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
        if value.get_ref().is_str() {
            return words.into_iter().next().map(CommandLine::Shell);
        }
        if words.is_empty() {
            self.wrong(&value.span(), format!("`{name}` is an empty list; it must name a program"));
        }
        Some(CommandLine::Argv(words))
    }

    /// A whole number within bounds, both of which are allowed.
    pub fn whole(&mut self, name: &'static str, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let wanted = match *bounds.end() {
            u32::MAX => format!("a whole number, not less than {}", bounds.start()),
            end => format!("a whole number from {} to {end}", bounds.start()),
        };
        let take = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            let number = u32::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()?;
            bounds.contains(&number).then_some(number)
        };
        self.wanted(name, &wanted, take).map(|(number, _)| number)
    }

    /// A time in seconds, more than none.
    pub fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        let take = |value: &DeValue<'_>| {
            let number = value.as_integer().map(|it| it.as_str()).or(value.as_float().map(|it| it.as_str()))?;
            let seconds: f64 = number.replace('_', "").parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero() && time.as_secs() < 10_000_000)
        };
        self.wanted(name, "a number of seconds, more than 0", take).map(|(seconds, _)| seconds)
    }

    pub fn yes_or_no(&mut self, name: &'static str) -> Option<bool> {
        self.wanted(name, "true or false", DeValue::as_bool).map(|(value, _)| value)
    }

    pub fn table(&mut self, name: &'static str) -> Option<&'a DeTable<'a>> {
        self.wanted(name, &format!("a table: [{name}]"), DeValue::as_table).map(|(table, _)| table)
    }

    /// A list of tables, with where each stands.
    pub fn tables(&mut self, name: &'static str) -> Vec<(&'a DeTable<'a>, Range<usize>)> {
        let take = |value: &'a DeValue<'a>| {
            let list = value.as_array()?.iter();
            list.map(|one| Some((one.get_ref().as_table()?, one.span()))).collect::<Option<Vec<_>>>()
        };
        self.wanted(name, &format!("a list of tables: [[{name}]]"), take).map(|(list, _)| list).unwrap_or_default()
    }

    /// All that is known was asked for: the rest is not known.
    pub fn end(self) {
        let Self { table, shown, known, reader, .. } = self;
        let names = table.into_iter().flat_map(|table| table.iter());
        for (key, _) in names.filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
            let place = if shown.is_empty() { String::new() } else { format!(" in {shown}") };
            let what = format!("`{}` is not known{place}", key.get_ref());
            reader.wrong(&key.span(), unknown(&what, key.get_ref(), known.iter().copied()));
        }
    }
}

/// A text, or a list of texts.
pub(super) fn texts(value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    let one = |value: &Spanned<DeValue<'_>>| Some((value.get_ref().as_str()?.to_owned(), value.span()));
    match value.get_ref().as_array() {
        Some(list) => list.iter().map(one).collect(),
        None => Some(vec![one(value)?]),
    }
}

/// What is not known, with the nearest of what is.
pub(super) fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match suggest(word, known.iter().copied()) {
        Some(near) => format!("{what}: did you mean `{near}`?"),
        None => format!("{what}: there are {}", known.join(", ")),
    }
}
