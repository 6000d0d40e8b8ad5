// SPDX-License-Identifier: GPL-2.0-only

//! The builder against the stand-in hypervisor: the order and the arguments of what it asks for.

use zerocopy::FromBytes;

use super::*;
use crate::abi::hvm::save::{
    self,
    HwCpu, //
};
use crate::domain::context::testing::records;
use crate::domain::layout::HOLE_START;
use crate::kernel::Segment;
use crate::xen::mock::Mock;

/// A kernel of two segments, the second with 0x3000 bytes that are not in the file.
fn kernel() -> Image {
    let bytes: Vec<u8> = (0..0x2345_u32).map(|at| at as u8 | 1).collect();
    Image {
        bytes,
        segments: vec![
            Segment {
                paddr: 0x10_0000,
                file: 0..0x1800,
                memsz: 0x1800,
            },
            Segment {
                paddr: 0x10_2010,
                file: 0x1800..0x2345,
                memsz: 0x3000 + 0xb45,
            },
        ],
        entry: 0x10_0123,
        form: "test".into(),
    }
}

fn config(vcpus: u32, memory_mib: u64) -> Config {
    Config {
        name: "web".into(),
        uuid: Uuid::from_bytes([0x42; 16]),
        vcpus,
        memory_mib,
        cmdline: "console=hvc0".into(),
        kernel: kernel(),
        initrd: Some(vec![0x77; 5000]),
    }
}

fn run<'a>(hv: &'a Mock, config: &Config) -> Result<Domain<'a>> {
    build(hv, config, &|| Ok(()))
}

fn build<'a>(hv: &'a Mock, config: &Config, stop: &dyn Fn() -> Result) -> Result<Domain<'a>> {
    let mut steps = Steps::new(stop);
    let plan = Plan::new(config)?;
    let mut domain = Domain::create(hv, config, &mut steps)?;
    domain.fill(config, &plan, &mut steps)?;
    Ok(domain)
}

/// What `xl create -p` asks for the same guest, as recorded, without its housekeeping: NUMA,
/// scheduler, CPU policy, claims, xenstore. Ours differs in the size of a portion of memory, in the
/// memory map (one ACPI region instead of three) and in which pages are mapped at a time.
#[test]
fn asks_for_the_same_as_xl_in_the_same_order() {
    let hv = Mock::new();
    run(&hv, &config(2, 256)).unwrap().release();
    let log = hv.log.borrow();
    let expected = "\
domctl.createdomain d0 ssid 0 flags 0x3 iommu 0 maxv 2 evt 1023 gnt -1 maptr -1 gopt 0x1 altp2m 0 \
vmtrace 0 pool 0 emu 0x1 misc 0
domctl.max_vcpus d8 max 2
domctl.max_mem d8 kb 263168
event_channel_op.alloc_unbound dom 8 remote 0 -> 1
event_channel_op.alloc_unbound dom 8 remote 0 -> 2
hvm_op.set_param d8 TIMER_MODE value 0x1
domctl.settscinfo d8 mode 0 ns 0 khz 0 inc 0
domctl.set_paging_mempool_size d8 size 0x300000
memory_op.populate_physmap d8 nr 128 order 9 memflags 0 first 0x0
memory_op.set_memory_map d8 n 3: [0+10000000 t1] [fc000000+1000 t3] [feff8000+8000 t2]
map d8 num 2 first 0x100
map d8 num 4 first 0x102
map d8 num 2 first 0x107
memory_op.populate_physmap d8 nr 1 order 0 memflags 0 first 0xfc000
map d8 num 1 first 0xfc000
map d8 num 1 first 0x106
memory_op.populate_physmap d8 nr 8 order 0 memflags 0 first 0xfeff8
map d8 num 8 first 0xfeff8
hvm_op.set_param d8 BUFIOREQ_PFN value 0xfeffb
hvm_op.set_param d8 IOREQ_PFN value 0xfeffd
hvm_op.set_param d8 CONSOLE_PFN value 0xfefff
hvm_op.set_param d8 PAGING_RING_PFN value 0xfeff8
hvm_op.set_param d8 MONITOR_RING_PFN value 0xfeff9
hvm_op.set_param d8 SHARING_RING_PFN value 0xfeffa
map d8 num 1 first 0xfeffe
hvm_op.set_param d8 IDENT_PT value 0xfeffe000
hvm_op.set_param d8 CONSOLE_EVTCHN value 0x2
domctl.gethvmcontext d8 size
domctl.gethvmcontext d8 whole
domctl.sethvmcontext d8 records: 1/0(len 24) 14/0(len 240) 0/0(len 0)
domctl.sethvmcontext d8 records: 1/0(len 24) 14/1(len 240) 0/0(len 0)
domctl.sethvmcontext d8 records: 1/0(len 24) 2/0(len 1032) 0/0(len 0)";
    assert_eq!(log.join("\n"), expected);
}

#[test]
fn guest_memory_holds_what_the_guest_was_promised() {
    let hv = Mock::new();
    // The memory that a guest gets is not promised to be clear.
    hv.set_memory(0x10_0000, &[0xee; 0x1_0000]);
    hv.set_memory(0xfc00_0000, &[0xee; 0x1000]);
    hv.set_memory(0xfeff_8000, &[0xee; 0x8000]);
    let config = config(3, 64);
    let domain = run(&hv, &config).unwrap();
    assert_eq!(domain.console_port, 2);
    domain.release();

    let kernel = &config.kernel;
    assert_eq!(hv.memory(0x10_0000, 0x1800), kernel.bytes[..0x1800]);
    assert_eq!(hv.memory(0x10_2010, 0xb45), kernel.bytes[0x1800..]);
    assert!(hv
        .memory(0x10_2010 + 0xb45, 0x3000)
        .iter()
        .all(|byte| *byte == 0));
    assert_eq!(hv.memory(0xfefff << 12, 4096), [0; 4096]);

    let contexts = hv.contexts.borrow();
    let boot = records(contexts.last().unwrap());
    let (save::CPU, 0, cpu) = &boot[1] else {
        panic!("{boot:?}")
    };
    let cpu = HwCpu::read_from_bytes(cpu).unwrap();
    assert_eq!(cpu.rip, 0x10_0123);
    let word = |at: u64| u64::from_le_bytes(hv.memory(at, 8).try_into().unwrap());
    assert_eq!(word(cpu.rbx) as u32, 0x336e_c578);
    let (modlist, cmdline, rsdp) = (word(cpu.rbx + 16), word(cpu.rbx + 24), word(cpu.rbx + 32));
    assert_eq!(hv.memory(word(modlist), 5000), vec![0x77; 5000]);
    assert_eq!(word(modlist + 8), 5000);
    assert_eq!(hv.memory(cmdline, 13), b"console=hvc0\0");
    assert_eq!(hv.memory(rsdp, 8), b"RSD PTR ");
    // TB-1: behind the tables, the page is clear.
    let tables = acpi::build(ACPI_BASE, 3).bytes.len();
    assert_eq!(
        hv.memory(ACPI_BASE, tables),
        acpi::build(ACPI_BASE, 3).bytes
    );
    let rest = hv.memory(ACPI_BASE + tables as u64, 4096 - tables);
    assert!(rest.iter().all(|byte| *byte == 0));
    // The identity page table maps its own address.
    let entry = hv.memory((0xfeffe << 12) + 0x3fb * 4, 4);
    assert_eq!(u32::from_le_bytes(entry.try_into().unwrap()), 0xfec0_00e7);
}

#[test]
fn falls_back_to_single_pages_and_populates_each_once() {
    let hv = Mock::new();
    hv.large_left.set(3);
    run(&hv, &config(1, 17)).unwrap().release();
    let populated = hv.populated.borrow();
    let ram = populated.range(..HOLE_START / PAGE).count();
    assert_eq!(ram, 17 * 256);
    assert!((0..17 * 256).all(|gfn| populated.contains(&gfn)));
}

#[test]
fn a_large_guest_gets_its_memory_around_the_hole() {
    let hv = Mock::new();
    run(&hv, &config(1, 5000)).unwrap().release();
    let populated = hv.populated.borrow();
    let below = populated.range(..HOLE_START / PAGE).count();
    let above = populated.range((1_u64 << 32) / PAGE..).count();
    assert_eq!((below + above) as u64, 5000 * 256);
    assert_eq!(below as u64, HOLE_START / PAGE);
}

#[test]
fn out_of_memory_names_domain_step_and_way_out() {
    let hv = Mock::new();
    hv.large_left.set(2);
    hv.small_left.set(100);
    let err = run(&hv, &config(1, 64)).map(|_| ()).unwrap_err();
    assert_eq!(
        err.to_string(),
        "domain 8 (web): step 'populate 64 MiB': Cannot allocate memory (ENOMEM) \
         — use a smaller --memory, or free memory on the host"
    );
    assert!(hv.domains.borrow().is_empty(), "the domain was left behind");
}

/// Whatever fails, the domain does not stay, and the message names the step.
#[test]
fn every_failing_call_takes_the_domain_down() {
    let hv = Mock::new();
    run(&hv, &config(2, 16)).unwrap().release();
    let mut names: Vec<String> = hv
        .log
        .borrow()
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_string())
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let hv = Mock::new();
        *hv.fail.borrow_mut() = Some((name.clone(), Errno::EIO));
        let err = run(&hv, &config(2, 16))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            err.contains("step '") && err.contains("(EIO)"),
            "{name}: {err}"
        );
        assert!(
            hv.domains.borrow().is_empty(),
            "{name} left the domain behind"
        );
        let destroyed = hv
            .log
            .borrow()
            .iter()
            .any(|line| line == "domctl.destroydomain d8");
        assert_eq!(destroyed, name != "domctl.createdomain", "{name}");
        if name != "domctl.createdomain" {
            assert!(err.starts_with("domain 8 (web): "), "{name}: {err}");
        }
    }
}

#[test]
fn a_signal_stops_the_work_at_each_step() {
    for after in 0..20 {
        let hv = Mock::new();
        let calls = std::cell::Cell::new(0);
        let stop = || {
            calls.set(calls.get() + 1);
            if calls.get() > after {
                Err(Error::text("interrupted"))
            } else {
                Ok(())
            }
        };
        let result = build(&hv, &config(1, 16), &stop);
        if let Ok(domain) = result {
            domain.release();
            assert_eq!(hv.domains.borrow().len(), 1);
        } else {
            assert!(hv.domains.borrow().is_empty());
        }
    }
}
