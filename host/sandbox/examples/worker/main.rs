//! The program the tests start: worker, compiler, and deliberately bad workers, by first argument.

mod probe;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let argument = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let code = match what.as_str() {
        "worker" => keepwell_sandbox::worker_main(),
        "compile" => keepwell_sandbox::compile_main(),
        "probe" => keepwell_sandbox::worker_main_with_probe(|| probe::probe(&argument, &rest)),
        "nonsense" => nonsense(&argument),
        _ => 2,
    };
    ExitCode::from(code)
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
