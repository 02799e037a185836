//! Plans as their authors meet them: how a bad plan is answered, and that the published schema says what the loader does.

use std::path::Path;

use holdpoint::plan::{check, load, render_text, schema};
use serde_json::Value;

const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plans/plan.schema.json");

/// Set this variable to write the schema file anew.
const REGENERATE: &str = "HOLDPOINT_WRITE_SCHEMA";

#[test]
fn the_published_schema_is_the_generated_one() {
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(SCHEMA_FILE, &generated).unwrap();
    }
    let published = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
    assert!(
        published == generated,
        "plans/plan.schema.json is not what the types say; write it anew with {REGENERATE}=1 cargo nextest run published_schema"
    );
}

/// Plans that load.
const GOOD: &[(&str, &str)] = &[
    ("seed", include_str!("../fixtures/plans/seed.json")),
    ("everything", include_str!("../fixtures/plans/everything.json")),
    ("older", include_str!("../fixtures/plans/older.json")),
    ("smallest", r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "true"}]}"#),
    ("agent only", r#"{"plan_id": "p", "steps": [{"step_id": "a", "agent_type": "x"}]}"#),
    ("action only", r#"{"plan_id": "p", "steps": [{"step_id": "a", "action": "x"}]}"#),
    ("work in defaults", r#"{"plan_id": "p", "defaults": {"run": "x"}, "steps": [{"step_id": "a"}]}"#),
    (
        "nulls",
        r#"{"plan_id": "p", "title": null, "variables": null, "agents": null, "defaults": null, "pools": null, "metadata": null,
            "steps": [{"step_id": "a", "run": "x", "env": null, "idempotent": null, "depends_on": null, "retry": null,
            "hold": null, "foreach": null, "parameters": null, "quality_gate": {"require_review": null, "quality_dimensions": null}}]}"#,
    ),
    ("hold off", r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "x", "hold": false}]}"#),
    (
        "bounds",
        r#"{"plan_id": "p", "max_parallel": 4096, "priority": -2147483648, "steps": [{"step_id": "a", "run": "x", "timeout_seconds": 31536000}]}"#,
    ),
    (
        "long id",
        concat!(
            r#"{"plan_id": "0123456789012345678901234567890123456789012345678901234567890123"#,
            r#"0123456789012345678901234567890123456789012345678901234567890123", "steps": [{"step_id": "-", "run": "x"}]}"#
        ),
    ),
    (
        "wait from parameters",
        r#"{"plan_id": "p", "agents": {"w": {"kind": "wait"}}, "steps": [{"step_id": "a", "agent_type": "w", "parameters": {"seconds": 1}}]}"#,
    ),
];

/// Plans that do not load, each with the answer it gets held as a snapshot. The flag: whether a JSON Schema can see it too.
const BAD: &[(&str, bool, &str)] = &[
    ("no_plan", true, "[]"),
    ("nothing", false, ""),
    ("empty_object", true, "{}"),
    ("no_steps", true, r#"{"plan_id": "p", "steps": []}"#),
    (
        "broken_json",
        false,
        "{\n  // my plan\n  'plan_id': \"p\",\n  title: \"x\"\n  \"max_parallel\": 08,\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"idempotent\": True,},\n    {\"step_id\" \"b\", \"run\": }\n  ],\n}\n",
    ),
    ("not_closed", false, "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\"\n  ]\n"),
    ("string_not_closed", false, "{\n  \"plan_id\": \"p,\n  \"steps\": [{\"step_id\": \"a\", \"run\": \"x\"}]\n}"),
    ("text_behind", false, "{\"plan_id\": \"p\", \"steps\": [{\"step_id\": \"a\", \"run\": \"x\"}]}\n}"),
    ("bad_escape", false, r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "C:\temp\x"}]}"#),
    ("lone_surrogate", false, r#"{"plan_id": "p", "title": "\ud800", "steps": [{"step_id": "a", "run": "x"}]}"#),
    (
        "unknown_fields",
        true,
        "{\n  \"plan_id\": \"p\",\n  \"max_paralel\": 3,\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"dependson\": [], \"retry\": {\"delay\": 3}, \"colour\": 1}\n  ]\n}",
    ),
    (
        "wrong_types",
        true,
        "{\n  \"plan_id\": 7,\n  \"max_parallel\": \"4\",\n  \"on_failure\": \"continu\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": [\"x\"], \"depends_on\": \"b\", \"hold\": 3, \"env\": {\"A\": 1}},\n    \"b\"\n  ]\n}",
    ),
    (
        "ids",
        true,
        "{\n  \"plan_id\": \"../etc/passwd\",\n  \"steps\": [\n    {\"step_id\": \"\", \"run\": \"x\"},\n    {\"step_id\": \"schöner Schritt\", \"run\": \"x\"},\n    {\"run\": \"x\"}\n  ]\n}",
    ),
    (
        "long_id",
        true,
        concat!(
            r#"{"plan_id": "p", "steps": [{"run": "x", "step_id": "a0123456789012345678901234567890123456789012345678901234567890123"#,
            r#"0123456789012345678901234567890123456789012345678901234567890123"}]}"#
        ),
    ),
    (
        "duplicates",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"plan_id\": \"q\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"env\": {\"A\": \"1\", \"A\": \"2\"}},\n    {\"step_id\": \"a\", \"run\": \"x\", \"metadata\": {\"x\": {\"y\": 1, \"\\u0079\": 2}}}\n  ]\n}",
    ),
    (
        "two_spellings",
        true,
        r#"{"plan_id": "p", "steps": [{"step_id": "a", "agent_type": "x", "action": "y", "tool_name": "z"}]}"#,
    ),
    (
        "unknown_dependency",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"verify\", \"run\": \"x\"},\n    {\"step_id\": \"ship\", \"run\": \"x\", \"depends_on\": [\"verfiy\", \"nothing-like-it\"]}\n  ]\n}",
    ),
    (
        "cycles",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"depends_on\": [\"c\"]},\n    {\"step_id\": \"b\", \"run\": \"x\", \"depends_on\": [\"a\"]},\n    {\"step_id\": \"c\", \"run\": \"x\", \"depends_on\": [\"b\"]},\n    {\"step_id\": \"d\", \"run\": \"x\", \"depends_on\": [\"d\"]}\n  ]\n}",
    ),
    (
        "ranges",
        true,
        "{\n  \"plan_id\": \"p\",\n  \"max_parallel\": 5000,\n  \"pools\": {\"db\": 0},\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"timeout_seconds\": -5, \"max_retries\": 1e2, \"retry\": {\"jitter\": 2}},\n    {\"step_id\": \"b\", \"run\": \"x\", \"quality_gate\": {\"min_quality\": 1.5}}\n  ]\n}",
    ),
    (
        "thresholds",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\",\n     \"quality_gate\": {\n       \"review_threshold_low\": 0.9,\n       \"review_threshold_high\": 0.8}}\n  ]\n}",
    ),
    (
        "expressions",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"variables\": {\"bucket\": {}},\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"docker ps --format '{{.Names}}'\"},\n    {\"step_id\": \"b-c\", \"run\": \"echo {{ vars.buket }} {{ steps.b-c.result }}\", \"when\": \"{{ true }}\"},\n    {\"step_id\": \"d\", \"run\": \"echo {{ bucket }}\", \"when\": \"steps.a.result.rows >\"}\n  ]\n}",
    ),
    (
        "who_does_it",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"a\"},\n    {\"step_id\": \"b\", \"run\": \"x\", \"agent_type\": \"y\"},\n    {\"step_id\": \"c\", \"run\": \"x\", \"action\": \"y\"}\n  ]\n}",
    ),
    (
        "agents",
        true,
        "{\n  \"plan_id\": \"p\",\n  \"agents\": {\n    \"a\": {\"kind\": \"comand\", \"command\": \"x\"},\n    \"b\": {\"command\": \"x\"},\n    \"c\": {\"kind\": \"command\"},\n    \"d\": {\"kind\": \"wait\", \"until\": \"tomorrow\"},\n    \"e\": {\"kind\": \"simulated\", \"failure_rate\": 3, \"sed\": 1},\n    \"f\": {\"kind\": \"command\", \"command\": []}\n  },\n  \"steps\": [{\"step_id\": \"a\", \"agent_type\": \"a\"}]\n}",
    ),
    (
        "agents_that_contradict",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"agents\": {\n    \"a\": {\"kind\": \"wait\", \"seconds\": 1, \"until\": \"2031-05-04T22:30:00Z\"},\n    \"b\": {\"kind\": \"mcp\"},\n    \"c\": {\"kind\": \"mcp\", \"command\": \"x\", \"url\": \"y\"}\n  },\n  \"steps\": [{\"step_id\": \"a\", \"agent_type\": \"a\"}]\n}",
    ),
    (
        "unknown_pool",
        false,
        "{\n  \"plan_id\": \"p\",\n  \"pools\": {\"database\": 1},\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"pool\": \"databse\"},\n    {\"step_id\": \"b\", \"run\": \"x\", \"pool\": \"gpu\"}\n  ]\n}",
    ),
    (
        "defaults",
        true,
        "{\n  \"plan_id\": \"p\",\n  \"defaults\": {\"step_id\": \"x\", \"timeout_seconds\": \"9\", \"retires\": 2},\n  \"steps\": [{\"step_id\": \"a\", \"run\": \"x\"}]\n}",
    ),
    (
        "hostile",
        true,
        "{\n  \"plan_id\": \"\\u001b[2Jx\u{202e}\",\n  \"steps\": [{\"step_id\": \"a\", \"run\": \"x\", \"\u{1b}[31mred\": 1}]\n}",
    ),
    (
        "windows_lines_and_tabs",
        true,
        "{\r\n\t\"plan_id\": \"p\",\r\n\t\"steps\": [\r\n\t\t{\"step_id\": \"ä\", \"run\": \"x\", \"wat\": 1}\r\n\t]\r\n}\r\n",
    ),
];

fn answer(text: &str) -> String {
    let found = check("plans/plan.json", text, true);
    render_text("plans/plan.json", text, &found.diagnostics, false)
}

#[test]
fn a_bad_plan_gets_all_its_problems_named() {
    for (name, _, text) in BAD {
        insta::assert_snapshot!(*name, answer(text));
    }
}

#[test]
fn a_plan_that_run_refuses_is_answered_by_check() {
    let text = "{\n  \"plan_id\": \"p\",\n  \"agents\": {\"uploader\": {\"kind\": \"http\", \"url\": \"https://x\"}, \"unused\": {\"kind\": \"manual\"}},\n  \"steps\": [\n    {\"step_id\": \"a\", \"agent_type\": \"uploder\"},\n    {\"step_id\": \"b\", \"agent_type\": \"reviewer\", \"rollback\": {\"run\": \"x\"}},\n    {\"step_id\": \"c\", \"agent_type\": \"reviewer\", \"name\": \"{{ run.id }}\"},\n    {\"step_id\": \"d\", \"agent_type\": \"uploader\"}\n  ]\n}";
    let found = check("plans/plan.json", text, false);
    insta::assert_snapshot!("not_bound_and_not_yet", render_text("plans/plan.json", text, &found.diagnostics, false));
}

#[test]
fn what_run_refuses_is_told_together_with_everything_else_that_is_wrong() {
    let text = "{\n  \"plan_id\": \"p\",\n  \"steps\": [\n    {\"step_id\": \"a\", \"run\": \"x\", \"depends_on\": [\"bb\"]},\n    {\"step_id\": \"b\", \"agent_type\": \"xx\", \"action\": \"y\"},\n    {\"step_id\": \"c\"}\n  ]\n}";
    let found = check("plans/plan.json", text, false);
    insta::assert_snapshot!("all_at_once", render_text("plans/plan.json", text, &found.diagnostics, false));
    let text = "{\"plan_id\": \"p\", \"steps\": [{\"step_id\": \"a\", \"run\": \"x\", \"timeout\": 5}]}";
    let found = check("plans/plan.json", text, false);
    insta::assert_snapshot!("words_left_off", render_text("plans/plan.json", text, &found.diagnostics, false));
}

#[test]
fn colour_marks_the_same_text() {
    let (_, _, text) = BAD[10];
    let found = load("p", text);
    let colored = render_text("p", text, &found.diagnostics, true);
    let mut plain = String::new();
    let mut pieces = colored.split('\u{1b}');
    plain.push_str(pieces.next().unwrap_or_default());
    pieces.for_each(|piece| plain.push_str(piece.split_once('m').map_or("", |(_, rest)| rest)));
    assert_ne!(colored, plain);
    assert_eq!(plain, render_text("p", text, &found.diagnostics, false));
}

#[test]
fn schema_and_loader_agree() {
    let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
    let valid = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|plan| validator.is_valid(&plan));
    for (name, text) in GOOD {
        let found = load(name, text);
        assert!(found.plan.is_some(), "{name}: {}", render_text(name, text, &found.diagnostics, false));
        assert!(valid(text), "the schema refuses `{name}`, which the loader takes");
    }
    for (name, seen, text) in BAD {
        assert!(load(name, text).plan.is_none(), "the loader takes `{name}`");
        if serde_json::from_str::<Value>(text).is_ok() {
            assert_eq!(!valid(text), *seen, "what the schema says to `{name}` has changed");
        }
    }
}

/// Every place of a plan with every field, made wrong in many ways, one at a time: schema and loader must say the same, except where only
/// the loader can know (it may be stricter, never laxer).
#[test]
fn schema_and_loader_agree_on_every_field_made_wrong() {
    let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
    let wrong: Vec<Value> = serde_json::from_str(
        r#"[null, true, 0, -1, 1, 2, 0.5, 1.5, 1e300, 5000, 99999999999, "", "x", "a b", "rollback", [], ["x"], [1], {}, {"x": "y"}, {"x": 1}, {"kind": "wait"}]"#,
    )
    .unwrap();
    let mut tried = 0;
    for (name, text) in &GOOD[..3] {
        let plan: Value = serde_json::from_str(text).unwrap();
        for pointer in pointers(&plan) {
            for value in &wrong {
                let mut changed = plan.clone();
                *changed.pointer_mut(&pointer).unwrap() = value.clone();
                let loads = load("p", &changed.to_string()).plan.is_some();
                let valid = validator.is_valid(&changed);
                assert!(valid || !loads, "{name}{pointer} = {value}: the loader takes what the schema refuses");
                tried += 1;
            }
        }
    }
    assert!(tried > 2_000, "{tried}");
}

fn pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![(String::new(), value)];
    while let Some((pointer, value)) = todo.pop() {
        match value {
            Value::Object(members) => {
                todo.extend(
                    members.iter().map(|(key, value)| {
                        (format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), value)
                    }),
                );
            }
            Value::Array(items) => {
                todo.extend(items.iter().enumerate().map(|(place, value)| (format!("{pointer}/{place}"), value)));
            }
            _ => {}
        }
        found.push(pointer);
    }
    found
}

#[test]
fn the_plans_that_come_along_pass_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") || path.ends_with("plan.schema.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        let found = check(&name, &text, false);
        assert!(found.diagnostics.is_empty(), "{}", render_text(&name, &text, &found.diagnostics, false));
    }
}
