//! What a person is asked to fill in: fields, their types, and how what is typed becomes a value.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::ENV_PATTERN;
use super::diagnostic::visible;
use super::suggest::suggest;
use super::types::{null_as_default, present};

/// The type of a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A text.
    #[default]
    String,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// A field that a person fills in. The names are those of JSON Schema where it has them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// Default `string`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<FieldType>,
    /// What it is called where it is asked for, instead of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An answer without it is refused.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The only values allowed.
    #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub choices: Option<Vec<Value>>,
    /// The value when nothing else is given.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A number may not be smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// A number may not be larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
}

/// Fields by name, in the order in which they are asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub Vec<(String, FieldSpec)>);

impl FieldSpec {
    /// Its type.
    pub fn kind(&self) -> FieldType {
        self.kind.unwrap_or_default()
    }

    /// Whether it is one of a few values.
    pub fn is_choice(&self) -> bool {
        self.choices.is_some() || self.kind() == FieldType::Boolean
    }

    /// The values that can be chosen, as they are typed; none for what is typed freely.
    pub fn choices(&self) -> Vec<String> {
        match &self.choices {
            Some(choices) => choices.iter().map(typed).collect(),
            None if self.kind() == FieldType::Boolean => vec!["true".into(), "false".into()],
            None => Vec::new(),
        }
    }

    /// What it has to be, as in "it must be …".
    pub fn wanted(&self) -> String {
        if let Some(choices) = &self.choices {
            return format!("one of {}", choices.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
        }
        let number = match self.kind() {
            FieldType::String => return "a text".into(),
            FieldType::Boolean => return "true or false".into(),
            FieldType::Number => "a number",
            FieldType::Integer => "a whole number",
        };
        match (self.minimum, self.maximum) {
            (Some(least), Some(most)) => format!("{number} from {least} to {most}"),
            (Some(least), None) => format!("{number}, at least {least}"),
            (None, Some(most)) => format!("{number}, at most {most}"),
            (None, None) => number.into(),
        }
    }

    /// Whether a value can be the field's.
    pub fn takes(&self, value: &Value) -> bool {
        let of_type = match self.kind() {
            FieldType::String => value.is_string(),
            FieldType::Boolean => value.is_boolean(),
            FieldType::Number => value.is_number(),
            FieldType::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        };
        let in_range = value.as_f64().is_none_or(|number| {
            self.minimum.is_none_or(|least| number >= least) && self.maximum.is_none_or(|most| number <= most)
        });
        // A choice may be of any type where none is named.
        let of_type = of_type || (self.kind.is_none() && self.choices.is_some());
        of_type && in_range && self.choices.as_ref().is_none_or(|choices| choices.contains(value))
    }

    /// What was typed, as a value.
    ///
    /// # Errors
    /// What it must be instead.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        let choice = self.choices.iter().flatten().find(|choice| typed(choice) == text);
        let value = match (choice, self.kind()) {
            (Some(choice), _) => Some(choice.clone()),
            (None, FieldType::String) => Some(Value::from(text)),
            (None, FieldType::Boolean) => match text.trim().to_lowercase().as_str() {
                "true" | "yes" | "y" => Some(true.into()),
                "false" | "no" | "n" => Some(false.into()),
                _ => None,
            },
            (None, _) => serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number),
        };
        let wrong = || format!("must be {}, not {}", self.wanted(), Value::from(text));
        value.filter(|value| self.takes(value)).ok_or_else(wrong)
    }

    /// What of it contradicts itself: for whoever checks a plan.
    pub fn contradiction(&self) -> Option<String> {
        if let (Some(least), Some(most)) = (self.minimum, self.maximum)
            && least > most
        {
            return Some(format!("`minimum` is {least}, above `maximum`, which is {most}"));
        }
        let untyped = Self { choices: None, ..self.clone() };
        let typed = self.kind.is_some() || self.choices.is_none();
        if let Some(choice) = self.choices.iter().flatten().find(|choice| typed && !untyped.takes(choice)) {
            return Some(format!("`enum` has {choice}, and the field must be {}", untyped.wanted()));
        }
        let default = self.default.as_ref().filter(|default| !default.is_null() && !self.takes(default))?;
        Some(format!("`default` is {default}, and the field must be {}", self.wanted()))
    }
}

/// A value as it is typed: a text as it is, the rest as JSON.
pub fn typed(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Fields {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A field.
    pub fn get(&self, name: &str) -> Option<&FieldSpec> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, field)| field)
    }

    /// The values of an answer, in the fields' order, with the defaults of those that are not given.
    ///
    /// # Errors
    /// The first that is wrong, in words: there is no such field, it must be something else, or it is missing.
    pub fn complete(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        if let Some(name) = given.keys().find(|name| self.get(name).is_none()) {
            let near = suggest(name, self.0.iter().map(|(name, _)| name.as_str()));
            let names: Vec<String> = self.0.iter().map(|(name, _)| format!("`{}`", visible(name))).collect();
            let has = match near {
                Some(near) => format!("did you mean `{}`?", visible(near)),
                None if names.is_empty() => "nothing is to be filled in".to_owned(),
                None => format!("there is {}", names.join(", ")),
            };
            return Err(format!("there is no field `{}`: {has}", visible(name)));
        }
        let mut values = Map::new();
        for (name, field) in &self.0 {
            let value = given.get(name).filter(|value| !value.is_null()).or(field.default.as_ref());
            match value.filter(|value| !value.is_null()) {
                Some(value) if field.takes(value) => {
                    values.insert(name.clone(), value.clone());
                }
                Some(value) => {
                    return Err(format!("the field `{}` must be {}, not {value}", visible(name), field.wanted()));
                }
                None if field.required => {
                    return Err(format!("the field `{}` is missing: it must be {}", visible(name), field.wanted()));
                }
                None => {}
            }
        }
        Ok(values)
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, field) in &self.0 {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object with a field under each name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl JsonSchema for Fields {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fields".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "object",
            "additionalProperties": generator.subschema_for::<FieldSpec>(),
            "propertyNames": {"pattern": ENV_PATTERN},
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields() -> Fields {
        serde_json::from_value(json!({
            "ticket": {"required": true},
            "rows": {"type": "integer", "minimum": 0},
            "level": {"enum": ["low", "high"], "default": "low"},
            "again": {"type": "boolean"}
        }))
        .unwrap()
    }

    fn complete(given: Value) -> Result<Value, String> {
        fields().complete(given.as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn an_answer_has_the_fields_order_and_their_defaults() {
        let answer = complete(json!({"again": false, "rows": 3, "ticket": "OPS-1"})).unwrap();
        assert_eq!(answer.to_string(), r#"{"ticket":"OPS-1","rows":3,"level":"low","again":false}"#);
        let written = serde_json::to_string(&fields()).unwrap();
        assert_eq!(serde_json::from_str::<Fields>(&written).unwrap(), fields(), "the order survives");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (given, expected) in [
            (json!({}), "the field `ticket` is missing: it must be a text"),
            (json!({"ticket": null}), "the field `ticket` is missing: it must be a text"),
            (json!({"ticket": 5}), "the field `ticket` must be a text, not 5"),
            (json!({"ticket": "x", "rows": 1.5}), "the field `rows` must be a whole number, at least 0, not 1.5"),
            (json!({"ticket": "x", "rows": -1}), "the field `rows` must be a whole number, at least 0, not -1"),
            (json!({"ticket": "x", "level": "mid"}), "the field `level` must be one of \"low\", \"high\", not \"mid\""),
            (json!({"ticket": "x", "again": "yes"}), "the field `again` must be true or false, not \"yes\""),
            (json!({"tickett": "x"}), "there is no field `tickett`: did you mean `ticket`?"),
        ] {
            assert_eq!(complete(given).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_is_typed_becomes_the_fields_type() {
        let fields = fields();
        let read = |name: &str, text: &str| fields.get(name).unwrap().read(text);
        assert_eq!(read("ticket", "42"), Ok(json!("42")), "a text stays one");
        assert_eq!(read("rows", " 42 "), Ok(json!(42)));
        assert_eq!(read("again", "yes"), Ok(json!(true)));
        assert_eq!(read("level", "high"), Ok(json!("high")));
        assert_eq!(read("rows", "many").unwrap_err(), "must be a whole number, at least 0, not \"many\"");
        assert_eq!(read("level", "mid").unwrap_err(), "must be one of \"low\", \"high\", not \"mid\"");
    }

    #[test]
    fn a_field_that_contradicts_itself_is_found() {
        let said = |field: Value| serde_json::from_value::<FieldSpec>(field).unwrap().contradiction();
        assert_eq!(said(json!({"type": "integer", "minimum": 1, "default": 1})), None);
        assert!(said(json!({"type": "integer", "default": "one"})).unwrap().contains("`default` is \"one\""));
        assert!(said(json!({"type": "number", "enum": [1, "x"]})).unwrap().contains("`enum` has \"x\""));
        assert!(said(json!({"minimum": 2, "maximum": 1})).unwrap().contains("above `maximum`"));
        assert_eq!(said(json!({"enum": [1, "x"], "default": "x"})), None, "without a type a choice may be anything");
    }
}
