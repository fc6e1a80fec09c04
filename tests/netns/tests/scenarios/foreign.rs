//! Namespaces that another runtime made: what a network that they do not get leaves behind in them.

use netns_tests::Lab;

#[test]
fn a_refused_connection_leaves_a_foreign_namespace_as_it_was() {
    let lab = Lab::new();
    let _ = lab.h1.net(&["create", "app"]).ok();
    let _ = lab.h1.exec(&["ip", "netns", "add", "blue"]).ok();
    let defaults = || {
        let read = "cd /proc/sys/net/ipv6/conf/default && cat disable_ipv6 accept_ra";
        let ran = lab
            .h1
            .exec(&["ip", "netns", "exec", "blue", "sh", "-c", read]);
        ran.ok().text().to_owned()
    };
    let before = defaults();
    let sysctls = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nonsense=1";
    let refused = ["connect", "--driver-opt", sysctls, "app", "blue"];
    let _ = lab.h1.net(&refused).fails(1).names(&["nonsense"]);
    assert_eq!(defaults(), before);
    let links = ["ip", "netns", "exec", "blue", "ip", "-o", "link"];
    let links = lab.h1.exec(&links).ok();
    assert_eq!(links.text().lines().count(), 1, "{links}");
    // Where it is on a network, new interfaces begin closed; they are the runtime's again once it is let go.
    let _ = lab.h1.net(&["connect", "app", "blue"]).ok();
    assert_ne!(defaults(), before);
}
