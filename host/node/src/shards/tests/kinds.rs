//! The kinds of stores whose shards say themselves what they are, made by the test from their published
//! rules.

use super::super::{LayoutError, check_layout};
use super::scratch::{Scratch, config, layout, noise, sha256, written};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use keepwell_model::store::{CasLayout, DigestKind, Encoding, State, StoreKind, Transform};
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
    let mut scratch = Scratch::new(StoreKind::Casync);
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
fn garage_blocks_are_named_by_what_they_expand_to_or_are() {
    let mut scratch = Scratch::new(StoreKind::Garage);
    let name = |block: &[u8]| {
        let hex = written(block, DigestKind::Blake2b512Truncated, Encoding::Hex);
        format!("{}/{}/{hex}", &hex[..2], &hex[2..4])
    };
    let blocks = [1, 2, 3].map(|seed| noise(seed, 5_000));
    let plain = name(&blocks[0]);
    scratch.put(&plain, &blocks[0]);
    let packed = name(&blocks[1]) + ".zst";
    scratch.put(&packed, &zstd::bulk::compress(&blocks[1], 1).unwrap());
    // Named as if it were compressed, and it is not.
    let odd = name(&blocks[2]) + ".zst";
    scratch.put(&odd, &blocks[2]);
    scratch.put("garage-marker", b"");
    scratch.put(&format!("{plain}.corrupted"), b"x");
    scratch.put(&format!("{plain}.tmp0a1b2c3d"), b"x");
    let told = scratch.verify();
    let state = |name: &str| told.state(name);
    assert_eq!(
        (state(&plain), state(&packed)),
        (Some(State::Ok), Some(State::Ok))
    );
    assert_eq!(state(&odd), Some(State::Corrupt));
    assert_eq!(
        state(&format!("{plain}.tmp0a1b2c3d")),
        Some(State::StaleTemp)
    );
    assert_eq!(told.verdicts.len(), 4);
    scratch.alter(&packed, |b| b.truncate(b.len() - 1));
    assert_eq!(scratch.verify().state(&packed), Some(State::Truncated));
}

#[test]
fn kubo_blocks_are_named_by_their_multihash() {
    let mut scratch = Scratch::new(StoreKind::Flatfs);
    let block = noise(1, 5_000);
    let digest = data_encoding::HEXLOWER.decode(sha256(&block).as_bytes());
    let multihash = [&[0x12, 32][..], &digest.unwrap()].concat();
    let name = data_encoding::BASE32_NOPAD.encode(&multihash);
    let path = format!("{}/{name}.data", &name[52..54]);
    scratch.put(&path, &block);
    scratch.put("SHARDING", b"/repo/flatfs/shard/v1/next-to-last/2\n");
    scratch.put("_README", b"...");
    // BLAKE3: may be right, and nothing here says so.
    let other = data_encoding::BASE32_NOPAD.encode(&[&[0x1e, 32][..], &multihash[2..]].concat());
    let other = format!("{}/{other}.data", &other[52..54]);
    scratch.put(&other, &block);
    scratch.put("stranger", b"x");
    let told = scratch.verify();
    assert_eq!(told.state(&path), Some(State::Ok));
    assert_eq!(told.state(&other), Some(State::Unverifiable));
    assert_eq!(told.state("stranger"), Some(State::Extra));
    assert_eq!(told.verdicts.len(), 3);
    scratch.alter(&path, |b| b[0] ^= 1);
    assert_eq!(scratch.verify().state(&path), Some(State::Corrupt));
}

#[test]
fn borg_2_packs_are_named_by_their_bytes() {
    let mut scratch = Scratch::new(StoreKind::Borg2);
    let pack = noise(1, 5_000);
    let hex = sha256(&pack);
    let name = format!("packs/{}/{hex}", &hex[..2]);
    scratch.put(&name, &pack);
    scratch.put("config/version", b"4\n");
    scratch.put(&format!("archives/{hex}"), b"");
    scratch.put(&format!("{name}.del"), &pack);
    scratch.put("packs/00/x.tmp", b"");
    let told = scratch.verify();
    assert_eq!(told.state(&name), Some(State::Ok));
    assert_eq!(told.state("packs/00/x.tmp"), Some(State::StaleTemp));
    assert_eq!(told.verdicts.len(), 2);
    scratch.alter(&name, |b| b.push(0));
    assert_eq!(scratch.verify().state(&name), Some(State::Oversize));
}

#[test]
fn what_ends_with_its_digest_verifies_itself() {
    let scratch = Scratch::new(StoreKind::Git);
    fs::create_dir(scratch.path("info")).unwrap();
    let mut scratch = scratch;
    let with_trailer = |body: &[u8], kind: DigestKind| {
        let hex = written(body, kind, Encoding::Hex);
        [
            body,
            &data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(),
        ]
        .concat()
    };
    // Longer than what is read at a time, and cut where it hurts.
    let lengths = [
        0,
        1,
        19,
        20,
        21,
        (64 << 10) - 20,
        (64 << 10) - 7,
        (64 << 10) + 1,
        200_000,
    ];
    for kind in [DigestKind::Sha1, DigestKind::Sha256] {
        for (n, length) in lengths.into_iter().enumerate() {
            let body = noise(n as u64, length);
            // Before git 1.8.5 a pack was named by the objects that are in it.
            let name = written(&[n as u8], kind, Encoding::Hex);
            scratch.put(
                &format!("pack/pack-{name}.pack"),
                &with_trailer(&body, kind),
            );
            scratch.put(
                &format!("pack/pack-{name}.idx"),
                &with_trailer(b"index", kind),
            );
        }
    }
    scratch.put("pack/pack-x.keep", b"");
    assert_eq!(scratch.verify().count(State::Ok), lengths.len() * 4);
    let listing = scratch.list(&[], 0).unwrap();
    let names: Vec<String> = listing.shards().iter().map(|s| s.name.clone()).collect();
    for (n, name) in names.iter().enumerate() {
        scratch.alter(name, |b| {
            let at = [0, b.len() / 2, b.len() - 1][n % 3];
            b[at] ^= 4;
        });
    }
    let told = scratch.verify();
    assert_eq!(told.count(State::Corrupt), names.len());
    assert!(told.detail(&names[0]).contains("hash to"));
    scratch.alter(&names[0], |b| b.truncate(7));
    assert_eq!(scratch.verify().state(&names[0]), Some(State::Truncated));
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
    for kind in StoreKind::ALL {
        // Nothing that is always there tells these.
        if matches!(kind, StoreKind::Cas | StoreKind::Casync | StoreKind::Garage) {
            continue;
        }
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
    for kind in StoreKind::ALL {
        let checked = check_layout(&config(kind, path));
        assert_eq!(checked.is_ok(), kind != StoreKind::Cas, "{kind:?}");
        let read: StoreKind = serde_json::from_value(kind.as_str().into()).unwrap();
        assert_eq!(read, kind);
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
    cas.layout = Some(CasLayout {
        templates: vec![],
        ..layout("{h}")
    });
    assert_eq!(check_layout(&cas), Err(LayoutError::Templates { count: 0 }));
    let many = vec!["{h}".to_owned(); 17];
    cas.layout = Some(CasLayout {
        templates: many,
        ..layout("{h}")
    });
    assert_eq!(
        check_layout(&cas),
        Err(LayoutError::Templates { count: 17 })
    );
}
