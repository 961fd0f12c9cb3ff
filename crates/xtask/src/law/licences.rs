//! SPDX expressions, read far enough to say whether a list of licences permits one.

/// The list `licenses.allow` of a `deny.toml`, which stands there and nowhere else.
pub(crate) fn allowed(deny: &str) -> Result<Vec<String>, String> {
    let section = deny.split_once("\n[licenses]").ok_or("deny.toml: no section [licenses]")?.1;
    let list = section.split_once("\nallow = [").ok_or("deny.toml: no list licenses.allow")?.1;
    let list = list.split_once("\n]").ok_or("deny.toml: licenses.allow has no end")?.0;
    let quoted = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once('"'));
    Ok(quoted.map(|(licence, _)| licence.to_owned()).collect())
}

/// Whether someone may use a work under `expression` when only the `allowed` licences are accepted.
pub(crate) fn permits(expression: &str, allowed: &[String]) -> Result<bool, String> {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let permitted = reader.choice()?;
    match reader.words.first() {
        None => Ok(permitted),
        Some(word) => Err(format!("`{word}` is out of place")),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl<'a> Reader<'a> {
    fn choice(&mut self) -> Result<bool, String> {
        let mut permitted = self.all()?;
        while self.take("OR") {
            permitted |= self.all()?;
        }
        Ok(permitted)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut permitted = self.one()?;
        while self.take("AND") {
            permitted &= self.one()?;
        }
        Ok(permitted)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let permitted = self.choice()?;
            return if self.take(")") { Ok(permitted) } else { Err("a bracket is not closed".to_owned()) };
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        Ok(self.allowed.contains(&licence))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        match self.words.split_first() {
            Some((word, rest)) if !["(", ")", "AND", "OR", "WITH"].contains(word) => {
                self.words = rest;
                Ok(word)
            }
            _ => Err("a licence is missing".to_owned()),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(expression: &str) -> Result<bool, String> {
        permits(expression, &["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"].map(str::to_owned))
    }

    #[test]
    fn one_permitted_choice_is_enough() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "Unlicense/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(asked(good), Ok(true), "{good}");
        }
    }

    #[test]
    fn every_part_must_be_permitted() {
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MIT WITH LLVM-exception", "(MIT OR Zlib) AND OpenSSL", "mit"] {
            assert_eq!(asked(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn and_binds_before_or() {
        assert_eq!(asked("MIT OR Zlib AND OpenSSL"), Ok(true));
        assert_eq!(asked("Zlib AND OpenSSL OR MIT"), Ok(true));
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND"] {
            assert!(asked(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn the_list_is_read_from_its_own_section() {
        let deny = "# top\n[bans]\nallow = [\n  \"x\",\n]\n\n[licenses]\nversion = 2\nallow = [\n    \"MIT\", # why\n    \"Apache-2.0 WITH LLVM-exception\",\n]\n";
        assert_eq!(allowed(deny), Ok(vec!["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()]));
        assert!(allowed("[licenses]\n").is_err());
    }
}
