// SPDX-License-Identifier: GPL-2.0-only

//! First register values of an HVM guest's virtual CPU (`xen/hvm/hvm_vcpu.h`).

use zerocopy::{
    FromBytes,
    IntoBytes, //
};

numbers! {
    "VCPU_HVM_" u32 [] {
        /// The CPU starts in a 16- or 32-bit mode, with [`VcpuHvmX86_32`].
        MODE_32B = 0, "MODE_32B";
        /// The CPU starts in long mode, with [`VcpuHvmX86_64`].
        MODE_64B = 1, "MODE_64B";
    }
}

layouts! {
    /// Registers of a start in a 16- or 32-bit mode. `_ar` are attributes as in the VMCB: type in
    /// bits 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11.
    struct VcpuHvmX86_32: "struct vcpu_hvm_x86_32" [120] {
        /// EAX.
        eax: u32,
        /// ECX.
        ecx: u32,
        /// EDX.
        edx: u32,
        /// EBX.
        ebx: u32,
        /// ESP.
        esp: u32,
        /// EBP.
        ebp: u32,
        /// ESI.
        esi: u32,
        /// EDI.
        edi: u32,
        /// EIP.
        eip: u32,
        /// EFLAGS.
        eflags: u32,
        /// CR0.
        cr0: u32,
        /// CR3.
        cr3: u32,
        /// CR4.
        cr4: u32,
        /// Must be 0.
        pad1: u32,
        /// EFER.
        efer: u64,
        /// Base of CS.
        cs_base: u32,
        /// Base of DS.
        ds_base: u32,
        /// Base of SS.
        ss_base: u32,
        /// Base of ES.
        es_base: u32,
        /// Base of TR.
        tr_base: u32,
        /// Limit of CS, in bytes.
        cs_limit: u32,
        /// Limit of DS, in bytes.
        ds_limit: u32,
        /// Limit of SS, in bytes.
        ss_limit: u32,
        /// Limit of ES, in bytes.
        es_limit: u32,
        /// Limit of TR, in bytes.
        tr_limit: u32,
        /// Attributes of CS.
        cs_ar: u16,
        /// Attributes of DS.
        ds_ar: u16,
        /// Attributes of SS.
        ss_ar: u16,
        /// Attributes of ES.
        es_ar: u16,
        /// Attributes of TR.
        tr_ar: u16,
        /// Must be 0.
        pad2: [u16; 3],
    }

    /// Registers of a start in long mode; segments are flat.
    struct VcpuHvmX86_64: "struct vcpu_hvm_x86_64" [112] {
        /// RAX.
        rax: u64,
        /// RCX.
        rcx: u64,
        /// RDX.
        rdx: u64,
        /// RBX.
        rbx: u64,
        /// RSP.
        rsp: u64,
        /// RBP.
        rbp: u64,
        /// RSI.
        rsi: u64,
        /// RDI.
        rdi: u64,
        /// RIP.
        rip: u64,
        /// RFLAGS.
        rflags: u64,
        /// CR0.
        cr0: u64,
        /// CR3.
        cr3: u64,
        /// CR4.
        cr4: u64,
        /// EFER.
        efer: u64,
    }

    /// Argument of [`INITIALISE`](super::super::vcpu::INITIALISE); the same for 32-bit guests.
    struct VcpuHvmContext: "struct vcpu_hvm_context" [128] {
        /// [`MODE_32B`] or [`MODE_64B`].
        mode: u32,
        /// Must be 0.
        pad: u32,
        /// The registers, as the mode says.
        cpu_regs: [u64; 15],
    }
}

impl VcpuHvmContext {
    /// Returns the registers of a start in a 16- or 32-bit mode, whatever `mode` says.
    pub(crate) fn x86_32(&self) -> VcpuHvmX86_32 {
        zerocopy::transmute!(self.cpu_regs)
    }

    /// Returns the registers of a start in long mode, whatever `mode` says.
    pub(crate) fn x86_64(&self) -> VcpuHvmX86_64 {
        let mut regs: VcpuHvmX86_64 = zerocopy::FromZeros::new_zeroed();
        if let Ok((head, _)) = VcpuHvmX86_64::read_from_prefix(self.cpu_regs.as_bytes()) {
            regs = head;
        }
        regs
    }
}
