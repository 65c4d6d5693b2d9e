//! `store status PATH`: the objects of a native store, what they can still lose, and what is wrong.

use super::progress;
use super::{Global, failed};
use crate::error::{Result, chain};
use crate::show;
use keepwell_model::state::Exit;
use keepwell_model::store::State;
use keepwell_model::units::Bytes;
use keepwell_store::{Object, ObjectKind, Store, Survey};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row<'a> {
    #[serde(flatten)]
    object: &'a Object,
    groups: usize,
    /// Of its weakest group; `None` when that is lost.
    spare: Option<usize>,
    complete: bool,
}

/// Objects with what they can still lose, and what is wrong.
pub(crate) fn status(global: &Global, path: &Path, verify: bool) -> Result<Exit> {
    let store = Store::open(path).map_err(failed)?;
    let bar = verify.then(|| progress::bar(None)).flatten();
    let mut told = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let survey = store.survey(verify, &mut told);
    progress::end(bar);
    let survey = survey.map_err(failed)?;
    let rows: Vec<Row<'_>> = survey
        .objects
        .iter()
        .map(|(object, complete)| row(&survey, object, *complete))
        .collect();
    let states: BTreeMap<&str, u64> = survey
        .states
        .iter()
        .map(|(s, n)| (s.as_str(), *n))
        .collect();
    let wrong: Vec<String> = survey.wrong.iter().map(|e| chain(e)).collect();
    let value = serde_json::json!({
        "store": store.id(), "scheme": store.scheme(), "digest": store.hash(), "objects": rows,
        "shards": states, "bytes": survey.bytes, "verified": verify, "lost-groups": survey.lost().count(),
        "degraded-groups": survey.degraded().count(), "extra": survey.extra, "wrong": wrong,
    });
    global
        .out()
        .document(&value, || text(&store, &survey, &rows, &wrong, verify));
    let warned = survey.degraded().next().is_some() || !survey.extra.is_empty();
    let bad = survey.lost().next().is_some() || !wrong.is_empty();
    let bad = bad || rows.iter().any(|row| !row.complete);
    Ok(match (bad, warned) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Warned,
        (false, false) => Exit::Done,
    })
}

fn row<'a>(survey: &Survey, object: &'a Object, complete: bool) -> Row<'a> {
    let groups = || {
        survey
            .groups
            .iter()
            .filter(|g| g.manifest.object.id == object.id)
    };
    Row {
        object,
        groups: groups().count(),
        spare: groups().map(keepwell_store::Group::spare).min().flatten(),
        complete,
    }
}

fn text(
    store: &Store,
    survey: &Survey,
    rows: &[Row<'_>],
    wrong: &[String],
    verify: bool,
) -> String {
    let table = show::table(
        &["object", "kind", "bytes", "groups", "can lose"],
        rows.iter().map(|row| {
            let spare = match (row.complete, row.spare) {
                (false, _) => "incomplete".to_owned(),
                (true, None) => "lost".to_owned(),
                (true, Some(spare)) => format!("{spare} of {}", store.scheme().shards()),
            };
            vec![
                row.object.name.clone(),
                match row.object.kind {
                    ObjectKind::File => "file".to_owned(),
                    ObjectKind::Tree => "tree".to_owned(),
                },
                Bytes(row.object.size).to_string(),
                row.groups.to_string(),
                spare,
            ]
        }),
    );
    let count = |state: State| survey.states.get(&state).copied().unwrap_or_default();
    let shards: u64 = survey.states.values().sum();
    let good = count(State::Ok) + count(State::Unverifiable);
    let mut bad: Vec<String> = survey
        .states
        .iter()
        .filter(|(state, _)| !matches!(state, State::Ok | State::Unverifiable))
        .map(|(state, n)| format!("{n} {}", state.as_str()))
        .collect();
    if !survey.extra.is_empty() {
        bad.push(format!("{} that no manifest names", survey.extra.len()));
    }
    let how = match verify {
        true => "verified",
        false => "there with the right length (`--verify` reads them)",
    };
    let mut lines = vec![
        table,
        format!("{good} of {shards} shards, {}: {how}", Bytes(survey.bytes)),
    ];
    if !bad.is_empty() {
        lines.push(format!("in doubt: {}", bad.join(", ")));
    }
    lines.extend(wrong.iter().cloned());
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
