// SPDX-License-Identifier: GPL-2.0-only

//! What a domain and its vCPUs are doing, in words and for programs.

use serde::Serialize;
use uuid::Uuid;

use crate::abi::domctl::domain::{
    GetDomainInfo,
    DOMINF_BLOCKED,
    DOMINF_DYING,
    DOMINF_HAP,
    DOMINF_HVM_GUEST,
    DOMINF_PAUSED,
    DOMINF_RUNNING,
    DOMINF_SHUTDOWN,
    DOMINF_SHUTDOWNMASK,
    DOMINF_SHUTDOWNSHIFT, //
};
use crate::abi::domctl::sched::GetVcpuInfo;
use crate::abi::sched;
use crate::domain::layout::PAGE;

/// Why a domain has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// It powered off.
    Poweroff,
    /// It wants to be started again.
    Reboot,
    /// It suspended itself.
    Suspend,
    /// Its kernel crashed.
    Crash,
    /// It did not feed its watchdog.
    Watchdog,
    /// It wants to go on with a new kernel in the same memory.
    SoftReset,
    /// For a reason that this program does not know.
    Unknown(u32),
}

impl Reason {
    /// Translates the hypervisor's number.
    const fn new(number: u32) -> Self {
        match number {
            sched::SHUTDOWN_POWEROFF => Self::Poweroff,
            sched::SHUTDOWN_REBOOT => Self::Reboot,
            sched::SHUTDOWN_SUSPEND => Self::Suspend,
            sched::SHUTDOWN_CRASH => Self::Crash,
            sched::SHUTDOWN_WATCHDOG => Self::Watchdog,
            sched::SHUTDOWN_SOFT_RESET => Self::SoftReset,
            number => Self::Unknown(number),
        }
    }

    /// Says it in words.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Poweroff => "powered off".into(),
            Self::Reboot => "rebooted".into(),
            Self::Suspend => "suspended".into(),
            Self::Crash => "crashed".into(),
            Self::Watchdog => "was stopped by its watchdog".into(),
            Self::SoftReset => "asked for a soft reset".into(),
            Self::Unknown(number) => format!("shut down for the unknown reason {number}"),
        }
    }
}

/// What a domain is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It is being destroyed.
    Dying,
    /// It has ended, and waits to be destroyed.
    Shutdown(Reason),
    /// A tool holds it.
    Paused,
    /// A vCPU of it runs.
    Running,
    /// All of its vCPUs wait for something.
    Blocked,
    /// It could run, and does not at the moment.
    Runnable,
}

impl State {
    /// Reads the flags of the hypervisor's answer, the most important first.
    pub(crate) const fn new(flags: u32) -> Self {
        if flags & DOMINF_DYING != 0 {
            Self::Dying
        } else if flags & DOMINF_SHUTDOWN != 0 {
            Self::Shutdown(Reason::new(
                (flags >> DOMINF_SHUTDOWNSHIFT) & DOMINF_SHUTDOWNMASK,
            ))
        } else if flags & DOMINF_PAUSED != 0 {
            Self::Paused
        } else if flags & DOMINF_RUNNING != 0 {
            Self::Running
        } else if flags & DOMINF_BLOCKED != 0 {
            Self::Blocked
        } else {
            Self::Runnable
        }
    }

    /// Says it in a word or two, for a table.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Dying => "dying".into(),
            Self::Shutdown(reason) => reason.text(),
            Self::Paused => "paused".into(),
            Self::Running => "running".into(),
            Self::Blocked => "blocked".into(),
            Self::Runnable => "runnable".into(),
        }
    }
}

/// A domain, for a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Its number.
    pub(crate) domid: u16,
    /// Its name, where one is known.
    pub(crate) name: Option<String>,
    /// Its handle.
    pub(crate) uuid: Uuid,
    /// What it is doing.
    pub(crate) state: State,
    /// The memory that it has, in KiB.
    pub(crate) memory_kib: u64,
    /// The memory that it may have, in KiB.
    pub(crate) max_memory_kib: u64,
    /// How many of its vCPUs are up.
    pub(crate) vcpus_online: u32,
    /// How many vCPUs it has.
    pub(crate) vcpus: u32,
    /// Time that its vCPUs have run, in nanoseconds.
    pub(crate) cpu_time_ns: u64,
    /// Whether it is a hardware-assisted guest.
    pub(crate) hvm: bool,
    /// Whether its memory is translated by the processor.
    pub(crate) hap: bool,
}

impl Summary {
    /// Makes it out of the hypervisor's answer and a name.
    pub(crate) fn new(info: &GetDomainInfo, name: Option<String>) -> Self {
        let kib = |pages: u64| pages.saturating_mul(PAGE / 1024);
        Self {
            domid: info.domain,
            name,
            uuid: Uuid::from_bytes(info.handle),
            state: State::new(info.flags),
            memory_kib: kib(info.tot_pages),
            // All ones means that there is no limit.
            max_memory_kib: kib(info.max_pages),
            vcpus_online: info.nr_online_vcpus,
            // All ones means that there is no vCPU.
            vcpus: info.max_vcpu_id.wrapping_add(1),
            cpu_time_ns: info.cpu_time,
            hvm: info.flags & DOMINF_HVM_GUEST != 0,
            hap: info.flags & DOMINF_HAP != 0,
        }
    }
}

/// A vCPU.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Vcpu {
    /// Its number.
    pub(crate) vcpu: u32,
    /// Whether it is up.
    pub(crate) online: bool,
    /// Whether it waits for something.
    pub(crate) blocked: bool,
    /// Whether it runs.
    pub(crate) running: bool,
    /// Time that it has run, in nanoseconds.
    pub(crate) cpu_time_ns: u64,
    /// The host's processor that it runs or ran on.
    pub(crate) cpu: u32,
}

impl From<GetVcpuInfo> for Vcpu {
    fn from(info: GetVcpuInfo) -> Self {
        Self {
            vcpu: info.vcpu,
            online: info.online != 0,
            blocked: info.blocked != 0,
            running: info.running != 0,
            cpu_time_ns: info.cpu_time,
            cpu: info.cpu,
        }
    }
}

impl Vcpu {
    /// Says in a word what it is doing.
    pub(crate) const fn text(self) -> &'static str {
        if !self.online {
            "offline"
        } else if self.running {
            "running"
        } else if self.blocked {
            "blocked"
        } else {
            "runnable"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_flag_wins() {
        let all = DOMINF_PAUSED | DOMINF_BLOCKED | DOMINF_RUNNING;
        assert_eq!(State::new(0), State::Runnable);
        assert_eq!(State::new(all), State::Paused);
        assert_eq!(State::new(DOMINF_BLOCKED), State::Blocked);
        assert_eq!(
            State::new(all | DOMINF_SHUTDOWN),
            State::Shutdown(Reason::Poweroff)
        );
        assert_eq!(
            State::new(DOMINF_SHUTDOWN | (3 << 16)),
            State::Shutdown(Reason::Crash)
        );
        assert_eq!(
            State::new(DOMINF_SHUTDOWN | (77 << 16)),
            State::Shutdown(Reason::Unknown(77))
        );
        assert_eq!(
            State::new(all | DOMINF_SHUTDOWN | DOMINF_DYING),
            State::Dying
        );
    }

    #[test]
    fn programs_get_snake_case() {
        let json = |state| serde_json::to_string(&state).unwrap();
        assert_eq!(json(State::Blocked), r#""blocked""#);
        assert_eq!(
            json(State::Shutdown(Reason::SoftReset)),
            r#"{"shutdown":"soft_reset"}"#
        );
    }
}
