//! Words shared by all rooms: refusals, severities, findings, metrics, log lines, progress.

use serde::{Deserialize, Serialize};

/// A call's typed no. Reaches the guest as `types.refusal`; never traps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    #[serde(default)]
    pub hint: Option<String>,
}

/// An absent hint is left out of JSON. Binary formats, which know fields by their place, get it
/// always: refusals travel between worker and host in one of them.
impl Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let told = self.hint.is_some() || !s.is_human_readable();
        let mut fields = s.serialize_struct("Refusal", if told { 3 } else { 2 })?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("message", &self.message)?;
        if told {
            fields.serialize_field("hint", &self.hint)?;
        } else {
            fields.skip_field("hint")?;
        }
        fields.end()
    }
}

/// Stable refusal codes, spelled in the contract as their lower-case names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Code {
    Denied,
    Limit,
    Gone,
    Busy,
    Io,
    Invalid,
}

impl Code {
    pub const ALL: [Self; 6] = [
        Self::Denied,
        Self::Limit,
        Self::Gone,
        Self::Busy,
        Self::Io,
        Self::Invalid,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Limit => "limit",
            Self::Gone => "gone",
            Self::Busy => "busy",
            Self::Io => "io",
            Self::Invalid => "invalid",
        }
    }
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Code::Denied, message)
    }
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Code::Limit, message)
    }
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(Code::Gone, message)
    }
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Code::Busy, message)
    }
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(Code::Io, message)
    }
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One line a guest wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub level: Level,
    pub message: String,
}

/// Something a task noticed. `id` and `subject` are its identity over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub id: String,
    pub subject: String,
    pub severity: Severity,
    pub title: String,
    pub detail: String,
    pub data: Vec<(String, String)>,
}

/// A number worth keeping, in a base unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    pub unit: String,
    pub value: f64,
    pub labels: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    /// 0 when unknown.
    pub total: u64,
    pub unit: String,
    pub note: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Done,
    Warned,
}

/// What a task says came out: one line, and a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub status: Status,
    pub line: String,
    /// JSON text whose shape the plugin documents.
    pub data: String,
}

/// How a task says it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "why")]
pub enum Failure {
    Transient(String),
    Permanent(String),
    Refused(Refusal),
}

/// Text from a guest as it may be shown: control characters (terminal escapes among them) become
/// U+FFFD, and what is longer than `max_bytes` is cut at a character with `…` added.
pub fn printable(text: &str, max_bytes: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_bytes + 4));
    for c in text.chars() {
        if out.len() + c.len_utf8() > max_bytes {
            out.push('…');
            break;
        }
        let hidden = c.is_control() && c != '\t'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        out.push(if hidden { '\u{fffd}' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_disarms_escapes_and_bidi() {
        assert_eq!(
            printable("\x1b[2Jhi\n\u{202e}x", 100),
            "\u{fffd}[2Jhi\u{fffd}\u{fffd}x"
        );
    }

    #[test]
    fn a_refusal_without_a_hint_says_nothing_of_it_in_json() {
        let refusal = Refusal::busy("b");
        let json = serde_json::to_string(&refusal).unwrap();
        assert_eq!(json, r#"{"code":"busy","message":"b"}"#);
        assert_eq!(serde_json::from_str::<Refusal>(&json).unwrap(), refusal);
        let json = serde_json::to_string(&refusal.hint("h")).unwrap();
        assert_eq!(json, r#"{"code":"busy","message":"b","hint":"h"}"#);
    }

    #[test]
    fn printable_cuts_at_a_character() {
        assert_eq!(printable("ééé", 4), "éé…");
    }
}
