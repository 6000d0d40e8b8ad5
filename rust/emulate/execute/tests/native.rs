// SPDX-License-Identifier: GPL-2.0-only

//! Executes the same instruction here and on the processor, as a process would, and compares
//! registers, flags, memory and exceptions.

use super::*;
use crate::emulate::{
    address::{
        Address,
        Base, //
    },
    decode::Rm,
    flags::{
        AC,
        CF,
        DF,
        OF,
        PF,
        SF,
        STATUS,
        ZF, //
    },
    ops::{
        Feature,
        SegmentState,
        Software,
        SystemSegment, //
    },
    testing::{
        binaries,
        guest::Region,
        native::{
            Cpu,
            Ending,
            Native,
            PAGE,
            USER32_CS,
            USER_CS,
            USER_DS,
            WINDOW_LEN, //
        },
        new_seed,
        oracle_bits,
        vectors::Vectors,
        Random, //
    },
    width::Width, //
};

use std::{
    cell::RefCell,
    rc::Rc, //
};

mod generate;
mod opmasks;
mod undefined;

use generate::{
    Pick,
    Recipe, //
};

/// Whose processor this is.
fn vendor() -> Vendor {
    // SAFETY: Every processor of this architecture has CPUID.
    let leaf = unsafe { std::arch::x86_64::__cpuid(0) };
    match leaf.ebx {
        0x756e_6547 => Vendor::Intel,
        _ => Vendor::Amd,
    }
}

/// What this processor does not have of the features that the emulator asks for.
fn lacks() -> Vec<Feature> {
    let leaf = |number, sub| {
        // SAFETY: As above; a leaf beyond the last one gives something harmless.
        unsafe { std::arch::x86_64::__cpuid_count(number, sub) }
    };
    let (one, seven) = (leaf(1, 0), leaf(7, 0));
    let (high, eight, zen) = (
        leaf(0x8000_0001, 0),
        leaf(0x8000_0008, 0),
        leaf(0x8000_0021, 0),
    );
    [
        (Feature::NullClearsBase, zen.eax, 6),
        (Feature::Adx, seven.ebx, 19),
        (Feature::Avx2, seven.ebx, 5),
        (Feature::Avx512Bw, seven.ebx, 30),
        (Feature::Avx512Vl, seven.ebx, 31),
        (Feature::Bmi1, seven.ebx, 3),
        (Feature::Bmi2, seven.ebx, 8),
        (Feature::ClFlushOpt, seven.ebx, 23),
        (Feature::ClZero, eight.ebx, 0),
        (Feature::Clwb, seven.ebx, 24),
        (Feature::CmpXchg16b, one.ecx, 13),
        (Feature::FsGsBase, seven.ebx, 0),
        (Feature::FpuPointers, eight.ebx, 2),
        (Feature::InvPcid, seven.ebx, 10),
        (Feature::Lzcnt, high.ecx, 5),
        (Feature::Movbe, one.ecx, 22),
        (Feature::MovDirI, seven.ecx, 27),
        (Feature::MovDir64b, seven.ecx, 28),
        (Feature::Popcnt, one.ecx, 23),
        (Feature::Rdpid, seven.ecx, 22),
        (Feature::Rdrand, one.ecx, 30),
        (Feature::Rdseed, seven.ebx, 18),
        (Feature::Rdtscp, high.edx, 27),
        (Feature::Serialize, seven.edx, 14),
        (Feature::Smap, seven.ebx, 20),
        (Feature::Sse42, one.ecx, 20),
        (Feature::WbNoInvd, eight.ebx, 9),
        (Feature::XsaveC, leaf(13, 1).eax, 1),
        (Feature::XsaveOpt, leaf(13, 1).eax, 0),
    ]
    .into_iter()
    .filter(|(_, register, bit)| register >> bit & 1 == 0)
    .map(|(feature, ..)| feature)
    .collect()
}

/// Which extended state the system has switched on.
fn xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: Processes can read it, if the system has switched on XSAVE, as all do.
    unsafe {
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high);
    }
    u64::from(high) << 32 | u64::from(low)
}

/// A segment of the local table: base, limit, and the flags of Linux's `struct user_desc`.
#[derive(Clone, Copy)]
struct Local {
    base: u64,
    limit: u32,
    flags: u32,
}

const BIG: u32 = 1;
const CODE: u32 = 2 << 1;
const CONFORMING: u32 = 3 << 1;
const DOWN: u32 = 1 << 1;
const READ_OR_EXECUTE_ONLY: u32 = 1 << 3;
const NOT_PRESENT: u32 = 1 << 5;

/// The numbers of the segments that 16-bit code runs in.
const CODE16: usize = 0;
const DATA16: usize = 1;

impl Local {
    /// The descriptor that Linux makes of it.
    fn descriptor(self) -> u64 {
        let bit = |n: u32| u64::from(self.flags >> n & 1);
        let kind = 1 | (bit(3) ^ 1) << 1 | u64::from(self.flags >> 1 & 3) << 2;
        let (base, limit) = (self.base, u64::from(self.limit));
        let access = kind | 0x70 | (bit(5) ^ 1) << 7;
        limit & 0xffff
            | (base & 0xff_ffff) << 16
            | access << 40
            | (limit >> 16 & 15) << 48
            | bit(0) << 54
            | bit(4) << 55
            | bit(6) << 52
            | (base >> 24 & 0xff) << 56
    }
}

/// Linux's global table, as far as it is the same on every system: 32-bit kernel code, kernel code,
/// kernel data, 32-bit user code, user data, user code.
const GLOBAL: [u64; 7] = [
    0,
    0x00cf_9b00_0000_ffff,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];
/// Bytes of the whole table.
const GLOBAL_LIMIT: u16 = 127;
/// Where the emulated guest has its global table.
const GLOBAL_TABLE: u64 = 0xfff0_0000;
/// Where it has its local table.
const LOCAL_TABLE: u64 = 0xffe0_0000;

/// The processor, and a guest that sees what a process on it sees.
struct Bench {
    native: Rc<RefCell<Native>>,
    template: Guest,
    /// What memory holds before an instruction.
    memory: Vec<u8>,
    /// Selectors of the segments in the local table; none if there is no such table.
    selectors: Vec<u16>,
    locals: Vec<Local>,
    /// Instructions of programs.
    found: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let mut native = Native::new();
        let memory = generate::memory();
        native.fill_read_only(memory[2 * PAGE..].try_into().unwrap());
        let (code, window) = (native.code(), native.window());
        let all = 0xffff;
        let locals = vec![
            Local {
                base: code,
                limit: all,
                flags: CODE,
            },
            Local {
                base: code,
                limit: all,
                flags: 0,
            },
            Local {
                base: code,
                limit: all,
                flags: BIG | CODE,
            },
            Local {
                base: code,
                limit: all,
                flags: BIG,
            },
            Local {
                base: window,
                limit: PAGE as u32 - 1,
                flags: READ_OR_EXECUTE_ONLY,
            },
            Local {
                base: window,
                limit: PAGE as u32,
                flags: DOWN,
            },
            Local {
                base: window,
                limit: PAGE as u32,
                flags: DOWN | BIG,
            },
            Local {
                base: window,
                limit: all,
                flags: NOT_PRESENT,
            },
            Local {
                base: code,
                limit: all,
                flags: CONFORMING | NOT_PRESENT,
            },
            Local {
                base: code,
                limit: all,
                flags: CODE | READ_OR_EXECUTE_ONLY,
            },
            Local {
                base: code,
                limit: 0x100,
                flags: CODE,
            },
            Local {
                base: code,
                limit: all,
                flags: CODE | NOT_PRESENT,
            },
        ];
        let selectors: Vec<u16> = locals
            .iter()
            .enumerate()
            .filter_map(|(n, local)| {
                native.describe(n as u32, local.base, local.limit, local.flags)
            })
            .collect();

        let mut template = Guest::flat(CodeWidth::Bits64);
        template.vendor = vendor();
        template.lacks = lacks();
        template.checks_ports = true;
        template.set_global_table(&GLOBAL);
        template.state.tables[0].limit = GLOBAL_LIMIT;
        template.state.cr[0] |= 1 << 18;
        // OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, OSXSAVE.
        template.state.cr[4] = 0x5_0e20;
        template.state.xcr0 = xcr0();
        template.state.region = Some(Region {
            base: window,
            bytes: vec![0; WINDOW_LEN],
            writable: 2 * PAGE,
        });
        for (selector, local) in selectors.iter().zip(&locals) {
            let at = LOCAL_TABLE + u64::from(selector & !7);
            template.put(at, &local.descriptor().to_le_bytes());
        }
        template.state.system[SystemSegment::LocalTable as usize] = (
            0x50,
            SegmentState {
                base: LOCAL_TABLE,
                limit: selectors.last().map_or(0, |last| u32::from(last | 7)),
                attributes: 0x82,
            },
        );
        Self {
            native: Rc::new(RefCell::new(native)),
            template,
            memory,
            selectors,
            locals,
            found: Vec::new(),
        }
    }

    /// The segment that a selector names, as a process has it after loading it.
    fn segment(&self, selector: u16) -> SegmentState {
        let descriptor = match selector & 4 {
            0 => GLOBAL[usize::from(selector >> 3)],
            _ => {
                let number = self.selectors.iter().position(|s| *s == selector).unwrap();
                self.locals[number].descriptor()
            }
        };
        crate::emulate::descriptor::Descriptor(descriptor).state()
    }

    /// The guest and the processor's state for a recipe.
    fn set_up(&self, recipe: &Recipe) -> (Guest, Cpu) {
        let mut guest = Guest {
            state: self.template.state.clone(),
            lacks: self.template.lacks.clone(),
            vendor: self.template.vendor,
            checks_ports: true,
            ..Guest::flat(recipe.code)
        };
        let (cs, data) = match recipe.code {
            CodeWidth::Bits64 => (USER_CS, USER_DS),
            CodeWidth::Bits32 => (USER32_CS, USER_DS),
            CodeWidth::Bits16 => (self.selectors[CODE16], self.selectors[DATA16]),
        };
        guest.state.selectors = [data, cs, data, data, 0, 0];
        guest.state.segments = guest.state.selectors.map(|selector| match selector {
            0 => SegmentState::NULL,
            _ => self.segment(selector),
        });
        guest.state.gprs = recipe.gprs;
        guest.state.rflags = recipe.flags | 0x202 | TF;
        guest.rip = match recipe.code {
            CodeWidth::Bits16 => recipe.offset,
            _ => self.native.borrow().code() + recipe.offset,
        };
        guest.state.vectors = recipe.vectors.clone();
        guest.native = Some(self.native.clone());
        let cpu = Cpu {
            gprs: recipe.gprs,
            rip: guest.rip,
            rflags: recipe.flags,
            cs,
            ss: data,
            ds: data,
            es: data,
            vectors: recipe.vectors.clone(),
        };
        (guest, cpu)
    }
}

/// How the instruction ends on the processor, as the emulator says.
fn predicted(result: Result<Done>, guest: &Guest) -> Option<(Ending, u64)> {
    let ending = |vector, error, cr2| Ending { vector, error, cr2 };
    let stepped = ending(1, 0, 0);
    let next = |len: u8| {
        let rip = guest.rip.wrapping_add(len.into());
        match guest.state.segments[1].attributes & 0x600 {
            0 => rip & 0xffff,
            0x400 => rip & 0xffff_ffff,
            _ => rip,
        }
    };
    Some(match result {
        Ok(Done::Next { len }) => (stepped, next(len)),
        Ok(Done::Again) => (stepped, guest.rip),
        Ok(Done::Jump { rip } | Done::Return { rip }) => (stepped, rip),
        // There is no trap before the instruction after it, which does nothing.
        Ok(Done::Shadow { len, stack: true }) => (stepped, next(len) + 1),
        // Gates that users may not use.
        Ok(Done::Interrupt {
            vector,
            by: Software::Interrupt,
            ..
        }) if !matches!(vector, 3 | 4) => (ending(13, u32::from(vector) << 3 | 2, 0), guest.rip),
        Ok(Done::Interrupt { vector, len, .. }) => (ending(vector, 0, 0), next(len)),
        Err(Fault::Exception(exception)) => {
            let error = exception.error_code.unwrap_or(0);
            (
                ending(exception.vector, error, exception.cr2.unwrap_or(0)),
                guest.rip,
            )
        }
        Err(Fault::Unhandleable) => return None,
        other => panic!("{other:?}"),
    })
}

/// Executes a recipe on both sides. Returns whether it was compared.
///
/// # Errors
///
/// What differs.
fn compare(bench: &mut Bench, recipe: &Recipe) -> std::result::Result<bool, String> {
    let code = recipe.code;
    let (mut guest, mut cpu) = bench.set_up(recipe);
    let bytes = &recipe.bytes;
    let decoded = decode(bytes, code, guest.vendor);
    let len = decoded.as_ref().map_or(15, |insn| usize::from(insn.len));
    match &decoded {
        Ok(insn) if generate::is_harmless(insn, &recipe.gprs) => {}
        Err(Refusal::Undefined) => {}
        _ => return Ok(false),
    }
    let window = bench.native.borrow().window();
    let mut memory = bench.memory.clone();
    for (at, bytes) in &recipe.puts {
        memory[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    guest.put(window, &memory);
    let result = emulate_one(&mut guest, bytes, code);
    let again = matches!(result, Ok(Done::Again));
    let Some((ending, rip)) = predicted(result, &guest) else {
        return Ok(false);
    };
    if guest.calls.iter().any(|call| !may_be_made(bench, call)) {
        return Ok(false);
    }

    let mut native = bench.native.borrow_mut();
    native.store_window(&memory[..2 * PAGE]);
    let offset = recipe.offset as usize;
    native.store(offset, bytes);
    native.store(offset + len, &[0x90; 16]);
    let truth = native.run(&mut cpu);

    let insn = decoded.ok();
    let fault = ending.vector != 1;
    if insn
        .is_some_and(|insn| undefined::may_fault_first(recipe, &insn, ending.vector, truth.vector))
    {
        return Ok(false);
    }
    let mut differences = Vec::new();
    let mut check = |what: &str, ours: u64, theirs: u64| {
        if ours != theirs {
            differences.push(format!("{what}: {ours:x}, on the processor {theirs:x}"));
        }
    };
    check("exception", ending.vector.into(), truth.vector.into());
    if ending.vector == truth.vector {
        let any_order = ending.vector == 14 && insn.is_some_and(|insn| undefined::order(&insn));
        // Of two pages one may be there.
        let compared = if any_order { !1 } else { !0 };
        if fault {
            let (ours, theirs) = (ending.error & compared, truth.error & compared);
            check("error code", ours.into(), theirs.into());
        }
        if ending.vector == 14 && !any_order {
            check("CR2", ending.cr2, truth.cr2);
        }
        check("RIP", rip, cpu.rip);
        let undefined = match &insn {
            Some(insn) if again && undefined::between_iterations(insn) => STATUS,
            Some(insn) if !fault => undefined::flags(insn, recipe),
            _ => 0,
        };
        let compared = (STATUS | DF | AC) & !undefined;
        check(
            "flags",
            guest.state.rflags & compared,
            cpu.rflags & compared,
        );
        let [es, cs, ss, ds, ..] = guest.state.selectors;
        // An interrupt's return makes 0 of all null selectors.
        let seen = |selector: u16| u64::from(if selector < 4 { 0 } else { selector });
        check("ES", seen(es), seen(cpu.es));
        check("CS", seen(cs), seen(cpu.cs));
        check("SS", seen(ss), seen(cpu.ss));
        check("DS", seen(ds), seen(cpu.ds));
    }
    let restored = !fault || insn.is_none_or(|insn| !undefined::after_fault(&insn));
    if ending.vector == truth.vector && restored {
        let (count, mask) = match code {
            CodeWidth::Bits64 => (16, u64::MAX),
            _ => (8, u32::MAX.into()),
        };
        let result = insn.map(|insn| undefined::result(&insn, recipe));
        for (n, &theirs) in cpu.gprs.iter().enumerate().take(count) {
            if result != Some(undefined::Result::Register(n)) {
                let ours = guest.state.gprs[n];
                check(&format!("register {n}"), ours & mask, theirs & mask);
            }
        }
        let ours = guest.bytes(window, WINDOW_LEN);
        let theirs = native.window_bytes();
        if ours != theirs && result != Some(undefined::Result::Memory) {
            let at = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap();
            let part = |memory: &[u8]| {
                let mut bytes = [0; 8];
                let len = (WINDOW_LEN - at).min(8);
                bytes[..len].copy_from_slice(&memory[at..at + len]);
                u64::from_le_bytes(bytes)
            };
            check(&format!("memory at {at:x}"), part(&ours), part(theirs));
        }
    }
    let restored = !fault || insn.is_none_or(|insn| !undefined::units_after_fault(&insn));
    if let (Some(ours), Some(theirs), true) = (&guest.state.vectors, &cpu.vectors, restored) {
        let (ours, theirs) = (ours.comparable(), theirs.comparable());
        if ending.vector == truth.vector && ours != theirs {
            differences.push(ours.differences(&theirs));
        }
    }
    if differences.is_empty() {
        return Ok(true);
    }
    Err(format!(
        "{differences:#?}\n{bytes:02x?} {code:?} {result:?}\nregisters {:x?}\nflags {:x} calls {:x?}",
        recipe.gprs, recipe.flags, guest.calls
    ))
}

/// Whether the processor may access what the emulator did.
fn may_be_made(bench: &Bench, call: &Call) -> bool {
    match *call {
        // Some systems refuse locked accesses that touch two cache lines.
        Call::CompareExchange(at, len) => at % 64 + len as u64 <= 64,
        // The rest of the process is not to be touched.
        Call::Translate(at, len, _) => {
            let native = bench.native.borrow();
            let arena = native.arena();
            let first = native.code() + PAGE as u64;
            (first..arena.end - len as u64).contains(&at)
        }
        // What the system has in its table.
        Call::TranslateSystem(at, ..) if at >= GLOBAL_TABLE => at < GLOBAL_TABLE + 8 * 7,
        // Other threads have descriptors in the same table.
        Call::TranslateSystem(at, ..) if (LOCAL_TABLE..LOCAL_TABLE + 0x1_0000).contains(&at) => {
            let selector = (at - LOCAL_TABLE) as u16 | 7;
            bench.selectors.contains(&selector)
        }
        _ => true,
    }
}

/// Compares `cases` instructions, of which a good part must be executable.
fn run(code: CodeWidth, pick: Pick, seed: u64, cases: u32) {
    run_on(&mut Bench::new(), code, pick, seed, cases);
}

/// As [`run`].
fn run_on(bench: &mut Bench, code: CodeWidth, pick: Pick, seed: u64, cases: u32) {
    if code == CodeWidth::Bits16 && bench.selectors.is_empty() {
        println!("this kernel has no local descriptor tables: 16-bit code is not compared");
        return;
    }
    let mut compared = 0;
    let mut opcodes = std::collections::BTreeSet::new();
    let mut wrong = std::collections::BTreeMap::new();
    for n in 0..cases {
        let seed = seed.wrapping_add(n.into());
        let recipe = Recipe::new(bench, code, pick, seed);
        let insn = decode(&recipe.bytes, code, vendor());
        let key = insn.map_or(0, |i| (i.map as u32) << 8 | u32::from(i.opcode));
        match compare(bench, &recipe) {
            Ok(false) => {}
            Ok(true) => {
                compared += 1;
                opcodes.insert(key);
            }
            Err(difference) => {
                let (count, _) = wrong
                    .entry(key)
                    .or_insert_with(|| (0, format!("seed {seed}: {difference}")));
                *count += 1;
            }
        }
    }
    println!("{compared} of {cases} compared, {} opcodes", opcodes.len());
    for (opcode, (count, difference)) in &wrong {
        eprintln!("opcode {opcode:x}, {count} times; {difference}");
    }
    assert!(wrong.is_empty());
    assert!(compared > cases / 4, "only {compared} of {cases}");
}

#[test]
fn vectors_agree_with_processor_in_64_bit_mode() {
    run(CodeWidth::Bits64, Pick::Vector, 0, 50_000);
}

#[test]
fn vectors_agree_with_processor_in_32_bit_mode() {
    run(CodeWidth::Bits32, Pick::Vector, 0, 20_000);
}

#[test]
fn masked_moves_agree_with_processor() {
    run(CodeWidth::Bits64, Pick::Masked, 0, 50_000);
    run(CodeWidth::Bits32, Pick::Masked, 0, 20_000);
    run(CodeWidth::Bits16, Pick::Masked, 0, 20_000);
}

#[test]
fn e_4_evex_arithmetic_agrees_with_processor() {
    run(CodeWidth::Bits64, Pick::Evex, 0, 40_000);
    run(CodeWidth::Bits32, Pick::Evex, 0, 15_000);
    run(CodeWidth::Bits16, Pick::Evex, 0, 10_000);
}

#[test]
fn saved_state_agrees_with_processor() {
    run(CodeWidth::Bits64, Pick::State, 0, 50_000);
    run(CodeWidth::Bits32, Pick::State, 0, 20_000);
    run(CodeWidth::Bits16, Pick::State, 0, 20_000);
}

#[test]
fn agrees_with_processor_in_64_bit_mode() {
    run(CodeWidth::Bits64, Pick::Any, 0, 100_000);
}

#[test]
fn agrees_with_processor_in_32_bit_mode() {
    run(CodeWidth::Bits32, Pick::Any, 0, 50_000);
}

#[test]
fn agrees_with_processor_in_16_bit_mode() {
    run(CodeWidth::Bits16, Pick::Any, 0, 50_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_processor_for_long() {
    let seed = new_seed();
    let cases = std::env::var("CASES").map_or(5_000_000, |cases| cases.parse().unwrap());
    for code in [CodeWidth::Bits64, CodeWidth::Bits32, CodeWidth::Bits16] {
        run(code, Pick::Any, seed, cases);
        run(code, Pick::Vector, seed, cases);
        run(code, Pick::Evex, seed, cases);
    }
}

#[test]
fn agrees_with_processor_on_this_program() {
    let mut bench = Bench::new();
    let found = &mut bench.found;
    binaries::sweep(&binaries::own(), 30_000, |bytes, len| {
        found.push(bytes[..len].to_vec())
    });
    run_on(&mut bench, CodeWidth::Bits64, Pick::Found, 0, 30_000);
}

#[test]
#[ignore = "takes minutes"]
fn agrees_with_processor_on_what_is_installed() {
    let (mut bench, mut count) = (Bench::new(), 0);
    for text in binaries::installed() {
        let found = &mut bench.found;
        found.clear();
        let most = binaries::sweep(&text, 10_000, |bytes, len| {
            found.push(bytes[..len].to_vec())
        });
        if most > 1_000 {
            run_on(&mut bench, CodeWidth::Bits64, Pick::Found, 0, most as u32);
            count += most;
        }
    }
    println!("{count} instructions");
    assert!(count > 1_000_000, "{count}");
}

/// F3 90 with REX.B exchanges on AMD's processors, and is PAUSE on Intel's.
#[test]
fn pause_with_rex_is_an_exchange_on_amd() {
    let mut native = Native::new();
    let mut cpu = Cpu::new();
    (cpu.gprs[0], cpu.gprs[8]) = (1, 2);
    assert!(native.run_plain(CodeWidth::Bits64, &[0xf3, 0x41, 0x90], &mut cpu));
    let expected = match vendor() {
        Vendor::Amd => (2, 1),
        Vendor::Intel => (1, 2),
    };
    assert_eq!((cpu.gprs[0], cpu.gprs[8]), expected);
}

/// The flags named here are those the processor has.
#[test]
fn flag_positions() {
    let mut native = Native::new();
    for (flag, insn) in [
        (CF, &[0xf9][..]),
        (DF, &[0xfd]),
        // xor eax, eax
        (ZF | PF, &[0x31, 0xc0]),
    ] {
        let mut cpu = Cpu::new();
        assert!(native.run_plain(CodeWidth::Bits64, insn, &mut cpu));
        assert_eq!(cpu.rflags & (STATUS & !AF | DF), flag);
    }
}

/// Executes what is in the variable PROBE on the processor: a mode, bytes, and values of registers
/// and flags, as in `64 0f00ad rax=5 flags=1`.
#[test]
#[ignore = "for experiments"]
fn probe() {
    let Ok(text) = std::env::var("PROBE") else {
        return;
    };
    for line in text.split(';') {
        let mut words = line.split_whitespace();
        let code = match words.next() {
            Some("16") => CodeWidth::Bits16,
            Some("32") => CodeWidth::Bits32,
            _ => CodeWidth::Bits64,
        };
        let digits = words.next().unwrap_or("90");
        let bytes = (0..digits.len() / 2)
            .map(|n| u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).unwrap())
            .collect();
        let mut bench = Bench::new();
        let mut recipe = Recipe {
            code,
            bytes,
            offset: 0,
            gprs: [0; 16],
            flags: 0,
            puts: Vec::new(),
            vectors: None,
        };
        let base = match code {
            CodeWidth::Bits16 => bench.native.borrow().code(),
            _ => 0,
        };
        let names = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11",
            "r12", "r13", "r14", "r15",
        ];
        recipe.gprs[RSP] = bench.native.borrow().window() + 0x800 - base;
        for word in words {
            let (name, value) = word.split_once('=').unwrap();
            // An offset in the window.
            let value = match value.strip_prefix('w') {
                Some(rest) => {
                    bench.native.borrow().window() - base + u64::from_str_radix(rest, 16).unwrap()
                }
                None => u64::from_str_radix(value, 16).unwrap(),
            };
            match names.iter().position(|n| *n == name) {
                Some(n) => recipe.gprs[n] = value,
                None => recipe.flags = value,
            }
        }
        println!("{line}: {:#?}", compare(&mut bench, &recipe));
        let (_, mut cpu) = bench.set_up(&recipe);
        let mut native = bench.native.borrow_mut();
        native.store_window(&bench.memory[..2 * PAGE]);
        native.store(0, &recipe.bytes);
        let ending = native.run(&mut cpu);
        let moved = cpu.rip.wrapping_sub(native.code());
        println!("{ending:x?} rip +{moved:x} {cpu:x?}");
    }
}
