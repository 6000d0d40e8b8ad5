// SPDX-License-Identifier: GPL-2.0-only

//! `oxen run`: builds a domain, starts it, and stays until it ends.

use std::fs::{
    File,
    OpenOptions, //
};
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use uuid::Uuid;

use super::end_status;
use crate::cli::Run;
use crate::console::ring::Ring;
use crate::console::session::{
    End,
    Session, //
};
use crate::console::share::Share;
use crate::console::signals::Signals;
use crate::console::terminal::{
    say,
    Raw, //
};
use crate::domain::build::{
    Config,
    Domain,
    Plan, //
};
use crate::domain::layout::Special;
use crate::domain::registry::{
    Entry,
    Registry, //
};
use crate::domain::state::{
    Reason,
    State, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::kernel;
use crate::steps::Steps;
use crate::xen::evtchn::Evtchn;
use crate::xen::mapping::Access;
use crate::xen::privcmd::Privcmd;
use crate::xen::{
    domctl,
    sysctl,
    Hypervisor, //
};

/// The largest initial RAM file system, in bytes.
const INITRD_MAX: usize = 2 << 30;

/// What outlives one start of the guest.
struct Host<'a> {
    hv: &'a Privcmd,
    signals: Signals,
    registry: Registry,
    log: Option<File>,
}

/// Starts the guest that `args` describe and returns the exit status.
///
/// # Errors
///
/// Fails if the guest cannot be started; nothing is left of it then.
pub(crate) fn run(args: &Run) -> Result<u8> {
    let hv = Privcmd::open()?;
    let mut host = Host {
        hv: &hv,
        signals: Signals::hold()?,
        registry: Registry::system(),
        log: args.console_log.as_deref().map(open_log).transpose()?,
    };
    let begin = Instant::now();
    let mut config = Config {
        name: name(args),
        uuid: Uuid::nil(),
        vcpus: args.vcpus,
        memory_mib: args.memory,
        cmdline: args.cmdline.clone(),
        kernel: kernel::load(&args.kernel)?,
        initrd: args.initrd.as_deref().map(read_initrd).transpose()?,
    };
    if args.timing {
        let time = begin.elapsed().as_secs_f64() * 1e3;
        say(&format!(
            "timing: read the files ({}): {time:.3} ms",
            config.kernel.form
        ));
    }
    if config.cmdline.contains('\0') {
        return Err(Error::text("the command line holds a zero byte").step("read the arguments"));
    }
    loop {
        config.uuid = Uuid::new_v4();
        let end = once(&mut host, args, &config)?;
        if !(args.restart && end == End::Shutdown(Reason::Reboot)) {
            return Ok(end_status(end));
        }
    }
}

/// Returns the name that was given, or one made of the kernel's and this process'.
fn name(args: &Run) -> String {
    args.name
        .clone()
        .unwrap_or_else(|| format!("guest-{}", std::process::id()))
}

/// Opens the file that the console is copied to.
fn open_log(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .hint("check the path given to --console-log")
        .step(format!("open {}", path.display()))
}

/// Reads the initial RAM file system.
fn read_initrd(path: &Path) -> Result<Vec<u8>> {
    kernel::read_file(path, INITRD_MAX)
        .hint("check the path given to --initrd")
        .step(format!("read initrd {}", path.display()))
}

/// Builds the domain, runs it, and takes it away.
fn once(host: &mut Host<'_>, args: &Run, config: &Config) -> Result<End> {
    let start = Instant::now();
    let evtchn = Evtchn::open()?;
    let plan = Plan::new(config)?;
    let signals = &host.signals;
    let stop = || signals.check();
    let mut steps = Steps::new(&stop);

    let lock = host.registry.lock()?;
    host.registry
        .sweep(host.hv)
        .step("look for domains that are gone")?;
    check_unused(host, &config.name)?;
    let mut domain = Domain::create(host.hv, config, &mut steps)?;
    let reference = domain.name.clone();
    let outcome = (|| {
        host.registry.add(&Entry {
            domid: domain.domid(),
            uuid: config.uuid,
            name: config.name.clone(),
            pid: std::process::id(),
            kernel: args.kernel.clone(),
        })?;
        drop(lock);
        domain.fill(config, &plan, &mut steps)?;
        if let Some(when) = args.runstate_va {
            steps.run("choose the runstate policy", |_| {
                Ok(host.hv.set_runstate_va(domain.domid(), when)?)
            })?;
        }
        let ring = steps.run("connect the console", |_| {
            let port = evtchn
                .bind_interdomain(domain.domid(), domain.console_port)
                .map_err(Error::from)?;
            let gfns = [Special::Console.gfn()];
            let page = host
                .hv
                .map_foreign(domain.domid(), &gfns, Access::ReadWrite)?;
            Ok((Ring::new(page), port))
        })?;
        let share = Share::listen(&host.registry.console_path(domain.domid()))?;
        if !args.paused {
            steps.run("start the guest", |_| {
                Ok(domctl::unpause(host.hv, domain.domid())?)
            })?;
        }
        let started = Instant::now();
        if args.timing {
            for (step, time) in &steps.taken {
                say(&format!(
                    "timing: {step}: {:.3} ms",
                    time.as_secs_f64() * 1e3
                ));
            }
            let total = start.elapsed().as_secs_f64() * 1e3;
            say(&format!("timing: all steps: {total:.3} ms"));
        }

        let raw = if args.no_input { None } else { Raw::enter()? };
        if raw.is_some() {
            let state = if args.paused { "paused" } else { "started" };
            say(&format!(
                "{reference}: {state}; Ctrl-] q ends it, Ctrl-] ? shows the keys"
            ));
        }
        let (ring, port) = ring;
        let mut session = Session::new(host.hv, &reference, ring, (&evtchn, port), signals);
        session.share = Some(share);
        session.log = host.log.as_ref().and_then(|log| log.try_clone().ok());
        session.input = !args.no_input;
        let end = session.run()?;
        drop(raw);
        if args.timing {
            if let Some(first) = session.first_output {
                let time = first.duration_since(started).as_secs_f64() * 1e3;
                say(&format!(
                    "timing: first output after the start: {time:.3} ms"
                ));
            }
            let time = started.elapsed().as_secs_f64() * 1e3;
            say(&format!("timing: the guest's life: {time:.3} ms"));
        }
        Ok(end)
    })()
    .map_err(|err: Error| err.domain(&reference));

    let end = match outcome {
        Ok(end) => end,
        // Building a domain that somebody else has destroyed fails in ways that say nothing of that.
        Err(_) if is_gone(host.hv, reference.domid) => End::Destroyed,
        Err(err) => {
            // Dropping the domain destroys it.
            drop(domain);
            host.registry.remove(reference.domid, config.uuid);
            return Err(err);
        }
    };
    report(&reference.to_string(), end);
    if args.keep && end != End::Destroyed {
        say(&format!(
            "{reference}: kept; `oxen destroy {}` ends it",
            reference.domid
        ));
        domain.release();
        return Ok(end);
    }
    let begin = Instant::now();
    domain.destroy()?;
    host.registry.remove(reference.domid, config.uuid);
    if args.timing {
        let time = begin.elapsed().as_secs_f64() * 1e3;
        say(&format!("timing: destroy the domain: {time:.3} ms"));
    }
    Ok(end)
}

/// Whether somebody else has destroyed the domain.
fn is_gone(hv: &dyn Hypervisor, domid: u16) -> bool {
    match domctl::info(hv, domid) {
        Ok(info) => State::new(info.flags) == State::Dying,
        Err(errno) => errno == Errno::ESRCH,
    }
}

/// Fails if a domain has the name already.
fn check_unused(host: &Host<'_>, name: &str) -> Result {
    let taken = sysctl::domains(host.hv)
        .step("list domains")?
        .into_iter()
        .find(|info| {
            let known = host
                .registry
                .name(info.domain, Uuid::from_bytes(info.handle));
            known.as_deref() == Some(name)
        });
    match taken {
        None => Ok(()),
        Some(info) => Err(Error::text(format!(
            "domain {} is called '{name}' already",
            info.domain
        ))
        .step("name the domain")
        .hint("choose another --name")),
    }
}

/// Tells the person of an end that is not the usual one.
fn report(domain: &str, end: End) {
    match end {
        End::Shutdown(Reason::Poweroff) => {}
        End::Shutdown(reason) => say(&format!("{domain} {}", reason.text())),
        End::Destroyed => say(&format!("{domain} was destroyed by somebody else")),
        End::Quit => say(&format!("{domain}: session ended")),
        End::Signal(signal) => say(&format!("{domain}: stopped by {signal}")),
        End::OutputClosed => say(&format!("{domain}: standard output was closed")),
    }
}
