// SPDX-License-Identifier: GPL-2.0-only

//! Which bytes of the hypervisor's code an action changes, worked out before anything is stopped for it.
//!
//! A plan is a list of writes, each with what must be there before. They are carried out one after the other; if one
//! finds something else, those before it are undone, and nothing has changed (L-5).

use super::func::{
    Bytes,
    Func,
    JUMP, //
};
use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::{
    EFAULT,
    EINVAL, //
};
use crate::emulate::decode::{
    decode,
    Map, //
};
use crate::emulate::{
    CodeWidth,
    Vendor,
    MAX_INSN_LEN, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// INT3.
const BREAKPOINT: u8 = 0xcc;

/// A write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    /// Where.
    pub(crate) addr: u64,
    /// What is there before.
    pub(crate) old: Bytes,
    /// What is there afterwards; as long.
    pub(crate) new: Bytes,
}

/// The text that plans are for.
pub(crate) trait Text {
    /// Reads what is there now. Returns whether there is so much.
    fn read(&self, addr: u64, into: &mut [u8]) -> bool;
    /// Whether code of the module or of the kernel may be there, not what a probe jumps to.
    fn is_home(&self, addr: u64) -> bool;
}

/// What an action writes, in order.
pub(crate) struct Plan {
    writes: KVec<Write>,
}

impl Plan {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self {
            writes: KVec::new(),
        }
    }

    /// The writes, in order.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Reads what will be at `addr` once all writes so far are done.
    fn read(&self, addr: u64, into: &mut [u8], text: &impl Text) -> bool {
        if !text.read(addr, into) {
            return false;
        }
        for write in self.writes.iter() {
            for (offset, byte) in write.new.get().iter().enumerate() {
                let at = write
                    .addr
                    .wrapping_add(offset as u64)
                    .checked_sub(addr)
                    .and_then(|at| usize::try_from(at).ok())
                    .and_then(|at| into.get_mut(at));
                if let Some(at) = at {
                    *at = *byte;
                }
            }
        }
        true
    }

    /// Adds the restoring of all functions of a payload that is applied.
    ///
    /// # Errors
    ///
    /// `EINVAL` if one of them is not applied, `ENOMEM`.
    pub(crate) fn revert(&mut self, funcs: &[Func]) -> Result {
        for func in funcs {
            let new = func
                .saved
                .ok_or(Refusal::new(EINVAL, "is not applied").of(&func.name))?;
            self.push(Write {
                addr: func.site(),
                old: func.patch,
                new,
            })?;
        }
        Ok(())
    }

    /// Adds the replacing of all functions of a payload that is not applied.
    ///
    /// # Errors
    ///
    /// `EINVAL` if one of them is applied, or does not begin with what the payload expects, `ENOMEM`.
    pub(crate) fn apply(&mut self, funcs: &[Func], text: &impl Text) -> Result {
        for func in funcs {
            if func.saved.is_some() {
                return Err(Refusal::new(EINVAL, "is applied already").of(&func.name));
            }
            func.check_expectation(|addr, into| self.read(addr, into, text))?;
        }
        for func in funcs {
            let mut old = func.patch;
            if !self.read(func.site(), old.get_mut(), text) {
                return Err(Refusal::new(EFAULT, "cannot be read").of(&func.name));
            }
            // What a probe hides is not known here, and would be lost; and when it goes, it would write into what is
            // written.
            let read = |addr, into: &mut [u8]| self.read(addr, into, text);
            if probed(func.site(), old.get(), read, |addr| text.is_home(addr)) {
                let why = "has a breakpoint or a jump to elsewhere there (is there a kprobe?)";
                return Err(Refusal::new(EINVAL, why).of(&func.name));
            }
            self.push(Write {
                addr: func.site(),
                old,
                new: func.patch,
            })?;
        }
        Ok(())
    }

    fn push(&mut self, write: Write) -> Result {
        self.writes
            .push(write, GFP_KERNEL)
            .map_err(super::load::no_memory)
    }
}

/// Whether an instruction among `bytes`, which are at `site`, is a breakpoint or a jump to what is neither the module
/// nor the kernel: a probe's. The first of them begins at `site`.
fn probed(
    site: u64,
    bytes: &[u8],
    read: impl Fn(u64, &mut [u8]) -> bool,
    is_home: impl Fn(u64) -> bool,
) -> bool {
    let mut at = 0;
    // Breakpoints behind the end of a function fill the room, and are no probes.
    let mut ended = false;
    while let Some(opcode) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let from = site.wrapping_add(at as u64);
        let mut insn = [0; MAX_INSN_LEN];
        // Near the end of the text there is less.
        let len = if read(from, &mut insn) {
            insn.len()
        } else {
            let len = rest.len().min(insn.len());
            for (to, from) in insn.iter_mut().zip(rest) {
                *to = *from;
            }
            len
        };
        if *opcode == BREAKPOINT {
            if !ended {
                return true;
            }
            at = at.saturating_add(1);
            continue;
        }
        if *opcode == 0xe9 && !is_home(jump_target(from, &insn)) {
            return true;
        }
        let known = insn.get(..len).unwrap_or(&[]);
        // Their length depends on no vendor here: compilers put no operand-size prefix before a branch.
        let Ok(decoded) = decode(known, CodeWidth::Bits64, Vendor::Intel) else {
            return rest.contains(&BREAKPOINT);
        };
        // A return, a jump, or one to where a register says.
        ended = matches!(
            (decoded.map, decoded.opcode),
            (Map::One, 0xc2 | 0xc3 | 0xe9 | 0xeb)
        ) || (decoded.map, decoded.opcode, decoded.digit()) == (Map::One, 0xff, 4);
        at = at.saturating_add(decoded.len.max(1).into());
    }
    false
}

/// Where the jump at `from` goes, of which these are the bytes.
fn jump_target(from: u64, insn: &[u8; MAX_INSN_LEN]) -> u64 {
    let [_, a, b, c, d, ..] = *insn;
    let distance = i32::from_le_bytes([a, b, c, d]);
    from.wrapping_add(JUMP as u64)
        .wrapping_add_signed(distance.into())
}

/// Notes that a payload's functions are applied: `writes` are those that [`Plan::apply`] added for them.
pub(crate) fn mark_applied(funcs: &mut [Func], writes: &[Write]) {
    for (func, write) in funcs.iter_mut().zip(writes) {
        func.saved = Some(write.old);
    }
}

/// Notes that a payload's functions are restored.
pub(crate) fn mark_reverted(funcs: &mut [Func]) {
    for func in funcs {
        func.saved = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEN: usize = 96;

    fn func(old: u64, patch: &[u8]) -> Func {
        Func {
            name: KVec::new(),
            old,
            old_size: 32,
            new: None,
            skip: 0,
            patch: Bytes::new(patch).unwrap(),
            expect: None,
            saved: None,
        }
    }

    /// The text from address 0 on.
    struct Plain<'a>(&'a [u8]);

    impl Text for Plain<'_> {
        fn read(&self, addr: u64, into: &mut [u8]) -> bool {
            let text = self.0.get(addr as usize..);
            let found = text.and_then(|text| text.get(..into.len()));
            found.is_some_and(|found| {
                into.copy_from_slice(found);
                true
            })
        }
        fn is_home(&self, addr: u64) -> bool {
            addr < self.0.len() as u64
        }
    }

    /// Carries out a plan as the module does. `break_at` spoils what the write of that number finds.
    fn perform(text: &mut [u8], plan: &Plan, break_at: Option<usize>) -> bool {
        let mut done = Vec::new();
        for (number, write) in plan.writes().iter().enumerate() {
            let at = write.addr as usize..write.addr as usize + write.old.len();
            if text[at.clone()] != *write.old.get() || break_at == Some(number) {
                for (at, old) in done.into_iter().rev() {
                    let at: std::ops::Range<usize> = at;
                    let old: Bytes = old;
                    text[at].copy_from_slice(old.get());
                }
                return false;
            }
            text[at.clone()].copy_from_slice(write.new.get());
            done.push((at, write.old));
        }
        true
    }

    proptest! {
        /// Payloads that overlap in any way, applied on top of each other and reverted from the top, leave the text as
        /// it was; and so does one that fails in the middle (L-5).
        #[test]
        fn a_stack_comes_off_as_it_went_on(
            stack in prop::collection::vec(
                prop::collection::vec(
                    (0..64u64, prop::collection::vec(0..0xccu8, 0..31)), 1..4
                ), 1..6),
            fails in any::<prop::sample::Index>(),
        ) {
            let fresh: Vec<u8> = (0..LEN as u8).collect();
            let mut text = fresh.clone();
            let mut applied: Vec<Vec<Func>> = Vec::new();
            for payload in &stack {
                let mut funcs: Vec<Func> = Vec::new();
                for (old, patch) in payload {
                    // One payload changes no byte twice.
                    let clear = funcs.iter().all(|f| {
                        f.old + f.patch.len() as u64 <= *old || *old + patch.len() as u64 <= f.old
                    });
                    if clear {
                        funcs.push(func(*old, patch));
                    }
                }
                let before = text.clone();
                let mut plan = Plan::new();
                plan.apply(&funcs, &Plain(&text)).unwrap();
                prop_assert!(!perform(&mut text, &plan, Some(fails.index(plan.writes().len()))));
                prop_assert_eq!(&text, &before);
                prop_assert!(perform(&mut text, &plan, None));
                mark_applied(&mut funcs, plan.writes());
                let mut again = Plan::new();
                prop_assert!(again.apply(&funcs, &Plain(&text)).is_err());
                applied.push(funcs);
            }
            // Replacing: everything comes off and something else goes on, in one plan.
            let other = [func(3, &[0x11; 20]), func(40, &[0x22; 5])];
            let mut plan = Plan::new();
            for funcs in applied.iter().rev() {
                plan.revert(funcs).unwrap();
            }
            let reverts = plan.writes().len();
            plan.apply(&other, &Plain(&text)).unwrap();
            let mut replaced = text.clone();
            prop_assert!(perform(&mut replaced, &plan, None));
            let mut expected = fresh.clone();
            expected[3..23].fill(0x11);
            expected[40..45].fill(0x22);
            prop_assert_eq!(replaced, expected);
            let saved = plan.writes()[reverts].old;
            prop_assert_eq!(saved.get(), &fresh[3..23]);
            for funcs in applied.iter_mut().rev() {
                let mut plan = Plan::new();
                plan.revert(funcs).unwrap();
                prop_assert!(perform(&mut text, &plan, None));
                mark_reverted(funcs);
                prop_assert!(Plan::new().revert(funcs).is_err());
            }
            prop_assert_eq!(text, fresh);
        }
    }

    #[test]
    fn a_breakpoint_is_left_alone() {
        let text = [0xcc; LEN];
        let refusal = Plan::new().apply(&[func(8, &[0x90; 5])], &Plain(&text));
        assert_eq!(refusal.unwrap_err().errno, EINVAL);
        let refusal = Plan::new().apply(&[func(LEN as u64 - 4, &[0x90; 5])], &Plain(&text));
        assert_eq!(refusal.unwrap_err().errno, EFAULT);
    }

    #[test]
    fn a_breakpoint_is_found_at_each_instruction() {
        // push %rbp; mov %rsp,%rbp; push %rbx; nop and so on: each begins where the probe is.
        let code = [0x55, 0x48, 0x89, 0xe5, 0x53];
        for (at, good) in [(0, false), (1, false), (4, false), (5, true)] {
            let mut text = [0x90; LEN];
            text[8..13].copy_from_slice(&code);
            text[8 + at] = 0xcc;
            let result = Plan::new().apply(&[func(8, &[0x90; 5])], &Plain(&text));
            assert_eq!(result.is_ok(), good, "{at}");
            // As far as the patch goes.
            let result = Plan::new().apply(&[func(8, &[0x90; 20])], &Plain(&text));
            assert!(result.is_err(), "{at}");
        }
        // Within an instruction it is none: mov %rcx,%rsp, and a jump of the function's own.
        for code in [[0x48, 0x89, 0xcc, 0x90, 0x90], [0xe9, 0xcc, 0, 0, 0]] {
            let mut text = [0x90; 0xcc + LEN];
            text[8..13].copy_from_slice(&code);
            assert!(Plan::new()
                .apply(&[func(8, &[0x90; 5])], &Plain(&text))
                .is_ok());
        }
        // Nor behind a return or a jump: xor %eax,%eax; ret; and jmp *%r11.
        for code in [[0x31, 0xc0, 0xc3], [0x41, 0xff, 0xe3]] {
            let mut text = [0xcc; LEN];
            text[8..11].copy_from_slice(&code);
            assert!(Plan::new()
                .apply(&[func(8, &[0x90; 5])], &Plain(&text))
                .is_ok());
        }
    }

    #[test]
    fn what_a_probe_jumps_to_is_left_alone() {
        // At each place that a jump could cover; one that stays in the text is the function's own.
        for at in 8..16 {
            for (distance, good) in [(20, true), (-3, true), (2000, at > 12), (-200, at > 12)] {
                let mut text = [0x90; LEN];
                text[at] = 0xe9;
                text[at + 1..at + 5].copy_from_slice(&i32::to_le_bytes(distance));
                let result = Plan::new().apply(&[func(8, &[0x90; 5])], &Plain(&text));
                assert_eq!(result.is_ok(), good, "{at} {distance}");
            }
        }
    }

    #[test]
    fn what_is_expected_of_a_replacement_is_what_the_others_leave() {
        let mut text: Vec<u8> = (0..LEN as u8).collect();
        let mut first = [func(8, &[0x90; 5])];
        let mut plan = Plan::new();
        plan.apply(&first, &Plain(&text)).unwrap();
        assert!(perform(&mut text, &plan, None));
        mark_applied(&mut first, plan.writes());
        let mut second = [func(8, &[0x91; 5])];
        second[0].expect = Bytes::new(&[8, 9]);
        assert!(Plan::new().apply(&second, &Plain(&text)).is_err());
        let mut plan = Plan::new();
        plan.revert(&first).unwrap();
        plan.apply(&second, &Plain(&text)).unwrap();
        assert!(perform(&mut text, &plan, None));
    }
}
