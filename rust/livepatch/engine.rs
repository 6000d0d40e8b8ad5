// SPDX-License-Identifier: GPL-2.0-only

//! Live patching as the module does it: what the `sysctl` calls.
//!
//! An action is prepared inside the gate, where it may be refused, and done by the call that asked for it on its way
//! out, when none of the hypervisor's functions is on anybody's stack but those that are never patched.

use kernel::new_mutex;
use kernel::prelude::{
    pr_err,
    pr_info,
    pr_warn,
    InPlaceInit, //
};
use kernel::sync::{
    Arc,
    Mutex, //
};
use pin_init::{
    pin_data,
    PinInit, //
};

use super::host::{
    self,
    Arenas,
    Running,
    Space,
    Used, //
};
use super::image::Images;
use super::load::{
    self,
    Space as _,
    PAYLOAD_MAX, //
};
use super::note::Id;
use super::payload::{
    Hook,
    Payload, //
};
use super::plan::{
    self,
    Plan, //
};
use super::poke::{
    self,
    HookArg,
    Pokes, //
};
use super::refusal::{
    Hex,
    Plain,
    Refusal,
    Result, //
};
use super::report::{
    self,
    Times, //
};
use super::signature;
use super::state::{
    Action,
    Decision,
    Described,
    Entry,
    Name,
    Registry,
    State, //
};
use super::stop::{
    self,
    Guests,
    Job,
    Part, //
};
use crate::abi::errno::{
    self,
    Errno,
    EINVAL,
    EPERM, //
};
use crate::abi::sysctl::livepatch as abi;
use crate::sys::alloc::{
    KBox,
    KVec,
    GFP_KERNEL, //
};
use crate::sys::global::Global;
use crate::sys::hold;
use crate::sys::symbols;
use crate::sys::trust::{
    self,
    Verdict, //
};
use crate::trace;

/// How long an action may wait if the tool does not say: 30 ms.
const TIMEOUT_NS: u64 = 30_000_000;

/// Live patching, once the module has started.
pub(crate) static LIVEPATCH: Global<Engine> = Global::new();

/// A payload that is loaded.
pub(crate) struct Loaded {
    pub(crate) payload: Payload<Space>,
    /// What tools are shown of it.
    text: KVec<u8>,
    /// A keyring of the kernel trusts it.
    signed: bool,
    /// Its own hook applied it, in place of the writing.
    by_hook: bool,
    /// What it uses besides the module.
    used: Used,
}

impl Described for Loaded {
    fn id(&self) -> Id {
        self.payload.id
    }
    fn depends(&self) -> Id {
        self.payload.depends
    }
    fn may_reapply(&self) -> bool {
        self.payload.reapply
    }
    fn can_veto(&self) -> bool {
        self.payload.hooks.can_veto()
    }
    fn uses(&self, id: &Id) -> bool {
        self.used.payloads.contains(id)
    }
    fn metadata(&self) -> &[u8] {
        &self.text
    }
}

/// All there is of it.
#[pin_data]
pub(crate) struct Engine {
    /// Payloads.
    #[pin]
    registry: Mutex<Registry<Loaded>>,
    /// What the next tool that leaves has to do.
    #[pin]
    job: Mutex<Option<KBox<Job>>>,
    arenas: Arc<Mutex<Arenas>>,
    guests: Guests,
}

impl Engine {
    /// Without payloads.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(guests: Guests) -> errno::Result<impl PinInit<Self, kernel::error::Error>> {
        let arenas = new_arenas()?;
        Ok(kernel::prelude::try_pin_init!(Self {
            registry <- new_mutex!(Registry::new(), "oxen::livepatch::registry"),
            job <- new_mutex!(None, "oxen::livepatch::job"),
            arenas,
            guests,
        }? kernel::error::Error))
    }

    /// Loads a payload.
    ///
    /// # Errors
    ///
    /// Xen's numbers, with reasons; `EPERM` if the kernel wants a signature and does not trust the payload's.
    pub(crate) fn upload(&self, name: Name, file: &[u8]) -> Result {
        if file.is_empty() || file.len() > PAYLOAD_MAX {
            return Err(Refusal::new(EINVAL, "is empty, or larger than 2 MiB"));
        }
        let (bytes, signed) = check_trust(file)?;
        let mut registry = self.registry.lock();
        registry
            .check_new(&name)
            .map_err(|errno| Refusal::new(errno, "is a name that is in use"))?;
        let running = Running::new(&registry, &self.arenas);
        let (payload, images) = load::load(bytes, &running)?;
        let used = running.into_used();
        let mut text = KVec::new();
        text.extend_from_slice(&payload.metadata, GFP_KERNEL)
            .map_err(load::no_memory)?;
        report::append(&mut text)?;
        write_images(&payload, &images).map_err(|errno| {
            Refusal::new(
                errno,
                "there is too little memory to write it where it belongs",
            )
        })?;
        info(format_args!(
            "live patch {}: loaded, build-id {}, {} functions, {} bytes{}\n",
            Plain(name.bytes()),
            Hex(payload.id.bytes()),
            payload.funcs.len(),
            payload.sizes.0 + payload.sizes.1,
            if signed { ", signed" } else { "" },
        ));
        let loaded = Loaded {
            payload,
            text,
            signed,
            by_hook: false,
            used,
        };
        registry
            .add(name, loaded)
            .map_err(|errno| Refusal::new(errno, "cannot be added"))
    }

    /// State and result of the last action of a payload.
    ///
    /// # Errors
    ///
    /// `ENOENT`.
    pub(crate) fn status(&self, name: &Name) -> errno::Result<(State, i32)> {
        let registry = self.registry.lock();
        let entry = registry.get(name)?;
        Ok((entry.state, entry.rc))
    }

    /// Calls `f` with all payloads, in the order in which they were loaded, and the version of the list.
    pub(crate) fn with_list<R>(&self, f: impl FnOnce(&Registry<Loaded>) -> R) -> R {
        f(&self.registry.lock())
    }

    /// Does something with a payload: at once, or when the calling tool leaves.
    ///
    /// # Errors
    ///
    /// Xen's numbers, with reasons.
    pub(crate) fn act(&self, name: &Name, command: u32, flags: u32, timeout_ns: u32) -> Result {
        let mut registry = self.registry.lock();
        let decision = registry
            .decide(name, command, flags, host::build_id())
            .map_err(|errno| Refusal::new(errno, why_not(errno, command)).of(name.bytes()))?;
        let action = match decision {
            Decision::Nothing => return Ok(()),
            Decision::Never => {
                // As in Xen the tool hears of that only if it asks for the state.
                warn(format_args!(
                    "live patch {}: has variables and was applied before: unload it and load it again\n",
                    Plain(name.bytes()),
                ));
                return Ok(());
            }
            Decision::Unload => {
                let entry = registry.remove(name);
                drop(registry);
                if let Some(entry) = entry {
                    self.unload(entry);
                }
                return Ok(());
            }
            Decision::Act(action) => action,
        };
        let job = prepare(&mut registry, name, action, timeout_ns)
            .map_err(|refusal| refusal.of(name.bytes()))?;
        if let Err(rc) = ask_first(&mut registry, name, action) {
            if let Ok(entry) = registry.get_mut(name) {
                entry.rc = rc.to_raw();
            }
            return Err(Refusal::new(rc, "its hook refuses").of(name.bytes()));
        }
        registry
            .begin(name, action)
            .map_err(|errno| Refusal::new(errno, "cannot be begun"))?;
        drop(registry);
        *self.job.lock() = Some(job);
        hold::do_outside(perform);
        Ok(())
    }

    fn unload(&self, entry: KBox<Entry<Loaded>>) {
        let payload = &entry.payload.payload;
        let (text, data) = payload.sizes;
        // Code that cannot be overwritten now stays until it can: it is not reachable, only not gone.
        if poke::clear(payload.space.text(), text).is_err() {
            warn(format_args!(
                "live patch {}: its code could not be overwritten\n",
                Plain(entry.name.bytes())
            ));
        }
        let _ = poke::fill_data(payload.space.data(), None, data);
        info(format_args!(
            "live patch {}: unloaded\n",
            Plain(entry.name.bytes())
        ));
    }

    /// Takes the job that waits.
    #[inline(never)]
    fn take_job(&self) -> Option<KBox<Job>> {
        self.job.lock().take()
    }

    /// Notes how a job ended, and says so.
    #[inline(never)]
    fn finish(&self, job: KBox<Job>, result: errno::Result, times: &Times) {
        let mut registry = self.registry.lock();
        let Some((action, entry)) = registry.busy() else {
            return;
        };
        let funcs = entry.payload.payload.funcs.len();
        if let Some(number) = job.failed {
            error(format_args!(
                "live patch {}: the code at write {number} is not what it was (is there a probe?); nothing was changed\n",
                Plain(entry.name.bytes()),
            ));
        }
        if result.is_ok() {
            note_written(&mut registry, action, &job);
        }
        registry.finish(result);
        let code = match action {
            Action::Revert => abi::ACTION_REVERT,
            Action::Apply => abi::ACTION_APPLY,
            Action::Replace => abi::ACTION_REPLACE,
        };
        trace::livepatch(|| trace::Livepatch {
            action: code,
            rc: result.map_or_else(Errno::to_raw, |()| 0),
            // CAST: At most `FUNCS_MAX`.
            functions: funcs as u32,
            tools_ns: times.tools,
            vcpus_ns: times.vcpus,
            write_ns: times.write,
            pause_ns: times.pause,
        });
        let (name, carried_out) = (job.name, job.carried_out);
        // The writable mappings go with it.
        drop(job);
        let Ok(entry) = registry.get_mut(&name) else {
            return;
        };
        report::update(&mut entry.payload.text, times);
        self.say(entry, action, result, times);
        if carried_out {
            call_last(entry, action);
        }
    }

    /// The log lines of an action that has ended, and what the kernel has to know of it.
    fn say(&self, entry: &Entry<Loaded>, action: Action, result: errno::Result, times: &Times) {
        let (name, id) = (entry.name.bytes(), entry.payload.payload.id);
        let pause = times.pause / 1000;
        match result {
            Ok(()) => {
                info(format_args!(
                    "live patch {}: {} done, build-id {}, guests paused for {pause} us\n",
                    Plain(name),
                    action.name(),
                    Hex(id.bytes()),
                ));
                (self.guests.log)(format_args!(
                    "livepatch: {}: {} done, build-id {}, guests paused for {pause} us\n",
                    Plain(name),
                    action.name(),
                    Hex(id.bytes()),
                ));
                if action != Action::Revert {
                    trust::taint(entry.payload.signed);
                }
            }
            Err(errno) => {
                warn(format_args!(
                    "live patch {}: {} failed ({}), build-id {}; nothing was changed\n",
                    Plain(name),
                    action.name(),
                    errno.name(),
                    Hex(id.bytes()),
                ));
                (self.guests.log)(format_args!(
                    "livepatch: {}: {} failed ({})\n",
                    Plain(name),
                    action.name(),
                    errno.name(),
                ));
            }
        }
    }
}

fn info(text: core::fmt::Arguments<'_>) {
    pr_info!("{text}");
}

fn warn(text: core::fmt::Arguments<'_>) {
    pr_warn!("{text}");
}

fn error(text: core::fmt::Arguments<'_>) {
    pr_err!("{text}");
}

/// Makes the books of the arenas.
fn new_arenas() -> errno::Result<Arc<Mutex<Arenas>>> {
    let arenas = Arenas::new(&symbols::bounds());
    Ok(Arc::pin_init(
        new_mutex!(arenas, "oxen::livepatch::arenas"),
        GFP_KERNEL,
    )?)
}

/// What the tool that asked for an action does on its way out, outside. Never patched: it is on the stack while code
/// is written.
#[link_section = ".kprobes.text"]
fn perform() {
    let Some(engine) = LIVEPATCH.get() else {
        return;
    };
    let Some(mut job) = hold::inside(|| engine.take_job()) else {
        return;
    };
    let (result, times) = stop::stop_and_do(&mut job, &engine.guests);
    hold::inside(|| engine.finish(job, result, &times));
}

/// Finds out whether the kernel lets a file be executed. Returns what is to be loaded, and whether it is trusted.
fn check_trust(file: &[u8]) -> Result<(&[u8], bool)> {
    let parts = signature::split(file)?;
    let good = match parts.signature {
        None => false,
        Some(signature) => {
            let verdict = trust::verify(parts.data, signature)
                .map_err(|_| Refusal::new(EPERM, "is not what its signature is for"))?;
            verdict == Verdict::Good
        }
    };
    if !good && trust::wants_signatures() {
        return Err(Refusal::new(
            EPERM,
            "is not signed by anybody whom this kernel trusts, and it wants that",
        ));
    }
    Ok((parts.data, good))
}

/// Puts a payload where it belongs.
fn write_images(payload: &Payload<Space>, images: &Images) -> errno::Result {
    let data = payload.space.data();
    poke::fill_data(data, Some(&images.data.bytes), payload.sizes.1)?;
    poke::fill(payload.space.text(), &images.text.bytes)
}

/// A person's words for a decision against an action.
fn why_not(errno: Errno, command: u32) -> &'static str {
    match (errno, command) {
        (errno::ENOENT, _) => "there is no such payload",
        (errno::EBUSY, abi::ACTION_REVERT) => {
            "something is being done with it, or it is not the one that was applied last"
        }
        (errno::EBUSY, abi::ACTION_UNLOAD) => {
            "something is being done with it, or another payload uses what is in it"
        }
        (errno::EBUSY, _) => "something else is being done",
        (errno::EINVAL, abi::ACTION_UNLOAD) => "it is applied",
        (errno::EINVAL, abi::ACTION_REPLACE) => "it depends on another payload",
        (errno::EINVAL, _) => "it depends on something else than what was applied last",
        (errno::EOPNOTSUPP, abi::ACTION_REPLACE) => "it, or one that it would replace, has hooks",
        _ => "there is no such action",
    }
}

/// The running module's text.
struct ModuleText;

impl plan::Text for ModuleText {
    fn read(&self, addr: u64, into: &mut [u8]) -> bool {
        symbols::read_text(addr, into)
    }
    fn is_home(&self, addr: u64) -> bool {
        symbols::is_module_text(addr) || symbols::is_kernel_image(addr)
    }
}

/// Works out what an action does.
fn prepare(
    registry: &mut Registry<Loaded>,
    name: &Name,
    action: Action,
    timeout_ns: u32,
) -> Result<KBox<Job>> {
    let mut plan = Plan::new();
    let mut parts = KVec::new();
    if action == Action::Replace {
        for entry in registry.applied() {
            add_revert(&mut plan, &mut parts, entry)?;
        }
    }
    let entry = registry
        .get(name)
        .map_err(|errno| Refusal::new(errno, "there is no such payload"))?;
    match action {
        Action::Revert => add_revert(&mut plan, &mut parts, entry)?,
        Action::Apply | Action::Replace => {
            let from = plan.writes().len();
            plan.apply(&entry.payload.payload.funcs, &ModuleText)?;
            let count = plan.writes().len() - from;
            add_part(&mut parts, entry, true, from, count)?;
        }
    }
    let too_little = |errno| Refusal::new(errno, "there is too little memory for it");
    let job = Job {
        name: *name,
        timeout_ns: match timeout_ns {
            0 => TIMEOUT_NS,
            ns => ns.into(),
        },
        parts,
        pokes: Pokes::new(plan.writes()).map_err(too_little)?,
        plan,
        carried_out: false,
        failed: None,
    };
    KBox::new(job, GFP_KERNEL).map_err(load::no_memory)
}

fn add_revert(plan: &mut Plan, parts: &mut KVec<Part>, entry: &Entry<Loaded>) -> Result {
    let from = plan.writes().len();
    if !entry.payload.by_hook {
        plan.revert(&entry.payload.payload.funcs)?;
    }
    add_part(parts, entry, false, from, plan.writes().len() - from)
}

fn add_part(
    parts: &mut KVec<Part>,
    entry: &Entry<Loaded>,
    applies: bool,
    from: usize,
    count: usize,
) -> Result {
    let hooks = &entry.payload.payload.hooks;
    let copy = |hooks: &[Hook]| {
        let mut copy = KVec::new();
        copy.extend_from_slice(hooks, GFP_KERNEL)
            .map_err(load::no_memory)?;
        Ok(copy)
    };
    let part = Part {
        arg: hook_arg(entry),
        applies,
        action: if applies { hooks.apply } else { hooks.revert },
        undo: if applies { hooks.revert } else { hooks.apply },
        load: copy(&hooks.load)?,
        unload: copy(&hooks.unload)?,
        from,
        count,
        by_default: true,
    };
    parts.push(part, GFP_KERNEL).map_err(load::no_memory)
}

fn hook_arg(entry: &Entry<Loaded>) -> HookArg {
    let mut arg = HookArg {
        // CAST: The enumeration is of that width.
        state: entry.state as u32,
        rc: entry.rc,
        default_action: 0,
        _pad: 0,
        name: [0; 128],
    };
    for (to, from) in arg.name.iter_mut().zip(entry.name.bytes()) {
        *to = *from;
    }
    arg
}

/// Asks the hook that may refuse an action.
fn ask_first(registry: &mut Registry<Loaded>, name: &Name, action: Action) -> errno::Result {
    let entry = registry.get(name)?;
    let hooks = &entry.payload.payload.hooks;
    let hook = match action {
        Action::Revert => hooks.pre_revert,
        // Payloads that have such hooks are not replaced, nor do they replace.
        Action::Apply | Action::Replace => hooks.pre_apply,
    };
    let Some(hook) = hook else {
        return Ok(());
    };
    let mut arg = hook_arg(entry);
    match poke::call_with(hook, &mut arg) {
        0 => Ok(()),
        rc => Err(Errno::from_raw(rc.into()).unwrap_or(EINVAL)),
    }
}

/// Calls the hook that is told how an action ended.
fn call_last(entry: &Entry<Loaded>, action: Action) {
    let hooks = &entry.payload.payload.hooks;
    let hook = match action {
        Action::Revert => hooks.post_revert,
        Action::Apply | Action::Replace => hooks.post_apply,
    };
    if let Some(hook) = hook {
        let mut arg = hook_arg(entry);
        poke::call_with(hook, &mut arg);
    }
}

/// Notes which functions are patched now, and with what.
fn note_written(registry: &mut Registry<Loaded>, action: Action, job: &Job) {
    let mut parts = job.parts.iter();
    if action == Action::Replace {
        registry.for_each_applied(|entry| {
            parts.next();
            plan::mark_reverted(&mut entry.payload.payload.funcs);
            entry.payload.by_hook = false;
        });
    }
    let (Some(part), Some((_, entry))) = (parts.next(), registry.busy()) else {
        return;
    };
    let loaded = &mut entry.payload;
    if action == Action::Revert {
        plan::mark_reverted(&mut loaded.payload.funcs);
        loaded.by_hook = false;
    } else if part.by_default {
        let writes = job.plan.writes().get(part.from..).unwrap_or(&[]);
        plan::mark_applied(&mut loaded.payload.funcs, writes);
    } else {
        loaded.by_hook = true;
    }
}
