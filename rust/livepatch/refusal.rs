// SPDX-License-Identifier: GPL-2.0-only

//! Why a payload is refused: an error number for the tool, a line for the log.

use core::fmt;
use core::fmt::Write;

use crate::abi::errno::Errno;

/// Bytes of a name that a refusal keeps: the last ones, which say most in a mangled name.
const NAME_MAX: usize = 72;

/// Why something is refused.
#[derive(Clone, Copy)]
pub(crate) struct Refusal {
    /// What the tool gets.
    pub(crate) errno: Errno,
    /// What is wrong, in words.
    pub(crate) why: &'static str,
    /// A number that belongs to it.
    number: Option<u64>,
    /// The section or symbol that it is about.
    name: [u8; NAME_MAX],
    len: u8,
}

/// The result of looking at a payload.
pub(crate) type Result<T = ()> = core::result::Result<T, Refusal>;

impl Refusal {
    /// About the payload as a whole.
    pub(crate) const fn new(errno: Errno, why: &'static str) -> Self {
        Self {
            errno,
            why,
            number: None,
            name: [0; NAME_MAX],
            len: 0,
        }
    }

    /// Names the section or symbol that it is about, unless that is known already.
    pub(crate) fn of(mut self, name: &[u8]) -> Self {
        if self.len == 0 {
            let tail = name.get(name.len().saturating_sub(NAME_MAX)..);
            for (to, from) in self.name.iter_mut().zip(tail.unwrap_or(&[])) {
                *to = *from;
            }
            // CAST: At most `NAME_MAX`.
            self.len = name.len().min(NAME_MAX) as u8;
        }
        self
    }

    /// Adds a number.
    pub(crate) const fn with(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// The name, as it came.
    pub(crate) fn name(&self) -> &[u8] {
        self.name.get(..self.len.into()).unwrap_or(&[])
    }
}

/// Shows bytes that somebody else chose: what is not plain text becomes a question mark.
pub(crate) struct Plain<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            f.write_char(match byte {
                b' '..=b'~' => byte.into(),
                _ => '?',
            })
        })
    }
}

/// Shows bytes as hexadecimal digits, as identities of builds are written.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len != 0 {
            write!(f, "{}: ", Plain(self.name()))?;
        }
        f.write_str(self.why)?;
        match self.number {
            Some(number) => write!(f, " ({number:#x})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::errno::EINVAL;

    #[test]
    fn names_what_it_is_about() {
        let refusal = Refusal::new(EINVAL, "is too long");
        assert_eq!(refusal.to_string(), "is too long");
        let refusal = refusal.of(b".te\x1bxt").with(16).of(b"later");
        assert_eq!(refusal.to_string(), ".te?xt: is too long (0x10)");
        assert_eq!(refusal.of(&[b'a'; 300]).name(), b".te\x1bxt");
        assert_eq!(
            Refusal::new(EINVAL, "").of(&[b'a'; 300]).name().len(),
            NAME_MAX
        );
        assert_eq!(Hex(&[0, 0xab]).to_string(), "00ab");
    }
}
