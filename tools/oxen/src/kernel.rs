// SPDX-License-Identifier: GPL-2.0-only

//! Reads a guest kernel of any form that carries a PVH entry note.
//!
//! Accepted: an ELF file of either class, an x86 bzImage whose payload is such a file, plain or
//! compressed, and such a file compressed on its own. Every byte of the file is treated as hostile:
//! nothing here panics on it, and no more than [`MAX_IMAGE`] bytes come out of it.

pub(crate) mod bzimage;
pub(crate) mod compression;
pub(crate) mod elf;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use crate::error::{
    Context,
    Error,
    Result, //
};
use compression::Compression;

/// The most bytes that a kernel file may hold or unpack to.
///
/// Debian's kernel unpacks to 60 MiB; one with every driver built in stays below 300 MiB.
pub(crate) const MAX_IMAGE: usize = 512 << 20;

/// Why a file is no kernel that a PVH guest can start from.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The file is none of the accepted forms.
    #[error("neither an ELF file nor a bzImage")]
    UnknownFormat,
    /// The file ends before something that it says it holds.
    #[error("the file is truncated: {0}")]
    Truncated(&'static str),
    /// The bzImage header is from before boot protocol 2.08.
    #[error("its boot protocol {}.{:02} does not say where the payload is", .0 >> 8, .0 & 0xff)]
    OldBootProtocol(u16),
    /// The payload is compressed in a way that is not supported.
    #[error("the payload is compressed with {0}, which is not supported")]
    UnsupportedCompression(&'static str),
    /// The payload's first bytes are those of no known format.
    #[error("the payload is neither ELF nor compressed in a known way (it starts with {0:02x?})")]
    UnknownPayload([u8; 4]),
    /// The payload did not unpack.
    #[error("unpacking the {0} payload failed: {1}")]
    Corrupt(Compression, String),
    /// The payload unpacks to more than the limit.
    #[error("the payload unpacks to more than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// The ELF file breaks its own format.
    #[error("broken ELF file: {0}")]
    BrokenElf(String),
    /// The ELF file is for another processor.
    #[error("the ELF file is for machine {0}, not for x86")]
    WrongMachine(u16),
    /// There is no PVH entry note.
    #[error("no PVH entry note (kernel built without CONFIG_PVH)")]
    NoPvhNote,
    /// The PVH entry note has a length that means nothing.
    #[error("the PVH entry note is {0} bytes long, not 4 or 8")]
    BadPvhNote(usize),
    /// The entry point is not in any loaded segment.
    #[error("the PVH entry point {0:#x} is in no loaded segment")]
    EntryOutside(u64),
    /// There is nothing to load.
    #[error("the ELF file has no segment to load")]
    NoSegments,
    /// Two segments want the same guest memory, or one wraps around.
    #[error("the segments at {0:#x} and {1:#x} overlap")]
    Overlap(u64, u64),
}

impl LoadError {
    /// Returns the way out of this failure.
    const fn way_out(&self) -> &'static str {
        match self {
            Self::NoPvhNote => "use a kernel built with CONFIG_PVH=y, as Debian's are",
            Self::UnsupportedCompression(_) => {
                "unpack the payload, or repack it with gzip, xz, zstd or lz4"
            }
            Self::Truncated(_) | Self::Corrupt(..) => {
                "the file is damaged: fetch or build it again"
            }
            _ => "give --kernel a bzImage or vmlinux of an x86 kernel built with CONFIG_PVH=y",
        }
    }
}

impl From<LoadError> for Error {
    fn from(err: LoadError) -> Self {
        let hint = err.way_out();
        Self::text(err.to_string()).hint(hint)
    }
}

/// A part of the image with its place in guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Guest-physical address of the first byte.
    pub(crate) paddr: u64,
    /// Where the bytes are in [`Image::bytes`].
    pub(crate) file: Range<usize>,
    /// Bytes in guest memory; what lies beyond the file's bytes is zero.
    pub(crate) memsz: u64,
}

impl Segment {
    /// Returns the guest-physical address after the last byte.
    pub(crate) const fn end(&self) -> u64 {
        // Cannot wrap: `elf::parse` refuses such a segment.
        self.paddr.saturating_add(self.memsz)
    }
}

/// A kernel, ready to be placed in guest memory.
#[derive(Debug)]
pub(crate) struct Image {
    /// The unpacked ELF file.
    pub(crate) bytes: Vec<u8>,
    /// What of it goes where, in ascending order, without overlap.
    pub(crate) segments: Vec<Segment>,
    /// Guest-physical address of the PVH entry point.
    pub(crate) entry: u32,
    /// What the file is, for messages: "bzImage (zstd)".
    pub(crate) form: String,
}

impl Image {
    /// Returns the guest-physical address of the lowest byte.
    #[cfg(test)]
    pub(crate) fn start(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.paddr)
    }

    /// Returns the guest-physical address after the highest byte.
    pub(crate) fn end(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end)
    }
}

/// Reads a whole file, refusing one that is larger than `limit` bytes.
///
/// # Errors
///
/// Fails with what the host's kernel says, or if the file is too large.
pub(crate) fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(Error::from(nix::errno::Errno::EISDIR));
    }
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(Error::text(format!(
            "the file is larger than {} MiB",
            limit >> 20
        )));
    }
    Ok(bytes)
}

/// Reads and takes apart the kernel in `path`.
///
/// # Errors
///
/// Fails if the file cannot be read or is no kernel for a PVH guest; the message names the file.
pub(crate) fn load(path: &Path) -> Result<Image> {
    let step = format!("read kernel {}", path.display());
    let bytes = read_file(path, MAX_IMAGE)
        .hint("check the path given to --kernel")
        .step(&step)?;
    parse(bytes, MAX_IMAGE).step(&step)
}

/// Takes apart a kernel that has been read, unpacking at most `limit` bytes.
///
/// # Errors
///
/// Fails as [`LoadError`] says.
pub(crate) fn parse(bytes: Vec<u8>, limit: usize) -> std::result::Result<Image, LoadError> {
    if elf::is_elf(&bytes) {
        return elf::parse(bytes, "ELF".into());
    }
    if let Some(payload) = bzimage::payload(&bytes)? {
        let payload = bytes.get(payload).ok_or(LoadError::Truncated("payload"))?;
        return match Compression::detect(payload)? {
            Compression::None => elf::parse(payload.to_vec(), "bzImage (uncompressed)".into()),
            method => elf::parse(
                method.unpack(payload, limit)?,
                format!("bzImage ({method})"),
            ),
        };
    }
    match Compression::detect(&bytes) {
        Ok(method) if method != Compression::None => {
            elf::parse(method.unpack(&bytes, limit)?, format!("ELF ({method})"))
        }
        _ => Err(LoadError::UnknownFormat),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::elf::testing::{
        elf32,
        elf64,
        Note, //
    };
    use proptest::prelude::*;

    /// A limit that keeps a test that tries to unpack a bomb small.
    const LIMIT: usize = 8 << 20;

    /// Builds a bzImage of boot protocol 2.15 around `payload`.
    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let setup_sects = 3_usize;
        let offset = 0x140_usize;
        let mut image = vec![0_u8; (setup_sects + 1) * 512 + offset];
        image[0x1f1] = setup_sects as u8;
        image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&(offset as u32).to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(&[0xcc; 64]);
        image
    }

    /// Appends the unpacked length, as the kernel's build does for every method but gzip.
    fn size_append(mut packed: Vec<u8>, unpacked: usize) -> Vec<u8> {
        packed.extend_from_slice(&(unpacked as u32).to_le_bytes());
        packed
    }

    #[test]
    fn every_packing_gives_the_same_image() {
        let elf = elf64(
            &[(0x100_0000, b"code and data".repeat(1000).as_slice(), 0x9000)],
            Note::Pvh4(0x100_0010),
        );
        let plain = parse(elf.clone(), LIMIT).unwrap();
        assert_eq!(plain.entry, 0x100_0010);
        assert_eq!(plain.form, "ELF");
        for method in Compression::ALL {
            let packed = compression::testing::pack(method, &elf);
            let packed = match method {
                Compression::None | Compression::Gzip => packed,
                _ => size_append(packed, elf.len()),
            };
            let image =
                parse(bzimage(&packed), LIMIT).unwrap_or_else(|err| panic!("{method}: {err}"));
            assert_eq!(image.bytes, plain.bytes, "{method}");
            assert_eq!(image.segments, plain.segments, "{method}");
            assert_eq!(image.entry, plain.entry, "{method}");
            assert!(image.form.starts_with("bzImage"), "{method}");
            if method != Compression::None {
                assert_eq!(parse(packed, LIMIT).unwrap().bytes, plain.bytes, "{method}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeros = vec![0_u8; LIMIT + 1];
        for method in Compression::ALL {
            if method == Compression::None {
                continue;
            }
            let packed = compression::testing::pack(method, &zeros);
            assert!(
                packed.len() < LIMIT / 50,
                "{method} packed to {}",
                packed.len()
            );
            assert_eq!(
                parse(bzimage(&packed), LIMIT).unwrap_err(),
                LoadError::TooLarge(LIMIT),
                "{method}"
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(
            parse(b"#!/bin/sh\n".to_vec(), LIMIT).unwrap_err(),
            LoadError::UnknownFormat
        );
        assert_eq!(parse(vec![], LIMIT).unwrap_err(), LoadError::UnknownFormat);
        let elf = elf32(&[(0x10_0000, b"x", 0x1000)], Note::None);
        assert_eq!(
            parse(bzimage(&elf), LIMIT).unwrap_err(),
            LoadError::NoPvhNote
        );
        let mut old = bzimage(&elf);
        old[0x206] = 4;
        assert_eq!(
            parse(old, LIMIT).unwrap_err(),
            LoadError::OldBootProtocol(0x204)
        );
        assert_eq!(
            parse(bzimage(b"BZh91AY"), LIMIT).unwrap_err(),
            LoadError::UnsupportedCompression("bzip2")
        );
        assert_eq!(
            parse(bzimage(&[1, 2, 3, 4]), LIMIT).unwrap_err(),
            LoadError::UnknownPayload([1, 2, 3, 4])
        );
        let mut short = bzimage(&elf);
        short.truncate(0x240);
        assert!(matches!(
            parse(short, LIMIT).unwrap_err(),
            LoadError::Truncated(_)
        ));
        let mut short = bzimage(&elf);
        short.truncate(0x900);
        assert!(matches!(
            parse(short, LIMIT).unwrap_err(),
            LoadError::Truncated(_)
        ));
    }

    /// `OXEN_TEST_VMLINUZ` names a stock kernel; without it there is nothing to compare with.
    #[test]
    fn reads_a_stock_kernel() {
        let Some(path) = std::env::var_os("OXEN_TEST_VMLINUZ") else {
            eprintln!("skipped: OXEN_TEST_VMLINUZ is not set");
            return;
        };
        let image = load(Path::new(&path)).unwrap();
        assert!(image.form.starts_with("bzImage ("), "{}", image.form);
        // Linux is linked to run from 16 MiB, and its entry point is in its text.
        assert_eq!(image.start(), 16 << 20);
        assert!(u64::from(image.entry) >= image.start() && u64::from(image.entry) < image.end());
        assert!(image.end() - image.start() > 16 << 20);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let _ = parse(bytes, LIMIT);
        }

        #[test]
        fn a_damaged_bzimage_never_panics(
            method in 0..Compression::ALL.len(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in any::<prop::sample::Index>(),
            truncate in any::<bool>(),
        ) {
            let elf = elf64(&[(0x10_0000, &[0x90; 3000], 0x4000)], Note::Pvh8(0x10_0000));
            let mut image = bzimage(&compression::testing::pack(Compression::ALL[method], &elf));
            for (at, value) in damage {
                let at = at.index(image.len());
                image[at] = value;
            }
            if truncate {
                image.truncate(cut.index(image.len()));
            }
            if let Ok(image) = parse(image, LIMIT) {
                prop_assert!(image.bytes.len() <= LIMIT);
                for segment in &image.segments {
                    prop_assert!(image.bytes.get(segment.file.clone()).is_some());
                }
            }
        }

        #[test]
        fn a_damaged_elf_never_panics(
            wide in any::<bool>(),
            damage in proptest::collection::vec((0_usize..400, any::<u8>()), 1..12),
        ) {
            let segments: &[(u64, &[u8], u64)] =
                &[(0x10_0000, &[0x90; 64], 0x1000), (0x20_0000, &[1], 1)];
            let make = if wide { elf64 } else { elf32 };
            let mut elf = make(segments, Note::Pvh4(0x10_0000));
            for (at, value) in damage {
                if let Some(byte) = elf.get_mut(at) {
                    *byte = value;
                }
            }
            if let Ok(image) = parse(elf, LIMIT) {
                let mut last = 0;
                for segment in &image.segments {
                    prop_assert!(image.bytes.get(segment.file.clone()).is_some());
                    prop_assert!(segment.file.len() as u64 <= segment.memsz);
                    prop_assert!(segment.paddr >= last);
                    last = segment.end();
                }
                let entry = u64::from(image.entry);
                prop_assert!(image.segments.iter().any(|s| (s.paddr..s.end()).contains(&entry)));
            }
        }
    }
}
