//! Rust source with its comments and literals blanked out; lines and columns stay where they were.

/// The code of a source file.
pub(crate) fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let blank = if is_name(before) && !matches!(before, 'b' | 'c') { plain_literal(rest) } else { any_literal(rest) };
        let length = blank.or_else(|| comment(rest)).unwrap_or(0);
        let (token, after) = rest.split_at(length.max(first.len_utf8()));
        if length == 0 {
            code.push_str(token);
        } else {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        before = first;
        rest = after;
    }
    code
}

/// The length of the comment that starts here.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.strip_prefix("/*")?;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

/// The length of the literal that starts here, a raw string included.
fn any_literal(rest: &str) -> Option<usize> {
    raw_string(rest).or_else(|| plain_literal(rest))
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let opening = hashes + 2;
    let text = rest.get(opening..).filter(|_| rest.get(opening - 1..opening) == Some("\""))?;
    let closing = format!("\"{}", "#".repeat(hashes));
    Some(text.find(&closing).map_or(rest.len(), |at| opening + at + closing.len()))
}

fn plain_literal(rest: &str) -> Option<usize> {
    match rest.chars().next()? {
        '"' => Some(quoted(rest, '"')),
        // A lifetime has no closing quote after its first letter.
        '\'' if rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'') => Some(quoted(rest, '\'')),
        _ => None,
    }
}

/// The length up to and with the closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that stay.
    fn left(source: &str) -> Vec<String> {
        let code = code_of(source);
        assert_eq!(code.lines().count(), source.lines().count(), "{source}");
        code.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_go() {
        assert_eq!(left("a // x\nb /// x"), ["a", "b"]);
        assert_eq!(left("a /* x /* y */\n x */ b"), ["a", "b"]);
        assert_eq!(left("a /* x"), ["a"]);
    }

    #[test]
    fn literals_go() {
        assert_eq!(left(r#"a "x // \" x" b"#), ["a", "b"]);
        assert_eq!(left("a r#\"x \" x\"# b"), ["a", "b"]);
        assert_eq!(left(r#"a '"' b '\'' c "x" d"#), ["a", "b", "c", "d"]);
        assert_eq!(left("a \"x\n x\" b 'ä' c"), ["a", "b", "c"]);
    }

    #[test]
    fn code_stays() {
        assert_eq!(left("fn f<'a>(r: &'a str) -> r#type"), ["fn", "f<'a>(r:", "&'a", "str)", "->", "r#type"]);
        assert_eq!(left("br\"x\" + var\"x\" 1"), ["b", "+", "var", "1"]);
    }
}
