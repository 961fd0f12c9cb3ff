//! Who may know whom among our own crates.

use crate::workspace::{Package, Workspace};

const CORE: &str = "towline-core";
const WIRE: &str = "towline-wire";

/// Every published crate, and those of ours that its users may come to compile with it. A new crate takes its place here.
const PLACES: [(&str, &[&str]); 12] = [
    (CORE, &[]),
    (WIRE, &[CORE]),
    ("towline-testkit", &[CORE]),
    ("towline-reqwest", &[CORE]),
    ("towline-call", LAYER),
    ("towline-classify", LAYER),
    ("towline-retry", LAYER),
    ("towline-circuit-breaker", LAYER),
    ("towline-rate-limit", LAYER),
    ("towline-timeout", LAYER),
    ("towline-fallback", LAYER),
    ("towline", FACADE),
];

/// A layer never depends on a layer.
const LAYER: &[&str] = &[CORE, WIRE];

/// The facade knows all that its users may want; the test kit is for tests.
const FACADE: &[&str] = &[
    CORE,
    WIRE,
    "towline-reqwest",
    "towline-call",
    "towline-classify",
    "towline-retry",
    "towline-circuit-breaker",
    "towline-rate-limit",
    "towline-timeout",
    "towline-fallback",
];

/// Tools that nobody depends on, not even in tests.
const TOOLS: [&str; 2] = ["xtask", "lab"];

/// Dependencies among our crates that have no place. Development dependencies are free, but for those on a tool.
pub(crate) fn breaches(workspace: &Workspace) -> Vec<String> {
    let ours: Vec<&str> = workspace.members().map(|package| package.name.as_str()).collect();
    let mut breaches = Vec::new();
    for package in workspace.members() {
        let known = package.declared.iter().filter(|declared| ours.contains(&declared.name.as_str()));
        for declared in known {
            if TOOLS.contains(&declared.name.as_str()) {
                breaches.push(format!("{}: depends on {}, which is a tool of the project", package.name, declared.name));
            } else if !declared.dev && !may_know(package, &declared.name) {
                breaches.push(format!("{}: may not depend on {} outside of dev-dependencies", package.name, declared.name));
            }
        }
        if !package.private && place(package).is_none() {
            breaches.push(format!("{}: has no place in the table of the dependency law (xtask, law/siblings.rs)", package.name));
        }
    }
    breaches
}

fn may_know(package: &Package, name: &str) -> bool {
    package.private || place(package).is_some_and(|known| known.contains(&name))
}

fn place(package: &Package) -> Option<&'static [&'static str]> {
    PLACES.iter().find(|(name, _)| *name == package.name).map(|(_, known)| *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Declared;

    fn ours(name: &str, normal: &[&str], dev: &[&str]) -> Package {
        let declare =
            |names: &[&str], dev: bool| names.iter().map(|name| Declared { name: (*name).to_owned(), dev }).collect::<Vec<_>>();
        let declared = [declare(normal, false), declare(dev, true)].concat();
        Package { name: name.to_owned(), member: true, declared, ..Package::default() }
    }

    fn private(name: &str, normal: &[&str]) -> Package {
        Package { private: true, ..ours(name, normal, &[]) }
    }

    /// The breaches of one package among all of ours.
    fn alone(package: Package) -> Vec<String> {
        let mut packages: Vec<Package> = PLACES.iter().map(|(name, _)| ours(name, &[], &[])).collect();
        packages.extend(TOOLS.map(|name| private(name, &[])));
        packages.retain(|other| other.name != package.name);
        packages.push(package);
        breaches(&Workspace { packages })
    }

    #[test]
    fn a_workspace_in_its_places_is_lawful() {
        assert_eq!(alone(ours("towline-retry", &[CORE, WIRE, "tokio"], &["towline-timeout", "towline-testkit"])), [""; 0]);
        assert_eq!(alone(ours("towline", FACADE, &["towline-testkit"])), [""; 0]);
        assert_eq!(alone(private("quickstart", &["towline", "towline-testkit"])), [""; 0]);
    }

    #[test]
    fn a_layer_never_depends_on_a_layer() {
        let told = alone(ours("towline-retry", &[CORE, "towline-timeout"], &[]));
        assert_eq!(told, ["towline-retry: may not depend on towline-timeout outside of dev-dependencies"]);
    }

    #[test]
    fn each_crate_keeps_to_its_place() {
        for (name, known) in [(CORE, WIRE), (WIRE, "towline-retry"), ("towline-testkit", WIRE), ("towline-reqwest", WIRE)] {
            assert_eq!(alone(ours(name, &[known], &[])).len(), 1, "{name} must not know {known}");
        }
        assert_eq!(alone(ours("towline", &["towline-testkit"], &[])).len(), 1, "the test kit is for tests");
        assert_eq!(alone(ours("towline-call", &["towline"], &[])).len(), 1, "nobody published knows the facade");
    }

    #[test]
    fn nobody_depends_on_a_tool() {
        for tool in TOOLS {
            assert_eq!(alone(private("quickstart", &[tool])).len(), 1);
            assert_eq!(alone(ours("towline-retry", &[], &[tool])).len(), 1, "not even in tests");
        }
    }

    #[test]
    fn a_published_crate_needs_a_place() {
        assert!(alone(ours("towline-novelty", &[], &[]))[0].contains("has no place"));
    }
}
