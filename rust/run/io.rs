// SPDX-License-Identifier: GPL-2.0-only

//! Accesses to ports. What no device model serves reads as all ones, and writes to it are dropped. Port 0xe9 prints.
//!
//! The processor has checked that the guest may use the port before it exits.

use super::mmio::{
    GuestOps,
    Rules, //
};
use super::Running;
use crate::domain::ioreq::Again;
use crate::emulate::decode::decode;
use crate::emulate::execute::execute;
use crate::emulate::operand::Context;
use crate::emulate::ops::{
    Done,
    Fault,
    Ops, //
};
use crate::emulate::string::is_port_string;
use crate::hw::{
    Backend,
    Exit,
    IoAccess,
    Vcpu as _, //
};

/// The port on which emulators print (`outb`), which Xen's guests use for early messages.
pub(super) const DEBUG_PORT: u16 = 0xe9;

impl<B: Backend> Running<'_, B> {
    /// IN, OUT, INS and OUTS.
    pub(super) fn io(&mut self, io: IoAccess) {
        if self.watched_io(io) {
            return;
        }
        if io.string {
            self.io_string(io);
        } else if self.domain.serves_io() {
            self.served_io(io);
        } else {
            self.unserved_io(io);
        }
    }

    /// IN and OUT in a domain without device models.
    ///
    /// Called in the section too, for all but the port that prints: what it does for others does not sleep.
    pub(super) fn unserved_io(&mut self, io: IoAccess) {
        if io.input {
            self.set_input(io, self.port_read(io.port));
        } else {
            let value = self.hw.gpr(0);
            self.port_write(io.port, io.bytes, value);
        }
        self.complete(io.next_rip);
    }

    /// IN and OUT where device models may answer.
    fn served_io(&mut self, io: IoAccess) {
        if io.input {
            match self.device_in(io.port, io.bytes) {
                Some(value) => self.set_input(io, value),
                None => return self.give_up(Exit::Io(io), Again::Checked),
            }
        } else {
            let value = self.hw.gpr(0);
            if !self.device_out(io.port, io.bytes, value) {
                return self.give_up(Exit::Io(io), Again::Checked);
            }
        }
        self.end_access();
        self.complete(io.next_rip);
    }

    /// Puts what IN read into its register.
    fn set_input(&mut self, io: IoAccess, value: u64) {
        let old = self.hw.gpr(0);
        let value = match io.bytes {
            1 => old & !0xff | value & 0xff,
            2 => old & !0xffff | value & 0xffff,
            _ => value & 0xffff_ffff,
        };
        self.hw.set_gpr(0, value);
    }

    /// INS and OUTS: some iterations. The guest comes back with the rest, and takes interrupts in between.
    fn io_string(&mut self, io: IoAccess) {
        let code = self.code_width();
        let bytes = self.insn.bytes;
        let bytes = bytes.get(..self.insn.len).unwrap_or(&[]);
        let vendor = GuestOps::new(self, &Rules::CHECKED).vendor();
        // What memory holds now may be another instruction than the one that exited, and the right to use the port was
        // checked for that one. The guest is then entered again and executes what is there.
        let insn = decode(bytes, code, vendor)
            .ok()
            .filter(|insn| is_port_string(insn, io.input, io.bytes));
        let Some(insn) = insn else {
            return self.end_access();
        };
        let mut ops = GuestOps::for_port(self, &Rules::CHECKED, io);
        match execute(&mut ops, &Context { insn, code }) {
            Ok(Done::Next { len }) => {
                let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), code);
                self.complete(next);
            }
            Ok(Done::Again) => self.complete_iteration(),
            // No string instruction ends like that.
            Ok(_) => {}
            Err(Fault::Exception(exception)) => self.raise(exception),
            Err(Fault::Retry) => return self.retry(Exit::Io(io), Again::Checked),
            Err(Fault::Unhandleable) => {
                let port = io.port;
                self.crash(format_args!(
                    "string I/O on port {port:#x} with memory that cannot be reached"
                ));
            }
        }
        self.end_access();
    }

    /// What a port reads as, as wide as anybody asks.
    pub(super) fn port_read(&self, port: u16) -> u64 {
        // The PIT's channel 2 reads 0: a guest that calibrates with it sees at once that there is none.
        if port == 0x42 {
            0
        } else {
            u64::MAX
        }
    }

    /// Writes the low `bytes` of `value` to a port.
    pub(super) fn port_write(&mut self, port: u16, bytes: u8, value: u64) {
        if port == DEBUG_PORT && bytes == 1 {
            // CAST: One byte was written.
            self.debug_byte(value as u8);
        }
    }

    /// A byte for the log.
    pub(super) fn debug_byte(&self, byte: u8) {
        crate::hypercall::console_io::guest_byte(self.hypervisor, self.domain, byte);
    }
}
