//! Makes what a scenario says there is, in a folder of its own, and the configuration that names it.

use super::NAME;
use super::scenario::{FileTable, Scenario, Shard};
use crate::error::{Error, Result};
use crate::node_dir::write_file;
use keepwell_model::id::Digest;
use keepwell_model::units::Span;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::FileTimes;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// The configuration of a node in `home` that has what the scenario says, at `now_ms`.
pub(super) fn furnish(scenario: &Scenario, home: &Path, now_ms: u64) -> Result<String> {
    let mut config = toml::Table::new();
    config.insert("node".into(), table([("name", NAME.into())]).into());
    let mut roots = toml::Table::new();
    for (name, files) in scenario.roots.iter().flatten() {
        let path = home.join("roots").join(name.as_str());
        make(&path)?;
        for (file, how) in files {
            age(&path.join(file), how, now_ms)?;
        }
        roots.insert(name.to_string(), table([("path", shown(&path))]).into());
    }
    config.insert("roots".into(), roots.into());
    let mut stores = toml::Table::new();
    for (name, shards) in scenario.stores.iter().flatten() {
        let path = home.join("stores").join(name.as_str());
        store(&path, shards)?;
        let named = [("kind", "sha256sums".into()), ("path", shown(&path))];
        stores.insert(name.to_string(), table(named).into());
    }
    config.insert("stores".into(), stores.into());
    let mut params = toml::Table::new();
    for (name, said) in scenario.params.iter().flatten() {
        let path = home.join("params").join(format!("{name}.toml"));
        let mut param = said.clone();
        let held = param.remove("value").unwrap_or_else(|| "".into());
        write(&path, table([("value", held)]).to_string().as_bytes())?;
        param.extend(table([
            ("file", shown(&path)),
            ("format", "toml".into()),
            ("key", "value".into()),
        ]));
        params.insert(name.to_string(), param.into());
    }
    config.insert("params".into(), params.into());
    Ok(config.to_string())
}

fn table<const N: usize>(pairs: [(&str, toml::Value); N]) -> toml::Table {
    let pairs = pairs.into_iter();
    pairs.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn shown(path: &Path) -> toml::Value {
    path.to_string_lossy().into_owned().into()
}

fn make(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    make(path.parent().unwrap_or(path))?;
    write_file(path, bytes, 0o644)
}

/// A file of this length, last touched so long ago. No block of it is written.
fn age(path: &Path, how: &FileTable, now_ms: u64) -> Result<()> {
    make(path.parent().unwrap_or(path))?;
    let old_ms = how.age.map_or(0, Span::as_millis);
    let then = UNIX_EPOCH + Duration::from_millis(now_ms.saturating_sub(old_ms));
    let times = FileTimes::new().set_modified(then).set_accessed(then);
    std::fs::File::create_new(path)
        .and_then(|file| {
            file.set_len(how.size.map_or(0, |size| size.0))?;
            file.set_times(times)
        })
        .map_err(|e| Error::io("make", path, &e))
}

/// Each shard holds its own name; a list says what they should hold.
fn store(path: &Path, shards: &BTreeMap<String, Shard>) -> Result<()> {
    let mut list = String::new();
    for (name, how) in shards {
        let _ = writeln!(list, "{}  {name}", Digest::of(name.as_bytes()).hex());
        let mut held = name.clone().into_bytes();
        match how {
            Shard::Whole => write(&path.join(name), &held)?,
            Shard::Corrupt => {
                held[0] ^= 1;
                write(&path.join(name), &held)?;
            }
            Shard::Missing => {}
        }
    }
    write(&path.join("SHA256SUMS"), list.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwell_model::id::RootName;
    use keepwell_node::in_use::InUse;
    use keepwell_node::root::Root;
    use keepwell_node::walk::stat;

    /// By all three times of a file, also by the one that nobody can set.
    #[test]
    fn a_file_is_as_old_as_its_scenario_says() {
        let home = tempfile::tempdir().unwrap();
        let scenario = Scenario::find(None, home.path()).unwrap();
        let now_ms = scenario.now_ms();
        furnish(&scenario, home.path(), now_ms).unwrap();
        let roots = scenario.roots.as_ref().unwrap();
        let files = &roots[&RootName::new(NAME).unwrap()];
        let at = home.path().join("roots").join(NAME);
        let root = Root::open(&RootName::new(NAME).unwrap(), &at).unwrap();
        let unused = InUse::from_pairs(vec![], true);
        for (file, how) in files {
            let path = keepwell_model::action::RelPath::new(file.as_str()).unwrap();
            let entry = stat(&root, &path, &unused).unwrap();
            let age = how.age.map_or(0, Span::as_millis);
            assert_eq!(now_ms - entry.touched_ms, age, "{file}");
            assert_eq!(entry.size, how.size.unwrap().0, "{file}");
        }
    }
}
