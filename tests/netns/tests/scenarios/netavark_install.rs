//! What a person types to put netd under Podman.

use netns_tests::Lab;
use netns_tests::podman::PROGRAM;

#[test]
fn netavark_install_makes_links_and_prints_what_podman_needs() {
    let lab = Lab::new();
    let install = |args: &[&str]| {
        let mut verb = vec!["install"];
        verb.extend(args);
        lab.h1.netavark(&verb, b"")
    };
    // Twice is once.
    for _ in 0..2 {
        let done = install(&["/run/lab/helpers", "--socket", "/run/x.sock"]).ok();
        for line in [
            "network_backend = \"netavark\"",
            "helper_binaries_dir = [\"/run/lab/helpers\", \"/usr/local/libexec/podman\"",
            "enable_port_reservation = false",
            "env = [\"NETD_HOST=/run/x.sock\"]",
        ] {
            assert!(done.stdout.contains(line), "{done}");
        }
    }
    assert!(
        !install(&["/run/lab/helpers"])
            .ok()
            .stdout
            .contains("NETD_HOST")
    );
    for name in ["netavark", "aardvark-dns"] {
        let link = format!("/run/lab/helpers/{name}");
        let target = lab.h1.exec(&["readlink", &link]).ok();
        assert!(target.text().ends_with(PROGRAM), "{target}");
        // By that name it is the same program.
        let version = lab.h1.exec(&[&link, "version"]).ok().json();
        assert_eq!(version["default_fw_driver"], "netd");
    }
    // What is somebody else's stays, and nothing else is made beside it.
    lab.h1.write("/run/lab/theirs/aardvark-dns", "somebody's");
    let _ = install(&["/run/lab/theirs"])
        .fails(1)
        .names(&["aardvark-dns", "--force"]);
    assert_eq!(lab.h1.read("/run/lab/theirs/aardvark-dns"), "somebody's");
    assert_eq!(
        lab.h1.exec(&["ls", "/run/lab/theirs"]).ok().text(),
        "aardvark-dns"
    );
    let _ = install(&["/run/lab/theirs", "--force"]).ok();
    for bad in [
        &["relative"][..],
        &["/run/lab/../x"],
        &["/proc/nowhere"],
        &["/run/lab/y", "--socket", "x"],
    ] {
        let _ = install(bad).fails(1);
    }
    let _ = install(&["/a", "/b"]).fails(2);
}
