//! Registries that lie, against the real puller: in what they send, for how long, and to whom they
//! would have a password sent.

use super::server::{Asked, Reply, Server};
use crate::harness::{Output, pull, shared};
use keepwell_bundle::parts::{self, BLOBS_MAX};
use keepwell_model::id::Digest;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A bundle as an honest registry serves it.
#[derive(Debug, Clone)]
struct Honest {
    kwb: Vec<u8>,
    manifest: Vec<u8>,
}

impl Honest {
    fn new() -> Self {
        let kwb = std::fs::read(crate::harness::bundles().join("health.kwb")).unwrap();
        let manifest = parts::parts(&kwb).unwrap().manifest.to_vec();
        Self { kwb, manifest }
    }

    fn digest(&self) -> String {
        Digest::of(&self.manifest).to_string()
    }

    fn reply(&self, asked: &Asked) -> Reply {
        // It has no endorsement.
        if asked.path.ends_with(".kwe") {
            return Reply::status(404);
        }
        if asked.path.contains("/manifests/") {
            return Reply::ok(self.manifest.clone());
        }
        let parts = parts::parts(&self.kwb).unwrap();
        let blob = parts
            .blobs
            .iter()
            .find(|(digest, _)| asked.path.ends_with(&digest.to_string()));
        blob.map_or(Reply::status(404), |(_, content)| Reply::ok(*content))
    }
}

/// An honest registry but for what `lie` answers.
fn registry(lie: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> (Server, Honest) {
    let honest = Honest::new();
    let inner = honest.clone();
    let server = Server::start(move |asked| lie(asked).unwrap_or_else(|| inner.reply(asked)));
    (server, honest)
}

fn fetch(server: &Server, rest: &str, more: &[&str]) -> (Output, TempDir) {
    let got = tempfile::tempdir().unwrap();
    let reference = format!("{}/plugins/health{rest}", server.host());
    let out = got.path().to_str().unwrap();
    let args = [
        "oci",
        "fetch",
        &reference,
        "--out",
        out,
        "--allow-http",
        "127.0.0.1",
        "--json",
    ];
    (pull(&[&args, more].concat()), got)
}

/// Refused with this code, within memory and time, and with nothing written.
#[track_caller]
fn refused(server: &Server, rest: &str, code: i32, words: &[&str]) {
    let (out, got) = fetch(server, rest, &[]);
    out.exits(code).says(words);
    assert!(out.peak_bytes < 128 << 20, "{}", out.peak_bytes);
    assert!(out.took < Duration::from_secs(30), "{:?}", out.took);
    assert!(
        std::fs::read_dir(got.path()).unwrap().next().is_none(),
        "something was written"
    );
}

#[test]
fn an_honest_one_is_believed() {
    let _turn = shared();
    let (server, honest) = registry(|_| None);
    for rest in [":0.1.0".to_owned(), format!("@{}", honest.digest())] {
        let (out, got) = fetch(&server, &rest, &[]);
        out.exits(0);
        assert_eq!(
            std::fs::read(got.path().join("health-0.1.0.kwb")).unwrap(),
            honest.kwb
        );
    }
}

#[test]
fn another_manifest_or_blob_than_was_asked_for_is_refused() {
    let _turn = shared();
    let other = Digest::of(b"other").to_string();
    let (server, _) = registry(|_| None);
    refused(&server, &format!("@{other}"), 4, &["is pinned to"]);
    let (server, honest) = registry(|asked| {
        let flip = |mut bytes: Vec<u8>| {
            bytes[100] ^= 1;
            Reply::ok(bytes)
        };
        let honest = Honest::new();
        let Reply::Whole(200, _, body) = honest.reply(asked) else {
            return None;
        };
        (asked.path.contains("/blobs/") && body.len() > 100).then(|| flip(body))
    });
    refused(
        &server,
        &format!("@{}", honest.digest()),
        4,
        &["is not what its digest says"],
    );
    refused(&server, ":0.1.0", 4, &["is not what its digest says"]);
    // Cut off, and with a lie in the header.
    let (server, _) = registry(|asked| {
        let body = asked.path.contains("/blobs/").then(|| Reply::ok("{"));
        body.filter(|_| !asked.path.contains("44136fa3"))
    });
    refused(&server, ":0.1.0", 4, &["is not what its digest says"]);
    let lie = Digest::of(b"lie").to_string();
    let (server, _) = registry(move |asked| {
        let headers = vec![("docker-content-digest", lie.clone())];
        let is = asked.path.contains("/manifests/");
        is.then(|| Reply::Whole(200, headers, Honest::new().manifest))
    });
    refused(&server, ":0.1.0", 4, &["another manifest than it sends"]);
}

/// After the tag was resolved, it may say what it likes.
#[test]
fn a_tag_is_asked_for_once() {
    let _turn = shared();
    let (server, honest) = registry(|_| None);
    let (out, _got) = fetch(&server, ":0.1.0", &[]);
    assert_eq!(out.exits(0).json()["digest"], honest.digest());
    let asked = server.asked();
    let manifests = asked
        .iter()
        .filter(|a| a.path.ends_with("/manifests/0.1.0"))
        .count();
    assert_eq!(manifests, 1, "{asked:?}");
    assert!(asked.iter().all(|a| a.method == "GET"), "{asked:?}");
}

#[test]
fn endless_bodies_end() {
    let _turn = shared();
    for place in ["/manifests/", "/blobs/"] {
        let (server, _) =
            registry(move |asked| asked.path.contains(place).then_some(Reply::Endless));
        refused(&server, ":0.1.0", 5, &["sends more than"]);
        let (server, _) =
            registry(move |asked| asked.path.contains(place).then_some(Reply::Trickle));
        let (out, _got) = fetch(&server, ":0.1.0", &["--within", "1s"]);
        assert!([1, 5].contains(&out.code), "{}", out.err);
        assert!(out.took < Duration::from_secs(30), "{:?}", out.took);
    }
    let server = Server::start(|_| Reply::Endless);
    let reference = format!("{}/plugins/health", server.host());
    pull(&["oci", "versions", &reference, "--allow-http", "127.0.0.1"]).exits(5);
}

#[test]
fn a_manifest_that_lists_too_much_is_refused_before_its_blobs() {
    let _turn = shared();
    let manifest = String::from_utf8(Honest::new().manifest).unwrap();
    let read: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let (first, second) = (&read["layers"][0], &read["layers"][1]);
    let digest = |layer: &serde_json::Value| layer["digest"].as_str().unwrap().to_owned();
    let doubled = manifest.replace(&digest(second), &digest(first));
    let size = second["size"].to_string();
    let huge = manifest.replace(&format!("\"size\":{size}"), "\"size\":99999999999");
    let one = |n: usize| {
        let digest = Digest::of(&[u8::try_from(n).unwrap()]);
        format!(",{{\"mediaType\":\"x\",\"digest\":\"{digest}\",\"size\":1}}")
    };
    let many: String = (0..BLOBS_MAX).map(one).collect();
    let many = manifest.replace("}]", &format!("}}{many}]"));
    for (text, code, words) in [
        (doubled, 4, "twice"),
        (huge, 5, "blobs"),
        (many, 5, "blobs"),
        (
            manifest.replace("\"layers\"", "\"subject\":1,\"layers\""),
            4,
            "subject",
        ),
        ("{}".to_owned(), 4, "no bundle"),
        (
            format!("{manifest}{}", " ".repeat(1 << 20)),
            5,
            "sends more than",
        ),
    ] {
        let (server, _) = registry(move |asked| {
            asked
                .path
                .contains("/manifests/")
                .then(|| Reply::ok(text.clone()))
        });
        refused(&server, ":0.1.0", code, &[words]);
        assert!(
            server.asked().iter().all(|a| !a.path.contains("/blobs/")),
            "{words}"
        );
    }
}

/// A file of credentials for one registry.
fn credentials(host: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("auth.json");
    let auth = data_encoding::BASE64.encode(b"me:secret");
    let text = serde_json::json!({ "auths": { host: { "auth": auth } } }).to_string();
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (folder, file)
}

fn basic() -> String {
    format!("Basic {}", data_encoding::BASE64.encode(b"me:secret"))
}

/// A registry that wants its password, then sends one on to another host for the blobs, as many do.
/// Compare CVE-2020-15157, where the password went along.
#[test]
fn a_password_does_not_follow_to_another_host() {
    let _turn = shared();
    let honest = Honest::new();
    let storage = Arc::new(Server::start(move |asked| honest.reply(asked)));
    let there = storage.url("");
    let (server, _) = registry(move |asked| match asked.authorization.as_deref() {
        None => Some(Reply::wants("Basic realm=\"x\"".into())),
        Some(given) if given != basic() => Some(Reply::status(403)),
        Some(_) => asked
            .path
            .contains("/blobs/")
            .then(|| Reply::to(&format!("{there}{}", asked.path))),
    });
    // Nobody's password goes to whom it is not for.
    let (_folder, file) = credentials("other.example");
    fetch(&server, ":0.1.0", &["--credentials", &file])
        .0
        .exits(4)
        .says(&["credentials"]);
    assert!(server.asked().iter().all(|a| a.authorization.is_none()));
    let (_folder, file) = credentials(&server.host());
    fetch(&server, ":0.1.0", &["--credentials", &file])
        .0
        .exits(0);
    let seen = storage.asked();
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(
        seen.iter().all(|asked| asked.authorization.is_none()),
        "{seen:?}"
    );
}

/// A registry that names somebody else as the place to get a token from with its password.
#[test]
fn a_false_realm_gets_no_password() {
    let _turn = shared();
    let tokens = Arc::new(Server::start(|_| Reply::ok("{\"token\":\"abc\"}")));
    let realm = tokens.url("/token");
    let (server, honest) = registry(move |asked| match asked.authorization.as_deref() {
        Some("Bearer abc") => None,
        Some(_) | None => {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\",scope=\"x\"");
            Some(Reply::wants(challenge))
        }
    });
    let (_folder, file) = credentials(&server.host());
    fetch(&server, ":0.1.0", &["--credentials", &file])
        .0
        .exits(4)
        .says(&["password sent to", "--auth-host"]);
    assert!(tokens.asked().is_empty(), "{:?}", tokens.asked());
    // As nobody it may be asked, and where the operator says so also as somebody.
    let (out, got) = fetch(&server, ":0.1.0", &[]);
    out.exits(0);
    assert_eq!(
        std::fs::read(got.path().join("health-0.1.0.kwb")).unwrap(),
        honest.kwb
    );
    assert!(tokens.asked().iter().all(|a| a.authorization.is_none()));
    assert!(
        tokens.asked()[0]
            .path
            .contains("scope=repository%3Aplugins%2Fhealth%3Apull"),
        "{:?}",
        tokens.asked()
    );
    let host = tokens.host();
    fetch(
        &server,
        ":0.1.0",
        &["--credentials", &file, "--auth-host", &host],
    )
    .0
    .exits(0);
    assert_eq!(tokens.asked().last().unwrap().authorization, Some(basic()));
    // A token is no body without an end either.
    let endless = Arc::new(Server::start(|_| Reply::Endless));
    let realm = endless.url("/token");
    let (server, _) = registry(move |_| Some(Reply::wants(format!("Bearer realm=\"{realm}\""))));
    refused(&server, ":0.1.0", 5, &["sends more than"]);
}
