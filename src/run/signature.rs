//! Who signed: the name they gave, and the account of the system they acted from. It is sign-off, not authentication: nothing holds a name
//! against an account.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signature under a hold point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Signature {
    /// The name they gave.
    pub user: String,
    /// The system's user id of the process that asked; `None` when an older version noted it, or nobody could say.
    pub uid: Option<u32>,
}

/// An older version wrote the name alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Whole { user: String, uid: u32 },
}

impl From<Written> for Signature {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(user) => Self { user, uid: None },
            Written::Whole { user, uid } => Self { user, uid: Some(uid) },
        }
    }
}

impl From<Signature> for Written {
    fn from(Signature { user, uid }: Signature) -> Self {
        match uid {
            Some(uid) => Self::Whole { user, uid },
            None => Self::Name(user),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&signed_by(&self.user, self.uid))
    }
}

/// A name with the account beside it, for people.
pub fn signed_by(user: &str, uid: Option<u32>) -> String {
    uid.map_or_else(|| user.to_owned(), |uid| format!("{user} (uid {uid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_alone_is_read_as_it_was_written() {
        for (text, uid) in [(r#""ann""#, None), (r#"{"user":"ann","uid":1000}"#, Some(1000))] {
            let signature: Signature = serde_json::from_str(text).unwrap();
            assert_eq!(signature, Signature { user: "ann".into(), uid });
            assert_eq!(serde_json::to_string(&signature).unwrap(), text);
        }
    }
}
