#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Prints every import in rust/ that does not go down.

The rooms of the module stand on floors; a room imports from lower floors, and from its own floor as
long as no circle comes of it. See Documentation/architecture.rst.

usage: floors.py CHECKOUT
"""

import pathlib
import re
import sys

FLOORS = {
    "lib": 8,
    "start": 8,
    "dev": 7,
    "run": 7,
    "hypercall": 6,
    "domain": 5,
    "evtchn": 4,
    "gnttab": 4,
    "ioreq": 4,
    "policy": 4,
    "time": 4,
    "vlapic": 4,
    "vm_event": 4,
    "mm": 3,
    "build_id": 2,
    "emulate": 2,
    "hw": 2,
    "livepatch": 2,
    "xsm": 2,
    "abi": 1,
    "sys": 1,
    "trace": 1,
    # The host build's stand-in for sys, and its root: no part of the module.
    "host": 8,
}

# Generated, or the kernel's: not rooms.
IGNORED = {"helpers", "helpers_generated"}

PATH = re.compile(r"(?<![:\w$])(?:\$?crate)::(?:([a-z_]\w*)|\{([^}]*)\})", re.S)


def room_of(path, rust):
    return path.relative_to(rust).parts[0].removesuffix(".rs")


def strip_comments(text):
    """Blanks comments and string literals, keeping every line where it is."""
    token = re.compile(
        r"""//[^\n]*|/\*.*?\*/|b?"(?:\\.|[^"\\])*"|'(?:\\.|[^\\'])'""",
        re.S,
    )
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


TEST_ONLY = re.compile(r"#\[cfg\((?:(?:all\()?(?:test|loom)\b|any\(test, fuzzing\))[^\n]*\]")
TEST_FILE = re.compile(
    TEST_ONLY.pattern + r"\s*(?:#\[[^\n]*\]\s*)*(?:pub(?:\([^)]*\))? )?mod (\w+);"
)


def without_tests(text):
    """Blanks every item that only a test build has; a test may look anywhere. Wants no comments."""
    while found := TEST_ONLY.search(text):
        end = found.end()
        depth = 0
        while end < len(text):
            char = text[end]
            if char in "{([":
                depth += 1
            elif char in "})]":
                depth -= 1
            end += 1
            # The end of the item: its last brace, or a semicolon outside of any.
            if depth == 0 and (char == "}" or char == ";"):
                break
        blank = re.sub(r"[^\n]", " ", text[found.start() : end])
        text = text[: found.start()] + blank + text[end:]
    return text


def test_files(rust):
    """Returns the files and folders that only a test build has."""
    found = set()
    for path in rust.rglob("*.rs"):
        beside = path.parent if path.stem in ("lib", "host") else path.with_suffix("")
        for name in TEST_FILE.findall(strip_comments(path.read_text(encoding="utf-8"))):
            found |= {beside / f"{name}.rs", beside / name}
    return found


def is_test(path, tests):
    return path in tests or any(parent in tests for parent in path.parents)


def imports(text):
    """Yields (line number, room) for each path into the crate."""
    for found in PATH.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found[1]:
            yield line, found[1]
        else:
            for name in re.findall(r"(?:^|,)\s*([a-z_]\w*)", found[2]):
                yield line, name


def check(checkout):
    """Returns the list of violations as text."""
    rust = pathlib.Path(checkout) / "rust"
    wrong, sideways, seen = [], {}, {}
    tests = test_files(rust)
    for path in sorted(rust.rglob("*.rs")):
        room = room_of(path, rust)
        if room in IGNORED or is_test(path, tests):
            continue
        where = path.relative_to(checkout)
        if room not in FLOORS:
            if room not in seen:
                wrong.append(f"{where}: the room `{room}` is on no floor (tools/lab/floors.py)")
                seen[room] = True
            continue
        source = without_tests(strip_comments(path.read_text(encoding="utf-8")))
        for line, target in imports(source):
            if target == room or target not in FLOORS:
                continue
            if FLOORS[target] > FLOORS[room]:
                wrong.append(
                    f"{where}:{line}: `{room}` (floor {FLOORS[room]})"
                    f" imports `{target}` (floor {FLOORS[target]})"
                )
            elif FLOORS[target] == FLOORS[room]:
                sideways.setdefault(room, {}).setdefault(target, f"{where}:{line}")
    return wrong + circles(sideways)


def circles(graph):
    """Returns a line for each circle among rooms of one floor."""
    found, done = [], set()

    def walk(room, trail):
        if room in trail:
            ring = trail[trail.index(room) :]
            if frozenset(ring) not in done:
                done.add(frozenset(ring))
                at = graph[ring[-1]][room]
                found.append(f"{at}: a circle on one floor: {' -> '.join(ring + [room])}")
            return
        for target in graph.get(room, {}):
            walk(target, trail + [room])

    for room in graph:
        walk(room, [])
    return found


if __name__ == "__main__":
    violations = check(sys.argv[1])
    print("\n".join(violations), end="\n" if violations else "")
    sys.exit(1 if violations else 0)
