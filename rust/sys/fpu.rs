// SPDX-License-Identifier: GPL-2.0-only

//! The floating point unit in the kernel's hands, and the state of somebody else in it.

use core::arch::asm;

use crate::abi::errno::Result;
use crate::sys::irq::{
    IrqsOff,
    SoftirqsOff, //
};
use crate::sys::page::PageBlock;
use crate::sys::raw;

/// While it lives, the kernel may use the vector registers on this processor. The previous owner's registers
/// were saved, and interrupt handlers that want the unit know that they cannot have it.
///
/// It is begun and ended with interrupts off, and then the kernel does not hold back softirqs by itself, which use
/// the unit without asking: [`SoftirqsOff`] does so until it is ended.
pub(crate) struct Fpu(());

impl Fpu {
    /// Begins a section.
    pub(crate) fn begin(_softirqs: &SoftirqsOff, _irqs: &IrqsOff) -> Self {
        // SAFETY: Interrupts are off, and a vCPU thread has no other section open.
        unsafe { raw::oxen_fpu_begin() };
        Self(())
    }

    /// Ends the section.
    pub(crate) fn end(self, _irqs: &IrqsOff) {
        // SAFETY: Balances `begin`.
        unsafe { raw::oxen_fpu_end() };
    }
}

/// The extended register state of a guest, in the standard (not compacted) XSAVE format.
pub(crate) struct XsaveArea {
    area: PageBlock<0>,
    /// State components that are switched: what the guest may ever enable.
    mask: u64,
    /// The bits that MXCSR can have. Loading others would fault.
    mxcsr_mask: u32,
    /// Where an x87 instruction was is not loaded unless it has raised something: what somebody else left stays.
    leaks: bool,
}

/// Offset of `XSTATE_BV` in the XSAVE header.
const XSTATE_BV: usize = 512;
/// Bytes of the legacy region and the header.
const HEAD: usize = 512 + 64;
/// Components in the legacy region: x87 and SSE.
const LEGACY: u64 = 3;
/// Default of the x87 control word, at offset 0 of the legacy area.
const FCW_DEFAULT: u16 = 0x37f;
/// Offset of MXCSR.
const MXCSR: usize = 24;
/// Offset of the bits that MXCSR can have; 0 for [`MXCSR_DEFAULT_MASK`].
const MXCSR_MASK: usize = 28;
/// The bits of MXCSR that a processor has which does not say so.
const MXCSR_DEFAULT_MASK: u32 = 0xffbf;
/// Default of MXCSR.
const MXCSR_DEFAULT: u32 = 0x1f80;

impl XsaveArea {
    /// Makes the state after reset for the components in `mask`, whose standard format must fit a page.
    pub(crate) fn new(mask: u64) -> Result<Self> {
        let mut this = Self {
            area: PageBlock::new()?,
            mask,
            mxcsr_mask: 0,
            // SAFETY: Reads a property of the processors that is constant after boot.
            leaks: unsafe { raw::oxen_cpu_leaks_x87_pointers() },
        };
        this.mxcsr_mask = this.read_mxcsr_mask();
        this.reset();
        Ok(this)
    }

    /// Asks the processor which bits MXCSR can have.
    fn read_mxcsr_mask(&mut self) -> u32 {
        let base = self.area.as_ptr();
        // SAFETY: 512 bytes of a page that is exclusively ours, 16-byte aligned. No register changes, and whose
        // they are does not matter: what is read is a constant of the processor.
        unsafe { asm!("fxsave64 [{area}]", area = in(reg) base, options(nostack)) };
        // SAFETY: Offset 28 of the same page, 4-byte aligned.
        match unsafe { base.add(MXCSR_MASK).cast::<u32>().read() } {
            0 => MXCSR_DEFAULT_MASK,
            mask => mask,
        }
    }

    /// Puts the state after reset back.
    pub(crate) fn reset(&mut self) {
        self.area.fill(0);
        let base = self.area.as_ptr();
        // SAFETY: Offset 0 of a page that is exclusively ours.
        unsafe { base.cast::<u16>().write(FCW_DEFAULT) };
        // SAFETY: Offset 24 of the same page, 4-byte aligned.
        unsafe { base.add(MXCSR).cast::<u32>().write(MXCSR_DEFAULT) };
        // SAFETY: Offset 512 of the same page, 8-byte aligned. x87 and SSE are taken from the area.
        unsafe { base.add(XSTATE_BV).cast::<u64>().write(LEGACY) };
    }

    /// The bytes of the area, for saving.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: The page is ours, initialised, and written only through `&mut self`.
        unsafe { core::slice::from_raw_parts(self.area.as_ptr(), PageBlock::<0>::SIZE) }
    }

    /// Replaces the legacy (FXSAVE) part. Reserved MXCSR bits are cleared, or the load would fault.
    pub(crate) fn set_legacy(&mut self, fxsave: &[u8; 512]) {
        let base = self.area.as_ptr();
        // SAFETY: 512 bytes at the start of a page that is exclusively ours.
        unsafe { core::ptr::copy_nonoverlapping(fxsave.as_ptr(), base, 512) };
        // SAFETY: Offset 24 of the same page, 4-byte aligned.
        let mxcsr = unsafe { base.add(MXCSR).cast::<u32>().read() };
        // SAFETY: As above.
        unsafe { base.add(MXCSR).cast::<u32>().write(mxcsr & self.mxcsr_mask) };
        // SAFETY: Offset 512 of the same page, 8-byte aligned.
        unsafe { base.add(XSTATE_BV).cast::<u64>().write(LEGACY) };
    }

    /// What is behind the legacy part and the header, and which of it is not in its initial state.
    pub(crate) fn extended(&self) -> (u64, &[u8]) {
        let bytes = self.bytes();
        let present = bytes
            .get(XSTATE_BV..)
            .and_then(|from| from.first_chunk::<8>())
            .map_or(0, |word| u64::from_le_bytes(*word));
        (present & !LEGACY, bytes.get(HEAD..).unwrap_or_default())
    }

    /// Replaces that, after [`XsaveArea::set_legacy`].
    pub(crate) fn set_extended(&mut self, present: u64, components: &[u8]) {
        let base = self.area.as_ptr();
        let length = components.len().min(PageBlock::<0>::SIZE - HEAD);
        // SAFETY: So many bytes there are at most from here to the end of a page that is exclusively ours.
        unsafe { core::ptr::copy_nonoverlapping(components.as_ptr(), base.add(HEAD), length) };
        let bits = LEGACY | present & self.mask;
        // SAFETY: Offset 512 of the same page, 8-byte aligned. A component that is not switched is not there.
        unsafe { base.add(XSTATE_BV).cast::<u64>().write(bits) };
    }

    /// Lets `change` write any of it, and then puts right what loading it would fault on: components that are
    /// not switched, reserved parts of the header, reserved MXCSR bits.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut [u8]) -> T) -> T {
        let (mask, mxcsr_mask) = (self.mask | LEGACY, self.mxcsr_mask);
        // SAFETY: The page is ours, initialised, and `&mut self` says that nobody else refers to it.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut(self.area.as_ptr(), PageBlock::<0>::SIZE) };
        let result = change(bytes);
        if let Some(word) = bytes.get_mut(XSTATE_BV..).and_then(|b| b.first_chunk_mut()) {
            *word = (u64::from_le_bytes(*word) & mask).to_le_bytes();
        }
        if let Some(reserved) = bytes.get_mut(XSTATE_BV + 8..HEAD) {
            reserved.fill(0);
        }
        if let Some(word) = bytes.get_mut(MXCSR..).and_then(|b| b.first_chunk_mut()) {
            *word = (u32::from_le_bytes(*word) & mxcsr_mask).to_le_bytes();
        }
        if let Some(word) = bytes
            .get_mut(MXCSR_MASK..)
            .and_then(|b| b.first_chunk_mut())
        {
            *word = mxcsr_mask.to_le_bytes();
        }
        result
    }

    /// Loads the registers from the area.
    #[inline]
    pub(crate) fn load(&self, _fpu: &Fpu) {
        if self.leaks {
            // SAFETY: The section that `_fpu` stands for allows the registers to change. Nothing is pending after
            // FNCLEX, a register is free after EMMS, and the area can be read.
            unsafe {
                asm!("fnclex", "emms", "fild dword ptr [{area}]", area = in(reg) self.area.as_ptr(),
                     options(nostack));
            }
        }
        // SAFETY: The area is 64-byte aligned, holds a valid header and no reserved MXCSR bit, and XCR0 of the
        // host includes `mask`. The section that `_fpu` stands for allows the registers to change.
        unsafe {
            asm!("xrstor64 [{area}]", area = in(reg) self.area.as_ptr(),
                 in("eax") self.mask as u32, in("edx") (self.mask >> 32) as u32, options(nostack));
        }
    }

    /// Saves the registers into the area.
    #[inline]
    pub(crate) fn save(&mut self, _fpu: &Fpu) {
        // SAFETY: The area is 64-byte aligned and large enough for `mask` in the standard format.
        unsafe {
            asm!("xsave64 [{area}]", area = in(reg) self.area.as_ptr(),
                 in("eax") self.mask as u32, in("edx") (self.mask >> 32) as u32, options(nostack));
        }
    }
}

/// Reads XCR0, the components that the host has enabled.
pub(crate) fn xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: The module refuses processors without XSAVE before this is called.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes XCR0 for a guest or back for the host.
#[inline]
pub(crate) fn set_xcr0(value: u64, _fpu: &Fpu) {
    // SAFETY: `value` is a valid subset of what the host enables: callers check guests' values against it. The
    // section keeps the host's own vector code away until the host's value is back.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nomem, nostack));
    }
}
