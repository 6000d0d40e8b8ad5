// SPDX-License-Identifier: GPL-2.0-only

//! `oxen`: runs and manages Xen guests through Xen's own tool interface.

/// Xen's structures and numbers: the same files as in the module.
#[allow(
    dead_code,
    clippy::precedence,
    clippy::type_complexity,
    reason = "the module's files, which use what this program does not"
)]
mod abi;
mod acpi;
mod cli;
mod commands;
mod console;
mod domain;
mod error;
mod kernel;
mod livepatch;
mod start_info;
mod steps;
mod xen;
mod xenstore;

use std::process::ExitCode;

use clap::Parser;

use console::terminal::say;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::dispatch(cli.command) {
        Ok(status) => ExitCode::from(status),
        Err(err) => {
            say(&err.to_string());
            ExitCode::from(err.status())
        }
    }
}
