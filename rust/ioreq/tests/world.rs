// SPDX-License-Identifier: GPL-2.0-only

//! Servers with their pages, and device models that serve them.

use super::super::{
    Buffering,
    Creator,
    Server,
    Servers, //
};
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;

/// Domain 0.
pub(super) const DOM0: Creator = Creator {
    domid: 0,
    serial: 0,
};
/// Some other domain.
pub(super) const STUB: Creator = Creator {
    domid: 7,
    serial: 99,
};

/// vCPUs of the domain.
pub(super) const VCPUS: u32 = 4;
/// The first port of a server; the vCPUs' follow.
pub(super) const PORT: u32 = 100;
/// The port of buffered requests.
pub(super) const BUFFERED_PORT: u32 = 200;

/// Makes a server that has its pages and is on.
pub(super) fn server(servers: &mut Servers, owner: u64, buffering: Buffering) -> (u16, SharedPage) {
    let id = bare(servers, DOM0, owner, buffering);
    let server = servers.get(id, DOM0).unwrap();
    frames(server);
    server.set_enabled(true);
    let page = server.frame(1).unwrap();
    (id, page)
}

/// Makes a server that has nothing.
pub(super) fn bare(servers: &mut Servers, by: Creator, owner: u64, buffering: Buffering) -> u16 {
    let mut ports = KVec::new();
    for vcpu in 0..VCPUS {
        ports.push(PORT + vcpu, GFP_KERNEL).unwrap();
    }
    let server = Server::new(by, owner, buffering, ports, BUFFERED_PORT).unwrap();
    servers.insert(server).map_err(|(errno, _)| errno).unwrap()
}

/// Gives a server the frames that it needs.
pub(super) fn frames(server: &mut Server) {
    let mut pages = KVec::new();
    for _ in 0..server.frames_needed().unwrap() {
        pages
            .push(SharedPage::zeroed().unwrap(), GFP_KERNEL)
            .unwrap();
    }
    server.give_frames(&mut pages);
}

/// A request as a model sees it: kind, address, size, data, and whether it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) kind: u8,
    pub(super) addr: u64,
    pub(super) size: u32,
    pub(super) data: u64,
    pub(super) read: bool,
}

/// Returns the state of a slot.
pub(super) fn state(page: &SharedPage, vcpu: u32) -> u8 {
    page.byte(vcpu as usize * 32 + 30)
        .unwrap()
        .load(Ordering::SeqCst)
        & 0xf
}

/// Sets the state of a slot.
pub(super) fn set_state(page: &SharedPage, vcpu: u32, state: u8) {
    let byte = page.byte(vcpu as usize * 32 + 30).unwrap();
    let keep = byte.load(Ordering::SeqCst) & 0xf0;
    byte.store(keep | state, Ordering::SeqCst);
}

/// Begins the request of a vCPU as a model does, if there is one.
pub(super) fn begin(page: &SharedPage, vcpu: u32) -> Option<Told> {
    if state(page, vcpu) != 1 {
        return None;
    }
    let at = vcpu as usize * 32;
    let word = |offset: usize| page.word32(at + offset).unwrap().load(Ordering::SeqCst);
    let long = |offset: usize| page.word64(at + offset).unwrap().load(Ordering::SeqCst);
    let told = Told {
        kind: (word(28) >> 24) as u8,
        addr: long(0),
        size: word(20),
        data: long(8),
        read: word(28) >> 16 & 0x20 != 0,
    };
    set_state(page, vcpu, 2);
    Some(told)
}

/// Answers the request of a vCPU.
pub(super) fn answer(page: &SharedPage, vcpu: u32, data: u64) {
    page.word64(vcpu as usize * 32 + 8)
        .unwrap()
        .store(data, Ordering::SeqCst);
    set_state(page, vcpu, 3);
}
