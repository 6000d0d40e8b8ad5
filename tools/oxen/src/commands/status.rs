// SPDX-License-Identifier: GPL-2.0-only

//! `oxen status`: can this host run guests, and if not, what is in the way.

use std::fs;
use std::path::{
    Path,
    PathBuf, //
};

use serde::Serialize;

use super::{
    print,
    print_json,
    OK, //
};
use crate::cli::Json;
use crate::error::{
    Error,
    Result, //
};
use crate::xen::privcmd::{
    self,
    Privcmd, //
};
use crate::xen::version::{
    self,
    Version, //
};

/// Exit status: the module is not loaded, and nothing is known to be in its way.
pub(crate) const NOT_LOADED: u8 = 3;
/// Exit status: something else holds the virtualisation hardware.
pub(crate) const HELD: u8 = 4;
/// Exit status: the processor has nothing that oxen could drive.
pub(crate) const NO_HARDWARE: u8 = 5;
/// Exit status: the devices are there, and cannot be used.
pub(crate) const UNUSABLE: u8 = 6;

/// What the processor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Hardware {
    /// AMD's.
    Svm,
    /// Intel's.
    Vmx,
    /// Neither.
    None,
}

/// What the host's files tell, without the hypervisor.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Host {
    /// The processor's maker, as CPUID has it.
    vendor: String,
    /// What it offers.
    hardware: Hardware,
    /// Whether this host is itself a guest.
    virtual_machine: bool,
    /// Whether the module is loaded.
    module: bool,
    /// Whether privcmd is there.
    device: bool,
    /// Loaded modules that drive the same hardware.
    holders: Vec<&'static str>,
    /// Whether KVM takes the hardware when it is loaded, not when a guest starts.
    kvm_at_load: bool,
    /// Whether somebody uses KVM: each of its guests holds its module.
    kvm_in_use: bool,
}

/// Modules that drive the virtualisation hardware, besides ours.
const RIVALS: [&str; 4] = ["kvm_amd", "kvm_intel", "vboxdrv", "vmmon"];

impl Host {
    /// Reads the files of the system in `root`.
    fn read(root: &Path) -> Self {
        let file = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let exists = |path: String| root.join(path).exists();
        let cpuinfo = file("proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        let flags: Vec<&str> = field("flags").split_whitespace().collect();
        Self {
            vendor: field("vendor_id").into(),
            hardware: if flags.contains(&"svm") {
                Hardware::Svm
            } else if flags.contains(&"vmx") {
                Hardware::Vmx
            } else {
                Hardware::None
            },
            virtual_machine: flags.contains(&"hypervisor"),
            module: exists("sys/module/oxen".into()),
            device: exists(privcmd::PATH.trim_start_matches('/').into()),
            holders: RIVALS
                .into_iter()
                .filter(|name| exists(format!("sys/module/{name}")))
                .collect(),
            kvm_at_load: file("sys/module/kvm/parameters/enable_virt_at_load").trim() != "N",
            kvm_in_use: ["kvm_amd", "kvm_intel"].iter().any(|name| {
                let users = file(&format!("sys/module/{name}/refcnt"));
                users.trim().parse::<u32>().is_ok_and(|users| users > 0)
            }),
        }
    }

    /// Says what is in the way of loading the module, with the way out, and the exit status for it.
    fn obstacle(&self) -> Option<(u8, String)> {
        if let Some(holder) = self.holders.first() {
            let kvm = holder.starts_with("kvm");
            if !kvm {
                return Some((
                    HELD,
                    format!(
                        "{holder} holds the hardware: stop its guests, then `modprobe -r {holder}`"
                    ),
                ));
            }
            if self.kvm_at_load {
                return Some((
                    HELD,
                    format!(
                        "{holder} holds the hardware: stop its guests, then `modprobe -r \
                         {holder}`; or boot with kvm.enable_virt_at_load=0, with which it holds \
                         the hardware only while it has guests"
                    ),
                ));
            }
            if self.kvm_in_use {
                return Some((
                    HELD,
                    format!("{holder} holds the hardware: stop its guests"),
                ));
            }
        }
        match self.hardware {
            Hardware::Svm => None,
            Hardware::Vmx => Some((
                NO_HARDWARE,
                "the processor offers Intel's VMX, which this version does not drive".into(),
            )),
            Hardware::None if self.virtual_machine => Some((
                NO_HARDWARE,
                "this host is a virtual machine that does not offer SVM: turn on nested \
                 virtualisation for it (QEMU: -cpu host, or -cpu EPYC,+svm)"
                    .into(),
            )),
            Hardware::None => Some((
                NO_HARDWARE,
                "the processor offers neither SVM nor VMX: turn it on in the firmware's settings"
                    .into(),
            )),
        }
    }
}

/// What the hypervisor says, if it can be asked.
#[derive(Debug)]
enum Answer {
    /// It answers.
    Ready(Version),
    /// It does not, for this reason.
    Silent(Error),
}

/// The whole answer, for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    ready: bool,
    problem: Option<String>,
    version: Option<&'a Version>,
    #[serde(flatten)]
    host: &'a Host,
}

/// Puts both together: the exit status, and what is wrong.
fn judge(host: &Host, answer: &Answer) -> (u8, Option<String>) {
    if let Answer::Ready(_) = answer {
        return (OK, None);
    }
    if host.module || host.device {
        let reason = match answer {
            Answer::Ready(_) => String::new(),
            Answer::Silent(err) => err.to_string(),
        };
        return (UNUSABLE, Some(reason));
    }
    match host.obstacle() {
        Some((status, problem)) => (status, Some(problem)),
        None => (
            NOT_LOADED,
            Some("the module is not loaded: `modprobe oxen`, or `insmod oxen.ko`".into()),
        ),
    }
}

/// Lays out the answer for a person.
fn text(report: &Report<'_>) -> String {
    let host = report.host;
    let hardware = match host.hardware {
        Hardware::Svm => "SVM",
        Hardware::Vmx => "VMX",
        Hardware::None => "none",
    };
    let mut lines = vec![
        format!("processor   {} ({hardware})", host.vendor),
        format!(
            "module      {}",
            if host.module { "loaded" } else { "not loaded" }
        ),
    ];
    if let Some(version) = report.version {
        let source = match version.changeset.as_str() {
            "" => String::new(),
            changeset => format!(" ({changeset})"),
        };
        lines.push(format!(
            "interface   Xen {}.{}{}{source}",
            version.major, version.minor, version.extra
        ));
    }
    if host.virtual_machine {
        lines.push("host        a virtual machine itself".into());
    }
    if !host.holders.is_empty() {
        lines.push(format!("also loaded {}", host.holders.join(" ")));
    }
    lines.push(match &report.problem {
        None => "ready".into(),
        Some(problem) => format!("not ready: {problem}"),
    });
    lines.join("\n") + "\n"
}

/// Asks the hypervisor who it is.
fn ask() -> Answer {
    let version = Privcmd::open().and_then(|hv| Ok(version::get(&hv)?));
    match version {
        Ok(version) => Answer::Ready(version),
        Err(err) => Answer::Silent(err),
    }
}

/// Says whether this host can run guests.
///
/// # Errors
///
/// Fails if the answer cannot be written.
pub(crate) fn status(json: Json) -> Result<u8> {
    let host = Host::read(&PathBuf::from("/"));
    let answer = ask();
    let (status, problem) = judge(&host, &answer);
    let report = Report {
        ready: status == OK,
        problem,
        version: match &answer {
            Answer::Ready(version) => Some(version),
            Answer::Silent(_) => None,
        },
        host: &host,
    };
    if json.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    /// Makes a system with these processor flags and modules.
    fn system(flags: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let cpuinfo =
            format!("processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu {flags}\n");
        for (path, content) in [("proc/cpuinfo", cpuinfo.as_str())].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let host = Host::read(root.path());
        (root, host)
    }

    fn verdict(flags: &str, files: &[(&str, &str)]) -> (u8, String) {
        let (_root, host) = system(flags, files);
        let (status, problem) = judge(&host, &Answer::Silent(Error::from(Errno::EACCES)));
        (status, problem.unwrap())
    }

    #[test]
    fn finds_what_is_in_the_way() {
        let (status, problem) = verdict("svm npt", &[]);
        assert_eq!(status, NOT_LOADED);
        assert!(problem.contains("modprobe oxen"));

        let at_load = ("sys/module/kvm/parameters/enable_virt_at_load", "Y\n");
        let (status, problem) = verdict("svm", &[("sys/module/kvm_amd/x", ""), at_load]);
        assert_eq!(status, HELD);
        assert!(problem.contains("modprobe -r kvm_amd"), "{problem}");
        assert!(problem.contains("kvm.enable_virt_at_load=0"), "{problem}");

        let lazy = ("sys/module/kvm/parameters/enable_virt_at_load", "N\n");
        let idle = ("sys/module/kvm_amd/refcnt", "0\n");
        assert_eq!(verdict("svm", &[idle, lazy]).0, NOT_LOADED);
        let busy = ("sys/module/kvm_amd/refcnt", "1\n");
        let (status, problem) = verdict("svm", &[busy, lazy]);
        assert_eq!(status, HELD);
        assert!(problem.contains("stop its guests"), "{problem}");

        let (status, problem) = verdict("svm", &[("sys/module/vboxdrv/x", "")]);
        assert_eq!(status, HELD);
        assert!(problem.contains("modprobe -r vboxdrv"), "{problem}");

        assert_eq!(verdict("vmx", &[]).0, NO_HARDWARE);
        let (status, problem) = verdict("hypervisor", &[]);
        assert_eq!(status, NO_HARDWARE);
        assert!(problem.contains("nested"), "{problem}");
        let (status, problem) = verdict("", &[]);
        assert_eq!(status, NO_HARDWARE);
        assert!(problem.contains("firmware"), "{problem}");

        let (status, problem) =
            verdict("svm", &[("sys/module/oxen/x", ""), ("dev/xen/privcmd", "")]);
        assert_eq!(status, UNUSABLE);
        assert!(problem.contains("EACCES"), "{problem}");
    }

    #[test]
    fn ready_is_ready_whatever_else_is_loaded() {
        let (_root, host) = system(
            "svm",
            &[("sys/module/oxen/x", ""), ("sys/module/kvm_amd/x", "")],
        );
        let version = Version {
            major: 4,
            minor: 20,
            extra: ".0".into(),
            capabilities: String::new(),
            changeset: "abc".into(),
            compiler: String::new(),
            compile_date: String::new(),
            build_id: None,
        };
        let answer = Answer::Ready(version.clone());
        assert_eq!(judge(&host, &answer), (OK, None));
        let report = Report {
            ready: true,
            problem: None,
            version: Some(&version),
            host: &host,
        };
        let text = text(&report);
        assert!(
            text.contains("processor   AuthenticAMD (SVM)\nmodule      loaded\n"),
            "{text}"
        );
        assert!(text.ends_with("also loaded kvm_amd\nready\n"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["hardware"], "svm");
        assert_eq!(json["holders"][0], "kvm_amd");
    }
}
