//! What an attacker with native code in the worker would try, once the walls stand.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use std::fs::File;
use std::io::Result;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

/// Said by the exit code: it could be done.
const DONE: i32 = 10;
/// The kernel refused; what it said is on stderr.
const REFUSED: i32 = 11;
/// The probe itself was not understood.
const UNKNOWN: i32 = 3;

/// Tries `what` and ends the process; does nothing, and lets the guest run, for `nothing`.
pub(crate) fn probe(what: &str, rest: &[String]) {
    let first = rest.first().map_or("", String::as_str);
    let path = Path::new(first);
    let outcome = match what {
        "nothing" => return,
        "call" => call(rest),
        // By the library's own ways.
        "create" => File::create(path).map(drop),
        "overwrite" => File::options().write(true).open(path).map(drop),
        "append" => File::options().append(true).open(path).map(drop),
        "make-directory" => std::fs::create_dir(path),
        "remove" => std::fs::remove_file(path),
        "rename" => std::fs::rename(path, path.with_extension("moved")),
        "link" => std::fs::hard_link(path, path.with_extension("linked")),
        "symlink" => std::os::unix::fs::symlink("/etc", path.with_extension("led")),
        "age" => rustix::fs::utimensat(CWD, path, &NO_TIME, rustix::fs::AtFlags::empty())
            .map_err(Into::into),
        "mode" => {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        }
        "read" => std::fs::read(path).map(drop),
        "list" => std::fs::read_dir(path).map(drop),
        "connect" => std::net::TcpStream::connect("127.0.0.1:9").map(drop),
        "send" => std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        "listen" => std::net::TcpListener::bind("127.0.0.1:0").map(drop),
        "connect-local" => UnixStream::connect(path).map(drop),
        "connect-abstract" => SocketAddr::from_abstract_name(first)
            .and_then(|address| UnixStream::connect_addr(&address))
            .map(drop),
        "exec" => exec(),
        "spawn" => spawn(),
        "signal-parent" => signal_parent(),
        // By openat2(2), whose flags no filter sees: only Landlock stands in the way.
        "hidden-create" => open_hidden(path, OFlags::CREATE | OFlags::WRONLY),
        "hidden-overwrite" => open_hidden(path, OFlags::WRONLY),
        "hidden-truncate" => open_hidden(path, OFlags::TRUNC),
        "hidden-unnamed" => open_hidden(path, OFlags::TMPFILE | OFlags::RDWR),
        "hidden-read" => open_hidden(path, OFlags::empty()),
        // Memory.
        "map-code" => map(ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE),
        "map-shared" => map(ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        "map-own-code" => map_stdin(),
        "protect-code" => protect_code(),
        "hoard" => hoard(),
        // What it was started with.
        "descriptors" => descriptors(first),
        "environment" => match std::env::vars_os().next() {
            Some(_) => Ok(()),
            None => Err(std::io::Error::other("the environment is empty")),
        },
        "limits" => limits(),
        _ => std::process::exit(UNKNOWN),
    };
    match outcome {
        Ok(()) => std::process::exit(DONE),
        Err(e) => {
            eprintln!("refused: {e}");
            std::process::exit(REFUSED)
        }
    }
}

const NO_TIME: rustix::fs::Timestamps = {
    let zero = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::fs::Timestamps {
        last_access: zero,
        last_modification: zero,
    }
};

/// A bare system call: its number, then its arguments, all in decimal.
#[expect(
    unsafe_code,
    reason = "the probe makes calls that no safe wrapper offers"
)]
fn call(numbers: &[String]) -> Result<()> {
    let mut args = [0; 7];
    for (arg, number) in args.iter_mut().zip(numbers) {
        *arg = number
            .parse()
            .unwrap_or_else(|_| std::process::exit(UNKNOWN));
    }
    let [number, a, b, c, d, e, f] = args;
    // SAFETY: no address is handed in that this process uses, and it ends right after.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the probe tries to become another program"
)]
fn exec() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(std::process::Command::new("/bin/true").exec())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the probe tries to start a process"
)]
fn spawn() -> Result<()> {
    std::process::Command::new("/bin/true").spawn().map(drop)
}

fn signal_parent() -> Result<()> {
    let Some(parent) = rustix::process::getppid() else {
        return Ok(());
    };
    rustix::process::test_kill_process(parent).map_err(Into::into)
}

fn open_hidden(path: &Path, flags: OFlags) -> Result<()> {
    let mode = if flags.intersects(OFlags::CREATE | OFlags::TMPFILE) {
        Mode::RUSR
    } else {
        Mode::empty()
    };
    rustix::fs::openat2(CWD, path, flags, mode, ResolveFlags::empty())
        .map(drop)
        .map_err(Into::into)
}

const PAGE: usize = 4096;

#[expect(unsafe_code, reason = "the probe tries to make code of its own")]
fn map(protection: ProtFlags, flags: MapFlags) -> Result<()> {
    // SAFETY: a fresh mapping that nothing else refers to.
    let mapped =
        unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), PAGE, protection, flags) };
    mapped.map(drop).map_err(Into::into)
}

/// The machine code it was started with, writable without write(2).
#[expect(
    unsafe_code,
    reason = "the probe tries to change the code it came from"
)]
fn map_stdin() -> Result<()> {
    let (protection, flags) = (ProtFlags::WRITE, MapFlags::SHARED);
    let stdin = std::io::stdin();
    // SAFETY: a fresh mapping that nothing else refers to.
    let mapped =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, protection, flags, stdin, 0) };
    mapped.map(drop).map_err(Into::into)
}

#[expect(unsafe_code, reason = "the probe tries to make code of its own")]
fn protect_code() -> Result<()> {
    // SAFETY: a fresh mapping that nothing else refers to.
    unsafe {
        let page = rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            PAGE,
            ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?;
        rustix::mm::mprotect(page, PAGE, MprotectFlags::READ | MprotectFlags::EXEC)?;
    }
    Ok(())
}

/// Maps memory until it gets no more; far more than it may have is what it must not get.
#[expect(unsafe_code, reason = "the probe takes memory from the kernel itself")]
fn hoard() -> Result<()> {
    const STEP: usize = 16 << 20;
    const FAR_TOO_MUCH: usize = 1 << 30;
    for _ in 0..FAR_TOO_MUCH / STEP {
        // SAFETY: a fresh mapping that nothing else refers to.
        unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                STEP,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
    }
    Ok(())
}

/// Whether any descriptor of this process is the file `DEVICE:INODE`.
#[expect(
    unsafe_code,
    reason = "the probe looks at descriptors that nobody owns"
)]
fn descriptors(sought: &str) -> Result<()> {
    const MOST: i32 = 65_536;
    for fd in 3..MOST {
        // SAFETY: only looked at, and a number that is not open is an error.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        if let Ok(stat) = rustix::fs::fstat(fd)
            && format!("{}:{}", stat.st_dev, stat.st_ino) == sought
        {
            return Ok(());
        }
    }
    Err(std::io::Error::other("no descriptor leads there"))
}

/// Whether any of the process's own bounds is higher than it should be.
fn limits() -> Result<()> {
    use rustix::process::{Resource, getrlimit};
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 4_096),
        (Resource::Data, 1 << 30),
    ] {
        let now = getrlimit(resource);
        if now.current.is_none_or(|n| n > most) || now.maximum.is_none_or(|n| n > most) {
            return Ok(());
        }
    }
    Err(std::io::Error::other("all bounds are set"))
}
