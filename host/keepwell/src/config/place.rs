//! Where in a file something is wrong: message, line, caret, suggestion.

use keepwell_model::grant::nearest;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// One thing that is wrong in one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Plain", into = "Plain")]
pub struct Problem {
    pub file: String,
    pub message: String,
    pub hint: Option<String>,
    span: Option<Range<usize>>,
    source: NamedSource<String>,
}

/// A problem as it travels between the daemon and the command line.
#[derive(Serialize, Deserialize)]
struct Plain {
    file: String,
    text: String,
    message: String,
    hint: Option<String>,
    span: Option<Range<usize>>,
}

impl From<Plain> for Problem {
    fn from(plain: Plain) -> Self {
        Self::new(Path::new(&plain.file), &plain.text, plain.message)
            .span(plain.span)
            .hint(plain.hint)
    }
}

impl From<Problem> for Plain {
    fn from(problem: Problem) -> Self {
        Self {
            text: problem.source.inner().clone(),
            file: problem.file,
            message: problem.message,
            hint: problem.hint,
            span: problem.span,
        }
    }
}

impl Problem {
    /// At no particular place of the file.
    pub fn new(path: &Path, text: &str, message: impl Into<String>) -> Self {
        let file = path.display().to_string();
        Self {
            source: NamedSource::new(&file, text.to_owned()),
            file,
            message: message.into(),
            hint: None,
            span: None,
        }
    }

    /// From the reader of TOML; an unknown key gets the nearest known one as suggestion.
    pub fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().to_owned();
        let hint = suggestion(&message);
        let mut problem = Self::new(path, text, message);
        problem.span = error.span();
        problem.hint = hint;
        problem
    }

    /// At the value of a dotted key, or at the nearest table above it that exists.
    #[must_use]
    pub fn at(mut self, dotted: &str) -> Self {
        let text = self.source.inner();
        // What is missing has no place of its own: the first line stands for the file.
        let first_line = || 0..text.find('\n').unwrap_or(text.len());
        self.span = Some(locate(text, dotted).unwrap_or_else(first_line));
        self
    }

    #[must_use]
    pub fn span(mut self, span: Option<Range<usize>>) -> Self {
        self.span = span;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// 1-based line and column of the place.
    pub fn line_and_column(&self) -> Option<(usize, usize)> {
        let before = self.source.inner().get(..self.span.as_ref()?.start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Some((line, column))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint
            .as_ref()
            .map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new(
            None,
            span.start,
            span.len().max(1),
        ))))
    }
}

/// `unknown field `a`, expected one of `b`, `c`` → `did you mean `b`?`
pub fn suggestion(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown ") {
        return None;
    }
    let wrong = words.next()?;
    let known: Vec<&str> = words.collect();
    match nearest(wrong, &known) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

/// The span of a dotted key's value, or of the deepest table on the way that is there.
fn locate(text: &str, dotted: &str) -> Option<Range<usize>> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for part in dotted.split('.') {
        let Some((key, value)) = table.get_key_value(part) else {
            break;
        };
        found = Some(if value.get_ref().is_table() {
            key.span()
        } else {
            value.span()
        });
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_of_a_dotted_key() {
        let text = "plugin = \"x\"\n[grant]\nstorage = { roots = [\"tpm\"] }\n";
        let problem = Problem::new(Path::new("t.toml"), text, "m").at("grant.storage.roots");
        assert_eq!(problem.line_and_column(), Some((3, 21)));
        let above = Problem::new(Path::new("t.toml"), text, "m").at("grant.shards.stores");
        assert_eq!(above.line_and_column(), Some((2, 2)));
    }

    #[test]
    fn suggests_the_nearest_key() {
        let s = suggestion("unknown field `polugin`, expected one of `plugin`, `task`");
        assert_eq!(s.as_deref(), Some("did you mean `plugin`?"));
        let far = suggestion("unknown field `zzz`, expected one of `plugin`, `task`");
        assert_eq!(far.as_deref(), Some("known here: plugin, task"));
    }
}
