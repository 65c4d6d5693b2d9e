//! The native store from outside: objects go in and come back, other programs read it, and the scrub
//! of a node names what is not whole.

use crate::harness::{Node, Output, checkout, have, keepwell, shared};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Scene {
    folder: TempDir,
}

impl Scene {
    /// A store of small shards, so that some kilobytes are several groups.
    fn new(digest: &str) -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        keepwell(None, &["bundle", "keygen", &scene.text("store.key")]).exits(0);
        let create = [
            "create",
            "store",
            "--scheme",
            "3+2",
            "--shard-bytes",
            "4KiB",
        ];
        let more = ["--digest", digest, "--key", "store.key"];
        let made = scene.store(&[&create[..], &more].concat());
        assert!(made.exits(0).out.contains("any 2 of 5 shards may be lost"));
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// A verb of `store`; words that name something of the scene are taken as such.
    fn store(&self, words: &[&str]) -> Output {
        let ours = |word: &&str| match self.at(word).exists() || ["store", "back"].contains(word) {
            true => self.text(word),
            false => (*word).to_owned(),
        };
        let words: Vec<String> = words.iter().map(ours).collect();
        // The noun, which is the folder's name too.
        keepwell(None, &[&["store".to_owned()], &words[..]].concat())
    }

    fn import(&self, what: &str) -> Output {
        // Not called as the file is, which would be taken for its path.
        let name = format!("the-{what}");
        self.store(&[
            "import",
            "store",
            what,
            "--name",
            &name,
            "--key",
            "store.key",
        ])
    }

    /// All files of shards, in order.
    fn shards(&self) -> Vec<PathBuf> {
        self.files("store/shards")
    }

    fn manifests(&self) -> Vec<PathBuf> {
        self.files("store/groups")
    }

    /// The shards of one of the groups, by their index.
    fn of_group(&self, group: usize) -> Vec<PathBuf> {
        let text = std::fs::read(&self.manifests()[group]).unwrap();
        let signed: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let shards = signed["manifest"]["shards"].as_array().unwrap();
        let names = shards.iter().map(|shard| {
            let digest = shard["digest"].as_str().unwrap();
            let hex = digest.split(':').next_back().unwrap().to_owned();
            self.shards()
                .into_iter()
                .find(|path| path.to_str().unwrap().contains(&hex))
                .unwrap_or_else(|| self.at(&hex))
        });
        names.collect()
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let mut all = vec![];
        let mut folders = vec![self.at(below)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.push(path),
                }
            }
        }
        all.sort();
        all
    }
}

fn some_bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn objects_go_in_and_come_back_with_shards_lost() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), some_bytes(30_000)).unwrap();
    std::fs::create_dir_all(scene.at("tree/below")).unwrap();
    std::fs::write(scene.at("tree/below/a"), some_bytes(5_000)).unwrap();
    std::os::unix::fs::symlink("below/a", scene.at("tree/link")).unwrap();
    assert!(
        scene
            .import("file")
            .exits(0)
            .out
            .contains("as 15 shards in 3 groups")
    );
    scene.import("tree").exits(0);
    let status = scene.store(&["status", "store", "--verify", "--json"]);
    let status = status.exits(0).json();
    assert_eq!(status["objects"].as_array().unwrap().len(), 2);
    assert_eq!(status["objects"][0]["spare"], 2);

    // Two shards of anything may go.
    let shards = scene.shards();
    flip(&shards[0]);
    std::fs::remove_file(&shards[1]).unwrap();
    let status = scene.store(&["status", "store", "--verify"]);
    assert!(
        status
            .exits(3)
            .out
            .contains("in doubt: 1 corrupt, 1 missing"),
        "{}",
        status.out
    );
    // A glance at lengths sees the one that is gone.
    let glance = scene.store(&["status", "store", "--json"]).exits(3).json();
    assert_eq!(glance["shards"]["missing"], 1);
    for name in ["file", "tree"] {
        let back = scene.store(&["export", "store", &format!("the-{name}"), "back", "--json"]);
        assert!([0, 3].contains(&back.code), "{}", back.err);
        match name {
            "file" => assert_eq!(std::fs::read(scene.at("back")).unwrap(), some_bytes(30_000)),
            _ => assert_eq!(
                std::fs::read(scene.at("back/link")).unwrap(),
                some_bytes(5_000)
            ),
        }
        std::fs::rename(scene.at("back"), scene.at(&format!("came-{name}"))).unwrap();
    }

    // With all but two gone there is nothing to be had, and nothing is made up.
    for shard in scene.shards().iter().skip(2) {
        std::fs::remove_file(shard).unwrap();
    }
    scene.store(&["status", "store"]).exits(1);
    let lost = scene.store(&["export", "store", "the-file", "back"]);
    lost.exits(1).says(&["is lost", "good shards"]);
    assert!(!scene.at("back").exists());
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), "content").unwrap();
    scene.import("file").exits(0);
    scene.import("file").exits(2).says(&["already", "--name"]);
    scene
        .store(&["export", "store", "other", "back"])
        .exits(78)
        .says(&["no object"]);
    scene
        .store(&["export", "store", "the-file", "file"])
        .exits(2)
        .says(&["is there already"]);
    scene
        .store(&["create", "store", "--key", "store.key"])
        .exits(2)
        .says(&["not empty"]);
    for (scheme, words) in [("0+2", "K+M"), ("200+1", "K+M"), ("x", "K+M")] {
        let made = scene.store(&["create", "new", "--scheme", scheme, "--key", "store.key"]);
        made.exits(2).says(&[words]);
        assert!(!scene.at("new").exists());
    }
    keepwell(None, &["bundle", "keygen", &scene.text("other.key")]).exits(0);
    let words = [
        "import",
        "store",
        "file",
        "--name",
        "more",
        "--key",
        "other.key",
    ];
    scene.store(&words).exits(4).says(&["signed by nobody"]);
    assert_eq!(scene.shards().len(), 5, "what was not signed is not there");
    // Without its marker it is a disk that is not mounted.
    std::fs::remove_file(scene.at("store/marker")).unwrap();
    scene
        .store(&["status", "store"])
        .exits(78)
        .says(&["marker", "mounted"]);
    scene.import("file").exits(78);
}

/// What there is no room for is not there, and takes none of what is left.
#[test]
fn a_full_disk_ends_an_import_without_a_trace() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    let Some(small) = crate::full_disk::Small::mount(&scene.at("small"), "1m") else {
        return;
    };
    let store = scene.at("small/store");
    let words = ["create", store.to_str().unwrap(), "--key", "store.key"];
    scene.store(&words).exits(0);
    std::fs::write(scene.at("large"), some_bytes(2 << 20)).unwrap();
    let import = |what: &str| {
        let words = [
            "import",
            store.to_str().unwrap(),
            what,
            "--key",
            "store.key",
        ];
        scene.store(&words)
    };
    import("large").exits(1).says(&["No space left"]);
    let status = scene.store(&["status", store.to_str().unwrap(), "--json"]);
    let status = status.exits(0).json();
    assert!(status["extra"].as_array().unwrap().is_empty(), "{status}");
    assert_eq!(std::fs::read_dir(store.join("tmp")).unwrap().count(), 0);
    std::fs::write(scene.at("little"), some_bytes(1_000)).unwrap();
    import("little").exits(0);
    drop(small);
}

/// What was bad is made anew and moved aside; what is lost is said and not touched.
#[test]
fn a_repair_makes_good_what_it_can_and_touches_nothing_else() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), some_bytes(30_000)).unwrap();
    scene.import("file").exits(0);
    let whole = scene.store(&["repair", "store"]);
    assert!(whole.exits(0).out.contains("15 shards, nothing to repair"));
    let all = scene.shards();
    flip(&all[3]);
    let bad = std::fs::read(&all[3]).unwrap();
    std::fs::remove_file(&all[4]).unwrap();

    let dry = scene.store(&["repair", "store", "--dry-run", "--json"]);
    let dry = dry.exits(0).json();
    assert_eq!(
        (&dry["dry-run"], &dry["bad-shards"]),
        (&true.into(), &2.into())
    );
    assert_eq!(
        (scene.shards().len(), std::fs::read(&all[3]).unwrap()),
        (14, bad.clone())
    );
    let done = scene.store(&["repair", "store"]);
    let words = "2 of 2 bad shards made anew, 0 groups lost";
    assert!(done.exits(0).out.contains(words), "{}", done.out);
    assert_eq!(scene.shards(), all);
    scene.store(&["status", "store", "--verify"]).exits(0);
    let aside: Vec<PathBuf> = std::fs::read_dir(scene.at("store/quarantine"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join(all[3].file_name().unwrap()))
        .collect();
    let [aside] = aside.as_slice() else {
        panic!("{aside:?}");
    };
    assert_eq!(std::fs::read(aside).unwrap(), bad);

    // One group is lost, and another is repaired all the same.
    let groups = scene.store(&["status", "store", "--json"]).exits(0).json();
    assert_eq!(groups["objects"][0]["groups"], 3);
    let of = |group: usize| scene.of_group(group);
    for shard in &of(0)[..3] {
        std::fs::remove_file(shard).unwrap();
    }
    flip(&of(1)[0]);
    let left: Vec<Vec<u8>> = of(0)[3..]
        .iter()
        .map(|it| std::fs::read(it).unwrap())
        .collect();
    let done = scene.store(&["repair", "store", "--json"]).exits(1).json();
    let lost = &done["lost"][0];
    assert_eq!((&lost["good"], &lost["needed"]), (&2.into(), &3.into()));
    assert_eq!(done["repaired"].as_array().unwrap().len(), 1);
    let still: Vec<Vec<u8>> = of(0)[3..]
        .iter()
        .map(|it| std::fs::read(it).unwrap())
        .collect();
    assert_eq!(still, left);
}

/// Where so many are bad at once, whatever is written now may be the next.
#[test]
fn an_outbreak_is_repaired_only_when_somebody_says_so() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), some_bytes(12_000 * 10)).unwrap();
    scene.import("file").exits(0);
    assert_eq!(scene.shards().len(), 50);
    for group in 0..9 {
        flip(&scene.of_group(group)[0]);
    }
    let dry = scene.store(&["repair", "store", "--dry-run"]);
    assert!(
        !dry.exits(0).out.contains("to blame"),
        "nine are no outbreak yet"
    );
    flip(&scene.of_group(9)[0]);
    let before = scene.shards();
    scene
        .store(&["repair", "store"])
        .exits(4)
        .says(&["10 of 50 shards are bad", "--outbreak"]);
    assert_eq!(scene.shards(), before);
    assert_eq!(
        std::fs::read_dir(scene.at("store/quarantine"))
            .unwrap()
            .count(),
        0
    );
    let done = scene.store(&["repair", "store", "--outbreak"]);
    assert!(
        done.exits(0).out.contains("10 of 10 bad shards made anew"),
        "{}",
        done.out
    );
    scene.store(&["status", "store", "--verify"]).exits(0);
}

/// A killed import names nothing; what it left is moved aside when somebody asks for that, and never when
/// it may belong to a manifest that is damaged or gone.
#[test]
fn what_no_manifest_names_is_moved_aside_when_it_is_old() {
    let _turn = shared();
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), some_bytes(30_000)).unwrap();
    scene.import("file").exits(0);
    let name = "ab".repeat(32) + ".blake3";
    std::fs::create_dir_all(scene.at("store/shards/ab/ab")).unwrap();
    let unnamed = scene.at("store/shards/ab/ab").join(name);
    std::fs::write(&unnamed, "of a killed import").unwrap();
    let repair = |more: &[&str]| scene.store(&[&["repair", "store"], more].concat());
    repair(&[]).exits(0);
    repair(&["--unnamed"]).exits(0);
    assert!(unnamed.exists(), "an import may be at work");
    let manifest = scene.manifests().remove(0);
    std::fs::rename(&manifest, scene.at("kept")).unwrap();
    repair(&["--unnamed=0s"]).says(&["may be theirs"]);
    assert!(unnamed.exists());
    std::fs::rename(scene.at("kept"), &manifest).unwrap();
    let dry = repair(&["--unnamed=0s", "--dry-run"]);
    assert!(
        dry.exits(0)
            .out
            .contains("1 files that no manifest names would be moved aside")
    );
    assert!(unnamed.exists());
    repair(&["--unnamed=0s"]).exits(0);
    assert!(!unnamed.exists());
    let aside = std::fs::read_dir(scene.at("store/quarantine"))
        .unwrap()
        .next()
        .unwrap();
    let aside = aside.unwrap().path();
    assert!(aside.to_str().unwrap().contains("-extra-"), "{aside:?}");
    scene.store(&["status", "store", "--verify"]).exits(0);
}

/// A reader that knows the documentation alone.
#[test]
fn another_reader_reads_it() {
    let _turn = shared();
    if !have("python3") || !have("openssl") {
        return;
    }
    let scene = Scene::new("sha256");
    std::fs::write(scene.at("file"), some_bytes(30_001)).unwrap();
    scene.import("file").exits(0);
    let read = || {
        let reader = checkout().join("tests/readers/native_store.py");
        let mut python = std::process::Command::new("python3");
        python.arg(reader).arg(scene.at("store")).arg("the-file");
        python.output().unwrap()
    };
    let out = read();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(out.stdout, some_bytes(30_001));
    for shard in scene.shards() {
        flip(&shard);
    }
    assert!(!read().status.success());
}

#[test]
fn the_scrub_of_a_node_reads_it() {
    let node = Node::new(shared());
    let scene = Scene::new("blake3");
    std::fs::write(scene.at("file"), some_bytes(30_000)).unwrap();
    scene.import("file").exits(0);
    node.configure(&[], &[("store", "native", &scene.at("store"))]);
    node.task(
        "shard-verify",
        "plugin = 'scrub'\n[grant]\nshards = { stores = ['store'] }\n",
    );
    let (out, report) = node.run("shard-verify");
    assert_eq!((out.code, report.findings.len()), (0, 0), "{report:#?}");
    let bad = &scene.shards()[3];
    flip(bad);
    let (out, report) = node.run("shard-verify");
    assert_eq!(out.code, 1, "{report:#?}");
    let name = bad.file_name().unwrap().to_str().unwrap();
    assert!(
        report.findings.iter().any(|f| f.subject.contains(name)),
        "{report:#?}"
    );
    // What lies beside the shards is no shard and nothing to wonder about.
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);

    // Its manifests say what must be there, and are themselves what they must be.
    std::fs::remove_file(&scene.shards()[5]).unwrap();
    let manifest = &scene.manifests()[0];
    flip(manifest);
    node.run("shard-verify");
    let told = node.keepwell(&["findings", "--json"]).json().to_string();
    assert!(told.contains("missing"), "{told}");
    let manifest = manifest.file_name().unwrap().to_str().unwrap();
    assert!(told.contains(manifest), "{told}");
    let lost = scene.at("store/marker");
    std::fs::remove_file(lost).unwrap();
    let (out, _) = node.run("shard-verify");
    assert_ne!(out.code, 0);
}
