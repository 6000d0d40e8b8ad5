// SPDX-License-Identifier: GPL-2.0-only

//! The person's terminal: raw while a session lasts, as it was before afterwards.

use std::io::{
    stdin,
    IsTerminal,
    Write, //
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};

use nix::sys::termios::{
    cfmakeraw,
    tcgetattr,
    tcsetattr,
    SetArg,
    Termios, //
};

use crate::error::{
    Context,
    Result, //
};

/// Whether lines have to end with a carriage return to look right.
static RAW: AtomicBool = AtomicBool::new(false);

/// A terminal in raw mode.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Puts the terminal of standard input into raw mode; without one there is nothing to do.
    ///
    /// # Errors
    ///
    /// Fails as tcsetattr(3) does.
    pub(crate) fn enter() -> Result<Option<Self>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).step("read the terminal's settings")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &raw).step("set the terminal to raw mode")?;
        RAW.store(true, Ordering::Relaxed);
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        RAW.store(false, Ordering::Relaxed);
        // Whoever has hung up on us needs no settings.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Tells the person something, beside the guest's output.
pub(crate) fn say(text: &str) {
    let end = if RAW.load(Ordering::Relaxed) {
        "\r\n"
    } else {
        "\n"
    };
    // There is nobody to tell that nobody can be told.
    let _ = std::io::stderr().write_all(format!("oxen: {text}{end}").as_bytes());
}
