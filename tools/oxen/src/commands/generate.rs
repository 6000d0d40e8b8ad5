// SPDX-License-Identifier: GPL-2.0-only

//! The manual page and the completions, made from the command line's own description.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{
    print,
    OK, //
};
use crate::cli::Cli;
use crate::error::Result;

/// What the description of the command line does not say.
const REST: &str = include_str!("man-rest.roff");

/// Makes the manual page.
fn page() -> std::io::Result<String> {
    let mut command = Cli::command();
    // Without this a command does not know its whole name.
    command.build();
    let mut page = b".\\\" SPDX-License-Identifier: GPL-2.0-only\n".to_vec();
    let man = Man::new(command.clone())
        .date("")
        .source("oxen")
        .manual("oxen manual");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    let mut commands = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = sub.get_name().to_string();
        let below = sub.get_subcommands();
        let below = below.map(|below| (format!("{name} {}", below.get_name()), below));
        commands.push((name.clone(), sub));
        commands.extend(below);
    }
    for (name, sub) in commands {
        let man = Man::new(sub.clone());
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        page.extend_from_slice(format!(".SS oxen {name}\n").as_bytes());
        // A command's parts follow its heading; the headings of a page of its own would be in the
        // way.
        let part = String::from_utf8_lossy(&part);
        for line in part.lines() {
            match line {
                ".SH SYNOPSIS" | ".SH DESCRIPTION" | ".SH OPTIONS" => page.extend(b".PP\n"),
                line => page.extend(format!("{line}\n").bytes()),
            }
        }
    }
    page.extend_from_slice(REST.as_bytes());
    Ok(tidy(&String::from_utf8_lossy(&page)))
}

/// Keeps the first of the definitions that each part begins with, and no empty paragraph.
fn tidy(page: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for line in page.lines() {
        let defined = line.starts_with(".ie ") || line.starts_with(".el ");
        let paragraph = [".PP", ".TP"].contains(&line);
        if defined && out.contains(&line) {
            continue;
        }
        if paragraph
            && out
                .last()
                .is_some_and(|last| last.starts_with(".SS ") || *last == ".PP")
        {
            if out.last() == Some(&".PP") {
                out.pop();
            }
            if line == ".PP" {
                continue;
            }
        }
        out.push(line.trim_end());
    }
    out.join("\n") + "\n"
}

/// Writes the manual page to standard output.
///
/// # Errors
///
/// Fails if it cannot be written.
pub(crate) fn man() -> Result<u8> {
    print(&page()?)?;
    Ok(OK)
}

/// Writes the completions for `shell` to standard output.
///
/// # Errors
///
/// Fails if they cannot be written.
pub(crate) fn completions(shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "oxen", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands;
    use crate::commands::status;

    /// The page in the tree is the one that the program makes: `oxen man
    /// >Documentation/man/oxen.1`.
    #[test]
    fn the_page_in_the_tree_is_up_to_date() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../Documentation/man/oxen.1"
        );
        let tree = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            tree,
            page().unwrap(),
            "make it again: oxen man >Documentation/man/oxen.1"
        );
    }

    #[test]
    fn the_page_names_every_command_and_every_exit_status() {
        let page = page().unwrap();
        for sub in Cli::command().get_subcommands() {
            let heading = format!(".SS oxen {}\n", sub.get_name());
            assert_eq!(page.contains(&heading), !sub.is_hide_set(), "{heading}");
        }
        for status in [
            commands::OK,
            commands::REBOOT,
            commands::SUSPEND,
            commands::CRASH,
            commands::WATCHDOG,
            commands::SOFT_RESET,
            commands::UNKNOWN,
            commands::DESTROYED,
            commands::QUIT,
            commands::OUTPUT_CLOSED,
            status::NOT_LOADED,
            status::HELD,
            status::NO_HARDWARE,
            status::UNUSABLE,
        ] {
            assert!(
                page.contains(&format!("\n.B {status}\n")),
                "exit status {status}"
            );
        }
    }

    #[test]
    fn every_shell_gets_completions() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "oxen", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(
                script.contains("console-log") && script.contains("unpause"),
                "{shell}"
            );
        }
    }
}
