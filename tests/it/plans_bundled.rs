//! The plans that come with the program.

use std::path::Path;

use crate::cli_support::Sandbox;

const PLANS: [&str; 6] =
    ["console-demo", "foreach-demo", "graph-demo", "host-checkup", "project-checks", "research-demo"];

fn folder() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").to_string_lossy().into_owned()
}

#[test]
fn they_are_all_listed_and_have_neither_errors_nor_warnings() {
    let sandbox = Sandbox::new();
    let listed = sandbox.json(&["--plans", &folder(), "plans", "--format", "json"]);
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|plan| plan["plan_id"].as_str().unwrap()).collect();
    assert_eq!(ids, PLANS);
    for plan in PLANS {
        let checked = sandbox.json(&["--plans", &folder(), "check", plan, "--format", "json"]);
        assert_eq!(checked[0]["diagnostics"], serde_json::json!([]), "{plan}");
    }
}

#[test]
fn the_host_check_up_writes_its_report() {
    let sandbox = Sandbox::new();
    let told = sandbox.ok(0, &["--plans", &folder(), "run", "host-checkup", "--headless"]);
    assert!(told.contains("COMPLETED"), "{told}");
    let reports: Vec<_> = std::fs::read_dir(sandbox.path().join("reports"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert_eq!(reports.len(), 1);
    let report = std::fs::read_to_string(&reports[0]).unwrap();
    for section in [
        "## Summary",
        "## disk",
        "## memory",
        "## load",
        "## processes",
        "## sockets",
        "## clock",
        "## kernel",
        "## services",
    ] {
        assert!(report.contains(section), "{section} is missing:\n{report}");
    }
    assert!(!report.contains("Not gathered"), "{report}");
    assert!(report.contains("processors") && report.contains("MiB in all"), "{report}");
    let shown = sandbox.snapshot();
    let steps = shown["steps"].as_array().unwrap();
    assert!(steps.last().unwrap()["result"]["data"]["report"].as_str().unwrap().starts_with("reports/"));
    assert!(sandbox.ok(0, &["verify", "host-checkup"]).contains("whole"));
}
