//! Building: the binary by cargo, the plugins and bundles by the binary itself.

use crate::error::{Error, Result};
use crate::places::{Places, Profile, make_dir};
use crate::step::{Steps, cargo, command};
use std::path::{Path, PathBuf};

/// The plugins that come with Keepwell, as their folders are named.
pub(crate) const PLUGINS: [&str; 5] = ["health", "disk", "clean", "scrub", "tune"];

/// The name that bundled plugins are published under.
const PUBLISHER: &str = "keepwell";

/// The release number in the signed payload. Bundles of one checkout replace each other.
const RELEASE: &str = "1";

/// Builds the binary and gives its path.
pub(crate) fn binary(places: &Places, steps: &mut Steps, profile: Profile) -> Result<PathBuf> {
    let mut build = cargo();
    build
        .current_dir(&places.checkout)
        // The features of the whole workspace, so that tests find the same dependencies built.
        .args(["build", "--locked", "--workspace"])
        .args(["--bin", "keepwell", "--bin", "keepwell-pull"]);
    let name = match profile {
        Profile::Dev => "build keepwell (dev profile)",
        Profile::Release => {
            build.arg("--release");
            "build keepwell (release profile)"
        }
    };
    steps.quiet(name, &mut build)?;
    Ok(places.keepwell(profile))
}

/// Builds each plugin into a signed bundle in `folder`, with the publisher's public key beside.
pub(crate) fn bundles(
    places: &Places,
    steps: &mut Steps,
    keepwell: &Path,
    folder: &Path,
) -> Result<()> {
    make_dir(&places.components())?;
    make_dir(folder)?;
    let key = publisher_key(places, steps, keepwell)?;
    for plugin in PLUGINS {
        let component = places.components().join(format!("{plugin}.wasm"));
        let mut build = command(keepwell);
        build
            .args(["plugin", "build"])
            .arg(places.checkout.join("plugins").join(plugin))
            .arg("--out")
            .arg(&component);
        steps.quiet(&format!("build plugin {plugin}"), &mut build)?;
        let mut bundle = command(keepwell);
        bundle
            .args(["bundle", "build"])
            .arg(&component)
            .args(["--publisher", PUBLISHER, "--release", RELEASE, "--key"])
            .arg(&key)
            .arg("--out")
            .arg(folder.join(format!("{plugin}.kwb")));
        steps.quiet(&format!("sign bundle {plugin}"), &mut bundle)?;
    }
    let public = key.with_extension("key.pub");
    let beside = folder.join("publisher.pub");
    std::fs::copy(&public, &beside).map_err(Error::io("copy", &public))?;
    Ok(())
}

/// The hostile guests' component: one that holds a task for each way to misbehave.
pub(crate) fn guests(places: &Places, steps: &mut Steps, keepwell: &Path) -> Result<PathBuf> {
    make_dir(&places.components())?;
    let component = places.components().join("guests.wasm");
    let mut build = command(keepwell);
    build
        .args(["plugin", "build"])
        .arg(places.checkout.join("tests").join("guests"))
        .arg("--out")
        .arg(&component);
    steps.quiet("build the hostile guests", &mut build)?;
    Ok(component)
}

/// Made once per checkout and kept, so that a node that trusts it goes on to.
fn publisher_key(places: &Places, steps: &mut Steps, keepwell: &Path) -> Result<PathBuf> {
    let key = places.publisher_key();
    if !key.is_file() {
        if let Some(parent) = key.parent() {
            make_dir(parent)?;
        }
        let mut make = command(keepwell);
        make.args(["bundle", "keygen"]).arg(&key);
        steps.quiet("make the publisher's key", &mut make)?;
    }
    Ok(key)
}
