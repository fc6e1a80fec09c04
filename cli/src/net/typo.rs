//! What to say when a verb is none: clap finds the nearest; this knows what Docker's words are called here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::likeness::nearest;

/// Adds to the error what the user may have meant, if it is one of Docker's words. `words` are those of the command line.
pub(super) fn advise(error: &mut clap::Error, words: &[String]) {
    let unknown = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => word.clone(),
        _ => return,
    };
    let behind = words.iter().skip_while(|word| **word != unknown).skip(1);
    let rest: Vec<&str> = behind.map(String::as_str).collect();
    let Some(advice) = advice(&unknown, &rest) else {
        keep_nearest(error, &unknown);
        return;
    };
    // Similar letters mean nothing where the word is known.
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![advice.into()]),
    );
}

/// clap names every verb that is a little like it, down to `disconnect` for `conect`: one is enough, the nearest.
fn keep_nearest(error: &mut clap::Error, unknown: &str) {
    let Some(ContextValue::Strings(similar)) = error.get(ContextKind::SuggestedSubcommand) else {
        return;
    };
    if let Some(nearest) = nearest(unknown, similar.iter().map(String::as_str)) {
        let nearest = ContextValue::Strings(vec![nearest.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, nearest);
    }
}

fn advice(word: &str, rest: &[&str]) -> Option<String> {
    let advice = match word {
        "network" => {
            let verb = if rest.is_empty() {
                "ls"
            } else {
                &rest.join(" ")
            };
            return Some(format!(
                "the verbs of docker network go without the word network: 'net {verb}'"
            ));
        }
        "container" | "containers" => {
            "'net ps' lists containers, 'net stop' and 'net exec' work on them"
        }
        "start" | "restart" => "'net run --name NAME' brings a container back with its addresses",
        "kill" => "'net stop -t 0' does that",
        "logs" => "'net run -d --log FILE' keeps what a command writes",
        "info" => "'net status' tells how the daemon is",
        "delete" | "del" => "'net rm' removes networks",
        "show" => "'net inspect' shows all there is to know",
        "completion" => "'net completions' prints the script for a shell",
        _ => return None,
    };
    Some(advice.to_owned())
}
