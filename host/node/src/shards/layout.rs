//! Which files of a store are shards, which are none, and by which rule. Pure.

use super::digest::{self, Sum};
use super::template::{Fit, Template, TemplateError};
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use keepwell_model::store::{DigestKind, Encoding};

/// No known store needs more than five; every file is tried against each.
const TEMPLATES_MAX: usize = 16;
/// As above; globs compile into automata that take memory.
pub(super) const GLOBS_MAX: usize = 64;
/// Longer than any path worth matching.
const GLOB_MAX_BYTES: usize = 1_024;

/// What is wrong with a store's description, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("`layout` is missing; a store of kind `cas` needs one with `templates`")]
    NoLayout,
    #[error("`layout` belongs to stores of kind `cas`, and this one is `{kind}`")]
    StrayLayout { kind: &'static str },
    #[error(
        "`list` belongs to stores of kind `sha256sums` and `shard-table`, and this one is `{kind}`"
    )]
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

/// How shards of one sort are named, and from what of their bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) template: &'a str,
    pub(super) digest: DigestKind,
    pub(super) encoding: Encoding,
    pub(super) from: From,
}

/// What of a file a digest is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// All of it, after this; its name is the digest.
    Content(Transform),
    /// All before the digest, which is its end. The name need not be that one.
    BeforeTrailer,
}

impl<'a> Rule<'a> {
    /// From the bytes as they are, in hexadecimal.
    pub(super) const fn hex(template: &'a str, digest: DigestKind) -> Self {
        Self {
            template,
            digest,
            encoding: Encoding::Hex,
            from: From::Content(Transform::None),
        }
    }

    pub(super) const fn after(self, transform: Transform) -> Self {
        let from = From::Content(transform);
        Self { from, ..self }
    }

    pub(super) const fn with_trailer(self) -> Self {
        let from = From::BeforeTrailer;
        Self { from, ..self }
    }
}

/// Checksums within a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// The file ends with the digest of all before it.
    Trailer(DigestKind),
    /// A segment of Borg 1: each entry has a CRC-32.
    BorgSegment,
}

/// What the bytes of a shard must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// A digest that is known before, from a name or a list.
    Digest {
        sum: Sum,
        digest: DigestKind,
        transform: Transform,
    },
    /// What they say themselves.
    Framed(Frame),
}

impl Expected {
    /// Of the bytes as they are.
    pub(super) const fn plain(sum: Sum, digest: DigestKind) -> Self {
        let transform = Transform::None;
        Self::Digest {
            sum,
            digest,
            transform,
        }
    }

    /// What the bytes of no other shard come to.
    pub(super) const fn sum(&self) -> Option<Sum> {
        match self {
            Self::Digest { sum, .. } => Some(*sum),
            Self::Framed(_) => None,
        }
    }

    /// Whether the same shard has the same length for ever: a compressed one may be written anew.
    pub(super) fn size_holds(&self) -> bool {
        match self {
            Self::Digest { transform, .. } => *transform == Transform::None,
            Self::Framed(_) => true,
        }
    }
}

/// Templates and globs, ready to match.
#[derive(Debug)]
pub(super) struct Layout {
    rules: Vec<(Template, From)>,
    framed: Option<(GlobSet, Frame)>,
    ignore: GlobSet,
    temporary: GlobSet,
}

/// What a path is to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Shard(Expected),
    Misplaced { belongs: String },
    Ignored,
    Temporary,
    Extra,
}

impl Layout {
    /// Of these rules, the first that fits a file names it.
    pub(super) fn new(
        rules: &[Rule<'_>],
        ignore: &[&str],
        temporary: &[&str],
    ) -> Result<Self, LayoutError> {
        let count = rules.len();
        if count > TEMPLATES_MAX {
            return Err(LayoutError::Templates { count });
        }
        let parse = |(index, rule): (usize, &Rule<'_>)| {
            let parsed = Template::parse(rule.template, rule.digest, rule.encoding);
            let template = parsed.map_err(|why| LayoutError::Template {
                index,
                text: rule.template.to_owned(),
                why,
            })?;
            Ok((template, rule.from))
        };
        Ok(Self {
            rules: rules
                .iter()
                .enumerate()
                .map(parse)
                .collect::<Result<_, _>>()?,
            framed: None,
            ignore: globs("layout.ignore", ignore)?,
            temporary: globs("layout.temporary", temporary)?,
        })
    }

    /// And files by these globs, which no digest names.
    pub(super) fn framed(self, files: &[&str], frame: Frame) -> Result<Self, LayoutError> {
        let framed = Some((globs("layout.framed", files)?, frame));
        Ok(Self { framed, ..self })
    }

    /// What the file at `path` (raw) and `name` (as shown) is. What the operator ignores is
    /// ignored even where a template would fit.
    pub(super) fn place(&self, path: &[u8], name: &str) -> Place {
        if self.ignore.is_match(name) {
            return Place::Ignored;
        }
        let mut misplaced = None;
        for (template, from) in &self.rules {
            match template.fit(path) {
                Fit::Yes(sum) => {
                    let digest = template.digest;
                    return Place::Shard(match *from {
                        From::Content(transform) => Expected::Digest {
                            sum,
                            digest,
                            transform,
                        },
                        From::BeforeTrailer => Expected::Framed(Frame::Trailer(digest)),
                    });
                }
                Fit::Misplaced(belongs) => misplaced = misplaced.or(Some(belongs)),
                Fit::No => {}
            }
        }
        if self.temporary.is_match(name) {
            return Place::Temporary;
        }
        if let Some((files, frame)) = &self.framed
            && files.is_match(name)
        {
            return Place::Shard(Expected::Framed(*frame));
        }
        misplaced.map_or(Place::Extra, |belongs| Place::Misplaced { belongs })
    }

    /// All that shards may have to be expanded by.
    pub(super) fn transforms(&self) -> impl Iterator<Item = Transform> {
        self.rules.iter().map(|(_, from)| match from {
            From::Content(transform) => *transform,
            From::BeforeTrailer => Transform::None,
        })
    }

    /// How a digest of this store is written, for people.
    pub(super) fn written(&self, sum: &Sum, digest: DigestKind) -> String {
        let first = self.rules.first().map(|(template, _)| template.encoding);
        digest::text(sum, digest, first.unwrap_or(Encoding::Hex))
    }
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
