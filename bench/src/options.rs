//! The command line of the benchmark.

use std::path::PathBuf;

use clap::Parser;

use crate::measures::Effort;

/// The groups of measurements.
const GROUPS: [&str; 9] = [
    "steps", "parallel", "crowd", "plugins", "flows", "beside", "names", "daemon", "scale",
];

/// Measures netd beside bare netlink and other engines, everything in namespaces of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(name = "cargo xtask bench", disable_version_flag = true)]
pub struct Options {
    /// About three minutes without peers, instead of half an hour
    #[arg(long, conflicts_with = "miniature")]
    pub quick: bool,
    /// Seconds: only to see that everything works; the figures mean little
    #[arg(long, hide = true)]
    pub miniature: bool,
    /// Other engines too; fetches Debian's packages of them and unpacks them, without installing anything
    #[arg(long)]
    pub peers: bool,
    /// With many networks too: 1,000 of ten containers, which needs some 6 GiB and a quarter of an hour more
    #[arg(long)]
    pub scale: bool,
    /// Only this group of measurements, and others given likewise
    #[arg(long, value_name = "GROUP", value_parser = GROUPS)]
    pub only: Vec<String>,
    /// Another Docker engine
    #[arg(long, value_name = "PATH")]
    pub dockerd: Option<PathBuf>,
    /// Another netavark
    #[arg(long, value_name = "PATH")]
    pub netavark: Option<PathBuf>,
    /// Another aardvark-dns
    #[arg(long, value_name = "PATH")]
    pub aardvark: Option<PathBuf>,
    /// Folder with other CNI plugins
    #[arg(long, value_name = "DIR")]
    pub cni_bin_dir: Option<PathBuf>,
    /// Directory for the table and the plots
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    pub out: PathBuf,
}

impl Options {
    /// Whether other engines take part: they were asked for, or one was named.
    #[must_use]
    pub fn with_peers(&self) -> bool {
        let named = [
            &self.dockerd,
            &self.netavark,
            &self.aardvark,
            &self.cni_bin_dir,
        ];
        self.peers || named.iter().any(|path| path.is_some())
    }

    /// Whether a group of measurements is made.
    #[must_use]
    pub fn has(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == group)
    }

    /// How much is done.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let effort = match (self.miniature, self.quick) {
            (true, _) => Effort::MINIATURE,
            (_, true) => Effort::QUICK,
            _ => Effort::FULL,
        };
        match self.scale {
            true => Effort {
                networks: Effort::SCALE,
                ..effort
            },
            false => effort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_how_much_is_done() {
        let parse = |words: &[&str]| {
            Options::try_parse_from([&["bench"], words].concat()).map(|options| options.effort())
        };
        assert_eq!(parse(&[]).unwrap(), Effort::FULL);
        assert_eq!(parse(&["--quick"]).unwrap(), Effort::QUICK);
        assert_eq!(parse(&["--miniature"]).unwrap(), Effort::MINIATURE);
        assert!(parse(&["--quick", "--miniature"]).is_err());
        let scaled = parse(&["--quick", "--scale"]).unwrap();
        assert_eq!((scaled.few, scaled.networks), (7, Effort::SCALE));
        assert!(parse(&["--fast"]).is_err());
        assert!(parse(&["--only", "lunch"]).is_err());
        let only = Options::try_parse_from(["bench", "--only", "plugins", "--only", "flows"]);
        let only = only.unwrap();
        assert!(only.has("plugins") && only.has("flows") && !only.has("steps"));
        assert!(GROUPS.iter().all(|group| Options::default().has(group)));
    }
}
