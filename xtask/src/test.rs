//! `cargo xtask test`: builds what the tests need, runs all of them, then fmt and clippy.

use crate::build;
use crate::error::Result;
use crate::figures::seconds;
use crate::places::{Places, Profile};
use crate::step::{Steps, cargo};
use crate::targets;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Target that plugins are built for, as clippy must see them.
const WASM: &str = "wasm32-unknown-unknown";

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
