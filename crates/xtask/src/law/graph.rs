//! What may come in from outside: licences, Rust versions, single versions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::licences;
use crate::workspace::{Package, Workspace};

/// Crates whose types meet in signatures: two versions of one do not fit together.
const SINGLE: [&str; 6] = ["http", "http-body", "bytes", "tower-service", "tower-layer", "hyper"];

/// Crates that have no business here.
const BANNED: [&str; 1] = ["openssl-sys"];

/// Breaches in the resolved graph, given the licences that are `allowed`.
pub(crate) fn breaches(workspace: &Workspace, allowed: &[String]) -> Result<Vec<String>, String> {
    let mut breaches = Vec::new();
    let ours = our_rust_version(workspace)?;
    for (package, path) in shipped(workspace) {
        let at = format!("{} {} ({path})", package.name, package.version);
        match package.licence.as_deref() {
            None => breaches.push(format!("{at}: states no licence")),
            Some(licence) => match licences::permits(licence, allowed) {
                Ok(true) => {}
                Ok(false) => breaches.push(format!("{at}: its licence, {licence}, is not on the list in deny.toml")),
                Err(error) => breaches.push(format!("{at}: its licence, {licence}, cannot be read: {error}")),
            },
        }
        if let Some(stated) = package.rust_version.as_deref()
            && rust_version(stated)? > ours
        {
            breaches.push(format!("{at}: needs Rust {stated}, which is above ours"));
        }
    }
    for name in SINGLE {
        let versions: Vec<&str> = named(workspace, name).map(|package| package.version.as_str()).collect();
        if versions.len() > 1 {
            breaches.push(format!("{name}: the graph holds more than one version: {}", versions.join(", ")));
        }
    }
    for name in BANNED {
        breaches.extend(named(workspace, name).map(|package| format!("{name} {}: is banned", package.version)));
    }
    Ok(breaches)
}

/// Every package that comes to the users of a published crate of ours, with the path on which it came.
fn shipped(workspace: &Workspace) -> Vec<(&Package, String)> {
    let by_id: BTreeMap<&str, &Package> = workspace.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let mut queue: VecDeque<(&Package, String)> = workspace.published().map(|package| (package, package.name.clone())).collect();
    let mut seen: BTreeSet<&str> = workspace.published().map(|package| package.id.as_str()).collect();
    let mut found = Vec::new();
    while let Some((package, path)) = queue.pop_front() {
        for next in package.shipped.iter().filter_map(|id| by_id.get(id.as_str())) {
            if seen.insert(&next.id) {
                queue.push_back((next, format!("{path} > {}", next.name)));
            }
        }
        found.push((package, path));
    }
    found
}

/// The Rust version that all published crates promise: the lowest that one of them states.
fn our_rust_version(workspace: &Workspace) -> Result<[u64; 3], String> {
    let mut ours = Vec::new();
    for package in workspace.published() {
        let stated = package.rust_version.as_deref().ok_or_else(|| format!("{}: states no rust-version", package.name))?;
        ours.push(rust_version(stated)?);
    }
    ours.into_iter().min().ok_or_else(|| "the workspace publishes nothing".to_owned())
}

fn rust_version(stated: &str) -> Result<[u64; 3], String> {
    let mut version = [0; 3];
    let mut parts = stated.split('.');
    for (part, slot) in parts.by_ref().zip(&mut version) {
        *slot = part.parse().map_err(|error| format!("Rust version {stated}: {error}"))?;
    }
    Ok(version)
}

fn named<'a>(workspace: &'a Workspace, name: &'a str) -> impl Iterator<Item = &'a Package> {
    workspace.packages.iter().filter(move |package| package.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of ours ships `a`, which ships `b`; `c` stands apart, as a dependency of tests does.
    fn graph() -> Workspace {
        let package = |name: &str, shipped: &[&str]| Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some("MIT".to_owned()),
            rust_version: Some("1.88".to_owned()),
            shipped: shipped.iter().map(|id| (*id).to_owned()).collect(),
            ..Package::default()
        };
        let ours = Package { member: true, ..package("ours", &["a"]) };
        Workspace { packages: vec![ours, package("a", &["b"]), package("b", &[]), package("c", &[])] }
    }

    fn told(workspace: &Workspace) -> Vec<String> {
        breaches(workspace, &["MIT".to_owned()]).unwrap()
    }

    /// The breaches after a change to the package of this name.
    fn changed(name: &str, change: impl Fn(&mut Package)) -> Vec<String> {
        let mut workspace = graph();
        workspace.packages.iter_mut().filter(|package| package.name == name).for_each(change);
        told(&workspace)
    }

    #[test]
    fn a_plain_graph_is_lawful() {
        assert_eq!(told(&graph()), [""; 0]);
    }

    #[test]
    fn a_licence_off_the_list_is_told_with_the_way_to_it() {
        let told = changed("b", |package| package.licence = Some("GPL-3.0-only".to_owned()));
        assert_eq!(told, ["b 1.0.0 (ours > a > b): its licence, GPL-3.0-only, is not on the list in deny.toml"]);
        assert_eq!(changed("b", |package| package.licence = None), ["b 1.0.0 (ours > a > b): states no licence"]);
        assert_eq!(changed("c", |package| package.licence = None), [""; 0], "what only tests use ships to nobody");
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_told() {
        let told = changed("b", |package| package.rust_version = Some("1.89.0".to_owned()));
        assert_eq!(told, ["b 1.0.0 (ours > a > b): needs Rust 1.89.0, which is above ours"]);
        assert_eq!(changed("b", |package| package.rust_version = None), [""; 0]);
        assert_eq!(changed("b", |package| package.rust_version = Some("1.88.0".to_owned())), [""; 0]);
    }

    #[test]
    fn two_versions_of_a_meeting_point_are_told() {
        for name in SINGLE {
            let mut workspace = graph();
            for version in ["0.2.0", "1.0.0"] {
                let id = format!("{name} {version}");
                workspace.packages.push(Package { id, name: name.to_owned(), version: version.to_owned(), ..Package::default() });
            }
            assert_eq!(told(&workspace), [format!("{name}: the graph holds more than one version: 0.2.0, 1.0.0")]);
        }
    }

    #[test]
    fn what_is_banned_is_told_wherever_it_stands() {
        for name in BANNED {
            assert_eq!(changed("c", |package| package.name = name.to_owned()), [format!("{name} 1.0.0: is banned")]);
        }
    }
}
