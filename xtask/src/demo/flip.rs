//! The journal: verified as it is, then a copy in which one byte differs, which must be noticed.

use super::stage::{DONE, FAILED, Stage};
use crate::clear;
use crate::error::{Error, Result};
use crate::places::{Places, write};
use crate::step::expect_success;
use serde_json::Value;
use std::path::Path;

/// Files of the state that belong to a copy of the journal. The lock stays, and SQLite makes its
/// shared memory anew.
const COPIED: [&str; 3] = ["journal.db", "journal.db-wal", "checkpoint"];

/// The event whose time is forged: the one that sealed the cleaning's plan.
const FORGED_EVENT: &[u8] = br#""kind":"plan-sealed""#;
/// What stands before a record's time.
const TIME_KEY: &[u8] = br#""at":"#;
/// A record's time stands so close before its event.
const REACH_BYTES: usize = 1024;

pub(crate) fn show(stage: &Stage, forged: &Path) -> Result<()> {
    println!("\nThe journal");
    stage.show(&["audit", "verify"], &[DONE])?;

    // Keeping a checkpoint puts what is in the write-ahead log into the file that is copied.
    expect_success(&mut stage.command(&["audit", "checkpoint"]))?;
    clear::anew(&Places::find()?, forged)?;
    let state = stage.node().join("state");
    let mut flipped = None;
    for name in COPIED {
        let from = state.join(name);
        if !from.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&from).map_err(Error::io("read", &from))?;
        if flipped.is_none()
            && name != "checkpoint"
            && let Some(offset) = place(&bytes)
        {
            bytes[offset] ^= 1;
            flipped = Some((name, offset));
        }
        write(&forged.join(name), &bytes)?;
    }
    let (name, offset) = flipped.ok_or_else(|| {
        Error::Unexpected("the journal holds no sealed plan whose time could be forged".into())
    })?;
    let forged_entry = last_index(&stage.ask(&["audit", "show", "--kind", "plan-sealed"])?)?;
    println!(
        "\nA copy in which one bit differs: the time at which the cleaning's plan was sealed \
         ({name}, byte {offset})"
    );
    let dir = forged.display().to_string();
    let said = stage.show_and_keep(&["audit", "verify", "--journal", &dir], &[FAILED])?;
    if !names_entry(&said, forged_entry) {
        return Err(Error::Unexpected(format!(
            "the forged journal was refused, but entry {forged_entry} was not named"
        )));
    }
    println!("expected: the forgery is found, and its entry named: {forged_entry}");
    Ok(())
}

/// Offset of the last digit of the time of the last sealed plan. Another digit there is as good
/// a time and as valid a record, so that only the tree of digests can tell.
fn place(journal: &[u8]) -> Option<usize> {
    let event = find_last(journal, FORGED_EVENT)?;
    let from = event.saturating_sub(REACH_BYTES);
    let key = from + find_last(&journal[from..event], TIME_KEY)?;
    let first = key + TIME_KEY.len();
    let digits = journal[first..event]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    (digits > 0).then(|| first + digits - 1)
}

fn find_last(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).rposition(|part| part == needle)
}

/// The journal's number of the newest of these entries.
fn last_index(entries: &Value) -> Result<u64> {
    let newest = entries.as_array().and_then(|all| all.last());
    let index = newest.and_then(|entry| entry["index"].as_u64());
    index.ok_or_else(|| Error::Unexpected("the journal lists no sealed plan".into()))
}

/// `entry 123`, and not another number that begins so.
fn names_entry(said: &str, index: u64) -> bool {
    let words: Vec<&str> = said.split_whitespace().collect();
    let is = |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()) == index.to_string();
    words
        .windows(2)
        .any(|pair| pair[0] == "entry" && is(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flip_hits_the_last_digit_of_the_last_sealed_plan() {
        let journal = br#"xx{"at":1700,"event":{"kind":"plan-sealed"}}yy{"at":1823,"run":"r","event":{"kind":"plan-sealed"}}{"at":9,"event":{"kind":"run-ended"}}"#;
        let offset = place(journal).unwrap();
        assert_eq!(journal[offset], b'3');
        assert_eq!(&journal[offset - 3..=offset], b"1823");
        assert!((journal[offset] ^ 1).is_ascii_digit());
    }

    #[test]
    fn without_a_sealed_plan_there_is_no_place() {
        assert_eq!(place(b""), None);
        assert_eq!(place(br#"{"at":17,"event":{"kind":"looked"}}"#), None);
        assert_eq!(place(br#"{"kind":"plan-sealed"}"#), None);
    }

    #[test]
    fn only_the_forged_entry_counts() {
        assert!(names_entry("error: entry 17 is bad: its bytes", 17));
        assert!(names_entry("error: entry 17: forged", 17));
        for bad in [
            "entry 170 is bad",
            "entry 1 is bad",
            "some entry is bad",
            "17 entries",
        ] {
            assert!(!names_entry(bad, 17), "{bad}");
        }
        let entries = serde_json::json!([{ "index": 3 }, { "index": 17 }]);
        assert_eq!(last_index(&entries).unwrap(), 17);
        assert!(last_index(&serde_json::json!([])).is_err());
    }
}
