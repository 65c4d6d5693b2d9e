//! Trust as an operator uses it: several signers, endorsement, revocation that is felt everywhere, and
//! why. The real program throughout.

use crate::harness::{
    Daemon, Node, Output, command, guests, have, keepwell, keepwell_knowing, shared, start,
    wait_for,
};
use crate::schedules::until;
use std::path::Path;
use std::process::{Command, Stdio};

/// A node, and the honest guest signed by whoever is named.
struct Scene {
    node: Node,
    bundle: String,
}

impl Scene {
    /// A bundle of the hostile guests' component, signed by `first`.
    fn signed_by(first: &str) -> Self {
        let node = Node::new(shared());
        let scene = Self {
            bundle: at(&node, "it.kwb"),
            node,
        };
        scene.key(first);
        let key = scene.file(&format!("{first}.key"));
        let component = guests();
        keepwell(
            None,
            &[
                "bundle",
                "build",
                component.to_str().unwrap(),
                "--publisher",
                "Stranger",
                "--release",
                "3",
                "--key",
                &key,
                "--out",
                &scene.bundle,
            ],
        )
        .exits(0);
        // The harness installs these guests by its own key: here they are a stranger's.
        scene
            .node
            .keepwell(&["plugin", "remove", "hostile"])
            .exits(0);
        scene
    }

    fn file(&self, name: &str) -> String {
        at(&self.node, name)
    }

    fn key(&self, name: &str) {
        let file = self.file(&format!("{name}.key"));
        keepwell(None, &["bundle", "keygen", &file]).exits(0);
    }

    fn public(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.file(&format!("{name}.key.pub"))).unwrap();
        text.trim().to_owned()
    }

    fn sign(&self, name: &str) {
        let key = self.file(&format!("{name}.key"));
        keepwell(None, &["bundle", "sign", &self.bundle, "--key", &key]).exits(0);
    }

    /// Keys by name, then the text that says what they are for.
    fn trust(&self, keys: &[&str], more: &str) {
        let mut text = String::new();
        for name in keys {
            text += &format!("[keys.{name}]\npublic = '{}'\n", self.public(name));
        }
        std::fs::write(self.node.dir().join("trust.toml"), text + more).unwrap();
    }

    fn verdict(&self) -> Output {
        self.node.keepwell(&["bundle", "verify", &self.bundle])
    }
}

fn at(node: &Node, name: &str) -> String {
    node.scratch().join(name).to_str().unwrap().to_owned()
}

const EVERYTHING: &str = "tier = 'third-party'\nnames = ['*']\ncapabilities = ['metrics', 'storage', \
    'storage-clean', 'shards', 'config-read', 'config-write', 'state']\n";

#[test]
fn two_of_three_must_sign_and_the_site_endorses() {
    let scene = Scene::signed_by("alice");
    for name in ["bob", "carol", "site"] {
        scene.key(name);
    }
    let several =
        format!("[publishers.acme]\nkeys = ['alice', 'bob', 'carol']\nthreshold = 2\n{EVERYTHING}");
    let keys = ["alice", "bob", "carol", "site"];
    scene.trust(&keys, &several);
    scene.verdict().exits(4).says(&["1 of the 2 keys"]);
    scene.sign("alice");
    scene.verdict().exits(4).says(&["1 of the 2 keys"]);
    scene.sign("carol");
    scene.verdict().exits(0);

    let wants = "[endorsement]\ntiers = ['third-party']\nkeys = ['site']\nthreshold = 1\n";
    scene.trust(&keys, &format!("{several}{wants}"));
    let install = ["plugin", "install", scene.bundle.as_str()];
    scene
        .node
        .keepwell(&install)
        .exits(4)
        .says(&["0 of the 1 endorsers"]);
    let endorse = |key: &str| {
        let key = scene.file(&format!("{key}.key"));
        keepwell(None, &["bundle", "endorse", &scene.bundle, "--key", &key]).exits(0);
    };
    endorse("bob");
    scene
        .node
        .keepwell(&install)
        .exits(4)
        .says(&["0 of the 1 endorsers"]);
    endorse("site");
    scene.node.keepwell(&install).exits(0);
    scene.node.task("honest", "plugin = 'hostile'\n");
    scene.node.run("honest").0.exits(0);
    // It is kept beside the bundle and looked at each time.
    let kept = scene.node.dir().join("plugins/hostile-0.1.0.kwe");
    std::fs::remove_file(kept).unwrap();
    let (out, report) = scene.node.run("honest");
    out.exits(4);
    assert!(report.reason.unwrap().contains("endorsers"));
}

#[test]
fn explain_tells_each_thing_that_speaks_for_or_against_it() {
    let scene = Scene::signed_by("alice");
    scene.key("bob");
    scene.sign("bob");
    let alone = format!("[publishers.alice-alone]\nkeys = ['alice']\nthreshold = 1\n{EVERYTHING}");
    scene.trust(&["alice"], &alone);
    let explain = [
        "bundle",
        "verify",
        scene.bundle.as_str(),
        "--explain",
        "-o",
        "json",
    ];
    let steps = scene.node.keepwell(&explain).exits(0).json();
    let step = |n: usize| (steps[n]["step"].clone(), steps[n]["holds"].clone());
    let says: Vec<&str> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["says"].as_str().unwrap())
        .collect();
    assert_eq!(step(says.len() - 1), ("verdict".into(), true.into()));
    assert!(
        says.iter()
            .any(|s| s.contains("key `alice`") && s.contains("counts")),
        "{says:?}"
    );
    assert!(
        says.iter().any(|s| s.contains("not in the trust file")),
        "{says:?}"
    );
    assert!(
        says.iter().any(|s| s.contains("`alice-alone`: 1 of 1")),
        "{says:?}"
    );
    // Of one that is not admitted, the same with another end.
    scene.trust(&["alice"], &alone.replace("'*'", "'acme-*'"));
    let steps = scene.node.keepwell(&explain).exits(4).json();
    let last = steps.as_array().unwrap().last().unwrap();
    assert_eq!(last["holds"], false);
    assert!(
        last["says"]
            .as_str()
            .unwrap()
            .contains("may not sign a plugin named")
    );
}

/// A revoked key: the schedule stops, the run under way stops, the bundle is put aside, all of it is told
/// and outlives the daemon; and the key does not come back.
#[test]
fn revocation_stops_what_runs_and_stays() {
    let scene = Scene::signed_by("alice");
    scene.trust(&["alice"], EVERYTHING);
    let node = &scene.node;
    node.keepwell(&["plugin", "install", &scene.bundle])
        .exits(0);
    let slow = "plugin = 'hostile'\ntask = 'slow'\n[grant]\nmetrics = {}\n[limits]\nwall = '60s'\n";
    node.task("slow", slow);
    node.task(
        "often",
        "plugin = 'hostile'\ntask = 'honest'\nschedule = { every = '1s' }\n",
    );
    let daemon = Daemon::on(node);
    until("a run of the schedule", || {
        !node.journal(&["--kind", "run-ended"]).is_empty()
    });
    let mut slow = start(Some(&node.dir()), &["run", "slow", "-o", "jsonl"]);
    let _pipe = wait_for(&mut slow, "worker-started");
    let revoke = [
        "trust",
        "revoke",
        "alice",
        "--reason",
        "the laptop was stolen",
    ];
    node.keepwell(&revoke)
        .exits(0)
        .says(&["hostile@0.1.0 is in quarantine"]);
    assert_eq!(slow.wait().unwrap().code(), Some(6), "it was not stopped");
    let told = |node: &Node| {
        let out = node.keepwell(&["status"]);
        out.exits(3);
        assert!(
            out.out.contains("PLUGIN IN QUARANTINE: hostile@0.1.0"),
            "{}",
            out.out
        );
        assert!(out.out.contains("stolen"), "{}", out.out);
    };
    told(node);
    let put_aside = node.journal(&["--kind", "plugin-quarantined"]);
    assert_eq!(put_aside.len(), 1);
    let due = || {
        node.journal(&["--kind", "run-due", "--task", "often"])
            .len()
    };
    let before = due();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(due(), before, "the schedule goes on");
    daemon.killed();
    let daemon = Daemon::on(node);
    told(node);
    assert_eq!(node.journal(&["--kind", "plugin-quarantined"]).len(), 1);
    drop(daemon);
    let out = node.keepwell(&["trust", "explain", "hostile"]);
    assert!(out.exits(4).out.contains("is in quarantine"), "{}", out.out);
    // Nobody brings it back by adding the key again, or the bundle.
    let add = [
        "trust",
        "add",
        "again",
        &scene.public("alice"),
        "--names",
        "*",
    ];
    node.keepwell(&add).exits(2);
    node.keepwell(&["plugin", "upgrade", &scene.bundle])
        .exits(4)
        .says(&["revoked"]);
    node.journal_is_whole();
}

/// A key that only the agent holds signs, and so does an encrypted one whose passphrase lies in a file.
#[test]
fn an_agent_and_an_encrypted_key_sign() {
    let scene = Scene::signed_by("alice");
    let folder = scene.node.scratch();
    if have("ssh-agent") && have("ssh-keygen") && have("ssh-add") {
        for (kind, name) in [("ed25519", "by-agent"), ("ecdsa", "by-agent-too")] {
            let key = scene.file(name);
            command(
                "ssh-keygen",
                &["-q", "-t", kind, "-b", "256", "-N", "", "-f", &key],
                &[],
            );
            let socket = folder.join(format!("{kind}.agent"));
            let socket = socket.to_str().unwrap();
            let mut agent = Command::new("ssh-agent")
                .args(["-D", "-a", socket])
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            until("the agent's socket", || Path::new(socket).exists());
            let sign = |public: &str| {
                let sign = ["bundle", "sign", &scene.bundle, "--agent", public];
                keepwell_knowing(&[("SSH_AUTH_SOCK", socket)], &sign)
            };
            let public = format!("{key}.pub");
            sign(&public).exits(4).says(&["does not hold the key"]);
            command("ssh-add", &["-q", &key], &[("SSH_AUTH_SOCK", socket)]);
            std::fs::remove_file(&key).unwrap();
            sign(&public).exits(0);
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
        let inspected = keepwell(None, &["bundle", "inspect", &scene.bundle, "-o", "json"]).json();
        assert_eq!(
            inspected["key-ids"].as_array().unwrap().len(),
            3,
            "{inspected}"
        );
    }
    let (key, pass) = (scene.file("hidden.key"), scene.file("passphrase"));
    let keygen = [
        "bundle",
        "keygen",
        key.as_str(),
        "--kind",
        "p256",
        "--encrypt",
    ];
    let with = |args: &[&str]| keepwell_knowing(&[("KEEPWELL_PASSPHRASE_FILE", &pass)], args);
    std::fs::write(&pass, "short\n").unwrap();
    with(&keygen).exits(2).says(&["at least 8"]);
    std::fs::write(&pass, "long enough\n").unwrap();
    with(&keygen).exits(0);
    let text = std::fs::read_to_string(&key).unwrap();
    assert!(
        text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
        "{text}"
    );
    let sign = ["bundle", "sign", scene.bundle.as_str(), "--key", &key];
    // Nobody can be asked, then the wrong one, then the right one.
    keepwell(None, &sign).exits(2).says(&["passphrase"]);
    std::fs::write(&pass, "something else\n").unwrap();
    with(&sign).exits(78).says(&["cannot be decrypted"]);
    std::fs::write(&pass, "long enough\n").unwrap();
    with(&sign).exits(0);
}
