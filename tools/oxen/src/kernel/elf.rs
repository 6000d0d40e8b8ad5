// SPDX-License-Identifier: GPL-2.0-only

//! Reads what a PVH guest needs of an ELF file: its loadable segments and its entry note.
//!
//! The note is Xen's `XEN_ELFNOTE_PHYS32_ENTRY`: name "Xen", type 18, a 4- or 8-byte physical
//! address.

use object::elf::{
    FileHeader32,
    FileHeader64,
    EM_386,
    EM_X86_64,
    PT_LOAD,
    PT_NOTE,
    SHT_NOTE, //
};
use object::read::elf::{
    FileHeader,
    NoteIterator,
    ProgramHeader,
    SectionHeader, //
};
use object::Endianness;

use crate::abi::elfnote::PHYS32_ENTRY;

use super::{
    Image,
    LoadError,
    Segment, //
};

/// Returns true if the file begins with ELF's mark.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// Takes apart an ELF file of either class; `form` is how messages call it.
///
/// # Errors
///
/// Fails if the file is damaged, for another processor, or has no PVH entry point.
pub(super) fn parse(bytes: Vec<u8>, form: String) -> Result<Image, LoadError> {
    let (segments, entry) = match bytes.get(4) {
        Some(1) => read::<FileHeader32<Endianness>>(&bytes)?,
        Some(2) => read::<FileHeader64<Endianness>>(&bytes)?,
        _ => return Err(LoadError::BrokenElf("it has no known class".into())),
    };
    Ok(Image {
        bytes,
        segments,
        entry,
        form,
    })
}

/// Reads the segments and the entry point of a file of the class `H`.
fn read<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
) -> Result<(Vec<Segment>, u32), LoadError> {
    let broken = |err: object::read::Error| LoadError::BrokenElf(err.to_string());
    let header = H::parse(bytes).map_err(broken)?;
    let endian = header.endian().map_err(broken)?;
    let machine = header.e_machine(endian);
    if machine != EM_386 && machine != EM_X86_64 {
        return Err(LoadError::WrongMachine(machine.0));
    }
    let programs = header.program_headers(endian, bytes).map_err(broken)?;

    let mut segments = Vec::new();
    for program in programs {
        if program.p_type(endian) != PT_LOAD || program.p_memsz(endian).into() == 0 {
            continue;
        }
        segments.push(segment::<H>(program, endian, bytes.len())?);
    }
    segments.sort_by_key(|segment| segment.paddr);
    for pair in segments.windows(2) {
        if let [low, high] = pair {
            if low.end() > high.paddr {
                return Err(LoadError::Overlap(low.paddr, high.paddr));
            }
        }
    }
    if segments.is_empty() {
        return Err(LoadError::NoSegments);
    }

    let entry = entry_note::<H>(header, endian, bytes)?.ok_or(LoadError::NoPvhNote)?;
    let within = |segment: &Segment| (segment.paddr..segment.end()).contains(&entry);
    match u32::try_from(entry) {
        Ok(low) if segments.iter().any(within) => Ok((segments, low)),
        _ => Err(LoadError::EntryOutside(entry)),
    }
}

/// Checks one loadable segment against the file's length and the address space.
fn segment<H: FileHeader<Endian = Endianness>>(
    program: &H::ProgramHeader,
    endian: Endianness,
    file_len: usize,
) -> Result<Segment, LoadError> {
    let paddr: u64 = program.p_paddr(endian).into();
    let memsz: u64 = program.p_memsz(endian).into();
    let (offset, filesz) = program.file_range(endian);
    if filesz > memsz {
        return Err(LoadError::BrokenElf(format!(
            "the segment at {paddr:#x} is longer in the file than in memory"
        )));
    }
    paddr
        .checked_add(memsz)
        .ok_or(LoadError::Overlap(paddr, paddr))?;
    let range = offset
        .checked_add(filesz)
        .filter(|end| *end <= file_len as u64)
        .and_then(|end| Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?))
        .ok_or(LoadError::Truncated("segment"))?;
    Ok(Segment {
        paddr,
        file: range,
        memsz,
    })
}

/// Looks for the entry note in the note segments, then, for a file without any, in the note
/// sections.
fn entry_note<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Option<u64>, LoadError> {
    let broken = |err: object::read::Error| LoadError::BrokenElf(err.to_string());
    for program in header.program_headers(endian, bytes).map_err(broken)? {
        if program.p_type(endian) != PT_NOTE {
            continue;
        }
        if let Some(notes) = program.notes(endian, bytes).map_err(broken)? {
            if let Some(entry) = find::<H>(notes, endian)? {
                return Ok(Some(entry));
            }
        }
    }
    // A file stripped of its section table, or with a damaged one, has nothing more to offer.
    for section in header.section_headers(endian, bytes).unwrap_or_default() {
        if section.sh_type(endian) != SHT_NOTE {
            continue;
        }
        if let Some(notes) = section.notes(endian, bytes).map_err(broken)? {
            if let Some(entry) = find::<H>(notes, endian)? {
                return Ok(Some(entry));
            }
        }
    }
    Ok(None)
}

/// Looks for the entry note among `notes`.
fn find<H: FileHeader<Endian = Endianness>>(
    mut notes: NoteIterator<'_, H>,
    endian: Endianness,
) -> Result<Option<u64>, LoadError> {
    while let Some(note) = notes
        .next()
        .map_err(|err| LoadError::BrokenElf(err.to_string()))?
    {
        if note.name() != b"Xen" || note.n_type(endian).0 != PHYS32_ENTRY {
            continue;
        }
        let desc = note.desc();
        if let Ok(desc) = <[u8; 4]>::try_from(desc) {
            return Ok(Some(u32::from_le_bytes(desc).into()));
        }
        return match <[u8; 8]>::try_from(desc) {
            Ok(desc) => Ok(Some(u64::from_le_bytes(desc))),
            Err(_) => Err(LoadError::BadPvhNote(desc.len())),
        };
    }
    Ok(None)
}

/// Makes small ELF files.
#[cfg(test)]
pub(super) mod testing {
    use crate::abi::elfnote::PHYS32_ENTRY;

    /// The note that a made file carries.
    #[derive(Clone, Copy)]
    pub(in crate::kernel) enum Note {
        /// None at all.
        None,
        /// A PVH entry point in 4 bytes.
        Pvh4(u32),
        /// A PVH entry point in 8 bytes.
        Pvh8(u64),
        /// A PVH entry note without an address.
        Empty,
    }

    /// Returns the note section's bytes: another note first, so that the search has to step over
    /// it.
    fn note_bytes(note: Note) -> Vec<u8> {
        let mut out = Vec::new();
        let mut push = |name: &[u8; 4], kind: u32, desc: &[u8]| {
            out.extend_from_slice(&4_u32.to_le_bytes());
            out.extend_from_slice(&(desc.len() as u32).to_le_bytes());
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(name);
            out.extend_from_slice(desc);
            while out.len() % 4 != 0 {
                out.push(0);
            }
        };
        push(b"GNU\0", PHYS32_ENTRY, &[1, 2, 3, 4]);
        match note {
            Note::None => {}
            Note::Pvh4(entry) => push(b"Xen\0", PHYS32_ENTRY, &entry.to_le_bytes()),
            Note::Pvh8(entry) => push(b"Xen\0", PHYS32_ENTRY, &entry.to_le_bytes()),
            Note::Empty => push(b"Xen\0", PHYS32_ENTRY, &[]),
        }
        out
    }

    /// Makes an ELF64 file with `segments` of (address, bytes, length in memory) and `note`.
    pub(in crate::kernel) fn elf64(segments: &[(u64, &[u8], u64)], note: Note) -> Vec<u8> {
        make(true, segments, note)
    }

    /// Makes an ELF32 file likewise.
    pub(in crate::kernel) fn elf32(segments: &[(u64, &[u8], u64)], note: Note) -> Vec<u8> {
        make(false, segments, note)
    }

    fn make(wide: bool, segments: &[(u64, &[u8], u64)], note: Note) -> Vec<u8> {
        let note = note_bytes(note);
        let (ehsize, phentsize) = if wide { (64_usize, 56_usize) } else { (52, 32) };
        let phnum = segments.len() + 1;
        let mut body = Vec::new();
        let body_at = ehsize + phentsize * phnum;
        let mut headers = Vec::new();
        // Word size of the class: addresses, offsets and sizes.
        let word = |out: &mut Vec<u8>, value: u64| {
            if wide {
                out.extend_from_slice(&value.to_le_bytes());
            } else {
                out.extend_from_slice(&(value as u32).to_le_bytes());
            }
        };
        let mut header = |kind: u32, offset: u64, paddr: u64, filesz: u64, memsz: u64| {
            headers.extend_from_slice(&kind.to_le_bytes());
            if wide {
                headers.extend_from_slice(&7_u32.to_le_bytes());
            }
            word(&mut headers, offset);
            // The virtual address is of no interest: give one that would betray its use.
            word(&mut headers, 0xdead_0000);
            word(&mut headers, paddr);
            word(&mut headers, filesz);
            word(&mut headers, memsz);
            if !wide {
                headers.extend_from_slice(&7_u32.to_le_bytes());
            }
            word(&mut headers, 4);
        };
        for (paddr, bytes, memsz) in segments {
            header(
                1,
                (body_at + body.len()) as u64,
                *paddr,
                bytes.len() as u64,
                *memsz,
            );
            body.extend_from_slice(bytes);
        }
        while (body_at + body.len()) % 4 != 0 {
            body.push(0);
        }
        header(
            4,
            (body_at + body.len()) as u64,
            0,
            note.len() as u64,
            note.len() as u64,
        );
        body.extend_from_slice(&note);

        let mut elf = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1];
        elf.resize(16, 0);
        elf.extend_from_slice(&2_u16.to_le_bytes());
        elf.extend_from_slice(&(if wide { 62_u16 } else { 3 }).to_le_bytes());
        elf.extend_from_slice(&1_u32.to_le_bytes());
        word(&mut elf, 0xdead_0000);
        word(&mut elf, ehsize as u64);
        word(&mut elf, 0);
        elf.extend_from_slice(&0_u32.to_le_bytes());
        for half in [ehsize, phentsize, phnum, 0, 0, 0] {
            elf.extend_from_slice(&(half as u16).to_le_bytes());
        }
        assert_eq!(elf.len(), ehsize);
        elf.extend_from_slice(&headers);
        elf.extend_from_slice(&body);
        elf
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{
        elf32,
        elf64,
        Note, //
    };
    use super::*;

    fn parse(bytes: Vec<u8>) -> Result<Image, LoadError> {
        super::parse(bytes, "test".into())
    }

    #[test]
    fn both_classes_and_both_note_widths() {
        let segments: &[(u64, &[u8], u64)] =
            &[(0x20_0000, b"second", 0x10), (0x10_0000, b"first", 0x2000)];
        for (elf, entry) in [
            (elf64(segments, Note::Pvh4(0x10_0004)), 0x10_0004),
            (elf64(segments, Note::Pvh8(0x20_000f)), 0x20_000f),
            (elf32(segments, Note::Pvh4(0x10_0000)), 0x10_0000),
            (elf32(segments, Note::Pvh8(0x10_1fff)), 0x10_1fff),
        ] {
            let image = parse(elf).unwrap();
            assert_eq!(image.entry, entry);
            assert_eq!((image.start(), image.end()), (0x10_0000, 0x20_0010));
            let [first, second] = image.segments.as_slice() else {
                panic!("two segments expected")
            };
            assert_eq!(&image.bytes[first.file.clone()], b"first");
            assert_eq!(first.memsz, 0x2000);
            assert_eq!(&image.bytes[second.file.clone()], b"second");
        }
    }

    #[test]
    fn refuses_what_cannot_be_started() {
        let one: &[(u64, &[u8], u64)] = &[(0x10_0000, b"code", 0x1000)];
        assert_eq!(
            parse(elf64(one, Note::None)).unwrap_err(),
            LoadError::NoPvhNote
        );
        assert_eq!(
            parse(elf64(one, Note::Empty)).unwrap_err(),
            LoadError::BadPvhNote(0)
        );
        assert_eq!(
            parse(elf64(one, Note::Pvh4(0x10_1000))).unwrap_err(),
            LoadError::EntryOutside(0x10_1000)
        );
        assert_eq!(
            parse(elf64(one, Note::Pvh8(0x1_0010_0000))).unwrap_err(),
            LoadError::EntryOutside(0x1_0010_0000)
        );
        assert_eq!(
            parse(elf64(&[], Note::Pvh4(0))).unwrap_err(),
            LoadError::NoSegments
        );
        assert_eq!(
            parse(elf64(
                &[(0x1000, b"a", 0x1001), (0x2000, b"b", 1)],
                Note::Pvh4(0x1000)
            ))
            .unwrap_err(),
            LoadError::Overlap(0x1000, 0x2000)
        );
        assert_eq!(
            parse(elf64(&[(u64::MAX, b"a", 2)], Note::Pvh4(0))).unwrap_err(),
            LoadError::Overlap(u64::MAX, u64::MAX)
        );
        assert!(matches!(
            parse(elf64(&[(0x1000, b"abc", 2)], Note::Pvh4(0x1000))).unwrap_err(),
            LoadError::BrokenElf(_)
        ));
        let mut arm = elf64(one, Note::Pvh4(0x10_0000));
        arm[18] = 183;
        assert_eq!(parse(arm).unwrap_err(), LoadError::WrongMachine(183));
    }
}
