// SPDX-License-Identifier: GPL-2.0-only

//! A session: carries bytes between a guest's ring and this process until one of them ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{
    stdin,
    stdout,
    IsTerminal,
    Write, //
};
use std::os::fd::{
    AsFd,
    BorrowedFd, //
};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{
    poll,
    PollFd,
    PollFlags,
    PollTimeout, //
};
use nix::sys::signal::Signal;

use super::escape::{
    Escape,
    Wish,
    HELP, //
};
use super::ring::{
    Found,
    Ring, //
};
use super::share::Share;
use super::signals::Signals;
use super::terminal::say;
use crate::abi::xen::VIRQ_DOM_EXC;
use crate::domain::state::{
    Reason,
    State, //
};
use crate::error::{
    Context,
    DomainRef,
    Error,
    Result, //
};
use crate::xen::evtchn::Events;
use crate::xen::{
    domctl,
    Hypervisor, //
};

/// How often to look at the domain when its end raises an event, in ms: only in case one is lost.
const SLOW: u16 = 1000;
/// How often when it does not, because another process has that event.
const FAST: u16 = 100;
/// How much input waits for the guest, in bytes.
const PENDING_MAX: usize = 4096;
/// How much a pipe takes without blocking once it is writable, in bytes (PIPE_BUF).
const OUTPUT_CHUNK: usize = 4096;

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The domain has shut down.
    Shutdown(Reason),
    /// The domain is gone or going.
    Destroyed,
    /// The person has pressed the escape key.
    Quit,
    /// A signal has arrived.
    Signal(Signal),
    /// Nobody reads the output any more.
    OutputClosed,
}

/// What a session works with.
pub(crate) struct Session<'a> {
    /// The hypervisor.
    pub(crate) hv: &'a dyn Hypervisor,
    /// The domain.
    pub(crate) domain: &'a DomainRef,
    /// Its console.
    pub(crate) ring: Ring,
    /// Where its events arrive.
    pub(crate) evtchn: &'a dyn Events,
    /// The console's local port.
    pub(crate) port: u32,
    /// Signals.
    pub(crate) signals: &'a Signals,
    /// Who else takes part.
    pub(crate) share: Option<Share>,
    /// A copy of the output.
    pub(crate) log: Option<File>,
    /// Whether standard input goes to the guest.
    pub(crate) input: bool,
    /// When the guest first wrote something.
    pub(crate) first_output: Option<Instant>,
    pending: VecDeque<u8>,
    escape: Escape,
    complained: bool,
}

impl<'a> Session<'a> {
    /// Begins a session with a domain whose console is `ring`, notified through `port`.
    pub(crate) fn new(
        hv: &'a dyn Hypervisor,
        domain: &'a DomainRef,
        ring: Ring,
        (evtchn, port): (&'a dyn Events, u32),
        signals: &'a Signals,
    ) -> Self {
        Self {
            hv,
            domain,
            ring,
            evtchn,
            port,
            signals,
            share: None,
            log: None,
            input: true,
            first_output: None,
            pending: VecDeque::new(),
            escape: Escape::default(),
            complained: false,
        }
    }

    /// Carries bytes between the guest and standard input and output until something ends.
    ///
    /// # Errors
    ///
    /// Fails if one of the devices does.
    pub(crate) fn run(&mut self) -> Result<End> {
        let (stdin, stdout) = (stdin(), stdout());
        let terminal = stdin.is_terminal();
        self.carry(stdin.as_fd(), terminal, stdout.as_fd())
    }

    /// Carries bytes from `input`, which may be a terminal, and to `output`.
    fn carry(
        &mut self,
        input: BorrowedFd<'_>,
        terminal: bool,
        output: BorrowedFd<'_>,
    ) -> Result<End> {
        // One process of the host can have this event; whoever has not looks more often.
        let virq = self.evtchn.bind_virq(VIRQ_DOM_EXC).ok();
        let timeout = if virq.is_some() { SLOW } else { FAST };
        loop {
            // Take the events first: what the guest does after that raises a new one.
            self.evtchn.take()?;
            if let Some(end) = self.drain(output)? {
                return Ok(end);
            }
            if let Some(end) = self.look()? {
                // What the guest wrote last was there before it ended.
                self.drain(output)?;
                return Ok(end);
            }
            self.feed()?;
            if let Some(end) = self.wait(input, terminal, timeout)? {
                return Ok(end);
            }
        }
    }

    /// Waits for anything to happen, and takes what the person and the clients type.
    fn wait(&mut self, stdin: BorrowedFd<'_>, terminal: bool, timeout: u16) -> Result<Option<End>> {
        // A pipe can wait; a person's escape key cannot.
        let listen = self.input && (terminal || self.pending.len() < PENDING_MAX);
        let mut fds = vec![
            PollFd::new(self.evtchn.fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if listen {
            fds.push(PollFd::new(stdin, PollFlags::POLLIN));
        }
        if self.pending.len() < PENDING_MAX {
            let clients = self.share.iter().flat_map(Share::fds);
            fds.extend(clients.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        }
        match poll(&mut fds, PollTimeout::from(timeout)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).step("wait for the guest"),
        }
        let typed = listen && fds.get(2).and_then(PollFd::any).unwrap_or(false);
        drop(fds);
        if let Some(signal) = self.signals.take() {
            return Ok(Some(End::Signal(signal)));
        }
        if self.pending.len() < PENDING_MAX {
            if let Some(share) = &mut self.share {
                self.pending.extend(share.serve());
            }
        }
        if typed {
            return self.read_input(stdin, terminal);
        }
        Ok(None)
    }

    /// Reads standard input, which has something.
    fn read_input(&mut self, stdin: BorrowedFd<'_>, terminal: bool) -> Result<Option<End>> {
        let mut buffer = [0; 512];
        let count = match nix::unistd::read(stdin, &mut buffer) {
            Ok(count) => count,
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(None),
            // A terminal that has gone away.
            Err(Errno::EIO) => 0,
            Err(errno) => return Err(errno).step("read standard input"),
        };
        if count == 0 {
            // The end of the input is not the end of the guest.
            self.input = false;
            return Ok(None);
        }
        for byte in buffer.get(..count).unwrap_or_default() {
            if !terminal {
                self.pending.push_back(*byte);
                continue;
            }
            let (sent, wish) = self.escape.take(*byte);
            if self.pending.len() < PENDING_MAX {
                self.pending.extend(sent);
            }
            match wish {
                Some(Wish::Quit) => return Ok(Some(End::Quit)),
                Some(Wish::Help) => say(HELP),
                None => {}
            }
        }
        Ok(None)
    }

    /// Gives the guest what waits for it, as far as there is room.
    fn feed(&mut self) -> Result {
        if self.pending.is_empty() {
            return Ok(());
        }
        let count = self.ring.write(self.pending.iter().copied());
        if count > 0 {
            self.pending.drain(..count);
            self.notify()?;
        }
        Ok(())
    }

    /// Tells the guest that the ring has changed.
    fn notify(&self) -> Result {
        match self.evtchn.notify(self.port) {
            // A domain that is being destroyed closes its ports; its end is noticed soon.
            Ok(()) | Err(Errno::ENOTCONN | Errno::EINVAL) => Ok(()),
            Err(errno) => Err(errno).step("notify the guest's console"),
        }
    }

    /// Puts out what the guest has written.
    fn drain(&mut self, output: BorrowedFd<'_>) -> Result<Option<End>> {
        let mut bytes = Vec::new();
        match self.ring.read(&mut bytes) {
            Found::Nothing => return Ok(None),
            Found::Bytes => {}
            Found::Nonsense => {
                if !self.complained {
                    say(&format!(
                        "{}: its console ring makes no sense; some output is lost",
                        self.domain
                    ));
                    self.complained = true;
                }
            }
        }
        self.notify()?;
        self.first_output.get_or_insert_with(Instant::now);
        if let Some(log) = &mut self.log {
            if let Err(err) = log.write_all(&bytes) {
                say(&format!(
                    "{}: the console log cannot be written: {err}",
                    self.domain
                ));
                self.log = None;
            }
        }
        if let Some(share) = &mut self.share {
            share.tell(&bytes);
        }
        for chunk in bytes.chunks(OUTPUT_CHUNK) {
            if let Some(end) = self.put(output, chunk)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Writes to the output; a reader that does not read cannot keep a signal from being seen.
    fn put(&self, output: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<Option<End>> {
        while !bytes.is_empty() {
            let mut fds = [
                PollFd::new(output, PollFlags::POLLOUT),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno).step("wait for standard output"),
            }
            if let Some(signal) = self.signals.take() {
                return Ok(Some(End::Signal(signal)));
            }
            match nix::unistd::write(output, bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(Errno::EPIPE | Errno::EIO) => return Ok(Some(End::OutputClosed)),
                Err(errno) => return Err(errno).step("write standard output"),
            }
        }
        Ok(None)
    }

    /// Looks whether the domain still lives.
    fn look(&self) -> Result<Option<End>> {
        match domctl::info(self.hv, self.domain.domid) {
            Ok(info) => Ok(match State::new(info.flags) {
                State::Dying => Some(End::Destroyed),
                State::Shutdown(reason) => Some(End::Shutdown(reason)),
                _ => None,
            }),
            Err(Errno::ESRCH) => Ok(Some(End::Destroyed)),
            Err(errno) => Err(Error::from(errno).step("look at the domain")),
        }
    }
}

/// Carries bytes between standard input and output and a console that another process shares.
///
/// # Errors
///
/// Fails as read(2) and write(2) do.
pub(crate) fn relay(stream: &std::os::unix::net::UnixStream, signals: &Signals) -> Result<End> {
    let stdin = stdin();
    let terminal = stdin.is_terminal();
    let mut escape = Escape::default();
    let mut input = true;
    loop {
        let mut fds = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stream.as_fd(), PollFlags::POLLIN),
        ];
        if input {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).step("wait for the console"),
        }
        let ready = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        if let Some(signal) = signals.take() {
            return Ok(End::Signal(signal));
        }
        let mut buffer = [0; 4096];
        if ready(1) {
            let count = nix::unistd::read(stream.as_fd(), &mut buffer).unwrap_or(0);
            let Some(bytes @ [_, ..]) = buffer.get(..count) else {
                return Ok(End::Destroyed);
            };
            if stdout()
                .write_all(bytes)
                .and_then(|()| stdout().flush())
                .is_err()
            {
                return Ok(End::OutputClosed);
            }
        }
        if ready(2) {
            let count = nix::unistd::read(stdin.as_fd(), &mut buffer).unwrap_or(0);
            input = count > 0;
            let mut bytes = Vec::new();
            for byte in buffer.get(..count).unwrap_or_default() {
                if !terminal {
                    bytes.push(*byte);
                    continue;
                }
                let (sent, wish) = escape.take(*byte);
                bytes.extend(sent);
                match wish {
                    Some(Wish::Quit) => return Ok(End::Quit),
                    Some(Wish::Help) => say(HELP),
                    None => {}
                }
            }
            if (&mut &*stream).write_all(&bytes).is_err() {
                return Ok(End::Destroyed);
            }
        }
    }
}

#[cfg(test)]
mod tests;
