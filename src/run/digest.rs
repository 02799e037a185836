//! What an attempt gets to work on, and the digest by which it is known again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::plan::Step;

/// Digest of an attempt's masked input: the first 64 bits of SHA-256 over its JSON, shown and written as 16 hex digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputDigest(u64);

impl InputDigest {
    /// The digest of an input.
    pub fn of(input: &Value) -> Self {
        let digest = Sha256::digest(serde_json::to_vec(input).unwrap_or_default());
        Self(digest.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for InputDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl Serialize for InputDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InputDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let read = (digits.len() == 16).then(|| u64::from_str_radix(&digits, 16).ok()).flatten();
        let read = read.map(Self).filter(|read| read.to_string() == *digits);
        read.ok_or_else(|| de::Error::custom(format_args!("`{digits}` is no digest of an input: 16 hex digits")))
    }
}

/// What an attempt gets as input: everything of the step that shapes the work.
pub fn input_of(step: &Step) -> Value {
    let mut input = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            input.insert(name.into(), value);
        }
    };
    put("agent", step.agent().map(Value::from));
    put("action", step.action.as_deref().map(Value::from));
    put("run", step.run.as_deref().map(Value::from));
    put("working_dir", step.working_dir.as_deref().map(Value::from));
    put("parameters", (!step.parameters.is_empty()).then(|| Value::Object(Map::clone(&step.parameters))));
    put(
        "env",
        (!step.env.is_empty()).then(|| step.env.iter().map(|(k, v)| (k.clone(), Value::from(v.clone()))).collect()),
    );
    Value::Object(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_16_digits_and_read_from_nothing_else() {
        // The first half of what sha256sum says of `{}`, which begins 44136fa355b3678a.
        let digest = InputDigest::of(&serde_json::json!({}));
        assert_eq!(digest.to_string(), "44136fa355b3678a");
        let small = serde_json::to_string(&InputDigest(0xab)).unwrap();
        assert_eq!(small, "\"00000000000000ab\"");
        assert_eq!(serde_json::from_str::<InputDigest>(&small).unwrap(), InputDigest(0xab));
        for wrong in ["\"ab\"", "\"00000000000000AB\"", "\"+0000000000000ab\"", "\"\"", "7"] {
            assert!(serde_json::from_str::<InputDigest>(wrong).is_err(), "{wrong}");
        }
    }
}
