//! Manual pages, made from the same definitions as the help.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::{Arguments, ManArgs};
use super::failure::Failure;

/// `net man`: writes net.1 and a page for each verb, such as net-route-add.1.
pub(super) fn write(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let told = |error: io::Error| {
        let directory = args.dir.display();
        Failure::Refused(format!(
            "cannot write manual pages into {directory}: {error}"
        ))
    };
    fs::create_dir_all(&args.dir).map_err(told)?;
    pages(&args.dir, "net", &command).map_err(told)
}

/// A page for a command, and one for each verb below it.
fn pages(directory: &Path, name: &str, command: &Command) -> io::Result<()> {
    page(directory, name, command)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages(directory, &format!("{name}-{}", verb.get_name()), verb)?;
    }
    Ok(())
}

fn page(directory: &Path, name: &str, command: &Command) -> io::Result<()> {
    let (examples, notes) = parts(command);
    let command_has_verbs = command.has_subcommands();
    // Filled as running text, examples could not be read: they get a section that is left as it is.
    let command = command.clone().after_help("").after_long_help("");
    let version = concat!("netd ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).title(name).source(version).manual("netd");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command_has_verbs {
        man.render_subcommands_section(&mut text)?;
    }
    for (title, lines) in [("EXAMPLES", examples), ("NOTES", notes)] {
        if !lines.is_empty() {
            text.extend_from_slice(format!(".SH {title}\n.nf\n").as_bytes());
            for line in lines {
                text.extend_from_slice(escaped(&line).as_bytes());
                text.push(b'\n');
            }
            text.extend_from_slice(b".fi\n");
        }
    }
    text.extend_from_slice(b".SH \"SEE ALSO\"\n.BR net (1),\n.BR netd (8)\n");
    fs::write(directory.join(format!("{name}.1")), text)
}

/// What stands below the options: the examples, and the rest.
fn parts(command: &Command) -> (Vec<String>, Vec<String>) {
    let below = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut paragraphs = below.split("\n\n");
    let examples = paragraphs.next().unwrap_or_default();
    let examples = examples.lines().filter(|line| line.trim() != "Examples:");
    let notes = paragraphs.collect::<Vec<_>>().join("\n\n");
    (
        examples.map(str::to_owned).collect(),
        notes.lines().map(str::to_owned).collect(),
    )
}

/// A line that roff(7) shows as it is.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\(rs").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_commands_to_roff() {
        assert_eq!(escaped(".a -b 'c\\t'"), "\\&.a \\-b 'c\\(rst'");
        assert_eq!(escaped("'x"), "\\&'x");
    }
}
