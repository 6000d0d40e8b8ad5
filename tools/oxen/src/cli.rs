// SPDX-License-Identifier: GPL-2.0-only

//! The command line.
//!
//! The texts here are the help, the manual page and the completions.

use std::path::PathBuf;

use clap::{
    Args,
    Parser,
    Subcommand,
    ValueEnum, //
};

use crate::domain::layout::{
    MEMORY_MAX_MIB,
    MEMORY_MIN_MIB, //
};
use crate::domain::registry::check_name;

/// The most vCPUs that can be asked for; a hypervisor may allow fewer.
const VCPUS_MAX: i64 = 512;

/// Run and manage Xen guests on this Linux host
///
/// oxen talks to the hypervisor through /dev/xen/privcmd and /dev/xen/evtchn with Xen's own tool
/// interface (that of Xen 4.20). It needs root.
#[derive(Debug, Parser)]
#[command(name = "oxen", version, disable_help_subcommand = true)]
#[command(
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands"
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a guest and stay with its console until it ends
    ///
    /// The console is on standard input and output. On a terminal that is set to raw mode: Ctrl-] q
    /// ends the session and Ctrl-] ? shows the keys. Otherwise bytes pass as they are. The end of
    /// standard input does not end the guest.
    ///
    /// SIGINT, SIGTERM and SIGHUP destroy the guest. After a SIGKILL it stays; `oxen list` shows it
    /// and `oxen destroy` ends it.
    Run(Run),
    /// List the domains there are
    List(Json),
    /// Describe the host, or one domain with its vCPUs
    Info(Info),
    /// Take part in a domain's console
    ///
    /// Joins the `oxen run` or `oxen console` that holds the console, or takes it if none does.
    /// Ctrl-] q leaves; the guest goes on.
    Console(Target),
    /// Stop a domain's vCPUs
    Pause(Target),
    /// Let a paused domain's vCPUs run again
    Unpause(Target),
    /// Ask a domain to power off
    ///
    /// A guest can only be asked through xenstore. Where no xenstored runs, or the guest is not
    /// connected to it (as those of `oxen run` are not), this says so and does nothing, unless
    /// --force is given.
    Shutdown(Shutdown),
    /// End a domain at once and free what it has
    Destroy(Target),
    /// Say whether this host can run guests, and what is in the way
    Status(Json),
    /// Show the hypervisor's log
    Dmesg(Dmesg),
    /// Change the hypervisor's code while guests run
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Livepatch {
        /// What to do
        #[command(subcommand)]
        command: Livepatch,
    },
    /// Write the completions of a shell to standard output
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output
    #[command(hide = true)]
    Man,
}

/// Options of `oxen run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Kernel with a PVH entry note: bzImage (payload gzip, xz, lzma, zstd, lz4 or none) or ELF
    #[arg(short, long, value_name = "FILE")]
    pub(crate) kernel: PathBuf,
    /// Initial RAM file system
    #[arg(short, long, value_name = "FILE")]
    pub(crate) initrd: Option<PathBuf>,
    /// Kernel command line
    #[arg(short, long, value_name = "TEXT", default_value = "console=hvc0")]
    pub(crate) cmdline: String,
    /// Number of vCPUs
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=VCPUS_MAX))]
    pub(crate) vcpus: u32,
    /// RAM, in MiB or with a suffix: 512, 512M, 2G
    #[arg(short, long, value_name = "SIZE", default_value = "256", value_parser = parse_memory)]
    pub(crate) memory: u64,
    /// Name, to use instead of the domain's number
    #[arg(short, long, value_name = "NAME", value_parser = check_name)]
    pub(crate) name: Option<String>,
    /// Leave the guest paused; `oxen unpause` starts it
    #[arg(long)]
    pub(crate) paused: bool,
    /// Start the guest again when it reboots
    #[arg(long)]
    pub(crate) restart: bool,
    /// Do not destroy the domain when this command ends
    #[arg(long)]
    pub(crate) keep: bool,
    /// Copy what the guest writes to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) console_log: Option<PathBuf>,
    /// Do not read standard input
    #[arg(long)]
    pub(crate) no_input: bool,
    /// Tell on standard error how long each step took
    #[arg(long)]
    pub(crate) timing: bool,
    /// When areas that the guest gives by linear address are translated
    ///
    /// Without this the module's parameter runstate_va decides.
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) runstate_va: Option<RunstateVa>,
}

/// When the linear address of a runstate or time area is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunstateVa {
    /// When it is registered
    Once,
    /// At each update, as Xen does: updates that find nothing there are lost
    Walk,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Json {
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `oxen info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Domain, by number or name; without one the host is described
    pub(crate) domain: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// A domain.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Domain, by number or name
    pub(crate) domain: String,
}

/// Options of `oxen shutdown`.
#[derive(Debug, Args)]
pub(crate) struct Shutdown {
    /// Domain, by number or name
    pub(crate) domain: String,
    /// What the guest is to do
    #[arg(long, value_enum, default_value_t = Kind::Poweroff)]
    pub(crate) kind: Kind,
    /// If the guest cannot be asked, end it as if it had asked: its file systems are not unmounted
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait until the guest has ended
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What a guest is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Power off
    Poweroff,
    /// Start again
    Reboot,
}

/// Options of `oxen dmesg`.
#[derive(Debug, Args)]
pub(crate) struct Dmesg {
    /// Empty the log
    #[arg(long)]
    pub(crate) clear: bool,
    /// Go on showing what is added
    #[arg(short, long, conflicts_with = "clear")]
    pub(crate) follow: bool,
}

/// What to do with payloads of live patches.
#[derive(Debug, Subcommand)]
pub(crate) enum Livepatch {
    /// Make a payload out of a source diff
    ///
    /// Builds the module before and after the diff, finds every function whose machine code is
    /// another, and puts these into a payload for the module that runs. Says what cannot be patched,
    /// and why. Needs the tree, the kernel and the compilers that the module was built with.
    Build(Box<LivepatchBuild>),
    /// Load a payload
    Upload {
        /// Name to load it under
        name: String,
        /// The payload
        file: PathBuf,
    },
    /// Put a payload's functions in use
    Apply {
        #[command(flatten)]
        action: LivepatchAction,
        /// Whatever was applied before
        #[arg(long)]
        nodeps: bool,
    },
    /// Put a payload's functions out of use: that of the one that was applied last
    Revert(LivepatchAction),
    /// Apply a payload in place of all others
    Replace(LivepatchAction),
    /// Forget a payload that is not applied
    Unload {
        /// Its name
        name: String,
    },
    /// List the payloads
    List(Json),
    /// Say whether a payload is in use, and how the last action on it went
    Status {
        /// Its name
        name: String,
        #[command(flatten)]
        json: Json,
    },
}

/// An action on a payload.
#[derive(Debug, Args)]
pub(crate) struct LivepatchAction {
    /// The payload's name
    pub(crate) name: String,
    /// How long to wait for vCPUs and tools, in milliseconds; the hypervisor waits 30
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..=4000))]
    pub(crate) timeout: Option<u32>,
}

/// Options of `oxen livepatch build`.
#[derive(Debug, Args)]
pub(crate) struct LivepatchBuild {
    /// The diff, as `git diff` or `diff -u` writes it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) patch: PathBuf,
    /// Where to write the payload
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The module that runs, with its symbols, as the build made it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) module: PathBuf,
    /// The tree that it was built from
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    pub(crate) source: PathBuf,
    /// The kernel's build folder
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) kdir: PathBuf,
    /// More arguments of make, such as LLVM=1
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) make: Vec<String>,
    /// Build here, and use what was built here before for the same module
    #[arg(long, value_name = "FOLDER")]
    pub(crate) work: Option<PathBuf>,
    /// A payload that this one goes on top of
    #[arg(long, value_name = "FILE")]
    pub(crate) on: Option<PathBuf>,
    /// A type of which nothing is in memory, so that it may lie otherwise
    #[arg(long, value_name = "TYPE")]
    pub(crate) layout: Vec<String>,
}

/// Reads a size of memory and returns it in MiB.
fn parse_memory(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['b', 'B', 'i']).split_at_checked(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    ) {
        Some((digits, "" | "M" | "m")) => (digits, 0),
        Some((digits, "G" | "g")) => (digits, 10),
        _ => return Err("a size is a number of MiB, or has the suffix M or G".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size begins with a number")?;
    number
        .checked_mul(1 << shift)
        .filter(|mib| (MEMORY_MIN_MIB..=MEMORY_MAX_MIB).contains(mib))
        .ok_or_else(|| {
            format!(
                "memory is from {MEMORY_MIN_MIB} MiB to {} GiB",
                MEMORY_MAX_MIB >> 10
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lp_15_a_part_of_a_command_is_none() {
        let parses = |words: &[&str]| {
            let line = ["oxen", "livepatch"].iter().chain(words);
            Cli::try_parse_from(line).is_ok()
        };
        assert!(parses(&["upload", "name", "file"]));
        for part in ["u", "up", "uploa", "uploads", "re"] {
            assert!(!parses(&[part, "name", "file"]), "{part}");
            assert!(!parses(&[part, "name"]), "{part}");
        }
    }

    #[test]
    fn sizes() {
        for (text, mib) in [
            ("512", 512),
            ("512M", 512),
            ("2G", 2048),
            ("1GiB", 1024),
            ("3mb", 3),
        ] {
            assert_eq!(parse_memory(text), Ok(mib), "{text}");
        }
        for bad in [
            "",
            "0",
            "x",
            "1T",
            "-1",
            "1.5G",
            "G",
            "99999999999999999999",
            "2000000",
            "1 G",
        ] {
            assert!(parse_memory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn run_takes_what_it_promises() {
        let cli = Cli::try_parse_from([
            "oxen",
            "run",
            "--kernel",
            "k",
            "--initrd",
            "i",
            "--cmdline",
            "a b",
            "--vcpus",
            "2",
            "--memory",
            "1G",
            "--name",
            "web",
        ])
        .unwrap();
        let Command::Run(run) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(
            (run.vcpus, run.memory, run.cmdline.as_str()),
            (2, 1024, "a b")
        );
        assert!(Cli::try_parse_from(["oxen", "run", "--kernel", "k", "--name", "7"]).is_err());
        assert!(Cli::try_parse_from(["oxen", "run", "--kernel", "k", "--vcpus", "0"]).is_err());
    }
}
