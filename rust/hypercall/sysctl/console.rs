// SPDX-License-Identifier: GPL-2.0-only

//! Reading the log.

use super::Call;
use crate::abi::errno::{
    Result,
    EFAULT, //
};
use crate::abi::sysctl::ReadConsole;
use crate::sys::irq;

/// Bytes that are taken out of the ring at once.
const CHUNK: usize = 256;

/// `XEN_SYSCTL_readconsole`: what is in the log, or with `incremental` what came since `index`.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn read(call: &mut Call<'_>) -> Result {
    let mut ask: ReadConsole = call.payload()?;
    let ring = call.caller.hypervisor.console();
    let mut index = ring.lock().start(ask.incremental != 0, ask.index);
    let mut done = 0u32;
    let mut buffer = [0; CHUNK];
    while done < ask.count {
        let room = CHUNK.min((ask.count - done) as usize);
        let Some(chunk) = buffer.get_mut(..room) else {
            break;
        };
        // The ring may have moved on meanwhile: what was pushed out is gone.
        let len = {
            let ring = ring.lock();
            index = ring.start(true, index);
            ring.read(index, chunk)
        };
        let Some(text) = chunk.get(..len).filter(|text| !text.is_empty()) else {
            break;
        };
        let to = ask.buffer.checked_add(done.into()).ok_or(EFAULT)?;
        call.caller.copy_out(to, text)?;
        // CAST: At most `CHUNK`.
        index = index.wrapping_add(len as u32);
        done += len as u32;
        irq::cond_resched();
    }
    if ask.clear != 0 {
        ring.lock().clear();
    }
    ask.index = index;
    ask.count = done;
    call.answer(&ask)
}
