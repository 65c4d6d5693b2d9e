//! Debian's registry: a bundle goes there and comes back the same, and other tools read it.

use super::scene::kwb;
use crate::harness::{Node, Output, command, have, pull, shared};
use keepwell_bundle::SecretKey;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The real registry on loopback, with a folder of its own.
pub(super) struct Real {
    child: Child,
    pub(super) host: String,
    pub(super) folder: TempDir,
}

impl Real {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", config.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let real = Self {
            child,
            host,
            folder,
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(&real.host).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the registry does not listen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        real
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// A verb of `oci`, in the clear to this registry.
    pub(super) fn oci(&self, words: &[&str]) -> Output {
        let more = ["--allow-http", &self.host, "--json"];
        pull(&[&["oci"], words, &more].concat())
    }

    /// Pushes a bundle as `plugins/NAME:VERSION` and gives its reference and digest.
    pub(super) fn push(&self, file: &Path, place: &str) -> (String, String) {
        let reference = format!("{}/{place}", self.host);
        let out = self.oci(&["push", file.to_str().unwrap(), &reference]);
        let digest = out.exits(0).json()["digest"].as_str().unwrap().to_owned();
        (reference, digest)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_pushed_comes_back_byte_for_byte() {
    let _turn = shared();
    if !have("docker-registry") {
        return;
    }
    let real = Real::start();
    let health = crate::harness::bundles().join("health.kwb");
    let (reference, digest) = real.push(&health, "plugins/health:0.1.0");
    let same = |out: &Output| {
        let out = out.exits(0).json();
        let file = out["file"].as_str().unwrap();
        assert_eq!(
            std::fs::read(file).unwrap(),
            std::fs::read(&health).unwrap()
        );
        assert_eq!(out["digest"], digest.as_str());
        std::fs::remove_file(file).unwrap();
    };
    let got = real.text("got");
    same(&real.oci(&["fetch", &reference, "--out", &got]));
    let pinned = format!("{}/plugins/health@{digest}", real.host);
    same(&real.oci(&["fetch", &pinned, "--out", &got]));
    // Twice is the same as once.
    assert_eq!(real.push(&health, "plugins/health:0.1.0").1, digest);

    // The digest is the one in the file, and what other tools see.
    let entries = std::fs::read(&health).unwrap();
    let entries = keepwell_bundle::tar::read(&entries).unwrap();
    let index = entries.iter().find(|e| e.name == "index.json").unwrap();
    let index: serde_json::Value = serde_json::from_slice(index.content).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest.as_str());
    if have("skopeo") {
        let of = format!("docker://{reference}");
        let raw = command(
            "skopeo",
            &["inspect", "--raw", "--tls-verify=false", &of],
            &[],
        );
        let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(raw["artifactType"], "application/vnd.keepwell.bundle.v1");
        let to = format!("oci:{}:x", real.text("copied"));
        command("skopeo", &["copy", "--src-tls-verify=false", &of, &to], &[]);
        let copied = std::fs::read_to_string(real.at("copied/index.json")).unwrap();
        assert!(copied.contains(&digest), "{copied}");
    }
    let absent = format!("{}/plugins/absent:1.0.0", real.host);
    real.oci(&["fetch", &absent, "--out", &got])
        .exits(1)
        .says(&["is not there"]);
    real.oci(&["push", health.to_str().unwrap(), &pinned])
        .exits(2)
        .says(&["tag"]);
    // In the clear only where that is listed.
    pull(&["oci", "fetch", &reference, "--out", &got]).exits(1);
}

/// A copy in another place holds what is needed to verify it, and stands in when the origin is gone.
#[test]
fn a_mirror_holds_everything_and_is_asked_first() {
    let _turn = shared();
    if !have("docker-registry") {
        return;
    }
    let real = Real::start();
    let health = real.at("health.kwb");
    std::fs::copy(crate::harness::bundles().join("health.kwb"), &health).unwrap();
    let key = real.text("site.key");
    crate::harness::keepwell(None, &["bundle", "keygen", &key]).exits(0);
    let endorse = ["bundle", "endorse", health.to_str().unwrap(), "--key", &key];
    crate::harness::keepwell(None, &endorse).exits(0);
    let endorsement = std::fs::read(real.at("health.kwe")).unwrap();
    let (reference, digest) = real.push(&health, "plugins/health:0.1.0");
    let copy = format!("{}/copies/health:0.1.0", real.host);
    let out = real
        .oci(&["mirror", &reference, "--to", &copy])
        .exits(0)
        .json();
    assert_eq!(out["digest"], digest.as_str());
    let medium = format!("dir:{}", real.text("medium"));
    for _ in 0..2 {
        real.oci(&["mirror", &reference, "--to", &medium]).exits(0);
    }
    if have("skopeo") {
        let of = format!("oci:{}:{reference}", real.text("medium"));
        let raw = command("skopeo", &["inspect", "--raw", &of], &[]);
        assert!(raw.contains("vnd.keepwell.bundle"), "{raw}");
    }
    // The origin is nowhere: what is fetched comes from the mirror, pinned by digest or by its name.
    let (host, got) = (real.host.clone(), real.text("got"));
    let gone = format!("registry.invalid/plugins/health@{digest}");
    let to_registry = format!("registry.invalid/plugins={host}/copies");
    let out = real.oci(&["fetch", &gone, "--out", &got, "--mirror", &to_registry]);
    assert_eq!(
        out.exits(0).json()["from"],
        format!("{host}/copies/health@{digest}")
    );
    let to_medium = format!("registry.invalid/plugins={medium}");
    let out = real
        .oci(&["fetch", &gone, "--out", &got, "--mirror", &to_medium])
        .exits(0)
        .json();
    assert_eq!(out["from"], medium.as_str());
    let by_name = format!("{host}/plugins={medium}");
    let out = real
        .oci(&["fetch", &reference, "--out", &got, "--mirror", &by_name])
        .exits(0)
        .json();
    assert_eq!(out["from"], medium.as_str());

    let endorsed = real.at("got/health-0.1.0.kwe");
    assert_eq!(
        std::fs::read(&endorsed).unwrap(),
        endorsement,
        "from the medium"
    );
    std::fs::remove_file(&endorsed).unwrap();
    let of_copy = format!("{host}/copies/health@{digest}");
    real.oci(&["fetch", &of_copy, "--out", &got]).exits(0);
    assert_eq!(
        std::fs::read(&endorsed).unwrap(),
        endorsement,
        "from the copy"
    );

    // A mirror that lies is passed over, and cannot stand in alone.
    for entry in std::fs::read_dir(real.at("medium/blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let out = real.oci(&["fetch", &reference, "--out", &got, "--mirror", &by_name]);
    assert_eq!(out.exits(0).json()["from"], reference.as_str());
    out.says(&["passed over", "does not hash"]);
    let out = real.oci(&["fetch", &gone, "--out", &got, "--mirror", &to_medium]);
    assert_eq!(out.code, 1, "{}", out.err);
}

/// From a registry to a plugin that runs.
#[test]
fn a_plugin_comes_from_a_registry_and_is_upgraded() {
    let node = Node::new(shared());
    if !have("docker-registry") {
        return;
    }
    let real = Real::start();
    let key = SecretKey::generate([9; 32]);
    let publish = |version: &str, release| {
        let file = real.at(&format!("sweep-{version}.kwb"));
        std::fs::write(&file, kwb("sweep", version, release, &[&key])).unwrap();
        real.push(&file, &format!("plugins/sweep:{version}"));
        file
    };
    let first = publish("0.9.0", 1);
    node.configure_more(&format!(
        "[sources.site]\nkind = 'oci'\nurl = '{}/plugins'\nallow-http = ['{}']\n",
        real.host, real.host
    ));
    node.keepwell(&["config", "check"]).exits(0);
    let found = node
        .keepwell(&["plugin", "search", "sweep", "--json"])
        .exits(0)
        .json();
    assert_eq!(found[0]["version"], "0.9.0");
    let file = real.text("came.kwb");
    node.keepwell(&["plugin", "fetch", "sweep", "--out", &file])
        .exits(0);
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(first).unwrap());
    let public = key.public().to_string();
    let trust =
        format!("trust add acme {public} --names sweep --capability metrics --capability state");
    node.keepwell(&trust.split(' ').collect::<Vec<_>>())
        .exits(0);
    node.keepwell(&["plugin", "install", &file]).exits(0);
    publish("0.10.0", 2);
    let newer = node.keepwell(&["plugin", "outdated", "--json"]);
    let newer = newer.exits(0).json();
    assert_eq!(newer[0]["offered"], "0.10.0", "0.10 is newer than 0.9");
    assert_eq!(
        newer.as_array().unwrap().len(),
        1,
        "others are not there: {newer}"
    );
    node.keepwell(&["plugin", "upgrade", "sweep"]).exits(0);
    node.task(
        "quick-check",
        "plugin = 'sweep@0.10.0'\n[grant]\nmetrics = {}\n",
    );
    assert!(node.run("quick-check").0.code <= 3);

    // Under another's tag: what it is counts, not what it is called.
    let other = real.at("other.kwb");
    std::fs::write(&other, kwb("scrub", "0.11.0", 1, &[&key])).unwrap();
    real.push(&other, "plugins/sweep:0.11.0");
    node.keepwell(&["plugin", "upgrade", "sweep"])
        .exits(4)
        .says(&["gave scrub@0.11.0"]);
}
