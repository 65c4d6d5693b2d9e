//! `cargo xtask test`: builds what the tests need, runs all of them, then fmt and clippy; and
//! `cargo xtask properties`, the same properties with new cases.

use crate::build;
use crate::error::{Error, Result};
use crate::figures::seconds;
use crate::places::{Places, Profile};
use crate::step::{Steps, cargo};
use crate::targets;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Target that plugins are built for, as clippy must see them.
const WASM: &str = "wasm32-unknown-unknown";

/// Where proptest takes its seed from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// One commit has one verdict: what is found by chance is found by `cargo xtask properties`.
const SEED_USUAL: &str = "20261125";

/// Forty times what a property tries in the usual run.
const CASES_USUAL: &str = "10000";

pub(crate) fn run() -> Result<()> {
    let begun = Instant::now();
    let places = Places::find()?;
    let mut steps = Steps::default();
    println!("What the tests need");
    targets::ensure()?;
    let keepwell = build::binary(&places, &mut steps, Profile::Dev)?;
    build::bundles(&places, &mut steps, &keepwell, &places.bundles())?;
    let guests = build::guests(&places, &mut steps, &keepwell)?;

    let checkout = &places.checkout;
    let plugins = checkout.join("plugins");
    for (name, dir, words) in chores(checkout, &plugins) {
        let mut it = cargo();
        it.current_dir(dir).args(words);
        with_paths(&mut it, &keepwell, &places.bundles(), &guests);
        if std::env::var_os(SEED).is_none() {
            it.env(SEED, SEED_USUAL);
        }
        steps.loud(name, &mut it)?;
    }

    println!("\nTime per step");
    steps.summary();
    println!(
        "ok: every test of host, SDK, chores, plugins and guests passed; fmt and clippy are clean ({})",
        seconds(begun.elapsed())
    );
    Ok(())
}

/// `cargo xtask properties`: every property with other cases each time, and many more of them.
pub(crate) fn properties(options: &[&str]) -> Result<()> {
    let cases = match options {
        [] => CASES_USUAL,
        ["--cases", cases] => cases,
        _ => return Err(Error::Usage("properties takes --cases NUMBER".to_owned())),
    };
    if cases.parse::<u32>().is_err() {
        let line = format!("--cases takes a whole number as 100000, not `{cases}`");
        return Err(Error::Usage(line));
    }
    let mut steps = Steps::default();
    let mut it = cargo();
    it.current_dir(Places::find()?.checkout)
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        // What starts processes has no properties, and would only take its time.
        .args(["--exclude", "keepwell-tests", "--exclude", "xtask"])
        .env("PROPTEST_CASES", cases)
        // Some throw away half of what is made up for them.
        .env("PROPTEST_MAX_GLOBAL_REJECTS", u32::MAX.to_string())
        .env_remove(SEED);
    steps.loud("properties", &mut it)
}

type Chore<'a> = (&'static str, &'a Path, &'static [&'static str]);

/// Tests first, then the form. The hostile guests are members of the plugins' workspace.
fn chores<'a>(host: &'a Path, plugins: &'a Path) -> Vec<Chore<'a>> {
    const TEST: &[&str] = &["test", "--locked", "--workspace"];
    const FMT: &[&str] = &["fmt", "--all", "--check"];
    const CLIPPY: &[&str] = &[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    const CLIPPY_WASM: &[&str] = &[
        "clippy",
        "--locked",
        "--workspace",
        "--target",
        WASM,
        "--",
        "-D",
        "warnings",
    ];
    vec![
        ("test the host", host, TEST),
        ("test the plugins and guests", plugins, TEST),
        ("fmt of the host", host, FMT),
        ("fmt of the plugins", plugins, FMT),
        ("clippy of the host", host, CLIPPY),
        ("clippy of the plugins", plugins, CLIPPY),
        ("clippy of the plugins for Wasm", plugins, CLIPPY_WASM),
    ]
}

/// Tests that use the real binary, bundles and guests find them here.
fn with_paths(command: &mut Command, keepwell: &Path, bundles: &Path, guests: &Path) {
    command
        .env("KEEPWELL_BIN", keepwell)
        .env("KEEPWELL_BUNDLES", bundles)
        .env("KEEPWELL_GUESTS", guests);
}
