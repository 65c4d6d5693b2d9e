//! What every bench needs: the optimized binary, a node of its own, sizes.

use crate::clear;
use crate::demo::stage::Stage;
use crate::error::{Error, Result};
use crate::places::{Places, make_dir, write};
use crate::step::expect_success;
use std::path::{Path, PathBuf};

/// A bench keeps the machine busy, and must not be slowed down for that.
const UNHURT: &str = "
[daemon.pressure]
cpu = '100%'
io = '100%'
memory = '100%'
load-percent = 1000000
";

/// Where and how large.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) places: Places,
    pub(crate) quick: bool,
}

impl Setting {
    pub(crate) const fn new(places: Places, quick: bool) -> Self {
        Self { places, quick }
    }

    /// The full size, or the small one under `--quick`.
    pub(crate) const fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// An empty folder for one bench.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.places.bench().join(name);
        clear::anew(&self.places, &dir)?;
        Ok(dir)
    }

    /// A node of its own, with one root or store and one task.
    pub(crate) fn node(&self, dir: &Path, words: &[String], task: (&str, &str)) -> Result<Stage> {
        let dist = self.places.dist();
        let stage = Stage::new(dist.join("bin").join("keepwell"), dir.to_owned());
        let mut init = stage.command(&["init"]);
        init.arg(dir)
            .arg("--bundles")
            .arg(dist.join("bundles"))
            .args(words);
        expect_success(&mut init)?;
        let config = dir.join("keepwell.toml");
        let text = std::fs::read_to_string(&config).map_err(Error::io("read", &config))?;
        write(&config, format!("{text}{UNHURT}"))?;
        let tasks = dir.join("tasks");
        make_dir(&tasks)?;
        write(&tasks.join(format!("{}.toml", task.0)), task.1)?;
        Ok(stage)
    }

    /// Frees what a bench no longer needs: gigabytes, sometimes.
    pub(crate) fn discard(&self, dir: &Path) -> Result<()> {
        clear::anew(&self.places, dir)?;
        std::fs::remove_dir(dir).map_err(Error::io("remove", dir))
    }
}
