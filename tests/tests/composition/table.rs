//! The table of pairs and the tests are the same.

const TABLE: &str = include_str!("../../../crates/towline/docs/composition.md");

/// The layers, as tests and table call them, with the tests in which each is the outer one.
const LAYERS: [(&str, &str); 7] = [
    ("call", include_str!("call_over.rs")),
    ("classify", include_str!("classify_over.rs")),
    ("retry", include_str!("retry_over.rs")),
    ("breaker", include_str!("breaker_over.rs")),
    ("limiter", include_str!("limiter_over.rs")),
    ("timeout", include_str!("timeout_over.rs")),
    ("fallback", include_str!("fallback_over.rs")),
];

#[test]
fn every_ordered_pair_has_one_row_and_every_row_its_test() {
    let rows: Vec<Vec<&str>> =
        TABLE.lines().filter(|line| line.starts_with("| ")).map(|line| line.split('|').map(str::trim).collect()).collect();
    for (outer, tests) in LAYERS {
        for (inner, _) in LAYERS.iter().filter(|(inner, _)| *inner != outer) {
            let named: Vec<_> = rows.iter().filter(|row| row.get(1..3) == Some(&[outer, inner])).collect();
            let [row] = named[..] else { panic!("{} rows for {outer} over {inner}", named.len()) };
            let test = row[4].trim_matches('`');
            assert!(tests.contains(&format!("async fn {test}(")), "no test {test} with {outer} outside");
        }
    }
    assert_eq!(rows.len(), 1 + 42, "the head, and no other rows");
}
