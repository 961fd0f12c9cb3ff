//! The folders of test data that lie outside the repository, named by environment variables.

use std::{env, ffi::OsStr, path::Path};

use crate::step::{Failure, Steps};

/// Each variable, and a file by which its folder is known.
const INPUTS: [(&str, &str); 2] = [("TOWLINE_CORPUS", "failures.jsonl"), ("TOWLINE_FIXTURES", "manifest.json")];

/// Fails where a variable names the wrong folder, and where it is unset although it is `required`.
pub(crate) fn run(steps: &mut Steps, required: bool) -> Result<(), Failure> {
    let mut unset = Vec::new();
    steps.check("test data", "echo \"$TOWLINE_CORPUS\" \"$TOWLINE_FIXTURES\"", || {
        for (name, file) in INPUTS {
            match env::var_os(name).filter(|folder| !folder.is_empty()) {
                Some(folder) => holds(name, &folder, file)?,
                None if required => return Err(format!("{name} is not set: it must name the folder that holds {file}")),
                None => unset.push(name),
            }
        }
        Ok(())
    })?;
    for name in unset {
        steps.note(format!("{name} is not set: tests that read its folder have nothing to read"));
    }
    Ok(())
}

fn holds(name: &str, folder: &OsStr, file: &str) -> Result<(), String> {
    let shown = folder.to_string_lossy();
    let folder = Path::new(folder);
    if !folder.is_absolute() {
        return Err(format!("{name} is `{shown}`: it must be an absolute path, since each crate's tests run in its own folder"));
    }
    if !folder.join(file).is_file() {
        return Err(format!("{name} is `{shown}`, which holds no {file}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_must_be_absolute_and_hold_the_file() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).as_os_str();
        assert_eq!(holds("X", here, "Cargo.toml"), Ok(()));
        assert!(holds("X", here, "failures.jsonl").unwrap_err().contains("holds no failures.jsonl"));
        assert!(holds("X", OsStr::new("corpus"), "failures.jsonl").unwrap_err().contains("absolute"));
    }
}
