//! Repositories as they are meant to be: made, added to, delegated from, read, and installed from.

use super::scene::{Scene, kwb};
use crate::harness::{Node, command, keepwell, pull, shared};
use keepwell_bundle::SecretKey;

/// From a publisher's key to a plugin that runs, through a folder that could be a medium.
#[test]
fn a_plugin_comes_from_a_folder_and_is_upgraded() {
    let node = Node::new(shared());
    let scene = Scene::new();
    let key = SecretKey::generate([9; 32]);
    let offer = |version: &str, release| {
        let file = scene.at(&format!("sweep-{version}.kwb"));
        std::fs::write(&file, kwb("sweep", version, release, &[&key])).unwrap();
        let file = file.to_str().unwrap().to_owned();
        scene
            .repo(&["add", "plugins", &file], &["root", "online"], &[])
            .exits(0);
    };
    offer("0.1.0", 1);
    node.configure_more(&format!(
        "[sources.site]\nkind = 'tuf'\npath = '{}'\nroot = '{}'\n",
        scene.text("plugins"),
        scene.text("root.json")
    ));
    node.keepwell(&["config", "check"]).exits(0);
    let found = node
        .keepwell(&["plugin", "search", "swe", "--json"])
        .exits(0)
        .json();
    assert_eq!(found[0]["plugin"], "sweep");
    assert_eq!(found[0]["source"], "site");
    assert_eq!(found.as_array().unwrap().len(), 1);
    let file = scene.text("came.kwb");
    node.keepwell(&["plugin", "fetch", "sweep", "--out", &file])
        .exits(0);
    assert_eq!(
        std::fs::read(&file).unwrap(),
        kwb("sweep", "0.1.0", 1, &[&key])
    );

    // Fetched is not trusted: the signature counts, as for any file.
    node.keepwell(&["plugin", "install", &file]).exits(4);
    let public = key.public().to_string();
    let trust =
        format!("trust add acme {public} --names sweep --capability metrics --capability state");
    let trust: Vec<&str> = trust.split(' ').collect();
    node.keepwell(&trust).exits(0);
    node.keepwell(&["plugin", "install", &file]).exits(0);
    node.task("quick-check", "plugin = 'sweep'\n[grant]\nmetrics = {}\n");
    assert!(node.run("quick-check").0.code <= 3);

    let none = node
        .keepwell(&["plugin", "outdated", "--json"])
        .exits(0)
        .json();
    assert_eq!(none.as_array().unwrap().len(), 0);
    node.keepwell(&["plugin", "upgrade", "sweep"])
        .exits(4)
        .says(&["not newer"]);
    offer("0.2.0", 2);
    let newer = node
        .keepwell(&["plugin", "outdated", "--json"])
        .exits(0)
        .json();
    assert_eq!(newer[0]["installed"], "0.1.0");
    assert_eq!(newer[0]["offered"], "0.2.0");
    let upgraded = node
        .keepwell(&["plugin", "upgrade", "sweep", "--json"])
        .exits(0)
        .json();
    assert_eq!(upgraded["version"], "0.2.0");
    assert!(node.run("quick-check").0.code <= 3);
    node.journal_is_whole();
}

/// One name from two sources is two plugins, until a person says which is meant.
#[test]
fn a_name_that_two_sources_offer_is_asked_about() {
    let node = Node::new(shared());
    let (one, two) = (Scene::new(), Scene::new());
    one.add("sweep", "0.1.0", 1);
    two.add("sweep", "9.0.0", 9);
    for (name, scene) in [("one", &one), ("two", &two)] {
        node.configure_more(&format!(
            "[sources.{name}]\nkind = 'tuf'\npath = '{}'\nroot = '{}'\n",
            scene.text("plugins"),
            scene.text("root.json")
        ));
    }
    let file = one.text("came.kwb");
    node.keepwell(&["plugin", "fetch", "sweep", "--out", &file])
        .exits(2)
        .says(&["one, two", "--source"]);
    node.keepwell(&[
        "plugin", "fetch", "sweep", "--source", "one", "--out", &file,
    ])
    .exits(0);
    assert_eq!(std::fs::read(&file).unwrap(), kwb("sweep", "0.1.0", 1, &[]));
    // One that does not answer hides nothing of the other.
    std::fs::remove_dir_all(two.at("plugins")).unwrap();
    let out = node.keepwell(&["plugin", "search", "--json"]);
    assert_eq!(out.exits(3).json().as_array().unwrap().len(), 1);
    out.says(&["`two`"]);
    node.keepwell(&["plugin", "search", "--source", "three"])
        .exits(2)
        .says(&["one, two"]);
}

/// A site's endorsement goes with its bundle, whoever lists that.
#[test]
fn an_endorsement_comes_with_its_bundle() {
    let _turn = shared();
    let scene = Scene::new();
    scene.key("site");
    let endorse = |file: &str| {
        let (file, key) = (scene.text(file), scene.text("site.key"));
        keepwell(None, &["bundle", "endorse", &file, "--key", &key]).exits(0);
        std::fs::read(std::path::Path::new(&file).with_extension("kwe")).unwrap()
    };
    scene.bundle("sweep", "1.0.0", 1);
    let own = endorse("sweep-1.0.0.kwb");
    scene.add("sweep", "1.0.0", 1);
    scene.delegate();
    let theirs = endorse("acme-sweep-1.0.0.kwb");
    assert_eq!(scene.fetch("acme-sweep").exits(0).json()["endorsed"], false);
    assert!(!scene.at("got/acme-sweep-1.0.0.kwe").exists());
    let verb = ["endorse", "plugins", "acme-sweep-1.0.0.kwe"];
    scene.repo(&verb, &["root", "online"], &[]).exits(0);
    for (name, endorsement) in [("sweep", &own), ("acme-sweep", &theirs)] {
        let out = scene.fetch(name).exits(0).json();
        assert_eq!(out["endorsed"], true, "{name}");
        let file = scene.at(&format!("got/{name}-1.0.0.kwe"));
        assert_eq!(std::fs::read(file).unwrap(), *endorsement, "{name}");
    }
    // It is nothing that is offered, and nothing that is left out.
    let look = scene.look();
    assert_eq!(look.json().as_array().unwrap().len(), 2);
    assert!(!look.err.contains("left out"), "{}", look.err);

    // One of another bundle is taken neither beside a bundle nor alone.
    scene.bundle("other", "1.0.0", 1);
    std::fs::copy(scene.at("sweep-1.0.0.kwe"), scene.at("other-1.0.0.kwe")).unwrap();
    let add = ["add", "plugins", "other-1.0.0.kwb"];
    scene
        .repo(&add, &["root", "online"], &[])
        .exits(4)
        .says(&["other-1.0.0.kwe", "is one of bundle"]);
}

#[test]
fn a_publisher_offers_within_its_names_and_nowhere_else() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.delegate();
    assert_eq!(scene.offered(), ["acme-sweep@1.0.0", "sweep@1.0.0"]);
    assert_eq!(scene.look().json()[0]["publisher"], "acme");

    // A newer one, taken over by the online key alone.
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
    assert_eq!(
        scene.offered(),
        ["acme-sweep@1.1.0", "acme-sweep@1.0.0", "sweep@1.0.0"]
    );
    let got = scene.fetch("acme-sweep").exits(0).json();
    assert_eq!(got["version"], "1.1.0");
    assert_eq!(
        std::fs::read(scene.at("got/acme-sweep-1.1.0.kwb")).unwrap(),
        std::fs::read(&newer).unwrap()
    );

    // Outside of its names, with another's key, older than before: the owner does not take it.
    scene.keep("before");
    let outside = scene.bundle("sweep", "2.0.0", 2);
    crate::distribution::scene::copy(&scene.at("outgoing"), &scene.at("older"));
    let offer = [
        "offer",
        "outgoing",
        outside.to_str().unwrap(),
        "--publisher",
        "acme",
    ];
    scene.repo(&offer, &["acme"], &[]).exits(0);
    scene
        .repo(&accept, &["online"], &[])
        .exits(4)
        .says(&["not among the names"]);
    scene
        .repo(
            &[
                "offer",
                "outgoing",
                newer.to_str().unwrap(),
                "--publisher",
                "acme",
            ],
            &["root"],
            &[],
        )
        .exits(0);
    scene
        .repo(&accept, &["online"], &[])
        .exits(4)
        .says(&["acme offers is refused"]);
    assert_eq!(
        scene.offered(),
        ["acme-sweep@1.1.0", "acme-sweep@1.0.0", "sweep@1.0.0"]
    );
}

/// A version is published once.
#[test]
fn what_is_on_offer_is_not_replaced() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let other = scene.bundle("sweep", "1.0.0", 2);
    let again = scene.repo(
        &["add", "plugins", other.to_str().unwrap()],
        &["root", "online"],
        &[],
    );
    again.exits(2).says(&["already, as another file"]);
    scene.bundle("sweep", "1.0.0", 1);
    scene
        .repo(
            &["add", "plugins", other.to_str().unwrap()],
            &["root", "online"],
            &[],
        )
        .exits(0);
    scene
        .repo(&["init", "plugins"], &["root"], &[])
        .exits(2)
        .says(&["already"]);
    scene
        .repo(&["add", "plugins", other.to_str().unwrap()], &["acme"], &[])
        .exits(4);
    std::fs::write(&other, "no bundle").unwrap();
    scene
        .repo(
            &["add", "plugins", other.to_str().unwrap()],
            &["root", "online"],
            &[],
        )
        .exits(4)
        .says(&["is refused"]);
    scene.look().exits(0);
}

/// Another program agrees with the signatures, over bytes made by another JSON library's rules.
#[test]
fn openssl_agrees_with_the_signature_of_a_role() {
    let _turn = shared();
    if !crate::harness::have("openssl") {
        return;
    }
    let scene = Scene::new();
    let text = std::fs::read_to_string(scene.metadata("timestamp.json")).unwrap();
    let role: serde_json::Value = serde_json::from_str(&text).unwrap();
    std::fs::write(
        scene.at("signed"),
        super::forged::canonical(&role["signed"]),
    )
    .unwrap();
    let sig = role["signatures"][0]["sig"].as_str().unwrap();
    let sig = data_encoding::HEXLOWER.decode(sig.as_bytes()).unwrap();
    std::fs::write(scene.at("sig"), sig).unwrap();
    let key = std::fs::read_to_string(scene.at("online.key")).unwrap();
    let public = SecretKey::from_pem(&key).unwrap().public().to_pem();
    std::fs::write(scene.at("pub"), public).unwrap();
    let (key, data, sig) = (scene.text("pub"), scene.text("signed"), scene.text("sig"));
    let args = [
        "pkeyutl", "-verify", "-pubin", "-inkey", &key, "-rawin", "-in", &data, "-sigfile", &sig,
    ];
    assert!(command("openssl", &args, &[]).contains("Verified Successfully"));
}

#[test]
fn two_look_one_after_the_other_and_damage_is_told() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    scene.look().exits(0);
    let lock = std::fs::File::open(scene.at("known/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    scene.look().exits(75).says(&["another process looks"]);
    drop(lock);
    scene.look().exits(0);
    let timestamp = scene.at("known/now/timestamp.json");
    let whole = std::fs::read(&timestamp).unwrap();
    std::fs::write(&timestamp, &whole[..whole.len() / 2]).unwrap();
    scene.look().exits(1).says(&["is damaged", "remove"]);
    std::fs::write(&timestamp, &whole).unwrap();
    scene.look().exits(0);
    let nowhere = pull(&[
        "repo",
        "search",
        "--repo",
        "/nowhere",
        "--root",
        &scene.text("root.json"),
        "--known",
        &scene.text("k"),
    ]);
    nowhere.exits(1).says(&["is the repository there"]);
    keepwell(None, &["plugin", "search"]).exits(78);
}

/// Root's puller becomes who `[puller] user` names: what it leaves is that user's, and what that user
/// cannot read it cannot either.
#[test]
fn the_puller_of_root_becomes_somebody_else() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    let node = Node::new(shared());
    let scene = Scene::new();
    scene.add("sweep", "0.1.0", 1);
    let open = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(scene.at(""), permissions).unwrap();
    };
    open(0o755);
    node.configure_more(&format!(
        "[puller]\nuser = {NOBODY}\n[sources.site]\nkind = 'tuf'\npath = '{}'\nroot = '{}'\n",
        scene.text("plugins"),
        scene.text("root.json")
    ));
    let file = scene.text("came.kwb");
    node.keepwell(&["plugin", "fetch", "sweep", "--out", &file])
        .exits(0);
    assert_eq!(std::fs::metadata(&file).unwrap().uid(), 0);
    let known = node.dir().join("pull/site/known/now/timestamp.json");
    assert_eq!(std::fs::metadata(known).unwrap().uid(), NOBODY);
    open(0o700);
    node.keepwell(&["plugin", "search"])
        .exits(1)
        .says(&["may this user read it"]);
}
