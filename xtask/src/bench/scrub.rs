//! `shard-verify` over a warm store, against openssl on the same files.

use super::setting::Setting;
use super::table::Row;
use super::watch::{Took, watch};
use crate::demo::blobs::Store;
use crate::demo::stage::DONE;
use crate::error::Result;
use crate::figures::{bytes, median};
use crate::noise::Noise;
use crate::step::{command, typed};
use std::path::Path;

/// 512 × 4 MiB = 2 GiB.
const BLOBS: usize = 512;
const BLOB_BYTES: usize = 4 << 20;
/// Each side in turn, so that what else the machine does hits both.
const ROUNDS: usize = 5;

const TASK: &str = "plugin = \"scrub\"\ntask = \"shard-verify\"\n\n[grant]\nshards = { stores = [\"blobs\"] }\n\n[limits]\nwall = \"10m\"\n";

pub(crate) fn measure(setting: &Setting) -> Result<Vec<Row>> {
    let dir = setting.folder("scrub")?;
    let blobs = dir.join("blobs");
    let total = fill(&blobs, setting.size(BLOBS, BLOBS / 16))?;
    let words = [
        "--store".to_owned(),
        format!("blobs=oci:{}", blobs.display()),
    ];
    let stage = setting.node(&dir.join("node"), &words, ("shard-verify", TASK))?;

    let mut other = other_side(&blobs);
    println!("other side: {}", typed(&other));
    // Once each, so that the page cache is warm and the catalogue written.
    watch(&mut other, &[0])?;
    watch(&mut stage.command(&["run", "shard-verify"]), &[DONE])?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..setting.size(ROUNDS, 2) {
        let mine: Took = watch(&mut stage.command(&["run", "shard-verify"]), &[DONE])?;
        let their = watch(&mut other, &[0])?;
        println!(
            "round {round}: keepwell {:.2} s, openssl {:.2} s",
            mine.wall.as_secs_f64(),
            their.wall.as_secs_f64()
        );
        theirs.push(their.wall.as_secs_f64());
        ours.push(mine);
    }
    let walls: Vec<f64> = ours.iter().map(|took| took.wall.as_secs_f64()).collect();
    let (mine, their) = (median(&walls), median(&theirs));
    let peak = ours.iter().map(Took::mebibytes).fold(0.0, f64::max);
    let rate = |wall: f64| format!("{:.2} GB/s", total as f64 / wall / 1e9);
    setting.discard(&dir)?;
    Ok(vec![
        Row::note(&format!("shard-verify, {}", bytes(total)), rate(mine)),
        Row::note("openssl on the same files", rate(their)),
        Row::at_least("shard-verify / openssl", their / mine, 0.9, "x"),
        Row::below("its memory, host and worker", peak, 64.0, "MiB"),
    ])
}

/// As many processes as cores, eight files each.
fn other_side(blobs: &Path) -> std::process::Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut it = command("sh");
    it.arg("-c").arg(format!(
        "find '{}' -type f -print0 | xargs -0 -P{cores} -n8 openssl dgst -sha256",
        blobs.join("blobs").display()
    ));
    it
}

/// Layers of equal length and different content, one image over them; gives all bytes.
fn fill(dir: &Path, count: usize) -> Result<u64> {
    let mut store = Store::new(dir)?;
    let mut content = Noise::new(5).bytes(BLOB_BYTES);
    let mut layers = Vec::new();
    for number in 0..count as u64 {
        content[..8].copy_from_slice(&number.to_le_bytes());
        layers.push(store.put(&content, "application/vnd.oci.image.layer.v1.tar")?);
    }
    let manifest = store.put_image(0, &layers)?;
    store.finish(dir, &[manifest])?;
    Ok(store.bytes())
}
