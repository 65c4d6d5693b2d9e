//! Changes in files that people write: what is not changed keeps its words, comments and order.

use super::load::bad_file;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value};

/// A file of the configuration on its way to its next text. A place is the keys that lead to it.
#[derive(Debug)]
pub struct Edited {
    path: PathBuf,
    document: DocumentMut,
}

impl Edited {
    /// `text` is what the file holds now; empty for one that is to be made.
    pub fn of(path: &Path, text: &str) -> Result<Self> {
        let document = text
            .parse()
            .map_err(|e: toml_edit::TomlError| bad_file(path, text, e.message(), e.span()))?;
        Ok(Self {
            path: path.to_owned(),
            document,
        })
    }

    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Sets a value; tables on the way are made.
    pub fn set(&mut self, place: &[&str], value: impl Into<Value>) -> Result<()> {
        let mut value = value.into();
        let (table, key) = self.table(place)?;
        match table.get_mut(key) {
            // By hand: inserting would lay out the key anew, with its comment lost.
            Some(item) => {
                if let Some(old) = item.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *item = Item::Value(value);
            }
            None => {
                table.insert(key, Item::Value(value));
            }
        }
        Ok(())
    }

    /// Takes a value or a table away, with the comments above it; `false` when it is not there.
    pub fn remove(&mut self, place: &[&str]) -> Result<bool> {
        let (table, key) = self.table(place)?;
        Ok(table.remove(key).is_some())
    }

    /// Adds a word to the end of a list, which is made when it is not there; `false` when the word
    /// is in it already.
    pub fn add(&mut self, place: &[&str], word: &str) -> Result<bool> {
        let list = self.list(place)?;
        if position(list, word).is_some() {
            return Ok(false);
        }
        append(list, word);
        Ok(true)
    }

    /// Takes a word out of a list; `false` when it is not in it.
    pub fn take(&mut self, place: &[&str], word: &str) -> Result<bool> {
        let list = self.list(place)?;
        let Some(at) = position(list, word) else {
            return Ok(false);
        };
        cut(list, at);
        Ok(true)
    }

    /// Whether a list holds nothing, or is not there.
    pub fn is_empty(&mut self, place: &[&str]) -> Result<bool> {
        let (table, key) = self.table(place)?;
        let list = table.get(key).and_then(Item::as_array);
        Ok(list.is_none_or(Array::is_empty))
    }

    /// Adds a table to the end of an array of tables, `[[of.this.kind]]`, which is made when it is not
    /// there.
    pub fn append(&mut self, place: &[&str], pairs: &[(&str, &str)]) -> Result<()> {
        let wrong = self.wrong(place, "an array of tables");
        let (table, key) = self.table(place)?;
        let empty = || Item::ArrayOfTables(toml_edit::ArrayOfTables::new());
        let item = table.entry(key).or_insert_with(empty);
        let tables = item.as_array_of_tables_mut().ok_or(wrong)?;
        let mut one = Table::new();
        for (key, value) in pairs {
            one.insert(key, toml_edit::value(*value));
        }
        tables.push(one);
        // A bare `[revoked]` above them would say nothing.
        if let Some((_, way)) = place.split_last()
            && let Some(table) = self
                .document
                .get_mut(way.first().copied().unwrap_or_default())
            && let Some(table) = table.as_table_mut()
            && way.len() == 1
        {
            table.set_implicit(true);
        }
        Ok(())
    }

    fn list<'a>(&'a mut self, place: &[&'a str]) -> Result<&'a mut Array> {
        let wrong = self.wrong(place, "a list");
        let (table, key) = self.table(place)?;
        let empty = || Item::Value(Array::new().into());
        let item = table.entry(key).or_insert_with(empty);
        item.as_array_mut().ok_or(wrong)
    }

    /// The table that holds the last key of a place, made where it is not there, and that key.
    fn table<'a>(&'a mut self, place: &[&'a str]) -> Result<(&'a mut dyn TableLike, &'a str)> {
        let Some((key, way)) = place.split_last() else {
            return Err(Error::failed("a place in a file needs a key"));
        };
        let wrong = self.wrong(way, "a table");
        let mut at: &mut dyn TableLike = self.document.as_table_mut();
        let mut inline = false;
        for (n, step) in way.iter().enumerate() {
            // Only the last one shows its header: `[slots.daily]` without a bare `[slots]`.
            let implicit = n + 1 < way.len();
            let item = at.entry(step).or_insert_with(|| made(inline, implicit));
            inline = item.is_inline_table();
            let Some(table) = item.as_table_like_mut() else {
                return Err(wrong);
            };
            at = table;
        }
        Ok((at, key))
    }

    fn wrong(&self, place: &[&str], what: &str) -> Error {
        let (file, place) = (self.path.display(), place.join("."));
        Error::config(format!("{file}: `{place}` is not {what}"))
    }
}

fn made(inline: bool, implicit: bool) -> Item {
    if inline {
        return Item::Value(Value::InlineTable(InlineTable::new()));
    }
    let mut table = Table::new();
    table.set_implicit(implicit);
    Item::Table(table)
}

fn position(list: &Array, word: &str) -> Option<usize> {
    list.iter().position(|value| value.as_str() == Some(word))
}

fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn prefix(value: &Value) -> String {
    text(value.decor().prefix())
}

/// Where a list has a word on each line, the new one gets a line of its own; what stands behind the
/// word before it (its comment) stays there.
fn append(list: &mut Array, word: &str) {
    let comma = list.trailing_comma();
    let last = list
        .len()
        .checked_sub(1)
        .and_then(|last| list.get_mut(last));
    let Some((before, behind)) = last.and_then(|last| {
        let before = prefix(last);
        let behind = text(last.decor().suffix());
        if before.contains('\n') && !comma {
            last.decor_mut().set_suffix("");
        }
        before.contains('\n').then_some((before, behind))
    }) else {
        list.push(word);
        return;
    };
    let behind = if comma {
        text(Some(list.trailing()))
    } else {
        behind
    };
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let (above, close) = behind.rsplit_once('\n').unwrap_or((&behind, ""));
    let mut value = Value::from(word);
    value.decor_mut().set_prefix(format!("{above}\n{indent}"));
    list.push_formatted(value);
    list.set_trailing(format!("\n{close}"));
    list.set_trailing_comma(true);
}

/// The comments of a word go with it: those above it, and the one behind it on its line, which is
/// kept with what follows. The one behind the word before it stands with it, and stays.
fn cut(list: &mut Array, at: usize) {
    let comma = list.trailing_comma();
    let gone = list.remove(at);
    let before = prefix(&gone);
    if let Some(next) = list.get_mut(at) {
        let joined = joined(&before, &prefix(next)).unwrap_or(before);
        next.decor_mut().set_prefix(joined);
        return;
    }
    if comma {
        if let Some(trailing) = joined(&before, &text(Some(list.trailing()))) {
            list.set_trailing(trailing);
        }
    } else if let Some(last) = list
        .len()
        .checked_sub(1)
        .and_then(|last| list.get_mut(last))
        && let Some(suffix) = joined(&before, &text(gone.decor().suffix()))
    {
        last.decor_mut().set_suffix(suffix);
    }
}

/// The rest of the line of `before`, then the lines of `after`; `None` when all is one line.
fn joined(before: &str, after: &str) -> Option<String> {
    let (above, _) = before.split_once('\n')?;
    let (_, below) = after.split_once('\n')?;
    Some(format!("{above}\n{below}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# who made this\nzone = 'UTC' # for now\n\n\
        [slots.daily]\n# before the users come\nat = \"01:00\"\ntasks = [\n  \"a\", # first\n  \
        # slow\n  \"b\", # second\n]\n\n[slots.weekly] # rarely\ntasks = [ 'c', \"d\" ]\n";
    const DAILY: [&str; 3] = ["slots", "daily", "tasks"];
    const WEEKLY: [&str; 3] = ["slots", "weekly", "tasks"];

    fn edited(text: &str, change: impl FnOnce(&mut Edited)) -> String {
        let mut file = Edited::of(Path::new("s.toml"), text).unwrap();
        change(&mut file);
        let text = file.text();
        let _: toml::Table = text.parse().unwrap();
        text
    }

    #[test]
    fn nothing_changed_is_nothing_changed() {
        assert_eq!(edited(FILE, |_| {}), FILE);
    }

    #[test]
    fn a_value_keeps_its_comments() {
        let text = edited(FILE, |f| f.set(&["zone"], "Europe/Berlin").unwrap());
        assert_eq!(text, FILE.replace("'UTC'", "\"Europe/Berlin\""));
        let text = edited(FILE, |f| f.set(&["slots", "daily", "at"], "02:00").unwrap());
        assert_eq!(text, FILE.replace("01:00", "02:00"));
    }

    #[test]
    fn a_list_grows_in_the_shape_it_has() {
        let text = edited(FILE, |f| assert!(f.add(&DAILY, "e").unwrap()));
        let grown = FILE.replace("# second\n", "# second\n  \"e\",\n");
        assert_eq!(text, grown);
        let text = edited(FILE, |f| assert!(f.add(&WEEKLY, "e").unwrap()));
        assert!(
            text.contains("[ 'c', \"d\", \"e\" ]") || text.contains("\"d\" , \"e\"]"),
            "{text}"
        );
        edited(FILE, |f| assert!(!f.add(&DAILY, "a").unwrap()));
        // The last word has no comma, and a comment.
        let bare = "tasks = [\n  \"a\" # first\n]\n";
        let text = edited(bare, |f| assert!(f.add(&["tasks"], "b").unwrap()));
        assert_eq!(text, "tasks = [\n  \"a\", # first\n  \"b\",\n]\n");
    }

    #[test]
    fn a_word_goes_with_its_own_comments_alone() {
        let text = edited(FILE, |f| assert!(f.take(&DAILY, "a").unwrap()));
        assert_eq!(text, FILE.replace("  \"a\", # first\n", ""));
        let text = edited(FILE, |f| assert!(f.take(&DAILY, "b").unwrap()));
        assert_eq!(text, FILE.replace("  # slow\n  \"b\", # second\n", ""));
        let text = edited(FILE, |f| assert!(f.take(&WEEKLY, "c").unwrap()));
        assert!(text.contains("[ \"d\" ]"), "{text}");
        edited(FILE, |f| assert!(!f.take(&DAILY, "z").unwrap()));
        let bare = "tasks = [\n  \"a\", # first\n  \"b\" # second\n]\n";
        let text = edited(bare, |f| assert!(f.take(&["tasks"], "b").unwrap()));
        assert_eq!(text, "tasks = [\n  \"a\" # first\n]\n");
    }

    #[test]
    fn tables_are_made_and_go() {
        let text = edited(FILE, |f| {
            assert!(f.add(&["slots", "monthly", "tasks"], "x").unwrap());
            assert!(!f.is_empty(&["slots", "monthly", "tasks"]).unwrap());
            assert!(f.remove(&["slots", "weekly"]).unwrap());
            assert!(!f.remove(&["slots", "hourly"]).unwrap());
        });
        assert!(
            text.ends_with("[slots.monthly]\ntasks = [\"x\"]\n"),
            "{text}"
        );
        assert!(
            text.contains("# slow") && !text.contains("weekly"),
            "{text}"
        );
        let text = edited("", |f| f.set(&["a", "b", "c"], 1).unwrap());
        assert_eq!(text, "[a.b]\nc = 1\n");
        // In a table on one line, what is made is on one line too.
        let line = "slots = { daily = { tasks = ['a'] } }\n";
        let text = edited(line, |f| assert!(f.add(&WEEKLY, "b").unwrap()));
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["slots"]["weekly"]["tasks"][0].as_str(), Some("b"));
    }

    #[test]
    fn what_has_another_shape_is_refused() {
        let mut file = Edited::of(Path::new("s.toml"), "zone = 'UTC'\n").unwrap();
        let told = file.set(&["zone", "x"], 1).unwrap_err().message;
        assert!(told.contains("`zone` is not a table"), "{told}");
        let told = file.add(&["zone"], "x").unwrap_err().message;
        assert!(told.contains("`zone` is not a list"), "{told}");
        assert!(Edited::of(Path::new("s.toml"), "zone = ").is_err());
    }
}
