// SPDX-License-Identifier: GPL-2.0-only

//! What the symbols of a payload stand for.

use super::elf::{
    index,
    Object,
    Symbol,
    What, //
};
use super::image::Images;
use super::layout::{
    Layout,
    Place,
    Region, //
};
use super::load::Host;
use super::refusal::{
    Refusal,
    Result, //
};
use crate::abi::errno::{
    EINVAL,
    ENOENT,
    EOPNOTSUPP, //
};
use crate::sys::alloc::{
    KVVec,
    GFP_KERNEL, //
};

/// What a symbol stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// Something of the payload's own.
    Own(u64),
    /// A number.
    Number(u64),
    /// Something of the hypervisor or the kernel. A function comes with `true`.
    Outside(u64, bool),
    /// How functions return. Not a place, but what stands at the end of each function.
    Return,
    /// Where functions call their tracer. Payloads' functions have none.
    Tracer,
    /// A section that is not loaded.
    Absent,
}

/// A function of the hypervisor or the kernel, or a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) addr: u64,
    /// It is a function.
    pub(crate) func: bool,
}

/// The values of all symbols, by number.
pub(crate) struct Values(KVVec<Value>);

impl Values {
    /// Finds what each symbol stands for.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the hypervisor has no such symbol, `EOPNOTSUPP` for one of an unsupported kind, `ENOMEM`.
    pub(crate) fn new<H: Host>(
        object: &Object<'_>,
        layout: &Layout,
        images: &Images,
        host: &H,
    ) -> Result<Self> {
        // CAST: At most `elf::SYMBOLS_MAX`.
        let count = object.symbol_count() as usize;
        let mut values = KVVec::with_capacity(count, GFP_KERNEL).map_err(super::load::no_memory)?;
        for number in 0..object.symbol_count() {
            let value = match object.symbol(number) {
                Some(symbol) if number != 0 => value(&symbol, layout, images, host)
                    .map_err(|refusal| refusal.of(symbol.name).with(number.into()))?,
                _ => Value::Absent,
            };
            values
                .push(value, GFP_KERNEL)
                .map_err(super::load::no_memory)?;
        }
        Ok(Self(values))
    }

    /// The value of a symbol.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` for the first, which is none, `EINVAL` if there is none of that number.
    pub(crate) fn get(&self, number: u32) -> Result<Value> {
        if number == 0 {
            return Err(Refusal::new(EOPNOTSUPP, "is relocated by no symbol"));
        }
        usize::try_from(number)
            .ok()
            .and_then(|number| self.0.get(number))
            .copied()
            .ok_or(
                Refusal::new(EINVAL, "is relocated by a symbol that there is not")
                    .with(number.into()),
            )
    }
}

fn value<H: Host>(
    symbol: &Symbol<'_>,
    layout: &Layout,
    images: &Images,
    host: &H,
) -> Result<Value> {
    match symbol.what() {
        What::Other => {
            return Err(Refusal::new(
                EOPNOTSUPP,
                "is a symbol of an unsupported kind",
            ))
        }
        What::File => return Ok(Value::Absent),
        _ => {}
    }
    match symbol.section {
        index::ABS => Ok(Value::Number(symbol.value)),
        index::UNDEF => match symbol.name {
            b"" => Ok(Value::Absent),
            b"__x86_return_thunk" => Ok(Value::Return),
            b"__fentry__" => Ok(Value::Tracer),
            name => host
                .symbol(name)
                .map(|found| Value::Outside(found.addr, found.func))
                .ok_or(Refusal::new(
                    ENOENT,
                    "is a symbol that the hypervisor does not have",
                )),
        },
        section => match layout.place(section) {
            // What describes the payload is gone once it is loaded.
            Place::Nowhere | Place::At(Region::Notes, _) => Ok(Value::Absent),
            // A symbol lies in its section, which was found to fit.
            Place::At(region, offset) => Ok(Value::Own(
                images
                    .region(region)
                    .base
                    .wrapping_add(offset.into())
                    .wrapping_add(symbol.value),
            )),
        },
    }
}
