//! The plans that come with the program.

use std::path::Path;

use crate::cli_support::Sandbox;

const PLANS: [&str; 14] = [
    "backup-demo",
    "console-demo",
    "foreach-demo",
    "graph-demo",
    "host-checkup",
    "mcp-demo",
    "person-demo",
    "pools-demo",
    "project-checks",
    "quality-demo",
    "research-demo",
    "retries-demo",
    "rollback-demo",
    "sign-off-demo",
];

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

#[test]
fn the_backup_asks_for_its_folder_and_leaves_out_what_was_not_asked_for() {
    let sandbox = Sandbox::new();
    let plans = folder();
    let run = |exit: i32, set: &[&str]| {
        let mut args = vec!["--plans", &plans, "run", "backup-demo", "--headless"];
        args.extend(set.iter().flat_map(|set| ["--set", set]));
        sandbox.ok(exit, &args)
    };
    std::fs::create_dir(sandbox.path().join("documents")).unwrap();
    std::fs::write(sandbox.path().join("documents/letter.txt"), "Dear reader").unwrap();
    let told = run(0, &["folder=documents"]);
    assert!(
        told.contains("COMPLETED") && told.contains("store skipped") && told.contains("verify completed"),
        "{told}"
    );
    let told = run(0, &["folder=documents", "method=none", "verify=false"]);
    assert!(told.contains("pack skipped") && told.contains("verify skipped"), "{told}");
    let told = run(0, &["folder=documents", "most_mb=0"]);
    assert!(told.contains("too-large completed") && told.contains("pack skipped"), "{told}");
    let backups = std::fs::read_dir(sandbox.path().join("backups")).unwrap().count();
    assert_eq!(backups, 2);
}

#[test]
fn the_quality_demo_tries_again_and_then_asks() {
    let sandbox = Sandbox::new();
    let told = sandbox.ok(4, &["--plans", &folder(), "run", "quality-demo", "--headless"]);
    assert!(told.contains("estimate started (attempt 2)") && told.contains("`estimate` is in review"), "{told}");
    let told = sandbox.ok(4, &["resume", "quality-demo", "--headless", "--approve", "estimate"]);
    assert!(told.contains("`letter` is in review"), "{told}");
    let told = sandbox.ok(0, &["resume", "quality-demo", "--headless", "--approve", "letter"]);
    assert!(told.contains("COMPLETED"), "{told}");
}

#[test]
fn the_sign_off_demo_wants_two_people() {
    let sandbox = Sandbox::new();
    let told = sandbox.ok(4, &["--plans", &folder(), "run", "sign-off-demo", "--headless"]);
    assert!(told.contains("`switch` is held"), "{told}");
    let release = |exit, user| {
        sandbox.ok(exit, &["resume", "sign-off-demo", "--headless", "--user", user, "--release", "switch"])
    };
    let told = release(4, "ann");
    assert!(told.contains("`switch` is held"), "one is not enough: {told}");
    let told = release(0, "bob");
    assert!(told.contains("COMPLETED"), "{told}");
}

#[test]
fn the_release_that_is_not_well_is_taken_back() {
    let sandbox = Sandbox::new();
    let told = sandbox.ok(1, &["--plans", &folder(), "run", "rollback-demo", "--headless"]);
    assert!(told.contains("because   check failed: exit status 1; rolled back: switch, unpack"), "{told}");
    let current = || std::fs::read_link(sandbox.path().join("rollback-demo/current")).unwrap();
    assert_eq!(current().to_string_lossy(), "releases/v1");
    assert!(!sandbox.path().join("rollback-demo/releases/v2").exists());
    // One that is well stays, until somebody wants it back.
    sandbox.ok(0, &["--plans", &folder(), "run", "rollback-demo", "--headless", "--set", "well=yes"]);
    assert_eq!(current().to_string_lossy(), "releases/v2");
    sandbox.ok(3, &["resume", "rollback-demo", "--rollback", "--headless"]);
    assert_eq!(current().to_string_lossy(), "releases/v1");
}
