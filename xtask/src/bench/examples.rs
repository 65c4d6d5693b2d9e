//! The rooms' own benches: what is measured inside a process is measured there.
//!
//! Each prints one JSON object a line on stdout: `{"name": …, "value": …, "unit": …, "target": …,
//! "better": "lower" | "higher"}`; `target` and `better` are absent for a figure without target.
//! What is not such an object is talk, and passes through.

use super::setting::Setting;
use super::table::Row;
use crate::error::{Error, Result};
use crate::step::{cargo, expect_success, typed};
use serde_json::Value;

pub(crate) fn sandbox(setting: &Setting) -> Result<Vec<Row>> {
    example(setting, "keepwell-sandbox", "sandbox_bench")
}

pub(crate) fn journal(setting: &Setting) -> Result<Vec<Row>> {
    example(setting, "keepwell-journal", "journal_bench")
}

fn example(setting: &Setting, package: &str, name: &str) -> Result<Vec<Row>> {
    let mut it = cargo();
    it.current_dir(&setting.places.checkout)
        .args([
            "run",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            package,
        ])
        .args(["--example", name]);
    if setting.quick {
        it.args(["--", "--quick"]);
    }
    it.env(
        "KEEPWELL_BIN",
        setting.places.dist().join("bin").join("keepwell"),
    )
    .env("KEEPWELL_BUNDLES", setting.places.dist().join("bundles"))
    .env("KEEPWELL_COMPONENTS", setting.places.components())
    .env("TMPDIR", setting.places.bench());
    println!("{}", typed(&it));
    let said = expect_success(&mut it)?;
    let mut rows = Vec::new();
    for line in said.lines() {
        println!("  {line}");
        rows.extend(parse(line));
    }
    if rows.is_empty() {
        return Err(Error::Unexpected(format!("`{name}` printed no figures")));
    }
    Ok(rows)
}

/// A figure, or nothing when the line is talk.
fn parse(line: &str) -> Option<Row> {
    let json: Value = serde_json::from_str(line.trim()).ok()?;
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let what = text("name")?;
    let unit = text("unit")?;
    let value = json.get("value")?.as_f64()?;
    let target = json.get("target").and_then(Value::as_f64);
    Some(match (target, text("better")) {
        (Some(target), Some("higher")) => Row::at_least(what, value, target, unit),
        (Some(target), Some(_) | None) => Row::below(what, value, target, unit),
        (None, Some(_) | None) => Row::note(what, format!("{value:.2} {unit}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_become_rows_and_talk_does_not() {
        let low = parse(r#"{"name":"instantiate, p50","value":12.5,"unit":"µs","target":30}"#);
        assert_eq!(low.unwrap().met, Some(true));
        let high =
            parse(r#"{"name":"intents","value":4000,"unit":"/s","target":5000,"better":"higher"}"#);
        assert_eq!(high.unwrap().met, Some(false));
        let note = parse(r#"{"name":"events","value":1000000,"unit":""}"#);
        assert_eq!(note.unwrap().met, None);
        assert_eq!(parse("measuring …"), None);
        assert_eq!(parse(r#"{"name":"x"}"#), None);
    }
}
