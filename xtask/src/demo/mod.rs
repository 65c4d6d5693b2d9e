//! `cargo xtask demo`: real maintenance on a node under `target/demo`, from a first look to an
//! undo that is proved and a forged journal that is found out; then half a minute of the daemon.
//! The order of the show. Whatever is claimed is judged, and a claim that does not hold ends it.

pub(crate) mod blobs;
mod daemon;
mod damage;
mod flip;
pub(crate) mod listing;
mod look;
mod node;
pub(crate) mod stage;
mod stores;
mod tidy;
mod tree;

use crate::build;
use crate::clear;
use crate::error::{Error, Result};
use crate::figures::seconds;
use crate::places::{Places, Profile, make_dir};
use crate::step::Steps;
use crate::targets;
use stage::Stage;
use std::time::Instant;

/// `words`: `--short` leaves out the daemon's act, which takes half a minute.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let short = match words {
        [] => false,
        ["--short"] => true,
        [other, ..] => {
            return Err(Error::Usage(format!(
                "unknown option `{other}`; demo takes --short"
            )));
        }
    };
    let places = Places::find()?;
    let mut steps = Steps::default();

    println!("Build");
    targets::ensure()?;
    let keepwell = build::binary(&places, &mut steps, Profile::Dev)?;
    build::bundles(&places, &mut steps, &keepwell, &places.bundles())?;

    let begun = Instant::now();
    let demo = places.demo();
    clear::anew(&places, &demo)?;

    println!("\nSomething to look after, in {}", demo.display());
    let tree_dir = demo.join("tree");
    make_dir(&tree_dir)?;
    let tree = tree::make(&tree_dir, &demo.join("outside.txt"))?;
    println!("  tree    {tree}");
    let stores = stores::make_all(&demo)?;

    let stage = Stage::new(keepwell, demo.join("node"));
    node::make(&stage, &places.bundles(), &tree_dir, &stores)?;

    look::machine(&stage)?;
    look::stores(&stage, &stores)?;
    tidy::show(&stage, &tree_dir, &tree)?;
    flip::show(&stage, &demo.join("forged"))?;

    let first = begun.elapsed();
    println!("\nAll as expected, {} after the build.", seconds(first));
    if !short {
        daemon::show(&stage, &tree_dir, &tree)?;
        println!(
            "\nAll as expected: {}, and {} with the daemon.",
            seconds(first),
            seconds(begun.elapsed().saturating_sub(first))
        );
    }
    try_next(&stage, &places);
    Ok(())
}

fn try_next(stage: &Stage, places: &Places) {
    let bin = stage.keepwell().parent().unwrap_or(&places.target);
    println!(
        "\nTry next
  export KEEPWELL_NODE={} PATH={}:$PATH
  keepwell status
  keepwell runs list
  keepwell task show temp-clean
  keepwell run disk-check --set threshold=1
  keepwell run temp-clean && keepwell undo last
  keepwell audit show --task temp-clean
  keepwell task check shard-blobs
  keepwell daemon   (schedules; end it with Ctrl-C)
and docs/WRITING-PLUGINS.md for a plugin of your own.",
        stage.node().display(),
        bin.display()
    );
}
