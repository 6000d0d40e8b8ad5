// SPDX-License-Identifier: GPL-2.0-only

//! `oxen dmesg`.

use std::io::Write;

use nix::errno::Errno;
use nix::poll::{
    poll,
    PollFd,
    PollFlags,
    PollTimeout, //
};

use super::OK;
use crate::abi::xen::VIRQ_CON_RING;
use crate::cli::Dmesg;
use crate::error::{
    Context,
    Result, //
};
use crate::xen::evtchn::{
    Events,
    Evtchn, //
};
use crate::xen::privcmd::Privcmd;
use crate::xen::sysctl;

/// How often to look for news, in ms: the event may be another process', such as xenconsoled's.
const LOOK: u16 = 500;

/// Shows the hypervisor's log.
///
/// # Errors
///
/// Fails if the hypervisor cannot be asked.
pub(crate) fn dmesg(args: &Dmesg) -> Result<u8> {
    let hv = Privcmd::open()?;
    let evtchn = if args.follow {
        let evtchn = Evtchn::open()?;
        let _ = evtchn.bind_virq(VIRQ_CON_RING);
        Some(evtchn)
    } else {
        None
    };
    let mut index = 0;
    let mut out = std::io::stdout();
    loop {
        loop {
            let text = sysctl::read_console(&hv, &mut index, args.clear)
                .step("read the hypervisor's log")?;
            if text.is_empty() {
                break;
            }
            if out.write_all(&text).and_then(|()| out.flush()).is_err() {
                return Ok(OK);
            }
        }
        let Some(evtchn) = &evtchn else {
            return Ok(OK);
        };
        let mut fds = [PollFd::new(evtchn.fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(LOOK)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).step("wait for the hypervisor's log"),
        }
        evtchn.take()?;
    }
}
