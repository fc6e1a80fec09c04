//! What a person types: the configuration that runtimes find the CNI plugin by.

use netns_tests::Lab;
use netns_tests::cni::{eth0, program};
use serde_json::Value;

#[test]
fn cni_install_writes_what_a_runtime_finds() {
    let lab = Lab::new();
    lab.h1.new_netns("web");
    let install = |further: &[&str]| {
        let program = program("netd-cni");
        let mut argv = vec![
            program.as_str(),
            "install",
            "--conf-dir",
            "/run/cni/net.d",
            "--socket",
            netns_tests::host::SOCKET,
        ];
        argv.extend(further);
        lab.h1.exec(&argv)
    };
    let file = "/run/cni/net.d/10-netd.conflist";
    let written = install(&["--subnet", "10.9.0.0/24", "--bin-dir", "/run/cni/bin"]).ok();
    assert_eq!(written.text(), format!("/run/cni/bin/netd-cni\n{file}"));
    let list: Value = serde_json::from_str(&lab.h1.read(file)).unwrap();
    assert_eq!(
        (list["name"].as_str(), list["cniVersion"].as_str()),
        (Some("netd"), Some("1.0.0"))
    );
    // As libcni makes a plugin's configuration of a list.
    let mut plugin = list["plugins"][0].clone();
    plugin["name"] = list["name"].clone();
    plugin["cniVersion"] = list["cniVersion"].clone();
    let _ = lab.h1.cni("ADD", eth0("web"), &plugin).ok();
    let view = lab.h1.inspect("netd");
    assert_eq!(view["Containers"].as_object().unwrap().len(), 1);
    let again = install(&["--subnet", "10.9.0.0/24"]).ok();
    assert_eq!(again.text(), file);
    let _ = install(&["--network", "bridge"])
        .fails(1)
        .names(&["--force", file]);
    let _ = install(&["--network", "bridge", "--force"]).ok();
    assert!(lab.h1.read(file).contains("\"network\": \"bridge\""));
    let _ = install(&["--file", "../x.conflist"])
        .fails(1)
        .names(&["without a path"]);
    let _ = install(&["--subnet", "10.9.0.1/24"])
        .fails(2)
        .names(&["10.9.0.1/24"]);
    let folder = lab.h1.sh("ls -A /run/cni/net.d /run/cni/bin").ok();
    assert!(!folder.stdout.contains(".new"), "{folder}");
}
