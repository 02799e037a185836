//! The docs name tests: each of them is there.

use std::path::Path;

#[test]
fn every_test_that_the_promises_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 30, "only {} tests are named", named.len());
    for (file, name) in named {
        let text = std::fs::read_to_string(root.join(format!("tests/it/{file}.rs"))).unwrap_or_default();
        let there = text.contains(&format!("fn {name}("));
        assert!(there, "docs/reliability.md names {file}::{name}, which is no test");
    }
}
