// SPDX-License-Identifier: GPL-2.0-only

//! What each command does, and the exit statuses that it may end with.

pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod dmesg;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod livepatch;
pub(crate) mod run;
pub(crate) mod status;

use std::io::Write;

use serde::Serialize;

use crate::cli::Command;
use crate::console::session::End;
use crate::domain::state::Reason;
use crate::error::{
    Context,
    Result, //
};

/// Exit status: done, or the guest has powered off.
pub(crate) const OK: u8 = 0;
/// Exit status: the guest wants to be started again.
pub(crate) const REBOOT: u8 = 10;
/// Exit status: the guest has suspended itself.
pub(crate) const SUSPEND: u8 = 11;
/// Exit status: the guest has crashed.
pub(crate) const CRASH: u8 = 12;
/// Exit status: the guest's watchdog has stopped it.
pub(crate) const WATCHDOG: u8 = 13;
/// Exit status: the guest has asked for a soft reset.
pub(crate) const SOFT_RESET: u8 = 14;
/// Exit status: the guest has shut down for a reason that this program does not know.
pub(crate) const UNKNOWN: u8 = 15;
/// Exit status: somebody else has destroyed the domain.
pub(crate) const DESTROYED: u8 = 16;
/// Exit status: the person has ended the session with the escape key.
pub(crate) const QUIT: u8 = 17;
/// Exit status: standard output was closed.
pub(crate) const OUTPUT_CLOSED: u8 = 18;

/// Does what the command line says and returns the exit status.
///
/// # Errors
///
/// Fails with what the person is to be told.
pub(crate) fn dispatch(command: Command) -> Result<u8> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::List(json) => list::list(json),
        Command::Info(args) => info::info(&args),
        Command::Console(target) => console::console(&target),
        Command::Pause(target) => control::pause(&target),
        Command::Unpause(target) => control::unpause(&target),
        Command::Shutdown(args) => control::shutdown(&args),
        Command::Destroy(target) => control::destroy(&target),
        Command::Status(json) => status::status(json),
        Command::Dmesg(args) => dmesg::dmesg(&args),
        Command::Livepatch { command } => livepatch::livepatch(&command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man => generate::man(),
    }
}

/// Returns the exit status that says how a session has ended.
const fn end_status(end: End) -> u8 {
    match end {
        End::Shutdown(reason) => match reason {
            Reason::Poweroff => OK,
            Reason::Reboot => REBOOT,
            Reason::Suspend => SUSPEND,
            Reason::Crash => CRASH,
            Reason::Watchdog => WATCHDOG,
            Reason::SoftReset => SOFT_RESET,
            Reason::Unknown(_) => UNKNOWN,
        },
        End::Destroyed => DESTROYED,
        End::Quit => QUIT,
        End::Signal(signal) => 128 + signal as u8,
        End::OutputClosed => OUTPUT_CLOSED,
    }
}

/// Writes text to standard output. A reader that has gone is not worth a message.
fn print(text: &str) -> Result {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.step("write standard output"),
    }
}

/// Writes `value` to standard output as JSON.
fn print_json<T: Serialize>(value: &T) -> Result {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    print(&(text + "\n"))
}

/// Lays out rows in columns; the first row is the heading, and the columns in `right` are aligned
/// right.
fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            line.push_str(&if right.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows = [
            row(&["ID", "NAME", "MIB"]),
            row(&["3", "größe", "64"]),
            row(&["12", "b", "1024"]),
        ];
        assert_eq!(
            table(&rows, &[0, 2]),
            "ID  NAME    MIB\n 3  größe    64\n12  b      1024\n"
        );
    }
}
