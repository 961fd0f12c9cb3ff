//! What `cargo metadata` says of the workspace, cut down to what the routines ask.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::step::Cargo;

/// The packages of the resolved graph, on every platform and with all features.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One package of the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// Cargo's own name for it, unique in the graph.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) manifest: PathBuf,
    /// Whether it is a package of ours.
    pub(crate) member: bool,
    /// Whether its manifest forbids to publish it.
    pub(crate) private: bool,
    /// Whether it has a library target.
    pub(crate) library: bool,
    pub(crate) features: Vec<String>,
    /// What its manifest asks for.
    pub(crate) declared: Vec<Declared>,
    /// The packages that its users compile, as resolved: normal and build dependencies.
    pub(crate) shipped: Vec<String>,
}

/// One dependency in a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// Whether it is only for tests and benchmarks.
    pub(crate) dev: bool,
}

impl Workspace {
    /// The line that shows what `read` reads.
    pub(crate) const QUESTION: &str = "cargo metadata --locked --all-features --format-version 1";

    /// Asks cargo.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let metadata = Cargo::new(Self::QUESTION.trim_start_matches("cargo ")).output(root)?;
        let metadata: Value = serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
        Self::parse(&metadata)
    }

    /// Reads what cargo said.
    pub(crate) fn parse(metadata: &Value) -> Result<Self, String> {
        let members: BTreeSet<&str> = list(metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let resolve = metadata.get("resolve").ok_or("cargo metadata: no `resolve`")?;
        let mut shipped = BTreeMap::new();
        for node in list(resolve, "nodes")? {
            shipped.insert(text(node, "id")?, shipped_by(node)?);
        }
        let mut packages = Vec::new();
        for package in list(metadata, "packages")? {
            let id = text(package, "id")?;
            packages.push(Package {
                name: text(package, "name")?,
                version: text(package, "version")?,
                licence: text(package, "license").ok(),
                rust_version: text(package, "rust_version").ok(),
                manifest: text(package, "manifest_path")?.into(),
                member: members.contains(id.as_str()),
                private: package.get("publish").and_then(Value::as_array).is_some_and(Vec::is_empty),
                library: list(package, "targets")?.iter().any(is_library),
                features: package
                    .get("features")
                    .and_then(Value::as_object)
                    .map_or_else(Vec::new, |features| features.keys().cloned().collect()),
                declared: list(package, "dependencies")?.iter().map(declared).collect::<Result<_, _>>()?,
                shipped: shipped.remove(&id).unwrap_or_default(),
                id,
            });
        }
        Ok(Self { packages })
    }

    /// Our packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.member)
    }

    /// Our packages that others can depend on.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.members().filter(|package| !package.private)
    }
}

/// The folder that holds the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(2).map_or_else(|| here.clone(), Path::to_owned)
}

fn shipped_by(node: &Value) -> Result<Vec<String>, String> {
    let mut shipped = Vec::new();
    for dependency in list(node, "deps")? {
        let kinds = list(dependency, "dep_kinds")?;
        if kinds.iter().any(|kind| text(kind, "kind").as_deref() != Ok("dev")) {
            shipped.push(text(dependency, "pkg")?);
        }
    }
    Ok(shipped)
}

fn declared(dependency: &Value) -> Result<Declared, String> {
    Ok(Declared { name: text(dependency, "name")?, dev: text(dependency, "kind").as_deref() == Ok("dev") })
}

fn is_library(target: &Value) -> bool {
    let kinds = target.get("kind").and_then(Value::as_array);
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| matches!(kind.as_str(), Some("lib" | "rlib" | "proc-macro"))))
}

fn text(value: &Value, key: &str) -> Result<String, String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("cargo metadata: no text `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| format!("cargo metadata: no list `{key}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, publish: &Value, dependencies: &Value) -> Value {
        json!({
            "id": name, "name": name, "version": "0.1.0", "license": "MIT", "rust_version": null, "manifest_path": "Cargo.toml",
            "publish": publish, "targets": [{"kind": ["lib"]}], "features": {"default": []}, "dependencies": dependencies,
        })
    }

    #[test]
    fn metadata_is_read_as_cargo_writes_it() {
        let dependencies =
            json!([{"name": "http", "kind": null}, {"name": "proptest", "kind": "dev"}, {"name": "cc", "kind": "build"}]);
        let kinds = |kind: Value| json!([{"kind": kind, "target": null}]);
        let metadata = json!({
            "workspace_members": ["ours", "tool"],
            "packages": [package("ours", &Value::Null, &dependencies), package("tool", &json!([]), &json!([])), package("http", &Value::Null, &json!([]))],
            "resolve": {"nodes": [{"id": "ours", "deps": [
                {"pkg": "http", "dep_kinds": kinds(Value::Null)},
                {"pkg": "proptest", "dep_kinds": kinds(json!("dev"))},
                {"pkg": "cc", "dep_kinds": [{"kind": "dev"}, {"kind": "build"}]},
            ]}]},
        });
        let workspace = Workspace::parse(&metadata).unwrap();
        let published: Vec<&Package> = workspace.published().collect();
        assert_eq!(workspace.members().count(), 2);
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].shipped, ["http", "cc"]);
        assert_eq!(published[0].declared.iter().map(|declared| declared.dev).collect::<Vec<_>>(), [false, true, false]);
        assert!(published[0].library && published[0].licence.is_some() && published[0].rust_version.is_none());
    }
}
