//! The docs name tests: each of them is there.

use std::path::Path;

#[test]
fn every_test_that_the_promises_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/reliability.md", "docs/console.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let words: Vec<&str> = text.split('`').collect();
        let mut named: Vec<(String, &str)> = Vec::new();
        for place in (1..words.len()).step_by(2) {
            // `file::name`, or `name` in `src/…`.
            match words[place].split_once("::") {
                Some((file, name)) => named.push((format!("tests/it/{file}.rs"), name)),
                None if words[place].starts_with("src/") && words[place - 1].trim() == "in" => {
                    named.push((words[place].to_owned(), words[place - 2]));
                }
                None => {}
            }
        }
        assert!(named.len() > 20, "{page} names only {} tests", named.len());
        for (file, name) in named {
            let text = std::fs::read_to_string(root.join(&file)).unwrap_or_default();
            assert!(text.contains(&format!("fn {name}(")), "{page} names {name} in {file}, which is no test");
        }
    }
}
