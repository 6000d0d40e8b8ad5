// SPDX-License-Identifier: GPL-2.0-only

//! `oxen livepatch build`: from a source diff to a payload.

use std::fs;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Command,
    Stdio, //
};

use super::compare::Comparison;
use super::diff;
use super::layouts::{
    self,
    Layouts, //
};
use super::lower::Lower;
use super::module::Module;
use super::names::shown;
use super::object::{
    Build,
    Object, //
};
use super::select::{
    self,
    Selection, //
};
use super::tree;
use super::write::{
    self,
    About,
    Payload, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The diff.
    pub(crate) patch: &'a Path,
    /// The tree that the module was built from.
    pub(crate) source: &'a Path,
    /// The kernel's build folder.
    pub(crate) kdir: &'a Path,
    /// The module that runs.
    pub(crate) module: &'a Path,
    /// Further arguments of make.
    pub(crate) make: &'a [String],
    /// Where to build; what was built there for the same module is used again.
    pub(crate) work: &'a Path,
    /// A payload that it goes on top of.
    pub(crate) on: Option<&'a Path>,
    /// Types that may lie otherwise.
    pub(crate) layouts: &'a [String],
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) payload: Payload,
    /// Functions that are replaced.
    pub(crate) functions: Vec<String>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Options of the compilers: everything in a section of its own, and a description of all types.
const RUST_FLAGS: &str = "KRUSTFLAGS=-Zfunction-sections=y -Zprint-type-sizes";
const C_FLAGS: &str = "KCFLAGS=-ffunction-sections -fdata-sections";

/// Makes a payload.
///
/// # Errors
///
/// Fails with all reasons why the diff cannot be a live patch, or with what a tool said.
pub(crate) fn build(order: &Order<'_>) -> Result<Made> {
    let module = Module::read(order.module)?;
    let lower = order.on.map(Lower::read).transpose()?;
    let tree = order.work.join("source");
    let (before, layouts_before) = build_before(order, &module, &tree)?;
    check_tree(&module, &before, &tree)?;
    diff::apply(order.patch, &tree)?;
    // In the same place, and only what the diff makes old.
    let out = order.work.join("out");
    copy_folder(&order.work.join("before"), &out)?;
    let (after, layouts_after) = compile(order, &tree, &out)?;

    let mut compare = Comparison::new(&before, &after);
    let mut selection = select::select(&mut compare, &module);
    for name in layouts::changed(&layouts_before, &layouts_after) {
        if !order.layouts.contains(&name) {
            selection.refusals.insert(format!(
                "{name}: lies otherwise in memory, and there may be some that the old code has made \
                 (--layout '{name}' says that there are none)"
            ));
        }
    }
    if let Some(lower) = &lower {
        lower.check(&module, &mut selection);
    }
    finish(order, &module, &after, selection, lower)
}

fn finish(
    order: &Order<'_>,
    module: &Module,
    after: &Build,
    selection: Selection,
    lower: Option<Lower>,
) -> Result<Made> {
    if !selection.refusals.is_empty() {
        let reasons: Vec<_> = selection.refusals.into_iter().collect();
        return Err(Error::text(format!(
            "this cannot be a live patch:\n  {}",
            reasons.join("\n  ")
        )));
    }
    if selection.replaced.is_empty() {
        return Err(Error::text("the diff changes no machine code"));
    }
    let depends = match lower {
        None => module.id.clone(),
        Some(lower) => lower.id,
    };
    let functions: Vec<_> = selection
        .replaced
        .iter()
        .map(|one| shown(&one.name))
        .collect();
    let file = order.patch.file_name().unwrap_or_default();
    let about = About {
        depends: &depends,
        words: vec![
            ("patch".into(), file.to_string_lossy().into_owned()),
            ("functions".into(), functions.join(" ")),
        ],
    };
    let payload = write::write(after, &selection, module, &about)?;
    let mut notes = selection.notes;
    notes.sort();
    notes.dedup();
    Ok(Made {
        payload,
        functions,
        notes,
    })
}

/// Builds the tree as it is, unless that was done with the same of everything. What was built is then in `before`.
fn build_before(order: &Order<'_>, module: &Module, tree: &Path) -> Result<(Build, Layouts)> {
    let out = order.work.join("out");
    let before = order.work.join("before");
    let stamp = order.work.join("before.id");
    let _ = fs::remove_dir_all(tree);
    copy_tree(order.source, tree)?;
    let id = inputs(order, module, tree)?;
    if fs::read(&stamp).is_ok_and(|known| known == id) {
        return collect(&before);
    }
    let _ = fs::remove_file(&stamp);
    let _ = fs::remove_dir_all(&out);
    let built = compile(order, tree, &out)?;
    copy_folder(&out, &before)?;
    fs::write(&stamp, &id).step(format!("write {}", stamp.display()))?;
    Ok(built)
}

/// What of a kernel's build folder tells how it is configured, and with which compilers.
const CONFIGURED: [&str; 2] = ["include/config/auto.conf", "include/config/kernel.release"];

/// An identity of all that a build comes from.
fn inputs(order: &Order<'_>, module: &Module, tree: &Path) -> Result<Vec<u8>> {
    let mut all = module.id.clone();
    let mut add = |bytes: &[u8]| {
        all.extend((bytes.len() as u64).to_le_bytes());
        all.extend(bytes);
    };
    add(order.kdir.as_os_str().as_encoded_bytes());
    for argument in order.make {
        add(argument.as_bytes());
    }
    for name in CONFIGURED {
        add(&fs::read(order.kdir.join(name)).unwrap_or_default());
    }
    let mut files = vec![tree.join("Kbuild")];
    for folder in ["include", "rust"] {
        find_files(&tree.join(folder), &mut files)?;
    }
    files.sort();
    for path in files {
        add(path.as_os_str().as_encoded_bytes());
        add(&fs::read(&path).step(format!("read {}", path.display()))?);
    }
    Ok(write::identity(&all))
}

fn find_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    let step = || format!("read {}", folder.display());
    for entry in fs::read_dir(folder).step(step())? {
        let path = entry.step(step())?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Copies what the module is built from.
fn copy_tree(from: &Path, to: &Path) -> Result {
    let step = || format!("copy {}", from.display());
    fs::create_dir_all(to).step(step())?;
    for entry in fs::read_dir(from).step(step())? {
        let entry = entry.step(step())?;
        let name = entry.file_name();
        if name == "build" || name == "tools" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().step(step())?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() {
            // With its time: make looks at it.
            let copied = Command::new("cp")
                .arg("-p")
                .arg(entry.path())
                .arg(to)
                .status();
            if !copied.step(step())?.success() {
                return Err(Error::text("cp failed").step(step()));
            }
        }
    }
    Ok(())
}

/// Copies a folder with all that is in it, and with its times, to where nothing is then but that.
fn copy_folder(from: &Path, to: &Path) -> Result {
    let step = || format!("copy {}", from.display());
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    if copied.step(step())?.success() {
        Ok(())
    } else {
        Err(Error::text("cp failed").step(step()))
    }
}

/// Builds what of a tree is newer than what has been built of it.
fn compile(order: &Order<'_>, tree: &Path, out: &Path) -> Result<(Build, Layouts)> {
    let step = || format!("build {}", out.display());
    fs::create_dir_all(out).step(step())?;
    let log_path = out.join("log");
    let log = fs::File::create(&log_path).step(step())?;
    let status = Command::new("make")
        .arg("-C")
        .arg(order.kdir)
        .arg(format!("M={}", tree.display()))
        .arg(format!("MO={}", out.display()))
        .args(order.make)
        .args([RUST_FLAGS, C_FLAGS, "modules"])
        .stdin(Stdio::null())
        .stderr(log.try_clone().step(step())?)
        .stdout(log)
        .status()
        .step(step())
        .hint("install make")?;
    if status.success() {
        return collect(out);
    }
    let log = fs::read_to_string(&log_path).unwrap_or_default();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| !line.starts_with("print-type-size"))
        .collect();
    let tail = lines
        .get(lines.len().saturating_sub(30)..)
        .unwrap_or_default();
    Err(Error::text(format!("make failed\n{}", tail.join("\n"))).step(step()))
}

/// Reads what was built.
fn collect(out: &Path) -> Result<(Build, Layouts)> {
    let mut build = Build::default();
    let mut files = Vec::new();
    find_files(&out.join("rust"), &mut files)?;
    files.retain(|path| path.extension().is_some_and(|end| end == "o"));
    files.sort();
    for path in files {
        let name = path
            .strip_prefix(out)
            .unwrap_or(&path)
            .display()
            .to_string();
        build.objects.push((name, Object::read(&path)?));
    }
    let log = out.join("log");
    let text = fs::read_to_string(&log).step(format!("read {}", log.display()))?;
    Ok((build, layouts::parse(&text)))
}

/// Sees whether the tree is that of the module.
fn check_tree(module: &Module, before: &Build, tree: &Path) -> Result {
    let different = tree::differences(module, before, tree);
    if before.all().next().is_some() && different.is_empty() {
        return Ok(());
    }
    let some: Vec<_> = different.iter().take(5).map(|name| shown(name)).collect();
    let more = match different.len().saturating_sub(some.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Error::text(format!(
        "what is not the same in the module as in what the tree becomes: {}{more}",
        some.join(", "),
    ))
    .hint("build from the module's tree, with the kernel and compilers that it was built with")
    .step("compare the tree with the module"))
}
