// SPDX-License-Identifier: GPL-2.0-only

//! A small client of xenstored, where one runs: names that other tools gave, and requests to
//! guests.
//!
//! Source: Xen's `io/xs_wire.h`.

use std::io::{
    Read,
    Write, //
};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::error::{
    Context,
    Error,
    Result, //
};

/// Where xenstored listens.
const SOCKET: &str = "/run/xenstored/socket";
/// The longest payload.
const PAYLOAD_MAX: usize = 4096;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Message types.
const READ: u32 = 2;
const WRITE: u32 = 11;
const WATCH_EVENT: u32 = 15;
const ERROR: u32 = 16;

/// A connection to xenstored.
#[derive(Debug)]
pub(crate) struct Xenstore {
    stream: UnixStream,
}

impl Xenstore {
    /// Connects to xenstored, or returns `None` if none runs.
    pub(crate) fn connect() -> Option<Self> {
        Self::at(Path::new(SOCKET))
    }

    /// Connects to the socket `path`.
    fn at(path: &Path) -> Option<Self> {
        let stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream })
    }

    /// Sends a request and returns the payload of its answer.
    fn request(&mut self, kind: u32, payload: &[u8]) -> Result<Vec<u8>> {
        if payload.len() > PAYLOAD_MAX {
            return Err(Error::text("the request to xenstored is too long"));
        }
        let mut message = Vec::new();
        // Type, request number, transaction, length.
        for field in [kind, 0, 0, payload.len() as u32] {
            message.extend_from_slice(&field.to_ne_bytes());
        }
        message.extend_from_slice(payload);
        self.stream.write_all(&message)?;
        loop {
            let mut header = [[0; 4]; 4];
            self.stream.read_exact(header.as_flattened_mut())?;
            let [answer, _, _, length] = header.map(u32::from_ne_bytes);
            let length = length as usize;
            if length > PAYLOAD_MAX {
                return Err(Error::text("xenstored's answer is too long"));
            }
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload)?;
            match answer {
                WATCH_EVENT => {}
                ERROR => {
                    let name = String::from_utf8_lossy(&payload);
                    return Err(Error::text(format!(
                        "xenstored says {}",
                        name.trim_end_matches('\0')
                    )));
                }
                answer if answer == kind => return Ok(payload),
                answer => {
                    return Err(Error::text(format!(
                        "xenstored's answer is of type {answer}"
                    )))
                }
            }
        }
    }

    /// Reads the value of the node `path`.
    ///
    /// # Errors
    ///
    /// Fails if there is no such node, or xenstored does not answer.
    pub(crate) fn read(&mut self, path: &str) -> Result<String> {
        let value = self
            .request(READ, format!("{path}\0").as_bytes())
            .step(format!("read {path} in xenstore"))?;
        Ok(String::from_utf8_lossy(&value).into_owned())
    }

    /// Writes the value of the node `path`.
    ///
    /// # Errors
    ///
    /// Fails if it may not be written, or xenstored does not answer.
    pub(crate) fn write(&mut self, path: &str, value: &str) -> Result {
        self.request(WRITE, format!("{path}\0{value}").as_bytes())
            .step(format!("write {path} in xenstore"))
            .map(drop)
    }
}

/// Returns the name that another tool gave a domain.
pub(crate) fn name(domid: u16) -> Option<String> {
    Xenstore::connect()?
        .read(&format!("/local/domain/{domid}/name"))
        .ok()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn speaks_the_wire_protocol() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            for answer in [
                (WATCH_EVENT, &b"noise"[..]),
                (READ, b"web"),
                (WRITE, b"OK\0"),
                (ERROR, b"ENOENT\0"),
            ] {
                if answer.0 != READ {
                    let mut header = [[0; 4]; 4];
                    stream.read_exact(header.as_flattened_mut()).unwrap();
                    let header = header.map(u32::from_ne_bytes);
                    let mut payload = vec![0; header[3] as usize];
                    stream.read_exact(&mut payload).unwrap();
                    seen.push((header[0], payload));
                }
                for field in [answer.0, 0, 0, answer.1.len() as u32] {
                    stream.write_all(&field.to_ne_bytes()).unwrap();
                }
                stream.write_all(answer.1).unwrap();
            }
            seen
        });
        let mut store = Xenstore::at(&path).unwrap();
        assert_eq!(store.read("/a").unwrap(), "web");
        store.write("/b", "poweroff").unwrap();
        let err = store.read("/c").unwrap_err().to_string();
        assert_eq!(err, "step 'read /c in xenstore': xenstored says ENOENT");
        assert_eq!(
            server.join().unwrap(),
            [
                (READ, b"/a\0".to_vec()),
                (WRITE, b"/b\0poweroff".to_vec()),
                (READ, b"/c\0".to_vec())
            ]
        );
        assert!(Xenstore::at(&directory.path().join("none")).is_none());
    }
}
