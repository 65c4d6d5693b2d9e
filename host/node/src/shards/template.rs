//! Templates of a content-addressed layout: `data/{h:2}/{h}`. Pure.

use super::digest::{self, Sum};
use keepwell_model::store::{DigestKind, Encoding};

/// Longer than any layout known, short enough to read.
pub(super) const TEMPLATE_MAX_BYTES: usize = 256;

/// Why a template is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("it is empty, or longer than {TEMPLATE_MAX_BYTES} bytes")]
    Length,
    #[error("it must be a relative path without empty, `.` or `..` parts")]
    Path,
    #[error("`{{` at character {at} is not closed")]
    Open { at: usize },
    #[error(
        "`{{{text}}}` at character {at} is not `{{h}}`, `{{h:2}}`, `{{h:2..4}}` or `{{h:4..}}`"
    )]
    Placeholder { at: usize, text: String },
    #[error(
        "`{{{text}}}` at character {at} is empty or reaches beyond the {width} characters of a name"
    )]
    Range {
        at: usize,
        text: String,
        width: usize,
    },
    #[error(
        "it leaves character {at} of the name open; it needs `{{h}}`, or pieces that cover the whole name"
    )]
    Uncovered { at: usize },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// From, and up to (exclusive); `None` is the end of the name.
    Piece(usize, Option<usize>),
}

/// A parsed template with the kind of name that fills it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    parts: Vec<Part>,
    pub(super) digest: DigestKind,
    pub(super) encoding: Encoding,
}

/// How a path fits a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Yes(Sum),
    /// The path has the right shape, but its pieces contradict each other: a file in another's
    /// directory. Where its name says it belongs.
    Misplaced(String),
}

impl Template {
    pub(super) fn parse(
        text: &str,
        digest: DigestKind,
        encoding: Encoding,
    ) -> Result<Self, TemplateError> {
        if text.is_empty() || text.len() > TEMPLATE_MAX_BYTES {
            return Err(TemplateError::Length);
        }
        let width = digest::text_widths(digest, encoding).0;
        let mut parts = vec![];
        let (mut rest, mut at) = (text, 0);
        while !rest.is_empty() {
            let open = rest.find('{').unwrap_or(rest.len());
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            (rest, at) = (&rest[open..], at + open);
            if rest.is_empty() {
                break;
            }
            let close = rest.find('}').ok_or(TemplateError::Open { at })?;
            parts.push(piece(&rest[1..close], at, width)?);
            (rest, at) = (&rest[close + 1..], at + close + 1);
        }
        let template = Self {
            parts,
            digest,
            encoding,
        };
        template.check_cover(width)?;
        let example = template.fill(&"0".repeat(width + MULTIHASH_PREFIX_CHARS));
        let bad = |part: &str| matches!(part, "" | "." | "..");
        if example.split('/').any(bad) || example.bytes().any(|b| b < b' ' || b == b'\\') {
            return Err(TemplateError::Path);
        }
        Ok(template)
    }

    fn check_cover(&self, width: usize) -> Result<(), TemplateError> {
        let mut covered = vec![false; width];
        for part in &self.parts {
            if let Part::Piece(from, to) = part {
                let to = to.unwrap_or(width).min(width);
                covered[(*from).min(to)..to].fill(true);
            }
        }
        covered
            .iter()
            .position(|c| !c)
            .map_or(Ok(()), |at| Err(TemplateError::Uncovered { at }))
    }

    /// The path of a name. Pieces beyond its end are left out.
    fn fill(&self, name: &str) -> String {
        let mut path = String::new();
        for part in &self.parts {
            path.push_str(match part {
                Part::Literal(text) => text,
                Part::Piece(from, to) => name
                    .get(*from..to.unwrap_or(name.len()))
                    .unwrap_or_default(),
            });
        }
        path
    }

    /// Whether `path` fits, bare or as multihash.
    pub(super) fn fit(&self, path: &[u8]) -> Fit {
        let (bare, multihash) = digest::text_widths(self.digest, self.encoding);
        for width in [Some(bare), multihash].into_iter().flatten() {
            let fit = self.fit_width(path, width);
            if fit != Fit::No {
                return fit;
            }
        }
        Fit::No
    }

    /// Every piece has a fixed width once the name's width is known, so a path fits at fixed
    /// offsets or not at all: no backtracking.
    fn fit_width(&self, path: &[u8], width: usize) -> Fit {
        let mut rest = path;
        let mut pieces: Vec<(usize, &[u8])> = vec![];
        for part in &self.parts {
            let (len, literal) = match part {
                Part::Literal(text) => (text.len(), Some(text.as_bytes())),
                Part::Piece(from, to) => {
                    let to = to.unwrap_or(width);
                    if to > width || *from >= to {
                        return Fit::No;
                    }
                    (to - from, None)
                }
            };
            let Some((head, tail)) = rest.split_at_checked(len) else {
                return Fit::No;
            };
            match (part, literal) {
                (_, Some(text)) if head != text => return Fit::No,
                (Part::Piece(from, _), _) => pieces.push((*from, head)),
                (Part::Literal(_), _) => {}
            }
            rest = tail;
        }
        if !rest.is_empty() {
            return Fit::No;
        }
        self.join(&pieces, width)
    }

    /// Widest piece first, so that it is the one believed when pieces contradict each other.
    fn join(&self, pieces: &[(usize, &[u8])], width: usize) -> Fit {
        let mut order: Vec<_> = pieces.to_vec();
        order.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
        let mut name: Vec<Option<u8>> = vec![None; width];
        let mut agree = true;
        for (from, text) in order {
            for (slot, &byte) in name[from..].iter_mut().zip(text) {
                agree &= slot.is_none_or(|b| b == byte);
                slot.get_or_insert(byte);
            }
        }
        let Some(name) = name.into_iter().collect::<Option<Vec<u8>>>() else {
            return Fit::No;
        };
        match digest::parse(&name, self.digest, self.encoding) {
            None => Fit::No,
            Some(sum) if agree => Fit::Yes(sum),
            Some(_) => Fit::Misplaced(self.fill(&String::from_utf8_lossy(&name))),
        }
    }
}

fn piece(text: &str, at: usize, width: usize) -> Result<Part, TemplateError> {
    let bad = || TemplateError::Placeholder {
        at,
        text: text.to_owned(),
    };
    let number = |t: &str| -> Result<usize, TemplateError> {
        // Digits alone: `parse` would accept a sign.
        if t.is_empty() || t.len() > 3 || !t.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        t.parse().map_err(|_| bad())
    };
    let (from, to) = match text.strip_prefix('h').ok_or_else(bad)? {
        "" => (0, None),
        range => {
            let range = range.strip_prefix(':').ok_or_else(bad)?;
            match range.split_once("..") {
                None => (0, Some(number(range)?)),
                Some((from, "")) => (number(from)?, None),
                Some((from, to)) => (number(from)?, Some(number(to)?)),
            }
        }
    };
    // Pieces of a multihash name may lie beyond the end of a bare one, by its prefix.
    let most = width + MULTIHASH_PREFIX_CHARS;
    if from >= to.unwrap_or(width) || to.unwrap_or(from) > most {
        return Err(TemplateError::Range {
            at,
            text: text.to_owned(),
            width,
        });
    }
    Ok(Part::Piece(from, to))
}

/// A multihash prefix is at most 4 bytes, at most 8 characters.
const MULTIHASH_PREFIX_CHARS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const H: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn template(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text, DigestKind::Sha256, Encoding::Hex)
    }

    #[test]
    fn a_path_fits_whole_or_not_at_all() {
        let t = template("data/{h:2}/{h}").unwrap();
        let fit = |path: String| t.fit(path.as_bytes());
        assert!(matches!(fit(format!("data/ba/{H}")), Fit::Yes(_)));
        for bad in ["", "data", "data/ba/", "data/ba/x"] {
            assert_eq!(fit(bad.to_owned()), Fit::No, "{bad}");
        }
        assert_eq!(fit(format!("data/ba/{H}x")), Fit::No);
        assert_eq!(fit(format!("Data/ba/{H}")), Fit::No);
        assert_eq!(fit(format!("data/ba/{}", H.to_uppercase())), Fit::No);
    }

    #[test]
    fn another_s_directory_is_seen() {
        let t = template("data/{h:2}/{h}").unwrap();
        let belongs = format!("data/ba/{H}");
        assert_eq!(
            t.fit(format!("data/bb/{H}").as_bytes()),
            Fit::Misplaced(belongs)
        );
    }

    #[test]
    fn pieces_join_to_a_name() {
        let t = template("{h:2}/{h:2..4}/{h:4..}.shard").unwrap();
        let path = format!("{}/{}/{}.shard", &H[..2], &H[2..4], &H[4..]);
        assert!(matches!(t.fit(path.as_bytes()), Fit::Yes(_)));
    }

    #[test]
    fn bad_templates_say_where() {
        use TemplateError::{Length, Open, Path, Placeholder, Range, Uncovered};
        let why = |text: &str| template(text).unwrap_err();
        assert!(matches!(why(""), Length));
        assert!(matches!(why(&"x".repeat(300)), Length));
        assert!(matches!(why("data/x"), Uncovered { at: 0 }));
        assert!(matches!(why("{h:2}/{h:3..}"), Uncovered { at: 2 }));
        assert!(matches!(why("a/{h"), Open { at: 2 }));
        assert!(matches!(why("{x}"), Placeholder { at: 0, .. }));
        assert!(matches!(why("{h}{h:+2}"), Placeholder { at: 3, .. }));
        assert!(matches!(why("{h}{h:4..2}"), Range { at: 3, .. }));
        assert!(matches!(why("{h}{h:0}"), Range { .. }));
        assert!(matches!(why("{h}{h:80..90}"), Range { .. }));
        for path in ["/{h}", "../{h}", "a//{h}", "a/./{h}", "{h}/", "a\\{h}"] {
            assert!(matches!(why(path), Path), "{path}");
        }
    }
}
