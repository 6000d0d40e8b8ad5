// SPDX-License-Identifier: GPL-2.0-only

//! `oxen livepatch`.

use std::path::Path;

use nix::errno::Errno;
use serde::Serialize;

use super::{
    print,
    print_json,
    table,
    OK, //
};
use crate::abi::sysctl::livepatch as abi;
use crate::cli::{
    Json,
    Livepatch,
    LivepatchAction,
    LivepatchBuild, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::livepatch::build::{
    self,
    Order, //
};
use crate::livepatch::work::Work;
use crate::xen::livepatch::{
    self as calls,
    Listed, //
};
use crate::xen::privcmd::Privcmd;
use crate::xen::Hypervisor;

/// Where the reason of a refusal is told.
const REASON: &str = "`dmesg` says why";

/// Does what the command line says.
///
/// # Errors
///
/// Fails with what the person is to be told.
pub(crate) fn livepatch(command: &Livepatch) -> Result<u8> {
    match command {
        Livepatch::Build(args) => make(args)?,
        Livepatch::Upload { name, file } => upload(&Privcmd::open()?, name, file)?,
        Livepatch::Apply { action, nodeps } => {
            let flags = if *nodeps { abi::ACTION_APPLY_NODEPS } else { 0 };
            act(&Privcmd::open()?, action, abi::ACTION_APPLY, flags)?;
        }
        Livepatch::Revert(action) => act(&Privcmd::open()?, action, abi::ACTION_REVERT, 0)?,
        Livepatch::Replace(action) => act(&Privcmd::open()?, action, abi::ACTION_REPLACE, 0)?,
        Livepatch::Unload { name } => {
            calls::act(&Privcmd::open()?, name, abi::ACTION_UNLOAD, 0, 0)
                .hint_on(Errno::ENOENT, "`oxen livepatch list` shows what is loaded")
                .hint_on(Errno::EINVAL, "it is applied: revert it first")
                .hint_on(
                    Errno::EBUSY,
                    "another payload uses what is in it: unload that first",
                )
                .step(format!("unload {name}"))?;
        }
        Livepatch::List(json) => list(&Privcmd::open()?, *json)?,
        Livepatch::Status { name, json } => status(&Privcmd::open()?, name, *json)?,
    }
    Ok(OK)
}

fn upload(hv: &dyn Hypervisor, name: &str, file: &Path) -> Result {
    let payload = std::fs::read(file).step(format!("read {}", file.display()))?;
    calls::upload(hv, name, &payload)
        .hint_on(
            Errno::EEXIST,
            "the name is in use, or the payload is loaded already",
        )
        .hint_on(
            Errno::EPERM,
            "this kernel wants payloads that are signed as modules are",
        )
        .hint(REASON)
        .step(format!("upload {}", file.display()))
}

/// What an action is called, and the state that it ends in.
const fn ends_in(cmd: u32) -> (&'static str, u32) {
    match cmd {
        abi::ACTION_REVERT => ("revert", abi::STATE_CHECKED),
        abi::ACTION_REPLACE => ("replace all by", abi::STATE_APPLIED),
        _ => ("apply", abi::STATE_APPLIED),
    }
}

fn act(hv: &dyn Hypervisor, action: &LivepatchAction, cmd: u32, flags: u32) -> Result {
    let (verb, wanted) = ends_in(cmd);
    let step = || format!("{verb} {}", action.name);
    let busy = "something was in the way for too long: try again, or with a longer --timeout";
    let timeout_ns = action.timeout.unwrap_or(0) * 1_000_000;
    calls::act(hv, &action.name, cmd, timeout_ns, flags)
        .hint_on(Errno::ENOENT, "`oxen livepatch list` shows what is loaded")
        .hint(REASON)
        .step(step())?;
    loop {
        let status = calls::get(hv, &action.name).step(step())?;
        if status.rc == -(Errno::EAGAIN as i32) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        } else if status.rc != 0 {
            return Err(Error::from(Errno::from_raw(status.rc.saturating_neg())))
                .hint_on(Errno::EBUSY, busy)
                .hint(REASON)
                .step(step());
        } else if status.state != wanted {
            return Err(Error::text("somebody else has done something to it").step(step()));
        } else {
            return Ok(());
        }
    }
}

/// A payload as it is shown.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    state: String,
    /// Negative error number of the last action, or 0.
    result: i32,
    metadata: std::collections::BTreeMap<&'a str, &'a str>,
}

impl<'a> From<&'a Listed> for Shown<'a> {
    fn from(listed: &'a Listed) -> Self {
        let state = abi::state_name(listed.status.state).to_ascii_lowercase();
        Self {
            name: &listed.name,
            state,
            result: listed.status.rc,
            metadata: listed
                .metadata
                .iter()
                .map(|word| word.split_once('=').unwrap_or((word, "")))
                .collect(),
        }
    }
}

impl Shown<'_> {
    /// A time of the metadata in microseconds, or nothing.
    fn us(&self, key: &str) -> String {
        match self.metadata.get(key).and_then(|ns| ns.parse::<u64>().ok()) {
            Some(ns) if ns != 0 => format!("{}.{}", ns / 1000, ns % 1000 / 100),
            _ => "-".into(),
        }
    }
}

fn list(hv: &dyn Hypervisor, json: Json) -> Result {
    let listed = calls::list(hv).step("list payloads")?;
    let shown: Vec<Shown<'_>> = listed.iter().map(Shown::from).collect();
    if json.json {
        return print_json(&shown);
    }
    let heading = ["NAME", "STATE", "PAUSE(us)", "VCPUS(us)", "WRITE(us)"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    rows.extend(shown.iter().map(|one| {
        vec![
            one.name.to_string(),
            one.state.clone(),
            one.us("pause_ns"),
            one.us("wait_vcpus_ns"),
            one.us("write_ns"),
        ]
    }));
    print(&table(&rows, &[2, 3, 4]))
}

fn status(hv: &dyn Hypervisor, name: &str, json: Json) -> Result {
    let listed = calls::list(hv).step("list payloads")?;
    let one = listed.iter().find(|one| one.name == name).ok_or_else(|| {
        Error::from(Errno::ENOENT)
            .hint("`oxen livepatch list` shows what is loaded")
            .step(format!("look for {name}"))
    })?;
    let shown = Shown::from(one);
    if json.json {
        return print_json(&shown);
    }
    let mut text = format!("{}: {}", shown.name, shown.state);
    if shown.result != 0 {
        let errno = Errno::from_raw(shown.result.saturating_neg());
        text.push_str(&format!(", the last action failed: {}", errno.desc()));
    }
    text.push('\n');
    for (key, value) in &shown.metadata {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    print(&text)
}

/// Makes a payload.
fn make(args: &LivepatchBuild) -> Result {
    let work = match &args.work {
        Some(work) => Work::given(work)?,
        None => Work::fresh(&std::env::temp_dir())?,
    };
    let made = build::build(&Order {
        patch: &args.patch,
        source: &args.source,
        kdir: &args.kdir,
        module: &args.module,
        make: &args.make,
        work: work.path(),
        on: args.on.as_deref(),
        layouts: &args.layout,
    })?;
    std::fs::write(&args.output, &made.payload.bytes)
        .step(format!("write {}", args.output.display()))?;
    let mut text = String::new();
    for function in &made.functions {
        text.push_str(&format!("replaces {function}\n"));
    }
    for note in &made.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str(&format!(
        "{}: {} functions, build-id ",
        args.output.display(),
        made.functions.len()
    ));
    for byte in &made.payload.id {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    print(&text)
}
