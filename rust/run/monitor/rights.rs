// SPDX-License-Identifier: GPL-2.0-only

//! Accesses that the rights of pages do not allow, and their judgement.

use crate::domain::monitor::After;
use crate::hw::npt::P2mType;
use crate::hw::rights::{
    Judgement,
    Kind,
    Rights, //
};
use crate::hw::{
    Backend,
    Exit,
    NestedFault,
    Vcpu as _, //
};
use crate::mm::access::{
    Sought,
    Violation, //
};
use crate::mm::guest::GuestMemory;
use crate::mm::p2m::{
    Leaf,
    P2m, //
};
use crate::mm::walk::{
    translate,
    Access, //
};
use crate::run::mmio::Rules;
use crate::run::Running;
use crate::vm_event::{
    access_message,
    decide,
    Action,
    Want, //
};

/// An access that the processor has refused.
struct Refused {
    kind: Kind,
    /// Its linear address, if that can be told.
    linear: Option<u64>,
    /// Guest physical and linear address of the part before, if it is the second part of an access.
    before: Option<(u64, u64)>,
    /// The instruction ends with a fault of the guest's own.
    faults: bool,
}

impl<B: Backend> Running<'_, B> {
    /// Handles an access that a page's rights do not allow, or that the processor cannot tell from such a one; `false`
    /// if rights have nothing to do with it.
    pub(in crate::run) fn protected_fault(&mut self, fault: NestedFault, leaf: &Leaf) -> bool {
        if leaf.rights == Rights::Rwx || !leaf.ty.is_page() {
            return false;
        }
        let Refused {
            kind,
            linear,
            before,
            faults,
        } = self.access_of(fault);
        let walk = fault.in_page_table;
        let judgement = leaf.rights.judge(kind, walk);
        let (read, write, execute) = leaf.rights.without_read();
        let (reads, writes, executes) = kind.does();
        let enforced = (read || !reads) && (write || !writes) && (execute || !executes);
        let in_software = match judgement {
            // The processor has an older opinion.
            Judgement::Allowed if enforced => return false,
            // It cannot express the rights.
            Judgement::Allowed => true,
            // The guest's own fault comes first (E-4).
            _ if faults => true,
            // It cannot tell the access from one that is allowed, and nor can we before it is made.
            Judgement::Violation if linear.is_none() && !walk && writes => {
                leaf.rights.judge(Kind::Write, false) == Judgement::Allowed
            }
            Judgement::Violation | Judgement::Reported(_) => walk && self.want.any(Want::NO_WALKS),
            Judgement::Turns(_) => false,
        };
        // What delivers an event is no instruction that could be carried out: the monitor hears of it in any case.
        if in_software && !self.hw.injection_pending() {
            self.emulate_by(Exit::NestedPageFault(fault), &Rules::CHECKED);
            return true;
        }
        // Of two pages the first comes first, whichever the processor has named (E-4).
        let before = before.and_then(|(gpa, linear)| {
            let rights = self.is_watched_page(gpa >> 12)?;
            let denied = rights.judge(kind, walk) != Judgement::Allowed;
            denied.then_some((gpa, Some(linear), rights))
        });
        let (gpa, linear, rights) = before.unwrap_or((fault.gpa, linear, leaf.rights));
        let violation = Violation {
            gpa,
            linear,
            kind,
            walk,
        };
        self.report_violation(&violation, rights);
        true
    }

    /// Reports a page walk, because the instruction that it is made for is not known.
    pub(in crate::run) fn report_walk(&mut self, fault: NestedFault) {
        let Some(rights) = self.is_watched_page(fault.gpa >> 12) else {
            return;
        };
        let violation = Violation {
            gpa: fault.gpa,
            linear: None,
            kind: if fault.write {
                Kind::ReadWrite
            } else {
                Kind::Read
            },
            walk: true,
        };
        self.report_violation(&violation, rights);
    }

    /// Does what follows from an access that the processor has not made. If rights allow it, and it cannot be made in
    /// software, the monitor has to find another way.
    fn report_violation(&mut self, violation: &Violation, rights: Rights) {
        let judgement = match rights.judge(violation.kind, violation.walk) {
            Judgement::Allowed => Judgement::Violation,
            judgement => judgement,
        };
        self.judged(violation, rights, judgement);
    }

    /// Does what follows from a judgement. Returns whether the access may be made, or judged again, now.
    pub(in crate::run) fn judged(
        &mut self,
        violation: &Violation,
        rights: Rights,
        judgement: Judgement,
    ) -> bool {
        let gfn = violation.gpa >> 12;
        let (listens, required) = self.domain.listens();
        let action = decide(judgement, listens, required);
        let turns = match action {
            Action::GoAs(to) | Action::Tell(to) => Some(to),
            Action::Go | Action::Ask | Action::Wait => None,
        };
        if let Some(to) = turns {
            match self.domain.p2m.turn_rights(gfn, rights, to) {
                Ok(true) => {}
                // A tool has given the page others meanwhile: the access is judged by those, when it is made again.
                Ok(false) => return true,
                Err(errno) => {
                    self.crash(format_args!(
                        "cannot change the rights of {gfn:#x}: {errno:?}"
                    ));
                    return false;
                }
            }
        }
        let sync = match action {
            Action::Go | Action::GoAs(_) => return true,
            Action::Tell(_) => false,
            Action::Ask | Action::Wait => true,
        };
        self.hw.save(&mut self.owned.state);
        let event = access_message(violation, &self.owned.state, self.vcpu.id());
        self.post(event, sync, After::Nothing);
        false
    }

    /// What is known of an access that the processor has refused. It says neither the linear address nor whether a
    /// write also reads; the instruction does.
    fn access_of(&mut self, fault: NestedFault) -> Refused {
        let kind = match (fault.fetch, fault.write) {
            (true, _) => Kind::Fetch,
            (_, true) => Kind::ReadWrite,
            _ => Kind::Read,
        };
        let unknown = Refused {
            kind,
            linear: None,
            before: None,
            faults: false,
        };
        if fault.in_page_table || self.hw.injection_pending() {
            return unknown;
        }
        if !fault.fetch {
            let sought = self.data_access(Sought::new(fault.gpa, fault.write));
            return match sought.found() {
                Some(found) => Refused {
                    kind: found.kind,
                    linear: Some(found.linear),
                    before: found.before,
                    faults: false,
                },
                None => Refused {
                    faults: sought.faults(),
                    ..unknown
                },
            };
        }
        let at = self.code_address(self.code_width());
        // An instruction may go on in the next page.
        let next = (at | 0xfff).wrapping_add(1);
        let page = fault.gpa >> 12;
        let linear = [at, next]
            .into_iter()
            .find(|linear| self.frame_of_code(*linear) == Some(page));
        Refused { linear, ..unknown }
    }

    /// The guest frame of code at a linear address.
    pub(in crate::run) fn frame_of_code(&self, linear: u64) -> Option<u64> {
        let access = Access {
            user: self.hw.cpl() == 3,
            ..Access::FETCH
        };
        let memory = ReadOnly(GuestMemory(&self.domain.p2m));
        translate(&memory, &self.paging(), linear, access)
            .ok()
            .map(|gpa| gpa >> 12)
    }

    /// The guest frame of the instruction, or all ones.
    pub(super) fn code_frame(&self) -> u64 {
        self.frame_of_code(self.code_address(self.code_width()))
            .unwrap_or(u64::MAX)
    }

    /// The rights of what is at a frame; `None` where an access reaches a device, or nothing.
    pub(in crate::run) fn is_watched_page(&self, gfn: u64) -> Option<Rights> {
        watched_rights(&self.domain.p2m, gfn)
    }
}

/// The rights of what is at a frame; `None` where an access reaches a device, or nothing.
pub(in crate::run) fn watched_rights(p2m: &P2m, gfn: u64) -> Option<Rights> {
    p2m.lookup(gfn)
        .filter(|leaf| leaf.ty.is_page() && leaf.ty != P2mType::IoreqServer)
        .map(|leaf| leaf.rights)
}

/// Guest memory, for a walk that leaves no marks.
pub(in crate::run) struct ReadOnly<'a>(pub(in crate::run) GuestMemory<'a>);

impl crate::mm::walk::Memory for ReadOnly<'_> {
    fn read64(&self, gpa: u64) -> Option<u64> {
        self.0.read64(gpa)
    }

    fn set_bits(&self, _gpa: u64, _old: u64, _bits: u64) {}
}
