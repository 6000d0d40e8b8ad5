// SPDX-License-Identifier: GPL-2.0-only

//! What tools are shown of a payload: what it says of itself, and how long the last action on it took.
//!
//! The text of a payload never changes its length: a tool asks how long all texts are before it asks for them.

use super::refusal::Result;
use crate::sys::alloc::{
    KVec,
    GFP_KERNEL, //
};

/// How long the parts of an action took, in nanoseconds.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Until no tool was inside the hypervisor.
    pub(crate) tools: u64,
    /// From then on until no vCPU was.
    pub(crate) vcpus: u64,
    /// The writing, with hooks and until every processor had taken note.
    pub(crate) write: u64,
    /// All in which vCPUs were kept from running.
    pub(crate) pause: u64,
}

impl Times {
    /// Names and values, in the order in which they are shown.
    const fn shown(&self) -> [(&'static [u8], u64); 4] {
        [
            (b"pause_ns=", self.pause),
            (b"wait_tools_ns=", self.tools),
            (b"wait_vcpus_ns=", self.vcpus),
            (b"write_ns=", self.write),
        ]
    }
}

/// Digits of a number. More than can be is shown as the most that can.
const DIGITS: usize = 10;

/// Appends the times to what a payload says of itself.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn append(text: &mut KVec<u8>) -> Result {
    for (name, _) in Times::default().shown() {
        let mut add = |bytes: &[u8]| {
            text.extend_from_slice(bytes, GFP_KERNEL)
                .map_err(super::load::no_memory)
        };
        add(name)?;
        add(&[b'0'; DIGITS])?;
        add(&[0])?;
    }
    Ok(())
}

/// Writes the times of the last action over those of the one before.
pub(crate) fn update(text: &mut [u8], times: &Times) {
    let mut end = text.len();
    for (name, mut value) in times.shown().into_iter().rev() {
        value = value.min(9_999_999_999);
        // In front of the zero, the last digit first.
        for offset in 2..2 + DIGITS {
            if let Some(digit) = end.checked_sub(offset).and_then(|at| text.get_mut(at)) {
                // CAST: A digit.
                *digit = b'0' + (value % 10) as u8;
            }
            value /= 10;
        }
        end = end.saturating_sub(name.len() + DIGITS + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_7_the_times_are_in_the_text_which_keeps_its_length() {
        let mut text = KVec::new();
        text.extend_from_slice(b"author=me\0", GFP_KERNEL).unwrap();
        append(&mut text).unwrap();
        let len = text.len();
        let times = Times {
            tools: 12,
            vcpus: 345,
            write: 6,
            pause: u64::MAX,
        };
        update(&mut text, &times);
        let shown = "author=me|pause_ns=9999999999|wait_tools_ns=0000000012|\
            wait_vcpus_ns=0000000345|write_ns=0000000006|";
        assert_eq!(&text[..], shown.replace('|', "\0").as_bytes());
        update(&mut text, &Times::default());
        assert_eq!(text.len(), len);
        assert!(text.starts_with(b"author=me\0pause_ns=0000000000\0"));
    }
}
