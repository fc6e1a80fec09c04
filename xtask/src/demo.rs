//! `cargo xtask demo`: the whole story, told step by step on a laboratory of namespaces.
//!
//! Nothing stays behind, also after ctrl-C: the kernel ends the laboratory with this process.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use netns_tests::lab::HOST;
use netns_tests::{Lab, Ran, eventually};

use crate::{cargo, packages, say};

/// The page that travels.
const PAGE: &str = "hello from a container";

/// Installs what is needed, builds, and tells the story.
///
/// # Errors
/// When the workspace does not build. A step that goes wrong ends the process with a message.
pub(crate) fn run() -> Result<()> {
    packages::install_missing()?;
    cargo::run(&["build", "--workspace", "--bins", "--quiet"])?;
    std::panic::set_hook(Box::new(|report| {
        let text = report.payload_as_str().unwrap_or("it broke off");
        eprintln!("\nThe demonstration failed: {text}");
    }));
    let start = Instant::now();
    let story = Story::begin();
    story.two_containers_find_each_other();
    story.the_outside_reaches_one();
    story.what_stands();
    story.the_daemon_dies();
    story.the_end();
    drop(story);
    let took = start.elapsed();
    say(&format!(
        "\nAll of it took {took:.1?}, and nothing stays behind."
    ));
    Ok(())
}

struct Story {
    lab: Lab,
    bold: &'static str,
    dim: &'static str,
    plain: &'static str,
}

impl Story {
    fn begin() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (bold, dim, plain) = match colour {
            true => ("\x1b[1m", "\x1b[2m", "\x1b[0m"),
            false => ("", "", ""),
        };
        let lab = Lab::without_daemon(netns_tests::HostOptions::default());
        let story = Self {
            lab,
            bold,
            dim,
            plain,
        };
        story.chapter(
            "A host with a netd of its own, and a machine outside, both made of namespaces",
        );
        let took = story.lab.h1.start();
        story.note(&format!("netd says READY after {}", milliseconds(took)));
        story
    }

    fn two_containers_find_each_other(&self) {
        self.chapter(
            "A network, and two containers on it: any program of the host, no image needed",
        );
        self.net(&["create", "app"]);
        self.lab.h1.write("/run/lab/www/index.html", PAGE);
        self.net(&[
            "run",
            "-d",
            "--name",
            "web",
            "--network",
            "app",
            "-p",
            "8080:80",
            "--",
            "busybox",
            "httpd",
            "-f",
            "-p",
            "80",
            "-h",
            "/run/lab/www",
        ]);
        self.net(&[
            "run",
            "-d",
            "--name",
            "client",
            "--network",
            "app",
            "--",
            "sleep",
            "60",
        ]);
        self.chapter("They find each other by name");
        self.net(&["exec", "client", "--", "getent", "hosts", "web"]);
        let fetch = || {
            self.lab
                .h1
                .net(&["exec", "client", "--", "curl", "-sS", "http://web/"])
        };
        eventually("the web server's first answer", || {
            fetch().is_ok().then_some(())
        });
        self.net(&["exec", "client", "--", "curl", "-sS", "http://web/"]);
    }

    fn the_outside_reaches_one(&self) {
        self.chapter("A machine outside fetches the page through the published port");
        self.fetch_from_outside();
    }

    fn what_stands(&self) {
        self.chapter("What stands");
        self.net(&["ls"]);
        self.net(&["ps"]);
        self.net(&["port", "web"]);
        self.net(&["inspect", "app"]);
    }

    fn the_daemon_dies(&self) {
        self.chapter("kill -9 of the daemon: nobody notices");
        self.lab.h1.kill();
        self.fetch_from_outside();
        let took = self.lab.h1.start();
        self.note(&format!("netd is READY again after {}", milliseconds(took)));
        self.net(&["status"]);
    }

    fn the_end(&self) {
        self.chapter("And away with it");
        self.net(&["stop", "web"]);
        self.net(&["stop", "client"]);
        self.net(&["rm", "app"]);
    }

    fn chapter(&self, title: &str) {
        say(&format!("\n{}{title}{}", self.bold, self.plain));
    }

    fn note(&self, text: &str) {
        say(&format!("  {}{text}{}", self.dim, self.plain));
    }

    fn net(&self, arguments: &[&str]) {
        let ran = self.lab.h1.net(arguments).ok();
        self.show("host", &format!("net {}", arguments.join(" ")), &ran);
    }

    fn fetch_from_outside(&self) {
        let url = format!("http://{HOST}:8080/");
        let ran = self.lab.outside.get(&url).ok();
        assert!(ran.text() == PAGE, "another page came: {:?}", ran.text());
        self.show("outside", &format!("curl {url}"), &ran);
    }

    fn show(&self, place: &str, line: &str, ran: &Ran) {
        let (dim, plain) = (self.dim, self.plain);
        let took = milliseconds(ran.took);
        say(&format!(
            "  {dim}{place}${plain} {line}  {dim}({took}){plain}"
        ));
        for line in ran.stdout.lines() {
            say(&format!("      {line}"));
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}
