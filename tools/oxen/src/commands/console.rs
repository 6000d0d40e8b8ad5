// SPDX-License-Identifier: GPL-2.0-only

//! `oxen console`.

use std::os::unix::net::UnixStream;

use nix::errno::Errno;

use super::{
    end_status,
    OK, //
};
use crate::abi::hvm::params;
use crate::cli::Target;
use crate::console::ring::Ring;
use crate::console::session::{
    relay,
    End,
    Session, //
};
use crate::console::share::Share;
use crate::console::signals::Signals;
use crate::console::terminal::{
    say,
    Raw, //
};
use crate::domain::registry::Registry;
use crate::error::{
    Context,
    DomainRef,
    Error,
    Result, //
};
use crate::xen::evtchn::Evtchn;
use crate::xen::mapping::Access;
use crate::xen::privcmd::Privcmd;
use crate::xen::{
    hvm,
    Hypervisor, //
};

/// Takes part in a domain's console until the person leaves or the domain ends.
///
/// # Errors
///
/// Fails if there is no such domain, or a program that is not `oxen` has its console.
pub(crate) fn console(target: &Target) -> Result<u8> {
    let hv = Privcmd::open()?;
    let registry = Registry::system();
    let (domain, _) = registry.resolve(&hv, &target.domain)?;
    let signals = Signals::hold()?;
    let path = registry.console_path(domain.domid);
    let end = if let Ok(stream) = UnixStream::connect(&path) {
        let raw = enter(&domain)?;
        let end = relay(&stream, &signals).map_err(|err| err.domain(&domain));
        drop(raw);
        end?
    } else {
        take(&hv, &registry, &domain, &signals).map_err(|err| err.domain(&domain))?
    };
    Ok(match end {
        End::Quit => OK,
        end => end_status(end),
    })
}

/// Sets the terminal up and tells the person how to leave.
fn enter(domain: &DomainRef) -> Result<Option<Raw>> {
    let raw = Raw::enter()?;
    if raw.is_some() {
        say(&format!(
            "{domain}: connected; Ctrl-] q leaves, Ctrl-] ? shows the keys"
        ));
    }
    Ok(raw)
}

/// Connects to the console that no process holds.
fn take(hv: &Privcmd, registry: &Registry, domain: &DomainRef, signals: &Signals) -> Result<End> {
    let step = "find the console";
    let gfn = hvm::get_param(hv, domain.domid, params::CONSOLE_PFN).step(step)?;
    let port = hvm::get_param(hv, domain.domid, params::CONSOLE_EVTCHN).step(step)?;
    let port = u32::try_from(port).unwrap_or(0);
    if gfn == 0 || port == 0 {
        return Err(Error::text("the domain has no console").step(step));
    }
    let evtchn = Evtchn::open()?;
    let local = evtchn
        .bind_interdomain(domain.domid, port)
        .hint_on(
            Errno::EINVAL,
            "another program has it; if that is xenconsoled, use `xl console`",
        )
        .step("connect the console")?;
    let page = hv.map_foreign(domain.domid, &[gfn], Access::ReadWrite)?;
    let raw = enter(domain)?;
    let mut session = Session::new(hv, domain, Ring::new(page), (&evtchn, local), signals);
    // Others may join; that they cannot is no reason to stay away.
    let lock = registry.lock()?;
    session.share = Share::listen(&registry.console_path(domain.domid)).ok();
    drop(lock);
    let end = session.run();
    drop(raw);
    end
}
