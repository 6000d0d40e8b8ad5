// SPDX-License-Identifier: GPL-2.0-only

//! Whom an access is for, and who may control a server.

use super::super::{
    Buffering,
    Chosen,
    GfnPages,
    Kind,
    Request,
    Servers,
    MAX_SERVERS, //
};
use super::world::{
    bare,
    frames,
    server,
    DOM0,
    STUB, //
};
use crate::abi::dm_op::{
    IO_RANGE_MEMORY,
    IO_RANGE_PCI,
    IO_RANGE_PORT, //
};
use crate::abi::errno::{
    EBUSY,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOSPC,
    EPERM, //
};
use crate::sys::page::SharedPage;

fn chosen(servers: &Servers, request: &Request) -> Option<u16> {
    match servers.select(request) {
        Chosen::Server(target) => Some(target.id),
        _ => None,
    }
}

/// 8df3821c08.
#[test]
fn io_15_i_3_only_who_made_a_server_controls_it() {
    let mut servers = Servers::new();
    let id = bare(&mut servers, STUB, 0, Buffering::Off);
    assert_eq!(servers.get(id, DOM0).err(), Some(EPERM));
    let map = |servers: &mut Servers, by| servers.map(id, by, IO_RANGE_PORT, (1, 2), false);
    assert_eq!(map(&mut servers, DOM0), Err(EPERM));
    let again = crate::ioreq::Creator {
        serial: 100,
        ..STUB
    };
    assert_eq!(
        map(&mut servers, again),
        Err(EPERM),
        "a later domain of that number"
    );
    assert_eq!(map(&mut servers, STUB), Ok(()));
    assert_eq!(servers.unmap(id, DOM0, IO_RANGE_PORT, (1, 2)), Err(EPERM));
    assert_eq!(servers.remove(id, DOM0).err(), Some(EPERM));
    assert_eq!(servers.set_memory_type(id, DOM0, true), Err(EPERM));
    assert_eq!(servers.get(id + 1, STUB).err(), Some(ENOENT));
    assert_eq!(servers.get(u16::MAX, STUB).err(), Some(ENOENT));
    servers.remove(id, STUB).unwrap();
    assert_eq!(servers.remove(id, STUB).err(), Some(ENOENT));
}

#[test]
fn there_are_eight_servers_and_no_more() {
    let mut servers = Servers::new();
    for number in 0..MAX_SERVERS as u16 {
        assert_eq!(bare(&mut servers, DOM0, 0, Buffering::Off), number);
    }
    let more =
        super::super::Server::new(DOM0, 0, Buffering::Off, crate::sys::alloc::KVec::new(), 0);
    assert_eq!(
        servers.insert(more.unwrap()).map_err(|(e, _)| e),
        Err(ENOSPC)
    );
    servers.remove(3, DOM0).unwrap();
    assert_eq!(bare(&mut servers, DOM0, 0, Buffering::Off), 3);
}

#[test]
fn i_6_the_server_with_the_highest_number_that_claims_all_of_an_access_is_chosen() {
    let mut servers = Servers::new();
    let (a, _) = server(&mut servers, 0, Buffering::Off);
    let (b, _) = server(&mut servers, 0, Buffering::Off);
    servers
        .map(a, DOM0, IO_RANGE_PORT, (0x3f0, 0x3ff), false)
        .unwrap();
    servers
        .map(b, DOM0, IO_RANGE_PORT, (0x3f8, 0x3f9), false)
        .unwrap();
    let read = |addr, size| Request::read(Kind::Port, addr, size);
    assert_eq!(chosen(&servers, &read(0x3f8, 1)), Some(b));
    assert_eq!(chosen(&servers, &read(0x3f8, 2)), Some(b));
    assert_eq!(
        chosen(&servers, &read(0x3f8, 4)),
        Some(a),
        "not all of it is b's"
    );
    assert_eq!(chosen(&servers, &read(0x3fa, 1)), Some(a));
    assert_eq!(chosen(&servers, &read(0x3fd, 4)), None);
    assert_eq!(
        chosen(&servers, &Request::read(Kind::Memory, 0x3f8, 1)),
        None
    );
    servers.get(b, DOM0).unwrap().set_enabled(false);
    assert_eq!(chosen(&servers, &read(0x3f8, 1)), Some(a), "b is off");
    servers.remove(a, DOM0).unwrap();
    assert_eq!(chosen(&servers, &read(0x3f8, 1)), None);
}

/// 60a56dc006, 7626edeaca: what is compared is what is accessed, to its last byte.
#[test]
fn io_12_io_13_an_access_that_leaves_its_range_or_wraps_is_for_nobody() {
    let mut servers = Servers::new();
    let (id, _) = server(&mut servers, 0, Buffering::Off);
    servers
        .map(id, DOM0, IO_RANGE_MEMORY, (0x1000, 0x1fff), false)
        .unwrap();
    servers
        .map(id, DOM0, IO_RANGE_MEMORY, (u64::MAX - 7, u64::MAX), false)
        .unwrap();
    let read = |addr, size| Request::read(Kind::Memory, addr, size);
    assert_eq!(chosen(&servers, &read(0x1ff8, 8)), Some(id));
    assert_eq!(chosen(&servers, &read(0x1ff9, 8)), None);
    assert_eq!(chosen(&servers, &read(0xfff, 2)), None);
    assert_eq!(chosen(&servers, &read(u64::MAX - 7, 8)), Some(id));
    assert_eq!(chosen(&servers, &read(u64::MAX - 3, 8)), None);
    assert_eq!(chosen(&servers, &read(0x1000, 0)), None);
}

#[test]
fn a_function_of_pci_is_chosen_by_its_address_and_register() {
    let mut servers = Servers::new();
    let (id, _) = server(&mut servers, 0, Buffering::Off);
    // Bus 0, device 3, function 1.
    servers
        .map(id, DOM0, IO_RANGE_PCI, (0x19, 0x19), false)
        .unwrap();
    let read = Request::read(Kind::Port, 0xcfd, 1);
    assert_eq!(chosen(&servers, &read), None, "no address was given");
    servers.set_pci_address(0x8000_1944);
    let Chosen::Server(target) = servers.select(&read) else {
        panic!("not chosen");
    };
    assert_eq!((target.id, target.request.kind), (id, Kind::PciConfig));
    assert_eq!(target.request.addr, 0x19 << 32 | 0x45);
    assert_eq!(target.request.size, 1);
    servers.set_pci_address(0x0000_1944);
    assert_eq!(chosen(&servers, &read), None, "the enable bit is off");
    servers.set_pci_address(0x8000_1a44);
    assert_eq!(chosen(&servers, &read), None, "another function");
    servers
        .map(id, DOM0, IO_RANGE_PORT, (0xcf8, 0xcff), false)
        .unwrap();
    assert_eq!(
        chosen(&servers, &read),
        None,
        "configuration data is no port"
    );
    servers.set_pci_address(0);
    assert_eq!(chosen(&servers, &read), Some(id));
}

/// XSA-238, and what Xen answers to ranges.
#[test]
fn io_3_ranges_are_checked_in_the_order_of_xen() {
    let mut servers = Servers::new();
    let id = bare(&mut servers, DOM0, 0, Buffering::Off);
    let mut map = |id, type_, range| servers.map(id, DOM0, type_, range, false);
    assert_eq!(map(9, 77, (2, 1)), Err(EINVAL), "the range first");
    assert_eq!(map(9, 77, (1, 2)), Err(ENOENT), "then the server");
    assert_eq!(map(id, 77, (1, 2)), Err(EINVAL), "then the type");
    assert_eq!(map(id, IO_RANGE_PORT, (1, 2)), Ok(()));
    assert_eq!(map(id, IO_RANGE_PORT, (2, 3)), Err(EEXIST));
    assert_eq!(servers.unmap(id, DOM0, IO_RANGE_PORT, (1, 3)), Err(ENOENT));
    assert_eq!(
        servers.unmap(id, DOM0, IO_RANGE_MEMORY, (1, 2)),
        Err(ENOENT)
    );
    assert_eq!(servers.unmap(id, DOM0, IO_RANGE_PORT, (2, 1)), Err(EINVAL));
    assert_eq!(servers.unmap(id, DOM0, IO_RANGE_PORT, (1, 2)), Ok(()));
}

#[test]
fn i_1_frame_0_is_of_buffered_requests_and_frame_1_of_synchronous_ones() {
    let mut servers = Servers::new();
    let id = bare(&mut servers, DOM0, 0, Buffering::Atomic);
    let server = servers.get(id, DOM0).unwrap();
    assert_eq!(
        server.frames_needed(),
        Ok(2),
        "I-2: there is none before it is asked for"
    );
    frames(server);
    assert_eq!(server.frames_needed(), Ok(0));
    let mfn = |server: &super::super::Server, index| server.frame(index).map(|p| p.mfn());
    assert_ne!(mfn(server, 0), mfn(server, 1));
    for index in [2, 3, 1 << 32, u64::MAX] {
        assert_eq!(mfn(server, index), Err(EINVAL));
    }
    let id = bare(&mut servers, DOM0, 0, Buffering::Off);
    let server = servers.get(id, DOM0).unwrap();
    assert_eq!(server.frames_needed(), Ok(1));
    frames(server);
    assert_eq!(mfn(server, 0), Err(ENOENT));
    assert!(mfn(server, 1).is_ok());
}

#[test]
fn frames_and_pages_of_the_guest_exclude_each_other() {
    let mut servers = Servers::new();
    let id = bare(&mut servers, DOM0, 0, Buffering::Legacy);
    let server = servers.get(id, DOM0).unwrap();
    assert_eq!(server.gfns_needed(), Ok(Some(true)));
    frames(server);
    assert_eq!(server.gfns_needed(), Err(EPERM));
    let id = bare(&mut servers, DOM0, 0, Buffering::Legacy);
    let server = servers.get(id, DOM0).unwrap();
    server.give_gfns(GfnPages {
        sync: (5, SharedPage::zeroed().unwrap()),
        buffered: Some((6, SharedPage::zeroed().unwrap())),
    });
    assert_eq!(server.gfns(), Some((5, Some(6))));
    assert_eq!(server.gfns_needed(), Ok(None));
    assert_eq!(server.frames_needed(), Err(EPERM));
    assert_eq!(server.frame(1).err(), Some(EPERM));
}

#[test]
fn one_server_has_the_frames_of_a_type() {
    let mut servers = Servers::new();
    let a = bare(&mut servers, DOM0, 0, Buffering::Off);
    let b = bare(&mut servers, DOM0, 0, Buffering::Off);
    assert_eq!(servers.set_memory_type(a, DOM0, false), Err(EINVAL));
    assert_eq!(servers.set_memory_type(a, DOM0, true), Ok(()));
    assert_eq!(servers.set_memory_type(a, DOM0, true), Err(EBUSY));
    assert_eq!(servers.set_memory_type(b, DOM0, true), Err(EBUSY));
    assert_eq!(servers.set_memory_type(b, DOM0, false), Err(EINVAL));
    assert_eq!(servers.memory_server(), Some(a));
    servers.remove(a, DOM0).unwrap();
    assert_eq!(servers.memory_server(), None);
    assert_eq!(bare(&mut servers, DOM0, 0, Buffering::Off), a);
    assert_eq!(
        servers.memory_server(),
        None,
        "another server of that number"
    );
    assert_eq!(servers.set_memory_type(b, DOM0, true), Ok(()));
}
