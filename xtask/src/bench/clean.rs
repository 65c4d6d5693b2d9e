//! `temp-clean` over many files, half of them to go, against `find -delete` on an identical tree.

use super::setting::Setting;
use super::table::Row;
use super::watch::{Took, watch};
use crate::demo::listing;
use crate::demo::stage::DONE;
use crate::error::{Error, Result};
use crate::figures::{grouped, median};
use crate::noise::Noise;
use crate::places::{make_dir, write};
use crate::step::{command, typed};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

const FOLDERS: usize = 100;
const FILES_IN_EACH: usize = 1_000;
/// So old are those that go; the age is told by the time of modification.
const AGED: Duration = Duration::from_secs(30 * 86_400);
/// Each side in turn, so that what else the machine does hits both.
const ROUNDS: usize = 5;
/// `undo` must bring back all; the first differences are shown.
const DIFFERENCES_SHOWN: usize = 5;

const TASK: &str = r#"plugin = "clean"
task = "temp-clean"
settings = { older-than = "24h", age-by = "modified" }

[grant]
storage = { roots = ["tree"] }
storage-clean = { roots = ["tree"], max-files = 200000, max-bytes = "10GiB", max-share = "60%", min-age = "1h", age-by = "modified" }
"#;

pub(crate) fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("clean")?;
    let folders = setting.size(FOLDERS, FOLDERS / 20);
    let (mine, their) = (dir.join("tree"), dir.join("other"));
    fill(&mine, folders)?;
    let words = ["--root".to_owned(), format!("tree={}", mine.display())];
    let stage = setting.node(&dir.join("node"), &words, ("temp-clean", TASK))?;
    let before = listing::list(&mine)?;
    let mut differences = Vec::new();
    let (mut ours, mut theirs, mut undos, mut plans) = (vec![], vec![], vec![], vec![]);
    for round in 0..setting.size(ROUNDS, 1) {
        make_dir(&their)?;
        fill(&their, folders)?;
        let mut other = command("find");
        other
            .arg(&their)
            .args(["-type", "f", "-mmin", "+1440", "-delete"]);
        if round == 0 {
            println!("other side: {}", typed(&other));
        }
        // The listing has read one tree; the other is read as well, so that both are warm.
        listing::list(&their)?;
        theirs.push(watch(&mut other, &[0])?.wall.as_secs_f64());
        plans.push(watch(&mut stage.command(&["plan", "temp-clean"]), &[DONE])?.wall);
        ours.push(watch(&mut stage.command(&["run", "temp-clean"]), &[DONE])?);
        let left = (listing::list(&mine)?, listing::list(&their)?);
        if left.0.entries() != left.1.entries() {
            return Err(Error::Unexpected(format!(
                "keepwell left {} entries, find {}",
                left.0.entries(),
                left.1.entries()
            )));
        }
        undos.push(watch(&mut stage.command(&["undo", "last"]), &[DONE])?.wall);
        differences.extend(before.differences(&listing::list(&mine)?, DIFFERENCES_SHOWN));
        crate::clear::anew(&setting.places, &their)?;
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    let walls: Vec<f64> = ours.iter().map(|took| took.wall.as_secs_f64()).collect();
    let (mine_s, their_s) = (median(&walls), median(&theirs));
    let peak = ours.iter().map(Took::mebibytes).fold(0.0, f64::max);
    let proposals = (folders * FILES_IN_EACH / 2) as f64;
    let of =
        |walls: &[Duration]| median(&walls.iter().map(Duration::as_secs_f64).collect::<Vec<_>>());
    let seconds = |took: f64| format!("{took:.2} s");
    let files = (folders * FILES_IN_EACH) as u64;
    setting.discard(&dir)?;
    Ok(vec![
        Row::note(
            &format!("temp-clean, half of {} files", grouped(files)),
            seconds(mine_s),
        ),
        Row::note("find -delete on an identical tree", seconds(their_s)),
        Row::below("temp-clean / find -delete", mine_s / their_s, 3.0, "x"),
        Row::below("its memory, host and worker", peak, 128.0, "MiB"),
        Row::below(
            "a proposed action, the whole look and plan included",
            of(&plans) * 1e6 / proposals,
            20.0,
            "µs",
        ),
        Row::note("undo of it", seconds(of(&undos))),
        Row {
            what: "every file restored by undo".into(),
            measured: if differences.is_empty() {
                "all"
            } else {
                "not all"
            }
            .into(),
            target: "all".into(),
            met: Some(differences.is_empty()),
        },
    ])
}

/// Every other file aged.
fn fill(tree: &Path, folders: usize) -> Result<()> {
    let mut noise = Noise::new(6);
    for folder in 0..folders {
        let dir = tree.join(format!("{folder:03}"));
        make_dir(&dir)?;
        for number in 0..FILES_IN_EACH {
            let path = dir.join(format!("file-{number:04}"));
            let length = usize::try_from(noise.below(1024)).unwrap_or_default();
            write(&path, noise.bytes(length))?;
            if number % 2 == 0 {
                age(&path)?;
            }
        }
    }
    Ok(())
}

fn age(path: &Path) -> Result<()> {
    let set = || -> std::io::Result<()> {
        let file = File::options().write(true).open(path)?;
        let now = file.metadata()?.modified()?;
        file.set_modified(now - AGED)
    };
    set().map_err(Error::io("set the time of", path))
}
