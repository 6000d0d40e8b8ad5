// SPDX-License-Identifier: GPL-2.0-only

//! A hypervisor for tests: takes hypercalls apart as the real one does, writes down what it was
//! asked in the form of the recorded traces of xl, and keeps guest memory in a sparse file.

use std::cell::{
    Cell,
    RefCell, //
};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use uuid::Uuid;
use zerocopy::{
    FromBytes,
    FromZeros,
    IntoBytes, //
};

use super::mapping::{
    Access,
    Mapping, //
};
use super::{
    CallResult,
    Hypervisor, //
};
use crate::abi::domctl::context::HvmContext;
use crate::abi::domctl::domain::{
    CreateDomain,
    GetDomainInfo,
    MaxMem,
    MaxVcpus,
    TscInfo, //
};
use crate::abi::domctl::paging::PagingMempool;
use crate::abi::domctl::sched::GetVcpuInfo;
use crate::abi::domctl::{
    self,
    XenDomctl, //
};
use crate::abi::event_channel::{
    self,
    AllocUnbound, //
};
use crate::abi::hvm::{
    self,
    params,
    HvmParam, //
};
use crate::abi::memory::e820::E820Entry;
use crate::abi::memory::{
    self,
    ForeignMemoryMap,
    MemoryReservation, //
};
use crate::abi::sched::{
    self,
    RemoteShutdown, //
};
use crate::abi::sysctl::{
    self,
    GetDomainInfoList,
    XenSysctl, //
};
use crate::abi::xen;
use crate::domain::context::testing;
use crate::domain::layout::PAGE;
use crate::error::{
    Error,
    Result, //
};

/// The number of the first domain that is created.
const FIRST_DOMAIN: u16 = 8;

/// The stand-in.
pub(crate) struct Mock {
    /// What was asked, one line each.
    pub(crate) log: RefCell<Vec<String>>,
    /// The domains.
    pub(crate) domains: RefCell<Vec<GetDomainInfo>>,
    /// Every call of this name (as in the log) fails with this number.
    pub(crate) fail: RefCell<Option<(String, Errno)>>,
    /// How many large extents can still be had.
    pub(crate) large_left: Cell<u64>,
    /// How many single pages can still be had.
    pub(crate) small_left: Cell<u64>,
    /// The saved states that were loaded.
    pub(crate) contexts: RefCell<Vec<Vec<u8>>>,
    /// Guest frames that have memory.
    pub(crate) populated: RefCell<BTreeSet<u64>>,
    ports: Cell<u32>,
    memory: File,
}

/// Reads a `T` at an address that a caller gave.
fn read<T: FromBytes>(address: u64) -> T {
    let mut bytes = vec![0; size_of::<T>()];
    // SAFETY: the callers are this program's own hypercall functions, whose addresses are valid.
    unsafe {
        std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len());
    }
    T::read_from_bytes(&bytes).unwrap()
}

/// Reads `count` elements at an address that a caller gave.
fn read_many<T: FromBytes>(address: u64, count: usize) -> Vec<T> {
    (0..count)
        .map(|index| read(address + (index * size_of::<T>()) as u64))
        .collect()
}

/// Writes a `T` to an address that a caller gave.
fn write<T: IntoBytes + zerocopy::Immutable + ?Sized>(address: u64, value: &T) {
    let bytes = value.as_bytes();
    // SAFETY: as for `read`; the addresses are of memory that the callers expect to change.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len());
    }
}

impl Mock {
    /// Makes one with plenty of memory and no domain.
    pub(crate) fn new() -> Self {
        let memory = tempfile::tempfile().unwrap();
        // As long as 40 address bits reach; nothing is allocated before it is written.
        memory.set_len(1 << 40).unwrap();
        Self {
            log: RefCell::default(),
            domains: RefCell::default(),
            fail: RefCell::default(),
            large_left: Cell::new(u64::MAX),
            small_left: Cell::new(u64::MAX),
            contexts: RefCell::default(),
            populated: RefCell::default(),
            ports: Cell::new(0),
            memory,
        }
    }

    /// Adds a domain that exists already, and returns its number.
    pub(crate) fn add_domain(&self, uuid: Uuid) -> u16 {
        let mut info = GetDomainInfo::new_zeroed();
        info.domain = FIRST_DOMAIN + self.domains.borrow().len() as u16;
        info.handle = uuid.into_bytes();
        self.domains.borrow_mut().push(info);
        info.domain
    }

    /// Reads guest memory.
    pub(crate) fn memory(&self, gpa: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory.read_exact_at(&mut bytes, gpa).unwrap();
        bytes
    }

    /// Writes guest memory.
    pub(crate) fn set_memory(&self, gpa: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, gpa).unwrap();
    }

    /// Writes a line into the log, or fails as a test has ordered.
    fn note(&self, name: &str, text: impl AsRef<str>) -> CallResult<()> {
        self.log
            .borrow_mut()
            .push(format!("{name} {}", text.as_ref()).trim_end().into());
        match &*self.fail.borrow() {
            Some((failing, errno)) if failing == name => Err(*errno),
            _ => Ok(()),
        }
    }

    /// Finds a domain.
    fn find(&self, domid: u16) -> CallResult<GetDomainInfo> {
        let domains = self.domains.borrow();
        domains
            .iter()
            .find(|info| info.domain == domid)
            .copied()
            .ok_or(Errno::ESRCH)
    }

    fn domctl(&self, address: u64) -> CallResult {
        let mut op: XenDomctl = read(address);
        assert_eq!(op.interface_version, 0x17);
        let name = format!("domctl.{}", domctl::name(op.cmd));
        let d = format!("d{}", op.domain);
        if op.cmd != domctl::CREATEDOMAIN {
            self.find(op.domain)?;
        }
        match op.cmd {
            domctl::CREATEDOMAIN => {
                let (create, _) = CreateDomain::read_from_prefix(&op.u).unwrap();
                self.note(
                    &name,
                    format!(
                        "d{} ssid {} flags {:#x} iommu {} maxv {} evt {} gnt {} maptr {} gopt \
                         {:#x} altp2m {} vmtrace {} pool {} emu {:#x} misc {}",
                        op.domain,
                        create.ssidref,
                        create.flags,
                        create.iommu_opts,
                        create.max_vcpus,
                        create.max_evtchn_port,
                        create.max_grant_frames,
                        create.max_maptrack_frames,
                        create.grant_opts,
                        create.altp2m_opts,
                        create.vmtrace_size,
                        create.cpupool_id,
                        create.arch.emulation_flags,
                        create.arch.misc_flags
                    ),
                )?;
                op.domain = self.add_domain(Uuid::from_bytes(create.handle));
            }
            domctl::DESTROYDOMAIN => {
                self.note(&name, d)?;
                self.domains
                    .borrow_mut()
                    .retain(|info| info.domain != op.domain);
            }
            domctl::PAUSEDOMAIN | domctl::UNPAUSEDOMAIN => self.note(&name, d)?,
            domctl::GETDOMAININFO => {
                let info = self.find(op.domain)?;
                info.write_to_prefix(&mut op.u).unwrap();
            }
            domctl::GETVCPUINFO => {
                let (mut info, _) = GetVcpuInfo::read_from_prefix(&op.u).unwrap();
                info.online = 1;
                info.write_to_prefix(&mut op.u).unwrap();
            }
            domctl::MAX_VCPUS => {
                let (max, _) = MaxVcpus::read_from_prefix(&op.u).unwrap();
                self.note(&name, format!("{d} max {}", max.max))?;
            }
            domctl::MAX_MEM => {
                let (max, _) = MaxMem::read_from_prefix(&op.u).unwrap();
                self.note(&name, format!("{d} kb {}", max.max_memkb))?;
            }
            domctl::SETTSCINFO => {
                let (info, _) = TscInfo::read_from_prefix(&op.u).unwrap();
                assert!(info.as_bytes().iter().all(|byte| *byte == 0));
                self.note(&name, format!("{d} mode 0 ns 0 khz 0 inc 0"))?;
            }
            domctl::SET_PAGING_MEMPOOL_SIZE => {
                let (pool, _) = PagingMempool::read_from_prefix(&op.u).unwrap();
                self.note(&name, format!("{d} size {:#x}", pool.size))?;
            }
            domctl::GETHVMCONTEXT => {
                let (mut context, _) = HvmContext::read_from_prefix(&op.u).unwrap();
                let state = testing::fresh(4);
                let kind = if context.buffer == 0 { "size" } else { "whole" };
                self.note(&name, format!("{d} {kind}"))?;
                if context.buffer != 0 {
                    assert!(context.size as usize >= state.len());
                    write(context.buffer, state.as_slice());
                }
                context.size = state.len() as u32;
                context.write_to_prefix(&mut op.u).unwrap();
            }
            domctl::SETHVMCONTEXT => {
                let (context, _) = HvmContext::read_from_prefix(&op.u).unwrap();
                let state = read_many::<u8>(context.buffer, context.size as usize);
                let records = testing::records(&state);
                let text: Vec<_> = records
                    .iter()
                    .map(|(code, instance, payload)| {
                        format!("{code}/{instance}(len {})", payload.len())
                    })
                    .collect();
                self.note(&name, format!("{d} records: {} 0/0(len 0)", text.join(" ")))?;
                self.contexts.borrow_mut().push(state);
            }
            cmd => panic!("domctl {cmd}"),
        }
        write(address, &op);
        Ok(0)
    }

    fn sysctl(&self, address: u64) -> CallResult {
        let mut op: XenSysctl = read(address);
        assert_eq!(op.interface_version, 0x15);
        match op.cmd {
            sysctl::GETDOMAININFOLIST => {
                let (mut list, _) = GetDomainInfoList::read_from_prefix(&op.u).unwrap();
                let domains = self.domains.borrow();
                let wanted: Vec<_> = domains
                    .iter()
                    .filter(|info| info.domain >= list.first_domain)
                    .take(list.max_domains as usize)
                    .copied()
                    .collect();
                write(list.buffer, wanted.as_slice());
                list.num_domains = wanted.len() as u32;
                list.write_to_prefix(&mut op.u).unwrap();
            }
            cmd => panic!("sysctl {cmd}"),
        }
        write(address, &op);
        Ok(0)
    }

    fn memory_op(&self, cmd: u32, address: u64) -> CallResult {
        let name = format!("memory_op.{}", memory::name(cmd));
        match cmd {
            memory::POPULATE_PHYSMAP => {
                let arg: MemoryReservation = read(address);
                let gfns = read_many::<u64>(arg.extent_start, arg.nr_extents as usize);
                self.note(
                    &name,
                    format!(
                        "d{} nr {} order {} memflags {} first {:#x}",
                        arg.domid, arg.nr_extents, arg.extent_order, arg.mem_flags, gfns[0]
                    ),
                )?;
                let left = if arg.extent_order == 0 {
                    &self.small_left
                } else {
                    &self.large_left
                };
                let mut done = 0;
                for gfn in gfns {
                    if left.get() == 0 {
                        break;
                    }
                    left.set(left.get() - 1);
                    for page in 0..1 << arg.extent_order {
                        let fresh = self.populated.borrow_mut().insert(gfn + page);
                        assert!(fresh, "guest frame {:#x} populated twice", gfn + page);
                    }
                    done += 1;
                }
                Ok(done)
            }
            memory::SET_MEMORY_MAP => {
                let arg: ForeignMemoryMap = read(address);
                let map = read_many::<E820Entry>(arg.map.buffer, arg.map.nr_entries as usize);
                let text: Vec<_> = map
                    .iter()
                    .map(|entry| {
                        let (addr, size) = (entry.addr.get(), entry.size.get());
                        format!("[{addr:x}+{size:x} t{}]", entry.type_)
                    })
                    .collect();
                self.note(
                    &name,
                    format!("d{} n {}: {}", arg.domid, map.len(), text.join(" ")),
                )?;
                Ok(0)
            }
            cmd => panic!("memory_op {cmd}"),
        }
    }
}

impl Hypervisor for Mock {
    unsafe fn hypercall(&self, op: u32, args: [u64; 5]) -> CallResult {
        let [cmd, address, ..] = args;
        let cmd32 = u32::try_from(cmd);
        match op {
            xen::DOMCTL => self.domctl(cmd),
            xen::SYSCTL => self.sysctl(cmd),
            xen::MEMORY_OP => self.memory_op(cmd32.unwrap(), address),
            xen::EVENT_CHANNEL_OP => {
                assert_eq!(cmd32, Ok(event_channel::ALLOC_UNBOUND));
                let mut arg: AllocUnbound = read(address);
                self.ports.set(self.ports.get() + 1);
                arg.port = self.ports.get();
                self.note(
                    "event_channel_op.alloc_unbound",
                    format!("dom {} remote {} -> {}", arg.dom, arg.remote_dom, arg.port),
                )?;
                write(address, &arg);
                Ok(0)
            }
            xen::HVM_OP => {
                assert_eq!(cmd32, Ok(hvm::SET_PARAM));
                let arg: HvmParam = read(address);
                self.note(
                    "hvm_op.set_param",
                    format!(
                        "d{} {} value {:#x}",
                        arg.domid,
                        params::name(arg.index),
                        arg.value
                    ),
                )?;
                Ok(0)
            }
            xen::SCHED_OP => {
                assert_eq!(cmd32, Ok(sched::REMOTE_SHUTDOWN));
                let arg: RemoteShutdown = read(address);
                self.note(
                    "sched_op.remote_shutdown",
                    format!("d{} {}", arg.domain_id, arg.reason),
                )?;
                Ok(0)
            }
            op => panic!("hypercall {op}"),
        }
    }

    fn map_foreign(&self, domid: u16, gfns: &[u64], access: Access) -> Result<Mapping> {
        self.note(
            "map",
            format!("d{domid} num {} first {:#x}", gfns.len(), gfns[0]),
        )?;
        for (index, gfn) in gfns.iter().enumerate() {
            // The file shows consecutive frames only; nothing in this program asks for others.
            assert_eq!(*gfn, gfns[0] + index as u64);
            if !self.populated.borrow().contains(gfn) {
                return Err(Error::from(Errno::ENOENT).step(format!("map guest frame {gfn:#x}")));
            }
        }
        let offset = i64::try_from(gfns[0] * PAGE).unwrap();
        Ok(Mapping::new(
            &self.memory,
            offset,
            gfns.len() * PAGE as usize,
            access,
        )?)
    }
}
