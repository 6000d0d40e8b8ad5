// SPDX-License-Identifier: GPL-2.0-only

//! Random operations of tools, models and vCPUs, some of them hostile.

use proptest::prelude::*;

use super::super::{
    Buffering,
    Kind,
    Progress,
    Request,
    Servers,
    Transfer, //
};
use super::world::{
    answer,
    begin,
    server,
    DOM0,
    VCPUS, //
};
use crate::abi::dm_op::IO_RANGE_PORT;
use crate::sys::atomic::Ordering;
use crate::sys::page::SharedPage;

#[derive(Clone, Debug)]
enum Op {
    Create {
        owner: u64,
    },
    Map {
        id: u16,
        port: u64,
    },
    Unmap {
        id: u16,
        port: u64,
    },
    Enable {
        id: u16,
        on: bool,
    },
    Destroy {
        id: u16,
    },
    Abandon {
        owner: u64,
    },
    Access {
        vcpu: u32,
        port: u64,
        write: bool,
    },
    Message {
        vcpu: u32,
    },
    Serve {
        page: usize,
        vcpu: u32,
        all: bool,
    },
    Scribble {
        page: usize,
        word: usize,
        value: u64,
    },
    Poll {
        vcpu: u32,
    },
    Recheck {
        vcpu: u32,
    },
}

fn scribble() -> impl Strategy<Value = Op> {
    (0usize..12, 0usize..20, any::<u64>()).prop_map(|(page, word, value)| Op::Scribble {
        page,
        word,
        value,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0u16..9;
    let vcpu = 0..VCPUS;
    let port = 0u64..6;
    let page = 0usize..12;
    prop_oneof![
        2 => (1u64..4).prop_map(|owner| Op::Create { owner }),
        4 => (id.clone(), port.clone()).prop_map(|(id, port)| Op::Map { id, port }),
        1 => (id.clone(), port.clone()).prop_map(|(id, port)| Op::Unmap { id, port }),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, on)| Op::Enable { id, on }),
        1 => id.prop_map(|id| Op::Destroy { id }),
        1 => (1u64..4).prop_map(|owner| Op::Abandon { owner }),
        8 => (vcpu.clone(), port, any::<bool>())
            .prop_map(|(vcpu, port, write)| Op::Access { vcpu, port, write }),
        1 => vcpu.clone().prop_map(|vcpu| Op::Message { vcpu }),
        8 => (page.clone(), vcpu.clone(), any::<bool>())
            .prop_map(|(page, vcpu, all)| Op::Serve { page, vcpu, all }),
        4 => vcpu.clone().prop_map(|vcpu| Op::Poll { vcpu }),
        4 => vcpu.prop_map(|vcpu| Op::Recheck { vcpu }),
    ]
}

/// Runs the operations. Every vCPU must come to an end when all servers have gone; without hostile models none may be
/// found out as one.
fn run(ops: Vec<Op>, hostile: bool) {
    let mut servers = Servers::new();
    let mut pages: Vec<SharedPage> = vec![];
    let mut vcpus: Vec<Transfer> = (0..VCPUS).map(|_| Transfer::new()).collect();
    let mut violated = false;

    for op in ops {
        match op {
            Op::Create { owner } => {
                if servers.get(7, DOM0).is_err() && pages.len() < 12 {
                    let (_, page) = server(&mut servers, owner, Buffering::Atomic);
                    pages.push(page);
                }
            }
            Op::Map { id, port } => {
                let _ = servers.map(id, DOM0, IO_RANGE_PORT, (port, port), port == 3);
            }
            Op::Unmap { id, port } => {
                let _ = servers.unmap(id, DOM0, IO_RANGE_PORT, (port, port));
            }
            Op::Enable { id, on } => {
                if let Ok(server) = servers.get(id, DOM0) {
                    server.set_enabled(on);
                }
            }
            Op::Destroy { id } => drop(servers.remove(id, DOM0)),
            Op::Abandon { owner } => {
                while servers.abandon(|server| server.owner() == owner).is_some() {}
            }
            Op::Access { vcpu, port, write } => {
                let io = &mut vcpus[vcpu as usize];
                if !io.is_idle() {
                    continue;
                }
                let request = if write {
                    Request::write(Kind::Port, port, 1, 0x77)
                } else {
                    Request::read(Kind::Port, port, 1)
                };
                io.rewind();
                if io.replay(&request).is_none() {
                    match io.access(&mut servers, vcpu, &request, false) {
                        Ok(Progress::Waits(_)) => continue,
                        Ok(_) => {}
                        Err(_) => violated = true,
                    }
                }
                io.commit();
            }
            Op::Message { vcpu } => {
                let io = &mut vcpus[vcpu as usize];
                if io.is_idle() {
                    io.commit();
                    let message = Request::invalidate();
                    violated |= io.message(&servers, vcpu, &message).is_err();
                }
            }
            Op::Serve { page, vcpu, all } => {
                if let Some(page) = pages.get(page) {
                    if begin(page, vcpu).is_some() && all {
                        answer(page, vcpu, 0x5a);
                    } else if super::world::state(page, vcpu) == 2 {
                        answer(page, vcpu, 0xa5);
                    }
                }
            }
            Op::Scribble { page, word, value } => {
                if let Some(page) = pages.get(page) {
                    page.word64(word * 8)
                        .unwrap()
                        .store(value, Ordering::SeqCst);
                }
            }
            Op::Poll { vcpu } => violated |= vcpus[vcpu as usize].poll(vcpu).is_err(),
            Op::Recheck { vcpu } => {
                violated |= vcpus[vcpu as usize].recheck(&mut servers, vcpu).is_err();
            }
        }
    }
    assert!(
        hostile || !violated,
        "a model that keeps the rules was found out"
    );
    while servers.drain().is_some() {}
    drop(servers.release_held());
    for (vcpu, io) in (0..).zip(&mut vcpus) {
        let _ = io.poll(vcpu);
        let _ = io.recheck(&mut servers, vcpu);
        assert!(io.is_idle(), "vCPU {vcpu} waits for nobody");
    }
}

proptest! {
    #[test]
    fn nobody_waits_for_ever(ops in proptest::collection::vec(op(), 1..200)) {
        run(ops, false);
    }

    /// I-4: no model, whatever it writes, makes us do more than find it out.
    #[test]
    fn hostile_models_harm_nobody(
        ops in proptest::collection::vec(prop_oneof![4 => op(), 1 => scribble()], 1..200),
    ) {
        run(ops, true);
    }
}
