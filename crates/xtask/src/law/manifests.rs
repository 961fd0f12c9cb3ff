//! What every manifest of ours inherits from the workspace.

use crate::workspace::{Package, Workspace};

/// Keys that a published crate takes from `[workspace.package]`.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

/// What a manifest of ours states by itself although the workspace should.
pub(crate) fn breaches(package: &Package, manifest: &str) -> Vec<String> {
    let mut missing = Vec::new();
    if !package.private {
        missing.extend(
            INHERITED.iter().filter(|key| !inherits(manifest, "[package]", key)).map(|key| format!("{key}.workspace = true")),
        );
    }
    if !inherits(manifest, "[lints]", "") {
        missing.push("[lints] workspace = true".to_owned());
    }
    missing.iter().map(|line| format!("{}: its manifest lacks `{line}`", package.name)).collect()
}

/// Published crates whose version is not the first one's.
pub(crate) fn versions(workspace: &Workspace) -> Vec<String> {
    let Some(first) = workspace.published().next() else { return Vec::new() };
    let others = workspace.published().filter(|package| package.version != first.version);
    others.map(|other| format!("{} {}: {} has version {}", other.name, other.version, first.name, first.version)).collect()
}

/// Whether `key` (or, without one, the whole section) comes from the workspace.
fn inherits(manifest: &str, section: &str, key: &str) -> bool {
    let dotted = if key.is_empty() { "workspace=true".to_owned() } else { format!("{key}.workspace=true") };
    let inline = format!("{key}={{workspace=true}}");
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != section).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('[')).map(|line| line.replace(' ', ""));
    lines.any(|line| line == dotted || line == inline)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\nrust-version = { workspace = true }\n\
                        license.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\nhttp.workspace = true\n";

    fn named(name: &str) -> Package {
        Package { name: name.to_owned(), version: "0.1.0".to_owned(), member: true, ..Package::default() }
    }

    #[test]
    fn a_manifest_that_inherits_is_lawful() {
        assert_eq!(breaches(&named("x"), GOOD), [""; 0]);
    }

    #[test]
    fn each_key_must_be_inherited() {
        for key in INHERITED {
            let bad = GOOD.replace(&format!("\n{key}"), &format!("\n{key} = \"1\" #"));
            assert_eq!(breaches(&named("x"), &bad), [format!("x: its manifest lacks `{key}.workspace = true`")]);
        }
        let elsewhere = GOOD.replace("version.workspace = true\n", "").replace("http", "version");
        assert_eq!(breaches(&named("x"), &elsewhere).len(), 1, "only the section [package] counts");
    }

    #[test]
    fn lints_are_inherited_also_by_a_private_crate() {
        let package = Package { private: true, ..named("x") };
        assert_eq!(breaches(&package, "[package]\nname = \"x\"\n[lints]\nworkspace = true"), [""; 0]);
        assert_eq!(breaches(&package, "[package]\nname = \"x\"\n"), ["x: its manifest lacks `[lints] workspace = true`"]);
    }

    #[test]
    fn one_version_holds_for_all_published_crates() {
        let mut packages = vec![named("a"), named("b")];
        assert_eq!(versions(&Workspace { packages: packages.clone() }), [""; 0]);
        packages[1].version = "0.2.0".to_owned();
        assert_eq!(versions(&Workspace { packages }), ["b 0.2.0: a has version 0.1.0"]);
    }
}
