// SPDX-License-Identifier: GPL-2.0-only

//! Identities of builds, and the ELF notes that carry them.

use super::elf::Section;
use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::EINVAL;

/// Bytes that an identity has at most. The tool chain's own have 20.
pub(crate) const ID_MAX: usize = 64;
/// Bytes that one has at least, as in Xen.
const ID_MIN: usize = 2;
/// `NT_GNU_BUILD_ID`.
const BUILD_ID: u32 = 3;

/// The identity of a build.
#[derive(Clone, Copy)]
pub(crate) struct Id {
    bytes: [u8; ID_MAX],
    len: u8,
}

impl Id {
    /// Makes one, unless it is too short or too long.
    pub(crate) fn new(from: &[u8]) -> Option<Self> {
        if !(ID_MIN..=ID_MAX).contains(&from.len()) {
            return None;
        }
        let mut bytes = [0; ID_MAX];
        for (to, from) in bytes.iter_mut().zip(from) {
            *to = *from;
        }
        Some(Self {
            bytes,
            // CAST: At most `ID_MAX`.
            len: from.len() as u8,
        })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&[])
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for Id {}

impl core::fmt::Debug for Id {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", super::refusal::Hex(self.bytes()))
    }
}

/// Finds the identity in a section that begins with a note of the GNU tool chain.
///
/// # Errors
///
/// `EINVAL` if there is none.
pub(crate) fn build_id(section: &Section<'_>) -> Result<Id> {
    parse(section.data).ok_or(Refusal::new(EINVAL, "holds no build-id").of(section.name))
}

fn parse(data: &[u8]) -> Option<Id> {
    let (name_len, rest) = word(data)?;
    let (desc_len, rest) = word(rest)?;
    let (kind, rest) = word(rest)?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    if name_len != 4 || kind != BUILD_ID || name != b"GNU\0" {
        return None;
    }
    Id::new(rest.get(..usize::try_from(desc_len).ok()?)?)
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note with these lengths and this type.
    fn note(name_len: u32, desc_len: u32, kind: u32, name: &[u8], desc: &[u8]) -> Vec<u8> {
        let words = [name_len, desc_len, kind].map(u32::to_le_bytes);
        [words.as_flattened(), name, desc].concat()
    }

    #[test]
    fn finds_an_identity() {
        let good = note(4, 4, 3, b"GNU\0", &[1, 2, 3, 4]);
        assert_eq!(parse(&good).unwrap().bytes(), [1, 2, 3, 4]);
        // What follows is another note.
        let more = [good.clone(), good].concat();
        assert_eq!(parse(&more).unwrap().bytes(), [1, 2, 3, 4]);
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            note(4, 4, 1, b"GNU\0", &[1, 2, 3, 4]),
            note(4, 4, 3, b"GNX\0", &[1, 2, 3, 4]),
            note(3, 4, 3, b"GNU\0", &[1, 2, 3, 4]),
            note(4, 5, 3, b"GNU\0", &[1, 2, 3, 4]),
            note(4, u32::MAX, 3, b"GNU\0", &[1, 2, 3, 4]),
            note(4, 1, 3, b"GNU\0", &[1]),
            note(4, 65, 3, b"GNU\0", &[1; 65]),
            note(4, 0, 3, b"GNU\0", &[]),
            vec![4, 0, 0],
            vec![],
        ] {
            assert!(parse(&bad).is_none(), "{bad:?}");
        }
    }
}
