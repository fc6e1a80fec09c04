//! The whole benchmark in miniature: everything is measured, if only twice, and what is written can be read.

use std::process::Command;

/// Environment variable by which the laboratory gives every daemon a firewall backend; here each lane has its own.
const FIREWALL: &str = "NETNS_FIREWALL";

#[test]
fn the_benchmark_measures_every_lane_and_writes_table_and_plots() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_netd-bench"))
        .args(["--miniature", "--out"])
        .arg(folder.path())
        .env_remove(FIREWALL)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page = std::fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), page);
    for part in [
        "limit",
        "netd-nftables",
        "netd-iptables",
        "net (CLI)",
        "netd-cni",
        "Linux ",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let reasons = page.lines().filter(|line| line.starts_with("n/a "));
    for reason in reasons {
        let by_nature = [
            "bare netlink has no ports",
            "a network is made with its first container",
            "a network stays when its last container leaves",
        ];
        assert!(
            by_nature.iter().any(|end| reason.ends_with(end)),
            "a lane failed: {reason}\n{page}"
        );
    }
    let values = std::fs::read_to_string(folder.path().join("values.json")).unwrap();
    let values: serde_json::Value = serde_json::from_str(&values).unwrap();
    assert!(values["values"].as_array().unwrap().len() >= 16, "{values}");
    for plot in page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let text = std::fs::read_to_string(folder.path().join(plot)).unwrap();
        assert!(
            text.starts_with("<svg") && text.contains("</svg>"),
            "{plot}: {text}"
        );
    }
}
