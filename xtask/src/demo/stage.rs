//! Running `keepwell` before an audience: the command line is shown, its talk passes through, and
//! the exit code must be one that was expected.

use crate::error::{Error, Result};
use crate::figures::grouped;
use crate::step::{capture, command, expect_success, typed};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Exit codes of the command line, as DESIGN section 5 lists them.
pub(crate) const DONE: i32 = 0;
pub(crate) const FAILED: i32 = 1;
pub(crate) const WARNED: i32 = 3;
pub(crate) const DENIED: i32 = 4;

/// The binary and the node it is shown on.
#[derive(Debug)]
pub(crate) struct Stage {
    keepwell: PathBuf,
    node: PathBuf,
}

impl Stage {
    pub(crate) const fn new(keepwell: PathBuf, node: PathBuf) -> Self {
        Self { keepwell, node }
    }

    pub(crate) fn keepwell(&self) -> &Path {
        &self.keepwell
    }

    pub(crate) fn node(&self) -> &Path {
        &self.node
    }

    /// A command on this node.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut it = command(&self.keepwell);
        it.args(words)
            .env("KEEPWELL_NODE", &self.node)
            .stdin(Stdio::null());
        it
    }

    /// Shows the command and all it says.
    pub(crate) fn show(&self, words: &[&str], expected: &[i32]) -> Result<i32> {
        let mut it = self.command(words);
        println!("\n$ {}", typed(&it));
        let status = it.status().map_err(|source| Error::Start {
            program: self.keepwell.display().to_string(),
            source,
        })?;
        check_code(&typed(&it), status.code(), expected)
    }

    /// Shows the command, its talk, and the first lines of the many on its stdout.
    pub(crate) fn show_start(&self, words: &[&str], expected: &[i32], most: usize) -> Result<()> {
        let mut it = self.command(words);
        println!("\n$ {}", typed(&it));
        it.stderr(Stdio::inherit()).stdout(Stdio::piped());
        let start = |source| Error::Start {
            program: self.keepwell.display().to_string(),
            source,
        };
        let output = it
            .spawn()
            .and_then(Child::wait_with_output)
            .map_err(start)?;
        let said = String::from_utf8_lossy(&output.stdout);
        for line in said.lines().take(most) {
            println!("{line}");
        }
        let more = said.lines().count().saturating_sub(most);
        if more > 0 {
            println!("   ... and {} more lines", grouped(more as u64));
        }
        check_code(&typed(&it), output.status.code(), expected)?;
        Ok(())
    }

    /// Shows the command, and what it says on both streams, which the caller gets to judge.
    pub(crate) fn show_and_keep(&self, words: &[&str], expected: &[i32]) -> Result<String> {
        let mut it = self.command(words);
        println!("\n$ {}", typed(&it));
        let Output {
            status,
            stdout,
            stderr,
        } = capture(&mut it)?;
        let mut said = String::from_utf8_lossy(&stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&stderr));
        print!("{said}");
        check_code(&typed(&it), status.code(), expected)?;
        Ok(said)
    }

    /// Runs it unseen for its JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut it = self.command(words);
        it.arg("--json");
        let text = expect_success(&mut it)?;
        serde_json::from_str(&text)
            .map_err(|e| Error::Unexpected(format!("`{}` printed no JSON: {e}", typed(&it))))
    }
}

fn check_code(line: &str, code: Option<i32>, expected: &[i32]) -> Result<i32> {
    match code {
        Some(code) if expected.contains(&code) => Ok(code),
        Some(code) => Err(Error::Unexpected(format!(
            "`{line}` exited with {code}; expected {}",
            expected
                .iter()
                .map(i32::to_string)
                .collect::<Vec<_>>()
                .join(" or ")
        ))),
        None => Err(Error::Unexpected(format!("`{line}` died of a signal"))),
    }
}

/// The value under a key, wherever in the JSON it stands; the outermost first.
pub(crate) fn find<'a>(json: &'a Value, key: &str) -> Option<&'a Value> {
    let inner: Vec<&Value> = match json {
        Value::Object(map) => {
            if let Some(value) = map.get(key) {
                return Some(value);
            }
            map.values().collect()
        }
        Value::Array(list) => list.iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    inner.into_iter().find_map(|value| find(value, key))
}

/// A number at a path of keys.
pub(crate) fn number(json: &Value, keys: &[&str]) -> Result<u64> {
    let mut at = Some(json);
    for key in keys {
        at = at.and_then(|value| find(value, key));
    }
    at.and_then(Value::as_u64).ok_or_else(|| {
        Error::Unexpected(format!("the report holds no number `{}`", keys.join(".")))
    })
}

/// A text under a key.
pub(crate) fn text(json: &Value, key: &str) -> Result<String> {
    find(json, key)
        .and_then(Value::as_str)
        .map(ToOwned::to_owned)
        .ok_or_else(|| Error::Unexpected(format!("the report holds no text `{key}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_at_any_depth() {
        let json = serde_json::json!({"report": {"applied": {"done": 7}, "run": "r"}});
        assert_eq!(number(&json, &["applied", "done"]).unwrap(), 7);
        assert_eq!(text(&json, "run").unwrap(), "r");
        assert!(number(&json, &["applied", "absent"]).is_err());
    }

    #[test]
    fn an_unexpected_exit_code_is_told() {
        assert_eq!(check_code("x", Some(3), &[0, 3]).unwrap(), 3);
        let told = check_code("x", Some(70), &[0, 3]).unwrap_err().to_string();
        assert_eq!(told, "`x` exited with 70; expected 0 or 3");
        assert!(check_code("x", None, &[0]).is_err());
    }
}
