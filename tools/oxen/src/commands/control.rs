// SPDX-License-Identifier: GPL-2.0-only

//! `oxen pause`, `unpause`, `shutdown` and `destroy`.

use std::time::Duration;

use nix::errno::Errno;

use super::OK;
use crate::abi::sched;
use crate::cli::{
    Kind,
    Shutdown,
    Target, //
};
use crate::domain::registry::Registry;
use crate::domain::state::State;
use crate::error::{
    Context,
    DomainRef,
    Error,
    Result, //
};
use crate::xen::privcmd::Privcmd;
use crate::xen::{
    domctl,
    sched as sched_op,
    Hypervisor, //
};
use crate::xenstore::Xenstore;

/// How often to look whether a domain has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Pauses a domain.
///
/// # Errors
///
/// Fails if there is no such domain.
pub(crate) fn pause(target: &Target) -> Result<u8> {
    let hv = Privcmd::open()?;
    let (domain, _) = Registry::system().resolve(&hv, &target.domain)?;
    domctl::pause(&hv, domain.domid)
        .step("pause the domain")
        .map_err(|err| err.domain(&domain))?;
    Ok(OK)
}

/// Lets a domain run again.
///
/// # Errors
///
/// Fails if there is no such domain, or it is not paused.
pub(crate) fn unpause(target: &Target) -> Result<u8> {
    let hv = Privcmd::open()?;
    let (domain, _) = Registry::system().resolve(&hv, &target.domain)?;
    domctl::unpause(&hv, domain.domid)
        .hint_on(Errno::EINVAL, "it is not paused")
        .step("unpause the domain")
        .map_err(|err| err.domain(&domain))?;
    Ok(OK)
}

/// Destroys a domain.
///
/// # Errors
///
/// Fails if there is no such domain.
pub(crate) fn destroy(target: &Target) -> Result<u8> {
    let hv = Privcmd::open()?;
    let registry = Registry::system();
    let (domain, uuid) = registry.resolve(&hv, &target.domain)?;
    domctl::destroy(&hv, domain.domid)
        .step("destroy the domain")
        .map_err(|err| err.domain(&domain))?;
    registry.remove(domain.domid, uuid);
    Ok(OK)
}

/// Asks a domain to end.
///
/// # Errors
///
/// Fails if it cannot be asked, and --force is not given.
pub(crate) fn shutdown(args: &Shutdown) -> Result<u8> {
    let hv = Privcmd::open()?;
    let (domain, _) = Registry::system().resolve(&hv, &args.domain)?;
    ask(&hv, Xenstore::connect(), &domain, args).map_err(|err| err.domain(&domain))?;
    if args.wait {
        wait(&hv, &domain).map_err(|err| err.domain(&domain))?;
    }
    Ok(OK)
}

/// Asks through xenstore where the domain listens there, and forces it where that is wanted.
fn ask(
    hv: &dyn Hypervisor,
    xenstore: Option<Xenstore>,
    domain: &DomainRef,
    args: &Shutdown,
) -> Result {
    let node = format!("/local/domain/{}/control/shutdown", domain.domid);
    let (value, reason) = match args.kind {
        Kind::Poweroff => ("poweroff", sched::SHUTDOWN_POWEROFF),
        Kind::Reboot => ("reboot", sched::SHUTDOWN_REBOOT),
    };
    let obstacle = if let Some(mut xenstore) = xenstore {
        // The node is there from the start for a guest that is connected.
        if xenstore.read(&node).is_ok() {
            return xenstore.write(&node, value);
        }
        "it is not connected to xenstore"
    } else {
        "no xenstored runs on this host"
    };
    if args.force {
        return sched_op::remote_shutdown(hv, domain.domid, reason).step("end the domain");
    }
    Err(Error::text(format!("the guest cannot be asked: {obstacle}"))
        .step(format!("ask the guest to {value}"))
        .hint(
            "log in on `oxen console` and shut it down there; --force ends it at once as if it \
             had asked, `oxen destroy` ends it and frees it",
        ))
}

/// Waits for a domain to end.
fn wait(hv: &dyn Hypervisor, domain: &DomainRef) -> Result {
    loop {
        match domctl::info(hv, domain.domid) {
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(errno).step("wait for the domain to end"),
            Ok(info) => match State::new(info.flags) {
                State::Dying | State::Shutdown(_) => return Ok(()),
                _ => std::thread::sleep(LOOK),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::mock::Mock;
    use uuid::Uuid;

    #[test]
    fn without_xenstore_it_says_so_and_only_force_ends_the_guest() {
        let hv = Mock::new();
        let domid = hv.add_domain(Uuid::nil());
        let domain = DomainRef { domid, name: None };
        let mut args = Shutdown {
            domain: domid.to_string(),
            kind: Kind::Reboot,
            force: false,
            wait: false,
        };
        let err = ask(&hv, None, &domain, &args).unwrap_err().to_string();
        assert!(err.starts_with(
            "step 'ask the guest to reboot': the guest cannot be asked: no xenstored runs"
        ));
        assert!(hv.log.borrow().is_empty());
        args.force = true;
        ask(&hv, None, &domain, &args).unwrap();
        assert_eq!(*hv.log.borrow(), ["sched_op.remote_shutdown d8 1"]);
    }
}
