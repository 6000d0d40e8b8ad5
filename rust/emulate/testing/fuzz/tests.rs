// SPDX-License-Identifier: GPL-2.0-only

//! The inputs that are kept, and others like them.

use super::*;
use std::path::Path;

/// The inputs in the tree, in the order of their names.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/emulate");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let inputs = paths.iter().map(|path| std::fs::read(path).unwrap());
    inputs.collect()
}

#[test]
fn corpus_does_no_harm() {
    let corpus = corpus();
    assert!(corpus.len() > 100, "{}", corpus.len());
    for input in &corpus {
        emulate(input);
    }
}

/// Inputs made of those in the tree: changed, cut, put together.
#[test]
fn variations_do_no_harm() {
    let corpus = corpus();
    let mut random = Random(0);
    for _ in 0..100_000 {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..random.below(6) {
            let at = random.below(input.len());
            match random.below(6) {
                0 => input[at] = random.byte(),
                1 => input[at] ^= 1 << random.below(8),
                2 => input.insert(at, random.byte()),
                3 if input.len() > 5 => drop(input.remove(at)),
                4 => {
                    let other = &corpus[random.below(corpus.len())];
                    input.truncate(at.max(4));
                    input.extend(other.iter().skip(4));
                }
                _ => input[at.min(3)] = random.byte(),
            }
        }
        emulate(&input);
    }
}
