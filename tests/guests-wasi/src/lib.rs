//! Built for `wasm32-wasip2`: tasks that try with Rust's own standard library what a program on a
//! node could do. What they come to see is their summary's line.

use keepwell_sdk::prelude::*;
use std::time::Duration;

/// A task without settings, and the one thing it does.
macro_rules! behaviour {
    ($type:ident, $name:literal, $about:literal, $run:expr) => {
        #[derive(Debug, Deserialize)]
        struct $type {}
        impl Task for $type {
            const NAME: &str = $name;
            const ABOUT: &str = $about;
            fn run(self, _: &Request) -> Result<Summary, Failure> {
                let act: fn() -> String = $run;
                Ok(Summary::done(act()))
            }
        }
    };
}

behaviour!(
    SeeFiles,
    "see-files",
    "Reads, lists and makes files",
    || {
        let mut seen = vec![];
        for path in [
            "/",
            ".",
            "..",
            "/etc/passwd",
            "/proc/self/environ",
            "/tmp",
            "",
        ] {
            let found = std::fs::read(path).is_ok()
                || std::fs::read_dir(path).is_ok()
                || std::fs::metadata(path).is_ok()
                || std::fs::symlink_metadata(path).is_ok();
            if found {
                seen.push(path);
            }
        }
        for path in ["/tmp/keepwell-was-here", "keepwell-was-here"] {
            if std::fs::write(path, "x").is_ok() || std::fs::create_dir(path).is_ok() {
                seen.push(path);
            }
        }
        format!("saw {} files {seen:?}", seen.len())
    }
);

behaviour!(
    SeeEnvironment,
    "see-environment",
    "Reads variables, arguments and standard input",
    || {
        let variables: Vec<_> = std::env::vars_os().collect();
        let arguments: Vec<_> = std::env::args_os().collect();
        let directory = std::env::current_dir().is_ok_and(|dir| dir.read_dir().is_ok());
        let mut typed = String::new();
        let read = std::io::stdin().read_line(&mut typed).unwrap_or(0);
        let home = std::env::var("PATH")
            .or_else(|_| std::env::var("HOME"))
            .is_ok();
        let seen = variables.len() + arguments.len() + read;
        format!("saw {seen} things, {directory}, {home}")
    }
);

behaviour!(SleepOn, "sleep-on", "Sleeps for an hour", || {
    std::thread::sleep(Duration::from_secs(3_600));
    "slept".into()
});

behaviour!(PrintOn, "print-on", "Prints without end", || loop {
    println!("and on and on");
});

behaviour!(Exit, "exit", "Says that all is well and goes", || {
    println!("almost done");
    std::process::exit(0)
});

keepwell_sdk::plugin!(
    "hostile-wasi",
    "Looks for more than it was given",
    [SeeFiles, SeeEnvironment, SleepOn, PrintOn, Exit]
);
