//! Other tools agree: openssl on the signature, GNU tar on the files.

#[expect(dead_code, reason = "each test file uses its own part of the fixture")]
mod fixture;

use fixture::{draft, key, kwb};
use keepwell_bundle::{
    BadKey, PublicKey, SecretKey, add_signature, attach_signature, build, pae, tar,
};
use std::path::Path;
use std::process::Output;

/// Runs a tool in `folder`; `None`, and a line that says so, when it is not installed. In CI it must
/// be.
#[expect(
    clippy::disallowed_methods,
    reason = "these tests compare with other programs"
)]
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = std::process::Command::new(program);
    match command.args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(e) => {
            let ci = std::env::var("CI");
            assert_ne!(ci.as_deref(), Ok("true"), "`{program}` cannot be run: {e}");
            eprintln!("SKIPPED: `{program}` cannot be run: {e}");
            None
        }
    }
}

/// The envelope's first signature, taken out as a person would.
#[expect(clippy::unwrap_used, reason = "a test may end at what fails")]
fn signature(kwb: &[u8]) -> Vec<u8> {
    let entries = tar::read(kwb).unwrap();
    let json = entries
        .iter()
        .find_map(|e| e.content.starts_with(b"{\"payload\"").then_some(e.content))
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    let base64 = json["signatures"][0]["sig"].as_str().unwrap();
    data_encoding::BASE64.decode(base64.as_bytes()).unwrap()
}

#[test]
fn openssl_checks_the_signature() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let bytes = kwb();
    write("k.pub", key(1).public().to_pem().as_bytes());
    write("sig", &signature(&bytes));
    write("pae.bin", &pae(&bytes).unwrap());
    let line = "pkeyutl -verify -pubin -inkey k.pub -rawin -in pae.bin -sigfile sig";
    let arguments: Vec<&str> = line.split(' ').collect();
    let Some(output) = run(folder.path(), "openssl", &arguments) else {
        return;
    };
    assert!(output.status.success(), "{output:?}");
    write("pae.bin", b"something else");
    let output = run(folder.path(), "openssl", &arguments).unwrap();
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn openssl_and_we_read_each_other_s_keys() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.pem");
    std::fs::write(&ours, key(1).to_pem().unwrap()).unwrap();
    let Some(output) = run(
        folder.path(),
        "openssl",
        &["pkey", "-in", "ours.pem", "-pubout"],
    ) else {
        return;
    };
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        key(1).public().to_pem()
    );
    let arguments = ["genpkey", "-algorithm", "ed25519"];
    let theirs = run(folder.path(), "openssl", &arguments).unwrap().stdout;
    let theirs = String::from_utf8(theirs).unwrap();
    assert_eq!(
        SecretKey::from_pem(&theirs).unwrap().to_pem().unwrap(),
        theirs
    );
}

/// Keys on P-256 go both ways, and openssl agrees with the signature, which is the same each time.
#[test]
fn openssl_and_we_agree_on_p256() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let genpkey = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let Some(made) = run(folder.path(), "openssl", &words(genpkey)) else {
        return;
    };
    write("k.pem", &made.stdout);
    let key = SecretKey::from_pem(std::str::from_utf8(&made.stdout).unwrap()).unwrap();
    let theirs = run(folder.path(), "openssl", &words("pkey -in k.pem -pubout"));
    let theirs = String::from_utf8(theirs.unwrap().stdout).unwrap();
    assert_eq!(key.public().to_pem(), theirs);
    assert_eq!(PublicKey::from_pem(&theirs).unwrap(), key.public());
    assert_eq!(
        key.public().to_string().parse::<PublicKey>().unwrap(),
        key.public()
    );
    let ours = key.to_pem().unwrap();
    write("again.pem", ours.as_bytes());
    let again = run(
        folder.path(),
        "openssl",
        &words("pkey -in again.pem -pubout"),
    );
    assert_eq!(again.unwrap().stdout, theirs.as_bytes());

    let unsigned = build(&draft()).unwrap();
    let bytes = unsigned.sign(&key).unwrap();
    assert_eq!(bytes, unsigned.sign(&key).unwrap());
    let signed = pae(&bytes).unwrap();
    write("pae.bin", &signed);
    write("k.pub", theirs.as_bytes());
    write("sig", &signature(&bytes));
    let verify = "dgst -sha256 -verify k.pub -signature sig pae.bin";
    let output = run(folder.path(), "openssl", &words(verify)).unwrap();
    assert!(output.status.success(), "{output:?}");
    // What openssl signs is attached, in its one normal spelling; what it did not sign is not.
    let sign = "dgst -sha256 -sign k.pem -out theirs.sig pae.bin";
    assert!(
        run(folder.path(), "openssl", &words(sign))
            .unwrap()
            .status
            .success()
    );
    let theirs = std::fs::read(folder.path().join("theirs.sig")).unwrap();
    let both = add_signature(&bytes, &fixture::key(1)).unwrap();
    let attached = attach_signature(&both, &key.public(), &theirs).unwrap();
    assert_eq!(
        attach_signature(&attached, &key.public(), &theirs).unwrap(),
        attached
    );
    for bad in [&theirs[..theirs.len() - 1], b"", &[0; 72]] {
        let error = attach_signature(&both, &key.public(), bad).unwrap_err();
        assert_eq!(error.code(), "bad-signature");
    }
}

/// A key that openssl encrypted is read with its passphrase, and one of ours by openssl.
#[test]
fn encrypted_keys_go_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for kind in [
        "-algorithm ed25519",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    ] {
        let genpkey = format!("genpkey {kind} -aes-256-cbc -pass pass:secret");
        let Some(made) = run(folder.path(), "openssl", &words(&genpkey)) else {
            return;
        };
        let theirs = String::from_utf8(made.stdout).unwrap();
        let with = |pass: &str| {
            let pass = pass.to_owned();
            SecretKey::from_pem_with(&theirs, &mut || Ok(pass.clone()))
        };
        let key = with("secret").unwrap();
        assert_eq!(with("other").unwrap_err(), BadKey::Passphrase);
        assert_eq!(SecretKey::from_pem(&theirs).unwrap_err(), BadKey::Encrypted);
        write(
            "ours.pem",
            &key.to_encrypted_pem("secret too", [7; 32]).unwrap(),
        );
        let read = [
            "pkey",
            "-in",
            "ours.pem",
            "-passin",
            "pass:secret too",
            "-pubout",
        ];
        let read = run(folder.path(), "openssl", &read).unwrap();
        assert_eq!(read.stdout, key.public().to_pem().as_bytes(), "{kind}");
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn gnu_tar_lists_and_extracts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = kwb();
    std::fs::write(folder.path().join("a.kwb"), &bytes).unwrap();
    let Some(listed) = run(folder.path(), "tar", &["-tf", "a.kwb"]) else {
        return;
    };
    assert!(
        listed.status.success() && listed.stderr.is_empty(),
        "{listed:?}"
    );
    let entries = tar::read(&bytes).unwrap();
    let names: Vec<&str> = entries.iter().map(|e| e.name).collect();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    let extracted = run(folder.path(), "tar", &["-xf", "a.kwb"]).unwrap();
    assert!(
        extracted.status.success() && extracted.stderr.is_empty(),
        "{extracted:?}"
    );
    for entry in entries.iter().filter(|e| !e.name.ends_with('/')) {
        let found = std::fs::read(folder.path().join(entry.name)).unwrap();
        assert_eq!(found, entry.content, "{}", entry.name);
    }
}
