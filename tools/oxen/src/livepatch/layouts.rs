// SPDX-License-Identifier: GPL-2.0-only

//! How types lie in memory, as the compiler prints it (`-Zprint-type-sizes`).
//!
//! What the running module has in memory was made by its own code. Code that takes it for something else cannot be
//! patched in.

use std::collections::BTreeMap;

/// Types by name, each with the lines that describe it.
pub(crate) type Layouts = BTreeMap<String, Vec<String>>;

/// What each line begins with.
const MARK: &str = "print-type-size ";

/// Types that only ever lie on a stack, or whose names say where in the source they stand.
fn is_passing(name: &str) -> bool {
    ["{closure", "{async", "{coroutine", "@", "dyn "]
        .iter()
        .any(|part| name.contains(part))
}

/// Reads what a compiler printed.
pub(crate) fn parse(text: &str) -> Layouts {
    let mut layouts = Layouts::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let Some(line) = line.trim_start().strip_prefix(MARK) else {
            continue;
        };
        if let Some(rest) = line.strip_prefix("type: `") {
            current = rest.split_once("`: ").and_then(|(name, size)| {
                if is_passing(name) {
                    return None;
                }
                layouts.insert(name.to_string(), vec![size.to_string()]);
                Some(name.to_string())
            });
        } else if let Some(lines) = current.as_ref().and_then(|name| layouts.get_mut(name)) {
            lines.push(line.trim().to_string());
        }
    }
    layouts
}

/// Types that both have, and that lie otherwise in the second.
pub(crate) fn changed(before: &Layouts, after: &Layouts) -> Vec<String> {
    before
        .iter()
        .filter(|(name, lines)| after.get(*name).is_some_and(|other| other != *lines))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\
print-type-size type: `time::Area`: 16 bytes, alignment: 8 bytes
print-type-size     field `.a`: 8 bytes
print-type-size     field `.b`: 4 bytes
print-type-size     end padding: 4 bytes
print-type-size type: `{closure@a.rs:3:4}`: 8 bytes, alignment: 8 bytes
  RUSTC [M] rust/lib.o
print-type-size type: `Small`: 1 bytes, alignment: 1 bytes
";

    #[test]
    fn a_field_more_is_another_layout() {
        let before = parse(BEFORE);
        assert_eq!(before.len(), 2);
        assert!(changed(&before, &before).is_empty());
        let after = parse(&BEFORE.replace("`.b`: 4", "`.c`: 4"));
        assert_eq!(changed(&before, &after), ["time::Area"]);
        let after = parse(&BEFORE.replace("3:4}`: 8 bytes", "3:4}`: 9 bytes"));
        assert!(changed(&before, &after).is_empty());
    }

    #[test]
    fn new_types_and_types_that_are_gone_change_nothing() {
        let before = parse(BEFORE);
        let after = parse("print-type-size type: `Other`: 1 bytes, alignment: 1 bytes\n");
        assert!(changed(&before, &after).is_empty());
    }
}
