//! The kinds of stores, made by the test from their published rules.

use super::super::{LayoutError, check_layout};
use super::scratch::{Scratch, config, layout, noise, sha256, written};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use keepwell_model::store::{DigestKind, Encoding, State, StoreKind, Transform};
use keepwell_model::words::Code;
use std::fs;
use std::io::Write as _;
use std::path::Path;

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(vec![], Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn casync_chunks_are_named_by_what_they_expand_to() {
    let mut scratch = Scratch::new(StoreKind::Cas);
    let mut layout = layout("{h:4}/{h}.cacnk");
    layout.digest = DigestKind::Sha512_256;
    layout.transform = Transform::Zstd;
    scratch.config.layout = Some(layout);
    let mut names = vec![];
    for seed in 0..6 {
        let chunk = noise(seed, 300_000);
        let hex = written(&chunk, DigestKind::Sha512_256, Encoding::Hex);
        let name = format!("{}/{hex}.cacnk", &hex[..4]);
        scratch.put(&name, &zstd::bulk::compress(&chunk, 3).unwrap());
        names.push(name);
    }
    assert_eq!(scratch.verify().count(State::Ok), 6);
    scratch.alter(&names[0], |b| b.truncate(b.len() - 5));
    scratch.alter(&names[1], |b| b.extend_from_slice(b"tail"));
    scratch.alter(&names[2], |b| b[150_000] ^= 1);
    // Written anew at another level: other bytes, same chunk.
    let again = zstd::bulk::compress(&noise(3, 300_000), 9).unwrap();
    scratch.put(&names[3], &again);
    let told = scratch.verify();
    let states: Vec<_> = names.iter().map(|n| told.state(n).unwrap()).collect();
    use State::{Corrupt, Oversize, Truncated};
    assert_eq!(states[..3], [Truncated, Oversize, Corrupt]);
    assert_eq!(states[3..], [State::Ok; 3]);
}

#[test]
fn garage_and_flatfs_names_are_read() {
    let mut garage = Scratch::new(StoreKind::Cas);
    let mut rules = layout("{h:2}/{h:2..4}/{h}");
    rules.digest = DigestKind::Blake2b512Truncated;
    garage.config.layout = Some(rules);
    let block = noise(1, 5_000);
    let hex = written(&block, DigestKind::Blake2b512Truncated, Encoding::Hex);
    garage.put(&format!("{}/{}/{hex}", &hex[..2], &hex[2..4]), &block);
    assert_eq!(garage.verify().count(State::Ok), 1);

    let mut flatfs = Scratch::new(StoreKind::Cas);
    let mut rules = layout("blocks/{h:52..54}/{h}.data");
    rules.encoding = Encoding::Base32Upper;
    rules.ignore = vec!["blocks/SHARDING".to_owned()];
    flatfs.config.layout = Some(rules);
    let mut multihash = vec![0x12, 32];
    let digest = data_encoding::HEXLOWER.decode(sha256(&block).as_bytes());
    multihash.extend(digest.unwrap());
    let name = data_encoding::BASE32_NOPAD.encode(&multihash);
    let path = format!("blocks/{}/{name}.data", &name[52..54]);
    flatfs.put(&path, &block);
    flatfs.put("blocks/SHARDING", b"/repo/flatfs/shard/v1/next-to-last/2\n");
    let told = flatfs.verify();
    assert_eq!(told.verdicts.len(), 1);
    assert_eq!(told.state(&path), Some(State::Ok));
    flatfs.alter(&path, |b| b[0] ^= 1);
    assert_eq!(flatfs.verify().state(&path), Some(State::Corrupt));
}

#[test]
fn a_bomb_is_stopped_at_its_bound() {
    let mut scratch = Scratch::new(StoreKind::Cas);
    let mut rules = layout("{h}");
    rules.transform = Transform::Zstd;
    scratch.config.layout = Some(rules);
    let mut encoder = zstd::stream::Encoder::new(vec![], 1).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..300 {
        encoder.write_all(&zeros).unwrap();
    }
    let name = "0".repeat(64);
    scratch.put(&name, &encoder.finish().unwrap());
    let told = scratch.verify();
    assert_eq!(told.state(&name), Some(State::Unverifiable));
    assert!(told.detail(&name).contains("expands to more than"));
}

#[test]
fn git_objects_must_be_as_long_as_they_say() {
    let mut scratch = Scratch::new(StoreKind::GitLoose);
    fs::create_dir(scratch.path("pack")).unwrap();
    let put = |s: &Scratch, object: &[u8]| {
        let hex = written(object, DigestKind::Sha1, Encoding::Hex);
        let name = format!("{}/{}", &hex[..2], &hex[2..]);
        s.put(&name, &zlib(object));
        name
    };
    let good = put(&scratch, b"blob 5\0hello");
    // The digest is right each time; the object is not one.
    let bad = [
        put(&scratch, b"blob 4\0hello"),
        put(&scratch, b"blob 6\0hello"),
        put(&scratch, b"bulb 5\0hello"),
        put(&scratch, b"blob +5\0hello"),
        put(&scratch, b"no header at all, and longer than one may be"),
        put(&scratch, b""),
    ];
    scratch.put("12/tmp_obj_x", b"");
    let told = scratch.verify();
    assert_eq!(told.state(&good), Some(State::Ok));
    for name in &bad {
        assert_eq!(told.state(name), Some(State::Corrupt));
    }
    assert_eq!(told.state("12/tmp_obj_x"), Some(State::StaleTemp));
}

#[test]
fn sums_name_what_is_missing_and_what_is_extra() {
    let mut scratch = Scratch::new(StoreKind::Sha256sums);
    let sum = |b: &[u8]| sha256(b);
    scratch.put("a/one", b"1");
    scratch.put("two", b"2");
    scratch.put("three", b"3");
    scratch.put("stranger", b"?");
    let list = format!(
        "{}  a/one\n{} *./two\n\n{}  three\n{}  four\n",
        sum(b"1"),
        sum(b"2"),
        sum(b"2"),
        sum(b"4")
    );
    scratch.put("SHA256SUMS", list.as_bytes());
    scratch.put("SHA256SUMS.asc", b"signature");
    let told = scratch.verify();
    assert_eq!(told.state("a/one"), Some(State::Ok));
    assert_eq!(told.state("two"), Some(State::Ok));
    assert_eq!(told.state("three"), Some(State::Corrupt));
    assert_eq!(told.state("four"), Some(State::Missing));
    assert_eq!(told.state("stranger"), Some(State::Extra));
    assert_eq!(told.verdicts.len(), 5);
    // Still missing, not vanished, as long as the list names it.
    assert_eq!(scratch.verify().state("four"), Some(State::Missing));
    scratch.put("SHA256SUMS", format!("{}  ../two\n", sum(b"2")).as_bytes());
    let refusal = scratch.list(&[], 0).unwrap_err();
    assert_eq!(refusal.code, Code::Invalid);
    assert!(refusal.message.contains("line 1"), "{refusal}");
}

#[test]
fn an_image_layout_is_followed_from_its_index() {
    let mut scratch = Scratch::new(StoreKind::Oci);
    let put = |s: &Scratch, bytes: &[u8], media: &str| {
        let hex = sha256(bytes);
        s.put(&format!("blobs/sha256/{hex}"), bytes);
        let len = bytes.len();
        format!(r#"{{"mediaType":"{media}","digest":"sha256:{hex}","size":{len}}}"#)
    };
    let blob = |descriptor: &str| {
        let at = descriptor.find("sha256:").unwrap() + 7;
        format!("blobs/sha256/{}", &descriptor[at..at + 64])
    };
    let layer = put(&scratch, &noise(1, 9_000), "layer");
    let other = put(&scratch, &noise(2, 9_000), "layer");
    let image = put(&scratch, b"{}", "config");
    let far = r#"{"mediaType":"x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":1,"urls":["https://example.com"]}"#;
    let manifest = put(
        &scratch,
        format!(r#"{{"config":{image},"layers":[{layer},{other},{far}]}}"#).as_bytes(),
        "application/vnd.oci.image.manifest.v1+json",
    );
    let index = put(
        &scratch,
        format!(r#"{{"manifests":[{manifest}]}}"#).as_bytes(),
        "application/vnd.oci.image.index.v1+json",
    );
    scratch.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    scratch.put(
        "index.json",
        format!(r#"{{"manifests":[{index}]}}"#).as_bytes(),
    );
    let told = scratch.verify();
    assert!(told.bad().is_empty(), "{:?}", told.bad());
    assert_eq!(told.verdicts.len(), 5);

    // The size is known at first sight, from the descriptor.
    scratch.remembered.clear();
    scratch.alter(&blob(&layer), |b| b.truncate(8_999));
    fs::remove_file(scratch.path(&blob(&other))).unwrap();
    scratch.put("blobs/sha512/ab", b"x");
    let told = scratch.verify();
    assert_eq!(told.state(&blob(&layer)), Some(State::Truncated));
    assert_eq!(told.state(&blob(&other)), Some(State::Missing));
    assert_eq!(told.state("blobs/sha512/ab"), Some(State::Unverifiable));
    assert_eq!(told.bad().len(), 3);

    // A damaged manifest: what it named is not known, and that is said.
    scratch.alter(&blob(&manifest), |b| b[0] ^= 1);
    let told = scratch.verify();
    let of: Vec<_> = told
        .verdicts
        .iter()
        .filter(|v| v.shard == blob(&manifest))
        .collect();
    assert_eq!(of.len(), 2);
    assert_eq!(of[0].state, State::Unverifiable);
    assert_eq!(of[1].state, State::Corrupt);
    scratch.put("index.json", b"{\"manifests\": [[[[");
    assert_eq!(scratch.verify().state("index.json"), Some(State::Corrupt));
}

#[test]
fn a_store_must_be_what_it_is_called() {
    for kind in [
        StoreKind::Restic,
        StoreKind::Oci,
        StoreKind::GitLoose,
        StoreKind::Sha256sums,
    ] {
        let scratch = Scratch::new(kind);
        assert_eq!(scratch.open().unwrap_err().code, Code::Gone);
        scratch.put("something", b"x");
        let refusal = scratch.open().unwrap_err();
        assert_eq!(refusal.code, Code::Gone, "{kind:?}");
        assert!(refusal.hint.is_some());
    }
}

#[test]
fn descriptions_are_checked_before_anything_is_opened() {
    let path = Path::new("/nowhere");
    for kind in [
        StoreKind::Restic,
        StoreKind::Oci,
        StoreKind::GitLoose,
        StoreKind::Sha256sums,
    ] {
        check_layout(&config(kind, path)).unwrap();
    }
    let mut cas = config(StoreKind::Cas, path);
    assert_eq!(check_layout(&cas), Err(LayoutError::NoLayout));
    cas.layout = Some(layout("data/{h:2}"));
    let why = check_layout(&cas).unwrap_err();
    assert!(matches!(why, LayoutError::Template { index: 0, .. }));
    let source = std::error::Error::source(&why).unwrap().to_string();
    assert!(source.contains("`{h}`"), "{source}");
    let mut rules = layout("{h}");
    rules.ignore.push("a/[".to_owned());
    cas.layout = Some(rules);
    assert!(matches!(
        check_layout(&cas),
        Err(LayoutError::Glob {
            list: "layout.ignore",
            index: 1,
            ..
        })
    ));
    let mut stray = config(StoreKind::Restic, path);
    stray.layout = Some(layout("{h}"));
    assert!(matches!(
        check_layout(&stray),
        Err(LayoutError::StrayLayout { .. })
    ));
    let mut sums = config(StoreKind::Sha256sums, path);
    sums.list = Some("../SHA256SUMS".to_owned());
    assert!(matches!(check_layout(&sums), Err(LayoutError::List { .. })));
}
