#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Checks the checkout against the house rules and prints TAP, one line for each rule.

Runs inside the build root, in the checkout, with the stock kernel at /lab/kernel. The files to look
at are named on standard input, one on a line, relative to the checkout.

usage: lint.py CHECKOUT KERNELRELEASE < FILES
"""

import ast
import pathlib
import re
import subprocess
import sys

import fixed
import floors

CHECKOUT = pathlib.Path(sys.argv[1])
RELEASE = sys.argv[2]
FILES = [CHECKOUT / name for name in sys.stdin.read().split("\n") if name]
FILES = [path for path in FILES if path.is_file()]

WIDTH = 100
COMMENT_WIDTH = 120
PYTHON = "#!/usr/bin/env python3"
LONGEST = 800
# So many lines are shown of what a check found.
MOST = 150
UNSAFE_ROOMS = re.compile(
    r"^rust/((sys|hw|mm|run|dev|trace|helpers|host)(/|\.rs)|livepatch/poke|lib\.rs)"
)
# Patterns are split so that this file does not match itself.
FOREIGN = re.compile(
    r"https?://[^ ]*(deb"
    r"ian|cra"
    r"tes|py"
    r"pi|npm"
    r"js)"
    r"|(^|[^\w.])/(wo"
    r"rk|ho"
    r"me|ro"
    r"ot)/[\w.]"
)
PANICS = re.compile(r"\b(todo|unimplemented|panic|unreachable)!|\.unwrap\(\)|\.expect\(")


def relative(path):
    return str(path.relative_to(CHECKOUT))


def text(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def named(*suffixes):
    return [path for path in FILES if path.suffix in suffixes]


def module_sources():
    rust = [p for p in named(".rs") if relative(p).startswith("rust/")]
    return [p for p in rust if "generated" not in p.name]


def bare(path):
    """Returns a Rust file without comments, strings and tests, line for line."""
    return floors.without_tests(floors.strip_comments(text(path)))


def shell_scripts():
    """Yields what bash or a shell runs, whatever its name."""
    for path in FILES:
        head = text(path)[:200]
        if re.match(r"#!(/bin/|/usr/bin/env )(ba)?sh\b", head) or "# shellcheck shell=" in head:
            yield path


def run(*command):
    """Returns (status, output) of a command."""
    done = subprocess.run(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode(errors="replace")


def spdx():
    """every file says its licence in its first lines"""
    exempt = re.compile(r"^(COPYING|LICENSES/.*|.*\.lock|.*/settings|.*\.(json|bin|txt))$")
    wrong = []
    for path in FILES:
        head = "\n".join(text(path).split("\n")[:4])
        if not exempt.match(relative(path)) and "SPDX-License-Identifier: GPL-2.0" not in head:
            wrong.append(relative(path))
    return wrong


def whitespace():
    """no space at the end of a line, and a newline at the end of a file"""
    wrong = []
    for path in FILES:
        content = text(path)
        # Manual pages are generated.
        if relative(path).startswith(("LICENSES/", "COPYING", "Documentation/man/")):
            continue
        for number, line in enumerate(content.split("\n"), 1):
            # In a diff, an empty line that stays is a space.
            is_context = line == " " and path.suffix == ".diff"
            if line != line.rstrip() and not is_context:
                wrong.append(f"{relative(path)}:{number}: space at the end of the line")
        if content and not content.endswith("\n"):
            wrong.append(f"{relative(path)}: no newline at the end")
    return wrong


def width():
    """code keeps to 100 columns, comments and shell to 120"""
    wrong = []
    for path in FILES:
        content = text(path)
        if path in SHELL:
            limit, tab = COMMENT_WIDTH, 4
        elif path.suffix in (".rs", ".c", ".h", ".S", ".py") or content.startswith(PYTHON):
            limit, tab = WIDTH, 8
        else:
            continue
        if "generated" in path.name:
            continue
        for number, line in enumerate(content.split("\n"), 1):
            columns = len(line.expandtabs(tab))
            comment = re.match(r"\s*(//|#|/?\*)", line)
            # What a person reads in one piece is found in one piece.
            piece = re.search(r'https?://|^\s*"', line)
            if columns > (COMMENT_WIDTH if comment else limit) and not piece:
                wrong.append(f"{relative(path)}:{number}: {columns} columns")
    return wrong


def length():
    """no source file is longer than 800 lines, and none is called mod.rs"""
    wrong = []
    for path in named(".rs", ".c", ".h", ".S", ".py", ".sh"):
        count = text(path).count("\n")
        if count > LONGEST and "generated" not in path.name:
            wrong.append(f"{relative(path)}: {count} lines")
        if path.name == "mod.rs":
            wrong.append(f"{relative(path)}: use {path.parent.name}.rs beside the folder")
    return wrong


def foreign():
    """nothing names a package host or a path of some machine"""
    wrong = []
    for path in FILES:
        if path.suffix == ".lock":
            continue
        for number, line in enumerate(text(path).split("\n"), 1):
            if FOREIGN.search(line):
                wrong.append(f"{relative(path)}:{number}: {line.strip()[:100]}")
    return wrong


def floors_down():
    """imports go down only"""
    return floors.check(CHECKOUT)


def unsafe_rooms():
    """unsafe stands only in the rooms that may hold it, with its reason"""
    wrong = []
    for path in module_sources():
        lines = text(path).split("\n")
        allowed = UNSAFE_ROOMS.match(relative(path))
        for number, line in enumerate(bare(path).split("\n")):
            if not re.search(r"(^|[^_\w])unsafe\s*(\{|impl\b)", line):
                continue
            if not allowed and path not in TEST_ONLY:
                wrong.append(f"{relative(path)}:{number + 1}: unsafe in a room without")
            above = number - 1
            # The comment stands right above, over attributes or a statement that the block ends.
            reach = 12
            while above >= 0 and reach > 0 and "SAFETY:" not in lines[above]:
                above, reach = above - 1, reach - 1
            if (above < 0 or reach == 0) and "SAFETY:" not in lines[number]:
                wrong.append(f"{relative(path)}:{number + 1}: unsafe without a SAFETY comment")
    return wrong


def panics():
    """the module holds no panic that input can reach"""
    wrong = []
    for path in module_sources():
        if path in TEST_ONLY or relative(path).startswith("rust/host"):
            continue
        lines = text(path).split("\n")
        for number, line in enumerate(bare(path).split("\n")):
            near = "\n".join(lines[max(0, number - 3) : number + 1])
            if PANICS.search(line) and "PANIC:" not in near and "const _" not in near:
                wrong.append(f"{relative(path)}:{number + 1}: {line.strip()}")
    return wrong


def formatted(files, *options):
    """Compares files with what rustfmt makes of them; through a pipe, so that it follows no `mod`."""
    wrong = []
    for path in files:
        content = text(path)
        done = subprocess.run(
            ("rustfmt", "--edition", "2021", *options),
            input=content.encode(),
            cwd=CHECKOUT,
            capture_output=True,
        )
        if done.returncode != 0:
            wrong.append(f"{relative(path)}: {done.stderr.decode(errors='replace').strip()[:300]}")
        elif done.stdout.decode() != content:
            wrong.append(f"{relative(path)}: not formatted; run 'make fmt'")
    return wrong


def rustfmt_module():
    """rust/ is formatted as the kernel formats"""
    return formatted(module_sources(), "--config-path", "/lab/kernel/source/.rustfmt.toml")


def rustfmt_tools():
    """tools/ is formatted"""
    return formatted([p for p in named(".rs") if not relative(p).startswith("rust/")])


def clippy_module():
    """clippy and rustc find nothing in the module"""
    out = CHECKOUT / "build/clippy"
    out.mkdir(parents=True, exist_ok=True)
    # Objects that are there are not looked at again.
    for old in [*out.rglob("*.o"), *out.rglob("*.cmd")]:
        old.unlink()
    status, output = run(
        "make",
        "-C",
        "/lab/kernel/build",
        f"KERNELRELEASE={RELEASE}",
        "CC=gcc-14",
        "CLIPPY=1",
        f"M={CHECKOUT}",
        f"MO={out}",
        "modules",
    )
    if status != 0 or re.search(r"^(warning|error)", output, re.M) or ": warning: " in output:
        noise = re.compile(r"^(make(\[\d+\])?: |  [A-Z]+ |Skipping BTF)")
        return [line for line in output.split("\n") if line and not noise.match(line)]
    return []


def fixed_calls():
    """what a live patch never changes calls the rest only inside the gate"""
    module = CHECKOUT / "build/clippy/oxen.o"
    return fixed.wrong(str(module)) if module.exists() else ["the module was not built"]


def clippy_tools():
    """clippy finds nothing in tools/"""
    if not (CHECKOUT / "tools/Cargo.toml").exists():
        return []
    clippy = ("cargo", "clippy", "--quiet", "--all-targets", "--locked")
    clippy += ("--manifest-path", "tools/Cargo.toml")
    status, output = run(
        *clippy, "--workspace", "--exclude", "oxen-host-tests", "--", "-D", "warnings"
    )
    # The rooms of the module, built for the host, use only part of what they declare; and the kernel's
    # clippy, which judges them too, lets shifts stand beside other operators.
    allow = ("-A", "unused_imports", "-A", "clippy::precedence")
    rooms = run(*clippy, "-p", "oxen-host-tests", "--", "-D", "warnings", *allow)
    return (output.split("\n") if status else []) + (rooms[1].split("\n") if rooms[0] else [])


def shellcheck():
    """shellcheck finds nothing"""
    # What is only ever sourced is checked with what sources it.
    scripts = [relative(p) for p in SHELL if text(p).startswith("#!")]
    status, output = run("shellcheck", "--check-sourced", "-f", "gcc", *sorted(scripts))
    return output.strip().split("\n") if status else []


def python():
    """python files are python"""
    wrong = []
    for path in FILES:
        if path.suffix == ".py" or text(path).startswith(PYTHON):
            try:
                ast.parse(text(path))
            except SyntaxError as error:
                wrong.append(f"{relative(path)}: {error}")
    return wrong


def manuals():
    """mandoc finds nothing in the manual pages"""
    pages = [relative(p) for p in FILES if re.search(r"\.[1-9]$", p.name)]
    if not pages:
        return []
    status, output = run("mandoc", "-T", "lint", "-W", "error", *pages)
    return output.strip().split("\n") if status else []


def documents():
    """the documents are well-formed reStructuredText"""
    # pylint: disable=import-outside-toplevel
    import docutils.core
    import docutils.nodes
    import docutils.parsers.rst.directives
    import docutils.utils

    class Anything(docutils.parsers.rst.Directive):
        has_content = True
        optional_arguments = 1
        final_argument_whitespace = True
        option_spec = {n: str for n in ("maxdepth", "caption", "identifiers", "linenos", "name")}

        def run(self):
            return []

    def plain(_role, _raw, value, _line, _inliner, options=None, content=None):
        # pylint: disable=unused-argument
        return [docutils.nodes.Text(value)], []

    for name in ("toctree", "kernel-doc", "code-block", "only"):
        docutils.parsers.rst.directives.register_directive(name, Anything)
    for name in ("doc", "ref", "c:func", "c:type", "manpage"):
        docutils.parsers.rst.roles.register_local_role(name, plain)
    wrong = []
    for path in named(".rst"):
        try:
            docutils.core.publish_doctree(
                text(path),
                source_path=relative(path),
                settings_overrides={"report_level": 2, "halt_level": 2, "warning_stream": False},
            )
        except docutils.utils.SystemMessage as message:
            wrong.append(str(message))
    return wrong


TESTS = floors.test_files(CHECKOUT / "rust")
TEST_ONLY = {path for path in FILES if floors.is_test(path, TESTS)}
SHELL = set(shell_scripts())
CHECKS = (
    spdx,
    whitespace,
    width,
    length,
    foreign,
    floors_down,
    unsafe_rooms,
    panics,
    rustfmt_module,
    rustfmt_tools,
    clippy_module,
    fixed_calls,
    clippy_tools,
    shellcheck,
    python,
    manuals,
    documents,
)


def main():
    failed = 0
    print(f"TAP version 13\n1..{len(CHECKS)}", flush=True)
    for number, check in enumerate(CHECKS, 1):
        wrong = check()
        failed += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} {check.__doc__}", flush=True)
        for line in wrong[:MOST]:
            print(f"# {line}", flush=True)
        if len(wrong) > MOST:
            print(f"# ... and {len(wrong) - MOST} lines more", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
