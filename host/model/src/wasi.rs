//! The part of WASI that a component may import where its manifest says `wasi`: nothing of it
//! reads or changes the node. Toolchains of other languages bring it along unasked.

use crate::manifest::parse_version;

/// The package names that WASI has.
const NAMESPACE: &str = "wasi:";
/// Components ask for any patch of it: WASI 0.2 only grows, and what has grown beyond
/// [`FUNCTIONS`] is refused by its name.
const MAJOR_MINOR: (u64, u64) = (0, 2);

/// Whether an imported name is one of WASI's at all.
pub fn is_wasi(import: &str) -> bool {
    import.starts_with(NAMESPACE)
}

/// The functions of an inert interface (`wasi:cli/stdout@0.2.9`), as a scan of a component names
/// them; `None` for any other.
pub fn functions(import: &str) -> Option<&'static [&'static str]> {
    let (name, version) = import.strip_prefix(NAMESPACE)?.split_once('@')?;
    let (major, minor, _) = parse_version(version)?;
    if (major, minor) != MAJOR_MINOR {
        return None;
    }
    let known = FUNCTIONS.iter().find(|(inert, _)| *inert == name)?;
    Some(known.1)
}

/// Every inert interface and what it holds. The sandbox links exactly this, a test there says.
///
/// `filesystem` is among them because the standard libraries of Rust, C and JavaScript import it
/// whether they use it or not, and because it is empty by itself: a file can only be reached from a
/// directory that the host handed over at the start, and the host hands over none.
pub const FUNCTIONS: &[(&str, &[&str])] = &[
    ("io/error", &["[method]error.to-debug-string"]),
    (
        "io/poll",
        &["[method]pollable.ready", "[method]pollable.block", "poll"],
    ),
    (
        "io/streams",
        &[
            "[method]input-stream.read",
            "[method]input-stream.blocking-read",
            "[method]input-stream.skip",
            "[method]input-stream.blocking-skip",
            "[method]input-stream.subscribe",
            "[method]output-stream.check-write",
            "[method]output-stream.write",
            "[method]output-stream.blocking-write-and-flush",
            "[method]output-stream.flush",
            "[method]output-stream.blocking-flush",
            "[method]output-stream.subscribe",
            "[method]output-stream.write-zeroes",
            "[method]output-stream.blocking-write-zeroes-and-flush",
            "[method]output-stream.splice",
            "[method]output-stream.blocking-splice",
        ],
    ),
    (
        "cli/environment",
        &["get-environment", "get-arguments", "initial-cwd"],
    ),
    ("cli/exit", &["exit", "exit-with-code"]),
    ("cli/stdin", &["get-stdin"]),
    ("cli/stdout", &["get-stdout"]),
    ("cli/stderr", &["get-stderr"]),
    ("cli/terminal-input", &[]),
    ("cli/terminal-output", &[]),
    ("cli/terminal-stdin", &["get-terminal-stdin"]),
    ("cli/terminal-stdout", &["get-terminal-stdout"]),
    ("cli/terminal-stderr", &["get-terminal-stderr"]),
    (
        "clocks/monotonic-clock",
        &[
            "now",
            "resolution",
            "subscribe-instant",
            "subscribe-duration",
        ],
    ),
    ("clocks/wall-clock", &["now", "resolution"]),
    ("random/random", &["get-random-bytes", "get-random-u64"]),
    (
        "random/insecure",
        &["get-insecure-random-bytes", "get-insecure-random-u64"],
    ),
    ("random/insecure-seed", &["insecure-seed"]),
    (
        "filesystem/types",
        &[
            "[method]descriptor.read-via-stream",
            "[method]descriptor.write-via-stream",
            "[method]descriptor.append-via-stream",
            "[method]descriptor.advise",
            "[method]descriptor.sync-data",
            "[method]descriptor.get-flags",
            "[method]descriptor.get-type",
            "[method]descriptor.set-size",
            "[method]descriptor.set-times",
            "[method]descriptor.read",
            "[method]descriptor.write",
            "[method]descriptor.read-directory",
            "[method]descriptor.sync",
            "[method]descriptor.create-directory-at",
            "[method]descriptor.stat",
            "[method]descriptor.stat-at",
            "[method]descriptor.set-times-at",
            "[method]descriptor.link-at",
            "[method]descriptor.open-at",
            "[method]descriptor.readlink-at",
            "[method]descriptor.remove-directory-at",
            "[method]descriptor.rename-at",
            "[method]descriptor.symlink-at",
            "[method]descriptor.unlink-file-at",
            "[method]descriptor.is-same-object",
            "[method]descriptor.metadata-hash",
            "[method]descriptor.metadata-hash-at",
            "[method]directory-entry-stream.read-directory-entry",
            "filesystem-error-code",
        ],
    ),
    ("filesystem/preopens", &["get-directories"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_patch_of_one_minor_version_and_nothing_else() {
        for good in ["wasi:cli/stdout@0.2.0", "wasi:cli/stdout@0.2.99"] {
            assert_eq!(functions(good).unwrap(), ["get-stdout"], "{good}");
        }
        for other in [
            "wasi:cli/stdout",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@1.2.0",
            "wasi:cli/stdout@0.2.0-rc-2023-11-10",
            "wasi:cli/run@0.2.0",
            "wasi:clocks/timezone@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:sockets/tcp@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "wasix:cli/stdout@0.2.0",
            "WASI:cli/stdout@0.2.0",
        ] {
            assert!(functions(other).is_none(), "{other}");
        }
    }
}
