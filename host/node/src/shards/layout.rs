//! Which files of a store are shards, which are none, and by which rule. Pure.

use super::digest::Sum;
use super::template::{Fit, Template, TemplateError};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use keepwell_model::store::{
    CasLayout, DigestKind, Encoding, StoreConfig, StoreKind, Transform as CasTransform,
};

/// No known store needs more than five; every file is tried against each.
const TEMPLATES_MAX: usize = 16;
/// As above; globs compile into automata that take memory.
pub(super) const GLOBS_MAX: usize = 64;
/// Longer than any path worth matching.
const GLOB_MAX_BYTES: usize = 1_024;
/// The list of a `sha256sums` store when none is named.
pub(super) const DEFAULT_LIST: &str = "SHA256SUMS";

/// What is wrong with a store's description, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("`layout` is missing; a store of kind `cas` needs one with `templates`")]
    NoLayout,
    #[error("`layout` belongs to stores of kind `cas`, and this one is `{kind}`")]
    StrayLayout { kind: &'static str },
    #[error("`list` belongs to stores of kind `sha256sums`, and this one is `{kind}`")]
    StrayList { kind: &'static str },
    #[error("`list` is `{list}`, but must be a relative path without empty, `.` or `..` parts")]
    List { list: String },
    #[error("`layout.templates` has {count} entries, but must have 1 to {TEMPLATES_MAX}")]
    Templates { count: usize },
    #[error("`layout.templates[{index}]` = `{text}`")]
    Template {
        index: usize,
        text: String,
        #[source]
        why: TemplateError,
    },
    #[error("`{list}` has {count} globs, more than {GLOBS_MAX}")]
    Globs { list: &'static str, count: usize },
    #[error("`{list}[{index}]` = `{text}` is not a glob: {why}")]
    Glob {
        list: &'static str,
        index: usize,
        text: String,
        why: String,
    },
}

/// What happens to a file's bytes before the digest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Zlib,
    Zstd,
    /// zlib around `type SP size NUL content`; the size says when to stop.
    GitObject,
}

/// Templates and globs, ready to match.
#[derive(Debug)]
pub(super) struct Layout {
    templates: Vec<Template>,
    ignore: GlobSet,
    temporary: GlobSet,
    pub(super) transform: Transform,
}

/// What a path is to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Shard { sum: Sum, digest: DigestKind },
    Misplaced { belongs: String },
    Ignored,
    Temporary,
    Extra,
}

impl Layout {
    /// Of a `sha256sums` store there is none: its list says what is a shard.
    pub(super) fn of(config: &StoreConfig) -> Result<Option<Self>, LayoutError> {
        let kind = config.kind.as_str();
        if config.layout.is_some() && config.kind != StoreKind::Cas {
            return Err(LayoutError::StrayLayout { kind });
        }
        if config.list.is_some() && config.kind != StoreKind::Sha256sums {
            return Err(LayoutError::StrayList { kind });
        }
        Ok(Some(match config.kind {
            StoreKind::Restic => Self::restic()?,
            StoreKind::Oci => Self::oci()?,
            StoreKind::GitLoose => Self::git_loose()?,
            StoreKind::Native => Self::native()?,
            StoreKind::Sha256sums => return check_list(config.list.as_deref()).map(|()| None),
            StoreKind::Cas => Self::cas(config.layout.as_ref().ok_or(LayoutError::NoLayout)?)?,
        }))
    }

    fn preset(
        templates: &[(&str, DigestKind)],
        ignore: &[&str],
        temporary: &[&str],
        transform: Transform,
    ) -> Result<Self, LayoutError> {
        let parse = |(index, (text, digest)): (usize, &(&str, DigestKind))| {
            Template::parse(text, *digest, Encoding::Hex).map_err(|why| LayoutError::Template {
                index,
                text: (*text).to_owned(),
                why,
            })
        };
        Ok(Self {
            templates: templates
                .iter()
                .enumerate()
                .map(parse)
                .collect::<Result<_, _>>()?,
            ignore: globs("layout.ignore", ignore)?,
            temporary: globs("layout.temporary", temporary)?,
            transform,
        })
    }

    /// restic and rustic: everything but `config` is named by its SHA-256; locks come and go.
    fn restic() -> Result<Self, LayoutError> {
        let sha = DigestKind::Sha256;
        Self::preset(
            &[
                ("data/{h:2}/{h}", sha),
                ("index/{h}", sha),
                ("snapshots/{h}", sha),
                ("keys/{h}", sha),
            ],
            &["config", "locks/**"],
            &["**/*-tmp-*", "**/*.tmp", "tmp/**"],
            Transform::None,
        )
    }

    /// The image layout's blobs. The temporary names are those of umoci, containers/image and
    /// containerd.
    fn oci() -> Result<Self, LayoutError> {
        Self::preset(
            &[("blobs/sha256/{h}", DigestKind::Sha256)],
            &["oci-layout", "index.json"],
            &[
                "oci-put-blob*",
                ".umoci-*",
                ".umoci-*/**",
                "ingest/**",
                "blobs/sha256/tmp*",
            ],
            Transform::None,
        )
    }

    /// Loose objects, of SHA-1 and of SHA-256 repositories. Packs have digests of their own, which
    /// this does not check.
    fn git_loose() -> Result<Self, LayoutError> {
        Self::preset(
            &[
                ("{h:2}/{h:2..}", DigestKind::Sha1),
                ("{h:2}/{h:2..}", DigestKind::Sha256),
            ],
            &["info/**", "pack/pack-*", "pack/multi-pack-index*"],
            &[
                "tmp_*",
                "??/tmp_obj_*",
                "pack/tmp_*",
                "pack/.tmp-*",
                "incoming-*/**",
                "tmp_objdir-*/**",
            ],
            Transform::GitObject,
        )
    }

    /// Our own. Manifests are signed and named by no digest: `store status` reads them.
    fn native() -> Result<Self, LayoutError> {
        Self::preset(
            &[
                ("shards/{h:2}/{h:2..4}/{h}.blake3", DigestKind::Blake3),
                ("shards/{h:2}/{h:2..4}/{h}.sha256", DigestKind::Sha256),
            ],
            &["format.json", "marker", "groups/*/*.json", "quarantine/**"],
            &["tmp/**"],
            Transform::None,
        )
    }

    fn cas(layout: &CasLayout) -> Result<Self, LayoutError> {
        let count = layout.templates.len();
        if count == 0 || count > TEMPLATES_MAX {
            return Err(LayoutError::Templates { count });
        }
        let mut templates = vec![];
        for (index, text) in layout.templates.iter().enumerate() {
            templates.push(
                Template::parse(text, layout.digest, layout.encoding).map_err(|why| {
                    LayoutError::Template {
                        index,
                        text: text.clone(),
                        why,
                    }
                })?,
            );
        }
        Ok(Self {
            templates,
            ignore: globs("layout.ignore", &layout.ignore)?,
            temporary: globs("layout.temporary", &layout.temporary)?,
            transform: match layout.transform {
                CasTransform::None => Transform::None,
                CasTransform::Zlib => Transform::Zlib,
                CasTransform::Zstd => Transform::Zstd,
            },
        })
    }

    /// What the file at `path` (raw) and `name` (as shown) is. What the operator ignores is
    /// ignored even where a template would fit.
    pub(super) fn place(&self, path: &[u8], name: &str) -> Place {
        if self.ignore.is_match(name) {
            return Place::Ignored;
        }
        let mut misplaced = None;
        for template in &self.templates {
            match template.fit(path) {
                Fit::Yes(sum) => {
                    let digest = template.digest;
                    return Place::Shard { sum, digest };
                }
                Fit::Misplaced(belongs) => misplaced = misplaced.or(Some(belongs)),
                Fit::No => {}
            }
        }
        if self.temporary.is_match(name) {
            return Place::Temporary;
        }
        misplaced.map_or(Place::Extra, |belongs| Place::Misplaced { belongs })
    }

    /// Whether sizes of shards can be compared over time: a compressed file may be written anew
    /// with another size and the same content.
    pub(super) fn sizes_hold(&self) -> bool {
        self.transform == Transform::None
    }

    /// How a digest of this store is written, for people.
    pub(super) fn written(&self, sum: &Sum, digest: DigestKind) -> String {
        let encoding = self.templates.first().map_or(Encoding::Hex, |t| t.encoding);
        super::digest::text(sum, digest, encoding)
    }
}

/// Whether a store is described well. Touches nothing.
pub fn check_layout(config: &StoreConfig) -> Result<(), LayoutError> {
    Layout::of(config).map(|_| ())
}

fn check_list(list: Option<&str>) -> Result<(), LayoutError> {
    let list = list.unwrap_or(DEFAULT_LIST);
    if list.split('/').any(|p| matches!(p, "" | "." | "..")) || list.contains('\0') {
        return Err(LayoutError::List {
            list: list.to_owned(),
        });
    }
    Ok(())
}

/// Globs as one set: `*` stays within a directory, `**` does not.
pub(super) fn globs<S: AsRef<str>>(
    list: &'static str,
    texts: &[S],
) -> Result<GlobSet, LayoutError> {
    if texts.len() > GLOBS_MAX {
        return Err(LayoutError::Globs {
            list,
            count: texts.len(),
        });
    }
    let mut set = GlobSetBuilder::new();
    for (index, text) in texts.iter().enumerate() {
        let text = text.as_ref();
        let bad = |why: String| LayoutError::Glob {
            list,
            index,
            text: text.chars().take(GLOB_MAX_BYTES).collect(),
            why,
        };
        if text.len() > GLOB_MAX_BYTES {
            return Err(bad(format!("it is longer than {GLOB_MAX_BYTES} bytes")));
        }
        let glob: Glob = GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map_err(|e| bad(e.kind().to_string()))?;
        set.add(glob);
    }
    set.build().map_err(|e| LayoutError::Glob {
        list,
        index: 0,
        text: String::new(),
        why: e.kind().to_string(),
    })
}
