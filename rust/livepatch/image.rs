// SPDX-License-Identifier: GPL-2.0-only

//! The contents of a payload's regions while it is put together, under the addresses that they will have.

use super::elf::{
    Object,
    NAME_MAX, //
};
use super::layout::{
    Layout,
    Place,
    Region, //
};
use super::refusal::Result;
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// One region.
pub(crate) struct Image {
    /// Where it will be. Descriptions will be nowhere, and have 0.
    pub(crate) base: u64,
    pub(crate) bytes: KVVec<u8>,
}

impl Image {
    fn new(base: u64, len: u32) -> Result<Self> {
        let mut bytes = KVVec::new();
        bytes
            .resize(len as usize, 0, GFP_KERNEL)
            .map_err(super::load::no_memory)?;
        Ok(Self { base, bytes })
    }

    /// The bytes from `offset` on.
    pub(crate) fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(offset).ok()?..)?.get(..len)
    }

    /// The bytes from `offset` on, to change.
    pub(crate) fn slice_mut(&mut self, offset: u64, len: usize) -> Option<&mut [u8]> {
        self.bytes
            .get_mut(usize::try_from(offset).ok()?..)?
            .get_mut(..len)
    }

    /// A string at an address, without its end, which must be there after at most [`NAME_MAX`] bytes.
    fn string(&self, addr: u64) -> Option<&[u8]> {
        let rest = self
            .bytes
            .get(usize::try_from(addr.checked_sub(self.base)?).ok()?..)?;
        let mut bytes = rest.iter().take(NAME_MAX + 1);
        rest.get(..bytes.position(|&byte| byte == 0)?)
    }
}

/// All three.
pub(crate) struct Images {
    pub(crate) text: Image,
    pub(crate) data: Image,
    pub(crate) notes: Image,
}

impl Images {
    /// Copies the sections to their places.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(object: &Object<'_>, layout: &Layout, text: u64, data: u64) -> Result<Self> {
        let mut images = Self {
            text: Image::new(text, layout.text)?,
            data: Image::new(data, layout.data)?,
            notes: Image::new(0, layout.notes)?,
        };
        for section in object.sections() {
            let Place::At(region, offset) = layout.place(section.index) else {
                continue;
            };
            let to = images
                .region_mut(region)
                .slice_mut(offset.into(), section.data.len());
            for (to, from) in to.into_iter().flatten().zip(section.data) {
                *to = *from;
            }
        }
        Ok(images)
    }

    /// A region.
    pub(crate) fn region(&self, region: Region) -> &Image {
        match region {
            Region::Text => &self.text,
            Region::Data => &self.data,
            Region::Notes => &self.notes,
        }
    }

    /// A region, to change.
    pub(crate) fn region_mut(&mut self, region: Region) -> &mut Image {
        match region {
            Region::Text => &mut self.text,
            Region::Data => &mut self.data,
            Region::Notes => &mut self.notes,
        }
    }

    /// A string that the payload's own pointer leads to.
    pub(crate) fn string(&self, addr: u64) -> Option<&[u8]> {
        self.text.string(addr).or_else(|| self.data.string(addr))
    }
}
