//! `[params.NAME]` as the operator writes it, and the checked parameter it becomes.

use super::guard::Guard;
use super::guard_table::GuardTable;
use super::literal::Literal;
use super::place::{Format, KeyPath, Place};
use super::shape::Shape;
use super::value::{Number, ParamValue};
use crate::grant::Denial;
use crate::id::ParamName;
use crate::units::Span;
use serde::{Deserialize, Serialize};
use std::path::{Component, PathBuf};

/// `[params.NAME]` of `keepwell.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ParamTable {
    /// Absolute path of the file that holds it. With `format` and `key`; not with `sysctl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Dotted path of the key, `server.pool.size`; for `ini` `section.key`. A part that holds a
    /// dot is quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A sysctl, `vm.swappiness`, in place of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctl: Option<String>,
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Least value. Numbers, durations and sizes need both bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Literal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Literal>,
    /// Values are `min`, `min + step`, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Literal>,
    /// With `type = "one-of"`: all it may be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// For durations and sizes: the file holds a bare number of this unit. For other numbers: a
    /// word for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What must hold after a change; a breach reverts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardTable>,
    /// How long after any change nothing else is changed. Default `30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// A change that is not confirmed within this time reverts. Default `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_after: Option<Span>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Integer,
    Float,
    Boolean,
    Text,
    Duration,
    Bytes,
    OneOf,
}

/// A declared parameter, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Param {
    pub place: Place,
    pub shape: Shape,
    /// For people; what it means for the file stands in the shape.
    pub unit: Option<String>,
    pub guard: Option<Guard>,
    pub soak: Span,
    pub revert_after: Span,
}

/// Long enough for a change to show in measurements taken every minute.
pub const SOAK_DEFAULT: Span = Span::secs(30 * 60);
/// Beyond a month nobody remembers what was tried.
pub const SOAK_CEILING: Span = Span::secs(30 * 86_400);
/// As the usual commit-confirmed of routers.
pub const REVERT_AFTER_DEFAULT: Span = Span::secs(600);
/// Less would revert before anything could be measured.
pub const REVERT_AFTER_FLOOR: Span = Span::secs(5);
/// A change that may stay a day unconfirmed is no longer one that waits.
pub const REVERT_AFTER_CEILING: Span = Span::secs(86_400);
/// A person reads the whole list in a hint.
pub const VALUES_MAX: usize = 64;

impl ParamTable {
    /// The parameter, or the first reason why not with its place in `keepwell.toml`.
    pub fn resolve(&self, name: &ParamName) -> Result<Param, Denial> {
        let no = |key: &str, message: String| Denial::new(format!("params.{name}.{key}"), message);
        let place = self.place(&no)?;
        let shape = self.shape(&no)?;
        if let (Place::Sysctl(_), Shape::Text) = (&place, &shape) {
            return Err(no("type", "a sysctl cannot be free text".into())
                .hint("use `type = \"one-of\"` with `values`"));
        }
        let pick = |key, given: Option<Span>, default, least, most| {
            let value = given.unwrap_or(default);
            if value < least || value > most {
                let why = format!("`{key}` is {value}, but must lie between {least} and {most}");
                return Err(no(key, why));
            }
            Ok(value)
        };
        let zero = Span::secs(0);
        let soak = pick("soak", self.soak, SOAK_DEFAULT, zero, SOAK_CEILING)?;
        let revert_after = pick(
            "revert-after",
            self.revert_after,
            REVERT_AFTER_DEFAULT,
            REVERT_AFTER_FLOOR,
            REVERT_AFTER_CEILING,
        )?;
        let guard = match &self.guard {
            Some(table) => Some(table.resolve(&no, revert_after)?),
            None => None,
        };
        Ok(Param {
            place,
            shape,
            unit: self.unit.clone(),
            guard,
            soak,
            revert_after,
        })
    }

    fn place(&self, no: &dyn Fn(&str, String) -> Denial) -> Result<Place, Denial> {
        let (file, sysctl) = match (&self.file, &self.sysctl) {
            (Some(_), Some(_)) => {
                return Err(no("sysctl", "both `file` and `sysctl` are given".into())
                    .hint("a parameter lives in one place: remove one of the two"));
            }
            (None, None) => {
                return Err(no("file", "neither `file` nor `sysctl` is given".into())
                    .hint("add `file`, `format` and `key`, or `sysctl = \"vm.swappiness\"`"));
            }
            other => other,
        };
        if let Some(sysctl) = sysctl {
            if self.key.is_some() || self.format.is_some() {
                return Err(no("sysctl", "`key` and `format` belong to a `file`".into()));
            }
            let name = sysctl.parse().map_err(|e| no("sysctl", format!("{e}")))?;
            return Ok(Place::Sysctl(name));
        }
        let file = file.clone().unwrap_or_default();
        // The text too: `Path` swallows `.` and doubled slashes, the plan's reader need not.
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        let spelled = file.components().collect::<PathBuf>();
        if !file.is_absolute()
            || !file.components().all(plain)
            || spelled.as_os_str() != file.as_os_str()
            || file.file_name().is_none()
            || file
                .as_os_str()
                .to_str()
                .is_none_or(|t| t.contains(char::is_control))
        {
            return Err(no(
                "file",
                format!("`{}` is not a plain absolute path", file.display()),
            )
            .hint("write the whole path from `/`, without `.`, `..` and links"));
        }
        if file.starts_with("/proc") || file.starts_with("/sys") || file.starts_with("/dev") {
            return Err(
                no("file", format!("`{}` is no file on disk", file.display()))
                    .hint("use `sysctl` for what lies below /proc/sys"),
            );
        }
        let format = self.format.ok_or_else(|| {
            no("format", "`format` is not given".into())
                .hint("one of toml, json, yaml, ini and env")
        })?;
        let key = self.key.as_deref().ok_or_else(|| {
            no("key", "`key` is not given".into()).hint("for example `key = \"server.pool.size\"`")
        })?;
        let key: KeyPath = key.parse().map_err(|e| no("key", format!("{e}")))?;
        let why = match format {
            Format::Ini if key.ini().is_none() => "an ini key is `section.key`, or `key` alone",
            Format::Env if !env_name(&key) => "an env key is one name of letters, digits and `_`",
            Format::Toml | Format::Json | Format::Yaml | Format::Ini | Format::Env => "",
        };
        if !why.is_empty() {
            return Err(no("key", why.into()).hint("quote a part that holds a dot"));
        }
        Ok(Place::Key { file, format, key })
    }

    fn shape(&self, no: &dyn Fn(&str, String) -> Denial) -> Result<Shape, Denial> {
        let number = match self.kind {
            Kind::Integer => Number::Integer,
            Kind::Float => Number::Float,
            Kind::Duration => Number::Duration,
            Kind::Bytes => Number::Bytes,
            Kind::Boolean | Kind::Text | Kind::OneOf => return self.words(no),
        };
        if !self.values.is_empty() {
            return Err(no(
                "values",
                "`values` belong to `type = \"one-of\"`".into(),
            ));
        }
        let count = |key: &str, literal: &Option<Literal>| match literal {
            Some(literal) => number
                .count(&literal.0)
                .map(Some)
                .map_err(|e| no(key, e.message)),
            None => Ok(None),
        };
        let (Some(min), Some(max)) = (count("min", &self.min)?, count("max", &self.max)?) else {
            return Err(no(
                "min",
                format!("type {} needs `min` and `max`", number.as_str()),
            )
            .hint("a task tunes only within bounds: give the least and the most that is safe"));
        };
        if min > max {
            return Err(no("min", "`min` is above `max`".into()));
        }
        let step = count("step", &self.step)?;
        if step.is_some_and(|step| step <= 0) {
            return Err(no("step", "`step` must be above zero".into()));
        }
        let sized = matches!(number, Number::Duration | Number::Bytes);
        let unit = self.unit.clone().filter(|_| sized);
        if let Some(unit) = &unit
            && number.unit(unit).is_none()
        {
            return Err(no(
                "unit",
                format!("`{unit}` is no unit of type {}", number.as_str()),
            )
            .hint("durations: ms, s, m, h, d; sizes: B, KiB, MiB, GiB, kB, MB, GB"));
        }
        Ok(Shape::Number {
            number,
            min,
            max,
            step,
            unit,
        })
    }

    fn words(&self, no: &dyn Fn(&str, String) -> Denial) -> Result<Shape, Denial> {
        if self.min.is_some() || self.max.is_some() || self.step.is_some() {
            return Err(no(
                "min",
                "`min`, `max` and `step` belong to numbers".into(),
            ));
        }
        if self.kind != Kind::OneOf {
            if !self.values.is_empty() {
                return Err(no(
                    "values",
                    "`values` belong to `type = \"one-of\"`".into(),
                ));
            }
            return Ok(if self.kind == Kind::Boolean {
                Shape::Boolean
            } else {
                Shape::Text
            });
        }
        if self.values.len() < 2 || self.values.len() > VALUES_MAX {
            return Err(no("values", format!("expected 2 to {VALUES_MAX} `values`")));
        }
        for (i, value) in self.values.iter().enumerate() {
            if self.values[..i].contains(value) {
                return Err(no("values", format!("`{value}` is listed twice")));
            }
            Shape::Text
                .admits(&ParamValue::Text(value.clone()))
                .map_err(|e| no("values", e.message))?;
        }
        Ok(Shape::OneOf(self.values.clone()))
    }
}

fn env_name(key: &KeyPath) -> bool {
    let [name] = key.parts() else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}
