//! Objects go in and come back; damage is found, made good where it can be, and told where not.

#![expect(clippy::unwrap_used, reason = "a test may end at what fails")]

use keepwell_bundle::SecretKey;
use keepwell_model::store::State;
use keepwell_store::{
    Error, Hash, Header, Imported, Importer, ObjectKind, Repaired, Scheme, Store, write_tree,
};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const NOW_MS: u64 = 1_764_000_000_000;

struct Scene {
    folder: TempDir,
    key: SecretKey,
    store: Store,
}

impl Scene {
    /// Groups of `4 x 64` bytes unless the scheme says otherwise.
    fn new(scheme: &str) -> Self {
        Self::with(scheme, Hash::Blake3)
    }

    fn with(scheme: &str, hash: Hash) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::generate([3; 32]);
        let path = folder.path().join("store");
        let scheme = scheme.parse().unwrap();
        let store = Store::create(&path, hash, scheme, 64, &key.public()).unwrap();
        Self { folder, key, store }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&self, name: &str, bytes: &[u8]) -> Imported {
        let mut importer = Importer::new(&self.store, name, ObjectKind::File).unwrap();
        importer.write_all(bytes).unwrap();
        importer.finish(&self.key, NOW_MS).unwrap()
    }

    fn export(&self, name: &str) -> Result<Vec<u8>, Error> {
        let to = self.at("out");
        let _ = std::fs::remove_file(&to);
        let listed = self.store.object(name)?;
        self.store.export(&listed, &to, &mut |_| {})?;
        Ok(std::fs::read(to).unwrap())
    }

    fn verified(&self) -> keepwell_store::Survey {
        self.store.survey(true, &mut |_| {}).unwrap()
    }

    fn shard(&self, group: usize, index: usize) -> PathBuf {
        let manifest = &self.verified().groups[group].manifest;
        let hex = manifest.shards[index].digest.hex();
        let ending = manifest.shards[index].digest.hash.as_str();
        let below = format!("store/shards/{}/{}/{hex}.{ending}", &hex[..2], &hex[2..4]);
        self.at(&below)
    }
}

fn some_bytes(count: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// All files below a folder and their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    all
}

fn writable(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn what_goes_in_comes_back_whatever_its_length() {
    for scheme in ["4+2", "x3", "2+1", "x1"] {
        for hash in [Hash::Blake3, Hash::Sha256] {
            let scene = Scene::with(scheme, hash);
            for length in [0, 1, 2, 63, 64, 255, 256, 257, 1_000, 2_048] {
                let (name, bytes) = (format!("object-{length}"), some_bytes(length));
                let imported = scene.import(&name, &bytes);
                assert_eq!(imported.object.size, length as u64);
                assert_eq!(imported.object.digest, hash.of(&bytes));
                assert_eq!(scene.export(&name).unwrap(), bytes, "{scheme} {length}");
                let id = imported.object.id.to_string();
                assert_eq!(scene.export(&id).unwrap(), bytes);
            }
            let survey = scene.verified();
            assert_eq!(survey.objects.len(), 10);
            assert!(survey.objects.iter().all(|(_, complete)| *complete));
            assert_eq!(survey.states.keys().collect::<Vec<_>>(), [&State::Ok]);
            assert!(survey.extra.is_empty() && survey.wrong.is_empty());
        }
    }
}

/// The store's own names are what other tools say of its files.
#[test]
fn a_shard_is_named_by_its_digest_and_says_where_it_belongs() {
    let scene = Scene::with("4+2", Hash::Sha256);
    let imported = scene.import("object", &some_bytes(1_000));
    let path = scene.shard(1, 5);
    let bytes = std::fs::read(&path).unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    assert_eq!(Hash::Sha256.of(&bytes).hex(), name);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.object, imported.object.id);
    assert_eq!((header.index, header.offset, header.len), (5, 256, 256));
    assert_eq!(
        header.payload,
        Hash::Sha256.of(&bytes[keepwell_store::HEADER_BYTES..])
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[test]
fn a_tree_comes_back_with_its_links_modes_and_times() {
    let scene = Scene::new("4+2");
    let tree = scene.at("tree");
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    let long = "n".repeat(200);
    std::fs::write(tree.join("a/b").join(&long), some_bytes(700)).unwrap();
    std::fs::write(tree.join("a/run.sh"), "#!/bin/sh\n").unwrap();
    let script = std::fs::Permissions::from_mode(0o750);
    std::fs::set_permissions(tree.join("a/run.sh"), script).unwrap();
    std::os::unix::fs::symlink("../outside", tree.join("a/link")).unwrap();
    std::fs::create_dir(tree.join("empty")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();

    let mut importer = Importer::new(&scene.store, "tree", ObjectKind::Tree).unwrap();
    let left = write_tree(&tree, &mut importer).unwrap();
    importer.finish(&scene.key, NOW_MS).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].path, Path::new("socket"));

    let to = scene.at("back");
    let listed = scene.store.object("tree").unwrap();
    scene.store.export(&listed, &to, &mut |_| {}).unwrap();
    assert_eq!(
        std::fs::read(to.join("a/b").join(&long)).unwrap(),
        some_bytes(700)
    );
    let meta = |at: &Path| std::fs::metadata(at.join("a/run.sh")).unwrap();
    assert_eq!(meta(&to).permissions().mode() & 0o777, 0o750);
    let seconds = |at: &Path| {
        let time = meta(at).modified().unwrap();
        time.duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    assert_eq!(seconds(&to), seconds(&tree));
    assert_eq!(
        std::fs::read_link(to.join("a/link")).unwrap(),
        Path::new("../outside")
    );
    assert!(to.join("empty").is_dir());
    assert!(!to.join("socket").exists());
    // Nothing is overwritten.
    let again = scene.store.export(&listed, &to, &mut |_| {});
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
}

/// What can happen to a file on a disk.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip(usize),
    Truncate,
    Empty,
    Append,
    Zero,
    Delete,
    Folder,
    Link,
    OtherShard,
}

const DAMAGES: [Damage; 11] = [
    Damage::Flip(0),
    Damage::Flip(50),
    Damage::Flip(140),
    Damage::Truncate,
    Damage::Empty,
    Damage::Append,
    Damage::Zero,
    Damage::Delete,
    Damage::Folder,
    Damage::Link,
    Damage::OtherShard,
];

fn damage(path: &Path, other: &Path, how: Damage) {
    let mut bytes = std::fs::read(path).unwrap();
    writable(path);
    match how {
        Damage::Flip(at) => {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 4;
        }
        Damage::Truncate => bytes.truncate(bytes.len() - 1),
        Damage::Empty => bytes.clear(),
        Damage::Append => bytes.push(0),
        Damage::Zero => bytes.fill(0),
        Damage::OtherShard => bytes = std::fs::read(other).unwrap(),
        Damage::Delete | Damage::Folder | Damage::Link => {
            std::fs::remove_file(path).unwrap();
            match how {
                Damage::Folder => std::fs::create_dir(path).unwrap(),
                Damage::Link => std::os::unix::fs::symlink(other, path).unwrap(),
                _ => {}
            }
            return;
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn each_damage_is_seen_and_made_good() {
    for how in DAMAGES {
        let scene = Scene::new("4+2");
        let bytes = some_bytes(600);
        scene.import("object", &bytes);
        let before = files(&scene.at("store/shards"));
        damage(&scene.shard(0, 1), &scene.shard(0, 3), how);
        let survey = scene.verified();
        let bad: Vec<State> = survey.states.keys().copied().collect();
        let expected = match how {
            Damage::Flip(_) | Damage::Zero | Damage::OtherShard => State::Corrupt,
            Damage::Truncate | Damage::Empty => State::Truncated,
            Damage::Append => State::Oversize,
            Damage::Delete => State::Missing,
            Damage::Folder | Damage::Link => State::Unreadable,
        };
        assert!(
            bad.contains(&expected) && bad.len() == 2,
            "{how:?}: {bad:?}"
        );
        assert_eq!(survey.degraded().count(), 1);
        assert_eq!(survey.groups[0].spare(), Some(1));
        assert_eq!(scene.export("object").unwrap(), bytes, "{how:?}");
        let group = &survey.groups[0].manifest;
        let done = scene.store.repair(group, NOW_MS).unwrap();
        assert_eq!(done, Repaired::Whole { made: 1 }, "{how:?}");
        assert_eq!(files(&scene.at("store/shards")), before, "{how:?}");
        let again = scene.store.repair(group, NOW_MS).unwrap();
        assert_eq!(again, Repaired::Whole { made: 0 });
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 48, ..Default::default() })]

    /// Any damage to at most m shards of a group is made good byte for byte; any more is told as
    /// loss and touches nothing. What was in the store is there or in the quarantine.
    #[test]
    fn at_most_m_are_made_good_and_more_is_loss(
        length in 1usize..1_500,
        scheme in proptest::sample::select(vec!["4+2", "3+2", "x3", "2+3"]),
        hits in proptest::collection::vec((0usize..6, 0usize..6, 0usize..DAMAGES.len()), 0..8),
    ) {
        let scene = Scene::new(scheme);
        let bytes = some_bytes(length);
        scene.import("object", &bytes);
        let before = files(&scene.at("store/shards"));
        let groups = scene.verified().groups;
        // Good shards for others to be taken for, which stay as they are.
        let others: BTreeMap<PathBuf, &Vec<u8>> = [before.values().next(), before.values().last()]
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(n, bytes)| (scene.at(&format!("other-{n}")), bytes))
            .collect();
        for (path, bytes) in &others {
            std::fs::write(path, bytes).unwrap();
        }
        let mut hit: BTreeMap<usize, std::collections::BTreeSet<usize>> = BTreeMap::new();
        let mut damaged = vec![];
        for (group, index, how) in hits {
            let (group, n) = (group % groups.len(), groups[0].states.len());
            let index = index % n;
            let path = |index: usize| {
                let digest = &groups[group].manifest.shards[index].digest;
                let hex = digest.hex();
                let below = format!("store/shards/{}/{}/{hex}.blake3", &hex[..2], &hex[2..4]);
                scene.at(&below)
            };
            let other = others.iter().find(|(_, it)| **it != &before[&path(index)]).unwrap().0;
            if hit.entry(group).or_default().insert(index) {
                damage(&path(index), other, DAMAGES[how]);
                damaged.extend(std::fs::read(path(index)).ok().filter(|_| path(index).is_file()));
            }
        }
        let m = scheme.parse::<Scheme>().unwrap().m();
        let survey = scene.verified();
        let whole = hit.values().all(|it| it.len() <= m);
        proptest::prop_assert_eq!(survey.lost().count() == 0, whole);
        for group in scene.store.order(survey.groups.iter()) {
            let lost_before = files(&scene.at("store"));
            let done = scene.store.repair(&group.manifest, NOW_MS).unwrap();
            if let Repaired::Lost(loss) = done {
                proptest::prop_assert!(loss.good < loss.needed);
                proptest::prop_assert_eq!(files(&scene.at("store")), lost_before);
            }
        }
        match whole {
            true => {
                proptest::prop_assert_eq!(files(&scene.at("store/shards")), before);
                proptest::prop_assert_eq!(scene.export("object").unwrap(), bytes);
            }
            false => {
                let lost = matches!(scene.export("object"), Err(Error::Lost { .. }));
                proptest::prop_assert!(lost);
            }
        }
        // Nothing that was there is gone.
        let kept: Vec<Vec<u8>> = files(&scene.at("store")).into_values().collect();
        for bytes in damaged {
            proptest::prop_assert!(kept.contains(&bytes));
        }
    }
}

#[test]
fn what_nobody_who_may_has_signed_is_no_manifest() {
    let scene = Scene::new("4+2");
    scene.import("object", &some_bytes(100));
    let (path, text) = files(&scene.at("store/groups")).pop_first().unwrap();
    let text = String::from_utf8(text).unwrap();
    let broken = |text: &str| {
        writable(&path);
        std::fs::write(&path, text).unwrap();
        let survey = scene.verified();
        assert!(survey.objects.is_empty(), "{text}");
        survey.wrong
    };
    let forged = broken(&text.replace("\"name\": \"object\"", "\"name\": \"other\""));
    assert!(matches!(forged[0], Error::Unsigned { .. }), "{forged:?}");
    let unknown = broken(&text.replace("\"offset\"", "\"more\": 1, \"offset\""));
    assert!(matches!(unknown[0], Error::Damaged { .. }), "{unknown:?}");
    let cut = broken(&text[..text.len() / 2]);
    assert!(matches!(cut[0], Error::Damaged { .. }), "{cut:?}");
    // Its shards belong to nothing then, and are told as such.
    assert_eq!(scene.verified().extra.len(), 6);

    // Of another store: signed by the same hand, and still not of this one.
    let other = Scene::new("4+2");
    other.import("object", &some_bytes(100));
    let (name, text) = files(&other.at("store/groups")).pop_first().unwrap();
    let to = scene
        .at("store/groups")
        .join(name.parent().unwrap().file_name().unwrap());
    std::fs::create_dir_all(&to).unwrap();
    std::fs::write(to.join(name.file_name().unwrap()), text).unwrap();
    let wrong = scene.verified().wrong;
    assert!(
        wrong.iter().any(|e| e.to_string().contains("of store")),
        "{wrong:?}"
    );

    // Another key does not sign here.
    let mut importer = Importer::new(&scene.store, "more", ObjectKind::File).unwrap();
    importer.write_all(b"more").unwrap();
    let stranger = SecretKey::generate([4; 32]);
    let refused = importer.finish(&stranger, NOW_MS);
    assert!(
        matches!(refused, Err(Error::Unsigned { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_import_that_ends_early_leaves_nothing() {
    let scene = Scene::new("4+2");
    let mut importer = Importer::new(&scene.store, "object", ObjectKind::File).unwrap();
    importer.write_all(&some_bytes(1_000)).unwrap();
    assert_eq!(files(&scene.at("store/shards")).len(), 18);
    drop(importer);
    assert!(files(&scene.at("store/shards")).is_empty());
    assert!(files(&scene.at("store/tmp")).is_empty());
    scene.import("object", &some_bytes(10));
    let twice = Importer::new(&scene.store, "object", ObjectKind::File);
    assert!(matches!(twice, Err(Error::Taken(_))));
}

#[test]
fn a_manifest_that_is_gone_leaves_an_object_that_is_not_given_out() {
    let scene = Scene::new("4+2");
    scene.import("object", &some_bytes(1_000));
    let (path, _) = files(&scene.at("store/groups")).pop_first().unwrap();
    std::fs::remove_file(path).unwrap();
    assert!(!scene.verified().objects[0].1);
    assert!(matches!(
        scene.export("object"),
        Err(Error::Incomplete { .. })
    ));
    assert!(!scene.at("out").exists());
}

/// A disk that is not mounted is a folder without a marker, and nobody repairs that.
#[test]
fn a_folder_without_its_marker_is_no_store() {
    let scene = Scene::new("4+2");
    let path = scene.at("store");
    std::fs::rename(path.join("marker"), scene.at("marker")).unwrap();
    let none = Store::open(&path).unwrap_err();
    assert!(none.to_string().contains("marker"), "{none}");
    std::fs::write(path.join("marker"), "0".repeat(32)).unwrap();
    let other = Store::open(&path).unwrap_err();
    assert!(other.to_string().contains("another store"), "{other}");
    assert!(matches!(
        Store::open(&scene.at("absent")),
        Err(Error::NoStore { .. })
    ));
    let key = scene.key.public();
    let full = Store::create(&path, Hash::Blake3, Scheme::default(), 64, &key);
    assert!(matches!(full, Err(Error::NotEmpty { .. })));
}

#[test]
fn what_is_longer_than_its_limit_is_refused() {
    let scene = Scene::new("4+2");
    let named = |name: &str| Importer::new(&scene.store, name, ObjectKind::File);
    assert!(named(&"n".repeat(255)).is_ok());
    for odd in ["".to_owned(), "n".repeat(256), "a\nb".to_owned()] {
        assert!(matches!(named(&odd), Err(Error::Limit(_))), "{odd}");
    }
    let key = scene.key.public();
    let shards_of = |bytes: usize, scheme: &str| {
        let (path, scheme) = (
            scene.at(&format!("{bytes}-{scheme}")),
            scheme.parse().unwrap(),
        );
        let made = Store::create(&path, Hash::Blake3, scheme, bytes, &key);
        // What is refused leaves no folder.
        assert_eq!(path.exists(), made.is_ok());
        made
    };
    let most = 64 << 20;
    for (bytes, scheme) in [(2, "4+2"), (most, "4+2"), (most, "12+4")] {
        assert!(shards_of(bytes, scheme).is_ok(), "{bytes} {scheme}");
    }
    for (bytes, scheme) in [(0, "4+2"), (63, "4+2"), (most + 2, "4+2"), (most, "13+4")] {
        let refused = shards_of(bytes, scheme);
        assert!(matches!(refused, Err(Error::Limit(_))), "{bytes} {scheme}");
    }

    // What somebody made longer afterwards is not read to its end.
    let format = scene.at("store/format.json");
    let text = std::fs::read_to_string(&format).unwrap();
    writable(&format);
    std::fs::write(
        &format,
        text.replace("\"4+2\"", "\"100+28\"")
            .replace(": 64", ": 33554432"),
    )
    .unwrap();
    let large = Store::open(&scene.at("store")).unwrap_err();
    assert!(large.to_string().contains("held in memory"), "{large}");
    std::fs::write(&format, text + &" ".repeat(64 << 10)).unwrap();
    let long = Store::open(&scene.at("store")).unwrap_err();
    assert!(long.to_string().contains("too long"), "{long}");

    scene.import("object", &some_bytes(100));
    let (manifest, text) = files(&scene.at("store/groups")).pop_first().unwrap();
    writable(&manifest);
    std::fs::write(&manifest, [vec![b' '; 256 << 10], text].concat()).unwrap();
    let wrong = scene.verified().wrong;
    assert!(wrong[0].to_string().contains("too long"), "{wrong:?}");
}
