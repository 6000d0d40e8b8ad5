// SPDX-License-Identifier: GPL-2.0-only

//! What symbols' names tell, and how a person reads them.

/// Whether a function is what the compiler set aside of another.
pub(crate) fn is_part(name: &str) -> bool {
    name.ends_with(".cold")
}

/// What is no symbol of anybody when the code runs.
pub(crate) fn is_for_the_tool_chain(name: &str) -> bool {
    matches!(name, "__fentry__" | "__x86_return_thunk" | "")
}

/// Whether two names are the same but for the numbers with which compilers tell things of one name apart.
pub(crate) fn is_alike(one: &str, other: &str) -> bool {
    let stem = |name: &str| {
        let mut stem = name;
        while let Some((rest, number)) = stem.rsplit_once('.') {
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                break;
            }
            stem = rest;
        }
        shown(stem)
    };
    stem(one) == stem(other)
}

/// A name as a person reads it.
pub(crate) fn shown(name: &str) -> String {
    rustc_demangle(name).unwrap_or_else(|| name.to_string())
}

/// The last words of a mangled Rust name, outermost first: enough to find the function in the source.
fn rustc_demangle(name: &str) -> Option<String> {
    let rest = name.strip_prefix("_R")?;
    let mut words = Vec::new();
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() || bytes[at] == b'0' {
            at += 1;
            continue;
        }
        let digits = bytes[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let len: usize = rest.get(at..at + digits)?.parse().ok()?;
        let from = at + digits + usize::from(bytes.get(at + digits) == Some(&b'_'));
        match rest.get(from..from + len) {
            Some(word)
                if word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && len > 0 =>
            {
                at = from + len;
                // What tells crates apart looks like a word at the beginning.
                if !words.is_empty() || bytes.get(at) != Some(&b'_') {
                    words.push(word);
                }
            }
            _ => at += digits,
        }
    }
    (!words.is_empty()).then(|| words.join("::"))
}
