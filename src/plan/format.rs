//! The format in the form in which texts are held against it: compiled from the published JSON Schema.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::json::Kind;
use super::{ENV_PATTERN, ID_PATTERN};

/// What a value may be.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) nullable: bool,
    pub(super) what: What,
    /// Another spelling of this field, for fields of an object.
    pub(super) alternatives: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(super) enum What {
    #[default]
    Any,
    Bool,
    Text(Text),
    Number {
        whole: bool,
        least: Option<f64>,
        above: Option<f64>,
        most: Option<f64>,
    },
    OneOf(Vec<String>),
    List {
        items: Box<Shape>,
        least: usize,
        most: usize,
    },
    Object(Object),
    /// By type: the first that fits the JSON type.
    Union(Vec<Shape>),
    /// By the member `kind`.
    Tagged(HashMap<String, Shape>),
    /// Another definition.
    Reference(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Any,
    NotEmpty,
    Id,
    EnvName,
    Letters,
    Time,
}

#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) fields: HashMap<String, Shape>,
    /// Names in the order of the types, for messages.
    pub(super) names: Vec<String>,
    pub(super) required: Vec<String>,
    /// Of members that are no fields; `None` when there may be none.
    pub(super) others: Option<Box<Shape>>,
    /// What the names of the others look like.
    pub(super) other_names: Option<Text>,
}

pub(super) struct Format {
    pub(super) plan: Shape,
    pub(super) definitions: HashMap<String, Shape>,
}

pub(super) static FORMAT: LazyLock<Format> = LazyLock::new(|| {
    let schema = super::schema::schema();
    let definitions = schema["$defs"].as_object().into_iter().flatten();
    Format {
        plan: compile(&schema),
        definitions: definitions.map(|(name, schema)| (name.clone(), compile(schema))).collect(),
    }
});

fn compile(schema: &Value) -> Shape {
    let types: Vec<&str> = match &schema["type"] {
        Value::String(only) => vec![only.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut nullable = types.contains(&"null");
    let several = ["anyOf", "oneOf"].iter().find_map(|key| schema[*key].as_array());
    let what = if let Some(target) = schema["$ref"].as_str() {
        What::Reference(target.trim_start_matches("#/$defs/").to_owned())
    } else if let Some(several) = several {
        let (nulls, rest): (Vec<&Value>, Vec<&Value>) = several.iter().partition(|one| one["type"] == "null");
        nullable |= !nulls.is_empty();
        match rest.as_slice() {
            [only] => {
                let inner = compile(only);
                nullable |= inner.nullable;
                inner.what
            }
            all if all.iter().all(|one| one["const"].is_string()) => {
                What::OneOf(all.iter().filter_map(|one| one["const"].as_str()).map(str::to_owned).collect())
            }
            all if all.iter().all(|one| one["properties"]["kind"]["const"].is_string()) => What::Tagged(
                all.iter()
                    .map(|one| {
                        (one["properties"]["kind"]["const"].as_str().unwrap_or_default().to_owned(), compile(one))
                    })
                    .collect(),
            ),
            all => What::Union(all.iter().map(|one| compile(one)).collect()),
        }
    } else {
        let mut known: Vec<&str> = types.iter().copied().filter(|kind| *kind != "null").collect();
        match (known.pop(), known.is_empty()) {
            (None, _) => What::Any,
            (Some(only), true) => compile_type(only, schema),
            (Some(last), false) => {
                known.push(last);
                What::Union(
                    known
                        .into_iter()
                        .map(|kind| Shape { what: compile_type(kind, schema), ..Shape::default() })
                        .collect(),
                )
            }
        }
    };
    let alternatives = schema["allOf"].as_array().into_iter().flatten().filter_map(|rule| {
        let pair = &rule["not"]["required"];
        Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()))
    });
    Shape { nullable, what, alternatives: alternatives.collect() }
}

fn compile_type(kind: &str, schema: &Value) -> What {
    let size = |key: &str, otherwise: usize| schema[key].as_u64().map_or(otherwise, |size| size as usize);
    match kind {
        "boolean" => What::Bool,
        "string" => What::Text(compile_text(schema)),
        "number" | "integer" => What::Number {
            whole: kind == "integer",
            least: schema["minimum"].as_f64(),
            above: schema["exclusiveMinimum"].as_f64(),
            most: schema["maximum"].as_f64(),
        },
        "array" => What::List {
            items: Box::new(compile(&schema["items"])),
            least: size("minItems", 0),
            most: size("maxItems", usize::MAX),
        },
        "object" => {
            let properties = schema["properties"].as_object();
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            What::Object(Object {
                fields: properties
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| (name.clone(), compile(schema)))
                    .collect(),
                names: properties.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
                required: required.map(str::to_owned).collect(),
                others: match &schema["additionalProperties"] {
                    Value::Bool(false) => None,
                    others => Some(Box::new(compile(others))),
                },
                other_names: schema["propertyNames"].is_object().then(|| compile_text(&schema["propertyNames"])),
            })
        }
        _ => What::Any,
    }
}

fn compile_text(schema: &Value) -> Text {
    match (schema["pattern"].as_str(), schema["format"].as_str()) {
        (Some(ID_PATTERN), _) => Text::Id,
        (Some(ENV_PATTERN), _) => Text::EnvName,
        (Some(_), _) => Text::Letters,
        (_, Some("date-time")) => Text::Time,
        _ if schema["minLength"].as_u64().is_some_and(|least| least > 0) => Text::NotEmpty,
        _ => Text::Any,
    }
}

impl Text {
    pub(super) fn fits(self, text: &str) -> bool {
        match self {
            Text::Any => true,
            Text::NotEmpty => !text.is_empty(),
            Text::Id => super::is_id(text),
            Text::EnvName => !text.is_empty() && !text.contains(['=', '\0']),
            Text::Letters => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic()),
            Text::Time => super::expression::is_template(text) || chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        }
    }

    pub(super) fn describe(self) -> &'static str {
        match self {
            Text::Any => "a string",
            Text::NotEmpty => "a string that is not empty",
            Text::Id => "1 to 128 letters, digits, `_` or `-`",
            Text::EnvName => "a name without `=`",
            Text::Letters => "letters only",
            Text::Time => "a time like 2031-05-04T22:30:00Z (RFC 3339)",
        }
    }
}

/// A number as people write it.
fn plain(number: f64) -> String {
    format!("{number}")
}

impl Shape {
    pub(super) fn describe(&self) -> String {
        match &self.what {
            What::Any => "any value".into(),
            What::Bool => "`true` or `false`".into(),
            What::Text(text) => text.describe().into(),
            What::Number { whole, least, above, most } => {
                let kind = if *whole { "a whole number" } else { "a number" };
                match (least, above, most) {
                    (Some(least), _, Some(most)) if *most < 1e9 => {
                        format!("{kind} from {} to {}", plain(*least), plain(*most))
                    }
                    (Some(least), _, _) if *least > -1e9 => format!("{kind}, at least {}", plain(*least)),
                    (_, Some(above), Some(most)) => {
                        format!("{kind} greater than {}, at most {}", plain(*above), plain(*most))
                    }
                    _ => kind.into(),
                }
            }
            What::OneOf(names) => {
                format!("one of {}", names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "))
            }
            What::List { items, .. } => match &items.what {
                What::Text(_) => "a list of strings".into(),
                _ => "a list".into(),
            },
            What::Object(_) | What::Tagged(_) => "an object".into(),
            What::Union(several) => several.iter().map(Shape::describe).collect::<Vec<_>>().join(", or "),
            What::Reference(name) => FORMAT.definitions.get(name).map_or_else(String::new, Shape::describe),
        }
    }

    /// Whether the JSON type is right; what is inside is another question.
    pub(super) fn takes(&self, kind: Kind) -> bool {
        if self.nullable && kind == Kind::Null {
            return true;
        }
        match &self.what {
            What::Any => true,
            What::Bool => matches!(kind, Kind::Bool(_)),
            What::Text(_) | What::OneOf(_) => kind == Kind::String,
            What::Number { .. } => kind == Kind::Number,
            What::List { .. } => kind == Kind::Array,
            What::Object(_) | What::Tagged(_) => kind == Kind::Object,
            What::Union(several) => several.iter().any(|shape| shape.takes(kind)),
            What::Reference(name) => FORMAT.definitions.get(name).is_some_and(|shape| shape.takes(kind)),
        }
    }
}
