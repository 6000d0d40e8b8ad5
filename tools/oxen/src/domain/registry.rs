// SPDX-License-Identifier: GPL-2.0-only

//! Names of domains.
//!
//! The hypervisor knows numbers and handles only. A name is in `/run/oxen/<number>.json`, with the
//! handle of the domain that it was given to: a file whose handle is not the domain's is left over
//! from an earlier one of that number, and means nothing.

use std::fs::{
    self,
    DirBuilder,
    File,
    OpenOptions, //
};
use std::io::{
    ErrorKind,
    Write, //
};
use std::os::unix::fs::{
    DirBuilderExt,
    OpenOptionsExt, //
};
use std::path::PathBuf;

use nix::fcntl::{
    Flock,
    FlockArg, //
};
use serde::{
    Deserialize,
    Serialize, //
};
use uuid::Uuid;

use crate::error::{
    Context,
    DomainRef,
    Error,
    Result, //
};
use crate::xen::{
    domctl,
    sysctl,
    Hypervisor, //
};

/// Where the files are.
const DIRECTORY: &str = "/run/oxen";
/// The longest name, in bytes.
const NAME_MAX: usize = 64;

/// What is known about a domain besides what the hypervisor knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The domain's number.
    pub(crate) domid: u16,
    /// Its handle.
    pub(crate) uuid: Uuid,
    /// Its name.
    pub(crate) name: String,
    /// The process that made it.
    pub(crate) pid: u32,
    /// The kernel's file.
    pub(crate) kernel: PathBuf,
}

/// The directory of names.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    directory: PathBuf,
}

impl Registry {
    /// Returns the one that every `oxen` process uses.
    pub(crate) fn system() -> Self {
        Self::at(DIRECTORY)
    }

    /// Returns one in `directory`.
    pub(crate) fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Returns the path of a domain's file.
    fn path(&self, domid: u16) -> PathBuf {
        self.directory.join(format!("{domid}.json"))
    }

    /// Returns the path of the socket that shares a domain's console.
    pub(crate) fn console_path(&self, domid: u16) -> PathBuf {
        self.directory.join(format!("{domid}.console"))
    }

    /// Makes the directory, and keeps other processes from giving names until the answer is
    /// dropped.
    ///
    /// # Errors
    ///
    /// Fails as mkdir(2) and open(2) do.
    pub(crate) fn lock(&self) -> Result<Flock<File>> {
        let step = format!("lock {}", self.directory.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .step(&step)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.directory.join("lock"))
            .step(&step)?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, errno)| errno)
            .step(&step)
    }

    /// Writes a domain's file; a reader sees all of it or nothing.
    ///
    /// # Errors
    ///
    /// Fails as the file system does.
    pub(crate) fn add(&self, entry: &Entry) -> Result {
        let path = self.path(entry.domid);
        let new = path.with_extension(format!("new.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&serde_json::to_vec(entry)?)?;
            drop(file);
            fs::rename(&new, &path)
        };
        let result = write();
        if result.is_err() {
            let _ = fs::remove_file(&new);
        }
        result.step(format!("write {}", path.display()))
    }

    /// Removes a domain's files, if they are those of the domain with this handle.
    pub(crate) fn remove(&self, domid: u16, uuid: Uuid) {
        if self.get(domid, uuid).is_some() {
            let _ = fs::remove_file(self.path(domid));
            let _ = fs::remove_file(self.console_path(domid));
        }
    }

    /// Returns what is known about the domain with this number and handle.
    pub(crate) fn get(&self, domid: u16, uuid: Uuid) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(&fs::read(self.path(domid)).ok()?).ok()?;
        (entry.uuid == uuid && entry.domid == domid).then_some(entry)
    }

    /// Returns the name of the domain with this number and handle.
    pub(crate) fn name(&self, domid: u16, uuid: Uuid) -> Option<String> {
        if domid == 0 {
            return Some("Domain-0".into());
        }
        self.get(domid, uuid)
            .map(|entry| entry.name)
            .or_else(|| crate::xenstore::name(domid))
    }

    /// Removes the files of domains that are gone.
    ///
    /// # Errors
    ///
    /// Fails if the hypervisor does not say which domains there are.
    pub(crate) fn sweep(&self, hv: &dyn Hypervisor) -> Result {
        let files = match fs::read_dir(&self.directory) {
            Ok(files) => files,
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(err).step(format!("read {}", self.directory.display())),
        };
        let alive = sysctl::domains(hv)?;
        for file in files.flatten() {
            let name = file.file_name();
            let Some((domid, _)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            let Ok(domid) = domid.parse::<u16>() else {
                continue;
            };
            let live = alive
                .iter()
                .find(|info| info.domain == domid)
                .is_some_and(|info| self.get(domid, Uuid::from_bytes(info.handle)).is_some());
            if !live {
                let _ = fs::remove_file(file.path());
            }
        }
        Ok(())
    }

    /// Finds the domain that a person means: by its number, or by its name.
    ///
    /// # Errors
    ///
    /// Fails if there is none, or if two have the name.
    pub(crate) fn resolve(&self, hv: &dyn Hypervisor, wanted: &str) -> Result<(DomainRef, Uuid)> {
        let missing = || {
            Error::text(format!("there is no domain '{wanted}'"))
                .hint("`oxen list` shows the domains there are")
        };
        if let Ok(domid) = wanted.parse::<u16>() {
            let info = domctl::info(hv, domid).map_err(|errno| match errno {
                nix::errno::Errno::ESRCH => missing(),
                errno => Error::from(errno).step("look up the domain"),
            })?;
            let uuid = Uuid::from_bytes(info.handle);
            let name = self.name(domid, uuid);
            return Ok((DomainRef { domid, name }, uuid));
        }
        let mut found = Vec::new();
        for info in sysctl::domains(hv).step("list domains")? {
            let uuid = Uuid::from_bytes(info.handle);
            if self.name(info.domain, uuid).as_deref() == Some(wanted) {
                let name = Some(wanted.to_string());
                found.push((
                    DomainRef {
                        domid: info.domain,
                        name,
                    },
                    uuid,
                ));
            }
        }
        match found.pop() {
            None => Err(missing()),
            Some(one) if found.is_empty() => Ok(one),
            Some(_) => Err(
                Error::text(format!("several domains are called '{wanted}'"))
                    .hint("use the number that `oxen list` shows"),
            ),
        }
    }
}

/// Checks a name that a person has chosen.
///
/// # Errors
///
/// Fails if it could be taken for a number, or would upset a table.
pub(crate) fn check_name(name: &str) -> std::result::Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("a name has 1 to {NAME_MAX} bytes"));
    }
    if name.chars().all(|c| c.is_ascii_digit()) {
        return Err("a name that is a number would be taken for a domain's number".into());
    }
    if !name.chars().all(plain) {
        return Err("a name is made of letters, digits, and the characters - _ . +".into());
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::mock::Mock;

    fn entry(domid: u16, uuid: Uuid, name: &str) -> Entry {
        Entry {
            domid,
            uuid,
            name: name.into(),
            pid: 1,
            kernel: "/boot/vmlinuz".into(),
        }
    }

    #[test]
    fn a_name_belongs_to_the_domain_with_its_handle() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path());
        let (ours, other) = (Uuid::new_v4(), Uuid::new_v4());
        registry.add(&entry(3, ours, "web")).unwrap();
        assert_eq!(registry.name(3, ours).as_deref(), Some("web"));
        assert_eq!(registry.name(3, other), None);
        assert_eq!(registry.name(4, ours), None);
        registry.remove(3, other);
        assert_eq!(registry.name(3, ours).as_deref(), Some("web"));
        registry.remove(3, ours);
        assert_eq!(registry.name(3, ours), None);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn finds_by_number_and_by_name_and_forgets_the_dead() {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::at(directory.path().join("deeper"));
        let hv = Mock::new();
        let uuid = Uuid::new_v4();
        let domid = hv.add_domain(uuid);
        let _lock = registry.lock().unwrap();
        registry.add(&entry(domid, uuid, "web")).unwrap();
        registry
            .add(&entry(domid + 1, Uuid::new_v4(), "gone"))
            .unwrap();
        std::fs::write(registry.console_path(domid), "").unwrap();
        std::fs::write(registry.console_path(domid + 1), "").unwrap();

        let (found, handle) = registry.resolve(&hv, "web").unwrap();
        assert_eq!((found.domid, handle), (domid, uuid));
        let (found, _) = registry.resolve(&hv, &domid.to_string()).unwrap();
        assert_eq!(found.name.as_deref(), Some("web"));
        for absent in ["gone", "999", "nobody"] {
            let err = registry.resolve(&hv, absent).unwrap_err().to_string();
            assert!(
                err.starts_with(&format!("there is no domain '{absent}'")),
                "{err}"
            );
        }

        registry.sweep(&hv).unwrap();
        assert!(registry.path(domid).exists() && registry.console_path(domid).exists());
        assert!(!registry.path(domid + 1).exists() && !registry.console_path(domid + 1).exists());
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("web-1.example_x+y").is_ok());
        for bad in ["", "12", "a b", "a/b", "\u{7}", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
