// SPDX-License-Identifier: GPL-2.0-only

//! The folder that a payload is built in. What lies there becomes code of the kernel: nobody else may write to it.

use std::fs::{
    self,
    DirBuilder, //
};
use std::os::unix::fs::{
    DirBuilderExt as _,
    MetadataExt as _, //
};
use std::path::{
    Path,
    PathBuf, //
};

use crate::error::{
    Context,
    Error,
    Result, //
};

/// Only for its owner.
const PRIVATE: u32 = 0o700;
/// Those who are not the owner may write.
const WRITABLE: u32 = 0o022;

/// A folder to build in.
#[derive(Debug)]
pub(crate) struct Work {
    path: PathBuf,
    is_own: bool,
}

impl Work {
    /// A fresh folder below `parent`, which goes when this does.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made.
    pub(crate) fn fresh(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("oxen-livepatch-{}", uuid::Uuid::new_v4()));
        Self::own(std::path::absolute(path)?)
    }

    /// One that does not exist yet.
    fn own(path: PathBuf) -> Result<Self> {
        DirBuilder::new()
            .mode(PRIVATE)
            .create(&path)
            .step(format!("make {}", path.display()))?;
        Ok(Self { path, is_own: true })
    }

    /// A folder that stays, which is made if there is none.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made, or if others than this user may write to it.
    pub(crate) fn given(path: &Path) -> Result<Self> {
        let step = || format!("make {}", path.display());
        let path = std::path::absolute(path)?;
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(&path)
            .step(step())?;
        let found = fs::metadata(&path).step(step())?;
        let user = nix::unistd::geteuid().as_raw();
        check(found.uid(), found.mode(), user)
            .map_err(|err| err.step(format!("build in {}", path.display())))?;
        Ok(Self {
            path,
            is_own: false,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.is_own {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Sees whether only `user` may write to a folder of `owner` with some permissions.
fn check(owner: u32, mode: u32, user: u32) -> Result {
    if owner != user {
        return Err(Error::text(format!(
            "the folder is user {owner}'s, and what is in it would become code of the kernel"
        ))
        .hint("name a folder of your own"));
    }
    if mode & WRITABLE != 0 {
        return Err(Error::text(
            "others may write to the folder, and what is in it would become code of the kernel",
        )
        .hint("name another one; or empty it, and take their permission away with `chmod go-w`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{
        symlink,
        PermissionsExt as _, //
    };

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn l_16_a_folder_to_build_in_is_fresh_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let one = Work::fresh(dir.path()).unwrap();
        let two = Work::fresh(dir.path()).unwrap();
        assert_ne!(one.path(), two.path());
        assert_eq!(mode(one.path()), 0o700);
        fs::write(one.path().join("file"), "").unwrap();
        let path = one.path().to_path_buf();
        drop(one);
        assert!(!path.exists() && two.path().exists());
    }

    #[test]
    fn l_16_what_exists_already_is_not_built_in() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, link) = (dir.path().join("folder"), dir.path().join("link"));
        fs::create_dir(&folder).unwrap();
        symlink(&folder, &link).unwrap();
        for path in [&folder, &link] {
            assert!(Work::own(path.clone()).is_err(), "{}", path.display());
            assert!(path.exists());
        }
    }

    #[test]
    fn l_16_a_folder_that_is_named_is_the_users_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some/where");
        drop(Work::given(&path).unwrap());
        assert_eq!(mode(&path), 0o700);
        for (bits, fits) in [
            (0o755, true),
            (0o775, false),
            (0o757, false),
            (0o1777, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!(Work::given(&path).is_ok(), fits, "{bits:o}");
        }
        assert!(path.exists());
        assert!(check(1000, 0o755, 1000).is_ok());
        assert!(check(1001, 0o755, 1000).is_err());
        assert!(check(1000, 0o755, 0).is_err());
    }
}
