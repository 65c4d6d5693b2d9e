//! Repositories that lie: each attack of The Update Framework's list, and the known failures of
//! other clients, against the real puller.

use super::forged::{digest, ending};
use super::scene::Scene;
use crate::harness::shared;
use std::path::Path;
use std::time::Duration;

/// Refused as an older state, with what was known before still known.
#[track_caller]
fn rolled_back(scene: &Scene) {
    scene.look().exits(4).says(&["is refused", "older state"]);
}

#[test]
fn a_repository_that_is_put_back_is_refused_by_every_later_process() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.keep("old");
    scene.add("sweep", "1.1.0", 2);
    scene.keep("new");
    scene.look().exits(0);
    scene.put_back("old");
    rolled_back(&scene);
    rolled_back(&scene);
    scene.fetch("sweep").exits(4);
    assert!(!scene.at("got").join("sweep-1.0.0.kwb").exists());
    scene.put_back("new");
    scene.look().exits(0);
}

#[test]
fn a_frozen_repository_is_refused_when_its_time_is_over() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene
        .repo(
            &["refresh", "plugins"],
            &["root", "online"],
            &["--fresh", "2s"],
        )
        .exits(0);
    scene.look().exits(0);
    std::thread::sleep(Duration::from_millis(2_100));
    scene.look().exits(4).says(&["xpired", "refresh"]);
    scene
        .repo(&["refresh", "plugins"], &["online"], &[])
        .exits(0);
    scene.look().exits(0);
}

/// Files of two states of the repository, all of them signed.
#[test]
fn a_mix_of_two_states_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.add("sweep", "1.1.0", 2);
    scene.keep("whole");
    for (old, new) in [
        ("2.targets.json", "3.targets.json"),
        ("2.snapshot.json", "3.snapshot.json"),
    ] {
        std::fs::copy(scene.metadata(old), scene.metadata(new)).unwrap();
        let out = scene.look();
        // Shorter than listed, or as long with another hash.
        assert!([4, 5].contains(&out.code), "{new}: {}", out.err);
        scene.put_back("whole");
    }
    scene.look().exits(0);
}

/// CVE-2025-2885: a root that is not exactly the next one.
#[test]
fn a_root_that_skips_a_version_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    for version in [3_u64, 1, 1 << 40] {
        let mut root = scene.role("1.root.json");
        root["signed"]["version"] = version.into();
        scene.forge("2.root.json", root, &["root"]);
        scene.look().exits(4).says(&["is refused"]);
    }
    let mut root = scene.role("1.root.json");
    root["signed"]["version"] = 2.into();
    scene.forge("2.root.json", root, &["root"]);
    scene.look().exits(0);
}

/// CVE-2020-15093: a threshold counts keys, not signatures.
#[test]
fn one_key_that_signs_twice_is_one_key() {
    let _turn = shared();
    let scene = Scene::new();
    scene.key("second");
    let rotate = ["rotate", "plugins", "--threshold", "2"];
    let both = [
        "--key",
        "second.key",
        "--old-key",
        "root.key",
        "--online-key",
        "online.key",
    ];
    scene.repo(&rotate, &["root"], &both).exits(0);
    std::fs::copy(scene.metadata("2.root.json"), scene.at("root.json")).unwrap();
    scene.look().exits(0);
    let next = || {
        let mut root = scene.role("2.root.json");
        root["signed"]["version"] = 3.into();
        root
    };
    for keys in [&["root"][..], &["root", "root"], &["root", "acme"]] {
        scene.forge("3.root.json", next(), keys);
        scene.look().exits(4).says(&["is refused"]);
    }
    scene.forge("3.root.json", next(), &["root", "second"]);
    scene.look().exits(0);
}

/// CVE-2025-2886: the first delegation of a name ends the search when it says so, also where it
/// does not list the name.
#[test]
fn a_terminating_delegation_terminates() {
    let _turn = shared();
    let scene = Scene::new();
    scene.delegate();
    scene.key("thief");
    // A second role for the same names, with a plugin that the first one does not list.
    let mut theirs = scene.role("1.acme.json");
    let targets = theirs["signed"]["targets"].as_object_mut().unwrap();
    let mut target = targets.remove("acme-sweep@1.0.0.kwb").unwrap();
    target["custom"]["keepwell"]["version"] = "9.0.0".into();
    targets.insert("acme-sweep@9.0.0.kwb".to_owned(), target);
    let with_second = |terminating: bool| {
        scene.forge_targets(|targets| {
            let public = scene.public("thief");
            let raw =
                data_encoding::BASE64.decode(public.trim_start_matches("ed25519:").as_bytes());
            let key = serde_json::json!({ "keytype": "ed25519", "scheme": "ed25519",
                "keyval": { "public": data_encoding::HEXLOWER.encode(&raw.unwrap()) } });
            let id = digest(&super::forged::canonical(&key));
            let delegations = &mut targets["delegations"];
            delegations["keys"][&id] = key;
            delegations["roles"][0]["terminating"] = terminating.into();
            let second = serde_json::json!({ "name": "thief", "keyids": [id], "threshold": 1,
                "paths": ["acme-*@*.kwb"], "terminating": true });
            let roles = delegations["roles"].as_array_mut().unwrap();
            roles.truncate(1);
            roles.push(second);
        });
    };
    with_second(true);
    scene.forge_delegated("thief", 7, "thief", |signed| {
        signed["targets"] = theirs["signed"]["targets"].clone();
    });
    assert_eq!(scene.offered(), ["acme-sweep@1.0.0"]);
    scene
        .fetch("acme-sweep@9.0.0")
        .exits(1)
        .says(&["does not offer"]);
    // Were the first one not to terminate, the second would be heard.
    with_second(false);
    assert_eq!(scene.offered(), ["acme-sweep@9.0.0", "acme-sweep@1.0.0"]);
}

/// The publisher's key is stolen: it still signs nothing but the publisher's names.
#[test]
fn a_list_with_a_name_outside_of_its_delegation_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.delegate();
    scene.look().exits(0);
    scene.forge_delegated("acme", 2, "acme", |signed| {
        let target = signed["targets"]["acme-sweep@1.0.0.kwb"].clone();
        signed["targets"]["sweep@9.0.0.kwb"] = target;
    });
    scene.look().exits(4).says(&["is refused"]);
    scene.fetch("sweep").exits(4);
}

/// CVE-2022-29173 and CVE-2025-2887: a new snapshot that names an older list, of the owner or of a
/// publisher, or none at all any more.
#[test]
fn a_role_that_is_rolled_back_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.delegate();
    let newer = scene.bundle("acme-sweep", "1.1.0", 2);
    let offer = [
        "offer",
        "outgoing",
        newer.to_str().unwrap(),
        "--publisher",
        "acme",
    ];
    scene.repo(&offer, &["acme"], &[]).exits(0);
    let accept = [
        "accept",
        "plugins",
        "--publisher",
        "acme",
        "--from",
        "outgoing",
    ];
    scene.repo(&accept, &["online"], &[]).exits(0);
    scene.add("sweep", "1.0.0", 1);
    scene.look().exits(0);
    scene.keep("whole");
    for (role, old) in [
        ("acme.json", "1.acme.json"),
        ("targets.json", "2.targets.json"),
    ] {
        let mut timestamp = scene.role("timestamp.json");
        let version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
            .as_u64()
            .unwrap();
        let mut snapshot = scene.role(&format!("{version}.snapshot.json"));
        let bytes = std::fs::read(scene.metadata(old)).unwrap();
        snapshot["signed"]["meta"][role] = serde_json::json!({
            "version": old.split('.').next().unwrap().parse::<u64>().unwrap(),
            "length": bytes.len(), "hashes": { "sha256": digest(&bytes) },
        });
        scene.forge_online(&mut timestamp, snapshot, version + 1);
        rolled_back(&scene);
        scene.put_back("whole");
    }
    let mut timestamp = scene.role("timestamp.json");
    let version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
        .as_u64()
        .unwrap();
    let mut snapshot = scene.role(&format!("{version}.snapshot.json"));
    snapshot["signed"]["meta"]
        .as_object_mut()
        .unwrap()
        .remove("acme.json");
    scene.forge_online(&mut timestamp, snapshot, version + 1);
    rolled_back(&scene);
    scene.put_back("whole");
    scene.look().exits(0);
}

/// CVE-2025-2888: what was refused is not remembered.
#[test]
fn a_refused_timestamp_does_not_count_later() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.look().exits(0);
    scene.keep("whole");
    // A timestamp far ahead, over a snapshot that is not there.
    let mut timestamp = scene.role("timestamp.json");
    timestamp["signed"]["version"] = 1_000_000.into();
    timestamp["signed"]["meta"]["snapshot.json"]["version"] = 1_000_000.into();
    scene.forge("timestamp.json", timestamp, &["online"]);
    assert_ne!(scene.look().code, 0);
    scene.put_back("whole");
    scene
        .repo(&["refresh", "plugins"], &["online"], &[])
        .exits(0);
    scene.look().exits(0);
}

/// Who has the online key drives the versions up, so that nobody believes the owner any more. New
/// keys, and only they, put that right; and afterwards going back is refused as before.
#[test]
fn a_fast_forward_holds_until_the_keys_are_replaced() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.keep("honest");
    let mut timestamp = scene.role("timestamp.json");
    let version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
        .as_u64()
        .unwrap();
    let snapshot = scene.role(&format!("{version}.snapshot.json"));
    timestamp["signed"]["version"] = (1_u64 << 40).into();
    scene.forge_online(&mut timestamp, snapshot, 1 << 40);
    scene.look().exits(0);
    scene.put_back("honest");
    scene
        .repo(&["refresh", "plugins"], &["online"], &[])
        .exits(0);
    rolled_back(&scene);
    scene.key("online-2");
    let rotate = ["rotate", "plugins", "--old-key", "root.key"];
    scene
        .repo(&rotate, &["root"], &["--online-key", "online-2.key"])
        .exits(0);
    scene.look().exits(0);
    // The root that was pinned is still the first one: the new keys must not be "new" each time.
    scene.keep("rotated");
    let file = scene.bundle("sweep", "1.1.0", 2);
    let add = ["add", "plugins", file.to_str().unwrap()];
    scene.repo(&add, &["root", "online-2"], &[]).exits(0);
    scene.look().exits(0);
    scene.put_back("rotated");
    rolled_back(&scene);
    // Nor is the old key heard again when the new root is kept back.
    scene.put_back("honest");
    scene
        .repo(&["refresh", "plugins"], &["online"], &[])
        .exits(0);
    scene.look().exits(4);
}

#[test]
fn a_file_that_is_not_the_listed_one_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let file = ending(&scene.at("plugins/targets"), "sweep@1.0.0.kwb");
    let whole = std::fs::read(&file).unwrap();
    let mut other = whole.clone();
    other[700] ^= 1;
    std::fs::write(&file, &other).unwrap();
    scene
        .fetch("sweep")
        .exits(4)
        .says(&["not the one that its list names"]);
    std::fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    scene.fetch("sweep").exits(5);
    std::fs::write(&file, &whole[..whole.len() - 512]).unwrap();
    scene.fetch("sweep").exits(4);
    let huge = std::fs::File::create(&file).unwrap();
    huge.set_len(1 << 40).unwrap();
    let out = scene.fetch("sweep");
    assert!(out.exits(5).peak_bytes < 128 << 20, "{}", out.peak_bytes);
    assert!(
        std::fs::read_dir(scene.at("got")).unwrap().next().is_none(),
        "something was written"
    );
    std::fs::write(&file, &whole).unwrap();
    scene.fetch("sweep").exits(0);
}

/// The owner's key is stolen: a bundle under another's name and version.
#[test]
fn a_bundle_that_is_another_than_offered_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.forge_targets(|targets| {
        let mut target = targets["targets"]["sweep@1.0.0.kwb"].take();
        let mut renamed = target.clone();
        renamed["custom"]["keepwell"]["plugin"] = "scrub".into();
        targets["targets"]["scrub@1.0.0.kwb"] = renamed;
        // Named in another way than it says of itself: not offered at all.
        target["custom"]["keepwell"]["version"] = "1.0.1".into();
        targets["targets"] = serde_json::json!({
            "scrub@1.0.0.kwb": targets["targets"]["scrub@1.0.0.kwb"], "sweep@1.0.0.kwb": target,
        });
    });
    let sweep = ending(&scene.at("plugins/targets"), "sweep@1.0.0.kwb");
    let scrub = sweep.to_str().unwrap().replace("sweep@", "scrub@");
    std::fs::copy(&sweep, scrub).unwrap();
    let out = scene.look();
    out.exits(0).says(&["1 files are left out"]);
    assert_eq!(scene.offered(), ["scrub@1.0.0"]);
    scene
        .fetch("scrub")
        .exits(4)
        .says(&["the file is sweep@1.0.0.kwb"]);
    scene.fetch("sweep").exits(1).says(&["does not offer"]);
}

/// Endless, enormous and waiting files.
#[test]
fn a_repository_cannot_fill_memory_or_make_one_wait() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.keep("whole");
    for name in [
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
        "2.root.json",
    ] {
        std::fs::File::create(scene.metadata(name))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        let out = scene.look();
        assert!(
            [4, 5].contains(&out.code),
            "{name}: {} {}",
            out.code,
            out.err
        );
        assert!(out.peak_bytes < 64 << 20, "{name}: {}", out.peak_bytes);
        scene.put_back("whole");
    }
    std::fs::remove_file(scene.metadata("timestamp.json")).unwrap();
    crate::harness::command(
        "mkfifo",
        &[scene.metadata("timestamp.json").to_str().unwrap()],
        &[],
    );
    let out = scene.look();
    out.exits(1).says(&["it is no file"]);
    assert!(out.took < Duration::from_secs(10), "{:?}", out.took);
    scene.put_back("whole");
    scene.look().exits(0);
}

/// More lists than a look asks for, each of them small and signed.
#[test]
fn a_repository_of_too_many_lists_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.delegate();
    let theirs = std::fs::read(scene.metadata("1.acme.json")).unwrap();
    let roles = 600;
    scene.forge_targets(|targets| {
        let all = targets["delegations"]["roles"].as_array_mut().unwrap();
        for n in 0..roles {
            let mut role = all[0].clone();
            role["name"] = format!("r{n}").into();
            all.push(role);
        }
    });
    let mut timestamp = scene.role("timestamp.json");
    let version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
        .as_u64()
        .unwrap();
    let mut snapshot = scene.role(&format!("{version}.snapshot.json"));
    for n in 0..roles {
        std::fs::write(scene.metadata(&format!("1.r{n}.json")), &theirs).unwrap();
        let meta = serde_json::json!({ "version": 1, "length": theirs.len(), "hashes": { "sha256": digest(&theirs) } });
        snapshot["signed"]["meta"][format!("r{n}.json")] = meta;
    }
    scene.forge_online(&mut timestamp, snapshot, version + 1);
    scene.look().exits(5).says(&["more than 512 files"]);
}

/// The name of a role becomes a name of a file.
#[test]
fn the_name_of_a_role_leads_nowhere_else() {
    let _turn = shared();
    let scene = Scene::new();
    scene.delegate();
    let theirs = std::fs::read(scene.metadata("1.acme.json")).unwrap();
    std::fs::create_dir(scene.metadata("1.")).unwrap();
    std::fs::write(scene.at("secret.json"), &theirs).unwrap();
    let name = "/../../../secret";
    scene.forge_targets(|targets| targets["delegations"]["roles"][0]["name"] = name.into());
    let mut timestamp = scene.role("timestamp.json");
    let version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
        .as_u64()
        .unwrap();
    let mut snapshot = scene.role(&format!("{version}.snapshot.json"));
    let meta = snapshot["signed"]["meta"]["acme.json"].clone();
    snapshot["signed"]["meta"][format!("{name}.json")] = meta;
    scene.forge_online(&mut timestamp, snapshot, version + 1);
    let out = scene.look();
    assert_ne!(out.code, 0, "{}", out.out);
    out.says(&["out of the repository"]);
    let written: Vec<_> = std::fs::read_dir(scene.at("known/next")).unwrap().collect();
    assert!(written.len() < 8, "{written:?}");
}

/// A clock set back would make what has expired good again.
#[test]
fn a_clock_that_is_behind_what_was_seen_is_refused() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.look().exits(0);
    let seen = scene.at("known/now/latest_known_time.json");
    let now = std::fs::read(&seen).unwrap();
    std::fs::write(&seen, "\"2100-01-01T00:00:00Z\"").unwrap();
    scene.look().exits(4).says(&["clock is behind"]);
    std::fs::write(&seen, now).unwrap();
    scene.look().exits(0);
    assert!(Path::new(&scene.at("known/now")).is_dir());
}
