//! Command lines as people type them.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Verb, clap::Error> {
    let words = std::iter::once("net").chain(line.split_whitespace());
    Arguments::try_parse_from(words).map(|arguments| arguments.verb)
}

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn every_verb_shows_examples() {
    for verb in Arguments::command()
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
    {
        let help = verb
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            help.contains("Examples:") && help.contains("net "),
            "{}",
            verb.get_name()
        );
        assert!(verb.get_about().is_some(), "{}", verb.get_name());
    }
}

#[test]
fn create_takes_docker_s_flags() {
    let line = "create --driver=bridge --subnet=172.28.0.0/16 --ip-range=172.28.5.0/24 --gateway=172.28.5.254 \
                --aux-address a=172.28.5.1 --internal --attachable --label x=1 --label y -o k=v=w br0";
    let Ok(Verb::Create(args)) = parse(line) else {
        panic!("{:?}", parse(line))
    };
    assert_eq!(args.name.as_str(), "br0");
    assert_eq!(args.subnet[0].to_string(), "172.28.0.0/16");
    assert_eq!(args.aux_address[0].0, "a");
    assert_eq!(
        args.label,
        [("x".into(), "1".into()), ("y".into(), String::new())]
    );
    assert_eq!(args.opt, [("k".into(), "v=w".into())]);
    assert!(args.internal && args.attachable);
}

#[test]
fn run_leaves_the_command_s_flags_alone() {
    for line in [
        "run -d -h box --net lab -p 80:80 -P --expose 53/udp --rm -- sh -c x --rm -H",
        "run -d -h box --net lab -p 80:80 -P --expose 53/udp --rm sh -c x --rm -H",
    ] {
        let Ok(Verb::Run(args)) = parse(line) else {
            panic!("{:?}", parse(line))
        };
        assert_eq!(args.command, ["sh", "-c", "x", "--rm", "-H"], "{line}");
        assert_eq!(
            args.hostname.as_ref().map(|name| name.as_str()),
            Some("box")
        );
        assert!(args.detach && args.rm && args.publish_all);
    }
}

#[test]
fn nonsense_is_refused_with_the_rule() {
    for (line, rule) in [
        (
            "create --subnet 172.28.5.1/16 x",
            "the subnet is 172.28.0.0/16",
        ),
        ("create a/b", "cannot be a network name"),
        ("run -p 99999:80 -- x", "is not a port"),
        ("run --expose 80/icmp -- x", "expected tcp, udp or sctp"),
        ("run --log /tmp/x -- x", "--detach"),
        ("run", "<COMMAND>"),
        ("create --aux-address x y", "expected NAME=ADDRESS"),
        ("connect --mac-address 01:00:5e:00:00:01 a b", "multicast"),
        ("publish web", "--publish"),
        ("conect a b", "connect"),
        ("ls --fromat x", "--format"),
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(rule), "{line}: {error}");
    }
}

#[test]
fn the_daemon_can_be_named_before_and_behind_the_verb() {
    for line in [
        ["-H", "/a", "ls"],
        ["ls", "-H", "/a"],
        ["ls", "--host", "/a"],
    ] {
        let words = std::iter::once("net").chain(line);
        assert_eq!(Arguments::parse_from(words).host.as_deref(), Some("/a"));
    }
}
