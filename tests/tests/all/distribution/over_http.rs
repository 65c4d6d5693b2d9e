//! Repositories over the network: in the clear only where that is listed, over TLS elsewhere, and
//! whatever the server does, an end.

use super::scene::Scene;
use super::server::{Reply, Server, Tls, file};
use crate::harness::{Output, command, have, pull, shared};
use std::time::Duration;

fn search(scene: &Scene, url: &str, more: &[&str]) -> Output {
    let (root, known) = (scene.text("root.json"), scene.text("known"));
    let args = [
        "repo", "search", "--repo", url, "--root", &root, "--known", &known, "--json",
    ];
    pull(&[&args, more].concat())
}

#[test]
fn in_the_clear_only_where_that_is_listed() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let server = Server::of(scene.at("plugins"));
    let url = server.url("/");
    search(&scene, &url, &[])
        .exits(4)
        .says(&["in the clear", "--allow-http"]);
    search(&scene, &url, &["--allow-http", "127.0.0.1:1"]).exits(4);
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    let listed = ["--allow-http", &server.host()];
    let found = search(&scene, &url, &listed).exits(0).json();
    assert_eq!(found[0]["plugin"], "sweep");
    let (root, got) = (scene.text("root.json"), scene.text("got"));
    let known = scene.text("known");
    let args = [
        "repo", "fetch", "sweep", "--repo", &url, "--root", &root, "--known", &known, "--out", &got,
    ];
    pull(&[&args[..], &listed].concat()).exits(0);
    let came = std::fs::read(scene.at("got/sweep-1.0.0.kwb")).unwrap();
    assert_eq!(came, std::fs::read(scene.at("sweep-1.0.0.kwb")).unwrap());
}

/// A server that is not there, that is not a repository, and those that never finish.
#[test]
fn every_answer_has_an_end() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let at = |reply: Reply, stuck: &'static str| {
        let folder = scene.at("plugins");
        Server::start(move |asked| match asked.path.contains(stuck) {
            true => reply.clone(),
            false => file(&folder, &asked.path),
        })
    };
    for stuck in [
        "timestamp.json",
        "2.root.json",
        "2.snapshot.json",
        "2.targets.json",
    ] {
        let server = at(Reply::Endless, stuck);
        let out = search(&scene, &server.url(""), &["--allow-http", &server.host()]);
        assert!([4, 5].contains(&out.code), "{stuck}: {}", out.err);
        assert!(out.peak_bytes < 64 << 20, "{stuck}: {}", out.peak_bytes);
        assert!(
            out.took < Duration::from_secs(20),
            "{stuck}: {:?}",
            out.took
        );
    }
    let server = at(Reply::Trickle, "timestamp.json");
    let out = search(
        &scene,
        &server.url(""),
        &["--allow-http", &server.host(), "--within", "1s"],
    );
    out.exits(1).says(&["not answer in time"]);
    assert!(out.took < Duration::from_secs(20), "{:?}", out.took);
    for (reply, code) in [
        (Reply::status(500), 1),
        (Reply::status(404), 1),
        (Reply::ok("no role"), 4),
    ] {
        let server = at(reply, "timestamp.json");
        search(&scene, &server.url(""), &["--allow-http", &server.host()]).exits(code);
    }
    // What a server fails to say of a newer root is not "there is none".
    let server = at(Reply::status(500), "2.root.json");
    search(&scene, &server.url(""), &["--allow-http", &server.host()]).exits(1);
    let gone = at(Reply::status(404), "x").host();
    search(&scene, &format!("http://{gone}/"), &["--allow-http", &gone])
        .exits(1)
        .says(&["network"]);
}

#[test]
fn redirects_are_followed_a_few_times_to_where_one_may_go() {
    let _turn = shared();
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let files = Server::of(scene.at("plugins"));
    let there = files.url("");
    let other = Server::start(move |asked| Reply::to(&format!("{there}{}", asked.path)));
    let (one, two) = (other.host(), files.host());
    search(&scene, &other.url("/"), &["--allow-http", &one])
        .exits(4)
        .says(&["in the clear"]);
    assert!(files.asked().is_empty());
    search(
        &scene,
        &other.url("/"),
        &["--allow-http", &one, "--allow-http", &two],
    )
    .exits(0);
    let circle = Server::start(|asked| Reply::to(&format!("{}x", asked.path)));
    let out = search(&scene, &circle.url("/"), &["--allow-http", &circle.host()]);
    out.exits(5).says(&["leads on"]);
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://me:secret@127.0.0.1/",
    ] {
        let astray = Server::start(move |_| Reply::to(to));
        let out = search(&scene, &astray.url("/"), &["--allow-http", "127.0.0.1"]);
        out.exits(1);
        assert!(!out.err.contains("secret"), "{}", out.err);
    }
}

/// A certificate for the loopback address, made by openssl.
fn certificate(scene: &Scene) -> Tls {
    let (key, cert) = (scene.text("tls.key"), scene.text("tls.pem"));
    let make = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=site \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout {key} -out {cert}"
    );
    let words: Vec<&str> = make.split(' ').filter(|word| !word.is_empty()).collect();
    command("openssl", &words, &[]);
    Tls(cert.into(), key.into())
}

#[test]
fn over_tls_with_the_certificates_that_count() {
    let _turn = shared();
    if !have("openssl") {
        return;
    }
    let scene = Scene::new();
    scene.add("sweep", "1.0.0", 1);
    let tls = certificate(&scene);
    let folder = scene.at("plugins");
    let server = Server::start_with(Some(&tls), move |asked| file(&folder, &asked.path));
    let url = format!("https://{}/", server.host());
    // Nobody vouches for it; nor does the list of hosts in the clear.
    search(&scene, &url, &[]).exits(1).says(&["certificate"]);
    search(&scene, &url, &["--allow-http", "127.0.0.1"]).exits(1);
    assert!(server.asked().is_empty());
    let ca = ["--ca", &scene.text("tls.pem")];
    let found = search(&scene, &url, &ca).exits(0).json();
    assert_eq!(found[0]["plugin"], "sweep");
    // For another name it does not count.
    let port = server.host().replace("127.0.0.1:", "");
    search(&scene, &format!("https://localhost:{port}/"), &ca).exits(1);
    // What came over TLS does not go on in the clear, listed or not.
    let plain = Server::of(scene.at("plugins"));
    let there = plain.url("");
    let down = Server::start_with(Some(&tls), move |asked| {
        Reply::to(&format!("{there}{}", asked.path))
    });
    let url = format!("https://{}/", down.host());
    search(
        &scene,
        &url,
        &[&ca[..], &["--allow-http", "127.0.0.1"]].concat(),
    )
    .exits(4)
    .says(&["not followed"]);
    assert!(plain.asked().is_empty());
}
