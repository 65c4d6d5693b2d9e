//! Signatures by the real `ssh-keygen`, and bytes that are none.

use super::*;
use crate::key::SecretKey;
use proptest::prelude::*;
use std::path::Path;

/// Made by `ssh-keygen -Y sign -n keepwell-approval` of OpenSSH 9.2 over `hello` and a line end.
const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgM+hgN3C4VHSR3pWUEwEfZfWn8t
4EX0Ex6zswA+XiIbcAAAARa2VlcHdlbGwtYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA
AAALc3NoLWVkMjU1MTkAAABAgCz5uJvdFptbBuUI7H6vQyPHcSq5IGaY9V8Uz8I2IKlEJN
wRhSje3Ve2RJV+n+9F9WY21/VlrTh07mCofZLSCA==
-----END SSH SIGNATURE-----
";
/// The key that made it.
const KEY: &str = "ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIDPoYDdwuFR0kd6VlBMBH2X1p/LeBF9BMes7MAPl4iG3 anna@laptop\n";

/// The parts of a signature, each open to be changed.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) key_kind: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) reserved: &'static [u8],
    pub(crate) hash: &'static str,
    pub(crate) signature_kind: &'static str,
    pub(crate) version: u32,
}

pub(crate) const SOUND: Parts = Parts {
    key_kind: ED25519,
    namespace: SSH_NAMESPACE,
    reserved: b"",
    hash: "sha512",
    signature_kind: ED25519,
    version: VERSION,
};

fn string(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![];
    for part in parts {
        put(&mut out, part);
    }
    out
}

fn armored(blob: &[u8]) -> String {
    let base64 = BASE64.encode(blob);
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!("{BEGIN}{}\n{END}\n", lines.join("\n"))
}

impl Parts {
    pub(crate) fn sign(&self, key: &SecretKey, message: &[u8]) -> String {
        let digest = match self.hash {
            "sha256" => Digest::of(message).as_bytes().to_vec(),
            _ => Sha512::digest(message).to_vec(),
        };
        let head: [&[u8]; 3] = [
            self.namespace.as_bytes(),
            self.reserved,
            self.hash.as_bytes(),
        ];
        let signed = [MAGIC, &string(&head), &string(&[&digest])].concat();
        let text = key.public().to_string();
        let point = BASE64.decode(&text.as_bytes()["ed25519:".len()..]).unwrap();
        let public = string(&[self.key_kind.as_bytes(), &point]);
        let signature = string(&[self.signature_kind.as_bytes(), &key.sign(&signed)]);
        let version = self.version.to_be_bytes();
        let blob = [
            MAGIC,
            &version,
            &string(&[&public]),
            &string(&head),
            &string(&[&signature]),
        ];
        armored(&blob.concat())
    }
}

#[test]
fn a_signature_of_the_real_tool() {
    let it = SshSignature::parse(SIGNATURE).unwrap();
    let (key, comment) = parse_ssh_key(KEY).unwrap();
    assert_eq!((it.key, comment), (key, "anna@laptop"));
    assert!(it.verifies(b"hello\n"));
    for other in [&b"hello"[..], b"hello\n\n", b"Hello\n", b""] {
        assert!(!it.verifies(other));
    }
}

#[test]
fn both_digests_verify() {
    let key = SecretKey::generate([3; 32]);
    for hash in ["sha256", "sha512"] {
        let it = SshSignature::parse(&Parts { hash, ..SOUND }.sign(&key, b"m")).unwrap();
        assert!(it.verifies(b"m") && !it.verifies(b"n"), "{hash}");
        assert_eq!(it.key, key.public());
    }
}

#[test]
fn soundly_signed_and_refused_all_the_same() {
    let key = SecretKey::generate([3; 32]);
    let refused = |parts: Parts| SshSignature::parse(&parts.sign(&key, b"m")).unwrap_err();
    for namespace in ["file", "git", "keepwell-approval2", ""] {
        let refused = refused(Parts { namespace, ..SOUND });
        assert!(matches!(refused, BadSsh::Namespace { .. }), "{refused}");
    }
    for hash in ["sha1", "SHA512", ""] {
        let refused = refused(Parts { hash, ..SOUND });
        assert!(matches!(refused, BadSsh::Hash { .. }), "{refused}");
    }
    for kind in [
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ] {
        let refused = refused(Parts {
            key_kind: kind,
            ..SOUND
        });
        assert!(refused.is_about_the_key(), "{refused}");
        assert!(matches!(refused, BadSsh::Token { .. }), "{refused}");
    }
    for kind in [
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ssh-ed25519-cert-v01@openssh.com",
        "",
    ] {
        for parts in [
            Parts {
                key_kind: kind,
                ..SOUND
            },
            Parts {
                signature_kind: kind,
                ..SOUND
            },
        ] {
            let refused = refused(parts);
            assert!(matches!(refused, BadSsh::Kind { .. }), "{refused}");
        }
    }
    for parts in [
        Parts {
            reserved: b"x",
            ..SOUND
        },
        Parts {
            version: 2,
            ..SOUND
        },
    ] {
        assert!(matches!(refused(parts), BadSsh::Damaged(_)));
    }
}

#[test]
fn other_armor_is_refused() {
    assert!(SshSignature::parse(SIGNATURE.trim_end()).is_ok());
    for bad in [
        "",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        &SIGNATURE.replace('\n', "\r\n"),
        &SIGNATURE.replace("SSH SIG", "PGP SIG"),
        &SIGNATURE.replace("==", "="),
        &SIGNATURE.replace("SCA==", "SCB=="),
        &SIGNATURE.replacen("t\n", "t", 1).replacen("A\n", "A", 1),
        &format!(" {SIGNATURE}"),
        &format!("{SIGNATURE}\n"),
        &format!("{SIGNATURE}{SIGNATURE}"),
    ] {
        assert_eq!(SshSignature::parse(bad), Err(BadSsh::Armor), "{bad}");
    }
    let line = format!("{}\n", "A".repeat(76));
    let long = format!(
        "{BEGIN}{}{END}\n",
        line.repeat(ARMOR_MAX_BYTES / line.len())
    );
    assert!(matches!(
        SshSignature::parse(&long),
        Err(BadSsh::TooLong(_))
    ));
    let blob = unarmored(SIGNATURE).unwrap();
    let more = armored(&[&blob[..], b"x"].concat());
    assert!(matches!(
        SshSignature::parse(&more),
        Err(BadSsh::Damaged(_))
    ));
    for cut in 0..blob.len() {
        assert!(
            SshSignature::parse(&armored(&blob[..cut])).is_err(),
            "{cut}"
        );
    }
}

#[test]
fn public_key_lines() {
    let (key, _) = parse_ssh_key(KEY).unwrap();
    let line = KEY.trim_end();
    assert_eq!(
        parse_ssh_key(&line.replace(" anna@laptop", "")),
        Ok((key, ""))
    );
    assert_eq!(
        parse_ssh_key(&format!("{line} of 2026")).unwrap().1,
        "anna@laptop of 2026"
    );
    for bad in [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        &line.replace("AAAAC3", "AAAAC4"),
        &line.replace("iG3", "iG3="),
        &line.replace("iG3", ""),
        &line.replace(' ', "\t"),
        &format!("{line}\n{line}"),
        &format!("restrict {line}"),
        &line.replacen("ssh-ed25519", "ssh-rsa", 1),
        &line.replacen("ssh-ed25519", "sk-ssh-ed25519@openssh.com", 1),
        &format!("{line}{}", "x".repeat(KEY_LINE_MAX_BYTES)),
    ] {
        assert!(parse_ssh_key(bad).is_err(), "{bad:.90}");
    }
}

/// Whether the tool is there. In CI it must be.
pub(crate) fn have(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !there {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "{tool} is not installed, and CI=true");
        eprintln!("SKIPPED: {tool} is not installed");
    }
    there
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests sign with the real tool"
)]
pub(crate) fn ssh_keygen(dir: &Path, args: &[&str]) {
    let out = std::process::Command::new("ssh-keygen")
        .args(args)
        .current_dir(dir)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ssh-keygen {args:?}: {err}");
}

#[test]
fn the_real_tool_signs_what_verifies_here() {
    if !have("ssh-keygen") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    ssh_keygen(
        dir.path(),
        &["-q", "-t", "ed25519", "-N", "", "-C", "c", "-f", "key"],
    );
    let (public, comment) = parse_ssh_key(&read("key.pub"))
        .map(|(k, c)| (k, c.to_owned()))
        .unwrap();
    assert_eq!(comment, "c");
    for (n, message) in [&b""[..], b"m", &[0xff; 5_000]].into_iter().enumerate() {
        for hash in ["sha256", "sha512"] {
            let name = format!("{n}-{hash}");
            std::fs::write(dir.path().join(&name), message).unwrap();
            let option = format!("hashalg={hash}");
            let sign = [
                "-Y",
                "sign",
                "-n",
                SSH_NAMESPACE,
                "-O",
                &option,
                "-f",
                "key",
                &name,
            ];
            ssh_keygen(dir.path(), &sign);
            let it = SshSignature::parse(&read(&format!("{name}.sig"))).unwrap();
            assert_eq!(it.key, public);
            assert!(it.verifies(message), "{name}");
            assert!(!it.verifies(b"other"), "{name}");
        }
    }
    // It does not write over a signature.
    std::fs::remove_file(dir.path().join("1-sha256.sig")).unwrap();
    ssh_keygen(
        dir.path(),
        &["-Y", "sign", "-n", "file", "-f", "key", "1-sha256"],
    );
    let refused = SshSignature::parse(&read("1-sha256.sig"));
    assert!(
        matches!(refused, Err(BadSsh::Namespace { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_real_tools_other_keys_are_refused_with_their_kind() {
    if !have("ssh-keygen") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m"), "m").unwrap();
    for kind in ["rsa", "ecdsa"] {
        ssh_keygen(dir.path(), &["-q", "-t", kind, "-N", "", "-f", kind]);
        let line = std::fs::read_to_string(dir.path().join(format!("{kind}.pub"))).unwrap();
        assert!(
            matches!(parse_ssh_key(&line), Err(BadSsh::Kind { .. })),
            "{kind}"
        );
        let _ = std::fs::remove_file(dir.path().join("m.sig"));
        ssh_keygen(
            dir.path(),
            &["-Y", "sign", "-n", SSH_NAMESPACE, "-f", kind, "m"],
        );
        let text = std::fs::read_to_string(dir.path().join("m.sig")).unwrap();
        let refused = SshSignature::parse(&text);
        assert!(
            matches!(refused, Err(BadSsh::Kind { .. })),
            "{kind}: {refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}", blob in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse_ssh_key(&text);
        let _ = parse_ssh_key(&format!("ssh-ed25519 {}", BASE64.encode(&blob)));
        let _ = SshSignature::parse(&text);
        let _ = SshSignature::parse(&armored(&[MAGIC, &1u32.to_be_bytes(), &blob].concat()));
    }

    /// No bit of a signature is free: flipped, it is refused, somebody else's or does not fit.
    #[test]
    fn every_bit_counts(at in 0usize..4_000, bit in 0u8..8) {
        let mut blob = unarmored(SIGNATURE).unwrap();
        let at = at % blob.len();
        blob[at] ^= 1 << bit;
        if let Ok(it) = SshSignature::parse(&armored(&blob)) {
            prop_assert!(!it.verifies(b"hello\n"), "byte {} bit {}", at, bit);
        }
    }
}
