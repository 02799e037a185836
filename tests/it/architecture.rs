//! The layout is the architecture: imports point one way, the core is pure, and only the command line prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each part of the crate may use of the others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("run", &["plan"]),
    ("journal", &["plan", "run"]),
    ("agents", &["plan", "run"]),
    ("engine", &["plan", "run", "journal", "agents"]),
    // The console reads runs through the engine's handle, never the journal.
    ("console", &["plan", "run", "engine"]),
    ("cli", &["plan", "run", "journal", "agents", "engine", "console"]),
];

/// What the pure parts must not know: other tasks, files, processes, the environment, the clock, the terminal. Nor may they make ids.
const IMPURE: &[&str] = &[
    "tokio",
    "crossterm",
    "ratatui",
    "rustix",
    "tempfile",
    "std::fs",
    "std::process",
    "std::net",
    "std::env",
    "std::thread",
    "std::io::stdout",
    "std::io::stderr",
    "std::io::stdin",
    "std::time::SystemTime",
    "std::time::Instant",
    "chrono::Local",
];

#[test]
fn imports_point_one_way() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(part, _)| *part == source.part) else {
            assert!(
                ["lib", "main"].contains(&source.part.as_str()),
                "src/{} is no part of the architecture: say in tests/it/architecture.rs what it may use",
                source.part
            );
            continue;
        };
        for path in source.paths() {
            let Some(used) = path.strip_prefix("crate::").and_then(|rest| rest.split("::").next()) else { continue };
            let is_part = MAY_USE.iter().any(|(part, _)| *part == used);
            if is_part && used != source.part && !allowed.contains(&used) {
                wrong.insert(format!("{}: `{}` must not use `{used}`", source.name.display(), source.part));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point the wrong way:\n{}", join(&wrong));
}

#[test]
fn the_core_is_pure() {
    let mut wrong = BTreeSet::new();
    for source in sources().into_iter().filter(|source| ["plan", "run"].contains(&source.part.as_str())) {
        for path in source.paths() {
            let starts = |known: &&&str| path == **known || path.starts_with(&format!("{known}::"));
            if let Some(known) = IMPURE.iter().find(starts) {
                wrong.insert(format!("{}: uses `{known}`", source.name.display()));
            }
            if path.ends_with("Utc::now") || path.ends_with("SystemTime::now") {
                wrong.insert(format!("{}: reads the clock (`{path}`)", source.name.display()));
            }
            if path.split("::").any(|word| word == "now_v7" || word.starts_with("new_v")) {
                wrong.insert(format!("{}: makes an id (`{path}`)", source.name.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the core knows what it must not:\n{}", join(&wrong));
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = BTreeSet::new();
    for source in sources().into_iter().filter(|source| !["cli", "main"].contains(&source.part.as_str())) {
        // The warden is a process of its own, without a screen.
        if source.name.starts_with("src/agents/warden") {
            continue;
        }
        let tokens = &source.tokens;
        for pair in tokens.windows(2) {
            if ["print", "println", "eprint", "eprintln", "dbg"].contains(&pair[0].as_str()) && pair[1] == "!" {
                wrong.insert(format!("{}: {}!", source.name.display(), pair[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "something beside the command line prints to the terminal:\n{}", join(&wrong));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: BTreeSet<String> = files(Path::new("src"))
        .into_iter()
        .filter(|file| file.file_stem().is_some_and(|stem| stem != "tests") && !read(file).starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files without a leading `//!`:\n{}", join(&silent));
}

#[test]
fn the_reader_of_paths_sees_groups_and_skips_what_is_not_code() {
    let tokens = tokens(
        r##"
        // crate::cli in a comment
        use crate::{plan::{Plan, order::Order}, run as other};
        use std::{fs, io::{self, Read}};
        /* crate::cli::x */ const TEXT: &str = "crate::cli";
        const RAW: &str = r#"crate::cli "quoted""#;
        fn f<'a>(x: &'a str) -> crate::engine::Handle { let c = '"'; crate::run::decide(x) }
        #[cfg(test)]
        mod tests { use crate::cli; }
        "##,
    );
    let found = paths(&tokens);
    let expected = [
        "crate::plan::Plan",
        "crate::plan::order::Order",
        "crate::run",
        "std::fs",
        "std::io::self",
        "std::io::Read",
        "crate::engine::Handle",
        "crate::run::decide",
    ];
    assert_eq!(found, expected);
}

struct Source {
    name: PathBuf,
    part: String,
    tokens: Vec<String>,
}

impl Source {
    fn paths(&self) -> Vec<String> {
        paths(&self.tokens)
    }
}

fn sources() -> Vec<Source> {
    let found: Vec<Source> = files(Path::new("src"))
        .into_iter()
        .filter(|file| file.file_stem().is_some_and(|stem| stem != "tests"))
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
        .map(|name| {
            let below = name.strip_prefix("src").unwrap();
            let part = below.components().next().unwrap().as_os_str().to_string_lossy();
            let part = part.strip_suffix(".rs").unwrap_or(&part).to_owned();
            let tokens = tokens(&read(&name));
            Source { name, part, tokens }
        })
        .collect();
    assert!(found.len() > 10, "the sources are not where this test looks for them");
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn join(lines: &BTreeSet<String>) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// Identifiers and punctuation of a Rust file, up to its test module; comments, strings and characters are left out.
fn tokens(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let text = text.split("#[cfg(test)]\n        mod ").next().unwrap_or_default();
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (token, length) = match rest {
            ['/', '/', ..] => (None, rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
            ['/', '*', ..] => {
                (None, rest.windows(2).position(|two| two == ['*', '/']).map_or(rest.len(), |end| end + 2))
            }
            ['r', '"' | '#', ..] if raw_string(rest).is_some() => (None, raw_string(rest).unwrap()),
            ['"', ..] => (None, string(rest, '"')),
            ['\'', '\\', ..] => (None, string(rest, '\'')),
            ['\'', _, '\'', ..] => (None, 3),
            [':', ':', ..] => (Some("::".to_owned()), 2),
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                (Some(word), length)
            }
            [first, ..] if first.is_whitespace() => (None, 1),
            [first, ..] => (Some(first.to_string()), 1),
            [] => break,
        };
        found.extend(token);
        at += length;
    }
    found
}

fn string(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let mut closing = vec!['"'];
    closing.extend(std::iter::repeat_n('#', hashes));
    let start = 2 + hashes;
    let end = rest[start..].windows(closing.len()).position(|window| window == closing)?;
    Some(start + end + closing.len())
}

/// Every path of a file that begins at a crate's name or at `crate`, with groups taken apart.
fn paths(tokens: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = tokens.get(at + 1).is_some_and(|next| next == "::") && is_word(&tokens[at]);
        let goes_on = at > 0 && tokens[at - 1] == "::";
        if begins && !goes_on {
            at = branch(tokens, at, String::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Reads one path (or one branch of a group) from `at`; gives the place behind it.
fn branch(tokens: &[String], mut at: usize, prefix: String, found: &mut Vec<String>) -> usize {
    let mut path = prefix;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if path.ends_with("::") => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = branch(tokens, at, path.clone(), found);
                    while tokens.get(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            Some(word) if is_word(word) || word == "*" => {
                path.push_str(word);
                at += 1;
                if tokens.get(at).is_some_and(|next| next == "::") {
                    path.push_str("::");
                    at += 1;
                } else {
                    found.push(path);
                    return at;
                }
            }
            // `Vec::<u8>` and the like: what stands before it is the path.
            _ => {
                found.push(path.trim_end_matches("::").to_owned());
                return at;
            }
        }
    }
}
