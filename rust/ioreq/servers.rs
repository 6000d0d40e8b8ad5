// SPDX-License-Identifier: GPL-2.0-only

//! All I/O request servers of a domain.

use super::ports::Groups;
use super::range::Ranges;
use super::request::{
    Kind,
    Request, //
};
use super::server::{
    claims,
    Creator,
    Notify,
    Server,
    KINDS, //
};
use super::slot::{
    Sent,
    Slot,
    Violation, //
};
use crate::abi::errno::{
    Errno,
    Result,
    EBUSY,
    EINVAL,
    ENOENT,
    ENOSPC,
    EPERM, //
};
use crate::sys::alloc::KBox;
use crate::sys::page::SharedPage;

/// Servers that a domain can have (Xen's `MAX_NR_IOREQ_SERVERS`).
pub(crate) const MAX_SERVERS: usize = 8;

/// The port of PCI configuration addresses.
pub(crate) const PCI_ADDRESS_PORT: u16 = 0xcf8;
/// The first of the four ports of PCI configuration data.
const PCI_DATA_PORT: u64 = 0xcfc;
/// The bit of the address that says that data is the configuration's.
const PCI_ENABLE: u32 = 1 << 31;

/// Whom an access is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chosen {
    /// Nobody.
    Nobody,
    /// A device model that has died: the access waits for another one.
    Held,
    /// This server.
    Server(Target),
}

/// A server that an access is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Its number.
    pub(crate) id: u16,
    /// Whether it is to be buffered.
    pub(crate) buffered: bool,
    /// The access as the server is told of it.
    pub(crate) request: Request,
}

/// Where a request was sent.
pub(super) struct To {
    pub(super) page: SharedPage,
    pub(super) id: u16,
    pub(super) serial: u64,
    pub(super) sent: Sent,
}

/// What became of an access.
pub(super) enum Start {
    /// It is for nobody.
    Nobody,
    /// It waits for a server.
    Held,
    /// It is buffered: done.
    Buffered(Notify),
    /// It was sent. The port is to be notified.
    Sent(To, u32),
}

/// The server that writes to frames of `HVMMEM_ioreq_server` go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct MemoryType {
    id: u16,
    serial: u64,
}

/// The I/O request servers of a domain.
pub(crate) struct Servers {
    list: [Option<KBox<Server>>; MAX_SERVERS],
    /// Ranges of servers whose device models have died.
    held: [Option<[Ranges; KINDS]>; MAX_SERVERS],
    next_serial: u64,
    /// What the guest wrote to the port of PCI configuration addresses last.
    pci_address: u32,
    memory_type: Option<MemoryType>,
}

impl Servers {
    /// Makes a set of no servers.
    pub(crate) const fn new() -> Self {
        Self {
            list: [const { None }; MAX_SERVERS],
            held: [const { None }; MAX_SERVERS],
            next_serial: 1,
            pci_address: 0,
            memory_type: None,
        }
    }

    /// Returns whether accesses have to be looked at: there is a server, or an access would wait for one.
    pub(crate) fn any(&self) -> bool {
        self.list.iter().any(Option::is_some) || self.held.iter().any(Option::is_some)
    }

    /// Returns the groups of ports to which accesses have to be looked at.
    pub(crate) fn port_groups(&self) -> Groups {
        let mut groups = Groups::NONE;
        for (_, server) in self.iter() {
            groups.add_all(server.port_ranges());
        }
        for [ports, ..] in self.held.iter().flatten() {
            groups.add_all(ports);
        }
        if self.any() {
            groups.add_pci();
        }
        groups
    }

    /// Returns the numbers of the servers, and the servers.
    fn iter(&self) -> impl DoubleEndedIterator<Item = (u16, &Server)> {
        self.list
            .iter()
            .enumerate()
            // CAST: there are eight.
            .filter_map(|(id, server)| Some((id as u16, &**server.as_ref()?)))
    }

    fn slot(&self, id: u16) -> Option<&Server> {
        Some(self.list.get(usize::from(id))?.as_ref()?)
    }

    /// Adds a server and returns its number, the lowest that is free.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there are as many as there can be; the server comes back.
    pub(crate) fn insert(
        &mut self,
        mut server: KBox<Server>,
    ) -> core::result::Result<u16, (Errno, KBox<Server>)> {
        let free = (0u16..)
            .zip(self.list.iter_mut())
            .find(|(_, place)| place.is_none());
        match free {
            Some((id, place)) => {
                server.serial = self.next_serial;
                self.next_serial = self.next_serial.wrapping_add(1);
                *place = Some(server);
                Ok(id)
            }
            None => Err((ENOSPC, server)),
        }
    }

    /// Returns a server to who made it (I-3).
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none of that number, `EPERM` if another domain made it.
    pub(crate) fn get(&mut self, id: u16, creator: Creator) -> Result<&mut Server> {
        let server = self
            .list
            .get_mut(usize::from(id))
            .and_then(Option::as_mut)
            .ok_or(ENOENT)?;

        if server.creator() != creator {
            return Err(EPERM);
        }
        Ok(server)
    }

    /// Takes a server out to be destroyed. Whoever waits for it must be told to look.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub(crate) fn remove(&mut self, id: u16, creator: Creator) -> Result<KBox<Server>> {
        self.get(id, creator)?;
        self.list
            .get_mut(usize::from(id))
            .and_then(Option::take)
            .ok_or(ENOENT)
    }

    /// Takes any server out of which `which` says so, because whoever ran it has died, and holds its ranges. To be
    /// called until there is none.
    pub(crate) fn abandon(&mut self, which: impl Fn(&Server) -> bool) -> Option<KBox<Server>> {
        let place = self
            .list
            .iter_mut()
            .find(|place| place.as_deref().is_some_and(&which))?;
        let mut server = place.take()?;
        let live = server.ranges();

        if live.iter().all(Ranges::is_empty) {
            return Some(server);
        }
        if let Some(free) = self.held.iter_mut().find(|place| place.is_none()) {
            // The server keeps empty sets in return.
            let empty = [Ranges::none(), Ranges::none(), Ranges::none()];
            server.move_ranges(free.insert(empty));
        } else if let Some(first) = self.held.iter_mut().flatten().next() {
            for (held, ranges) in first.iter_mut().zip(live.iter()) {
                held.add_all(ranges);
            }
        }
        Some(server)
    }

    /// Returns whether a server uses this frame of the guest.
    pub(crate) fn uses_gfn(&self, gfn: u64) -> bool {
        self.iter().any(|(_, server)| {
            server
                .gfns()
                .is_some_and(|(sync, buffered)| sync == gfn || buffered == Some(gfn))
        })
    }

    /// Takes the servers out one by one, at the end of the domain.
    pub(crate) fn drain(&mut self) -> Option<KBox<Server>> {
        self.list.iter_mut().find_map(Option::take)
    }

    /// Forgets what is held, and returns it to be freed with the lock dropped.
    pub(crate) fn release_held(&mut self) -> impl Sized {
        core::mem::replace(&mut self.held, [const { None }; MAX_SERVERS])
    }

    /// Gives a server a range; `buffered` says that writes to it are buffered. What is held of it is not any more.
    ///
    /// # Errors
    ///
    /// - `EINVAL` for a range that ends before it begins (XSA-238), before anything else; and for a type that there is
    ///   not.
    /// - `ENOENT`, `EPERM`; `EEXIST` if the server has a part of it, `ENOMEM` for too many.
    pub(crate) fn map(
        &mut self,
        id: u16,
        creator: Creator,
        type_: u32,
        (start, end): (u64, u64),
        buffered: bool,
    ) -> Result {
        if start > end {
            return Err(EINVAL);
        }
        self.get(id, creator)?
            .add_range(type_, start, end, buffered)?;
        for sets in self.held.iter_mut().flatten() {
            // CAST: widens; it is the number of one of the sets, as was just seen.
            if let Some(set) = sets.get_mut(type_ as usize) {
                // What cannot be cut stays held, which matters only when the new server goes.
                let _ = set.cut(start, end);
            }
        }
        Ok(())
    }

    /// Takes a range from a server.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); `ENOENT` also if the server does not have all of the range.
    pub(crate) fn unmap(
        &mut self,
        id: u16,
        creator: Creator,
        type_: u32,
        (start, end): (u64, u64),
    ) -> Result {
        if start > end {
            return Err(EINVAL);
        }
        self.get(id, creator)?.remove_range(type_, start, end)
    }

    /// Notes what the guest writes to the port of PCI configuration addresses.
    pub(crate) fn set_pci_address(&mut self, value: u32) {
        self.pci_address = value;
    }

    /// Returns the access as a server is told of it: one to the configuration of a PCI function is no access to a port.
    fn meant(&self, request: &Request) -> Request {
        if request.kind != Kind::Port
            || request.addr & !3 != PCI_DATA_PORT
            || self.pci_address & PCI_ENABLE == 0
        {
            return *request;
        }
        let function = u64::from(self.pci_address >> 8 & 0xffff);
        let register = u64::from(self.pci_address & 0xfc) | request.addr & 3;
        Request {
            kind: Kind::PciConfig,
            addr: function << 32 | register,
            ..*request
        }
    }

    /// Finds whom an access is for: the server with the highest number that claims all of it.
    pub(crate) fn select(&self, request: &Request) -> Chosen {
        let request = self.meant(request);
        for (id, server) in self.iter().rev() {
            if !server.is_ready() {
                continue;
            }
            if let Some(buffered) = server.claims(&request) {
                return Chosen::Server(Target {
                    id,
                    buffered,
                    request,
                });
            }
        }
        let mut held = self.held.iter().flatten();
        if held.any(|sets| claims(sets, &request).is_some()) {
            Chosen::Held
        } else {
            Chosen::Nobody
        }
    }

    /// Starts an access of a vCPU.
    ///
    /// # Errors
    ///
    /// [`Violation`] if the device model has the vCPU's slot in a state that it must not be in.
    pub(super) fn start(
        &mut self,
        vcpu: u32,
        request: &Request,
    ) -> core::result::Result<Start, Violation> {
        let target = match self.select(request) {
            Chosen::Nobody => return Ok(Start::Nobody),
            Chosen::Held => return Ok(Start::Held),
            Chosen::Server(target) => target,
        };
        if target.buffered {
            let server = self.list.get_mut(usize::from(target.id));
            let server = server.and_then(Option::as_mut);
            // Without room it is sent and waited for, which makes the model empty its buffer.
            if let Some(notify) = server.and_then(|server| server.buffer(&target.request)) {
                return Ok(Start::Buffered(notify));
            }
        }
        Ok(match self.send(target.id, vcpu, &target.request)? {
            Some((to, port)) => Start::Sent(to, port),
            None => Start::Nobody,
        })
    }

    /// Sends a request to one server; `None` if it has no place for this vCPU.
    fn send(
        &self,
        id: u16,
        vcpu: u32,
        request: &Request,
    ) -> core::result::Result<Option<(To, u32)>, Violation> {
        let Some(server) = self.slot(id) else {
            return Ok(None);
        };
        let Some((page, port)) = server.sync(vcpu) else {
            return Ok(None);
        };
        let Some(slot) = Slot::of(page, vcpu) else {
            return Ok(None);
        };
        let sent = slot.send(request)?;
        let to = To {
            page: page.clone(),
            id,
            serial: server.serial,
            sent,
        };
        Ok(Some((to, port)))
    }

    /// Sends a message to every server that is on; `each` gets where it was sent and the port to notify.
    ///
    /// # Errors
    ///
    /// [`Violation`]; the servers after the one that made it get no message.
    pub(super) fn broadcast(
        &self,
        vcpu: u32,
        request: &Request,
        mut each: impl FnMut(To, u32),
    ) -> core::result::Result<(), Violation> {
        for (id, server) in self.iter() {
            if !server.is_ready() {
                continue;
            }
            if let Some((to, port)) = self.send(id, vcpu, request)? {
                each(to, port);
            }
        }
        Ok(())
    }

    /// Returns whether a server is still there.
    pub(super) fn is_there(&self, id: u16, serial: u64) -> bool {
        self.slot(id).is_some_and(|server| server.serial == serial)
    }

    // Frames of a type of their own.

    /// Gives a server all frames of the type `HVMMEM_ioreq_server`, or takes them from it.
    ///
    /// # Errors
    ///
    /// - `ENOENT`, `EPERM`.
    /// - `EBUSY` if a server has them already; `EINVAL` to take them from one that has not.
    pub(crate) fn set_memory_type(&mut self, id: u16, creator: Creator, on: bool) -> Result {
        let serial = self.get(id, creator)?.serial;
        let this = MemoryType { id, serial };
        match (on, self.memory_server()) {
            (true, Some(_)) => Err(EBUSY),
            (true, None) => {
                self.memory_type = Some(this);
                Ok(())
            }
            (false, Some(now)) if now == id => {
                self.memory_type = None;
                Ok(())
            }
            (false, _) => Err(EINVAL),
        }
    }

    /// Returns the server that has the frames of that type.
    pub(crate) fn memory_server(&self) -> Option<u16> {
        let now = self.memory_type?;
        self.is_there(now.id, now.serial).then_some(now.id)
    }

    /// Starts a write of a vCPU to a frame of that type, if a server has them.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub(super) fn start_in_memory(
        &mut self,
        vcpu: u32,
        request: &Request,
    ) -> core::result::Result<Start, Violation> {
        let id = self
            .memory_server()
            .filter(|id| self.slot(*id).is_some_and(Server::is_ready));
        Ok(
            match id
                .map(|id| self.send(id, vcpu, request))
                .transpose()?
                .flatten()
            {
                Some((to, port)) => Start::Sent(to, port),
                None => Start::Nobody,
            },
        )
    }
}
