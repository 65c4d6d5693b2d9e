//! What one run wants changed: as the pipeline commits it, as it waits in the run's folder, and as
//! the journal tells of it, which is how much and never what.

use super::{check_key, check_value};
use crate::id::Digest;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Version of the lines.
const FORMAT: u32 = 1;

/// What one run wants changed, against the version it read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The version of the task's state this run began with.
    pub version: u64,
    /// `None` deletes.
    pub keys: BTreeMap<String, Option<Vec<u8>>>,
}

/// How much is changed, and a digest of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The version it is changed from.
    pub version: u64,
    /// Keys set, and deleted.
    pub set: u64,
    pub deleted: u64,
    /// Keys and values that are set.
    pub bytes: u64,
    /// SHA-256 of the lines.
    pub digest: Digest,
}

/// Lines that are not those of changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the changes is not as it was written")]
pub struct BadChanges {
    pub line: usize,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    state: u32,
    version: u64,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    /// Base64.
    value: Option<String>,
}

impl Changes {
    /// A head and one line of JSON for each key, each with its end: as they lie in the run's
    /// folder. One at a time, so that megabytes of values are never in memory twice.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let head = Head {
            state: FORMAT,
            version: self.version,
        };
        let lines = self.keys.iter().map(|(key, value)| {
            line(&Line {
                key: key.clone(),
                value: value.as_ref().map(|value| BASE64.encode(value)),
            })
        });
        std::iter::once(line(&head)).chain(lines)
    }

    /// Reads [`Self::lines`]. Keys and values are held to their bounds again.
    pub fn parse(text: &str) -> Result<Self, BadChanges> {
        let mut lines = text.lines().enumerate();
        let bad = |line: usize| BadChanges { line: line + 1 };
        let head = lines.next().map(|(_, text)| serde_json::from_str(text));
        let Some(Ok(Head { state, version })) = head else {
            return Err(bad(0));
        };
        if state != FORMAT {
            return Err(bad(0));
        }
        let mut keys = BTreeMap::new();
        for (n, text) in lines {
            let Line { key, value } = serde_json::from_str(text).map_err(|_| bad(n))?;
            let value = value.map(|value| BASE64.decode(value.as_bytes()));
            let value = value.transpose().map_err(|_| bad(n))?;
            let bytes = value.as_ref().map_or(0, Vec::len);
            let sound = check_key(&key).and_then(|()| check_value(&key, bytes));
            if sound.is_err() || keys.insert(key, value).is_some() {
                return Err(bad(n));
            }
        }
        Ok(Self { version, keys })
    }

    /// What the journal tells of them.
    pub fn figures(&self) -> Figures {
        let mut digest = Sha256::new();
        for line in self.lines() {
            digest.update(line.as_bytes());
        }
        let set = self.keys.iter().filter_map(|(k, v)| Some((k, v.as_ref()?)));
        let (mut count, mut bytes) = (0, 0);
        for (key, value) in set {
            count += 1;
            bytes += (key.len() + value.len()) as u64;
        }
        Figures {
            version: self.version,
            set: count,
            deleted: self.keys.len() as u64 - count,
            bytes,
            digest: Digest::from_bytes(digest.finalize().into()),
        }
    }
}

/// Strings and numbers always have JSON.
fn line(of: &impl Serialize) -> String {
    let mut text = serde_json::to_string(of).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::VALUE_MAX_BYTES;
    use super::*;
    use proptest::prelude::*;

    fn text(changes: &Changes) -> String {
        changes.lines().collect()
    }

    fn some() -> Changes {
        Changes {
            version: 7,
            keys: BTreeMap::from([
                ("cursor".to_owned(), Some(b"a\0b".to_vec())),
                ("gone".to_owned(), None),
            ]),
        }
    }

    #[test]
    fn the_lines_are_what_the_format_says() {
        let lines = "{\"state\":1,\"version\":7}\n{\"key\":\"cursor\",\"value\":\"YQBi\"}\n\
                     {\"key\":\"gone\",\"value\":null}\n";
        assert_eq!(text(&some()), lines);
        let figures = some().figures();
        assert_eq!((figures.set, figures.deleted, figures.bytes), (1, 1, 9));
        assert_eq!(figures.digest, Digest::of(lines.as_bytes()));
    }

    #[test]
    fn what_was_not_written_so_is_refused() {
        let good = text(&some());
        for (bad, line) in [
            (String::new(), 1),
            (good.replace("\"state\":1", "\"state\":2"), 1),
            (good.replace("YQBi", "YQB"), 2),
            (good.replace("cursor", "cur sor"), 2),
            (good.replace("gone", "cursor"), 3),
            (
                good.replace("\"key\":\"gone\"", "\"key\":\"gone\",\"x\":1"),
                3,
            ),
            (format!("{good}\n"), 4),
        ] {
            assert_eq!(Changes::parse(&bad), Err(BadChanges { line }), "{bad}");
        }
        let long = vec![0; VALUE_MAX_BYTES + 1];
        let long = Changes {
            version: 0,
            keys: BTreeMap::from([("k".to_owned(), Some(long))]),
        };
        assert!(Changes::parse(&text(&long)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            version in any::<u64>(),
            keys in proptest::collection::btree_map(
                "[!-~]{1,128}",
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
                0..20,
            ),
        ) {
            let changes = Changes { version, keys };
            prop_assert_eq!(Changes::parse(&text(&changes)), Ok(changes.clone()));
        }

        #[test]
        fn random_text_never_panics(text in "\\PC{0,200}") {
            let _ = Changes::parse(&text);
        }
    }
}
