//! The laws of the workspace: who may depend on whom, what may come in from outside, what source code may not say.
//!
//! Each law is a pure function from what it reads to the list of its breaches; the tests beside it show that it can fail.

use std::{fs, path::Path};

use crate::{
    step::{Failure, Steps},
    workspace::Workspace,
};

mod graph;
mod licences;
mod manifests;
mod siblings;
mod source;

/// Checks every law and reports every breach.
pub(crate) fn run(steps: &mut Steps) -> Result<(), Failure> {
    let root = steps.root().to_owned();
    steps.check("the laws of dependencies and source", "cargo xtask law", || {
        let breaches = breaches(&root)?;
        if breaches.is_empty() { Ok(()) } else { Err(format!("the law is broken\n  {}", breaches.join("\n  "))) }
    })
}

fn breaches(root: &Path) -> Result<Vec<String>, String> {
    let workspace = Workspace::read(root)?;
    let allowed = licences::allowed(&text(&root.join("deny.toml"))?)?;
    let mut breaches = siblings::breaches(&workspace);
    for package in workspace.members() {
        breaches.extend(manifests::breaches(package, &text(&package.manifest)?));
    }
    breaches.extend(manifests::versions(&workspace));
    breaches.extend(graph::breaches(&workspace, &allowed)?);
    breaches.extend(source::breaches(&root.join("crates"))?);
    Ok(breaches)
}

fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_the_law() {
        assert_eq!(breaches(&crate::workspace::root()), Ok(Vec::new()));
    }
}
