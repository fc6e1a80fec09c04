//! S1: what a fresh daemon has.

use netns_tests::Lab;

#[test]
fn s01_a_fresh_daemon_has_three_networks() {
    let lab = Lab::new();
    let table = lab.h1.net(&["ls"]).ok().stdout;
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let columns = ["NETWORK ID", "NAME", "DRIVER", "SCOPE"];
    let places: Vec<_> = columns.iter().map(|column| head.find(column)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{head}"
    );
    let rows: Vec<Vec<&str>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in &rows {
        let id = row[0];
        assert!(
            id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id}"
        );
    }
    let mut facts: Vec<_> = rows.iter().map(|row| row[1..].to_vec()).collect();
    facts.sort();
    assert_eq!(
        facts,
        [
            ["bridge", "bridge", "local"],
            ["host", "host", "local"],
            ["none", "null", "local"],
        ]
    );
}

#[test]
fn s01_the_built_in_networks_cannot_be_removed() {
    let lab = Lab::new();
    for name in ["bridge", "host", "none"] {
        let _ = lab.h1.net(&["rm", name]).fails(1).names(&[name]);
    }
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout.lines().count(), 4);
}

#[test]
fn s01_the_three_networks_stay_the_same_after_a_restart() {
    let lab = Lab::new();
    let before = lab.h1.net(&["ls"]).ok().stdout;
    lab.h1.restart();
    assert_eq!(lab.h1.net(&["ls"]).ok().stdout, before);
}
