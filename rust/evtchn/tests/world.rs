// SPDX-License-Identifier: GPL-2.0-only

//! A few domains, and guests that consume events the way Linux does.

use crate::abi::errno::{
    Result,
    ESRCH, //
};
use crate::evtchn::{
    topology::Domains,
    Delivery,
    DomId,
    FifoReservation,
    Kind,
    Port,
    Ports,
    Reservation,
    UpcallEpoch,
    Width, //
};
use crate::sys::page::SharedPage;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Mutex;

pub(super) const VCPUS: usize = 3;

pub(super) struct Domain {
    pub(super) ports: Mutex<Ports>,
    pub(super) deliveries: Mutex<Vec<Delivery>>,
    pub(super) shared_info: SharedPage,
}

pub(super) struct World(pub(super) Vec<Option<Domain>>);

impl World {
    /// Domain 0, then `guests` guests.
    pub(super) fn new(guests: u16) -> Self {
        Self::with_max_port(guests, 4095)
    }

    pub(super) fn with_max_port(guests: u16, max_port: u32) -> Self {
        let domain = |domid: DomId| {
            let shared_info = SharedPage::zeroed().unwrap();
            let kind = if domid == 0 {
                Kind::Host
            } else {
                Kind::Guest(shared_info.clone())
            };
            Some(Domain {
                ports: Mutex::new(Ports::new(domid, kind, VCPUS, max_port).unwrap()),
                deliveries: Mutex::new(Vec::new()),
                shared_info,
            })
        };
        Self((0..=guests).map(domain).collect())
    }

    pub(super) fn domain(&self, domid: DomId) -> &Domain {
        self.0[domid as usize].as_ref().unwrap()
    }

    pub(super) fn on<R>(&self, domid: DomId, f: impl FnOnce(&mut Ports) -> R) -> R {
        f(&mut self.domain(domid).ports.lock().unwrap())
    }

    pub(super) fn taken(&self, domid: DomId) -> Vec<Delivery> {
        std::mem::take(&mut self.domain(domid).deliveries.lock().unwrap())
    }

    pub(super) fn unbound(&self, domid: DomId, remote: DomId) -> Port {
        self.on(domid, |p| p.alloc_unbound(remote, &mut bucket()))
            .unwrap()
    }

    /// Connects a new port of `a` to a new port of `b`; forgets the deliveries.
    pub(super) fn connect(&self, a: DomId, b: DomId) -> (Port, Port) {
        let remote = self.unbound(b, a);
        let local =
            crate::evtchn::topology::bind_interdomain(self, a, b, remote, &mut bucket()).unwrap();
        self.taken(a);
        (local, remote)
    }

    /// Switches a guest to the FIFO ABI with all control blocks and `pages` array pages.
    pub(super) fn fifo(&self, domid: DomId, pages: usize) -> FifoGuest {
        let guest = FifoGuest {
            array: (0..pages).map(|_| masked_page()).collect(),
            controls: (0..VCPUS).map(|_| SharedPage::zeroed().unwrap()).collect(),
            heads: vec![[0; 16]; VCPUS],
        };
        self.on(domid, |ports| {
            let mut reservation = FifoReservation::new(VCPUS).unwrap();
            for (vcpu, page) in (0..).zip(&guest.controls) {
                ports
                    .init_control(vcpu, page.clone(), 0, &mut reservation)
                    .unwrap();
            }
            for page in &guest.array {
                let delivery = ports.expand_array(page.clone()).unwrap();
                self.deliver(domid, delivery);
            }
        });
        guest
    }
}

impl Domains for World {
    fn with<R>(&self, domid: DomId, f: impl FnOnce(&mut Ports) -> R) -> Result<R> {
        match self.0.get(domid as usize) {
            Some(Some(domain)) => Ok(f(&mut domain.ports.try_lock().expect("a lock is held"))),
            _ => Err(ESRCH),
        }
    }

    fn deliver(&self, domid: DomId, delivery: Delivery) {
        if delivery != Delivery::None {
            self.domain(domid).deliveries.lock().unwrap().push(delivery);
        }
    }
}

pub(super) fn bucket() -> Reservation {
    Reservation::new().unwrap()
}

/// The delivery that kicks one vCPU.
#[track_caller]
pub(super) fn kicked(delivery: &Delivery) -> Vec<u32> {
    match delivery {
        Delivery::None => Vec::new(),
        Delivery::Guest(wake) => wake.upcalls.iter().collect(),
        other => panic!("{other:?}"),
    }
}

/// A page of event words, all masked, as a Linux guest prepares it.
pub(super) fn masked_page() -> SharedPage {
    let page = SharedPage::zeroed().unwrap();
    for at in (0..4096).step_by(4) {
        page.word32(at).unwrap().store(1 << 30, SeqCst);
    }
    page
}

/// Clears a vCPU's upcall and returns what it was.
pub(super) fn take_upcall(ports: &Ports, vcpu: u32) -> bool {
    let info = ports.vcpu_info(vcpu).unwrap();
    info.page().byte(info.offset()).unwrap().swap(0, SeqCst) != 0
}

/// A guest of the 2-level ABI.
pub(super) struct TwoLevelGuest {
    pub(super) page: SharedPage,
    pub(super) width: Width,
}

impl TwoLevelGuest {
    fn bit(&self, base: usize, port: Port) -> (&std::sync::atomic::AtomicU32, u32) {
        let word = self.page.word32(base + port as usize / 32 * 4).unwrap();
        (word, 1 << (port % 32))
    }
    fn mask_base(&self) -> usize {
        match self.width {
            Width::Bits32 => 2048 + 128,
            Width::Bits64 => 2048 + 512,
        }
    }
    pub(super) fn pending(&self, port: Port) -> bool {
        let (word, bit) = self.bit(2048, port);
        word.load(SeqCst) & bit != 0
    }
    pub(super) fn clear_pending(&self, port: Port) {
        let (word, bit) = self.bit(2048, port);
        word.fetch_and(!bit, SeqCst);
    }
    pub(super) fn mask(&self, port: Port) {
        let (word, bit) = self.bit(self.mask_base(), port);
        word.fetch_or(bit, SeqCst);
    }
    pub(super) fn masked(&self, port: Port) -> bool {
        let (word, bit) = self.bit(self.mask_base(), port);
        word.load(SeqCst) & bit != 0
    }

    /// What the vCPU's interrupt handler finds, if the upcall is set.
    pub(super) fn handle(&self, ports: &Ports, vcpu: u32) -> BTreeSet<Port> {
        let mut found = BTreeSet::new();
        while take_upcall(ports, vcpu) {
            let info = ports.vcpu_info(vcpu).unwrap();
            let (page, at) = (info.page(), info.offset());
            let (bits, selected) = match self.width {
                Width::Bits32 => (32, u64::from(page.word32(at + 4).unwrap().swap(0, SeqCst))),
                Width::Bits64 => (64, page.word64(at + 8).unwrap().swap(0, SeqCst)),
            };
            for word in (0..bits).filter(|bit| selected & (1 << bit) != 0) {
                for port in word * bits..(word + 1) * bits {
                    if self.pending(port) && !self.masked(port) {
                        self.clear_pending(port);
                        found.insert(port);
                    }
                }
            }
        }
        found
    }
}

/// A guest of the FIFO ABI.
pub(super) struct FifoGuest {
    pub(super) array: Vec<SharedPage>,
    pub(super) controls: Vec<SharedPage>,
    /// Where each vCPU goes on in each of its queues.
    pub(super) heads: Vec<[u32; 16]>,
}

impl FifoGuest {
    pub(super) fn word(&self, port: Port) -> &std::sync::atomic::AtomicU32 {
        self.array[port as usize / 1024]
            .word32(port as usize % 1024 * 4)
            .unwrap()
    }
    pub(super) fn pending(&self, port: Port) -> bool {
        self.word(port).load(SeqCst) & (1 << 31) != 0
    }
    pub(super) fn masked(&self, port: Port) -> bool {
        self.word(port).load(SeqCst) & (1 << 30) != 0
    }
    pub(super) fn mask(&self, port: Port) {
        self.word(port).fetch_or(1 << 30, SeqCst);
    }
    /// Clears the mask if the event is not pending; else the guest must ask the hypervisor.
    pub(super) fn try_unmask(&self, port: Port) -> bool {
        let word = self.word(port);
        let mut old = word.load(SeqCst);
        loop {
            if old & (1 << 30) == 0 {
                return true;
            }
            if old & (1 << 31) != 0 {
                return false;
            }
            old &= !(1 << 28);
            match word.compare_exchange(old, old & !(1 << 30), SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }
    fn unlink(&self, port: Port) -> u32 {
        let word = self.word(port);
        let mut old = word.load(SeqCst);
        loop {
            let new = old & !(1 << 29 | 0x1ffff);
            match word.compare_exchange(old, new, SeqCst, SeqCst) {
                Ok(_) => return old & 0x1ffff,
                Err(now) => old = now,
            }
        }
    }

    /// What the vCPU's interrupt handler finds, in order.
    pub(super) fn handle(&mut self, ports: &Ports, vcpu: u32) -> Vec<Port> {
        let mut found = Vec::new();
        while take_upcall(ports, vcpu) {
            self.consume(vcpu, &mut found);
        }
        found
    }

    pub(super) fn consume(&mut self, vcpu: u32, found: &mut Vec<Port>) {
        let control = self.controls[vcpu as usize].clone();
        let word = |at: usize| control.word32(at).unwrap();
        let mut ready = word(0).swap(0, SeqCst);
        while ready != 0 {
            let queue = ready.trailing_zeros() as usize;
            let mut port = self.heads[vcpu as usize][queue];
            if port == 0 {
                port = word(8 + queue * 4).load(SeqCst);
            }
            let next = self.unlink(port);
            if next == 0 {
                ready &= !(1 << queue);
            }
            if self.pending(port) && !self.masked(port) {
                self.word(port).fetch_and(!(1 << 31), SeqCst);
                found.push(port);
            }
            self.heads[vcpu as usize][queue] = next;
            ready |= word(0).swap(0, SeqCst);
        }
    }
}

pub(super) fn epoch() -> UpcallEpoch {
    UpcallEpoch::new()
}
