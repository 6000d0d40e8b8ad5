// SPDX-License-Identifier: GPL-2.0-only

//! The one domain that a descriptor was restricted to.
//!
//! Numbers of domains are used again, and a device model may outlive its guest. A restriction therefore names the
//! domain that had the number when it was made: a later one with the same number is out of reach.

use crate::abi::errno::{
    Result,
    ESRCH, //
};
use crate::domain::hypervisor::Hypervisor;
use crate::domain::{
    DomId,
    Domain,
    Identity, //
};

/// The one domain that a descriptor was restricted to.
#[derive(Clone, Copy)]
pub(super) struct Restriction {
    /// The number that the tool gave.
    id: DomId,
    /// Whose number that was; nobody's if there was no such domain.
    domain: Option<Identity>,
}

impl Restriction {
    /// Restricts to the domain that has the number `id` now.
    pub(super) fn to(hypervisor: &Hypervisor, id: DomId) -> Self {
        let domain = hypervisor.domain(id).ok();
        Self {
            id,
            domain: domain.map(|domain| domain.identity()),
        }
    }

    /// The number that the tool gave.
    pub(super) fn id(&self) -> DomId {
        self.id
    }

    /// The domain.
    ///
    /// # Errors
    ///
    /// `ESRCH` if there was none.
    pub(super) fn identity(&self) -> Result<Identity> {
        self.domain.ok_or(ESRCH)
    }

    /// Checks that `domain` is the one, and not a later one with its number.
    ///
    /// # Errors
    ///
    /// `ESRCH`.
    pub(super) fn check(&self, domain: &Domain) -> Result {
        if self.domain == Some(domain.identity()) {
            Ok(())
        } else {
            Err(ESRCH)
        }
    }
}
