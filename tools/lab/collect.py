#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Counts the results in the logs of test suites, honestly.

Each LOG is a suite named after its file. It holds TAP (or the kernel's KTAP, or `cargo test`
output) and, as its last line, `STATUS n`: how the suite's command ended. Counted are results, not
suites: the nested ones where a test has them, the test itself where not. A planned result that
never came is a failure; so are a suite that ended badly without saying why, one without a status,
and one without any result.

A suite that failed in an emulated machine and was run again has two logs: that of its first run is
named `NAME.first`. The second one counts; if it passed, the failures of the first are called flaky.

Prints a table, then what the suites that failed say of it, then the failures, each once with how
often it came; writes `PASSED FAILED SKIPPED` to SUMMARY. Ends with status 1 if anything failed.

usage: collect.py SUMMARY LOG...
"""

import collections
import dataclasses
import pathlib
import re
import sys

STATUS = re.compile(r"^STATUS (\d+)$")
CARGO_TEST = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored.*)$")
CARGO_SUM = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
RESULT = re.compile(r"^(not )?ok\b *(\d+)?(?: *-)? *(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)\b(.*)$")
# How many lines of the end of a log that failed are shown.
ENDING = 10
# How many lines of results that failed, with their reasons, are shown.
REASONS = 60
DIRECTIVE = re.compile(r"#\s*(SKIP|XFAIL|TODO|TIMEOUT)\b", re.I)
# What a machine that died says of it: tools/vm itself, QEMU, and the kernel.
LAST_WORDS = re.compile(r"^vm: |panic|\b(BUG|WARNING|Oops|RIP)\b: |general protection")


@dataclasses.dataclass
class Counts:
    """What a suite came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def total(self):
        return self.passed + self.failed + self.skipped


@dataclasses.dataclass
class Level:
    """One nesting level of TAP: its plan, and what has come of it."""

    planned: int | None = None
    came: int = 0
    # Results of all levels below since the last result of this one.
    below: int = 0
    below_failed: int = 0


def depth_of(line):
    """Returns (nesting depth, line without its nesting marks)."""
    depth = 0
    while True:
        if line.startswith("# "):
            line = line[2:]
        elif line.startswith("    "):
            line = line[4:]
        else:
            return depth, line
        depth += 1


def close(levels, depth, counts, name):
    """Ends all levels below depth: what they had planned and did not give has failed."""
    failed = 0
    while len(levels) > depth + 1:
        level = levels.pop()
        missing = (level.planned or 0) - level.came
        if missing > 0:
            for _ in range(missing):
                counts.fail(f"{name}: a planned result never came")
            failed += missing
    return failed


def is_expected(name):
    """Returns whether a result's name says that it may fail."""
    directive = DIRECTIVE.search(name)
    return bool(directive) and directive[1].upper() in ("XFAIL", "TODO")


def tap(lines, counts):
    """Counts TAP and KTAP results."""
    levels = [Level()]
    for line in lines:
        depth, rest = depth_of(line)
        # An unindented diagnostic looks nested by one; that is how the kernel's selftests nest.
        plan = PLAN.match(rest)
        result = RESULT.match(rest)
        if not plan and not result:
            continue
        while len(levels) <= depth:
            levels.append(Level())
        if plan:
            if len(levels) > depth + 1:
                close(levels, depth, counts, "an unfinished test")
            # A second plan at a level that had one starts over: what was missing stays missing.
            level = levels[depth]
            if level.planned is not None and level.came < level.planned:
                for _ in range(level.planned - level.came):
                    counts.fail("a planned result never came")
            if level.planned is not None:
                levels[depth] = Level(below=level.below, below_failed=level.below_failed)
            levels[depth].planned = int(plan[1])
            continue
        bad, _, name = result.groups()
        level = levels[depth]
        nested = level.below
        nested_failed = level.below_failed + close(levels, depth, counts, name)
        level.came += 1
        level.below = level.below_failed = 0
        directive = DIRECTIVE.search(name)
        kind = directive[1].upper() if directive else ""
        if kind == "SKIP" and not bad:
            # Results it gave before it gave up have been counted.
            counts.skipped += 1 if not nested else 0
        elif bad and is_expected(name):
            counts.skipped += 1
        elif bad:
            if not nested_failed:
                counts.fail(name)
            for above in levels[:depth]:
                above.below_failed += 1
        elif not nested:
            counts.passed += 1
        for above in levels[:depth]:
            above.below += 1
    close(levels, -1, counts, "the suite")


def cargo(lines, counts):
    """Counts `cargo test`, from the sums; names come from the single lines."""
    for line in lines:
        test = CARGO_TEST.match(line)
        if test and test[2] == "FAILED":
            counts.failures.append(test[1])
        found = CARGO_SUM.match(line)
        if found:
            counts.passed += int(found[1])
            counts.failed += int(found[2])
            counts.skipped += int(found[3])


def count(text):
    """Returns the Counts of one suite's log."""
    counts = Counts()
    lines = text.replace("\r", "").split("\n")
    status = None
    for line in reversed(lines):
        if found := STATUS.match(line):
            status = int(found[1])
            break
    if any(CARGO_SUM.match(line) or line.startswith("running ") for line in lines):
        cargo(lines, counts)
    else:
        tap(lines, counts)
    if status is None:
        counts.fail("the suite did not end")
    elif status != 0 and not counts.failed:
        counts.fail(f"the suite ended with status {status}")
    elif not counts.total():
        counts.fail("the suite gave no result")
    return counts


def reasons(lines):
    """Returns the results that failed, each with the diagnostics after it."""
    found, shown = [], False
    for line in lines:
        if result := RESULT.match(depth_of(line)[1]):
            shown = bool(result[1]) and not is_expected(result[3])
        if shown:
            found.append(line)
    return found[:REASONS]


def ending(text):
    """Returns what a log has to say of a failure, indented: its reasons, last words, last lines."""
    lines = [line[:160] for line in text.replace("\r", "").split("\n") if line.strip()]
    early, last = lines[:-ENDING], lines[-ENDING:]
    words = [line for line in early if LAST_WORDS.search(line)][:8]
    return "".join(f"    {line}\n" for line in reasons(early) + words + last)


def first_run(path):
    """Returns the text and the failures of the run of a suite before the one that counts."""
    first = path.with_suffix(".first.log")
    if not first.exists():
        return None
    text = first.read_text(encoding="utf-8", errors="replace")
    return text, count(text).failures


def main():
    summary, *logs = sys.argv[1:]
    total = Counts()
    endings = []
    flaky = []
    print(f"{'suite':<24}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for name in logs:
        path = pathlib.Path(name)
        text = path.read_text(encoding="utf-8", errors="replace")
        counts = count(text)
        if counts.failed:
            endings.append(f"the end of {path.stem}:\n{ending(text)}")
        elif first := first_run(path):
            endings.append(f"the first run of {path.stem}:\n{ending(first[0])}")
            flaky += [f"{path.stem}: {what}" for what in first[1]]
        print(f"{path.stem:<24}{counts.passed:>8}{counts.failed:>8}{counts.skipped:>8}")
        total.passed += counts.passed
        total.failed += counts.failed
        total.skipped += counts.skipped
        total.failures += [f"{path.stem}: {what}" for what in counts.failures]
    print(f"{'all':<24}{total.passed:>8}{total.failed:>8}{total.skipped:>8}")
    print("".join(endings), end="")
    for what, times in collections.Counter(flaky).items():
        more = f", {times} times" if times > 1 else ""
        print(f"flaky: {what} (failed{more}, and passed when run again)")
    for what, times in collections.Counter(total.failures).items():
        print(f"failed: {what}" + (f" ({times} times)" if times > 1 else ""))
    pathlib.Path(summary).write_text(
        f"{total.passed} {total.failed} {total.skipped}\n", encoding="utf-8"
    )
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
