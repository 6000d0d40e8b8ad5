// SPDX-License-Identifier: GPL-2.0-only

//! Sessions with a guest that lives in this process: it acts whenever it is notified.

use std::cell::{
    Cell,
    RefCell, //
};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::sys::eventfd::{
    EfdFlags,
    EventFd, //
};
use uuid::Uuid;

use super::*;
use crate::abi::console_io::{
    CONSOLE_IN,
    CONSOLE_IN_CONS,
    CONSOLE_IN_PROD,
    CONSOLE_IN_SIZE,
    CONSOLE_OUT,
    CONSOLE_OUT_CONS,
    CONSOLE_OUT_PROD,
    CONSOLE_OUT_SIZE, //
};
use crate::xen::mapping::{
    Access,
    Mapping, //
};
use crate::xen::mock::Mock;

/// A guest that echoes, and shuts down for the reason that a digit in its input gives.
struct Guest<'a> {
    hv: &'a Mock,
    page: File,
    event: EventFd,
    /// What it could not print yet.
    waiting: RefCell<VecDeque<u8>>,
    /// Whether it takes input.
    listens: Cell<bool>,
    /// Whether the event of its end is another process'.
    virq_taken: bool,
}

impl<'a> Guest<'a> {
    fn new(hv: &'a Mock) -> Self {
        let page = tempfile::tempfile().unwrap();
        page.set_len(4096).unwrap();
        let flags = EfdFlags::EFD_NONBLOCK;
        Self {
            hv,
            page,
            event: EventFd::from_flags(flags).unwrap(),
            waiting: RefCell::default(),
            listens: Cell::new(true),
            virq_taken: false,
        }
    }

    fn ring(&self) -> Ring {
        Ring::new(Mapping::new(&self.page, 0, 4096, Access::ReadWrite).unwrap())
    }

    fn get(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        self.page.read_exact_at(&mut bytes, offset as u64).unwrap();
        u32::from_le_bytes(bytes)
    }

    fn set(&self, offset: usize, value: u32) {
        self.page
            .write_all_at(&value.to_le_bytes(), offset as u64)
            .unwrap();
    }

    /// Prints what there is room for, and raises an event.
    fn print(&self, bytes: &[u8]) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.extend(bytes);
        let mut prod = self.get(CONSOLE_OUT_PROD);
        let used = prod.wrapping_sub(self.get(CONSOLE_OUT_CONS)) as usize;
        let count = waiting.len().min(CONSOLE_OUT_SIZE - used);
        for byte in waiting.drain(..count) {
            let at = CONSOLE_OUT + prod as usize % CONSOLE_OUT_SIZE;
            self.page.write_all_at(&[byte], at as u64).unwrap();
            prod = prod.wrapping_add(1);
        }
        self.set(CONSOLE_OUT_PROD, prod);
        if count > 0 {
            self.event.write(1).unwrap();
        }
    }

    /// Takes the input that there is.
    fn read(&self) -> Vec<u8> {
        let (mut cons, prod) = (self.get(CONSOLE_IN_CONS), self.get(CONSOLE_IN_PROD));
        let mut out = Vec::new();
        while self.listens.get() && cons != prod {
            let mut byte = [0];
            let at = CONSOLE_IN + cons as usize % CONSOLE_IN_SIZE;
            self.page.read_exact_at(&mut byte, at as u64).unwrap();
            out.push(byte[0]);
            cons = cons.wrapping_add(1);
        }
        self.set(CONSOLE_IN_CONS, cons);
        if !out.is_empty() {
            self.event.write(1).unwrap();
        }
        out
    }

    fn end(&self, reason: u32) {
        self.hv.domains.borrow_mut()[0].flags = 4 | (reason << 16);
        self.event.write(1).unwrap();
    }
}

impl Events for Guest<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn bind_virq(&self, virq: u32) -> std::result::Result<u32, Errno> {
        assert_eq!(virq, VIRQ_DOM_EXC);
        if self.virq_taken {
            Err(Errno::EEXIST)
        } else {
            Ok(2)
        }
    }

    fn notify(&self, port: u32) -> std::result::Result<(), Errno> {
        assert_eq!(port, 1);
        let bytes = self.read();
        self.print(&bytes);
        if let Some(digit) = bytes.iter().find(|byte| byte.is_ascii_digit()) {
            self.end(u32::from(digit - b'0'));
        }
        Ok(())
    }

    fn take(&self) -> Result<Vec<u32>> {
        Ok(self.event.read().map_or(vec![], |_| vec![1]))
    }
}

/// Runs a session on `typed`, as from a terminal or not; returns how it ended and what came out.
fn run(guest: &Guest<'_>, typed: &[u8], terminal: bool) -> (End, Vec<u8>) {
    let domain = DomainRef {
        domid: 8,
        name: None,
    };
    let signals = Signals::hold().unwrap();
    let mut session = Session::new(guest.hv, &domain, guest.ring(), (guest, 1), &signals);
    let (input, typing) = nix::unistd::pipe().unwrap();
    let (reading, output) = nix::unistd::pipe().unwrap();
    let typed = typed.to_vec();
    let keyboard = std::thread::spawn(move || {
        // A session that ends early does not take everything.
        let _ = File::from(typing).write_all(&typed);
    });
    let screen = std::thread::spawn(move || {
        let mut out = Vec::new();
        File::from(reading).read_to_end(&mut out).unwrap();
        out
    });
    let end = session
        .carry(input.as_fd(), terminal, output.as_fd())
        .unwrap();
    let close: [OwnedFd; 2] = [input, output];
    drop(close);
    keyboard.join().unwrap();
    (end, screen.join().unwrap())
}

fn mock() -> Mock {
    let hv = Mock::new();
    hv.add_domain(Uuid::nil());
    hv
}

#[test]
fn everything_arrives_through_rings_that_are_much_smaller() {
    let hv = mock();
    let guest = Guest::new(&hv);
    let mut typed: Vec<u8> = (0..200_000_u32).map(|at| b'a' + (at % 23) as u8).collect();
    typed.push(b'0');
    let (end, out) = run(&guest, &typed, false);
    assert_eq!(end, End::Shutdown(Reason::Poweroff));
    assert!(out.len() >= typed.len() - CONSOLE_OUT_SIZE);
    assert_eq!(out, typed[..out.len()]);
}

#[test]
fn the_end_of_the_input_is_not_the_end_of_the_guest() {
    let hv = mock();
    let guest = Guest {
        // Nobody tells of the end: it is found by looking.
        virq_taken: true,
        ..Guest::new(&hv)
    };
    guest.print(b"booting");
    let domain = DomainRef {
        domid: 8,
        name: None,
    };
    let signals = Signals::hold().unwrap();
    let mut session = Session::new(&hv, &domain, guest.ring(), (&guest, 1), &signals);
    let null = File::open("/dev/null").unwrap();
    let (reading, output) = nix::unistd::pipe().unwrap();
    assert_eq!(session.wait(null.as_fd(), false, 0).unwrap(), None);
    assert!(!session.input);
    hv.domains.borrow_mut()[0].flags = 4 | (3 << 16);
    let end = session.carry(null.as_fd(), false, output.as_fd()).unwrap();
    assert_eq!(end, End::Shutdown(Reason::Crash));
    drop(output);
    let mut out = Vec::new();
    File::from(reading).read_to_end(&mut out).unwrap();
    assert_eq!(out, b"booting");
}

#[test]
fn the_escape_key_works_when_the_guest_does_not_listen() {
    let hv = mock();
    let guest = Guest::new(&hv);
    guest.listens.set(false);
    let mut typed = vec![b'x'; 3 * PENDING_MAX];
    typed.extend_from_slice(b"\x1dq");
    let (end, _) = run(&guest, &typed, true);
    assert_eq!(end, End::Quit);
}

#[test]
fn on_a_pipe_no_key_is_special() {
    let hv = mock();
    let guest = Guest::new(&hv);
    let (end, out) = run(&guest, b"\x1dq1", false);
    assert_eq!(end, End::Shutdown(Reason::Reboot));
    assert_eq!(out, b"\x1dq1");
}

#[test]
fn a_domain_that_goes_away_ends_the_session() {
    let hv = mock();
    let guest = Guest::new(&hv);
    guest.print(b"last words");
    hv.domains.borrow_mut().clear();
    let (end, out) = run(&guest, b"", false);
    assert_eq!(end, End::Destroyed);
    assert_eq!(out, b"last words");
}

#[test]
fn a_closed_output_ends_the_session() {
    let hv = mock();
    let guest = Guest::new(&hv);
    guest.print(b"nobody reads this");
    let domain = DomainRef {
        domid: 8,
        name: None,
    };
    let signals = Signals::hold().unwrap();
    let mut session = Session::new(&hv, &domain, guest.ring(), (&guest, 1), &signals);
    let null = File::open("/dev/null").unwrap();
    let (reading, output) = nix::unistd::pipe().unwrap();
    drop(reading);
    let end = session.carry(null.as_fd(), false, output.as_fd()).unwrap();
    assert_eq!(end, End::OutputClosed);
}

#[test]
fn a_signal_ends_the_session_even_when_nobody_reads_the_output() {
    let hv = mock();
    let guest = Guest::new(&hv);
    let domain = DomainRef {
        domid: 8,
        name: None,
    };
    let signals = Signals::hold().unwrap();
    let mut session = Session::new(&hv, &domain, guest.ring(), (&guest, 1), &signals);
    let null = File::open("/dev/null").unwrap();
    let (_reading, output) = nix::unistd::pipe().unwrap();
    // Fill the pipe, so that writing has to wait.
    let full = nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(full)).unwrap();
    while nix::unistd::write(&output, &[0; 4096]).is_ok() {}
    guest.print(b"blocked");
    // To this thread only: the signal is held back here, and nowhere else in this process.
    // SAFETY: raising a signal for oneself has no precondition.
    unsafe { nix::libc::pthread_kill(nix::libc::pthread_self(), nix::libc::SIGTERM) };
    let end = session.carry(null.as_fd(), false, output.as_fd()).unwrap();
    assert_eq!(end, End::Signal(Signal::SIGTERM));
}
