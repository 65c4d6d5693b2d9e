//! Actions: the typed changes a task may propose, and their canonical encoding.
//!
//! A plan is a text file. Its first line is the [`PlanHeader`], each further line one [`Action`],
//! JSON with the keys in the order of the fields below, no spaces, `\n` after each. The plan
//! digest is the SHA-256 of that file, so `sha256sum` computes it too.

use crate::capability::Class;
use crate::id::{Digest, RootName};
use crate::param::ParamChange;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A path relative to a root, as bytes. Never empty, absolute, or with `.`, `..`, an empty part,
/// a NUL or a slash at the end: what fails here never reaches the file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Vec<u8>);

/// Longest path, as Linux has it.
pub const PATH_MAX_BYTES: usize = 4096;
/// Longest part of a path, as Linux has it.
pub const PART_MAX_BYTES: usize = 255;

/// The folder inside a root that holds what was quarantined there. Walks do not enter it and no
/// path given by a guest may start with it.
pub const OWN_FOLDER: &str = ".keepwell";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} is refused: {why}")]
pub struct BadPath {
    pub path: String,
    pub why: &'static str,
}

impl RelPath {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPath> {
        let bytes = bytes.into();
        let why = if bytes.is_empty() {
            "it is empty"
        } else if bytes.len() > PATH_MAX_BYTES {
            "it is longer than 4096 bytes"
        } else if bytes.contains(&0) {
            "it contains a NUL"
        } else if bytes[0] == b'/' {
            "it is absolute"
        } else if bytes.ends_with(b"/") {
            "it ends with `/`"
        } else {
            let mut why = "";
            for (i, part) in bytes.split(|b| *b == b'/').enumerate() {
                why = match part {
                    b"" => "it has an empty part",
                    b"." => "it contains `.`",
                    b".." => "it contains `..`",
                    p if p.len() > PART_MAX_BYTES => "a part is longer than 255 bytes",
                    p if i == 0 && p == OWN_FOLDER.as_bytes() => "it lies in the host's own folder",
                    _ => continue,
                };
                break;
            }
            why
        };
        if why.is_empty() {
            Ok(Self(bytes))
        } else {
            Err(BadPath {
                path: String::from_utf8_lossy(&bytes).chars().take(80).collect(),
                why,
            })
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its last part; `None` for an entry directly in the root.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        Some(Self(self.0[..slash].to_vec()))
    }

    /// The last part.
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        &self.0[start..]
    }

    /// Text that names exactly this path: what is not printable UTF-8, and `%`, as `%XX`.
    pub fn escaped(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c == '%' || c.is_control() {
                    let mut buffer = [0; 4];
                    for b in c.encode_utf8(&mut buffer).bytes() {
                        push_escape(&mut out, b);
                    }
                } else {
                    out.push(c);
                }
            }
            for b in chunk.invalid() {
                push_escape(&mut out, *b);
            }
        }
        out
    }

    /// The inverse of [`Self::escaped`].
    pub fn from_escaped(text: &str) -> Result<Self, BadPath> {
        let bad = || BadPath {
            path: text.to_owned(),
            why: "`%` is not followed by two hex digits",
        };
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.bytes();
        while let Some(b) = rest.next() {
            if b == b'%' {
                let pair = [rest.next().ok_or_else(bad)?, rest.next().ok_or_else(bad)?];
                let byte = data_encoding::HEXUPPER.decode(&pair).map_err(|_| bad())?;
                bytes.push(byte[0]);
            } else {
                bytes.push(b);
            }
        }
        Self::new(bytes)
    }
}

fn push_escape(out: &mut String, b: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(b >> 4)]));
    out.push(char::from(HEX[usize::from(b & 15)]));
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.escaped())
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.escaped())
    }
}

impl Serialize for RelPath {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.serialize_str(&self.escaped())
        } else {
            s.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for RelPath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            Self::from_escaped(&text).map_err(serde::de::Error::custom)
        } else {
            let bytes = Vec::<u8>::deserialize(d)?;
            Self::new(bytes).map_err(serde::de::Error::custom)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// Who an entry is and how it was when looked at. Times in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

/// What an action costs of the budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub files: u64,
    pub bytes: u64,
    pub params: u64,
}

/// A directory tree added up: what it holds, and a fingerprint over the path, kind and identity
/// of everything in it, so that any change in between is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    pub files: u64,
    pub bytes: u64,
    /// Newest of all times in it, milliseconds since the Unix epoch.
    pub touched_ms: u64,
    pub fingerprint: Digest,
}

/// What is to be done. One actuator in `host/node` applies and undoes each kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Move a file, a link as such, or an empty directory to quarantine.
    Quarantine {
        root: RootName,
        path: RelPath,
        kind: EntryKind,
        identity: Identity,
    },
    /// Move a directory with all it holds, or nothing of it.
    QuarantineTree {
        root: RootName,
        path: RelPath,
        identity: Identity,
        survey: Survey,
    },
    /// Set a parameter to another value, until it is confirmed or reverts.
    ConfigWrite(ParamChange),
}

impl Change {
    pub const fn class(&self) -> Class {
        match self {
            Self::Quarantine { .. } | Self::QuarantineTree { .. } => Class::Reversible,
            Self::ConfigWrite(change) => change.class(),
        }
    }

    pub const fn price(&self) -> Price {
        match self {
            Self::Quarantine {
                kind: EntryKind::File,
                identity,
                ..
            } => Price {
                files: 1,
                bytes: identity.size,
                params: 0,
            },
            Self::Quarantine { .. } => Price {
                files: 1,
                bytes: 0,
                params: 0,
            },
            Self::QuarantineTree { survey, .. } => Price {
                files: survey.files,
                bytes: survey.bytes,
                params: 0,
            },
            Self::ConfigWrite(change) => change.price(),
        }
    }

    /// The root of the entry it moves; none for a change that is about no entry.
    pub const fn root(&self) -> Option<&RootName> {
        match self {
            Self::Quarantine { root, .. } | Self::QuarantineTree { root, .. } => Some(root),
            Self::ConfigWrite(_) => None,
        }
    }

    /// The path of the entry in its root.
    pub const fn path(&self) -> Option<&RelPath> {
        match self {
            Self::Quarantine { path, .. } | Self::QuarantineTree { path, .. } => Some(path),
            Self::ConfigWrite(_) => None,
        }
    }

    /// What it is about, for people and protocols.
    pub fn subject(&self) -> String {
        match self {
            Self::Quarantine { root, path, .. } | Self::QuarantineTree { root, path, .. } => {
                format!("{root}:{path}")
            }
            Self::ConfigWrite(change) => format!("{} = {}", change.param, change.new.value),
        }
    }

    /// The action kind's name, as in the encoding.
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Quarantine { .. } => "quarantine",
            Self::QuarantineTree { .. } => "quarantine-tree",
            Self::ConfigWrite(_) => "config-write",
        }
    }
}

/// One proposed change. Numbered from 0 in the order proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub id: u64,
    pub change: Change,
    pub reason: String,
}

/// First line of a plan. Neither the run's id nor a time stands here: the same component,
/// settings, grant and node give the same digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// 1.
    pub plan: u32,
    pub task: String,
    pub component: Digest,
    /// Digest of the grant's canonical JSON.
    pub grant: Digest,
    /// Digest of the settings' JSON.
    pub settings: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_could_leave_the_root_are_refused() {
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/..",
            "a/../b",
            "a/",
            "a//b",
            ".",
            "./a",
            "a/./b",
            "a\0b",
            ".keepwell",
            ".keepwell/x",
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        assert!(RelPath::new("x".repeat(256)).is_err());
        assert!(RelPath::new("a/.keepwell").is_ok());
        assert!(RelPath::new("...").is_ok());
    }

    #[test]
    fn parents_and_names() {
        let p = RelPath::new("a/b/c").unwrap();
        assert_eq!(p.parent().unwrap().as_bytes(), b"a/b");
        assert_eq!(p.name(), b"c");
        assert_eq!(RelPath::new("a").unwrap().parent(), None);
    }

    /// The encoding is part of the format: a change here changes every plan digest.
    #[test]
    fn canonical_line() {
        let action = Action {
            id: 7,
            change: Change::Quarantine {
                root: RootName::new("tmp").unwrap(),
                path: RelPath::new(b"a/\xff%\n".to_vec()).unwrap(),
                kind: EntryKind::File,
                identity: Identity {
                    device: 1,
                    inode: 2,
                    size: 3,
                    mtime_ns: 4,
                    ctime_ns: -5,
                },
            },
            reason: "old".into(),
        };
        assert_eq!(
            serde_json::to_string(&action).unwrap(),
            r#"{"id":7,"change":{"quarantine":{"root":"tmp","path":"a/%FF%25%0A","kind":"file","identity":{"device":1,"inode":2,"size":3,"mtime_ns":4,"ctime_ns":-5}}},"reason":"old"}"#
        );
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing(bytes in proptest::collection::vec(1u8.., 1..40)) {
            if let Ok(path) = RelPath::new(bytes) {
                prop_assert_eq!(RelPath::from_escaped(&path.escaped()).unwrap(), path);
            }
        }
    }
}
