//! Where a parameter lives: a key of a file, or a sysctl. Names are strict, so that none of them
//! can lead elsewhere.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a parameter lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    Key {
        /// Absolute, without `.`, `..` or an empty part.
        file: PathBuf,
        format: Format,
        key: KeyPath,
    },
    Sysctl(SysctlName),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { file, key, .. } => write!(f, "`{key}` in `{}`", file.display()),
            Self::Sysctl(name) => write!(f, "sysctl `{name}`"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Toml,
    Json,
    Yaml,
    /// Sections in brackets, `key = value` or `key: value`, comments with `;` or `#`.
    Ini,
    /// `KEY=VALUE`, as `EnvironmentFile=` of systemd and shells read it.
    Env,
}

impl Format {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Ini => "ini",
            Self::Env => "env",
        }
    }
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct BadPlace {
    pub what: &'static str,
    pub text: String,
    pub why: &'static str,
}

fn bad(what: &'static str, text: &str, why: &'static str) -> BadPlace {
    BadPlace {
        what,
        text: crate::words::printable(text, 80),
        why,
    }
}

/// A path of keys: `server.pool.size`. A part that holds a dot is quoted: `hosts."a.example".ttl`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyPath(Vec<String>);

/// Deeper than any configuration worth tuning, and within what every parser here can nest.
const KEY_PARTS_MAX: usize = 16;
/// Longest part of a key.
const KEY_PART_MAX_BYTES: usize = 255;

impl KeyPath {
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// Section and key of an INI file; the section is empty for a key before the first one.
    pub fn ini(&self) -> Option<(&str, &str)> {
        match self.0.as_slice() {
            [key] => Some(("", key)),
            [section, key] => Some((section, key)),
            _ => None,
        }
    }
}

impl FromStr for KeyPath {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let bad = |why| bad("a key", text, why);
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let part;
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted
                    .find('"')
                    .ok_or_else(|| bad("a quote is not closed"))?;
                part = &quoted[..end];
                rest = &quoted[end + 1..];
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                part = &rest[..end];
                rest = &rest[end..];
                if part.contains('"') {
                    return Err(bad("a quote stands within a part"));
                }
            }
            if part.is_empty() || part.len() > KEY_PART_MAX_BYTES {
                return Err(bad("a part is empty or longer than 255 bytes"));
            }
            if part.chars().any(char::is_control) {
                return Err(bad("it holds a control character"));
            }
            parts.push(part.to_owned());
            if parts.len() > KEY_PARTS_MAX {
                return Err(bad("it has more than 16 parts"));
            }
            match rest.strip_prefix('.') {
                Some(more) => rest = more,
                None if rest.is_empty() => return Ok(Self(parts)),
                None => return Err(bad("something follows a quoted part")),
            }
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            if part.contains('.') {
                write!(f, "{dot}\"{part}\"")?;
            } else {
                write!(f, "{dot}{part}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for KeyPath {
    type Error = BadPlace;
    fn try_from(text: String) -> Result<Self, BadPlace> {
        text.parse()
    }
}

impl From<KeyPath> for String {
    fn from(key: KeyPath) -> Self {
        key.to_string()
    }
}

/// A sysctl's dotted name, `vm.swappiness`. Its parts are letters, digits, `_` and `-`, so the
/// path below `/proc/sys` made of it cannot leave that directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SysctlName(String);

/// Longest sysctl name.
const SYSCTL_MAX_BYTES: usize = 128;

/// Sysctls through which the kernel starts a program, loads code, or gives up a protection. To
/// write one of them is to run code as root, and no parameter is a command.
const SYSCTL_FORBIDDEN: &[&str] = &[
    "kernel.core_pattern",
    "kernel.core_pipe_limit",
    "kernel.hotplug",
    "kernel.kexec_load_disabled",
    "kernel.modprobe",
    "kernel.modules_disabled",
    "kernel.perf_event_paranoid",
    "kernel.poweroff_cmd",
    "kernel.kptr_restrict",
    "kernel.dmesg_restrict",
    "kernel.randomize_va_space",
    "kernel.sysrq",
    "kernel.unprivileged_bpf_disabled",
    "kernel.usermodehelper",
    "kernel.yama",
    "fs.binfmt_misc",
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "net.core.bpf_jit_harden",
    "vm.mmap_min_addr",
];

impl SysctlName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below `/proc/sys`.
    pub fn path(&self) -> String {
        self.0.replace('.', "/")
    }
}

impl FromStr for SysctlName {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let bad = |why| bad("a sysctl", text, why);
        if text.len() > SYSCTL_MAX_BYTES {
            return Err(bad("it is longer than 128 characters"));
        }
        let mut parts = 0;
        for part in text.split('.') {
            parts += 1;
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if part.is_empty() || !part.bytes().all(plain) {
                return Err(bad(
                    "expected letters, digits, `_` and `-` between single dots, for example `vm.swappiness`",
                ));
            }
        }
        if parts < 2 {
            return Err(bad(
                "expected at least one dot, for example `vm.swappiness`",
            ));
        }
        let below = |no: &str| text == no || text.starts_with(&format!("{no}."));
        if SYSCTL_FORBIDDEN.iter().any(|no| below(no)) {
            return Err(bad(
                "it starts programs or guards the kernel itself, and is never tuned by a task",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SysctlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for SysctlName {
    type Error = BadPlace;
    fn try_from(text: String) -> Result<Self, BadPlace> {
        text.parse()
    }
}

impl From<SysctlName> for String {
    fn from(name: SysctlName) -> Self {
        name.0
    }
}
