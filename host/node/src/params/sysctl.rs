//! Sysctls: one small file below `/proc/sys` each. Written in one call, and read back, as the
//! kernel may take a value and mean another.

use crate::at::{look_at, open_beneath, refused};
use keepwell_model::action::EntryKind;
use keepwell_model::param::{Raw, RawKind, SysctlName};
use keepwell_model::words::Refusal;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// Where the kernel shows them.
pub(super) const SYSCTLS: &str = "/proc/sys";
/// A page is all the kernel ever writes for one.
const SYSCTL_MAX_BYTES: u64 = 4096;

/// The value's text, without the newline at its end. A sysctl of several numbers is refused.
pub(super) fn read(at: &Path, name: &SysctlName) -> Result<Raw, Refusal> {
    let file = open(at, name, OFlags::RDONLY)?;
    let mut bytes = Vec::new();
    file.take(SYSCTL_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Refusal::io(format!("cannot read sysctl `{name}`: {e}")))?;
    let odd = |what: &str| Refusal::invalid(format!("sysctl `{name}` {what}"));
    if bytes.len() as u64 > SYSCTL_MAX_BYTES {
        return Err(odd("is longer than a page"));
    }
    let text = String::from_utf8(bytes).map_err(|_| odd("is not text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.contains(char::is_whitespace) {
        return Err(odd("holds several values, and a parameter is one"));
    }
    Ok(Raw {
        kind: RawKind::Bare,
        text: text.to_owned(),
    })
}

/// Writes `spelling` and reads it back. What the kernel made something else of is put back to
/// `old`, and refused.
pub(super) fn write(
    at: &Path,
    name: &SysctlName,
    spelling: &str,
    old: &str,
) -> Result<(), Refusal> {
    put(at, name, spelling)?;
    let now = read(at, name)?;
    if now.text == spelling {
        return Ok(());
    }
    let no = Refusal::invalid(format!(
        "the kernel made `{}` of `{spelling}` in sysctl `{name}`",
        now.text
    ));
    match put(at, name, old) {
        Ok(()) => Err(no.hint("the old value is back; narrow the bounds of the parameter")),
        Err(e) => Err(no.hint(format!("the old value `{old}` could not be put back: {e}"))),
    }
}

fn put(at: &Path, name: &SysctlName, spelling: &str) -> Result<(), Refusal> {
    let mut file = open(at, name, OFlags::WRONLY | OFlags::TRUNC)?;
    // One call: the kernel takes each write as a whole value.
    let line = format!("{spelling}\n");
    let written = file.write(line.as_bytes()).map_err(|e| {
        let code = e.raw_os_error();
        let code = code.map_or(rustix::io::Errno::IO, rustix::io::Errno::from_raw_os_error);
        refused(
            code,
            format!("cannot write `{spelling}` to sysctl `{name}`"),
        )
    })?;
    if written == line.len() {
        Ok(())
    } else {
        Err(Refusal::io(format!(
            "sysctl `{name}` took a part of `{spelling}`"
        )))
    }
}

fn open(at: &Path, name: &SysctlName, flags: OFlags) -> Result<File, Refusal> {
    let cannot = |e| refused(e, format!("cannot open sysctl `{name}`"));
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let dir: OwnedFd =
        rustix::fs::openat2(CWD, at, directory, Mode::empty(), resolve).map_err(cannot)?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let path = name.path();
    let fd = open_beneath(dir.as_fd(), path.as_str(), flags).map_err(cannot)?;
    let facts = look_at(fd.as_fd()).map_err(cannot)?;
    if facts.kind != EntryKind::File {
        return Err(Refusal::invalid(format!(
            "sysctl `{name}` is a group of sysctls"
        )));
    }
    Ok(File::from(fd))
}
