// SPDX-License-Identifier: GPL-2.0-only

//! Applying a unified diff, strictly: each piece fits exactly, at its line or elsewhere, or the diff is refused.

use std::fs;
use std::path::{
    Component,
    Path, //
};

use crate::error::{
    Context,
    Error,
    Result, //
};

/// A piece of a diff: what is there, and what takes its place.
#[derive(Debug, PartialEq, Eq)]
struct Hunk {
    /// The first line of what is there, from 0.
    line: usize,
    old: Vec<String>,
    new: Vec<String>,
}

/// What a diff does to one file.
#[derive(Debug, PartialEq, Eq)]
struct FileDiff {
    /// Nothing for a file that is made.
    old: Option<String>,
    /// Nothing for a file that is removed.
    new: Option<String>,
    hunks: Vec<Hunk>,
}

/// A file's name in a diff, without its first folder.
fn name(text: &str) -> Option<String> {
    let text = text.split('\t').next().unwrap_or_default().trim_end();
    (text != "/dev/null").then(|| match text.split_once('/') {
        Some((_, rest)) => rest.to_string(),
        None => text.to_string(),
    })
}

/// The line and the number of lines of `-1,7` or `+1`.
fn range(text: &str) -> Option<(usize, usize)> {
    let text = text.get(1..)?;
    Some(match text.split_once(',') {
        Some((line, count)) => (line.parse().ok()?, count.parse().ok()?),
        None => (text.parse().ok()?, 1),
    })
}

/// Reads a diff.
fn parse(text: &str) -> Option<Vec<FileDiff>> {
    let mut files: Vec<FileDiff> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(old) = line.strip_prefix("--- ") {
            let Some(new) = lines.peek().and_then(|line| line.strip_prefix("+++ ")) else {
                continue;
            };
            files.push(FileDiff {
                old: name(old),
                new: name(new),
                hunks: Vec::new(),
            });
        } else if let Some(rest) = line.strip_prefix("@@ ") {
            let mut words = rest.split(' ');
            let (line, mut olds) = range(words.next()?)?;
            let (_, mut news) = range(words.next()?)?;
            let mut hunk = Hunk {
                line: line.saturating_sub(1),
                old: Vec::new(),
                new: Vec::new(),
            };
            while olds > 0 || news > 0 {
                let line = lines.next()?;
                let (mark, rest) = match line.chars().next() {
                    Some(mark) => (mark, line.get(mark.len_utf8()..)?),
                    // Some editors take the space off an empty line.
                    None => (' ', ""),
                };
                if matches!(mark, ' ' | '-') {
                    olds = olds.checked_sub(1)?;
                    hunk.old.push(rest.to_string());
                }
                if matches!(mark, ' ' | '+') {
                    news = news.checked_sub(1)?;
                    hunk.new.push(rest.to_string());
                }
                if !matches!(mark, ' ' | '-' | '+' | '\\') {
                    return None;
                }
            }
            files.last_mut()?.hunks.push(hunk);
        }
    }
    (!files.is_empty()).then_some(files)
}

/// Where a hunk fits: at its line, or at the nearest place where it does.
fn place(lines: &[String], hunk: &Hunk, wanted: usize) -> Option<usize> {
    let fits = |at: usize| lines.get(at..at + hunk.old.len()) == Some(&hunk.old[..]);
    (0..=lines.len()).find_map(|distance| {
        let below = wanted.checked_sub(distance).filter(|at| fits(*at));
        below.or_else(|| Some(wanted + distance).filter(|at| fits(*at)))
    })
}

/// Applies the hunks to a file's text.
fn edit(text: &str, hunks: &[Hunk]) -> std::result::Result<String, usize> {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let mut shift = 0_isize;
    for (number, hunk) in hunks.iter().enumerate() {
        let wanted = hunk.line.saturating_add_signed(shift);
        let at = place(&lines, hunk, wanted).ok_or(number + 1)?;
        lines.splice(at..at + hunk.old.len(), hunk.new.iter().cloned());
        shift =
            at as isize - hunk.line as isize + hunk.new.len() as isize - hunk.old.len() as isize;
    }
    Ok(lines.iter().map(|line| line.clone() + "\n").collect())
}

/// Whether a name stays below the folder that it is relative to.
fn stays_below(name: &str) -> bool {
    Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
}

/// Applies a diff to a tree.
///
/// # Errors
///
/// Fails if it is none, or does not fit.
pub(crate) fn apply(diff: &Path, tree: &Path) -> Result {
    let step = || format!("apply {}", diff.display());
    let text = fs::read_to_string(diff).step(step())?;
    let files = parse(&text).ok_or_else(|| Error::text("it is no unified diff").step(step()))?;
    for file in &files {
        let wrong = |why: String| Error::text(why).step(step());
        let names = [&file.old, &file.new];
        if names.into_iter().flatten().any(|name| !stays_below(name)) {
            return Err(wrong("it names a file outside of the tree".into()));
        }
        let old = match &file.old {
            None => String::new(),
            Some(name) => fs::read_to_string(tree.join(name)).step(step())?,
        };
        let new = edit(&old, &file.hunks).map_err(|number| {
            let name = file.old.as_deref().unwrap_or("a new file");
            wrong(format!(
                "part {number} of what it does to {name} does not fit"
            ))
            .hint("the diff must be one for the tree that the module was built from")
        })?;
        match &file.new {
            Some(name) => {
                let path = tree.join(name);
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).step(step())?;
                }
                fs::write(path, new).step(step())?;
            }
            None => {
                if let Some(name) = &file.old {
                    fs::remove_file(tree.join(name)).step(step())?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\nb\nc\nd\ne\nf\n";

    fn diff(body: &str) -> Vec<FileDiff> {
        parse(&format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n{body}")).unwrap()
    }

    #[test]
    fn hunks_are_applied_where_they_fit() {
        let files = diff("@@ -2,3 +2,3 @@ fn\n b\n-c\n+C\n d\n@@ -6 +6,2 @@\n f\n+g\n");
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].new.as_deref(), Some("x"));
        assert_eq!(
            edit(TEXT, &files[0].hunks).unwrap(),
            "a\nb\nC\nd\ne\nf\ng\n"
        );
        // Elsewhere, because something came before.
        let moved = format!("1\n2\n{TEXT}");
        let edited = edit(&moved, &files[0].hunks).unwrap();
        assert_eq!(edited, "1\n2\na\nb\nC\nd\ne\nf\ng\n");
        assert_eq!(edit("a\nB\nc\nd\n", &files[0].hunks), Err(1));
    }

    #[test]
    fn files_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), TEXT).unwrap();
        let path = dir.path().join("diff");
        let body = "--- /dev/null\n+++ b/new/file\n@@ -0,0 +1,2 @@\n+x\n+y\n\
                    --- a/old\n+++ /dev/null\n@@ -1,6 +0,0 @@\n-a\n-b\n-c\n-d\n-e\n-f\n";
        fs::write(&path, body).unwrap();
        apply(&path, dir.path()).unwrap();
        assert!(!dir.path().join("old").exists());
        let new = fs::read_to_string(dir.path().join("new/file")).unwrap();
        assert_eq!(new, "x\ny\n");
        fs::write(&path, "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
        assert!(apply(&path, dir.path()).is_err());
        fs::write(&path, "nothing\n").unwrap();
        assert!(apply(&path, dir.path()).is_err());
    }
}
