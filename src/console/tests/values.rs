//! The form for the values of a plan's variables.

use super::screens::shown;
use super::*;
use crate::console::popups::Popup;
use crate::console::values::{Unbound, ValuesForm};
use crate::run::{Rejection, RejectionCode};

const SIZE: (u16, u16) = (100, 30);

fn ship() -> Plan {
    let variables = json!({
        "bucket": {"required": true, "description": "where the dump is shipped to"},
        "db": {"default": "orders", "description": "which database is dumped"},
        "home": {"env": "HOME"},
        "level": {"enum": ["low", "high"], "default": "low"},
        "lanes": {"default": 3},
        "token": {"env": "SHIP_TOKEN", "secret": true, "description": "for the bucket"}
    });
    let value = json!({"plan_id": "ship", "variables": variables, "steps": []});
    let mut plan: Plan = serde_json::from_value(value).unwrap();
    plan.steps.push(Arc::new(step("copy")));
    plan
}

fn unbound(wrong: &str) -> Event {
    Event::Unbound(Unbound {
        path: PathBuf::from("plans/ship.json"),
        plan: Arc::new(ship()),
        known: ["home".to_owned()].into(),
        wrong: wrong.into(),
    })
}

fn asked(size: (u16, u16)) -> App {
    let mut app = console(size);
    app.update(Event::RunsListed(Ok((vec![], vec![]))), start());
    app.update(Event::PlansListed(vec![plan_entry(ship())]), start());
    screen(&mut app);
    app.update(unbound("the variable `bucket` has no value"), start());
    screen(&mut app);
    app
}

fn form(app: &App) -> &ValuesForm {
    match app.layers.last().map(|layer| &layer.popup) {
        Some(Popup::Values(form)) => form,
        other => panic!("the form is open: {other:?}"),
    }
}

fn typed(app: &mut App, text: &str) {
    app.update(Event::Paste(text.into()), start());
    screen(app);
}

#[test]
fn a_plan_without_values_asks_for_all_of_them_at_once() {
    shown("values_form", asked);
    shown("values_form_mistakes", |size| {
        let mut app = asked(size);
        press(&mut app, "Tab Tab Tab");
        typed(&mut app, "x");
        press(&mut app, "Enter");
        app
    });
    shown("values_form_secret", |size| {
        let mut app = asked(size);
        press(&mut app, "Up");
        typed(&mut app, "hunter2");
        app
    });
    shown("values_form_lines", |size| {
        let mut app = asked(size);
        typed(&mut app, "attic\n\tand cellar");
        press(&mut app, "Up");
        typed(&mut app, &KEY.repeat(9));
        app
    });
    shown("values_form_not_pasted", |size| {
        let mut app = asked(size);
        typed(&mut app, "attic\u{7}");
        app
    });
}

#[test]
fn only_what_was_typed_is_given_and_the_form_waits_for_the_run() {
    let mut app = asked(SIZE);
    assert_eq!(form(&app).fields[form(&app).selected].name, "bucket", "it begins where something is missing");
    typed(&mut app, "attic");
    assert!(press(&mut app, "Enter").is_empty(), "the secret has no value yet");
    assert_eq!(form(&app).fields[form(&app).selected].name, "token");
    assert_eq!(form(&app).fields.mistakes(), 1);
    typed(&mut app, "hunter2");
    let text = screen(&mut app);
    assert!(
        !text.contains("hunter2") && text.contains("\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}"),
        "{text}"
    );
    press(&mut app, "Tab Tab Tab Tab Tab Space");
    let effects = press(&mut app, "Enter");
    let [Effect::OpenPlan { given, idle: None, .. }] = &effects[..] else { panic!("{effects:?}") };
    let expected = [("bucket", "attic"), ("level", "high"), ("token", "hunter2")];
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(given.0, expected);
    assert!(!format!("{effects:?} {:?}", form(&app)).contains("hunter2"), "it is in no trace");
    assert!(press(&mut app, "Enter").is_empty(), "sent once");
    app.update(unbound("the variable `home` cannot be \"/h\"\nand so on"), start());
    assert_eq!(form(&app).notice.as_deref(), Some("the variable `home` cannot be \"/h\"; and so on"));
    press(&mut app, "Enter");
    let refused = Err(Rejection::new(RejectionCode::Invalid, "the disk is full"));
    app.update(Event::Registered { result: refused, name: "ship".into(), looked_at: None, start: false }, start());
    assert_eq!(form(&app).notice.as_deref(), Some("the disk is full"));
    assert!(!press(&mut app, "Enter").is_empty());
    let effects = app.update(
        Event::Registered { result: Ok(Uuid::from_u128(7)), name: "ship".into(), looked_at: None, start: false },
        start(),
    );
    assert!(app.layers.is_empty() && matches!(effects[..], [Effect::Subscribe(_)]), "{effects:?}");
}

const KEY: &str = "-----BEGIN KEY-----\n\tMIIE\n-----END KEY-----\n";

#[test]
fn a_value_is_given_as_it_was_pasted_or_not_taken_at_all() {
    let mut app = asked(SIZE);
    // A family, a skin tone and a variation selector; and what turns the direction of writing.
    let written = "\u{1f468}\u{200d}\u{1f469} \u{1f44d}\u{1f3fd} \u{2764}\u{fe0f} \u{202e}x";
    typed(&mut app, written);
    assert!(!screen(&mut app).contains('\u{202e}'), "what is drawn is harmless");
    press(&mut app, "Up");
    // As terminals send the ends of lines.
    typed(&mut app, &KEY.replace('\n', "\r"));
    let text = screen(&mut app);
    assert!(text.contains("3 lines") && !text.contains("BEGIN"), "{text}");
    let effects = press(&mut app, "Enter");
    let [Effect::OpenPlan { given, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((given.0["token"].as_str(), given.0["bucket"].as_str()), (KEY, written));
    let mut app = asked(SIZE);
    press(&mut app, "Up");
    for (pasted, why) in [
        ("x\u{1b}[2Jy".to_owned(), "control characters"),
        ("y".repeat(20_001), "it has 20,001 characters, and the field takes 20,000"),
    ] {
        typed(&mut app, &pasted);
        let said = form(&app).notice.clone().unwrap_or_default();
        assert!(said.contains(why) && said.ends_with("nothing was pasted"), "{said}");
        assert!(form(&app).fields[form(&app).selected].input.is_empty());
        assert!(screen(&mut app).contains(why), "{}", screen(&mut app));
    }
    // A number has one line.
    press(&mut app, "Tab Tab Tab Tab Ctrl-u");
    assert_eq!(form(&app).fields[form(&app).selected].name, "lanes");
    typed(&mut app, "4\n5");
    assert_eq!(form(&app).notice.as_deref(), Some("this field is one line: nothing was pasted"));
}

#[test]
fn a_mistake_stands_at_its_field_and_goes_when_it_is_mended() {
    let mut app = asked(SIZE);
    typed(&mut app, "attic");
    press(&mut app, "Up");
    typed(&mut app, "s");
    let lanes = form(&app).fields.iter().position(|field| field.name == "lanes").unwrap();
    while form(&app).selected != lanes {
        press(&mut app, "Tab");
    }
    press(&mut app, "Ctrl-u");
    typed(&mut app, "many");
    assert!(press(&mut app, "Enter").is_empty());
    let text = screen(&mut app);
    let line = text.lines().position(|line| line.contains("lanes") && line.contains("many")).expect("the field");
    assert!(text.lines().nth(line + 1).unwrap().contains("must be a number, not \"many\""), "{text}");
    press(&mut app, "Ctrl-u");
    typed(&mut app, "5");
    assert_eq!(form(&app).fields.mistakes(), 0);
    let effects = press(&mut app, "Enter");
    let [Effect::OpenPlan { given, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(given.0["lanes"], "5");
}

#[test]
fn leaving_the_form_while_its_values_are_on_their_way_promises_nothing() {
    let mut app = asked(SIZE);
    typed(&mut app, "attic");
    press(&mut app, "Up");
    typed(&mut app, "hunter2");
    assert_eq!(press(&mut app, "Enter").len(), 1);
    assert!(press(&mut app, "Esc").is_empty() && app.layers.is_empty());
    assert_eq!(said(&app), "ship is being opened already");
}

#[test]
fn leaving_the_form_opens_nothing_and_whoever_went_on_is_not_interrupted() {
    let mut app = asked(SIZE);
    typed(&mut app, "attic");
    assert!(press(&mut app, "Esc").is_empty());
    assert!(app.layers.is_empty());
    assert_eq!(said(&app), "ship is not opened");
    let mut app = open(&running(), SIZE);
    app.update(unbound("the variable `bucket` has no value"), start());
    assert!(app.layers.is_empty());
    assert_eq!(said(&app), "ship has 6 variables to give values to: open it again");
}
