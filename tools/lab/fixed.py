# SPDX-License-Identifier: GPL-2.0-only
"""Finds what the code that a live patch never changes calls of the code that it may change.

The former waits outside of the gate (rust/sys/hold.rs) while the latter is written. So it may call
the latter only where it is inside: through functions made for that, each of which has a name here.
"""

import re
import subprocess

# What is called inside, by the end of its mangled name.
INSIDE = re.compile(
    r"\d(?:open|release|ioctl|read|write|poll|mmap|get|put|show)_inside"
    # A vCPU's thread, between entering and leaving its seat.
    r"|\d+oxen3run(?:6new_hw|7drop_hw|7stopped|7started|9may_start)"
    r"|7Running.*(?:3run|3end|5begin|11may_unblock)B"
    r"|7Running.*(?:23model_may_have_answered|18end_wait_for_model)B"
    r"|7Running.*(?:25monitor_may_have_answered|20end_wait_for_monitor)B"
    # The scheduler's callbacks.
    r"|9Scheduled5(?:given|taken)"
    # Processors come and go, which a patch keeps them from.
    r"|7Backend6enable"
    # What is done before and after a patch.
    r"|9livepatch6engine.*(?:6finish|8take_job)$"
    # A thread that ends: who waits for that is inside.
    r"|13drop_in_place.*6domain6Domain"
)

# The section of the code that is never changed, and where the parts of the other begin and end.
SECTION = ".kprobes.text"
BOUNDS = (("oxen_text_begin", "oxen_text_end"), ("oxen_cold_begin", "oxen_cold_end"))


def readelf(option, path):
    """Returns what readelf says."""
    return subprocess.run(
        ("readelf", option, path), stdout=subprocess.PIPE, check=True
    ).stdout.decode()


def symbols(path):
    """Returns the sections' numbers by name, and (section, value, size, type, name) of symbols."""
    found, sections = [], {}
    for line in readelf("-SW", path).split("\n"):
        match = re.match(r"\s*\[\s*(\d+)\]\s+(\S+)\s", line)
        if match:
            sections.setdefault(match[2], match[1])
    for line in readelf("-sW", path).split("\n"):
        words = line.split()
        if len(words) == 8 and words[0][:-1].isdigit():
            found.append((words[6], int(words[1], 16), int(words[2], 0), words[3], words[7]))
    return sections, found


def calls(path):
    """Yields (caller, callee) of what the section refers to in the code that may be changed."""
    sections, known = symbols(path)
    places = {name: (section, value) for section, value, _, _, name in known}
    places.update((name, (section, 0)) for name, section in sections.items())
    functions = [symbol for symbol in known if symbol[3] == "FUNC"]
    # The parts of the code are sections of their own until the module is linked.
    parts = [(*places[begin], places[end][1]) for begin, end in BOUNDS]

    def owner(section, at):
        for its, value, size, _, name in functions:
            if its == section and value <= at < value + size:
                return name
        return f"{at:#x}"

    current = None
    for line in readelf("-rW", path).split("\n"):
        match = re.match(r"Relocation section '\.rela(\S+)'", line)
        if match:
            current = match[1]
            continue
        words = line.split()
        if current != SECTION or len(words) < 5 or not re.match(r"[0-9a-f]{16}$", words[0]):
            continue
        section, base = places.get(words[4], (None, 0))
        addend = int(words[6], 16) * (1 if words[5] == "+" else -1) if len(words) > 6 else 0
        at = base + addend + (4 if words[2] in ("R_X86_64_PLT32", "R_X86_64_PC32") else 0)
        if any(section == its and begin <= at < end for its, begin, end in parts):
            yield owner(sections[SECTION], int(words[0], 16)), owner(section, at)


def wrong(path):
    """Returns a line for each call that is not known to happen inside."""
    return sorted(
        {f"{caller} calls {callee}" for caller, callee in calls(path) if not INSIDE.search(callee)}
    )
