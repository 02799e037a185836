//! `"protocol": "jsonl"`: one JSON line in, lines of JSON messages out.
//!
//! In: `{"run_id", "step", "attempt", "attempt_key", "action", "parameters", "plan_dir", "results"}`, then the end of the file.
//! Out, one message a line: `{"type": "progress", "value": 0..1, "message": …}`, `{"type": "log", "message": …}`,
//! `{"type": "result", …}` with the fields of a result; of several results the last one counts. A line that is no such message is kept as
//! plain output, with a remark at the first one: nothing that a program says gets lost.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::run::AgentResult;

use super::AttemptContext;
use super::result;

/// A line longer than this is not taken for a message, in bytes. Results that are larger go into the file `HOLDPOINT_RESULT`.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// What an agent says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Progress {
        value: Option<f64>,
        message: Option<String>,
    },
    Log(String),
    Result(Result<AgentResult, String>),
    /// Not a message: output like any other. The reason is for the remark; `None` where it was given already.
    Plain {
        bytes: Vec<u8>,
        why: Option<String>,
    },
}

/// Cuts stdout in lines and reads them.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Within a line that is too long to be a message.
    overlong: bool,
    remarked: bool,
}

impl Lines {
    /// Takes a piece of stdout.
    pub fn push(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Message)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = bytes.split_at(end + 1);
            bytes = tail;
            self.extend(head, &mut tell);
            self.end_line(&mut tell);
        }
        self.extend(bytes, &mut tell);
    }

    /// stdout has ended; what stands on the last line counts also without a line end.
    pub fn finish(&mut self, mut tell: impl FnMut(Message)) {
        self.end_line(&mut tell);
    }

    fn extend(&mut self, bytes: &[u8], tell: &mut impl FnMut(Message)) {
        if self.overlong {
            return tell(Message::Plain { bytes: bytes.to_vec(), why: None });
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() > LONGEST_LINE {
            self.overlong = true;
            let bytes = std::mem::take(&mut self.line);
            let why = self.remark(|| format!("is longer than {} KiB", LONGEST_LINE >> 10));
            tell(Message::Plain { bytes, why });
        }
    }

    fn end_line(&mut self, tell: &mut impl FnMut(Message)) {
        self.overlong = false;
        if self.line.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        match read(&line) {
            Ok(message) => tell(message),
            Err(why) => {
                let blank = line.iter().all(u8::is_ascii_whitespace);
                let why = if blank { None } else { self.remark(|| why) };
                tell(Message::Plain { bytes: line, why });
            }
        }
    }

    fn remark(&mut self, why: impl FnOnce() -> String) -> Option<String> {
        let first = !std::mem::replace(&mut self.remarked, true);
        first.then(|| {
            format!("a line on stdout is no message of the jsonl protocol and is kept as output: it {}", why())
        })
    }
}

fn read(line: &[u8]) -> Result<Message, String> {
    #[derive(Deserialize)]
    struct Progress {
        #[serde(default)]
        value: Option<f64>,
        #[serde(default)]
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct Log {
        message: String,
    }
    let value: Value = serde_json::from_slice(line).map_err(|error| match result::is_too_deep(&error) {
        true => format!("is nested deeper than {} levels", result::MAX_RESULT_DEPTH),
        false => format!("is not JSON ({error})"),
    })?;
    let Value::Object(mut fields) = value else { return Err("is not a JSON object".into()) };
    let kind = match fields.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => return Err("has no `type`".into()),
    };
    match kind.as_str() {
        "progress" => typed(fields, "progress").map(|Progress { value, message }| Message::Progress { value, message }),
        "log" => typed(fields, "log").map(|Log { message }| Message::Log(message)),
        "result" => Ok(Message::Result(result::from_fields(fields))),
        other => Err(format!("has the type `{other}`; there are progress, log and result")),
    }
}

fn typed<T: serde::de::DeserializeOwned>(fields: Map<String, Value>, kind: &str) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields))
        .map_err(|error| format!("is not right for a `{kind}` message ({error})"))
}

/// The line that an agent finds on its stdin.
pub(super) fn request(context: &AttemptContext) -> Vec<u8> {
    let mut line = json!({
        "run_id": context.run_id,
        "step": context.step.step_id,
        "attempt": context.attempt,
        "attempt_key": context.key,
        "action": context.step.action,
        "parameters": context.step.parameters,
        "plan_dir": context.plan_dir.to_string_lossy(),
        "results": (context.results)(),
    })
    .to_string()
    .into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(pieces: &[&[u8]]) -> Vec<Message> {
        let (mut lines, mut messages) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |message| messages.push(message));
        }
        lines.finish(|message| messages.push(message));
        messages
    }

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let text = concat!(
            r#"{"type":"progress","value":0.5,"message":"half"}"#,
            "\n",
            r#"{"type":"log","message":"hello"}"#,
            "\n",
            r#"{"type":"result","data":{"rows":3}}"#
        );
        let whole = read_all(&[text.as_bytes()]);
        assert_eq!(whole[0], Message::Progress { value: Some(0.5), message: Some("half".into()) });
        assert_eq!(whole[1], Message::Log("hello".into()));
        assert!(matches!(&whole[2], Message::Result(Ok(result)) if result.data == Some(json!({"rows": 3}))));
        for cut in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(read_all(&[a, b]), whole);
        }
    }

    #[test]
    fn what_is_no_message_is_kept_and_remarked_once() {
        let messages = read_all(&[b"plain\n\n[1]\n{\"type\":\"progres\"}\n{\"type\":\"log\",\"message\":3}\nend"]);
        let (mut kept, mut remarks) = (Vec::new(), 0);
        for message in &messages {
            let Message::Plain { bytes, why } = message else { panic!("{message:?}") };
            kept.extend_from_slice(bytes);
            remarks += usize::from(why.is_some());
        }
        assert_eq!(kept, b"plain\n\n[1]\n{\"type\":\"progres\"}\n{\"type\":\"log\",\"message\":3}\nend");
        assert_eq!(remarks, 1);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let (mut lines, mut bytes) = (Lines::default(), 0);
        let piece = [b'x'; 64 * 1024];
        for _ in 0..64 {
            lines.push(&piece, |message| match message {
                Message::Plain { bytes: more, .. } => bytes += more.len(),
                other => panic!("{other:?}"),
            });
            assert!(lines.line.len() <= LONGEST_LINE);
        }
        lines.push(b"\n{\"type\":\"log\",\"message\":\"after\"}\n", |message| match message {
            Message::Plain { bytes: more, .. } => bytes += more.len(),
            other => assert_eq!(other, Message::Log("after".into())),
        });
        assert_eq!(bytes, 64 * piece.len() + 1);
    }
}
