// SPDX-License-Identifier: GPL-2.0-only

//! Random operations on three domains, against a model that has no words, queues or locks.
//!
//! Domain 0 is the host's, 1 and 2 are guests that consume events as Linux does and may switch to
//! FIFO. After each operation the result, the state of every port and the notifications must be the
//! model's; whenever the vCPUs of a guest look, they find each event that is pending and not
//! masked, once, and no other.

use super::world::{
    bucket,
    epoch,
    FifoGuest,
    TwoLevelGuest,
    World,
    VCPUS, //
};
use crate::abi::errno::{
    Errno,
    EEXIST,
    EINVAL,
    ENOENT, //
};
use crate::abi::event_channel::StatusDetail as Status;
use crate::evtchn::{
    topology,
    Closer,
    Delivery,
    DomId,
    Port,
    Ports,
    UpcallEpoch,
    VcpuInfo,
    Width, //
};
use crate::sys::page::SharedPage;
use proptest::prelude::*;
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::sync::atomic::Ordering::SeqCst;

#[derive(Debug, Clone)]
enum Op {
    AllocUnbound(DomId, DomId),
    BindInterdomain(DomId, DomId, Port),
    BindVirq(DomId, u32, u32),
    BindIpi(DomId, u32),
    BindVcpu(DomId, Port, u32),
    Close(DomId, Port),
    Send(DomId, Port),
    Virq(DomId, u32, u32),
    Mask(DomId, Port),
    Unmask(DomId, Port),
    SetPriority(DomId, Port, u32),
    Handle(DomId, u32),
    Look(DomId),
    Register(DomId, u32),
    Fifo(DomId),
    Reset(DomId),
}

fn op() -> impl Strategy<Value = Op> {
    let domid = 0..3u16;
    let guest = 1..3u16;
    // Ports are few, so that operations meet; the last one is not valid.
    let port = prop_oneof![8 => 0..8u32, 1 => Just(64u32)];
    let vcpu = 0..4u32;
    let virq = prop_oneof![Just(0u32), Just(1), Just(3), Just(8), Just(24)];
    use Op::*;
    prop_oneof![
        3 => (domid.clone(), domid.clone()).prop_map(|(a, b)| AllocUnbound(a, b)),
        4 => (domid.clone(), domid.clone(), port.clone())
            .prop_map(|(a, b, c)| BindInterdomain(a, b, c)),
        2 => (domid.clone(), virq.clone(), vcpu.clone()).prop_map(|(a, b, c)| BindVirq(a, b, c)),
        2 => (domid.clone(), vcpu.clone()).prop_map(|(a, b)| BindIpi(a, b)),
        2 => (domid.clone(), port.clone(), vcpu.clone()).prop_map(|(a, b, c)| BindVcpu(a, b, c)),
        3 => (domid.clone(), port.clone()).prop_map(|(a, b)| Close(a, b)),
        12 => (domid.clone(), port.clone()).prop_map(|(a, b)| Send(a, b)),
        3 => (domid.clone(), virq, vcpu.clone()).prop_map(|(a, b, c)| Virq(a, b, c)),
        4 => (guest.clone(), port.clone()).prop_map(|(a, b)| Mask(a, b)),
        8 => (domid, port.clone()).prop_map(|(a, b)| Unmask(a, b)),
        2 => (guest.clone(), port, 0..16u32).prop_map(|(a, b, c)| SetPriority(a, b, c)),
        4 => (guest.clone(), 0..3u32).prop_map(|(a, b)| Handle(a, b)),
        3 => guest.clone().prop_map(Look),
        1 => (guest.clone(), 0..3u32).prop_map(|(a, b)| Register(a, b)),
        1 => guest.clone().prop_map(Fifo),
        1 => guest.prop_map(Reset),
    ]
}

/// A port of the model.
#[derive(Clone, Copy, Debug)]
struct Channel {
    status: Status,
    vcpu: u32,
    pending: bool,
}

/// A domain of the model.
struct Domain {
    ports: BTreeMap<Port, Channel>,
    /// Masked ports, whether they are in use or not.
    masked: BTreeSet<Port>,
    /// What domain 0's processes have been told and not written back is `masked`; this is what they
    /// were told.
    reported: BTreeSet<Port>,
}

struct Run {
    world: World,
    model: Vec<Domain>,
    fifo: Vec<Option<FifoGuest>>,
    registered: BTreeSet<(DomId, u32)>,
    epoch: UpcallEpoch,
}

/// All valid ports: one bucket is enough for all that is bound here.
const LIMIT: Port = 63;

impl Run {
    fn new() -> Self {
        let domain = |domid| Domain {
            ports: BTreeMap::new(),
            masked: if domid == 0 {
                (0..=LIMIT).collect()
            } else {
                BTreeSet::new()
            },
            reported: BTreeSet::new(),
        };
        Self {
            world: World::with_max_port(2, LIMIT),
            model: (0..3).map(domain).collect(),
            fifo: vec![None, None, None],
            registered: BTreeSet::new(),
            epoch: epoch(),
        }
    }

    fn ours(&mut self, domid: DomId) -> &mut Domain {
        &mut self.model[domid as usize]
    }

    fn two_level(&self, domid: DomId) -> TwoLevelGuest {
        TwoLevelGuest {
            page: self.world.domain(domid).shared_info.clone(),
            width: Width::Bits64,
        }
    }

    /// The port that the next bind must get. What a FIFO guest has still queued is its own memory.
    fn next_port(&self, domid: DomId) -> Option<Port> {
        (1..=LIMIT).find(|port| {
            let queued = self.fifo[domid as usize]
                .as_ref()
                .is_some_and(|guest| guest.word(*port).load(SeqCst) & (1 << 29) != 0);
            !self.model[domid as usize].ports.contains_key(port) && !queued
        })
    }

    fn bind(&mut self, domid: DomId, status: Status, vcpu: u32) -> Port {
        let port = self.next_port(domid).unwrap();
        self.bind_at(domid, port, status, vcpu);
        port
    }

    fn bind_at(&mut self, domid: DomId, port: Port, status: Status, vcpu: u32) {
        let channel = Channel {
            status,
            vcpu,
            pending: false,
        };
        self.ours(domid).ports.insert(port, channel);
        if domid == 0 {
            self.ours(0).masked.insert(port);
        }
    }

    /// An event arrives.
    fn raise(&mut self, domid: DomId, port: Port) {
        let domain = self.ours(domid);
        let channel = domain.ports.get_mut(&port).unwrap();
        if domid != 0 {
            channel.pending = true;
        } else if domain.masked.insert(port) {
            domain.reported.insert(port);
        } else {
            channel.pending = true;
        }
    }

    fn close(&mut self, domid: DomId, port: Port) -> Result<(), Errno> {
        let channel = self.ours(domid).ports.remove(&port).ok_or(EINVAL)?;
        if let Status::Interdomain(remote, remote_port) = channel.status {
            let peer = self.ours(remote).ports.get_mut(&remote_port).unwrap();
            peer.status = Status::Unbound(domid);
        }
        Ok(())
    }

    fn virq_port(&mut self, domid: DomId, virq: u32, vcpu: u32) -> Option<Port> {
        let global = virq != 0 && virq != 1;
        self.ours(domid)
            .ports
            .iter()
            .find(|(_, c)| c.status == Status::Virq(virq) && (global || c.vcpu == vcpu))
            .map(|(port, _)| *port)
    }

    /// All ports that vCPUs of a guest must find when they look.
    fn deliverable(&self, domid: DomId) -> BTreeSet<Port> {
        let domain = &self.model[domid as usize];
        domain
            .ports
            .iter()
            .filter(|(port, c)| c.pending && !domain.masked.contains(port))
            .map(|(port, _)| *port)
            .collect()
    }

    /// A vCPU of a guest handles its upcall.
    fn handle(&mut self, domid: DomId, vcpu: u32) -> Vec<Port> {
        let two_level = self.two_level(domid);
        let ports = self.world.domain(domid).ports.lock().unwrap();
        match &mut self.fifo[domid as usize] {
            Some(guest) => guest.handle(&ports, vcpu),
            None => two_level.handle(&ports, vcpu).into_iter().collect(),
        }
    }

    fn upcalls(&self) -> Vec<(DomId, u32, bool)> {
        let mut all = Vec::new();
        for domid in 1..3 {
            self.world.on(domid, |ports: &mut Ports| {
                for vcpu in 0..VCPUS as u32 {
                    let upcall = ports.upcall(vcpu, &self.epoch);
                    all.push((domid, vcpu, upcall.is_pending()));
                }
            });
        }
        all
    }

    fn apply(&mut self, op: &Op) {
        use Op::*;
        match *op {
            AllocUnbound(domid, remote) => {
                if self.next_port(domid).is_some() {
                    let port = self.bind(domid, Status::Unbound(remote), 0);
                    assert_eq!(self.world.unbound(domid, remote), port);
                }
            }
            BindInterdomain(local, remote, remote_port) => {
                let waits = self
                    .ours(remote)
                    .ports
                    .get(&remote_port)
                    .is_some_and(|c| c.status == Status::Unbound(local));
                // Asked before: the bind makes the port pending, and with that queued.
                let Some(port) = self.next_port(local) else {
                    return;
                };
                let result = topology::bind_interdomain(
                    &self.world,
                    local,
                    remote,
                    remote_port,
                    &mut bucket(),
                );
                if !waits {
                    assert_eq!(result, Err(EINVAL));
                    return;
                }
                assert_eq!(result, Ok(port));
                self.bind_at(local, port, Status::Interdomain(remote, remote_port), 0);
                let peer = self.ours(remote).ports.get_mut(&remote_port).unwrap();
                peer.status = Status::Interdomain(local, port);
                self.raise(local, port);
            }
            BindVirq(domid, virq, vcpu) => {
                let expected = if virq >= 24 || (virq > 1 && vcpu != 0) {
                    Err(EINVAL)
                } else if vcpu >= VCPUS as u32 {
                    Err(ENOENT)
                } else if self.virq_port(domid, virq, vcpu).is_some() {
                    Err(EEXIST)
                } else if self.next_port(domid).is_none() {
                    return;
                } else {
                    Ok(self.bind(domid, Status::Virq(virq), vcpu))
                };
                let result = self
                    .world
                    .on(domid, |p| p.bind_virq(virq, vcpu, &mut bucket()));
                assert_eq!(result, expected);
            }
            BindIpi(domid, vcpu) => {
                if self.next_port(domid).is_none() {
                    return;
                }
                let result = self.world.on(domid, |p| p.bind_ipi(vcpu, &mut bucket()));
                if vcpu >= VCPUS as u32 {
                    assert_eq!(result, Err(ENOENT));
                } else {
                    // The port may be queued no more than before: binding queues nothing.
                    assert_eq!(result, Ok(self.bind(domid, Status::Ipi, vcpu)));
                }
            }
            BindVcpu(domid, port, vcpu) => {
                let result = self.world.on(domid, |p| p.bind_vcpu(port, vcpu));
                let movable = self
                    .ours(domid)
                    .ports
                    .get_mut(&port)
                    .filter(|c| match c.status {
                        Status::Virq(virq) => virq > 1,
                        Status::Ipi => false,
                        _ => true,
                    });
                match movable {
                    _ if vcpu >= VCPUS as u32 => assert_eq!(result, Err(ENOENT)),
                    None => assert_eq!(result, Err(EINVAL)),
                    Some(channel) => {
                        assert_eq!(result, Ok(()));
                        channel.vcpu = vcpu;
                    }
                }
            }
            Close(domid, port) => {
                let result = topology::close(&self.world, domid, port, Closer::Guest);
                assert_eq!(result, self.close(domid, port));
            }
            Send(domid, port) => {
                let result = topology::send(&self.world, domid, port);
                let status = self.ours(domid).ports.get(&port).map(|c| c.status);
                match status {
                    Some(Status::Interdomain(remote, remote_port)) => {
                        self.raise(remote, remote_port);
                    }
                    Some(Status::Ipi) => self.raise(domid, port),
                    Some(Status::Unbound(_)) => {}
                    _ => {
                        assert_eq!(result, Err(EINVAL));
                        return;
                    }
                }
                assert_eq!(result, Ok(()));
            }
            Virq(domid, virq, vcpu) => {
                topology::raise_virq(&self.world, domid, virq, vcpu).unwrap();
                if let Some(port) = self.virq_port(domid, virq, vcpu) {
                    self.raise(domid, port);
                }
            }
            Mask(domid, port) if port <= LIMIT => {
                match &self.fifo[domid as usize] {
                    Some(guest) => guest.mask(port),
                    None => self.two_level(domid).mask(port),
                }
                self.ours(domid).masked.insert(port);
            }
            Mask(..) => {}
            Unmask(domid, port) => {
                let by_itself = match &self.fifo[domid as usize] {
                    Some(guest) if port <= LIMIT => guest.try_unmask(port),
                    _ => false,
                };
                if !by_itself {
                    let result = topology::unmask(&self.world, domid, port);
                    assert_eq!(result.is_ok(), port <= LIMIT);
                }
                let domain = self.ours(domid);
                match domain.ports.get_mut(&port) {
                    Some(channel) => {
                        domain.masked.remove(&port);
                        if domid == 0 && std::mem::take(&mut channel.pending) {
                            domain.masked.insert(port);
                            domain.reported.insert(port);
                        }
                    }
                    None if by_itself => {
                        domain.masked.remove(&port);
                    }
                    None => {}
                }
            }
            SetPriority(domid, port, priority) => {
                let result = self.world.on(domid, |p| p.set_priority(port, priority));
                let possible = self.fifo[domid as usize].is_some()
                    && self.ours(domid).ports.contains_key(&port);
                assert_eq!(result.is_ok(), possible);
            }
            Handle(domid, vcpu) => {
                let may = self.deliverable(domid);
                for port in self.handle(domid, vcpu) {
                    assert!(may.contains(&port), "{port} is not to be delivered");
                    let channel = self.ours(domid).ports.get_mut(&port).unwrap();
                    assert!(std::mem::take(&mut channel.pending), "{port} came twice");
                }
            }
            Look(domid) => self.look(domid),
            Register(domid, vcpu) => {
                let page = SharedPage::zeroed().unwrap();
                let place = VcpuInfo::new(page, 64 * vcpu, Width::Bits64).unwrap();
                let epoch = &self.epoch;
                let result = self
                    .world
                    .on(domid, |p| p.register_vcpu_info(vcpu, place, epoch));
                let first = self.registered.insert((domid, vcpu));
                assert_eq!(result.is_ok(), first);
                if let Ok(delivery) = result {
                    // The guest is notified in any case; take that as done.
                    assert_ne!(delivery, Delivery::None);
                }
            }
            Fifo(domid) => {
                if self.fifo[domid as usize].is_none() {
                    self.fifo[domid as usize] = Some(self.world.fifo(domid, 1));
                    self.ours(domid).masked = (0..=LIMIT).collect();
                }
            }
            Reset(domid) => {
                topology::reset(&self.world, domid, false, || false).unwrap();
                let ports: Vec<_> = self.ours(domid).ports.keys().copied().collect();
                for port in ports {
                    // The other end of a loopback is not in the list any more, or unbound by now.
                    let _ = self.close(domid, port);
                }
                self.fifo[domid as usize] = None;
                let guest = self.two_level(domid);
                self.ours(domid).masked = (0..=LIMIT).filter(|p| guest.masked(*p)).collect();
            }
        }
    }

    /// All vCPUs of a guest look for events: they find what the model says, once.
    fn look(&mut self, domid: DomId) {
        let expected: Vec<_> = self.deliverable(domid).into_iter().collect();
        let mut found: Vec<_> = (0..VCPUS as u32)
            .flat_map(|vcpu| self.handle(domid, vcpu))
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "domain {domid}");
        for port in found {
            self.ours(domid).ports.get_mut(&port).unwrap().pending = false;
        }
    }

    /// Compares everything that can be seen.
    fn check(&mut self, before: &[(DomId, u32, bool)], quiet: bool) {
        // An upcall that went from clear to set was announced, and no other.
        let mut announced = BTreeSet::new();
        for domid in 1..3 {
            for delivery in self.world.taken(domid) {
                match delivery {
                    Delivery::Guest(wake) => {
                        for vcpu in wake.upcalls.iter() {
                            assert!(announced.insert((domid, vcpu)));
                        }
                        assert!(wake.pollers.is_empty());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        if !quiet {
            let rose: BTreeSet<_> = before
                .iter()
                .zip(self.upcalls())
                .filter(|(old, new)| !old.2 && new.2)
                .map(|(old, _)| (old.0, old.1))
                .collect();
            assert_eq!(announced, rose);
        }
        let told: BTreeSet<_> = self
            .world
            .taken(0)
            .into_iter()
            .map(|delivery| match delivery {
                Delivery::Host { port } => port,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, std::mem::take(&mut self.ours(0).reported));

        for domid in 0..3 {
            let domain = &self.model[domid as usize];
            self.world.on(domid, |ports| {
                for port in 0..=LIMIT {
                    let expected = match domain.ports.get(&port) {
                        Some(c) => (c.status, c.vcpu),
                        None => (Status::Closed, 0),
                    };
                    assert_eq!(
                        ports.status(port),
                        Ok(expected),
                        "domain {domid} port {port}"
                    );
                }
                assert_eq!(ports.dump(0).count(), domain.ports.len());
                for info in ports.dump(0) {
                    let channel = &domain.ports[&info.port];
                    assert_eq!(info.pending, channel.pending, "domain {domid} {info:?}");
                    assert_eq!(info.masked, domain.masked.contains(&info.port));
                }
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_operations_agree_with_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let mut run = Run::new();
        for op in &ops {
            let before = run.upcalls();
            run.apply(op);
            run.check(&before, matches!(op, Op::Register(..)));
        }
        for domid in 1..3 {
            run.look(domid);
            // Unmask all: what was pending behind a mask comes now.
            let ports: Vec<_> = run.ours(domid).ports.keys().copied().collect();
            for port in ports {
                run.apply(&Op::Unmask(domid, port));
            }
            run.look(domid);
        }
    }
}
