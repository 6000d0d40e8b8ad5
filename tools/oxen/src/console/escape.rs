// SPDX-License-Identifier: GPL-2.0-only

//! The escape key: Ctrl-] and one more key, taken out of what a person types.

/// Ctrl-].
pub(crate) const KEY: u8 = 0x1d;

/// What the keys are, for the person who asks.
pub(crate) const HELP: &str = "Ctrl-] q  end this session\r\n\
                               Ctrl-] Ctrl-]  send Ctrl-] to the guest\r\n\
                               Ctrl-] ?  this help";

/// What the person wants, besides typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To end the session.
    Quit,
    /// To know the keys.
    Help,
}

/// Remembers whether the escape key was the last one.
#[derive(Debug, Default)]
pub(crate) struct Escape {
    pressed: bool,
}

impl Escape {
    /// Takes one byte of input: what of it is for the guest, and what the person wishes.
    pub(crate) fn take(&mut self, byte: u8) -> (Option<u8>, Option<Wish>) {
        if !self.pressed {
            self.pressed = byte == KEY;
            return ((byte != KEY).then_some(byte), None);
        }
        self.pressed = false;
        match byte {
            KEY => (Some(KEY), None),
            b'q' | b'Q' | b'.' => (None, Some(Wish::Quit)),
            // Any other key is a mistake; tell which ones there are.
            _ => (None, Some(Wish::Help)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &[u8]) -> (Vec<u8>, Vec<Wish>) {
        let mut escape = Escape::default();
        let (mut out, mut wishes) = (Vec::new(), Vec::new());
        for byte in input {
            let (sent, wish) = escape.take(*byte);
            out.extend(sent);
            wishes.extend(wish);
        }
        (out, wishes)
    }

    #[test]
    fn only_the_escape_key_is_special() {
        let all: Vec<u8> = (0..=255).filter(|byte| *byte != KEY).collect();
        assert_eq!(feed(&all), (all, vec![]));
        assert_eq!(feed(b"a\x1dqb"), (b"ab".to_vec(), vec![Wish::Quit]));
        assert_eq!(feed(b"\x1d\x1d\x1d\x1dq"), (b"\x1d\x1dq".to_vec(), vec![]));
        assert_eq!(feed(b"\x1d?q"), (b"q".to_vec(), vec![Wish::Help]));
        assert_eq!(feed(b"q\x1d"), (b"q".to_vec(), vec![]));
    }
}
