//! Installing a plugin of 2 MiB, compiling one, and a daemon's start with 100 of them.

use super::daemon::{Daemon, scheduled};
use super::setting::Setting;
use super::table::Row;
use super::watch::watch;
use crate::demo::stage::{DONE, Stage};
use crate::error::{Error, Result};
use crate::figures::median;
use crate::places::{Places, write};
use crate::step::{command, expect_success};
use std::path::{Path, PathBuf};
use std::time::Instant;

const LARGE_BYTES: usize = 2 << 20;
const ROUNDS: usize = 20;
const INSTALLED: usize = 100;
/// A name of six letters, so that others of six can be written over it.
const PLUGIN: &str = "health";
const TASK: &str = "plugin = \"health\"\ntask = \"quick-check\"\n\n[grant]\nmetrics = {}\n";

pub(crate) fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("install")?;
    let stage = setting.node(&dir.join("node"), &[], ("quick-check", TASK))?;
    let component = setting.places.components().join(format!("{PLUGIN}.wasm"));
    let component = std::fs::read(&component).map_err(Error::io("read", &component))?;

    let large = padded(&renamed(&component, "large0"), LARGE_BYTES);
    let large = bundle(setting, &stage, &dir, "large0", &large)?;
    let first = watch(&mut install(&stage, &large), &[DONE])?;
    let mut walls = Vec::new();
    for _ in 0..setting.size(ROUNDS, ROUNDS / 4) {
        // The same once more: verified, stored and written down; its machine code is there.
        walls.push(
            watch(&mut install(&stage, &large), &[DONE])?
                .wall
                .as_secs_f64()
                * 1e3,
        );
    }
    let many = setting.size(INSTALLED, INSTALLED / 10);
    for n in 0..many {
        let name = format!("p{n:05}");
        let file = bundle(setting, &stage, &dir, &name, &renamed(&component, &name))?;
        expect_success(&mut install(&stage, &file))?;
        let task = stage.node().join("tasks").join(format!("{name}.toml"));
        write(&task, scheduled(&name, n))?;
    }
    let begun = Instant::now();
    let mut daemon = Daemon::start(&stage)?;
    daemon.is_ready()?;
    let ready = begun.elapsed().as_secs_f64() * 1e3;
    drop(daemon);
    setting.discard(&dir)?;
    Ok(vec![
        Row::below(
            "verify and install 2 MiB, not compiling",
            median(&walls),
            50.0,
            "ms",
        ),
        Row::below("compile at install", first.wall.as_secs_f64(), 2.0, "s"),
        Row::below(
            "its memory, host and compiler",
            first.mebibytes(),
            512.0,
            "MiB",
        ),
        Row::below(
            &format!("daemon ready, {many} more plugins, a task each"),
            ready,
            250.0,
            "ms",
        ),
    ])
}

fn install(stage: &Stage, file: &Path) -> std::process::Command {
    let mut it = stage.command(&["plugin", "install"]);
    it.arg(file);
    it
}

/// The plugin under another name, which is part of its data.
fn renamed(component: &[u8], name: &str) -> Vec<u8> {
    let (from, to) = (PLUGIN.as_bytes(), name.as_bytes());
    let mut bytes = component.to_vec();
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        at += 1;
    }
    bytes
}

/// A section that only readers look at, as long as it takes.
fn padded(component: &[u8], bytes: usize) -> Vec<u8> {
    let mut padded = component.to_vec();
    let content = bytes.saturating_sub(component.len());
    let mut rest = content + 4;
    padded.push(0);
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        padded.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            break;
        }
    }
    padded.extend([3, b'p', b'a', b'd']);
    padded.resize(padded.len() + content, 0x5a);
    padded
}

fn bundle(
    setting: &Setting,
    stage: &Stage,
    dir: &Path,
    name: &str,
    component: &[u8],
) -> Result<PathBuf> {
    let wasm = dir.join(format!("{name}.wasm"));
    write(&wasm, component)?;
    let file = dir.join(format!("{name}.kwb"));
    let mut build = command(stage.keepwell());
    build
        .args(["bundle", "build"])
        .arg(&wasm)
        .args(["--publisher", "bench", "--key"])
        .arg(key(&setting.places))
        .arg("--out")
        .arg(&file);
    expect_success(&mut build)?;
    Ok(file)
}

fn key(places: &Places) -> PathBuf {
    places.publisher_key()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_component_has_the_length_and_its_section_too() {
        let padded = padded(b"\0asm", 1_000);
        assert!((1_000..1_016).contains(&padded.len()), "{}", padded.len());
        assert_eq!(&padded[..5], b"\0asm\0");
        let length = usize::from(padded[5] & 0x7f) | usize::from(padded[6]) << 7;
        assert_eq!(length, padded.len() - 7);
    }

    #[test]
    fn a_name_is_written_over() {
        assert_eq!(
            renamed(b"a health, health-x", "p00001"),
            b"a p00001, p00001-x"
        );
    }
}
