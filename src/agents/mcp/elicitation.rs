//! What a server asks while it works on a call: a question to people, and what they answer.

use rmcp::model::{ElicitRequestParams, ElicitResult, ElicitationAction};
use serde_json::{Map, Value};

use crate::plan::{FieldSpec, FieldType, Fields, typed};
use crate::run::{Answer, Answered, Question};

/// A field of which several values can be chosen, which people are asked for as a text.
#[derive(Debug, Clone, PartialEq)]
struct Several {
    name: String,
    allowed: Vec<String>,
}

/// A question of a server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub question: Question,
    several: Vec<Several>,
}

impl Asked {
    /// What people are asked; `server`: how the server calls itself.
    pub fn of(params: &ElicitRequestParams, server: &str) -> Option<Self> {
        let title = format!("{server} asks");
        match params {
            ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
                let schema = serde_json::to_value(requested_schema).ok()?;
                let mut several = Vec::new();
                let required = |name: &str| {
                    schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name))
                };
                let properties = schema["properties"].as_object().into_iter().flatten();
                let fields = properties.map(|(name, property)| {
                    let field = field(name, property, required(name), &mut several);
                    (name.clone(), field)
                });
                let fields = Fields(fields.collect());
                Some(Self {
                    question: Question { title, message: Some(message.clone()), fields, ..Question::default() },
                    several,
                })
            }
            ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
                let message = format!("{message}\n\nOpen this address, and answer when you are through: {url}");
                Some(Self {
                    question: Question { title, message: Some(message), ..Question::default() },
                    several: Vec::new(),
                })
            }
            _ => None,
        }
    }

    /// The answer as the server wants it.
    ///
    /// # Errors
    /// What is wrong with it, for whoever gave it.
    pub fn answer(&self, answered: &Answered) -> Result<ElicitResult, String> {
        let Answer::Accepted(values) = &answered.answer else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        let mut values: Map<String, Value> = values.clone();
        for one in &self.several {
            let Some(Value::String(text)) = values.get(&one.name) else { continue };
            let chosen: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
            if let Some(wrong) = chosen.iter().find(|word| !one.allowed.iter().any(|allowed| allowed == *word)) {
                return Err(format!("`{wrong}` is none of the values of `{}`: {}", one.name, one.allowed.join(", ")));
            }
            let chosen = Value::from(chosen);
            values.insert(one.name.clone(), chosen);
        }
        let result = ElicitResult::new(ElicitationAction::Accept);
        Ok(if self.question.fields.is_empty() { result } else { result.with_content(Value::Object(values)) })
    }
}

fn field(name: &str, property: &Value, required: bool, several: &mut Vec<Several>) -> FieldSpec {
    let text = |key: &str| property[key].as_str().map(str::to_owned);
    let mut field = FieldSpec {
        title: text("title"),
        required,
        default: property.get("default").filter(|default| !default.is_null()).cloned(),
        minimum: property["minimum"].as_f64(),
        maximum: property["maximum"].as_f64(),
        ..FieldSpec::default()
    };
    let mut notes: Vec<String> = text("description").into_iter().collect();
    field.kind = Some(match property["type"].as_str() {
        Some("number") => FieldType::Number,
        Some("integer") => FieldType::Integer,
        Some("boolean") => FieldType::Boolean,
        _ => FieldType::String,
    });
    let is_list = property["type"] == "array";
    let choices = choices(if is_list { &property["items"] } else { property });
    if let Some(names) = property["enumNames"].as_array() {
        notes.push(names.iter().map(typed).collect::<Vec<_>>().join(", "));
    }
    let named: Vec<String> =
        choices.iter().filter_map(|(value, title)| Some(format!("{}: {}", typed(value), title.as_ref()?))).collect();
    if !named.is_empty() {
        notes.push(named.join(", "));
    }
    let allowed: Vec<Value> = choices.into_iter().map(|(value, _)| value).collect();
    if is_list {
        let allowed: Vec<String> = allowed.iter().map(typed).collect();
        notes.push(format!("several, with commas between them, of {}", allowed.join(", ")));
        field.default = field.default.and_then(|default| {
            Some(Value::from(default.as_array()?.iter().map(typed).collect::<Vec<_>>().join(", ")))
        });
        several.push(Several { name: name.to_owned(), allowed });
    } else if !allowed.is_empty() {
        field.choices = Some(allowed);
    }
    if let Some(format) = text("format") {
        notes.push(format!("as {format}"));
    }
    // A default that the field does not take would make every answer without it wrong.
    field.default = field.default.take().filter(|default| field.takes(default));
    field.description = (!notes.is_empty()).then(|| notes.join("; "));
    field
}

/// The values that can be chosen, with what they are called.
fn choices(schema: &Value) -> Vec<(Value, Option<String>)> {
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| (value.clone(), None)).collect();
    }
    let titled = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    let titled = titled.into_iter().flatten();
    titled.filter_map(|one| Some((one.get("const")?.clone(), one["title"].as_str().map(str::to_owned)))).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use serde_json::json;

    fn asked() -> Asked {
        let params = json!({"mode": "form", "message": "Who?", "requestedSchema": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "title": "Name", "description": "yours", "format": "email"},
            "age": {"type": "integer", "minimum": 1, "maximum": 120, "default": 500},
            "sure": {"type": "boolean", "default": true},
            "color": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
            "pets": {"type": "array", "items": {"type": "string", "enum": ["cat", "dog"]}, "default": ["cat"]}}}});
        Asked::of(&serde_json::from_value(params).unwrap(), "pets").unwrap()
    }

    fn answered(answer: Answer) -> Answered {
        Answered { user: "ann".into(), time: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), answer, notes: None }
    }

    #[test]
    fn a_schema_becomes_fields_and_the_fields_an_answer() {
        let asked = asked();
        let names: Vec<&str> = asked.question.fields.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["name", "age", "sure", "color", "pets"], "in the server's order");
        let field = |name: &str| asked.question.fields.get(name).unwrap().clone();
        assert!(field("name").required && field("name").description.unwrap().contains("yours; as email"));
        assert_eq!(
            (field("age").maximum, field("age").default),
            (Some(120.0), None),
            "a default it does not take is none"
        );
        assert_eq!(field("color").choices(), ["r", "g"]);
        assert!(field("color").description.unwrap().contains("r: Red"));
        assert_eq!(field("pets").default, Some(json!("cat")));
        let given = json!({"name": "a@b", "pets": "dog, cat"});
        let values = asked.question.fields.complete(given.as_object().unwrap()).unwrap();
        let answer = asked.answer(&answered(Answer::Accepted(values.clone()))).unwrap();
        assert_eq!(answer.action, ElicitationAction::Accept);
        assert_eq!(answer.content, Some(json!({"name": "a@b", "sure": true, "pets": ["dog", "cat"]})));
        let mut wrong = values;
        wrong.insert("pets".into(), "dog, cow".into());
        assert!(asked.answer(&answered(Answer::Accepted(wrong))).unwrap_err().contains("`cow` is none"));
        let declined = asked.answer(&answered(Answer::Declined)).unwrap();
        assert_eq!((declined.action, declined.content), (ElicitationAction::Decline, None));
    }

    #[test]
    fn an_address_to_open_is_shown() {
        let params = json!({"mode": "url", "message": "Sign in", "url": "https://x/y", "elicitationId": "1"});
        let asked = Asked::of(&serde_json::from_value(params).unwrap(), "bank").unwrap();
        assert!(asked.question.message.as_ref().unwrap().contains("https://x/y"));
        let answer = asked.answer(&answered(Answer::Accepted(Map::new()))).unwrap();
        assert_eq!((answer.action, answer.content), (ElicitationAction::Accept, None));
    }
}
