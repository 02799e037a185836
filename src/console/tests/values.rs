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
