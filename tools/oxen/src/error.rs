// SPDX-License-Identifier: GPL-2.0-only

//! The one error type: which domain, which step, what went wrong, and the way out.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// The result of anything that a person may have to be told about.
pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

/// A domain as messages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DomainRef {
    /// The domain's number.
    pub(crate) domid: u16,
    /// Its name, where one is known.
    pub(crate) name: Option<String>,
}

impl fmt::Display for DomainRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "domain {} ({name})", self.domid),
            None => write!(f, "domain {}", self.domid),
        }
    }
}

/// What went wrong, without where.
#[derive(Debug)]
enum Cause {
    /// An error number, from the hypervisor or from the host's kernel.
    Errno(Errno),
    /// An input or output error that carries no error number.
    Io(io::Error),
    /// A finding of our own.
    Text(String),
    /// A signal that ended the work.
    Signal(Signal),
}

/// A failure, as it is printed: `domain 3 (web): step 'x': cause (ENAME) — way out`.
#[derive(Debug)]
pub(crate) struct Error {
    domain: Option<DomainRef>,
    step: Option<String>,
    cause: Cause,
    hint: Option<String>,
}

impl Error {
    /// Makes an error out of a finding of our own.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::new(Cause::Text(text.into()))
    }

    /// Makes an error out of a signal that has ended the work.
    pub(crate) const fn signal(signal: Signal) -> Self {
        Self::new(Cause::Signal(signal))
    }

    /// Returns the exit status that tells of this failure: as a shell has it for a signal, or 1.
    pub(crate) const fn status(&self) -> u8 {
        match &self.cause {
            Cause::Signal(signal) => 128 + *signal as u8,
            Cause::Errno(_) | Cause::Io(_) | Cause::Text(_) => 1,
        }
    }

    const fn new(cause: Cause) -> Self {
        Self {
            domain: None,
            step: None,
            cause,
            hint: None,
        }
    }

    /// Names the step that failed, unless a deeper layer has named it already.
    pub(crate) fn step(mut self, step: impl Into<String>) -> Self {
        self.step.get_or_insert_with(|| step.into());
        self
    }

    /// Adds the way out, unless a deeper layer knew a better one.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Names the domain, unless it is named already.
    pub(crate) fn domain(mut self, domain: &DomainRef) -> Self {
        self.domain.get_or_insert_with(|| domain.clone());
        self
    }

    /// Returns the error number behind the failure, if there is one.
    pub(crate) const fn errno(&self) -> Option<Errno> {
        match &self.cause {
            Cause::Errno(errno) => Some(*errno),
            Cause::Io(_) | Cause::Text(_) | Cause::Signal(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(domain) = &self.domain {
            write!(f, "{domain}: ")?;
        }
        if let Some(step) = &self.step {
            write!(f, "step '{step}': ")?;
        }
        match &self.cause {
            Cause::Errno(errno) => {
                // The C library's words, which every other tool on the machine uses as well.
                let text = io::Error::from_raw_os_error(*errno as i32).to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                write!(f, "{text} ({errno:?})")?;
            }
            Cause::Io(err) => write!(f, "{err}")?,
            Cause::Text(text) => f.write_str(text)?,
            Cause::Signal(signal) => write!(f, "stopped by {signal}")?,
        }
        if let Some(hint) = &self.hint {
            write!(f, " — {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::new(Cause::Errno(errno))
    }
}

impl From<io::Error> for Error {
    fn from(err: io::Error) -> Self {
        match err.raw_os_error() {
            Some(raw) => Self::new(Cause::Errno(Errno::from_raw(raw))),
            None => Self::new(Cause::Io(err)),
        }
    }
}

/// Lets any result that can become ours carry its step and its way out.
pub(crate) trait Context<T> {
    /// Names the step that failed.
    ///
    /// # Errors
    ///
    /// Passes the failure on.
    fn step(self, step: impl Into<String>) -> Result<T>;

    /// Adds the way out when the failure is `errno`.
    ///
    /// # Errors
    ///
    /// Passes the failure on.
    fn hint_on(self, errno: Errno, hint: impl Into<String>) -> Result<T>;

    /// Adds the way out whatever the failure is.
    ///
    /// # Errors
    ///
    /// Passes the failure on.
    fn hint(self, hint: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T> {
        self.map_err(|err| err.into().step(step))
    }

    fn hint_on(self, errno: Errno, hint: impl Into<String>) -> Result<T> {
        self.map_err(|err| {
            let err = err.into();
            if err.errno() == Some(errno) {
                err.hint(hint)
            } else {
                err
            }
        })
    }

    fn hint(self, hint: impl Into<String>) -> Result<T> {
        self.map_err(|err| err.into().hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_domain_step_cause_and_way_out() {
        let err = Err::<(), _>(Errno::ENOMEM)
            .hint_on(Errno::EPERM, "never shown")
            .hint_on(Errno::ENOMEM, "use a smaller --memory")
            .step("populate 512 MiB")
            .step("an outer step never replaces the inner one")
            .map_err(|err| {
                err.domain(&DomainRef {
                    domid: 3,
                    name: Some("web".into()),
                })
            })
            .unwrap_err();
        assert_eq!(
            err.to_string(),
            "domain 3 (web): step 'populate 512 MiB': Cannot allocate memory (ENOMEM) \
             — use a smaller --memory"
        );
    }

    #[test]
    fn an_io_error_keeps_its_number() {
        let err = Error::from(io::Error::from_raw_os_error(2));
        assert_eq!(err.errno(), Some(Errno::ENOENT));
        assert_eq!(
            err.to_string(),
            "No such file or directory (ENOENT)".to_string()
        );
    }
}
