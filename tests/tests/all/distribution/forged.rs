//! Metadata that a thief of a key signs: valid signatures under roles that lie.

use super::scene::Scene;
use keepwell_bundle::SecretKey;
use serde_json::Value;
use std::path::Path;

/// Canonical JSON of the specification, for the ASCII that roles are made of: keys sorted, no
/// spaces.
pub(super) fn canonical(value: &Value) -> Vec<u8> {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let inner = keys.into_iter().map(|key| {
                let name = serde_json::to_vec(key).unwrap();
                [name, b":".to_vec(), canonical(&map[key])].concat()
            });
            let inner: Vec<Vec<u8>> = inner.collect();
            [b"{".to_vec(), inner.join(&b","[..]), b"}".to_vec()].concat()
        }
        Value::Array(all) => {
            let inner: Vec<Vec<u8>> = all.iter().map(canonical).collect();
            [b"[".to_vec(), inner.join(&b","[..]), b"]".to_vec()].concat()
        }
        other => serde_json::to_vec(other).unwrap(),
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
}

impl Scene {
    pub(super) fn role(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(self.metadata(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The signature of a key of the scene's over `signed`, by a library of its own.
    fn signature(&self, key: &str, signed: &Value) -> Value {
        use ed25519_dalek::Signer as _;
        let pem = std::fs::read_to_string(self.at(&format!("{key}.key"))).unwrap();
        let public = SecretKey::from_pem(&pem).unwrap().public().to_pem();
        let der = |pem: &str| {
            let lines = pem.lines().filter(|line| !line.starts_with('-'));
            data_encoding::BASE64
                .decode(lines.collect::<String>().as_bytes())
                .unwrap()
        };
        let (secret, public) = (der(&pem), der(&public));
        let secret: [u8; 32] = secret[secret.len() - 32..].try_into().unwrap();
        let public = data_encoding::HEXLOWER.encode(&public[public.len() - 32..]);
        let key = serde_json::json!({
            "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public },
        });
        let sig = ed25519_dalek::SigningKey::from_bytes(&secret).sign(&canonical(signed));
        serde_json::json!({
            "keyid": digest(&canonical(&key)),
            "sig": data_encoding::HEXLOWER.encode(&sig.to_bytes()),
        })
    }

    /// Writes a role as its thief does, and gives its bytes.
    pub(super) fn forge(&self, file: &str, mut role: Value, keys: &[&str]) -> Vec<u8> {
        let signatures: Vec<Value> = keys
            .iter()
            .map(|key| self.signature(key, &role["signed"]))
            .collect();
        role["signatures"] = signatures.into();
        let bytes = serde_json::to_vec(&role).unwrap();
        std::fs::write(self.metadata(file), &bytes).unwrap();
        bytes
    }

    /// Changes the list of bundles as somebody would who holds its key and the online one.
    pub(super) fn forge_targets(&self, change: impl FnOnce(&mut Value)) {
        let mut timestamp = self.role("timestamp.json");
        let at =
            |role: &Value, name: &str| role["signed"]["meta"][name]["version"].as_u64().unwrap();
        let snapshot_version = at(&timestamp, "snapshot.json");
        let mut snapshot = self.role(&format!("{snapshot_version}.snapshot.json"));
        let version = at(&snapshot, "targets.json");
        let mut targets = self.role(&format!("{version}.targets.json"));
        change(&mut targets["signed"]);
        targets["signed"]["version"] = (version + 1).into();
        let bytes = self.forge(&format!("{}.targets.json", version + 1), targets, &["root"]);
        list(&mut snapshot, "targets.json", version + 1, &bytes);
        self.forge_online(&mut timestamp, snapshot, snapshot_version + 1);
    }

    /// Signs a snapshot and the timestamp over it.
    pub(super) fn forge_online(&self, timestamp: &mut Value, mut snapshot: Value, version: u64) {
        snapshot["signed"]["version"] = version.into();
        let bytes = self.forge(&format!("{version}.snapshot.json"), snapshot, &["online"]);
        list(timestamp, "snapshot.json", version, &bytes);
        let next = timestamp["signed"]["version"].as_u64().unwrap() + 1;
        timestamp["signed"]["version"] = next.into();
        self.forge("timestamp.json", timestamp.clone(), &["online"]);
    }

    /// A delegated list, signed by its publisher's key, and the snapshot over it.
    pub(super) fn forge_delegated(
        &self,
        role: &str,
        version: u64,
        key: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let mut timestamp = self.role("timestamp.json");
        let snapshot_version = timestamp["signed"]["meta"]["snapshot.json"]["version"]
            .as_u64()
            .unwrap();
        let mut snapshot = self.role(&format!("{snapshot_version}.snapshot.json"));
        let mut targets = self.role("1.acme.json");
        targets["signed"]["version"] = version.into();
        change(&mut targets["signed"]);
        let bytes = self.forge(&format!("{version}.{role}.json"), targets, &[key]);
        list(&mut snapshot, &format!("{role}.json"), version, &bytes);
        self.forge_online(&mut timestamp, snapshot, snapshot_version + 1);
    }
}

fn list(role: &mut Value, name: &str, version: u64, bytes: &[u8]) {
    role["signed"]["meta"][name] = serde_json::json!({
        "version": version, "length": bytes.len(), "hashes": { "sha256": digest(bytes) },
    });
}

/// The one file of a folder whose name ends so.
pub(super) fn ending(dir: &Path, end: &str) -> std::path::PathBuf {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut fits = entries.filter(|path| path.to_str().unwrap().ends_with(end));
    let one = fits.next().unwrap();
    assert!(fits.next().is_none(), "more than one ends in {end}");
    one
}
