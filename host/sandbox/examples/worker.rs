//! The program the tests start: worker, compiler, and deliberately bad workers, by first argument.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let argument = args.next().unwrap_or_default();
    let code = match what.as_str() {
        "worker" => keepwell_sandbox::worker_main(),
        "compile" => keepwell_sandbox::compile_main(),
        "probe" => keepwell_sandbox::worker_main_with_probe(|| probe(&argument)),
        "nonsense" => nonsense(&argument),
        _ => 2,
    };
    ExitCode::from(code)
}

/// What an attacker with native code in the worker would try. Succeeding, or being told no by
/// the kernel, is said on stderr, and the probe then ends the process with a code of its own.
fn probe(what: &str) {
    let outcome = match what {
        "write" => std::fs::write("/tmp/keepwell-probe", "x").map(drop),
        "truncate" => std::fs::File::options()
            .write(true)
            .open("/etc/hostname")
            .map(drop),
        "read-outside" => std::fs::read("/etc/passwd").map(drop),
        "list-outside" => std::fs::read_dir("/").map(drop),
        "connect" => std::net::TcpStream::connect("127.0.0.1:9").map(drop),
        "exec" => exec(),
        "fork" => rustix_fork(),
        "map-code" => map_code(),
        "protect-code" => protect_code(),
        "signal-parent" => signal_parent(),
        "prctl" => {
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)
                .map_err(Into::into)
        }
        "write-code" => rustix::io::write(std::io::stdin(), b"x")
            .map(drop)
            .map_err(Into::into),
        "nothing" => return,
        _ => std::process::exit(3),
    };
    match outcome {
        Ok(()) => std::process::exit(10),
        Err(e) => {
            eprintln!("refused: {e}");
            std::process::exit(11)
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the probe tries to start a process"
)]
fn exec() -> std::io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(std::process::Command::new("/bin/true").exec())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the probe tries to start a process"
)]
fn rustix_fork() -> std::io::Result<()> {
    std::process::Command::new("/bin/true").spawn().map(drop)
}

#[expect(unsafe_code, reason = "the probe tries to make code of its own")]
fn map_code() -> std::io::Result<()> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    // SAFETY: a fresh mapping that nothing else refers to.
    let mapped = unsafe {
        mmap_anonymous(
            std::ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::EXEC,
            MapFlags::PRIVATE,
        )
    };
    mapped.map(drop).map_err(Into::into)
}

#[expect(unsafe_code, reason = "the probe tries to make code of its own")]
fn protect_code() -> std::io::Result<()> {
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
    // SAFETY: a fresh mapping that nothing else refers to.
    unsafe {
        let page = mmap_anonymous(
            std::ptr::null_mut(),
            4096,
            ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?;
        mprotect(page, 4096, MprotectFlags::READ | MprotectFlags::EXEC)?;
    }
    Ok(())
}

fn signal_parent() -> std::io::Result<()> {
    let Some(parent) = rustix::process::getppid() else {
        return Ok(());
    };
    rustix::process::test_kill_process(parent).map_err(Into::into)
}

/// A worker that is not ours any more: it speaks, but not the protocol.
fn nonsense(kind: &str) -> u8 {
    let mut out = std::io::stdout();
    let said = match kind {
        "random" => out.write_all(&[0x5a; 4096]),
        "huge" => out.write_all(&u32::MAX.to_le_bytes()),
        "cut" => out.write_all(&[100, 0, 0, 0, 1, 2, 3]),
        "silent" => Ok(()),
        // `Told::Logged` with an empty line, before any `Ready`.
        "early" => out.write_all(&[4, 0, 0, 0, 0, 1, 1, 0]),
        "hang" => {
            std::thread::sleep(std::time::Duration::from_secs(60));
            Ok(())
        }
        "stderr" => {
            eprintln!("out of cheese");
            Ok(())
        }
        _ => return 2,
    };
    // The host may have hung up already, which is what is being tested.
    let _ = said.and_then(|()| out.flush());
    9
}
