// SPDX-License-Identifier: GPL-2.0-only

//! Code as compilers and people write it: that of the test program itself, and of what is installed.

use iced_x86::{
    Decoder,
    DecoderOptions, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// Where programs and libraries are.
const FOLDERS: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/bin",
    "/usr/sbin",
];

/// Bytes at an offset of a file, as a number.
fn number(file: &[u8], at: usize, len: usize) -> Option<usize> {
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(file.get(at..at.checked_add(len)?)?);
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

/// The code in an ELF file for x86-64; `None` if it is no such file.
fn text(file: &[u8]) -> Option<Vec<u8>> {
    const EXECUTED: usize = 4;
    const X86_64: usize = 62;
    if !file.starts_with(b"\x7fELF\x02\x01") || number(file, 18, 2)? != X86_64 {
        return None;
    }
    let (table, size, count) = (
        number(file, 40, 8)?,
        number(file, 58, 2)?,
        number(file, 60, 2)?,
    );
    let mut code = Vec::new();
    for section in 0..count {
        let header = table.checked_add(section * size)?;
        let (kind, flags) = (number(file, header + 4, 4)?, number(file, header + 8, 8)?);
        let (at, len) = (number(file, header + 24, 8)?, number(file, header + 32, 8)?);
        if kind == 1 && flags & EXECUTED != 0 {
            code.extend(file.get(at..at.checked_add(len)?)?);
        }
    }
    Some(code)
}

/// The code of the test program.
pub(crate) fn own() -> Vec<u8> {
    let path = std::env::current_exe().unwrap();
    text(&std::fs::read(path).unwrap()).unwrap()
}

/// The code of what is installed, file by file.
pub(crate) fn installed() -> impl Iterator<Item = Vec<u8>> {
    let mut paths: Vec<PathBuf> = FOLDERS
        .into_iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.path())
        .filter(|path| !Path::is_symlink(path) && path.is_file())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| text(&std::fs::read(path).ok()?))
}

/// Calls `check` with what is at every instruction of 64-bit code: up to 15 bytes, and how many of
/// them the instruction has. At most `most` times; returns how often.
///
/// What is no instruction is gone over byte by byte.
pub(crate) fn sweep(text: &[u8], most: usize, mut check: impl FnMut(&[u8], usize)) -> usize {
    let mut decoder = Decoder::new(64, text, DecoderOptions::AMD);
    let (mut at, mut count) = (0, 0);
    while at < text.len() && count < most {
        decoder.set_position(at).unwrap();
        let insn = decoder.decode();
        if insn.is_invalid() {
            at += 1;
            continue;
        }
        check(&text[at..text.len().min(at + 15)], insn.len());
        count += 1;
        at += insn.len();
    }
    count
}
