// SPDX-License-Identifier: GPL-2.0-only

//! What the declarations of Xen's ABI are made of: one macro for numbers, one for structures, and
//! the words of 32-bit callers.
//!
//! Both macros also leave a table behind in test builds (`NUMBERS`, `LAYOUTS`) that is held against
//! Xen's own headers by a C compiler, so that each number and each field is written down once.

/// A `uint64_t` as a 32-bit x86 caller lays it out: eight bytes aligned to four.
#[repr(C)]
#[derive(
    zerocopy_derive::FromBytes,
    zerocopy_derive::IntoBytes,
    zerocopy_derive::Immutable,
    zerocopy_derive::KnownLayout,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Default,
)]
pub(crate) struct U64A4 {
    low: u32,
    high: u32,
}

impl U64A4 {
    /// Splits `value` into its two words.
    pub(crate) const fn new(value: u64) -> Self {
        Self {
            // CAST: keeps the low half on purpose.
            low: value as u32,
            // CAST: the upper half fits 32 bits.
            high: (value >> 32) as u32,
        }
    }

    /// Returns the 64-bit value.
    pub(crate) const fn get(self) -> u64 {
        // CAST: both widen.
        (self.high as u64) << 32 | self.low as u64
    }
}

/// A field or structure of a 32-bit caller, converted from and to what a 64-bit caller uses in its
/// place.
pub(crate) trait Widen<Native>: Sized {
    /// Converts to the 64-bit form. Numbers are zero-extended; padding becomes zero.
    fn widen(self) -> Native;

    /// Converts to the 32-bit form. Upper halves that do not fit are dropped, as Xen does.
    fn narrow(native: Native) -> Self;
}

impl Widen<u64> for u32 {
    fn widen(self) -> u64 {
        self.into()
    }
    fn narrow(native: u64) -> Self {
        // CAST: dropping the upper half is this function's contract.
        native as u32
    }
}

impl Widen<u64> for U64A4 {
    fn widen(self) -> u64 {
        self.get()
    }
    fn narrow(native: u64) -> Self {
        Self::new(native)
    }
}

impl<N, C: Widen<N>, const LEN: usize> Widen<[N; LEN]> for [C; LEN] {
    fn widen(self) -> [N; LEN] {
        self.map(C::widen)
    }
    fn narrow(native: [N; LEN]) -> Self {
        native.map(C::narrow)
    }
}

macro_rules! same_in_both_widths {
    ($($ty:ty),*) => {
        $(impl Widen<$ty> for $ty {
            fn widen(self) -> $ty {
                self
            }
            fn narrow(native: $ty) -> Self {
                native
            }
        })*
    };
}

same_in_both_widths!(u8, u16, u32, u64, i16, i32);

/// Reads a payload from the start of a union's bytes; `None` if it is longer than the union.
pub(crate) fn payload<T: zerocopy::FromBytes>(union: &[u8]) -> Option<T> {
    T::read_from_prefix(union).ok().map(|(value, _)| value)
}

/// Writes a payload over the start of a union's bytes and leaves the rest; `None`, without writing,
/// if it is longer than the union.
pub(crate) fn set_payload<T>(union: &mut [u8], value: &T) -> Option<()>
where
    T: zerocopy::IntoBytes + zerocopy::Immutable,
{
    value.write_to_prefix(union).ok()
}

/// A structure's row in the table that tests hold against Xen's headers.
#[cfg(test)]
pub(crate) struct Layout {
    /// The structure in Rust.
    pub(crate) rust: &'static str,
    /// The structure in C.
    pub(crate) c: &'static str,
    /// Bytes of the structure in C.
    pub(crate) size: usize,
    /// Each field that Xen names: its C name, byte offset and bytes.
    pub(crate) fields: &'static [(&'static str, usize, usize)],
}

/// Declares numbers, in groups of one type.
///
/// A group is `"C prefix" type [name function] { ... }`; an entry is `NAME = value, "C name";`
/// where prefix and name together are an expression that C must find equal to the value. A group
/// with a function in its brackets gets that function, from number to C name without the prefix
/// ("?" for an unknown number).
macro_rules! numbers {
    ($($prefix:literal $ty:ident $names:tt $body:tt)*) => {
        $(number_group! { $ty $names $body })*

        /// Every number above with the C expression that must equal it.
        #[cfg(test)]
        pub(in crate::abi) const NUMBERS: &[&[(&str, i128)]] =
            &[$(number_table! { $prefix $body }),*];
    };
}

/// Declares one group of [`numbers!`].
macro_rules! number_group {
    ($ty:ident [] { $($(#[$doc:meta])* $name:ident = $value:expr, $c:literal;)* }) => {
        $($(#[$doc])* pub(crate) const $name: $ty = $value;)*
    };
    ($ty:ident [$function:ident] {
        $($(#[$doc:meta])* $name:ident = $value:expr, $c:literal;)*
    }) => {
        $($(#[$doc])* pub(crate) const $name: $ty = $value;)*

        /// Returns Xen's name of a number, for logs; "?" if it has none.
        pub(crate) const fn $function(number: $ty) -> &'static str {
            match number {
                $($name => $c,)*
                _ => "?",
            }
        }
    };
}

/// Lists one group of [`numbers!`] for the check.
#[cfg(test)]
macro_rules! number_table {
    ($prefix:literal { $($(#[$doc:meta])* $name:ident = $value:expr, $c:literal;)* }) => {
        &[$((concat!($prefix, $c), $name as i128)),*]
    };
}

/// Declares structures: `struct Name: "C type" [bytes] { field: type, ... }`.
///
/// Derives what byte-wise copies need, proves the size, and in tests each field's place. A field is
/// called in Rust as in C unless `as "C name"` follows its type; fields starting with `_pad` are
/// padding and not looked up in C. `[bytes, bytes in C]` is for a structure that in C ends in an
/// array which is left out here.
macro_rules! layouts {
    ($(
        $(#[$doc:meta])*
        struct $name:ident: $c:literal [$size:literal $(, $c_size:literal)?] {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty $(as $field_c:literal)?,)*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(
                zerocopy_derive::FromBytes,
                zerocopy_derive::IntoBytes,
                zerocopy_derive::Immutable,
                zerocopy_derive::KnownLayout,
                Clone,
                Copy,
                Debug,
                PartialEq,
                Eq,
            )]
            pub(crate) struct $name {
                $($(#[$field_doc])* pub(crate) $field: $ty,)*
            }

            const _: () = assert!(core::mem::size_of::<$name>() == $size);
        )*

        /// Every structure above with its C type and the places of its fields.
        #[cfg(test)]
        pub(in crate::abi) const LAYOUTS: &[crate::abi::layout::Layout] = &[$(
            crate::abi::layout::Layout {
                rust: stringify!($name),
                c: $c,
                size: layouts!(@size $size $($c_size)?),
                fields: &[$((
                    layouts!(@c $field $($field_c)?),
                    core::mem::offset_of!($name, $field),
                    core::mem::size_of::<$ty>(),
                )),*],
            }
        ),*];
    };
    (@size $size:literal) => { $size };
    (@size $size:literal $c_size:literal) => { $c_size };
    (@c $field:ident) => { stringify!($field) };
    (@c $field:ident $c:literal) => { $c };
}

/// Converts structures of a `compat` module from and to the same-named one of its parent, field by
/// field: `widen! { Name { field, ... } }` with every field but the padding.
macro_rules! widen {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        $(impl crate::abi::layout::Widen<super::$name> for $name {
            fn widen(self) -> super::$name {
                let mut native: super::$name = zerocopy::FromZeros::new_zeroed();
                $(native.$field = crate::abi::layout::Widen::widen(self.$field);)*
                native
            }
            fn narrow(native: super::$name) -> Self {
                let mut compat: Self = zerocopy::FromZeros::new_zeroed();
                $(compat.$field = crate::abi::layout::Widen::narrow(native.$field);)*
                compat
            }
        })*

        #[cfg(test)]
        mod widen_tests {
            use super::*;
            use zerocopy::{FromBytes, IntoBytes};

            /// Each field of a 32-bit structure survives the way through the 64-bit one.
            #[test]
            fn widened_and_narrowed_loses_no_field() {
                $({
                    let filled = [0x5au8; core::mem::size_of::<$name>()];
                    let compat = $name::read_from_bytes(&filled[..]).unwrap();
                    let native = crate::abi::layout::Widen::<super::super::$name>::widen(compat);
                    let again = <$name as crate::abi::layout::Widen<_>>::narrow(native);
                    let layout = LAYOUTS
                        .iter()
                        .find(|l| l.rust == stringify!($name))
                        .unwrap();
                    for (field, offset, size) in layout.fields {
                        if !field.starts_with("_pad") {
                            let bytes = &again.as_bytes()[*offset..offset + size];
                            assert!(
                                bytes.contains(&0x5a),
                                "{}.{field} is lost",
                                stringify!($name)
                            );
                        }
                    }
                })*
            }
        }
    };
}
