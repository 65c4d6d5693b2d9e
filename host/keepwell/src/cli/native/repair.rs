//! `store repair PATH`: makes the lost and corrupt shards of a native store anew, as far as the others are
//! enough. Groups that can lose least come first; nothing is deleted.

use super::progress;
use super::{Global, failed};
use crate::clock;
use crate::error::{Error, Result, chain};
use crate::show;
use keepwell_model::state::Exit;
use keepwell_model::units::Span;
use keepwell_store::{Group, Repaired, Store, Survey};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Repair {
    /// The store.
    path: PathBuf,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Repair even if so many shards are bad that the disk, its cable or the memory is to blame.
    #[arg(long)]
    outbreak: bool,
    /// Also move aside what lies among the shards and no manifest names, once it is so old: an import that
    /// was killed left it, or its manifest is gone.
    #[arg(long, value_name = "AGE", num_args = 0..=1, require_equals = true, default_missing_value = "24h")]
    unnamed: Option<Span>,
}

/// What was found and done, or would be.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Done {
    dry_run: bool,
    shards: u64,
    bad_shards: u64,
    repaired: Vec<Row>,
    /// Nothing of these was touched.
    lost: Vec<Row>,
    /// What was moved aside though no shard takes its place.
    unnamed: Vec<PathBuf>,
    /// Manifests that are none.
    wrong: Vec<String>,
}

#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    object: String,
    group: String,
    good: usize,
    needed: usize,
    /// Shards that were made anew.
    made: usize,
}

impl Row {
    fn of(group: &Group, good: usize, made: usize) -> Self {
        Self {
            object: group.manifest.object.name.clone(),
            group: group.manifest.group.to_string(),
            good,
            needed: group.manifest.scheme.k(),
            made,
        }
    }
}

pub(crate) fn repair(global: &Global, args: &Repair) -> Result<Exit> {
    let store = Store::open(&args.path).map_err(failed)?;
    let bar = progress::bar(None);
    let mut told = |bytes| {
        if let Some(bar) = &bar {
            bar.inc(bytes);
        }
    };
    let survey = store.survey(true, &mut told);
    progress::end(bar);
    let survey = survey.map_err(failed)?;
    let mut done = Done {
        dry_run: args.dry_run,
        shards: survey.states.values().sum(),
        bad_shards: survey.bad(),
        repaired: vec![],
        lost: survey.lost().map(|g| Row::of(g, g.good(), 0)).collect(),
        unnamed: vec![],
        wrong: survey.wrong.iter().map(|e| chain(e)).collect(),
    };
    if survey.is_outbreak() && !args.outbreak && !args.dry_run {
        return Err(Error::denied(format!(
            "{} of {} shards are bad, which is more than one disk's bad luck; nothing was changed",
            done.bad_shards, done.shards
        ))
        .hint("is it the disk, its cable or the memory? `--outbreak` repairs all the same"));
    }
    // One that cannot be repaired is no reason to leave the next.
    let mut failures = vec![];
    for group in store.order(survey.degraded()) {
        let bad = group.states.len() - group.good();
        if args.dry_run {
            done.repaired.push(Row::of(group, group.good(), bad));
            continue;
        }
        match store.repair(&group.manifest, clock::now_ms()) {
            Ok(Repaired::Whole { made }) => {
                done.repaired.push(Row::of(group, group.good(), made));
            }
            // More went wrong since it was looked at.
            Ok(Repaired::Lost(loss)) => done.lost.push(Row::of(group, loss.good, 0)),
            Err(e) => failures.push(failed(e)),
        }
    }
    if let Some(age) = args.unnamed {
        done.unnamed = unnamed(&store, &survey, age, args.dry_run)?;
    }
    global.out().document(&done, || text(&done, &survey));
    if failures.is_empty() {
        let bad = !done.lost.is_empty() || !done.wrong.is_empty();
        return Ok(if bad { Exit::Failed } else { Exit::Done });
    }
    let last = failures.pop();
    for failure in failures {
        show::say(&failure.message);
    }
    Err(last.unwrap_or_else(|| Error::failed("a group was not repaired")))
}

/// What no manifest names may belong to one that cannot be read, or that is gone.
fn unnamed(store: &Store, survey: &Survey, age: Span, dry_run: bool) -> Result<Vec<PathBuf>> {
    let whole = survey.wrong.is_empty() && survey.objects.iter().all(|(_, complete)| *complete);
    if !whole {
        show::say(
            "what no manifest names is left where it is: some manifests are damaged or missing, and it may \
             be theirs",
        );
        return Ok(vec![]);
    }
    let now_ms = clock::now_ms();
    let before_ms = now_ms.saturating_sub(age.as_millis());
    let old = store.unnamed_before(survey, before_ms).map_err(failed)?;
    if !dry_run {
        for place in &old {
            store.retire(place, now_ms).map_err(failed)?;
        }
    }
    Ok(old)
}

fn text(done: &Done, survey: &Survey) -> String {
    let (would, made) = match done.dry_run {
        true => ("would be ", "would make"),
        false => ("", "made"),
    };
    let mut lines = vec![];
    for row in &done.lost {
        lines.push(format!(
            "lost: group {} of {}: {} good shards, and it takes {}; nothing of it was touched",
            row.group, row.object, row.good, row.needed
        ));
    }
    for row in &done.repaired {
        lines.push(format!(
            "{made} {} shards of group {} of {}",
            row.made, row.group, row.object
        ));
    }
    if !done.unnamed.is_empty() {
        let count = done.unnamed.len();
        lines.push(format!(
            "{count} files that no manifest names {would}moved aside"
        ));
    }
    lines.extend(done.wrong.iter().cloned());
    let all: usize = done.repaired.iter().map(|row| row.made).sum();
    lines.push(match (all, done.lost.len()) {
        (0, 0) => format!("{} shards, nothing to repair", done.shards),
        (all, lost) => format!(
            "{all} of {} bad shards {would}made anew, {lost} groups lost",
            done.bad_shards
        ),
    });
    if survey.is_outbreak() {
        lines.push(
            "so many are bad that the disk, its cable or the memory may be to blame".to_owned(),
        );
    }
    lines.join("\n")
}
