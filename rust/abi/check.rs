// SPDX-License-Identifier: GPL-2.0-only

//! Holds every number, size and offset of this room against Xen's own headers.
//!
//! Each declaration becomes a `_Static_assert` in a C file that includes the headers; a C compiler
//! says whether they all hold. Nothing is linked or run, so that the layouts of 32-bit guests can
//! be checked without a 32-bit C library. Where the headers are not installed the tests say so and
//! do nothing.

use super::layout::Layout;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{
    Command,
    Stdio, //
};

/// Where Xen's headers are.
const HEADERS: &str = "/usr/include/xen";

/// The numbers of a file.
type Numbers = &'static [&'static [(&'static str, i128)]];

/// Xen's headers of the guest's interfaces; they need no C library.
const XEN: &[&str] = &[
    "xen/xen.h",
    "xen/version.h",
    "xen/memory.h",
    "xen/sched.h",
    "xen/vcpu.h",
    "xen/event_channel.h",
    "xen/grant_table.h",
    "xen/hvm/hvm_op.h",
    "xen/hvm/params.h",
    "xen/hvm/hvm_vcpu.h",
    "xen/hvm/save.h",
    "xen/hvm/dm_op.h",
    "xen/hvm/ioreq.h",
    "xen/arch-x86/cpuid.h",
    "xen/arch-x86/hvm/start_info.h",
    "xen/domctl.h",
    "xen/sysctl.h",
    "xen/platform.h",
    "xen/physdev.h",
    "xen/elfnote.h",
    "xen/vm_event.h",
    "xen/io/console.h",
    "xen/io/xs_wire.h",
];
/// Xen's headers of the tools' devices.
const DEVICES: &[&str] = &[
    "linux/ioctl.h",
    "xen/xen.h",
    "xen/sys/privcmd.h",
    "xen/sys/evtchn.h",
    "xen/sys/gntdev.h",
    "xen/sys/gntalloc.h",
];
/// Linux's headers of the tools' devices.
const LINUX: &[&str] = &[
    "linux/ioctl.h",
    "linux/types.h",
    "xen/xen.h",
    "xen/privcmd.h",
    "xen/evtchn.h",
];
/// Linux's header of error numbers.
const ERRNO: &[&str] = &["asm/errno.h", "xen/errno.h"];
/// The header of the tools' library.
const TOOLS: &[&str] = &["xenctrl.h"];

/// Everything of a 64-bit caller.
#[allow(clippy::type_complexity)]
const NATIVE: &[(&[&str], &[&[Layout]], &[Numbers])] = {
    use super::*;
    &[
        (
            XEN,
            &[
                dm_op::LAYOUTS,
                domctl::LAYOUTS,
                domctl::context::LAYOUTS,
                domctl::domain::LAYOUTS,
                domctl::monitor::LAYOUTS,
                domctl::paging::LAYOUTS,
                domctl::sched::LAYOUTS,
                event_channel::LAYOUTS,
                grant_table::LAYOUTS,
                hvm::LAYOUTS,
                hvm::save::LAYOUTS,
                hvm::start_info::LAYOUTS,
                hvm::vcpu::LAYOUTS,
                memory::LAYOUTS,
                physdev::LAYOUTS,
                platform::LAYOUTS,
                sched::LAYOUTS,
                sysctl::LAYOUTS,
                sysctl::livepatch::LAYOUTS,
                sysctl::perf::LAYOUTS,
                sysctl::pm::LAYOUTS,
                vcpu::LAYOUTS,
                version::LAYOUTS,
                vm_event::LAYOUTS,
                xen::LAYOUTS,
            ],
            &[
                console_io::NUMBERS,
                cpuid::NUMBERS,
                dm_op::NUMBERS,
                domctl::NUMBERS,
                domctl::context::NUMBERS,
                domctl::domain::NUMBERS,
                domctl::monitor::NUMBERS,
                domctl::paging::NUMBERS,
                domctl::sched::NUMBERS,
                elfnote::NUMBERS,
                event_channel::NUMBERS,
                grant_table::NUMBERS,
                hvm::NUMBERS,
                hvm::params::NUMBERS,
                hvm::save::NUMBERS,
                hvm::start_info::NUMBERS,
                hvm::vcpu::NUMBERS,
                memory::NUMBERS,
                physdev::NUMBERS,
                platform::NUMBERS,
                sched::NUMBERS,
                sysctl::NUMBERS,
                sysctl::livepatch::NUMBERS,
                sysctl::perf::NUMBERS,
                sysctl::pm::NUMBERS,
                vcpu::NUMBERS,
                version::NUMBERS,
                vm_event::NUMBERS,
                xen::NUMBERS,
            ],
        ),
        (
            DEVICES,
            &[privcmd::LAYOUTS, evtchn_dev::LAYOUTS, gntdev::LAYOUTS],
            &[privcmd::NUMBERS, evtchn_dev::NUMBERS, gntdev::NUMBERS],
        ),
        (ERRNO, &[], &[errno::NUMBERS]),
        (TOOLS, &[memory::e820::LAYOUTS], &[memory::e820::NUMBERS]),
    ]
};

/// What a 32-bit guest lays out differently.
const COMPAT: &[(&[Layout], Numbers)] = {
    use super::*;
    &[
        (dm_op::compat::LAYOUTS, &[]),
        (grant_table::compat::LAYOUTS, &[]),
        (memory::compat::LAYOUTS, &[]),
        (physdev::compat::LAYOUTS, &[]),
        (sched::compat::LAYOUTS, &[]),
        (vcpu::compat::LAYOUTS, vcpu::compat::NUMBERS),
        (version::compat::LAYOUTS, &[]),
        (xen::compat::LAYOUTS, xen::compat::NUMBERS),
    ]
};

/// What a guest can pass; whatever of it is not in the `compat` module must be the same in both
/// widths.
const SAME: &[(&[Layout], &[Layout])] = {
    use super::*;
    &[
        (dm_op::LAYOUTS, dm_op::compat::LAYOUTS),
        (event_channel::LAYOUTS, &[]),
        (grant_table::LAYOUTS, grant_table::compat::LAYOUTS),
        (hvm::LAYOUTS, &[]),
        (hvm::start_info::LAYOUTS, &[]),
        (hvm::vcpu::LAYOUTS, &[]),
        (memory::LAYOUTS, memory::compat::LAYOUTS),
        (physdev::LAYOUTS, physdev::compat::LAYOUTS),
        (sched::LAYOUTS, sched::compat::LAYOUTS),
        (vcpu::LAYOUTS, vcpu::compat::LAYOUTS),
        (version::LAYOUTS, version::compat::LAYOUTS),
        (xen::LAYOUTS, xen::compat::LAYOUTS),
    ]
};

/// Starts a C file that includes headers.
fn includes(headers: &[&str]) -> String {
    let mut c = String::from("#define __XEN_TOOLS__ 1\n");
    for header in ["stddef.h", "stdint.h"].iter().chain(headers) {
        writeln!(c, "#include <{header}>").unwrap();
    }
    c
}

/// Adds the assertion that an expression has a value.
fn assert_equal(c: &mut String, expression: &str, value: i128) {
    writeln!(
        c,
        "_Static_assert(({expression}) == {value}LL, \"{expression} is not {value}\");"
    )
    .unwrap();
}

/// Adds assertions about structures.
fn assert_layouts<'a>(c: &mut String, layouts: impl IntoIterator<Item = &'a Layout>) {
    for layout in layouts {
        let ty = layout.c;
        assert_equal(c, &format!("sizeof({ty})"), layout.size as i128);
        for (field, offset, size) in layout.fields {
            if field.starts_with("_pad") {
                continue;
            }
            writeln!(
                c,
                "_Static_assert(offsetof({ty}, {field}) == {offset}, \"\");"
            )
            .unwrap();
            writeln!(
                c,
                "_Static_assert(sizeof((({ty} *)0)->{field}) == {size}, \"\");"
            )
            .unwrap();
        }
    }
}

/// Adds assertions about numbers.
fn assert_numbers(c: &mut String, numbers: Numbers) {
    for (expression, value) in numbers.iter().copied().flatten() {
        assert_equal(c, expression, *value);
    }
}

/// Has a C compiler check a file; gives what it says against it.
fn compile(c: &str, width: &str) -> Result<(), String> {
    compile_with(c, width, &[])
}

/// Does as [`compile`] with further arguments.
fn compile_with(c: &str, width: &str, more: &[&str]) -> Result<(), String> {
    let mut arguments = vec![width, "-ffreestanding", "-fsyntax-only"];
    arguments.extend_from_slice(more);
    run_compiler(c, &arguments)
}

/// Runs the C compiler with arguments and a file.
fn run_compiler(c: &str, arguments: &[&str]) -> Result<(), String> {
    let mut child = Command::new("cc")
        .args(["-std=gnu11", "-w"])
        .args(arguments)
        .args(["-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cc: {error}"))?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(c.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Returns whether the headers are there, and says so if not.
fn have_headers() -> bool {
    let there = Path::new(HEADERS).join("domctl.h").exists();
    if !there {
        println!("no {HEADERS}: the ABI is not checked (install libxen-dev)");
    }
    there
}

#[test]
fn native_declarations_equal_xens() {
    if !have_headers() {
        return;
    }
    for (headers, layouts, numbers) in NATIVE {
        let mut c = includes(headers);
        for layouts in *layouts {
            assert_layouts(&mut c, *layouts);
        }
        for numbers in *numbers {
            assert_numbers(&mut c, numbers);
        }
        if let Err(error) = compile(&c, "-m64") {
            panic!("{error}");
        }
    }
}

/// Linux's header of `privcmd` includes one that is not installed, and Xen's has what was in it.
#[test]
fn native_declarations_equal_linuxs() {
    use super::*;
    if !have_headers() || !Path::new(HEADERS).join("privcmd.h").exists() {
        return;
    }
    let mut c = includes(LINUX);
    assert_layouts(&mut c, privcmd::linux::LAYOUTS);
    assert_layouts(&mut c, evtchn_dev::linux::LAYOUTS);
    assert_numbers(&mut c, privcmd::linux::NUMBERS);
    assert_numbers(&mut c, evtchn_dev::linux::NUMBERS);

    let absent = std::env::temp_dir().join(format!("oxen-abi-{}", std::process::id()));
    std::fs::create_dir_all(absent.join("xen/interface")).unwrap();
    std::fs::write(absent.join("xen/interface/xen.h"), "").unwrap();
    let verdict = compile_with(&c, "-m64", &[&format!("-I{}", absent.display())]);
    std::fs::remove_dir_all(&absent).unwrap();
    if let Err(error) = verdict {
        panic!("{error}");
    }
}

/// What is ours has a header of our own.
#[test]
fn native_declarations_equal_ours() {
    use super::*;
    let mut c = includes(&["stddef.h", "oxen/runstate.h", "oxen/monitor.h"]);
    assert_layouts(&mut c, oxen::LAYOUTS);
    assert_numbers(&mut c, oxen::NUMBERS);
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../include/uapi");
    if let Err(error) = compile_with(&c, "-m64", &["-I", ours]) {
        panic!("{error}");
    }
}

/// Error numbers are the same in Linux and Xen; a few have no name in Xen's public header.
#[test]
fn errors_equal_xens() {
    if !have_headers() {
        return;
    }
    let mut c = includes(ERRNO);
    for (name, value) in super::errno::NUMBERS.iter().copied().flatten() {
        if !matches!(*name, "EINTR" | "ENOTTY" | "ERESTART") {
            assert_equal(&mut c, &format!("XEN_{name}"), *value);
        }
    }
    if let Err(error) = compile(&c, "-m64") {
        panic!("{error}");
    }
}

#[test]
fn compat_declarations_equal_xens() {
    if !have_headers() {
        return;
    }
    let mut c = includes(XEN);
    for (layouts, numbers) in COMPAT {
        assert_layouts(&mut c, *layouts);
        assert_numbers(&mut c, numbers);
    }
    for (native, compat) in SAME {
        let differs = |layout: &&Layout| compat.iter().any(|c| c.rust == layout.rust);
        assert_layouts(&mut c, native.iter().filter(|layout| !differs(layout)));
    }
    if let Err(error) = compile(&c, "-m32") {
        panic!("{error}");
    }
}

/// What is padding here is padding in C, so that no field of Xen's is missing.
#[test]
fn padding_hides_no_field() {
    // Fields that Xen has and calls padding, under these very names.
    const NAMED: &[(&str, &str)] = &[
        ("XenDomctl", "_pad"),
        ("InitControl", "_pad"),
        ("CpuUserRegs", "_pad0"),
        ("CpuUserRegs", "_pad1"),
        ("CpuUserRegs", "_pad2"),
        ("CpuUserRegs", "_pad3"),
        ("CpuUserRegs", "_pad4"),
        ("CpuUserRegs", "_pad5"),
        ("CpuUserRegs", "_pad6"),
        ("VmEvent", "_pad"),
        ("RegsX86", "_pad"),
        ("MemAccess", "_pad"),
        ("WriteCtrlreg", "_pad"),
        ("Debug", "_pad"),
        ("Cpuid", "_pad"),
        ("InterruptX86", "_pad"),
        ("DescAccess", "_pad0"),
        ("DescAccess", "_pad1"),
    ];
    if !have_headers() {
        return;
    }
    for (headers, layouts, _) in NATIVE {
        // The compiler refuses structures that end in an array of variable length.
        let layouts: Vec<&Layout> = layouts
            .iter()
            .copied()
            .flatten()
            .filter(|layout| !matches!(layout.rust, "HvmMsr" | "Varbuf"))
            .collect();
        if layouts.is_empty() || *headers == TOOLS {
            continue;
        }
        // A program that prints, for each structure, a line with a digit per byte: 1 for padding.
        let mut c = includes(headers);
        c.push_str("#include <stdio.h>\n#include <string.h>\nint main(void) {\n");
        for layout in &layouts {
            writeln!(
                c,
                "{{ {} x; memset(&x, 255, sizeof(x)); __builtin_clear_padding(&x);
                for (size_t i = 0; i < sizeof(x); i++) putchar('0' + !((char *)&x)[i]);
                putchar('\\n'); }}",
                layout.c
            )
            .unwrap();
        }
        c.push_str("}\n");
        let program = std::env::temp_dir().join(format!("oxen-padding-{}", std::process::id()));
        let path = program.to_str().unwrap();
        run_compiler(&c, &["-m64", "-o", path]).unwrap();
        let output = Command::new(&program).output().unwrap().stdout;
        std::fs::remove_file(&program).unwrap();
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output.lines().count(), layouts.len());

        for (layout, bytes) in layouts.iter().zip(output.lines()) {
            for (field, offset, size) in layout.fields {
                let name = layout.rust;
                if !field.starts_with("_pad") || NAMED.contains(&(name, field)) {
                    continue;
                }
                assert!(
                    bytes[*offset..offset + size]
                        .bytes()
                        .all(|byte| byte == b'1'),
                    "{name}.{field} is not padding in {}",
                    layout.c
                );
            }
        }
    }
}

/// The compiler is asked about sizes, offsets and values, and objects to wrong ones.
#[test]
fn wrong_declarations_are_found() {
    if !have_headers() {
        return;
    }
    let wrong = |size, offset, field_size| Layout {
        rust: "XenDomctl",
        c: "struct xen_domctl",
        size,
        fields: match (offset, field_size) {
            (8, 2) => &[("domain", 8, 2)],
            (10, 2) => &[("domain", 10, 2)],
            _ => &[("domain", 8, 4)],
        },
    };
    let verdict = |layout: Layout| {
        let mut c = includes(XEN);
        assert_layouts(&mut c, [&layout]);
        compile(&c, "-m64")
    };
    assert_eq!(verdict(wrong(144, 8, 2)), Ok(()));
    assert!(verdict(wrong(145, 8, 2)).is_err());
    assert!(verdict(wrong(144, 10, 2)).is_err());
    assert!(verdict(wrong(144, 8, 4)).is_err());

    for (value, right) in [("0x17", true), ("0x18", false)] {
        let mut c = includes(XEN);
        writeln!(
            c,
            "_Static_assert(XEN_DOMCTL_INTERFACE_VERSION == {value}, \"\");"
        )
        .unwrap();
        assert_eq!(compile(&c, "-m64").is_ok(), right);
    }
}

/// Every operation that a header numbers has a name here.
#[test]
fn no_operation_is_missing() {
    use super::*;
    if !have_headers() {
        return;
    }
    // A header, the prefix of its operations, prefixes of other things that start like it, and what
    // names them.
    type Names = fn(u32) -> &'static str;
    let lists: &[(&str, &str, &[&str], Names)] = &[
        ("xen.h", "__HYPERVISOR_", &[], xen::name),
        ("version.h", "XENVER_", &[], version::name),
        (
            "memory.h",
            "XENMEM_",
            &[
                "access_op_",
                "paging_op_",
                "sharing_op_",
                "resource_",
                "RDM_",
                "SHARING_",
                "FORK_",
            ],
            memory::name,
        ),
        ("sched.h", "SCHEDOP_", &[], sched::name),
        ("sched.h", "SHUTDOWN_", &["MAX"], sched::shutdown_name),
        ("vcpu.h", "VCPUOP_", &[], vcpu::name),
        (
            "event_channel.h",
            "EVTCHNOP_",
            &["reset_cont"],
            event_channel::name,
        ),
        ("grant_table.h", "GNTTABOP_", &[], grant_table::name),
        // The first three of a device model were moved to `dm_op` and are hidden from callers.
        (
            "hvm/hvm_op.h",
            "HVMOP_",
            &["altp2m_", "ALTP2M_", "set_pci_", "set_isa_"],
            hvm::name,
        ),
        ("hvm/hvm_op.h", "HVMOP_altp2m_", &[], hvm::altp2m_name),
        (
            "hvm/params.h",
            "HVM_PARAM_",
            &["CALLBACK_"],
            hvm::params::name,
        ),
        (
            "domctl.h",
            "XEN_DOMCTL_",
            &[
                "INTERFACE_",
                "CDF_",
                "GRANT_",
                "ALTP2M_",
                "PFINFO_",
                "SHADOW_",
                "SCHEDOP_",
                "GSI_",
                "SENDTRIGGER_",
                "DEV_",
                "VMSI_",
                "MEM_",
                "DEBUG_",
                "VM_",
                "MONITOR_",
                "PSR_",
                "VUART_",
                "vmtrace_enable",
                "vmtrace_disable",
                "vmtrace_reset",
                "vmtrace_output",
                "vmtrace_get",
                "vmtrace_set",
                "DT_",
                "soft_reset_cont",
            ],
            domctl::name,
        ),
        (
            "domctl.h",
            "XEN_DOMCTL_MONITOR_EVENT_",
            &[],
            domctl::monitor::monitor_event_name,
        ),
        (
            "sysctl.h",
            "XEN_SYSCTL_",
            &[
                "INTERFACE_",
                "TBUFOP_",
                "PHYSCAP_",
                "PERFCOP_",
                "CPU_",
                "CPPC_",
                "LOCKPROF_",
                "CPUPOOL_",
                "SCHED",
                "CSCHED_",
                "COVERAGE_",
                "PSR_",
                "cpu_",
                "LIVEPATCH_",
                "DT_",
                "pm_op_",
                "CX_",
            ],
            sysctl::name,
        ),
        (
            "sysctl.h",
            "XEN_SYSCTL_CPUPOOL_OP_",
            &[],
            sysctl::cpupool_name,
        ),
        (
            "platform.h",
            "XENPF_",
            &["INTERFACE_", "ACPI_", "UCODE_"],
            platform::name,
        ),
        ("vm_event.h", "VM_EVENT_REASON_", &[], vm_event::reason_name),
        ("physdev.h", "PHYSDEVOP_", &["DBGP_"], physdev::name),
        (
            "hvm/dm_op.h",
            "XEN_DMOP_",
            &["IO_", "EVENT_", "MEM_"],
            dm_op::name,
        ),
        ("elfnote.h", "XEN_ELFNOTE_", &[], elfnote::name),
        (
            "features.h",
            "XENFEAT_",
            &["NR_", "grant_map_identity"],
            version::feature_name,
        ),
    ];
    for (header, prefix, others, name) in lists {
        let text = std::fs::read_to_string(Path::new(HEADERS).join(header)).unwrap();
        let mut found = 0;
        for line in text.lines() {
            let mut words = line
                .trim_start()
                .strip_prefix('#')
                .unwrap_or("")
                .split_whitespace();
            let (Some("define"), Some(symbol), Some(value)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some(symbol) = symbol.strip_prefix(prefix) else {
                continue;
            };
            if others.iter().any(|other| symbol.starts_with(other)) {
                continue;
            }
            let value = match value.strip_prefix("0x") {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => value.parse(),
            };
            let Ok(value) = value else {
                continue;
            };
            let ours = name(value);
            assert!(
                ours == symbol,
                "{header}: {prefix}{symbol} is {value}, which is {ours} here"
            );
            found += 1;
        }
        assert!(found > 0, "{header}: no {prefix}");
    }
}

#[test]
fn a_four_aligned_word_keeps_its_value() {
    use super::layout::{
        Widen,
        U64A4, //
    };
    for value in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 1 << 63] {
        assert_eq!(U64A4::new(value).get(), value);
        assert_eq!(U64A4::narrow(value).widen(), value);
        assert_eq!(u32::narrow(value), value as u32);
    }
    assert_eq!(std::mem::align_of::<U64A4>(), 4);
}

#[test]
fn payloads_are_bounded_by_their_union() {
    use super::layout::{
        payload,
        set_payload, //
    };
    let mut union = [0u8; 12];
    assert_eq!(set_payload(&mut union, &0x1122_3344_5566_7788u64), Some(()));
    assert_eq!(payload::<u64>(&union), Some(0x1122_3344_5566_7788));
    assert_eq!(payload::<u32>(&union), Some(0x5566_7788));
    assert_eq!(payload::<[u64; 2]>(&union), None);
    assert_eq!(set_payload(&mut union, &[0u64; 2]), None);
    assert_eq!(payload::<u64>(&union), Some(0x1122_3344_5566_7788));
}

#[test]
fn both_forms_of_first_registers_share_their_bytes() {
    use super::hvm::vcpu::VcpuHvmContext;
    use zerocopy::FromBytes as _;
    let bytes: Vec<u8> = (0..128).collect();
    let context = VcpuHvmContext::read_from_bytes(&bytes[..]).unwrap();
    assert_eq!(context.x86_32().eax, 0x0b0a_0908);
    assert_eq!(context.x86_32().tr_ar, 0x7978);
    assert_eq!(context.x86_64().rax, 0x0f0e_0d0c_0b0a_0908);
    assert_eq!(context.x86_64().efer, 0x7776_7574_7372_7170);
}

#[test]
fn numbers_have_xens_names() {
    assert_eq!(super::domctl::name(1), "createdomain");
    assert_eq!(super::domctl::name(6), "?");
    assert_eq!(super::grant_table::status_name(-3), "bad_gntref");
    assert_eq!(super::errno::ENOSYS.name(), "ENOSYS");
}
