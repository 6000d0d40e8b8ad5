// SPDX-License-Identifier: GPL-2.0-only

//! Which payloads there are, in which state, and what may be done with each; by Xen's rules.

use super::note::Id;
use crate::abi::errno::{
    Errno,
    Result,
    EAGAIN,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOENT,
    EOPNOTSUPP, //
};
use crate::abi::sysctl::livepatch as abi;
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL, //
};

/// Payloads that there may be.
const PAYLOADS_MAX: usize = 1024;

/// A payload's name: 1 to 127 bytes, none of them 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: [u8; abi::NAME_SIZE as usize],
    len: u8,
}

impl Name {
    /// Reads a name with its terminator, as a tool gives it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is empty, too long or not terminated.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self> {
        if raw.len() > abi::NAME_SIZE.into() || raw.last() != Some(&0) {
            return Err(EINVAL);
        }
        let len = raw.iter().position(|&byte| byte == 0).ok_or(EINVAL)?;
        let from = raw
            .get(..len)
            .filter(|name| !name.is_empty())
            .ok_or(EINVAL)?;
        let mut bytes = [0; abi::NAME_SIZE as usize];
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Ok(Self {
            bytes,
            // CAST: At most 127.
            len: len as u8,
        })
    }

    /// The name.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&[])
    }

    /// The name with its terminator.
    pub(crate) fn with_nul(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len) + 1).unwrap_or(&[])
    }
}

/// What the rules have to know of a payload.
pub(crate) trait Described {
    /// Who it is.
    fn id(&self) -> Id;
    /// What must have been applied last.
    fn depends(&self) -> Id;
    /// It may be applied again after it was reverted.
    fn may_reapply(&self) -> bool;
    /// It has hooks that may refuse.
    fn can_veto(&self) -> bool;
    /// It refers to what is in that payload, which must stay where it is.
    fn uses(&self, id: &Id) -> bool;
    /// What tools are shown of it: strings, each with a zero at its end.
    fn metadata(&self) -> &[u8];
}

/// `LIVEPATCH_STATE_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum State {
    /// Loaded.
    Checked = abi::STATE_CHECKED,
    /// In use.
    Applied = abi::STATE_APPLIED,
}

/// A payload.
pub(crate) struct Entry<P> {
    pub(crate) name: Name,
    pub(crate) state: State,
    /// How the last action ended: 0, a negative error number, or `EAGAIN` while one is under way.
    pub(crate) rc: i32,
    /// It was applied once.
    reverted: bool,
    serial: u64,
    pub(crate) payload: P,
}

/// What is done with a payload, over and above unloading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Stop using it.
    Revert,
    /// Use it.
    Apply,
    /// Use it in place of all others.
    Replace,
}

impl Action {
    /// What a person calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Revert => "revert",
            Self::Apply => "apply",
            Self::Replace => "replace",
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// Nothing: it is in that state.
    Nothing,
    /// Nothing: it never can be in that state again, because of its variables (its `rc` says so).
    Never,
    /// It is to be unloaded.
    Unload,
    /// This.
    Act(Action),
}

/// All payloads.
pub(crate) struct Registry<P> {
    /// In the order in which they were loaded.
    entries: KVec<KBox<Entry<P>>>,
    /// Serial numbers of those in use, in the order in which they were applied.
    applied: KVec<u64>,
    /// The action that is under way, and the serial number of its payload.
    busy: Option<(Action, u64)>,
    /// Changes whenever the list does.
    version: u32,
    next: u64,
}

impl<P: Described> Registry<P> {
    /// No payloads.
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVec::new(),
            applied: KVec::new(),
            busy: None,
            version: 1,
            next: 0,
        }
    }

    /// All payloads, in the order in which they were loaded.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry<P>> {
        self.entries.iter().map(|entry| &**entry)
    }

    /// Changes whenever the list does.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// The payload of that name.
    ///
    /// # Errors
    ///
    /// `ENOENT`.
    pub(crate) fn get(&self, name: &Name) -> Result<&Entry<P>> {
        self.entries()
            .find(|entry| entry.name == *name)
            .ok_or(ENOENT)
    }

    /// The payload of that name, to change.
    ///
    /// # Errors
    ///
    /// `ENOENT`.
    pub(crate) fn get_mut(&mut self, name: &Name) -> Result<&mut Entry<P>> {
        self.entries
            .iter_mut()
            .map(|entry| &mut **entry)
            .find(|entry| entry.name == *name)
            .ok_or(ENOENT)
    }

    /// Payloads in use, the last one first.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &Entry<P>> {
        self.applied
            .iter()
            .rev()
            .filter_map(|serial| self.entries().find(|entry| entry.serial == *serial))
    }

    /// Calls `f` for each payload in use, the last one first.
    pub(crate) fn for_each_applied(&mut self, mut f: impl FnMut(&mut Entry<P>)) {
        for serial in self.applied.iter().rev() {
            let found = self
                .entries
                .iter_mut()
                .find(|entry| entry.serial == *serial);
            if let Some(entry) = found {
                f(entry);
            }
        }
    }

    /// Checks that a payload of that name may be loaded.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is one, `EBUSY` if there are too many.
    pub(crate) fn check_new(&self, name: &Name) -> Result {
        if self.get(name).is_ok() {
            return Err(EEXIST);
        }
        if self.entries.len() >= PAYLOADS_MAX {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Adds a payload.
    ///
    /// # Errors
    ///
    /// As [`Self::check_new`], `ENOMEM`.
    pub(crate) fn add(&mut self, name: Name, payload: P) -> Result {
        self.check_new(&name)?;
        // What is applied must find room.
        self.applied.reserve(1, GFP_KERNEL)?;
        let entry = Entry {
            name,
            state: State::Checked,
            rc: 0,
            reverted: false,
            serial: self.next,
            payload,
        };
        self.entries
            .push(KBox::new(entry, GFP_KERNEL)?, GFP_KERNEL)?;
        self.next = self.next.wrapping_add(1);
        self.version = self.version.wrapping_add(1);
        Ok(())
    }

    /// Takes a payload off that is not in use.
    pub(crate) fn remove(&mut self, name: &Name) -> Option<KBox<Entry<P>>> {
        let at = self
            .entries
            .iter()
            .position(|entry| entry.name == *name && entry.state == State::Checked)?;
        if let Some(tail) = self.entries.get_mut(at..) {
            tail.rotate_left(1);
        }
        self.version = self.version.wrapping_add(1);
        self.entries.pop()
    }

    /// Decides about an action that a tool asks for. `running` is the identity of the hypervisor.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such payload, `EBUSY` if something is done with it already, it is not the one that was
    /// applied last or it is to be unloaded and another one uses what is in it, `EINVAL` if it is in the wrong state or
    /// depends on something else, `EOPNOTSUPP` for an unknown action or a replacement where hooks could refuse.
    pub(crate) fn decide(
        &mut self,
        name: &Name,
        command: u32,
        flags: u32,
        running: Option<Id>,
    ) -> Result<Decision> {
        let top = self.applied.last().copied();
        let top_id = self.applied().next().map(|entry| entry.payload.id());
        let veto = self.applied().any(|entry| entry.payload.can_veto());
        let busy = self.busy;
        let own = self.get(name)?.payload.id();
        let used = self.entries().any(|entry| entry.payload.uses(&own));
        let entry = self.get_mut(name)?;
        if busy.is_some_and(|(_, serial)| serial == entry.serial) {
            return Err(EBUSY);
        }
        let depends = entry.payload.depends();
        let decision = match (command, entry.state) {
            (abi::ACTION_UNLOAD, State::Checked) if used => return Err(EBUSY),
            (abi::ACTION_UNLOAD, State::Checked) => return Ok(Decision::Unload),
            (abi::ACTION_UNLOAD, State::Applied) => return Err(EINVAL),
            (abi::ACTION_REVERT, State::Applied) => {
                if top != Some(entry.serial) {
                    return Err(EBUSY);
                }
                Action::Revert
            }
            (abi::ACTION_APPLY, State::Checked) => {
                // Its variables are no longer what they were when it was loaded.
                if entry.reverted && !entry.payload.may_reapply() {
                    entry.rc = EINVAL.to_raw();
                    return Ok(Decision::Never);
                }
                if flags & abi::ACTION_APPLY_NODEPS == 0 && Some(depends) != top_id.or(running) {
                    return Err(EINVAL);
                }
                Action::Apply
            }
            (abi::ACTION_REPLACE, State::Checked) => {
                if Some(depends) != running {
                    return Err(EINVAL);
                }
                if entry.payload.can_veto() || veto {
                    return Err(EOPNOTSUPP);
                }
                if entry.reverted && !entry.payload.may_reapply() {
                    entry.rc = EINVAL.to_raw();
                    return Ok(Decision::Never);
                }
                Action::Replace
            }
            (abi::ACTION_REVERT | abi::ACTION_APPLY | abi::ACTION_REPLACE, _) => {
                return Ok(Decision::Nothing)
            }
            _ => return Err(EOPNOTSUPP),
        };
        if busy.is_some() {
            return Err(EBUSY);
        }
        Ok(Decision::Act(decision))
    }

    /// Begins an action that was decided.
    ///
    /// # Errors
    ///
    /// `EBUSY` if one is under way, `ENOENT` if there is no such payload.
    pub(crate) fn begin(&mut self, name: &Name, action: Action) -> Result {
        if self.busy.is_some() {
            return Err(EBUSY);
        }
        let entry = self.get_mut(name)?;
        entry.rc = EAGAIN.to_raw();
        let serial = entry.serial;
        self.busy = Some((action, serial));
        Ok(())
    }

    /// The payload with which something is being done.
    pub(crate) fn busy(&mut self) -> Option<(Action, &mut Entry<P>)> {
        let (action, serial) = self.busy?;
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.serial == serial)?;
        Some((action, entry))
    }

    /// Ends the action that is under way. `rc` is 0 if it was done; else nothing has changed.
    pub(crate) fn finish(&mut self, rc: core::result::Result<(), Errno>) {
        let Some((action, serial)) = self.busy.take() else {
            return;
        };
        if rc.is_ok() && action == Action::Replace {
            self.for_each_applied(|entry| {
                entry.state = State::Checked;
                entry.reverted = true;
                entry.rc = 0;
            });
            self.applied.clear();
        }
        let found = self.entries.iter_mut().find(|entry| entry.serial == serial);
        let Some(entry) = found else {
            return;
        };
        entry.rc = rc.map_or_else(Errno::to_raw, |()| 0);
        if rc.is_err() {
            return;
        }
        match action {
            Action::Revert => {
                entry.state = State::Checked;
                entry.reverted = true;
                self.applied.pop();
            }
            Action::Apply | Action::Replace => {
                entry.state = State::Applied;
                // `add` made room for every payload.
                let _ = self.applied.push(serial, GFP_KERNEL);
            }
        }
    }
}

#[cfg(test)]
mod tests;
