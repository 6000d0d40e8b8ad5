// SPDX-License-Identifier: GPL-2.0-only

//! A set of interrupt vectors, in the shape of the APIC's 256-bit registers.

/// A set of vectors that one thread owns.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Vectors([u32; 8]);

/// Returns the register (0 to 7) and the bit that stand for `vector`.
#[inline]
pub(crate) const fn place(vector: u8) -> (usize, u32) {
    // CAST: at most 7.
    ((vector >> 5) as usize, 1u32 << (vector & 31))
}

/// Returns the highest vector of register `register` whose contents are `bits`, or `None` if it is
/// empty. `register` must be below 8, or the result means nothing.
#[inline]
pub(crate) const fn highest_in(register: usize, bits: u32) -> Option<u8> {
    if bits == 0 {
        return None;
    }
    // CAST: 7 * 32 + 31 = 255 at most.
    Some(((register as u32 & 7) * 32 + 31 - bits.leading_zeros()) as u8)
}

impl Vectors {
    /// Makes a set of the eight registers' contents, vector 0 in bit 0 of the first.
    pub(crate) const fn from_registers(registers: [u32; 8]) -> Self {
        Self(registers)
    }

    /// Adds `vector`.
    #[inline]
    pub(crate) fn insert(&mut self, vector: u8) {
        let (register, bit) = place(vector);
        if let Some(word) = self.0.get_mut(register) {
            *word |= bit;
        }
    }

    /// Takes `vector` out.
    #[inline]
    pub(crate) fn remove(&mut self, vector: u8) {
        let (register, bit) = place(vector);
        if let Some(word) = self.0.get_mut(register) {
            *word &= !bit;
        }
    }

    /// Returns whether `vector` is in the set.
    #[inline]
    #[cfg(test)]
    pub(crate) fn contains(&self, vector: u8) -> bool {
        let (register, bit) = place(vector);
        self.register(register) & bit != 0
    }

    /// Returns the highest vector of the set.
    #[inline]
    pub(crate) fn highest(&self) -> Option<u8> {
        self.0
            .iter()
            .enumerate()
            .rev()
            .find_map(|(register, bits)| highest_in(register, *bits))
    }

    /// Returns the contents of one of the eight registers, 0 for a number above 7.
    #[inline]
    pub(crate) fn register(&self, register: usize) -> u32 {
        self.0.get(register).copied().unwrap_or(0)
    }

    /// Returns whether the set holds a vector below 16, which no interrupt can have.
    pub(crate) fn holds_illegal(&self) -> bool {
        self.register(0) & 0xffff != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set(
            ops in proptest::collection::vec((any::<bool>(), any::<u8>()), 0..200),
        ) {
            let mut model = BTreeSet::new();
            let mut set = Vectors::default();
            for (add, vector) in ops {
                if add {
                    set.insert(vector);
                    model.insert(vector);
                } else {
                    set.remove(vector);
                    model.remove(&vector);
                }
                prop_assert_eq!(set.highest(), model.last().copied());
                prop_assert_eq!(set.contains(vector), model.contains(&vector));
                prop_assert_eq!(set.holds_illegal(), model.first().is_some_and(|v| *v < 16));
            }
        }
    }
}
