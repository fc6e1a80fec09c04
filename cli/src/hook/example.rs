//! What a person types: `netd-hook example` prints the hooks and annotations that a config.json needs.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use netd_api::{ContainerName, PublishRequest};
use serde_json::{Map, Value, json};

use super::annotations::{KEYS, PREFIX};
use crate::handover;

/// What to print.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    netd-hook example --network app -p 8080:80\n  \
    netd-hook example --network app config.json > new.json && mv new.json config.json")]
pub(super) struct Example {
    /// Network to be on; once for each
    #[arg(long, default_value = "bridge")]
    network: Vec<String>,
    /// Name of the container, if it is not the runtime's id
    #[arg(long)]
    name: Option<ContainerName>,
    /// Publish a port: [IP:][HOST_PORT:]PORT[/PROTOCOL][,from=SUBNET]..., ranges allowed
    #[arg(short, long, value_name = "PORT", value_parser = is_port)]
    publish: Vec<String>,
    /// Socket of the daemon, if it is not the usual one
    #[arg(long)]
    socket: Option<PathBuf>,
    /// A config.json: it is printed with all that added
    config: Option<PathBuf>,
}

/// Printed as it was typed.
fn is_port(text: &str) -> Result<String, String> {
    let parsed: Result<PublishRequest, _> = text.parse();
    parsed
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// What annotations there are, for `--help`.
pub(super) fn annotations() -> String {
    let mut text = "Annotations:\n".to_owned();
    for (key, meaning) in KEYS {
        text.push_str(&format!("  {PREFIX}{key:<11} {meaning}\n"));
    }
    text.push_str(
        "\nThe keys ip, mac, aliases, ports, rate-in, rate-out, burst-in and burst-out are about the first network, or that of a name: org.netd.ip.back.",
    );
    text
}

impl Example {
    /// Prints it; the error is a sentence.
    pub(super) fn print(&self) -> Result<(), String> {
        if let Some(socket) = &self.socket {
            handover::check_path("--socket", socket)?;
        }
        let mut config = match &self.config {
            Some(path) => read(path)?,
            None => Map::new(),
        };
        self.add_to(&mut config)?;
        let mut text = serde_json::to_string_pretty(&config).unwrap_or_default();
        text.push('\n');
        let printed = io::stdout().write_all(text.as_bytes());
        printed.map_err(|error| format!("cannot print: {error}"))
    }

    /// Adds annotations and hooks; a hook of netd that stands there is replaced.
    fn add_to(&self, config: &mut Map<String, Value>) -> Result<(), String> {
        let annotations = object(config, "annotations")?;
        // crun shows what a hook says only if it is told where to (crun(1)); runc shows it anyway.
        let told = annotations.entry("run.oci.hooks.stderr");
        told.or_insert_with(|| "/dev/stderr".into());
        let texts = [
            ("network", self.network.join(",")),
            (
                "name",
                self.name
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
            ),
            ("ports", self.publish.join(" ")),
        ];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            annotations.insert(format!("{PREFIX}{key}"), text.into());
        }
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find out where this program is: {error}"))?;
        let hooks = object(config, "hooks")?;
        for moment in ["createRuntime", "poststop"] {
            let list = hooks.entry(moment).or_insert_with(|| json!([]));
            let Some(list) = list.as_array_mut() else {
                return Err(format!("hooks.{moment} of the configuration is no list"));
            };
            list.retain(|hook| hook["args"][0] != "netd-hook");
            let mut args = vec!["netd-hook".to_owned(), moment.to_owned()];
            if let Some(socket) = &self.socket {
                args.extend(["--socket".to_owned(), socket.display().to_string()]);
            }
            list.push(json!({ "path": program, "args": args }));
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let bytes = handover::read(file).map_err(|error| format!("{shown} {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{shown} is no configuration: {error}"))
}

fn object<'a>(
    config: &'a mut Map<String, Value>,
    key: &str,
) -> Result<&'a mut Map<String, Value>, String> {
    let value = config.entry(key).or_insert_with(|| json!({}));
    value
        .as_object_mut()
        .ok_or_else(|| format!("{key} of the configuration is no object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_twice_is_once() {
        let example = Example {
            network: vec!["app".to_owned(), "back".to_owned()],
            name: None,
            publish: vec!["8080:80".to_owned(), "53:53/udp".to_owned()],
            socket: Some("/run/other.sock".into()),
            config: None,
        };
        let other = json!({ "path": "/bin/other" });
        let config = json!({
            "ociVersion": "1.0.2",
            "annotations": { "com.example.a": "b", "org.netd.network": "former" },
            "hooks": { "poststop": [other] },
        });
        let mut config = config.as_object().unwrap().clone();
        for _ in 0..2 {
            example.add_to(&mut config).unwrap();
        }
        let expected = json!({
            "com.example.a": "b", "org.netd.network": "app,back", "org.netd.ports": "8080:80 53:53/udp",
            "run.oci.hooks.stderr": "/dev/stderr",
        });
        assert_eq!(config["annotations"], expected);
        let hooks = &config["hooks"];
        assert_eq!(hooks["createRuntime"].as_array().unwrap().len(), 1);
        assert_eq!(hooks["poststop"][0], other);
        let args = json!(["netd-hook", "poststop", "--socket", "/run/other.sock"]);
        assert_eq!(hooks["poststop"][1]["args"], args);
        assert_eq!(config["ociVersion"], "1.0.2");
        let mut odd = json!({ "hooks": 7 }).as_object().unwrap().clone();
        assert!(example.add_to(&mut odd).unwrap_err().contains("hooks"));
    }
}
