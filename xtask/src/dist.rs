//! `cargo xtask dist`: what one would hand to an operator, in `target/dist`.

use crate::build;
use crate::clear;
use crate::error::{Error, Result};
use crate::figures::bytes;
use crate::places::{Places, Profile, make_dir};
use crate::step::Steps;
use crate::targets;
use std::path::{Path, PathBuf};

pub(crate) fn run() -> Result<()> {
    let places = Places::find()?;
    let mut steps = Steps::default();
    println!("Dist");
    let made = make(&places, &mut steps)?;
    println!("\n{}", places.dist().display());
    for path in made {
        let length = path.metadata().map_err(Error::io("look at", &path))?.len();
        let name = path.strip_prefix(places.dist()).unwrap_or(&path);
        println!("  {:<28} {:>10}", name.display(), bytes(length));
    }
    Ok(())
}

/// Builds everything optimized and gives the files made, the binary first.
pub(crate) fn make(places: &Places, steps: &mut Steps) -> Result<Vec<PathBuf>> {
    targets::ensure()?;
    let built = build::binary(places, steps, Profile::Release)?;
    let dist = places.dist();
    clear::anew(places, &dist)?;
    let bin = dist.join("bin");
    make_dir(&bin)?;
    let binary = bin.join("keepwell");
    std::fs::copy(&built, &binary).map_err(Error::io("copy", &built))?;
    let bundles = dist.join("bundles");
    build::bundles(places, steps, &binary, &bundles)?;
    let mut made = vec![binary];
    // It is looked for beside the binary.
    let puller = bin.join("keepwell-pull");
    let from = built.with_file_name("keepwell-pull");
    std::fs::copy(&from, &puller).map_err(Error::io("copy", &from))?;
    made.push(puller);
    made.extend(files_in(&bundles)?);
    Ok(made)
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io("read", dir))? {
        files.push(entry.map_err(Error::io("read", dir))?.path());
    }
    files.sort();
    Ok(files)
}
