//! `temp-clean`: its settings, its roots one by one, its summary.

use crate::batch::Tally;
use keepwell_sdk::prelude::*;
use keepwell_sdk::storage::{AgeBy, Kind, Selector};
use serde_json::Value;

/// What goes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unit {
    File,
    Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    Newest,
    Modified,
}

/// Proposes what nobody touched for long.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clean {
    pub(crate) older_than: Span,
    age_by: By,
    globs: Vec<String>,
    except: Vec<String>,
    empty_directories: bool,
    unit: Unit,
}

impl Task for Clean {
    const NAME: &str = "temp-clean";
    const ABOUT: &str = "Moves aged files of the granted roots to quarantine";
    const NEEDS: &[Need] = &[
        need(STORAGE, "to find aged files"),
        need(CLEAN, "to move them to quarantine"),
    ];
    const SETTINGS: &[SettingHelp] = &[
        text(
            "older-than",
            "24h",
            "Only what was not touched for this long",
        ),
        text(
            "age-by",
            "newest",
            "Age by the `newest` of a file's times, or as `modified`",
        ),
        list(
            "globs",
            &[],
            "Only paths that match one of these; with unit tree, top directories",
        ),
        list("except", &[], "Never paths that match one of these"),
        flag(
            "empty-directories",
            true,
            "Also directories that are empty and aged",
        ),
        text(
            "unit",
            "file",
            "`file`, or `tree`: a top directory goes only as a whole",
        ),
    ];

    fn run(self, _: &Request) -> Result<Summary, Failure> {
        let mut all = Tally::default();
        let mut rows: Vec<Value> = Vec::new();
        for root in storage::roots()? {
            let mut tally = Tally::default();
            let done = match self.unit {
                Unit::File => self.files(&root.name, &mut tally),
                Unit::Tree => self.trees(&root.name, &mut tally),
            };
            if let Err(refusal) = done {
                // One root that is not there must not keep the others full.
                log::warn!("root {}: {}", root.name, refusal.message);
                tally.skip(&format!("root-{}", refusal.code), 1);
                tally.incomplete = true;
            }
            rows.push(json!({ "root": root.name, "proposed-files": tally.files,
                "proposed-bytes": tally.bytes, "skipped": tally.skipped }));
            all.add(&tally);
            if all.used_up() {
                break;
            }
        }
        metric("clean_proposed", "bytes", all.bytes as f64);
        metric("clean_proposed_files", "count", all.files as f64);
        Ok(told(&all, &rows))
    }
}

fn told(all: &Tally, rows: &[Value]) -> Summary {
    let mut line = format!("{} entries, {} to quarantine", all.files, Size(all.bytes));
    if !all.skipped.is_empty() {
        let parts: Vec<_> = all
            .skipped
            .iter()
            .map(|(why, n)| format!("{n} {why}"))
            .collect();
        line = format!("{line}; left {}", parts.join(", "));
    }
    if let Some(limit) = &all.limit {
        line = format!("{line}; limit: {limit}");
    }
    let whole = all.limit.is_none() && !all.incomplete;
    Summary::judged(whole, line).with(&json!({
        "proposed-files": all.files, "proposed-bytes": all.bytes, "skipped": all.skipped,
        "limit": all.limit, "roots": rows,
    }))
}

impl Clean {
    pub(crate) fn by(&self) -> AgeBy {
        match self.age_by {
            By::Newest => AgeBy::Newest,
            By::Modified => AgeBy::Modified,
        }
    }

    /// Whether every path is asked for.
    pub(crate) fn takes_all(&self) -> bool {
        self.globs.is_empty() && self.except.is_empty()
    }

    pub(crate) fn takes_empty(&self) -> bool {
        self.empty_directories
    }

    /// The aged files and, when wanted, empty directories.
    pub(crate) fn aged(&self) -> Selector {
        let mut kinds = vec![Kind::File, Kind::Symlink];
        if self.empty_directories {
            kinds.push(Kind::Directory);
        }
        Selector {
            globs: self.globs.clone(),
            except: self.except.clone(),
            kinds,
            min_age_ms: self.older_than.millis(),
            age_by: self.by(),
            only_empty_directories: true,
            ..storage::everything()
        }
    }

    /// Whether no glob chooses among names.
    pub(crate) fn takes_every_name(&self) -> bool {
        self.globs.is_empty()
    }

    /// Everything of any age that is not excepted.
    pub(crate) fn all_but_excepted(&self) -> Selector {
        Selector {
            except: self.except.clone(),
            ..storage::everything()
        }
    }

    /// The paths that globs and exceptions leave, of any age.
    pub(crate) fn chosen(&self) -> Selector {
        Selector {
            globs: self.globs.clone(),
            except: self.except.clone(),
            ..storage::everything()
        }
    }
}
