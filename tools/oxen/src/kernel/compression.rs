// SPDX-License-Identifier: GPL-2.0-only

//! Tells the ways apart in which a kernel's payload is packed, and unpacks them.
//!
//! The kernel's build appends the unpacked length (u32) to every packed payload but gzip's, so a
//! few bytes after the end of the packed data are no error.

use std::fmt;
use std::io::Read;

use super::{
    elf,
    LoadError, //
};

/// What liblzma may allocate for its dictionary and tables, in bytes.
const XZ_MEMORY: u64 = 256 << 20;
/// The first bytes of the frame format of lz4 that the kernel's build makes.
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What one block of that format unpacks to, at most, in bytes.
const LZ4_BLOCK: usize = 8 << 20;

/// A way in which a payload is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not packed: an ELF file as it is.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz, with the x86 filter that the kernel's build uses.
    Xz,
    /// lzma, the format before xz.
    Lzma,
    /// Zstandard (RFC 8878).
    Zstd,
    /// lz4 in its legacy frame format.
    Lz4,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        })
    }
}

impl Compression {
    /// Every way there is.
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [
        Self::None,
        Self::Gzip,
        Self::Xz,
        Self::Lzma,
        Self::Zstd,
        Self::Lz4,
    ];

    /// Tells from its first bytes how `payload` is packed.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are those of a method that is not supported, or of none.
    pub(super) fn detect(payload: &[u8]) -> Result<Self, LoadError> {
        if elf::is_elf(payload) {
            return Ok(Self::None);
        }
        match *payload {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Self::Xz),
            [0x5d, 0, 0, ..] => Ok(Self::Lzma),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [0x02, 0x21, 0x4c, 0x18, ..] => Ok(Self::Lz4),
            [b'B', b'Z', b'h', ..] => Err(LoadError::UnsupportedCompression("bzip2")),
            [0x89, b'L', b'Z', b'O', ..] => Err(LoadError::UnsupportedCompression("lzo")),
            _ => {
                let mut magic = [0; 4];
                for (to, from) in magic.iter_mut().zip(payload) {
                    *to = *from;
                }
                Err(LoadError::UnknownPayload(magic))
            }
        }
    }

    /// Unpacks `payload` to at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Fails if the packed data is damaged or unpacks to more.
    pub(super) fn unpack(self, payload: &[u8], limit: usize) -> Result<Vec<u8>, LoadError> {
        let corrupt = |err: &dyn fmt::Display| LoadError::Corrupt(self, err.to_string());
        match self {
            Self::None => Ok(payload.to_vec()),
            Self::Gzip => self.read(flate2::read::GzDecoder::new(payload), limit),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)
                    .map_err(|err| corrupt(&err))?;
                self.read(
                    liblzma::bufread::XzDecoder::new_stream(payload, stream),
                    limit,
                )
            }
            Self::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(XZ_MEMORY)
                    .map_err(|err| corrupt(&err))?;
                self.read(
                    liblzma::bufread::XzDecoder::new_stream(payload, stream),
                    limit,
                )
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(payload)
                    .map_err(|err| corrupt(&err))?;
                self.read(decoder.single_frame(), limit)
            }
            Self::Lz4 => self.unpack_lz4(payload, limit),
        }
    }

    /// Reads `from` to its end, or to one byte more than the limit.
    fn read(self, from: impl Read, limit: usize) -> Result<Vec<u8>, LoadError> {
        let mut out = Vec::new();
        from.take(limit as u64 + 1)
            .read_to_end(&mut out)
            .map_err(|err| LoadError::Corrupt(self, err.to_string()))?;
        if out.len() > limit {
            return Err(LoadError::TooLarge(limit));
        }
        Ok(out)
    }

    /// Unpacks the legacy frame: its mark, then blocks that each begin with their length (u32).
    fn unpack_lz4(self, payload: &[u8], limit: usize) -> Result<Vec<u8>, LoadError> {
        let mut rest = payload
            .strip_prefix(&LZ4_LEGACY)
            .ok_or(LoadError::Truncated("lz4 frame"))?;
        let mut out = Vec::new();
        let mut block = vec![0; LZ4_BLOCK];
        // A length and at least one byte: less is the appended unpacked length.
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            if after.is_empty() {
                break;
            }
            // A frame may be followed by another one.
            if *length == LZ4_LEGACY {
                rest = after;
                continue;
            }
            let length = u32::from_le_bytes(*length) as usize;
            let packed = after
                .get(..length)
                .ok_or(LoadError::Truncated("lz4 block"))?;
            let size = lz4_flex::block::decompress_into(packed, &mut block)
                .map_err(|err| LoadError::Corrupt(self, err.to_string()))?;
            if out.len() + size > limit {
                return Err(LoadError::TooLarge(limit));
            }
            out.extend_from_slice(block.get(..size).unwrap_or_default());
            rest = after.get(length..).unwrap_or_default();
        }
        Ok(out)
    }
}

/// Packs data the way that the kernel's build does.
#[cfg(test)]
pub(super) mod testing {
    use super::{
        Compression,
        LZ4_BLOCK,
        LZ4_LEGACY, //
    };
    use liblzma::stream::{
        Check,
        Filters,
        LzmaOptions,
        Stream, //
    };
    use std::io::{
        Read,
        Write, //
    };

    /// Packs `data` with `method`, without the length that the kernel's build appends.
    pub(in crate::kernel) fn pack(method: Compression, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match method {
            Compression::None => out.extend_from_slice(data),
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap();
            }
            Compression::Xz => {
                let mut filters = Filters::new();
                filters.x86().lzma2(&LzmaOptions::new_preset(6).unwrap());
                let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
                liblzma::bufread::XzEncoder::new_stream(data, stream)
                    .read_to_end(&mut out)
                    .unwrap();
            }
            Compression::Lzma => {
                let stream =
                    Stream::new_lzma_encoder(&LzmaOptions::new_preset(6).unwrap()).unwrap();
                liblzma::bufread::XzEncoder::new_stream(data, stream)
                    .read_to_end(&mut out)
                    .unwrap();
            }
            // The kernel's build gives zstd its input through a pipe, at the highest level: the
            // frame asks for the widest window, 128 MiB.
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(&mut out, 3).unwrap();
                encoder.window_log(27).unwrap();
                encoder.write_all(data).unwrap();
                encoder.finish().unwrap();
            }
            Compression::Lz4 => {
                out.extend_from_slice(&LZ4_LEGACY);
                for chunk in data.chunks(LZ4_BLOCK) {
                    let packed = lz4_flex::block::compress(chunk);
                    out.extend_from_slice(&(packed.len() as u32).to_le_bytes());
                    out.extend_from_slice(&packed);
                }
            }
        }
        out
    }
}
