//! The kinds of stores that are lists: what they name must be there, and as they say.

use super::scratch::{Scratch, sha256, written};
use keepwell_model::store::{DigestKind, Encoding, State, StoreKind};
use keepwell_model::words::Code;
use std::fs;

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
fn a_table_of_shards_names_paths_digests_and_sizes() {
    let row = |path: &str, bytes: &[u8]| (path.to_owned(), sha256(bytes), bytes.len());
    let rows = [
        row("b1/one", b"1"),
        row("b1/two", b"22"),
        row("b1/three, \"odd\"", b"333"),
    ];
    let csv = |rows: &[(String, String, usize)]| {
        let mut text = "shard_id,storage_path,checksum,size_bytes,verified_at\n".to_owned();
        for (n, (path, sum, size)) in rows.iter().enumerate() {
            let path = path.replace('"', "\"\"");
            text += &format!("{n},\"{path}\",{},{size},\n", sum.to_uppercase());
        }
        text
    };
    let json = |rows: &[(String, String, usize)]| {
        let row = |(path, sum, size): &(String, String, usize)| serde_json::json!({ "path": path, "sha256": sum, "bytes": size, "more": null });
        serde_json::Value::from_iter(rows.iter().map(row)).to_string()
    };
    for (table, text) in [(None, csv(&rows)), (Some("lists/all.json"), json(&rows))] {
        let mut scratch = Scratch::new(StoreKind::ShardTable);
        scratch.config.list = table.map(str::to_owned);
        let table = table.unwrap_or("shards.csv");
        scratch.put(table, text.as_bytes());
        scratch.put("b1/one", b"1");
        // Of another length, which is seen before it is read.
        scratch.put("b1/two", b"222");
        scratch.put("b1/more", b"x");
        let told = scratch.verify();
        assert_eq!(told.state("b1/one"), Some(State::Ok), "{table}");
        assert_eq!(told.state("b1/two"), Some(State::Oversize));
        assert_eq!(told.state("b1/three, \"odd\""), Some(State::Missing));
        assert_eq!(told.state("b1/more"), Some(State::Extra));
        assert_eq!(told.verdicts.len(), 4);
    }

    let mut scratch = Scratch::new(StoreKind::ShardTable);
    let twice = csv(&[row("a", b"1"), row("./a", b"2")]);
    for (text, why) in [
        (
            "storage_path,size_bytes\na,1\n",
            "row 1 of `shards.csv` cannot be read",
        ),
        ("storage_path,checksum\na,abc\n", "no SHA-256"),
        (&csv(&[row("../a", b"1")]), "`..`"),
        (
            &twice,
            "row 2 of `shards.csv` has a path that another row has",
        ),
    ] {
        scratch.put("shards.csv", text.as_bytes());
        let refusal = scratch.list(&[], 0).unwrap_err();
        assert_eq!(refusal.code, Code::Invalid, "{refusal}");
        assert!(refusal.message.contains(why), "{refusal}");
    }
    scratch.config.list = Some("t.json".to_owned());
    scratch.put("t.json", b"{}");
    assert!(
        scratch
            .list(&[], 0)
            .unwrap_err()
            .message
            .contains("not a table")
    );
    let file = fs::File::create(scratch.path("t.json")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    assert_eq!(scratch.list(&[], 0).unwrap_err().code, Code::Limit);
}

/// A bag of three files, with a manifest of this algorithm.
fn bag(algorithm: &str, written: impl Fn(&[u8]) -> String) -> Scratch {
    let scratch = Scratch::new(StoreKind::Bagit);
    scratch.put(
        "bagit.txt",
        b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
    );
    let mut lines = String::new();
    for (path, shown) in [
        ("data/one", "data/one"),
        ("data/deep/two", "data/deep/two"),
        ("data/100%", "data/100%25"),
    ] {
        scratch.put(path, path.as_bytes());
        lines += &format!("{}  {shown}\n", written(path.as_bytes()));
    }
    scratch.put(&format!("manifest-{algorithm}.txt"), lines.as_bytes());
    scratch
}

#[test]
fn a_bag_is_verified_by_its_strongest_manifest() {
    let sha512 = |bytes: &[u8]| {
        use sha2::Digest as _;
        data_encoding::HEXLOWER.encode(&sha2::Sha512::digest(bytes))
    };
    let sha1 = |bytes: &[u8]| written(bytes, DigestKind::Sha1, Encoding::Hex);
    for mut bag in [
        bag("sha512", sha512),
        bag("sha256", sha256),
        bag("sha1", sha1),
    ] {
        assert_eq!(bag.verify().count(State::Ok), 3);
        bag.alter("data/one", |b| b[0] ^= 1);
        fs::remove_file(bag.path("data/deep/two")).unwrap();
        bag.put("data/more", b"x");
        bag.put("notes.txt", b"beside the payload, and not named");
        let told = bag.verify();
        assert_eq!(told.state("data/one"), Some(State::Corrupt));
        assert_eq!(told.state("data/deep/two"), Some(State::Missing));
        assert_eq!(told.state("data/more"), Some(State::Extra));
        assert_eq!(told.state("data/100%"), Some(State::Ok));
        assert_eq!(told.verdicts.len(), 4);
    }

    let mut bag = bag("sha256", sha256);
    // A weaker one beside it is not asked.
    bag.put("manifest-md5.txt", b"nonsense");
    bag.put("manifest-sha1.txt", b"nonsense");
    let tags = format!(
        "{}  bagit.txt\n{}  tags/a.xml\n",
        sha256(b"other"),
        sha256(b"a")
    );
    bag.put("tagmanifest-sha256.txt", tags.as_bytes());
    bag.put("tags/a.xml", b"a");
    let told = bag.verify();
    assert_eq!(told.state("bagit.txt"), Some(State::Corrupt));
    assert_eq!(told.state("tags/a.xml"), Some(State::Ok));
    assert_eq!(told.verdicts.len(), 5);

    bag.put("manifest-sha256.txt", b"ba7816bf  data/one\n");
    let refusal = bag.list(&[], 0).unwrap_err();
    assert_eq!(refusal.code, Code::Invalid);
    assert!(
        refusal.message.contains("line 1 of `manifest-sha256.txt`"),
        "{refusal}"
    );
    for kind in ["sha256", "sha1"] {
        fs::remove_file(bag.path(&format!("manifest-{kind}.txt"))).unwrap();
    }
    let refusal = bag.list(&[], 0).unwrap_err();
    assert!(refusal.message.contains("no manifest"), "{refusal}");
}
