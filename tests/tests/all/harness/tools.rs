//! Other programs: used when they are there, missed aloud when they are not.

use std::path::Path;
use std::process::Command;

/// Whether this runs where everything must be there.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Whether `name` can be started. If not, the test is skipped visibly on a person's machine and
/// fails where `CI=true`.
pub(crate) fn have(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    assert!(there || !in_ci(), "`{name}` is not installed, and CI=true");
    if !there {
        eprintln!("SKIPPED: `{name}` is not installed");
    }
    there
}

/// Whether a tool that `.ci/run` installs lies there. As [`have`], if not.
pub(crate) fn have_at(path: &Path) -> bool {
    let there = path.exists();
    let path = path.display();
    assert!(there || !in_ci(), "{path} is not there, and CI=true");
    if !there {
        eprintln!("SKIPPED: {path} is not there; `.ci/run` says how it comes there");
    }
    there
}

/// Runs `name` to its end; it must succeed.
pub(crate) fn command(name: &str, args: &[&str], set: &[(&str, &str)]) -> String {
    let mut command = Command::new(name);
    command.args(args).envs(set.iter().copied());
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{name} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}
