//! What a component was built from and how: a CycloneDX bill of materials and SLSA provenance, made from
//! what cargo says. No time, no name of a machine or of a folder stands in them, so that the same source
//! gives the same bytes.
//!
//! Formats: CycloneDX 1.5; package URLs of the type `cargo`; in-toto Statement v1, SLSA provenance v1.

use crate::error::{Error, Result};
use keepwell_model::id::Digest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Endings of the files beside a component.
pub(crate) const SBOM_ENDING: &str = "cdx.json";
pub(crate) const PROVENANCE_ENDING: &str = "provenance.json";
/// What this program calls how it builds.
const BUILD_TYPE: &str = "urn:keepwell:plugin-build:v1";
const BUILDER: &str = "urn:keepwell:cli";

/// What is known of a build.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// Of `cargo metadata`.
    pub(crate) metadata: &'a Value,
    /// The text of `Cargo.lock`.
    pub(crate) lock: &'a str,
    /// The first line of `rustc -vV`.
    pub(crate) rustc: &'a str,
    pub(crate) target: &'a str,
    pub(crate) component: Digest,
    /// Where the source is kept, as `git+https://…@COMMIT`, if its author says so.
    pub(crate) source: Option<&'a str>,
}

/// Every package that is linked into the component, with its licence and the checksum of its source.
pub(crate) fn sbom(facts: &Facts<'_>) -> Result<Vec<u8>> {
    let odd = || Error::failed("cargo describes the packages in a way this program does not know");
    let root = facts.metadata["resolve"]["root"].as_str().ok_or_else(odd)?;
    let packages: BTreeMap<&str, &Value> = array(&facts.metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let linked = linked(facts.metadata, root);
    let checksums = checksums(facts.lock);
    let purl = |id: &str| packages.get(id).map(|package| purl(package));
    let mut components = vec![];
    let mut dependencies = vec![];
    for (id, needs) in &linked {
        let package = packages.get(id).ok_or_else(odd)?;
        let needs: BTreeSet<String> = needs.iter().filter_map(|id| purl(id)).collect();
        dependencies.push(json!({ "ref": self::purl(package), "dependsOn": needs }));
        if *id != root {
            components.push(component("library", package, &checksums));
        }
    }
    // By name, and not by the order in which cargo met them.
    components.sort_by_key(|it| it["purl"].as_str().map(str::to_owned));
    dependencies.sort_by_key(|it| it["ref"].as_str().map(str::to_owned));
    let of = packages.get(root).ok_or_else(odd)?;
    let document = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": component("application", of, &checksums) },
        "components": components, "dependencies": dependencies,
    });
    Ok(document.to_string().into_bytes())
}

/// How the component came to be, by whose word alone: whoever signs the bundle vouches for it.
pub(crate) fn provenance(facts: &Facts<'_>) -> Vec<u8> {
    let mut materials = vec![json!({
        "uri": "Cargo.lock", "digest": { "sha256": Digest::of(facts.lock.as_bytes()).hex() },
    })];
    if let Some(source) = facts.source {
        let (uri, commit) = source.rsplit_once('@').unwrap_or((source, ""));
        materials.push(json!({ "uri": uri, "digest": { "gitCommit": commit } }));
    }
    let statement = json!({
        "_type": keepwell_bundle::STATEMENT_TYPE,
        "subject": [{ "name": "component.wasm", "digest": { "sha256": facts.component.hex() } }],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "target": facts.target, "profile": "release" },
                "resolvedDependencies": materials,
            },
            "runDetails": { "builder": {
                "id": BUILDER,
                "version": { "keepwell": env!("CARGO_PKG_VERSION"), "rustc": facts.rustc },
            } },
        },
    });
    statement.to_string().into_bytes()
}

/// The packages that the root needs when it runs, and what each of them needs: neither what its tests
/// need nor what is run to build it.
fn linked<'a>(metadata: &'a Value, root: &'a str) -> BTreeMap<&'a str, Vec<&'a str>> {
    let nodes: BTreeMap<&str, &Value> = array(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let mut found = BTreeMap::new();
    let mut todo = vec![root];
    while let Some(id) = todo.pop() {
        let needs = nodes.get(id).map_or(&Value::Null, |node| &node["deps"]);
        let runs = |dep: &&Value| array(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null());
        let needs: Vec<&str> = array(needs)
            .filter(runs)
            .filter_map(|dep| dep["pkg"].as_str())
            .collect();
        for id in &needs {
            if !found.contains_key(id) {
                todo.push(id);
            }
        }
        found.insert(id, needs);
    }
    found
}

fn component(kind: &str, package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let purl = purl(package);
    let (name, version) = (text(package, "name"), text(package, "version"));
    let mut it = json!({
        "type": kind, "bom-ref": purl, "purl": purl, "name": name, "version": version,
    });
    if let Some(licence) = package["license"].as_str() {
        // Older packages write a slash for `OR`.
        let expression = licence.replace('/', " OR ");
        it["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(sum) = checksums.get(&(name, version)) {
        it["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    it
}

fn purl(package: &Value) -> String {
    format!(
        "pkg:cargo/{}@{}",
        text(package, "name"),
        text(package, "version")
    )
}

/// Of the lock file: name and version to checksum.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    #[derive(serde::Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Package>,
    }
    #[derive(serde::Deserialize)]
    struct Package {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Option<Lock> = toml::from_str(lock).ok();
    let packages = lock.map(|lock| lock.package).unwrap_or_default();
    let sum = |it: Package| Some(((it.name, it.version), it.checksum?));
    packages.into_iter().filter_map(sum).collect()
}

fn text(package: &Value, key: &str) -> String {
    package[key].as_str().unwrap_or_default().to_owned()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(metadata: &Value) -> Facts<'_> {
        Facts {
            metadata,
            lock: "[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nchecksum = \"00ff\"\n",
            rustc: "rustc 1.95.0",
            target: "wasm32-unknown-unknown",
            component: Digest::of(b"c"),
            source: Some("git+https://example.org/a@0123abcd"),
        }
    }

    /// `a` needs `b` to run, `t` for its tests and `g` to be built; `b` needs `a2` on a cycle of names.
    fn metadata() -> Value {
        let package = |name: &str, version: &str, license: Option<&str>| json!({ "id": format!("path+{name}"), "name": name, "version": version, "license": license });
        let dep = |name: &str, kind: Value| json!({ "pkg": format!("path+{name}"), "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [
                package("a", "1.0.0", None), package("b", "2.0.0", Some("MIT/Apache-2.0")),
                package("t", "1.0.0", None), package("g", "1.0.0", None),
            ],
            "resolve": { "root": "path+a", "nodes": [
                { "id": "path+a", "deps": [
                    dep("b", Value::Null), dep("t", "dev".into()), dep("g", "build".into()),
                ] },
                { "id": "path+b", "deps": [dep("a", Value::Null)] },
                { "id": "path+t", "deps": [] }, { "id": "path+g", "deps": [] },
            ] },
        })
    }

    #[test]
    fn only_what_is_linked_is_listed() {
        let metadata = metadata();
        let bytes = sbom(&facts(&metadata)).unwrap();
        assert_eq!(keepwell_bundle::components(&bytes).unwrap(), 1);
        let it: Value = serde_json::from_slice(&bytes).unwrap();
        let b = &it["components"][0];
        assert_eq!(b["purl"], "pkg:cargo/b@2.0.0");
        assert_eq!(b["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(b["hashes"][0]["content"], "00ff");
        assert_eq!(it["metadata"]["component"]["name"], "a");
        assert_eq!(it["dependencies"][0]["dependsOn"][0], "pkg:cargo/b@2.0.0");
        assert!(!String::from_utf8(bytes).unwrap().contains("path+"));
        assert!(sbom(&facts(&json!({}))).is_err());
    }

    #[test]
    fn provenance_names_what_went_in() {
        let metadata = metadata();
        let it: Value = serde_json::from_slice(&provenance(&facts(&metadata))).unwrap();
        let built = &it["predicate"]["buildDefinition"];
        assert_eq!(
            built["resolvedDependencies"][1]["digest"]["gitCommit"],
            "0123abcd"
        );
        assert_eq!(it["subject"][0]["digest"]["sha256"], Digest::of(b"c").hex());
    }
}
