// SPDX-License-Identifier: GPL-2.0-only

//! Lets other `oxen console` processes take part in a console that this process holds.
//!
//! A guest's console port can be connected once. The process that holds it listens on a socket in
//! `/run/oxen`, gives every client what the guest writes, and the guest what any client writes.

use std::collections::VecDeque;
use std::fs;
use std::io::{
    ErrorKind,
    Read,
    Write, //
};
use std::os::fd::{
    AsFd,
    BorrowedFd, //
};
use std::os::unix::net::{
    UnixListener,
    UnixStream, //
};
use std::path::{
    Path,
    PathBuf, //
};

use crate::error::{
    Context,
    Result, //
};

/// How much of the past a new client is told, in bytes.
const BACKLOG: usize = 16 << 10;
/// How many clients there may be.
const CLIENTS_MAX: usize = 16;

/// The socket, and who is connected.
pub(crate) struct Share {
    listener: UnixListener,
    path: PathBuf,
    clients: Vec<UnixStream>,
    backlog: VecDeque<u8>,
}

impl Share {
    /// Listens on `path`, in a directory that only root can enter.
    ///
    /// # Errors
    ///
    /// Fails as bind(2) does.
    pub(crate) fn listen(path: &Path) -> Result<Self> {
        let step = format!("listen on {}", path.display());
        match fs::remove_file(path) {
            Err(err) if err.kind() != ErrorKind::NotFound => return Err(err).step(step),
            _ => {}
        }
        let listener = UnixListener::bind(path).step(&step)?;
        listener.set_nonblocking(true).step(&step)?;
        Ok(Self {
            listener,
            path: path.into(),
            clients: Vec::new(),
            backlog: VecDeque::new(),
        })
    }

    /// Returns what to wait for: the listener, then the clients.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(AsFd::as_fd))
    }

    /// Takes new clients, and what the others have typed.
    pub(crate) fn serve(&mut self) -> Vec<u8> {
        let mut typed = Vec::new();
        self.clients.retain_mut(|client| {
            let mut buffer = [0; 512];
            match client.read(&mut buffer) {
                Ok(0) => false,
                Ok(count) => {
                    typed.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    true
                }
                Err(err) => matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
        while let Ok((mut client, _)) = self.listener.accept() {
            let past = self.backlog.make_contiguous();
            if self.clients.len() < CLIENTS_MAX
                && client.set_nonblocking(true).is_ok()
                && client.write_all(past).is_ok()
            {
                self.clients.push(client);
            }
        }
        typed
    }

    /// Gives every client what the guest has written. A client that does not read is let go.
    pub(crate) fn tell(&mut self, bytes: &[u8]) {
        self.clients
            .retain_mut(|client| client.write_all(bytes).is_ok());
        self.backlog.extend(bytes);
        let excess = self.backlog.len().saturating_sub(BACKLOG);
        self.backlog.drain(..excess);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(client: &mut UnixStream, count: usize) -> Vec<u8> {
        let mut out = vec![0; count];
        client.read_exact(&mut out).unwrap();
        out
    }

    #[test]
    fn clients_see_the_past_and_the_present_and_are_heard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("3.console");
        fs::write(&path, "left over").unwrap();
        let mut share = Share::listen(&path).unwrap();
        share.tell(&[b'.'; BACKLOG]);
        share.tell(b"login: ");
        let mut one = UnixStream::connect(&path).unwrap();
        assert!(share.serve().is_empty());
        let past = read(&mut one, BACKLOG);
        assert!(past.ends_with(b".login: "));
        let mut two = UnixStream::connect(&path).unwrap();
        share.serve();
        read(&mut two, BACKLOG);
        share.tell(b"hello");
        assert_eq!(read(&mut one, 5), b"hello");
        assert_eq!(read(&mut two, 5), b"hello");
        one.write_all(b"root\r").unwrap();
        assert_eq!(share.serve(), b"root\r");
        drop(two);
        assert!(share.serve().is_empty());
        assert_eq!(share.clients.len(), 1);
        // A client that does not read is let go, and does not hold up the guest.
        for _ in 0..10_000 {
            share.tell(&[b'x'; 1024]);
        }
        assert!(share.clients.is_empty());
        drop(share);
        assert!(!path.exists());
    }
}
