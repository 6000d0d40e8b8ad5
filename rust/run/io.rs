// SPDX-License-Identifier: GPL-2.0-only

//! Accesses to ports. There are no devices: reads give all ones, writes are dropped. Port 0xe9 prints.
//!
//! The processor has checked that the guest may use the port before it exits.

use super::mmio::MmioOps;
use super::Running;
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
    IoAccess,
    Vcpu as _, //
};

/// The port on which emulators print (`outb`), which Xen's guests use for early messages.
pub(super) const DEBUG_PORT: u16 = 0xe9;

impl<B: Backend> Running<'_, B> {
    /// IN, OUT, INS and OUTS.
    ///
    /// Called in the section too, for all but strings and the port that prints: what it does for others does not sleep.
    pub(super) fn io(&mut self, io: IoAccess) {
        if io.string {
            return self.io_string(io);
        }
        if io.input {
            let ones = self.port_read(io.port);
            let old = self.hw.gpr(0);
            let value = match io.bytes {
                1 => old & !0xff | ones & 0xff,
                2 => old & !0xffff | ones & 0xffff,
                _ => ones & 0xffff_ffff,
            };
            self.hw.set_gpr(0, value);
        } else {
            let value = self.hw.gpr(0);
            self.port_write(io.port, io.bytes, value);
        }
        self.complete(io.next_rip);
    }

    /// INS and OUTS: some iterations. The guest comes back with the rest, and takes interrupts in between.
    fn io_string(&mut self, io: IoAccess) {
        let code = self.code_width();
        let bytes = self.insn.bytes;
        let bytes = bytes.get(..self.insn.len).unwrap_or(&[]);
        let vendor = MmioOps::new(self).vendor();
        // What memory holds now may be another instruction than the one that exited, and the right to use the port was
        // checked for that one. The guest is then entered again and executes what is there.
        let Ok(insn) = decode(bytes, code, vendor) else {
            return;
        };
        if !is_port_string(&insn, io.input, io.bytes) {
            return;
        }
        match execute(&mut MmioOps::for_port(self, io), &Context { insn, code }) {
            Ok(Done::Next { len }) => {
                let next = self.wrap_rip(self.hw.rip().wrapping_add(len.into()), code);
                self.complete(next);
            }
            Ok(Done::Again) => self.complete_iteration(),
            Err(Fault::Exception(exception)) => self.raise(exception),
            Err(Fault::Retry) => {}
            Err(Fault::Unhandleable) => {
                let port = io.port;
                self.crash(format_args!(
                    "string I/O on port {port:#x} with memory that cannot be reached"
                ));
            }
        }
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
