//! What stands at a parameter's place: the file opened and its value found, or the sysctl.

use super::file::{self, Opened};
use super::format::{self, Found};
use super::sysctl;
use keepwell_model::param::{FileSeen, Held, Param, Place, Raw, Shape};
use keepwell_model::words::Refusal;
use std::path::Path;

/// What stands at a parameter's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub held: Held,
    /// None for a sysctl.
    pub seen: Option<FileSeen>,
}

/// What was found at a place, in full.
pub(super) enum Now {
    Key(Opened, Found),
    Sysctl(Raw),
}

impl Now {
    /// The bytes that stand for the value.
    pub(super) fn spelling(&self) -> &str {
        match self {
            Self::Key(opened, found) => &opened.text[found.span.clone()],
            Self::Sysctl(raw) => &raw.text,
        }
    }

    /// The file as it is; none for a sysctl.
    pub(super) fn seen(&self) -> Option<FileSeen> {
        match self {
            Self::Key(opened, _) => Some(opened.seen()),
            Self::Sysctl(_) => None,
        }
    }
}

/// Reads one parameter. Refusals: `gone` (no such file or key), `denied`, `limit` and `invalid` for
/// what cannot be read safely.
pub fn read(param: &Param) -> Result<Standing, Refusal> {
    standing(param, &look(&param.place, Path::new(sysctl::SYSCTLS))?)
}

pub(super) fn look(place: &Place, sysctls: &Path) -> Result<Now, Refusal> {
    match place {
        Place::Key { file, format, key } => {
            let opened = file::open(file)?;
            let found = format::find(*format, &opened.text, key).map_err(|no| Refusal {
                message: format!("`{}`: {}", file.display(), no.message),
                ..no
            })?;
            Ok(Now::Key(opened, found))
        }
        Place::Sysctl(name) => Ok(Now::Sysctl(sysctl::read(sysctls, name)?)),
    }
}

pub(super) fn standing(param: &Param, now: &Now) -> Result<Standing, Refusal> {
    let raw = match now {
        Now::Key(_, found) => {
            if let (Some(doubt), Shape::Text) = (found.doubt, &param.shape) {
                return Err(Refusal::invalid(format!("{}: {doubt}", param.place))
                    .hint("move the comment to a line of its own, or quote the text"));
            }
            &found.raw
        }
        Now::Sysctl(raw) => raw,
    };
    let value = param.shape.read(raw).map_err(|no| at(&param.place, no))?;
    let spelling = now.spelling().to_owned();
    Ok(Standing {
        held: Held { value, spelling },
        seen: now.seen(),
    })
}

/// The refusal with the place it is about.
pub(super) fn at(place: &Place, no: Refusal) -> Refusal {
    Refusal {
        message: format!("{place}: {}", no.message),
        ..no
    }
}
