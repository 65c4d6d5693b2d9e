//! Shard stores as operators name them, and the verdicts on their shards.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// `[stores.NAME]` of `keepwell.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StoreConfig {
    pub kind: StoreKind,
    pub path: PathBuf,
    /// Only with `kind = "cas"`: where shards lie and how their names are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<CasLayout>,
    /// Only with `kind = "sha256sums"` and `"shard-table"`: the list, relative to the store. Default
    /// `SHA256SUMS` and `shards.csv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// restic and rustic repositories: `data/{h:2}/{h}`, SHA-256 of the file.
    Restic,
    /// Borg 1: segments whose entries have CRC-32s.
    Borg1,
    /// Borg 2: `packs/{h:2}/{h}`, SHA-256 of the file.
    Borg2,
    /// OCI image layout: `blobs/sha256/{h}`; what `index.json` reaches must be there.
    Oci,
    /// git: loose objects as below, and packs, which end with the digest of what they hold.
    Git,
    /// git loose objects: `{h:2}/{h}`, SHA-1 of the inflated object.
    GitLoose,
    /// ostree: commits and directories, SHA-256 of the file. Not the files of a tree.
    OstreeMeta,
    /// casync and desync chunks: `{h:4}/{h}.cacnk`, SHA-512/256 of the expanded chunk.
    Casync,
    /// kubo's `blocks`: the multihash of a block in base 32.
    Flatfs,
    /// Garage's data: `{h:2}/{h:2..4}/{h}`, the first half of BLAKE2b-512 of the expanded block.
    Garage,
    /// Files listed in a `SHA256SUMS`.
    Sha256sums,
    /// Files listed in a table, `shards.csv` or another, as CSV or JSON.
    ShardTable,
    /// BagIt bags: files listed in `manifest-sha512.txt`, `-sha256` or `-sha1`.
    Bagit,
    /// Keepwell's own: `docs/NATIVE-STORE.md`.
    Native,
    /// Any other store whose file names are digests, described by `layout`.
    Cas,
}

impl StoreKind {
    pub const ALL: [Self; 15] = [
        Self::Restic,
        Self::Borg1,
        Self::Borg2,
        Self::Oci,
        Self::Git,
        Self::GitLoose,
        Self::OstreeMeta,
        Self::Casync,
        Self::Flatfs,
        Self::Garage,
        Self::Sha256sums,
        Self::ShardTable,
        Self::Bagit,
        Self::Native,
        Self::Cas,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restic => "restic",
            Self::Borg1 => "borg1",
            Self::Borg2 => "borg2",
            Self::Oci => "oci",
            Self::Git => "git",
            Self::GitLoose => "git-loose",
            Self::OstreeMeta => "ostree-meta",
            Self::Casync => "casync",
            Self::Flatfs => "flatfs",
            Self::Garage => "garage",
            Self::Sha256sums => "sha256sums",
            Self::ShardTable => "shard-table",
            Self::Bagit => "bagit",
            Self::Native => "native",
            Self::Cas => "cas",
        }
    }
}

/// A content-addressed store: where files lie and how their names follow from their bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CasLayout {
    /// Relative paths with `{h}` for the whole digest, `{h:2}` for its first two characters,
    /// `{h:2..4}` for the third and fourth, `{h:4..}` for the rest, for example
    /// `data/{h:2}/{h}`. The first template that fits a file names it.
    pub templates: Vec<String>,
    /// Globs of files that are not shards (locks, configuration).
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Globs of files left behind by an interrupted writer.
    #[serde(default)]
    pub temporary: Vec<String>,
    #[serde(default)]
    pub encoding: Encoding,
    #[serde(default)]
    pub digest: DigestKind,
    #[serde(default)]
    pub transform: Transform,
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    #[default]
    Hex,
    Base32Upper,
    Base32Lower,
    Base64url,
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DigestKind {
    #[default]
    Sha256,
    Sha1,
    /// SHA-512/256.
    Sha512_256,
    /// The first 32 bytes of SHA-512.
    Sha512Truncated,
    /// BLAKE2b with 32 bytes of output.
    Blake2b256,
    /// The first 32 bytes of BLAKE2b-512.
    Blake2b512Truncated,
    Blake3,
}

/// What happens to a file's bytes before the digest is taken.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    #[default]
    None,
    Zlib,
    Zstd,
}

/// What verification found of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// Read twice, wrong twice.
    Corrupt,
    Truncated,
    Oversize,
    /// The store itself names it and it is not there.
    Missing,
    /// It was seen before and is not there; a store may prune.
    Vanished,
    /// It fits no rule of the store.
    Extra,
    /// Its bytes are those of another name.
    Misplaced,
    /// The machine could not read it.
    Unreadable,
    /// It changed while it was read.
    Changed,
    StaleTemp,
    /// No rule says what its bytes should be.
    Unverifiable,
}

impl State {
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Corrupt,
        Self::Truncated,
        Self::Oversize,
        Self::Missing,
        Self::Vanished,
        Self::Extra,
        Self::Misplaced,
        Self::Unreadable,
        Self::Changed,
        Self::StaleTemp,
        Self::Unverifiable,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Corrupt => "corrupt",
            Self::Truncated => "truncated",
            Self::Oversize => "oversize",
            Self::Missing => "missing",
            Self::Vanished => "vanished",
            Self::Extra => "extra",
            Self::Misplaced => "misplaced",
            Self::Unreadable => "unreadable",
            Self::Changed => "changed",
            Self::StaleTemp => "stale-temp",
            Self::Unverifiable => "unverifiable",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One verdict, with what was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub shard: String,
    pub state: State,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What the host remembers of a shard between runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub shard: String,
    pub bytes: u64,
    /// Milliseconds since the Unix epoch of the last verdict `ok`; `None`: never.
    pub verified_ms: Option<u64>,
    pub state: State,
}
