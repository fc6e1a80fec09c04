//! What annotations may say, and what is refused.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Wishes, Failure> {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Wishes::read(&pairs.iter().map(pair).collect())
}

#[test]
fn all_of_it_is_read() {
    let wishes = read(&[
        ("com.example.other", ""),
        ("org.netd.network", "app, back"),
        ("org.netd.ip", "10.9.0.9/24,fd00::9"),
        ("org.netd.ip.back", "10.8.0.9"),
        ("org.netd.mac", "02:00:00:00:00:09"),
        ("org.netd.aliases", "sql db"),
        ("org.netd.aliases.back", "deep"),
        ("org.netd.ports", "8080:80 8443:443/tcp,from=10.0.0.0/8"),
        ("org.netd.rate-in", "10mbit"),
        ("org.netd.burst-in", "64kb"),
        ("org.netd.rate-out.back", "1mbit"),
        ("org.netd.dns", "192.0.2.53"),
        ("org.netd.dns-search", "corp.example"),
        ("org.netd.dns-opts", "ndots:2 rotate"),
        ("org.netd.hostname", "web.corp"),
        ("org.netd.name", "web"),
        ("org.netd.files", "none"),
    ])
    .unwrap();
    let [app, back] = &wishes.places[..] else {
        panic!("{wishes:?}");
    };
    let ips = ["10.9.0.9", "fd00::9"].map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_eq!((&app.network[..], &app.ips[..]), ("app", &ips[..]));
    assert_eq!(app.mac, Some("02:00:00:00:00:09".parse().unwrap()));
    assert_eq!(app.ports.len(), 2);
    assert_eq!(app.rates.inward.unwrap().burst_bytes(), 64 * 1024);
    let rates = [app, back].map(|place| place.rates.to_string());
    assert_eq!(rates, ["in 10mbit", "out 1mbit"]);
    let aliases = |place: &Place| {
        place
            .aliases
            .iter()
            .map(Alias::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(aliases(app), ["sql", "db"]);
    assert_eq!(aliases(back), ["deep", "sql", "db"]);
    assert_eq!(back.ips, ["10.8.0.9".parse::<IpAddr>().unwrap()]);
    assert_eq!((back.mac, back.ports.len()), (None, 0));
    assert_eq!(wishes.dns.options, ["ndots:2", "rotate"]);
    assert_eq!(wishes.files, Files::Own);
    assert_eq!(wishes.name.unwrap().as_str(), "web");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    for (key, near) in [
        ("org.netd.netwrok", "did you mean org.netd.network?"),
        ("org.netd.port", "did you mean org.netd.ports?"),
        ("org.netd.dns-serach", "did you mean org.netd.dns-search?"),
        ("org.netd.Network", "did you mean org.netd.network?"),
        ("org.netd.isp.app", "did you mean org.netd.ip?"),
        ("org.netd.name.app", "not said of single networks"),
        ("org.netd.something", "one of network, ip, mac"),
        ("org.netd.", "did you mean"),
        ("org.netd.ip.", "org.netd.ip"),
        ("org.netd.ip.apb", "did you mean org.netd.ip.app?"),
    ] {
        let said = read(&[("org.netd.network", "app"), (key, "x")]);
        let said = said.unwrap_err().to_string();
        assert!(said.contains(near), "{key}: {said}");
    }
}

#[test]
fn values_are_refused_by_their_key() {
    let none = read(&[("com.example.network", "app")]).unwrap_err();
    assert!(none.to_string().contains("org.netd.network is missing"));
    for (key, value, named) in [
        ("network", "  ", "empty"),
        ("network", "app,app", "once"),
        ("ip", "10.9.0.300", "10.9.0.300"),
        ("mac", "ff:ff:ff:ff:ff:ff", "mac"),
        ("aliases", "a/b", "'/'"),
        ("ports", "8080:80,8081:81", "blanks between"),
        ("ports", "99999:80", "99999"),
        ("dns", "resolver.example", "dns"),
        ("hostname", "-", "hostname"),
        ("name", "a b", "name"),
        ("files", "yes", "bound or none"),
    ] {
        let key = format!("org.netd.{key}");
        let said = read(&[("org.netd.network", "app"), (&key, value)]);
        let said = said.unwrap_err().to_string();
        assert!(said.contains(&key) && said.contains(named), "{said}");
    }
}
