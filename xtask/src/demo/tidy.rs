//! Cleaning: planned, applied, undone, and proved to be as before.

use super::listing::{self, Listing};
use super::stage::{DONE, Stage, WARNED, number, text};
use super::tree::Tree;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Differences shown when there are any.
const DIFFERENCES_SHOWN: usize = 5;

/// Of a plan with some thousand actions.
const PLAN_LINES_SHOWN: usize = 6;

pub(crate) fn show(stage: &Stage, dir: &Path, tree: &Tree) -> Result<()> {
    println!("\nCleaning: look and propose, nothing is applied");
    let before = listing::list(dir)?;
    stage.show_start(&["plan", "temp-clean"], &[DONE, WARNED], PLAN_LINES_SHOWN)?;
    unchanged("planning", &before, &listing::list(dir)?)?;

    println!("\nThe same again, now applied");
    stage.show(&["run", "temp-clean"], &[DONE, WARNED])?;
    let report = stage.ask(&["runs", "show", "last"])?;
    let run = text(&report, "run")?;
    let done = number(&report, &["applied", "done"])?;
    check_taken(tree, done)?;
    println!(
        "expected: all {} aged files are in quarantine, and all {} entries that are young, open, \
         locked, special or outside are where they were",
        tree.must_go.len(),
        tree.must_stay.len()
    );

    println!("\nAnd everything back");
    stage.show(&["undo", &run], &[DONE])?;
    let after = listing::list(dir)?;
    unchanged("undo", &before, &after)?;
    println!(
        "\nbefore  {} entries, sha256:{}\nafter   {} entries, sha256:{}\nexpected: byte-identical, \
         with every mode, owner and time",
        before.entries(),
        before.digest(),
        after.entries(),
        after.digest()
    );
    Ok(())
}

pub(super) fn check_taken(tree: &Tree, done: u64) -> Result<()> {
    let there = |path: &&PathBuf| path.symlink_metadata().is_ok();
    if let Some(left) = tree.must_go.iter().find(there) {
        return Err(Error::Unexpected(format!(
            "`{}` is aged and was not cleaned",
            left.display()
        )));
    }
    if let Some(gone) = tree.must_stay.iter().find(|path| !there(path)) {
        return Err(Error::Unexpected(format!(
            "`{}` had to stay and is gone",
            gone.display()
        )));
    }
    if done < tree.must_go.len() as u64 {
        return Err(Error::Unexpected(format!(
            "the report says {done} done, but {} files are gone",
            tree.must_go.len()
        )));
    }
    Ok(())
}

pub(super) fn unchanged(what: &str, before: &Listing, after: &Listing) -> Result<()> {
    let differences = before.differences(after, DIFFERENCES_SHOWN);
    if differences.is_empty() && before.digest() == after.digest() {
        return Ok(());
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    Err(Error::Unexpected(format!(
        "after {what} the tree is not as it was"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tree;
    use crate::places::{make_dir, write};

    #[test]
    fn a_file_left_or_one_too_many_gone_fails_the_claim() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        make_dir(&root).unwrap();
        let tree = tree::make(&root, &dir.path().join("outside.txt")).unwrap();
        let count = tree.must_go.len() as u64;
        assert!(check_taken(&tree, count).is_err(), "nothing was taken");
        for path in &tree.must_go {
            std::fs::remove_file(path).unwrap();
        }
        check_taken(&tree, count).unwrap();
        assert!(
            check_taken(&tree, count - 1).is_err(),
            "the report says less"
        );
        let file = tree.must_stay.iter().find(|path| path.is_file()).unwrap();
        std::fs::remove_file(file).unwrap();
        assert!(check_taken(&tree, count).is_err(), "one too many is gone");
    }

    #[test]
    fn any_difference_fails_the_claim() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("file"), "one").unwrap();
        let before = listing::list(dir.path()).unwrap();
        unchanged("nothing", &before, &before).unwrap();
        write(&dir.path().join("file"), "two").unwrap();
        let after = listing::list(dir.path()).unwrap();
        assert!(unchanged("writing", &before, &after).is_err());
    }
}
