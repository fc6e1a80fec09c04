//! The pages of README.md about runtimes: every line of them is run as it stands there, by the real programs, on a machine
//! whose folders outside /run are its own.

use netns_tests::containerd::Containerd;
use netns_tests::dockerd::{DockerLab, IMAGE};
use netns_tests::host::SOCKET;
use netns_tests::plugin::with_plugin;
use netns_tests::process::Ran;
use netns_tests::unpacked::Unpacked;
use netns_tests::{Host, Lab, OrFail, docker, eventually, programs};

const README: &str = include_str!("../../../../README.md");

/// Folders that the lines write to, beside /etc; the daemon where a machine has it; and the runtimes, without a say over
/// the control groups of the real machine (see [`netns_tests::oci`]). `$1` is the daemon's socket, `$2` is `ctr`.
const OWN_FOLDERS: &str = r#"
set -e
[ -d /run/lab/etc ] || { cp -a /etc /run/lab/etc; mount --bind /run/lab/etc /etc; }
rm -rf /etc/cni /opt/cni
for folder in /opt /srv /usr/local/lib /var/lib; do mount -t tmpfs tmpfs $folder; done
ln -s "$1" /run/netd.sock
mkdir -p /run/lab/bin
cd /run/lab/bin
cat > runc <<'END'
#!/bin/sh
[ "$1" = spec ] || exec /usr/sbin/runc --rootless=true "$@"
/usr/sbin/runc spec
jq 'del(.mounts[] | select(.type == "cgroup"))' config.json > config.json.new && mv config.json.new config.json
END
cat > crun <<'END'
#!/bin/sh
exec /usr/bin/crun --cgroup-manager=disabled "$@"
END
cat > ctr <<END
#!/bin/sh
[ "\$1" = run ] && shift && set -- run --runc-binary /run/lab/bin/runc --cgroup "" --cpu-shares 0 "\$@"
exec "$2" "\$@"
END
chmod +x runc crun ctr
mkdir -p /etc/containers/containers.conf.d
printf '[containers]\ncgroups = "disabled"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' \
    > /etc/containers/containers.conf.d/lab.conf
printf '[storage]\ndriver = "vfs"\ngraphroot = "/run/podman/root"\nrunroot = "/run/podman/runroot"\n' > /etc/containers/storage.conf
"#;

/// Runs each line of `$1`, and stops at the first that fails. A server that was just started may not listen yet, and
/// containerd not have seen the end of what was killed.
const RUN_LINES: &str = r#"
try() {
    echo "\$ $1"
    eval "$1" && return
    case "$1" in
        *curl*|*wget*|*ping*|*"ctr task rm"*) for again in $(seq 100); do sleep 0.1; eval "$1" && return; done ;;
    esac
    echo "this line failed: $1"
    cat ./*.log
    exit 1
}
cd /srv
while IFS= read -r line <&3; do try "$line"; done 3< "$1"
"#;

/// The indented blocks of a section, in order.
fn blocks(section: &str) -> Vec<String> {
    let text = README
        .split("\n## ")
        .find(|text| text.starts_with(section))
        .or_fail(section);
    let mut blocks = Vec::new();
    let mut block = String::new();
    for line in text.lines().chain([""]) {
        match line.strip_prefix("    ") {
            Some(code) => block = block + code + "\n",
            None if block.is_empty() => {}
            None => blocks.push(std::mem::take(&mut block)),
        }
    }
    blocks
}

/// The blocks of a section that are commands, each command on one line.
fn commands(section: &str) -> Vec<String> {
    let blocks = blocks(section).into_iter();
    let commands = blocks.filter(|block| !block.starts_with('{'));
    let on_one_line = commands.map(|block| block.replace("\\\n", " "));
    // The daemon runs already.
    on_one_line
        .map(|block| match block.split_once('\n') {
            Some((first, others)) if first.starts_with("netd --docker-plugin &") => {
                others.to_owned()
            }
            _ => block,
        })
        .collect()
}

/// Makes the machine's folders its own, and has the default socket lead to its daemon.
fn prepare(host: &Host) {
    let engines = Unpacked::of_build().or_fail("find what was unpacked");
    let ctr = engines.program("ctr").or_fail("ctr");
    let ctr = ctr.display().to_string();
    let _ = host
        .exec(&["sh", "-c", OWN_FOLDERS, "sh", SOCKET, &ctr])
        .ok();
}

/// Runs the lines of a page; gives all that they said.
#[track_caller]
fn run(host: &Host, lines: &str) -> Ran {
    host.write("/run/lab/lines", lines);
    let own = programs::built("net");
    let client = docker::client();
    let folders = [&own, &client].map(|program| program.parent().or_fail("folder").display());
    let [own, client] = folders;
    let path = format!("/run/lab/bin:{own}:{client}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let environment = [
        ("PATH", path.as_str()),
        ("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock"),
        ("HOME", "/run/podman"),
    ];
    let line = ["bash", "-c", RUN_LINES, "bash", "/run/lab/lines"];
    host.exec_with(&line, &environment, b"").ok()
}

#[test]
fn each_line_of_the_readme_about_cni_runs() {
    let lab = Lab::new();
    let _containerd = Containerd::start(&lab.h1);
    prepare(&lab.h1);
    let _ = lab.h1.net(&["create", "app"]).ok();
    let ran = run(&lab.h1, &commands("CNI\n").concat());
    let list = blocks("CNI\n");
    let list = list.iter().find(|block| block.starts_with('{'));
    let written = lab.h1.read("/run/lab/etc/cni/net.d/10-netd.conflist");
    assert_eq!(Some(written.as_str()), list.map(|list| list.as_str()));
    assert!(ran.stdout.contains("80/tcp -> 0.0.0.0:8080"), "{ran}");
    // Nobody told netd that the container went.
    eventually("only db", || {
        let names = lab.h1.net(&["ps", "--format", "{{.Names}}"]).ok();
        (names.text() == "default-db").then_some(())
    });
}

#[test]
fn each_line_of_the_readme_about_podman_runs() {
    let pages = commands("Podman\n");
    let (cni, netavark) = pages.split_last().or_fail("blocks about Podman");
    let lab = Lab::new();
    prepare(&lab.h1);
    lab.h1.without_groups();
    let _ = run(&lab.h1, &netavark.concat());
    let names = lab.h1.net(&["ps", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.text(), "db");
    // The other backend, on a machine that never had the first.
    let lab = Lab::new();
    prepare(&lab.h1);
    lab.h1.without_groups();
    let root = blocks("Podman\n");
    let root = root.iter().flat_map(|block| block.lines());
    let root: Vec<&str> = root
        .filter(|line| line.contains("/srv/web && cd") || line.starts_with("cp "))
        .collect();
    let ran = run(
        &lab.h1,
        &format!(
            "{}\n{cni}curl -s http://127.0.0.1:8080/hosts\n",
            root.join("\n")
        ),
    );
    assert!(ran.stdout.contains(" web\n"), "{ran}");
    let networks = lab.h1.net(&["ps", "--format", "{{.Networks}}"]).ok();
    assert_eq!(networks.text(), "app");
}

#[test]
fn each_line_of_the_readme_about_runc_and_crun_runs() {
    for runtime in ["runc", "crun"] {
        let lab = Lab::new();
        prepare(&lab.h1);
        lab.h1.without_groups();
        let lines = commands("runc and crun\n").concat();
        let lines = lines
            .replace("runc run", &format!("{runtime} run"))
            .replace("runc delete", &format!("{runtime} delete"));
        let _ = run(&lab.h1, &lines);
        assert_eq!(lab.h1.net(&["ps", "-q"]).ok().text(), "");
        let shown = blocks("runc and crun\n");
        let shown = shown
            .iter()
            .find(|block| block.starts_with('{'))
            .or_fail("what is printed");
        let program = programs::built("netd-hook").display().to_string();
        let printed = lab
            .h1
            .exec(&[&program, "example", "--network", "app", "-p", "8080:80"])
            .ok();
        assert_eq!(
            printed.stdout,
            shown.replace("/usr/local/bin/netd-hook", &program)
        );
    }
}

#[test]
fn each_line_of_the_readme_about_dockers_client_runs() {
    let lab = Lab::new();
    prepare(&lab.h1);
    let ran = run(&lab.h1, &commands("Docker's client\n").concat());
    for said in ["web 172.28.0.10/24", "\n172.28.0.10\n", "network connect"] {
        assert!(ran.stdout.contains(said), "{said}: {ran}");
    }
}

#[test]
fn each_line_of_the_readme_about_dockers_engine_runs() {
    let lab = DockerLab::with(with_plugin());
    let _ = lab.docker(&["tag", IMAGE, "busybox"]).ok();
    prepare(&lab.h1);
    let ran = run(&lab.h1, &commands("Docker's engine\n")[0]);
    assert!(ran.stdout.contains("0.0.0.0:8080->80/tcp"), "{ran}");
}

#[test]
fn each_line_of_the_readme_about_one_network_runs() {
    let lab = DockerLab::with(with_plugin());
    let _ = lab.docker(&["tag", IMAGE, "busybox"]).ok();
    let _containerd = Containerd::start(&lab.h1);
    prepare(&lab.h1);
    // What the pages of Podman and of crun say comes first.
    let podman =
        "netd-netavark install /usr/local/lib/netd > /etc/containers/containers.conf.d/netd.conf\n";
    let _ = run(&lab.h1, podman);
    let bundle = r#"mkdir -p /srv/bundle/rootfs && cd /srv/bundle && runc spec
cp --parents /bin/busybox $(ldd /bin/busybox | grep -o '/[^ ]*') rootfs
jq '.process.terminal = false | .process.args = ["/bin/busybox", "httpd", "-f", "-h", "/etc"]' config.json > plain.json
netd-hook example --network netd -p 8085:80 plain.json > config.json
"#;
    let _ = run(&lab.h1, bundle);
    let ran = run(
        &lab.h1,
        &commands("One network for every runtime\n").concat(),
    );
    assert!(ran.stdout.ends_with("nameserver 127.0.0.11\n"), "{ran}");
    let names = lab.h1.net(&["ps", "--format", "{{.Names}}"]).ok();
    let mut names: Vec<&str> = names.text().lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["bundle", "default-shim", "dock", "plain", "pod"]);
    let ports = lab.h1.net(&["ps", "--format", "{{.Ports}}"]).ok();
    for port in 8081..=8085 {
        assert!(
            ports.stdout.contains(&format!(":{port}->80/tcp")),
            "{ports}"
        );
    }
}
