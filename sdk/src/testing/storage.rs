//! The simulated `storage`: the selector's meaning, as the contract has it.

use super::files::Tree;
use super::{Run, call, refusal, with};
use crate::storage::{AgeBy, BATCH, Entry, Kind, RootInfo, Selector, Usage};
use crate::task::Refusal;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Walkers open at a time, from the contract.
const WALKERS_MAX: usize = 8;

pub(crate) fn roots() -> Result<Vec<RootInfo>, Refusal> {
    call("storage", |run| {
        Ok(run
            .node
            .trees
            .keys()
            .map(|name| RootInfo {
                name: name.clone(),
                available_bytes: 1 << 39,
                total_bytes: 1 << 40,
            })
            .collect())
    })
}

pub(super) fn tree<'a>(run: &'a Run, root: &str) -> Result<&'a Tree, Refusal> {
    let denied = || refusal("denied", &format!("root `{root}` is not granted"));
    run.node.trees.get(root).ok_or_else(denied)
}

/// Paths as the contract allows them.
pub(super) fn check_path(path: &[u8]) -> Result<(), Refusal> {
    let odd = path.contains(&0)
        || path
            .split(|b| *b == b'/')
            .any(|part| part.is_empty() || part == b"." || part == b"..");
    if odd {
        return Err(refusal(
            "invalid",
            "a path is relative, without `..`, NUL or `/` at its end",
        ));
    }
    Ok(())
}

pub(crate) fn stat(root: &str, path: &[u8]) -> Result<Entry, Refusal> {
    call("storage", |run| {
        let tree = tree(run, root)?;
        check_path(path)?;
        let file = tree
            .get(path)
            .ok_or_else(|| refusal("gone", "nothing is there"))?;
        Ok(file.entry(path, run.node.now))
    })
}

pub(crate) fn get_usage(root: &str, path: &[u8]) -> Result<Usage, Refusal> {
    call("storage", |run| {
        let tree = tree(run, root)?;
        if !path.is_empty() {
            check_path(path)?;
            match tree.get(path).map(|file| file.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(refusal("invalid", "not a directory")),
                None => return Err(refusal("gone", "nothing is there")),
            }
        }
        let mut usage = Usage {
            files: 0,
            directories: 0,
            others: 0,
            bytes: 0,
            allocated_bytes: 0,
            unreadable: 0,
        };
        let closed = closed(tree, |_| false);
        for (path, file) in tree.below(path) {
            if is_in(&closed, path) {
                continue;
            }
            // What cannot be entered is counted as that alone, whatever it holds.
            if file.is_foreign() || file.unreadable {
                usage.unreadable += 1;
                continue;
            }
            let entry = file.entry(path, run.node.now);
            match entry.kind {
                Kind::File => {
                    usage.files += 1;
                    usage.bytes += entry.size;
                    usage.allocated_bytes += entry.size.next_multiple_of(4_096);
                }
                Kind::Directory => usage.directories += 1,
                Kind::Symlink | Kind::Other => usage.others += 1,
            }
        }
        Ok(usage)
    })
}

#[derive(Debug)]
pub(crate) struct Walker {
    found: std::cell::RefCell<std::vec::IntoIter<Entry>>,
    skipped: BTreeMap<&'static str, u64>,
}

pub(crate) fn walk(root: &str, selector: &Selector) -> Result<Walker, Refusal> {
    call("storage", |run| {
        let [globs, except] = [set(&selector.globs)?, set(&selector.except)?];
        let mut skipped = BTreeMap::new();
        let found = select(
            tree(run, root)?,
            selector,
            &globs,
            &except,
            run.node.now,
            &mut skipped,
        );
        if run.walkers == WALKERS_MAX {
            return Err(refusal("limit", "8 walkers are open"));
        }
        run.walkers += 1;
        Ok(Walker {
            found: found.into_iter().into(),
            skipped,
        })
    })
}

/// Globs on the whole relative path, as bytes.
fn set(globs: &[String]) -> Result<GlobSet, Refusal> {
    let mut set = GlobSetBuilder::new();
    let invalid = |error: globset::Error| refusal("invalid", &error.to_string());
    for glob in globs {
        let mut builder = GlobBuilder::new(glob);
        builder.literal_separator(true).backslash_escape(true);
        set.add(builder.build().map_err(invalid)?);
    }
    set.build().map_err(invalid)
}

/// What is not entered, each with a `/`: a directory comes after what it holds, so this must be
/// known before.
fn closed(tree: &Tree, excepted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let all = tree.walked().into_iter();
    let closed = all.filter(|(path, file)| excepted(path) || file.is_foreign() || file.unreadable);
    closed.map(|(path, _)| [path, b"/"].concat()).collect()
}

fn is_in(closed: &[Vec<u8>], path: &[u8]) -> bool {
    closed.iter().any(|closed| path.starts_with(closed))
}

fn select(
    tree: &Tree,
    selector: &Selector,
    globs: &GlobSet,
    except: &GlobSet,
    now: u64,
    skipped: &mut BTreeMap<&'static str, u64>,
) -> Vec<Entry> {
    let excepted = |path: &[u8]| except.is_match(OsStr::from_bytes(path));
    let closed = closed(tree, excepted);
    let mut found = Vec::new();
    for (path, file) in tree.walked() {
        if is_in(&closed, path) {
            continue;
        }
        let name = OsStr::from_bytes(path);
        let mut skip = |reason| *skipped.entry(reason).or_insert(0) += 1;
        if excepted(path) {
            skip("excepted");
            continue;
        }
        if file.is_foreign() {
            skip("other-file-system");
            continue;
        }
        if file.unreadable {
            skip("unreadable");
            continue;
        }
        let entry = file.entry(path, now);
        if !(globs.is_empty() || globs.is_match(name)) || entry.size < selector.min_size {
            continue;
        }
        if !(selector.kinds.is_empty() || selector.kinds.contains(&entry.kind)) {
            if entry.kind == Kind::Other {
                skip("special-file");
            }
            continue;
        }
        let full = entry.kind == Kind::Directory && !tree.is_empty_directory(path);
        if selector.only_empty_directories && full {
            continue;
        }
        let time = entry.time(selector.age_by);
        if selector.min_age_ms > 0 {
            if time > now {
                skip("future-time");
                continue;
            }
            if now - time < selector.min_age_ms {
                continue;
            }
        }
        found.push(entry);
    }
    found
}

impl Walker {
    pub(crate) fn next(&self, max: u32) -> Result<Vec<Entry>, Refusal> {
        let max = max.min(BATCH) as usize;
        call("storage", |_| {
            Ok(self.found.borrow_mut().by_ref().take(max).collect())
        })
    }
    pub(crate) fn skipped(&self) -> Vec<(String, u64)> {
        self.skipped
            .iter()
            .map(|(reason, n)| ((*reason).to_owned(), *n))
            .collect()
    }
}

impl Drop for Walker {
    fn drop(&mut self) {
        with(|run| run.walkers = run.walkers.saturating_sub(1));
    }
}

/// Whether an entry is too young for the grant, by its newest time. One whose time lies in the
/// future always is.
pub(super) fn is_young(entry: &Entry, now: u64, min_age_ms: u64) -> bool {
    entry.time(AgeBy::Newest).saturating_add(min_age_ms) > now
}

#[cfg(test)]
mod tests {
    use crate::storage;
    use crate::testing::Node;

    /// Walks and adds up as a task would; gives paths, what was skipped, and the usage.
    fn looked(node: &Node, except: &[&str]) -> (Vec<String>, Vec<(String, u64)>, storage::Usage) {
        node.within(|| {
            let selector = storage::Selector {
                except: except.iter().map(|&glob| glob.to_owned()).collect(),
                ..storage::everything()
            };
            let mut walk = storage::walk("tmp", &selector).unwrap();
            let given = walk.by_ref().map(|e| e.unwrap().text().into_owned());
            let given = given.collect();
            (given, walk.skipped(), storage::usage("tmp", b"").unwrap())
        })
    }

    #[test]
    fn what_is_not_entered_is_counted_once_and_never_given() {
        let node = Node::new()
            .file("tmp", "a/x", |f| f.size(3))
            .file("tmp", "locked/x", |f| f.size(5))
            .file("tmp", "mnt/x", |f| f.size(7))
            .special("tmp", "s", |f| f)
            .directory("tmp", "locked", super::super::File::unreadable)
            .directory("tmp", "mnt", super::super::File::other_file_system);
        let (given, skipped, usage) = looked(&node, &[]);
        assert_eq!(given, ["a/x", "a", "s"]);
        let one = |why: &str| (why.to_owned(), 1);
        assert_eq!(skipped, [one("other-file-system"), one("unreadable")]);
        let sums = (usage.files, usage.directories, usage.others, usage.bytes);
        assert_eq!((sums, usage.unreadable), ((1, 1, 1, 3), 2));
        let (given, skipped, _) = looked(&node, &["a", "locked", "mnt"]);
        assert_eq!(given, ["s"]);
        assert_eq!(skipped, [("excepted".to_owned(), 3)]);
    }
}
