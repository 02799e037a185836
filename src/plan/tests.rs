//! What a plan's author relies on when a plan is loaded: nothing is lost, nothing is guessed, every problem is named at its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Every field of the format, each with a value that is not its default.
const EVERYTHING: &str = include_str!("../../tests/fixtures/plans/everything.json");
/// A plan of the older research schema, with every name it has.
const OLDER: &str = include_str!("../../tests/fixtures/plans/older.json");
const SEED: &str = include_str!("../../tests/fixtures/plans/seed.json");

fn loaded(text: &str) -> Plan {
    let loaded = load("plan.json", text);
    match loaded.plan {
        Some(plan) => plan,
        None => panic!("{}", render_text("plan.json", text, &loaded.diagnostics, false)),
    }
}

/// Severity, line, column and message of each problem.
fn problems(text: &str) -> Vec<String> {
    let told = |one: &Diagnostic| format!("{}:{} {}", one.line, one.column, one.message);
    load("plan.json", text).diagnostics.iter().filter(|one| one.is_error()).map(told).collect()
}

fn one_step(fields: &str) -> String {
    format!(r#"{{"plan_id": "p", "steps": [{{"step_id": "a", {fields}}}]}}"#)
}

/// The fields of a type, older spellings left out.
fn fields_of(pointer: &str, owner: &str) -> BTreeSet<String> {
    let schema = schema();
    let names = schema.pointer(pointer).and_then(|schema| schema["properties"].as_object()).unwrap();
    let older = |name: &&String| !ALIASES.iter().any(|(kind, alias, _)| *kind == owner && alias == name);
    names.keys().filter(older).cloned().collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn what_cannot_be_started_for_a_nul_is_refused() {
    for text in [
        r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "echo \u0000"}]}"#,
        r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "echo", "env": {"A": "x\u0000"}}]}"#,
        r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "echo", "env": {"A\u0000": "x"}}]}"#,
        r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "echo", "working_dir": "\u0000"}]}"#,
        r#"{"plan_id": "p", "defaults": {"env": {"A": "\u0000"}}, "steps": [{"step_id": "a", "run": "echo"}]}"#,
        r#"{"plan_id": "p", "agents": {"x": {"kind": "command", "command": ["echo", "\u0000"]}}, "steps": [{"step_id": "a", "agent_type": "x"}]}"#,
    ] {
        let loaded = load("p.json", text);
        assert!(loaded.plan.is_none(), "{text}");
        assert!(loaded.diagnostics.iter().any(|one| one.message.contains("NUL")), "{text}: {:?}", loaded.diagnostics);
    }
    // Where nothing is started with it, it may stand.
    let text = r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "echo", "name": "\u0000"}]}"#;
    assert!(!load("p.json", text).has_errors());
}

#[test]
fn the_smallest_plan_of_the_older_system_loads() {
    let plan = loaded(SEED);
    assert_eq!(plan.plan_id, "research_001");
    assert_eq!(plan.steps.len(), 3);
    assert_eq!(plan.steps[1].agent(), Some("environmental"));
}

#[test]
fn a_plan_with_every_field_is_saved_as_it_was_written() {
    let written: Value = serde_json::from_str(EVERYTHING).unwrap();
    // The fixture must have every field there is, or this test proves less than it says.
    assert_eq!(keys(&written), fields_of("", "Plan"));
    let of_steps: BTreeSet<String> = written["steps"].as_array().unwrap().iter().flat_map(keys).collect();
    assert_eq!(of_steps, fields_of("/$defs/Step", "Step"));
    let mut saved = serde_json::to_value(loaded(EVERYTHING)).unwrap();
    // What a default gives is written into the step, and that is all that differs.
    for (saved, written) in saved["steps"].as_array_mut().unwrap().iter_mut().zip(written["steps"].as_array().unwrap())
    {
        let given = keys(written);
        let added: Vec<String> = keys(saved).difference(&given).cloned().collect();
        for name in added {
            assert_eq!(saved[&name], written_default(&name), "{name}");
            saved.as_object_mut().unwrap().shift_remove(&name);
        }
    }
    assert_eq!(saved, written);
}

fn written_default(name: &str) -> Value {
    let written: Value = serde_json::from_str(EVERYTHING).unwrap();
    written["defaults"][name].clone()
}

#[test]
fn saving_and_loading_again_changes_nothing() {
    for text in [EVERYTHING, OLDER, SEED] {
        let plan = loaded(text);
        let again = loaded(&serde_json::to_string(&plan).unwrap());
        assert_eq!(plan, again);
        let stored: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(plan, stored, "a stored plan is read without looking at its defaults again");
    }
}

#[test]
fn a_plan_of_the_older_schema_keeps_all_it_says() {
    let written: Value = serde_json::from_str(OLDER).unwrap();
    let saved = serde_json::to_value(loaded(OLDER)).unwrap();
    let renamed = |owner: &str, value: &Value| -> Value {
        let name = |key: &String| {
            let alias = ALIASES.iter().find(|(kind, alias, _)| *kind == owner && alias == key);
            alias.map_or_else(|| key.clone(), |(_, _, field)| (*field).to_owned())
        };
        let members = value.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
        members.map(|(key, value)| (name(key), value.clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut expected = renamed("Plan", &written);
    for step in expected["steps"].as_array_mut().unwrap() {
        *step = renamed("Step", step);
    }
    assert_eq!(saved, expected);
}

#[test]
fn older_spellings_are_those_that_serde_knows() {
    let sources = [include_str!("types.rs"), include_str!("agents.rs")];
    let known: usize = sources.iter().map(|source| source.matches("alias = \"").count()).sum();
    assert_eq!(known, ALIASES.len());
    for (_, alias, _) in ALIASES {
        assert!(sources[0].contains(&format!("alias = \"{alias}\"")), "{alias}");
    }
}

#[test]
fn both_spellings_of_a_field_at_once_are_refused() {
    for (owner, alias, field) in ALIASES {
        let value = match field {
            "parameters" | "metadata" => json!({}),
            "depends_on" => json!([]),
            _ => json!("x"),
        };
        let mut plan = json!({"plan_id": "p", "steps": [{"step_id": "a", "agent_type": "x"}]});
        let object = if owner == "Plan" { &mut plan } else { &mut plan["steps"][0] };
        object[alias] = value.clone();
        loaded(&plan.to_string());
        let object = if owner == "Plan" { &mut plan } else { &mut plan["steps"][0] };
        object[field] = value;
        let found = problems(&plan.to_string());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&format!("`{alias}` and `{field}` are two spellings")), "{found:?}");
    }
}

#[test]
fn what_is_only_carried_is_listed() {
    let schema = schema();
    for object in [&schema, &schema["$defs"]["Step"]] {
        for (name, field) in object["properties"].as_object().unwrap() {
            let carried = field["description"].as_str().is_some_and(|text| text.contains("carried, without effect"));
            assert_eq!(carried || name == "$schema", CARRIED.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn a_step_takes_every_field_from_the_defaults() {
    let written: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut all = serde_json::Map::new();
    for step in written["steps"].as_array().unwrap() {
        all.extend(step.as_object().unwrap().clone());
    }
    all.insert("step_id".into(), "a".into());
    let full: Step = serde_json::from_value(all.into()).unwrap();
    let mut step = Step { step_id: "a".into(), ..Step::default() };
    for name in fields_of("/$defs/Step", "Step") {
        step.take_field(&full, &name);
    }
    assert_eq!(step, full);
}

#[test]
fn a_step_overrules_the_defaults() {
    let text = r#"{"plan_id": "p",
        "defaults": {"timeout_seconds": 5, "idempotent": true, "parameters": {"x": 1}, "dependencies": ["a"], "agent_type": "sim", "max_retries": 2},
        "steps": [
            {"step_id": "a", "depends_on": null, "idempotent": false, "parameters": {}, "timeout_seconds": null},
            {"step_id": "b", "run": "true", "tool_input": null}
        ]}"#;
    let plan = loaded(text);
    let [a, b] = plan.steps.as_slice() else { panic!("two steps") };
    assert_eq!((a.agent(), a.max_retries), (Some("sim"), Some(2)), "what is not said comes from the defaults");
    assert_eq!((a.timeout_seconds, &a.depends_on, a.idempotent), (None, &None, false), "null and false are said");
    assert!(a.parameters.is_empty());
    assert_eq!(
        (b.agent(), b.idempotent, b.timeout_seconds),
        (None, true, Some(5.0)),
        "`run` replaces the agent of the defaults"
    );
    assert!(b.parameters.is_empty());
    assert_eq!(b.depends_on.as_deref(), Some(["a".to_owned()].as_slice()));
    assert_eq!(loaded(&serde_json::to_string(&plan).unwrap()), plan, "and none of it comes back when saved and loaded");
}

#[test]
fn who_does_a_step_is_said_by_the_step_or_by_the_defaults_but_not_by_both() {
    let agent = |defaults: &str, step: &str| {
        let text = format!(r#"{{"plan_id": "p", "defaults": {{{defaults}}}, "steps": [{{"step_id": "a", {step}}}]}}"#);
        let step = loaded(&text).steps[0].clone();
        (step.run.clone(), step.agent().map(arcstr::ArcStr::from))
    };
    let named = |name: &str| -> Option<arcstr::ArcStr> { Some(name.into()) };
    assert_eq!(agent(r#""agent_name": "x""#, r#""agent_type": "y""#), (None, named("y")));
    assert_eq!(agent(r#""agent_type": "x""#, r#""agent_name": "y""#), (None, named("y")));
    assert_eq!(agent(r#""agent_name": "x", "agent_type": "z""#, r#""run": "true""#), (named("true"), None));
    assert_eq!(agent(r#""run": "true""#, r#""agent_type": "y""#), (None, named("y")));
    assert_eq!(agent(r#""run": "true""#, r#""name": "y""#), (named("true"), None));
}

#[test]
fn a_step_added_later_gets_the_defaults_too() {
    let plan =
        loaded(r#"{"plan_id": "p", "defaults": {"timeout_seconds": 5}, "steps": [{"step_id": "a", "run": "x"}]}"#);
    let step = step_from_value(&plan.defaults, json!({"step_id": "b", "run": "y"})).unwrap();
    assert_eq!(step.timeout_seconds, Some(5.0));
    assert!(step_from_value(&plan.defaults, json!({"step_id": "b", "rum": "y"})).is_err());
}

#[test]
fn every_problem_is_found_at_once_and_at_its_place() {
    let text = r#"{
  "plan_id": "bad id",
  "max_parallel": 0,
  "colour": 1,
  "steps": [
    {"step_id": "a", "run": "x", "timeout_seconds": -1},
    {"step_id": "a", "run": 7},
    {"run": "x", "depends_on": ["b"]},
    {"step_id": "c", "agent_type": "sim", "run": "x"}
  ]
}"#;
    assert_eq!(
        problems(text),
        [
            "2:14 `plan_id` has characters that are not allowed: a space",
            "3:19 `max_parallel` must be a whole number from 1 to 4096, not 0",
            "4:3 unknown field `colour` in the plan",
            "6:53 `timeout_seconds` must be a number greater than 0, at most 31536000, not -1",
            "7:17 the step id `a` stands twice",
            "7:29 `run` must be a string that is not empty, not a number",
            "8:5 the step has no `step_id`",
            "8:33 this step depends on `b`, which is not a step of this plan",
            "9:50 `run` and an agent exclude each other",
        ]
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (fields, part) in [
        (r#""run": "x", "timeout_seconds": 0"#, "greater than 0"),
        (r#""run": "x", "timeout_seconds": 1e30"#, "at most 31536000"),
        (r#""run": "x", "timeout_seconds": 1e999"#, "too large to be represented"),
        (r#""run": "x", "max_retries": -1"#, "from 0 to 10000"),
        (r#""run": "x", "max_retries": 1.5"#, "a whole number"),
        (r#""run": "x", "max_retries": 1.0"#, "a whole number"),
        (r#""run": "x", "priority": 3000000000"#, "a whole number"),
        (r#""run": "x", "retry": {"jitter": 1.1}"#, "from 0 to 1"),
        (r#""run": "x", "retry": {"delay_seconds": 9, "max_delay_seconds": 3}"#, "above `max_delay_seconds`"),
        (
            r#""run": "x", "quality_gate": {"review_threshold_low": 0.9, "review_threshold_high": 0.8}"#,
            "above `review_threshold_high`",
        ),
        (r#""run": "x", "quality_gate": {"review_threshold_high": 0.5}"#, "is 0.6 (the default)"),
        (r#""run": "x", "hold": {"approvals": 0}"#, "from 1 to 64"),
        (r#""run": "x", "step_index": 99999999999999999999999"#, "a whole number"),
    ] {
        let found = problems(&one_step(fields));
        assert_eq!(found.len(), 1, "{fields}: {found:?}");
        assert!(found[0].contains(part), "{fields}: {found:?}");
    }
    loaded(&one_step(r#""run": "x", "retry": {"max_delay_seconds": 0.5}, "metadata": {"big": 18446744073709551615}"#));
}

#[test]
fn a_number_that_would_lose_digits_is_warned_of() {
    let found = load("p", &one_step(r#""run": "x", "metadata": {"n": 123456789012345678901234567890}"#)).diagnostics;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].message.contains("too large to be kept exactly"));
}

#[test]
fn names_in_expressions_must_be_known() {
    let plan = |run: &str| {
        format!(
            r#"{{"plan_id": "p", "variables": {{"db": {{}}}}, "steps": [{{"step_id": "my-step", "run": "x"}}, {{"step_id": "b", "run": {}}}]}}"#,
            json!(run)
        )
    };
    for fine in [
        "{{ vars.db }} {{ steps['my-step'].result.rows }} {{ run.id }} {{ env.HOME }} {{ steps.b.status }}",
        "{{ steps.b.attempts }} {{ steps.b.duration_seconds }} {{ steps.b.quality_score }}",
        "echo ${#list[@]} {% if %} {# x #} '}}' { { }",
        "{{ '{{' }} {{ range(3) }}",
    ] {
        assert_eq!(problems(&plan(fine)), [] as [String; 0], "{fine}");
    }
    for (bad, part) in [
        ("{{ vars.bd }}", "no variable `bd`"),
        ("{{ steps.c.result }}", "no step `c`"),
        ("{{ steps.my-step.result }}", "no step `my`"),
        ("{{ steps.b.outcome }}", "a step has no `outcome`"),
        ("{{ db }}", "the name `db` is not known"),
        ("{{ item }}", "the name `item` is not known"),
        ("docker ps --format '{{.Names}}'", "cannot be read"),
    ] {
        let found = problems(&plan(bad));
        assert!(found.iter().any(|one| one.contains(part)), "{bad}: {found:?}");
    }
    loaded(r#"{"plan_id": "p", "steps": [{"step_id": "a", "run": "{{ item }} {{ index }}", "foreach": [1, 2]}]}"#);
    for (foreach, part) in [
        (r#""steps.gone.result""#, "there is no step `gone`"),
        (r#"["{{ item }}"]"#, "the name `item` is not known"),
        (r#""index + 1""#, "the name `index` is not known"),
        (r#""1 +""#, "what the items are cannot be read"),
        (r#"["x", "{{ vars.token }}"]"#, "`vars.token` is secret, and items are written down"),
        (r#""[vars.token]""#, "`vars.token` is secret, and items are written down"),
    ] {
        let text = format!(
            r#"{{"plan_id": "p", "variables": {{"token": {{"env": "T", "secret": true}}}}, "steps": [{{"step_id": "a", "run": "x", "foreach": {foreach}}}]}}"#
        );
        let found = problems(&text);
        assert!(found.iter().any(|one| one.contains(part)), "{foreach}: {found:?}");
    }
    let texts =
        r#""run": "x", "metadata": {"note": "{{ anything"}, "expected_output": "{{ goes }}", "result": ["}} {{"]"#;
    loaded(&one_step(texts));
}

#[test]
fn limits_are_errors_and_no_crashes() {
    // Four levels are open where the lists begin.
    let nested = |lists: usize| {
        one_step(&format!(r#""run": "x", "metadata": {{"d": {}1{}}}"#, "[".repeat(lists), "]".repeat(lists)))
    };
    loaded(&nested(MAX_DEPTH - 4));
    for lists in [MAX_DEPTH - 3, 200_000] {
        let found = problems(&nested(lists));
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(&format!("the plan is nested too deeply: at most {MAX_DEPTH} levels")), "{found:?}");
    }
    let open: String = "{\"a\":".repeat(200_000);
    assert_eq!(problems(&open).len(), 1);
    let large = " ".repeat(MAX_BYTES + 1);
    assert!(problems(&large)[0].contains("too large: 67108865 bytes; at most 64 MiB"));
    assert_eq!(load_bytes("p", &vec![0xff; MAX_BYTES + 1]).diagnostics.len(), 1);
    let many: Vec<String> =
        (0..5_000).map(|number| format!(r#"{{"step_id": "s{number}", "run": "x", "wat": 1}}"#)).collect();
    let found = problems(&format!(r#"{{"plan_id": "p", "steps": [{}]}}"#, many.join(",")));
    assert_eq!(found.len(), MAX_DIAGNOSTICS + 1);
    assert!(found[MAX_DIAGNOSTICS].contains("4000 more problems"));
}

#[test]
fn a_byte_order_mark_is_no_mistake_and_broken_text_is_named() {
    loaded(&format!("\u{feff}{SEED}"));
    let with_mark = load("p", "\u{feff}{}");
    assert_eq!((with_mark.diagnostics[0].line, with_mark.diagnostics[0].column), (1, 1));
    let mut bytes = one_step(r#""run": "x?y""#).into_bytes();
    let place = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[place] = 0xe9;
    let found = load_bytes("p", &bytes);
    assert!(found.plan.is_none());
    assert_eq!(found.diagnostics[0].message, "not valid UTF-8: 0xe9");
    assert_eq!(found.diagnostics[0].column, place + 1);
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(load_bytes("p", &wide).diagnostics[0].message.contains("UTF-16"));
    assert!(load_bytes("p", SEED.as_bytes()).plan.is_some());
}

#[test]
fn agents_without_a_binding_are_named_with_the_way_out() {
    let plan = loaded(SEED);
    let unbound = unbound_agents(&plan);
    assert_eq!(unbound.len(), 3);
    assert_eq!(
        (unbound[1].step.as_str(), unbound[1].position, unbound[1].agent.as_deref()),
        ("step_2", 1, Some("environmental"))
    );
    let message = unbound[0].message();
    assert!(
        message.contains("`registry`") && message.contains("\"agents\"") && message.contains("--simulate"),
        "{message}"
    );
    assert_eq!(check("p", SEED, false).diagnostics.iter().filter(|one| one.is_error()).count(), 3);
    assert_eq!(check("p", SEED, false).plan, None);
    assert!(check("p", SEED, true).plan.is_some(), "simulated, they need no binding");
}

/// What is wrong with a plan and a file of agents together: of the plan, then of the file.
fn with_agents(plan: &str, agents: &str) -> (Loaded, Vec<String>) {
    let agents = Arc::new(AgentsFile::new("agents.json", agents.as_bytes()));
    let found = check_bytes("p", plan.as_bytes(), &Terms { simulate: false, agents: Some(agents) });
    let told = found.of_agents_file.iter().map(|one| format!("{}:{} {}", one.line, one.column, one.message)).collect();
    (found, told)
}

#[test]
fn agents_are_bound_by_a_file_of_their_own() {
    let all = r#"{"registry": {"kind": "simulated"}, "environmental": {"kind": "simulated"}, "social": {"kind": "command", "command": ["./x"]}}"#;
    for text in [all.to_owned(), format!(r#"{{"$schema": "s", "agents": {all}}}"#)] {
        let (found, told) = with_agents(SEED, &text);
        assert_eq!((told, found.problems()), (vec![], 0), "{:?}", found.diagnostics);
        let plan = found.plan.unwrap();
        assert_eq!(plan.agent_kind(&plan.steps[2]), Some("command"));
        assert_eq!(loaded(&serde_json::to_string(&plan).unwrap()), plan, "the plan has them from now on");
    }
    // What is still missing is named by the plan, and what nobody uses by the file.
    let (found, told) = with_agents(SEED, r#"{"registry": {"kind": "simulated"}, "socail": {"kind": "simulated"}}"#);
    assert_eq!((found.diagnostics.len(), told.len(), found.plan), (2, 1, None));
    assert!(told[0].starts_with("1:37 no step of the plan `research_001` uses the agent `socail`"), "{told:?}");
    assert_eq!(found.of_agents_file[0].help.as_deref(), Some("did you mean `social`?"));
    let help = found.diagnostics[0].help.as_deref().unwrap_or_default();
    assert!(help.contains("--agents FILE"), "{help}");
}

#[test]
fn a_file_of_agents_goes_before_the_plan_and_says_so() {
    let plan =
        r#"{"plan_id": "p", "agents": {"a": {"kind": "simulated"}}, "steps": [{"step_id": "s", "agent_type": "a"}]}"#;
    let (found, told) = with_agents(plan, "{\n \"a\": {\"kind\": \"command\", \"command\": [\"true\"]}}");
    assert_eq!(told, ["2:2 the plan binds the agent `a` too"]);
    let plan = found.plan.unwrap();
    assert_eq!(plan.agent_kind(&plan.steps[0]), Some("command"));
}

#[test]
fn what_is_wrong_with_a_file_of_agents_has_its_place_in_that_file() {
    let plan = r#"{"plan_id": "p", "variables": {"token": {}}, "steps": [{"step_id": "s", "agent_type": "a"}]}"#;
    for (text, expected) in [
        (r#"{"a": {"kind": "http"}}"#, "1:7 "),
        (r#"{"a": {"kind": "comand", "command": "x"}}"#, "1:16 there is no kind `comand` of agent"),
        (r#"{"a": {"kind": "http", "url": "http://x/{{ vars.tokn }}"}}"#, "there is no variable `tokn`"),
        (r#"{"a": {"kind": "http", "url": "ftp://x"}}"#, "no URL that can be asked"),
        (r#"{"a": {"kind": "command", "command": ["x"], "colour": 1}}"#, "unknown field `colour`"),
        (r#"{"agents": {"a": {"kind": "simulated"}}, "steps": []}"#, "unknown field `steps` beside `agents`"),
        (r#"{"a": {"kind": "simulated"}, "a": {"kind": "simulated"}}"#, "stands twice"),
        (
            r#"{"a": {"kind": "command", "command": "x", "tty": true, "protocol": "jsonl"}}"#,
            "cannot go through a terminal",
        ),
        ("[]", "must be an object"),
        ("{", "1:"),
        ("", "1:1"),
    ] {
        let (found, told) = with_agents(plan, text);
        assert!(found.plan.is_none() && told.iter().any(|one| one.contains(expected)), "{text}: {told:?}");
        assert!(found.diagnostics.iter().all(|one| !one.message.contains("not bound")), "{:?}", found.diagnostics);
    }
    let (found, told) = with_agents(plan, "{\"a\": \"\u{fffd}\"}");
    assert!(found.has_errors() && !told.is_empty());
    let utf16 = AgentsFile::new("a", &[0xff, 0xfe, 0x7b, 0]);
    let found = check_bytes("p", plan.as_bytes(), &Terms { simulate: false, agents: Some(Arc::new(utf16)) });
    assert!(found.of_agents_file.iter().any(|one| one.message.contains("UTF-16")), "{:?}", found.of_agents_file);
}

#[test]
fn an_agent_is_bound_by_its_entry_or_by_a_kind_that_needs_none() {
    let kinds = |text: &str| {
        let plan = loaded(text);
        plan.steps.iter().map(|step| plan.agent_kind(step)).collect::<Vec<_>>()
    };
    let text = r#"{"plan_id": "p", "agents": {"py": {"kind": "command", "command": ["x"]}, "wait": {"kind": "simulated"}}, "steps": [
        {"step_id": "a", "run": "x"}, {"step_id": "b", "agent_type": "py"}, {"step_id": "c", "agent_type": "simulated"},
        {"step_id": "d", "agent_type": "wait"}, {"step_id": "e", "agent_type": "command"}, {"step_id": "f", "action": "x"},
        {"step_id": "g", "agent_type": "nobody", "agent_name": "py"}]}"#;
    let (command, simulated) = (Some("command"), Some("simulated"));
    assert_eq!(kinds(text), [command, command, simulated, simulated, None, None, command]);
    let summary = unbound_summary(&unbound_agents(&loaded(text)));
    assert_eq!(summary.len(), 2);
    assert!(summary[1].contains("`f` names no agent"), "{summary:?}");
}

#[test]
fn what_only_a_run_says_of_a_step_is_no_field_of_a_plan() {
    let text = one_step(r#""run": "x", "generated": {"kind": "instance", "of": "a", "index": 0}"#);
    let found = problems(&text);
    assert!(found.iter().any(|one| one.contains("unknown field `generated`")), "{found:?}");

    // In a run's own files it stays.
    let instance =
        instance_of(&loaded(&one_step(r#""run": "x", "foreach": [1], "rollback": {"run": "y"}"#)).steps[0], 3);
    assert!(instance.rollback.is_some(), "what undoes the step undoes what an instance has done");
    let read: Step = serde_json::from_value(serde_json::to_value(&instance).unwrap()).unwrap();
    assert_eq!(read, instance);
    assert_eq!((read.step_id.ends_with(".3"), read.foreach), (true, None));
    for made in [Generated::Rollback { of: "a".into() }, Generated::Instance { of: "a".into(), index: 3 }] {
        let value = serde_json::to_value(&made).unwrap();
        assert!(value["kind"].is_string(), "{value}");
        assert_eq!(serde_json::from_value::<Generated>(value).unwrap(), made);
    }
}

#[test]
fn what_is_not_honoured_is_never_passed_over() {
    let text = r#"{"plan_id": "p", "pools": {"db": 1}, "priority": 3, "max_execution_time_seconds": 60, "on_failure": "rollback",
        "variables": {"v": {"default": 1}},
        "steps": [{"step_id": "a", "run": "echo {{ vars.v }}", "when": "true", "name": "n {{ vars.v }}", "foreach": [1], "pool": "db", "on_failure": "rollback",
            "quality_gate": {}, "rollback": {"run": "x"}}]}"#;
    let plan = loaded(text);
    let refused: BTreeSet<(Option<String>, &str)> =
        unsupported(&plan).into_iter().map(|one| (one.step, one.field)).collect();
    let of = |step: &str, field| (Some(step.to_owned()), field);
    let expected = [of("a", "{{ }}")];
    assert_eq!(refused, expected.into_iter().collect());
    let mild: Vec<&str> = not_yet(&plan).iter().filter(|one| !one.changes_run).map(|one| one.field).collect();
    assert_eq!(mild, ["priority"]);
    let checked = check("p", text, false);
    assert!(checked.plan.is_some(), "they are warnings for `check`");
    assert_eq!(checked.diagnostics.len(), refused.len() + mild.len());
    assert!(unsupported(&loaded(SEED)).is_empty());
    assert!(not_yet(&loaded(OLDER)).is_empty(), "carried fields get no warning");
}

#[test]
fn nothing_of_a_plan_reaches_the_terminal_unescaped() {
    let evil = "\\u001b]0;x\\u0007\\u202e\\u200b\u{202e}\u{1b}[2J";
    let text = format!(
        r#"{{"plan_id": "{evil}", "{evil}": 1, "steps": [{{"step_id": "a", "agent_type": "{evil}", "depends_on": ["{evil}"]}}]}}"#
    );
    let found = check("na\u{1b}[31mme\u{202e}", &text, false);
    assert!(found.diagnostics.len() >= 4);
    let rendered = render_text(&found.source_name, &text, &found.diagnostics, false);
    let acts =
        |text: &str| text.chars().any(|sign| (sign.is_control() && sign != '\n') || "\u{202e}\u{200b}".contains(sign));
    assert!(!acts(&rendered), "{rendered:?}");
    assert!(rendered.contains("\\u{1b}[2J"));
    assert!(found.diagnostics.iter().all(|one| !acts(&one.message)));
    let colored = render_text("p", &text, &found.diagnostics, true);
    assert!(colored.contains("\u{1b}["));
    assert!(!colored.contains("\u{1b}[2J") && !colored.contains("\u{1b}]"));
}

#[test]
fn a_place_in_a_line_of_megabytes_is_found_and_shown_briefly() {
    let pad = "ä".repeat(2_000_000);
    let text = format!(
        r#"{{"plan_id": "p", "query": "{pad}", "colour": "{pad}", "steps": [{{"step_id": "a", "run": "x"}}]}}"#
    );
    let found = load("p", &text).diagnostics;
    assert_eq!(found[0].column, 17 + 11 + 2_000_000 + 3);
    let rendered = render_text("p", &text, &found, false);
    assert!(rendered.len() < 2_000, "{} bytes", rendered.len());
    assert!(rendered.contains("\"colour\"") && rendered.contains(&format!("p:1:{}", found[0].column)), "{rendered}");
}

/// Texts that are nearly plans: a real one with some bytes cut out, doubled or replaced.
fn nearly_plans() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "", "{", "}", "[", "]", ",", ":", "\"", "\n", "null", "-1", "1e99", "\"a\"", "{{", "}}", "\\u00", "'", "//",
        "\u{feff}", "é", "true",
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, pieces), 0..6);
    let text = prop::sample::select(vec![EVERYTHING, OLDER, SEED]);
    (text, edits).prop_map(|(text, edits)| {
        let mut bytes = text.as_bytes().to_vec();
        for (place, cut, piece) in edits {
            let place = place.index(bytes.len() + 1);
            let end = (place + cut).min(bytes.len());
            bytes.splice(place..end, piece.bytes());
        }
        bytes
    })
}

fn holds_together(bytes: &[u8]) {
    for simulate in [false, true] {
        let found = check_bytes("p", bytes, &Terms::simulate(simulate));
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(found.plan.is_none(), found.has_errors());
        for one in &found.diagnostics {
            assert!(text.get(one.span.clone()).is_some(), "{one:?}");
            assert!(one.line >= 1 && one.column >= 1);
        }
        let rendered = render_text("p", &text, &found.diagnostics, false);
        assert_eq!(rendered.is_empty(), found.diagnostics.is_empty());
        if let Some(plan) = found.plan {
            order::Order::new(&plan).unwrap();
            assert_eq!(loaded(&serde_json::to_string(&plan).unwrap()), plan);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds_together(&bytes);
    }

    #[test]
    fn no_json_like_text_makes_the_loader_panic(text in r#"[\[\]{},:"'a0-9 \\\n-]{0,80}"#) {
        holds_together(text.as_bytes());
    }

    #[test]
    fn a_damaged_plan_never_makes_the_loader_panic(bytes in nearly_plans()) {
        holds_together(&bytes);
    }
}

#[test]
fn what_has_the_wrong_type_does_not_hide_the_rest() {
    let text = json!({
        "plan_id": "p", "max_parallel": "two", "priority": 3,
        "agents": {"good": {"kind": "command", "command": ["true"]}, "odd": {"kind": "command", "command": 7}},
        "steps": [
            {"step_id": "a", "run": "true", "timeout_seconds": "soon"},
            {"step_id": "b", "agent_type": "nobody"},
            "c",
            {"step_id": "d", "agent_type": ["good"], "name": "{{ run.id }}"},
            {"step_id": "e", "agent_type": "odd", "depends_on": ["zz"]},
            {"step_id": "f", "agent_type": "good"}
        ]
    })
    .to_string();
    let found = check("p", &text, false);
    let said: Vec<&str> = found.diagnostics.iter().map(|one| &text[one.span.clone()]).collect();
    for place in ["\"two\"", "\"soon\"", "\"nobody\"", "\"c\"", "[\"good\"]", "\"zz\"", "\"{{ run.id }}\"", "3"] {
        assert!(said.contains(&place), "nothing is said of {place}: {:?}", found.diagnostics);
    }
    let unbound = found.diagnostics.iter().filter(|one| one.message.contains("not bound")).count();
    assert_eq!(unbound, 1, "only what nobody is bound to: {:?}", found.diagnostics);
    assert!(found.plan.is_none());
}
