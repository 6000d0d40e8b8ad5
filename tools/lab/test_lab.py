#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the lab itself: collector, console reader, floors, cache, what it says when something is missing.

Prints TAP."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

LAB = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(LAB))
sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import collect
import floors


def sums(text):
    found = collect.count(textwrap.dedent(text))
    return found.passed, found.failed, found.skipped


class Collect(unittest.TestCase):
    """the collector"""

    def test_plain_tap(self):
        """counts plain TAP"""
        log = """\
            TAP version 13
            1..4
            ok 1 one
            not ok 2 two
            ok 3 three # SKIP no hardware
            ok 4 four

            STATUS 1
            """
        self.assertEqual(sums(log), (2, 1, 1))

    def test_nested_counts_once(self):
        """counts nested results and not the test that holds them"""
        log = """\
            TAP version 13
            1..2
            # selftests: a: b
            # TAP version 13
            # 1..3
            # ok 1 x
            # ok 2 y # SKIP
            # not ok 3 z
            not ok 1 selftests: a: b # exit=1
            # hello
            ok 2 selftests: a: c
            STATUS 1
            """
        self.assertEqual(sums(log), (2, 1, 1))

    def test_missing_results_fail(self):
        """counts a planned result that never came as a failure"""
        self.assertEqual(sums("1..3\nok 1 a\nSTATUS 0\n"), (1, 2, 0))
        self.assertEqual(
            sums("1..1\n# 1..3\n# ok 1 a\nnot ok 1 t # exit=139\nSTATUS 1\n"), (1, 2, 0)
        )

    def test_killed_suite_fails(self):
        """counts a suite that was killed, that says nothing, or that fails in silence as a failure"""
        self.assertEqual(sums("1..1\nok 1 a\n"), (1, 1, 0))
        self.assertEqual(sums("nothing\nSTATUS 0\n"), (0, 1, 0))
        self.assertEqual(sums("1..1\nok 1 a\nSTATUS 255\n"), (1, 1, 0))

    def test_failure_outside_nested(self):
        """counts a test whose nested results are good and which yet failed"""
        self.assertEqual(sums("1..1\n# 1..1\n# ok 1 a\nnot ok 1 t # exit=1\nSTATUS 1\n"), (1, 1, 0))

    def test_skipped_whole(self):
        """counts a test that skips itself once"""
        self.assertEqual(sums("1..1\n# 1..0 # SKIP no\nok 1 t # SKIP\nSTATUS 0\n"), (0, 0, 1))

    def test_two_documents(self):
        """counts two documents in one log"""
        log = "1..1\n# 1..1\n# ok 1 a\nok 1 t\nTAP version 13\n1..2\nok 1 u\nok 2 v\nSTATUS 0\n"
        self.assertEqual(sums(log), (3, 0, 0))

    def test_ktap(self):
        """counts KUnit's output"""
        log = """\
            KTAP version 1
            1..2
                KTAP version 1
                # Subtest: words
                1..2
                ok 1 first
                not ok 2 second
            not ok 1 words
                KTAP version 1
                1..1
                    KTAP version 1
                    1..2
                    ok 1 p
                    ok 2 q
                ok 1 many
            ok 2 more
            STATUS 0
            """
        self.assertEqual(sums(log), (3, 1, 0))

    def test_cargo(self):
        """counts cargo's sums"""
        log = """\
            running 3 tests
            test a::b ... ok
            test a::c ... FAILED
            test a::d ... ignored
            test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
            running 1 test
            test e ... ok
            test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
            STATUS 101
            """
        self.assertEqual(sums(log), (2, 1, 1))

    def test_says_why(self):
        """shows the last words of a machine that died, and folds failures that are alike"""
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "boot.log")
            filler = "".join(f"    [ 1.{n:06}] line {n}\n" for n in range(30))
            log.write_text(
                "1..3\nok 1 a\nvm: the machine ended\n    Kernel panic - not syncing\n"
                f"{filler}STATUS 255\n"
            )
            said = subprocess.run(
                [LAB / "collect.py", pathlib.Path(folder, "sum"), log],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            ).stdout
        self.assertIn("    vm: the machine ended\n", said)
        self.assertIn("    Kernel panic - not syncing\n", said)
        self.assertNotIn("line 3\n", said)
        self.assertIn("failed: boot: the suite: a planned result never came (2 times)\n", said)

    def test_cargo_that_does_not_compile(self):
        """counts tests that do not compile as a failure"""
        self.assertEqual(sums("error[E0425]: cannot find\nSTATUS 101\n"), (0, 1, 0))

    def report(self, **logs):
        """Returns the status and the lines of a report; `first` ends the name of a first run."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, text in logs.items():
                path = pathlib.Path(folder, f"{name.replace('_first', '.first')}.log")
                path.write_text(text, encoding="utf-8")
                paths += [path] if "_first" not in name else []
            done = subprocess.run(
                [LAB / "collect.py", pathlib.Path(folder, "summary"), *paths],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        return done.returncode, done.stdout.split("\n")

    def test_flaky(self):
        """tells of a first run that failed, and does not count it"""
        status, lines = self.report(
            boot="1..1\nok 1 a\nSTATUS 0\n", boot_first="1..1\nnot ok 1 a\nSTATUS 1\n"
        )
        self.assertEqual(status, 0)
        self.assertIn("the first run of boot:", lines)
        self.assertIn("flaky: boot: a (failed, and passed when run again)", lines)
        self.assertNotIn("failed: boot: a", lines)

    def test_flaky_twice(self):
        """counts what failed again"""
        failed = "1..1\nnot ok 1 a\nSTATUS 1\n"
        status, lines = self.report(boot=failed, boot_first=failed)
        self.assertEqual(status, 1)
        self.assertEqual(lines.count("failed: boot: a"), 1)
        self.assertFalse([line for line in lines if line.startswith("flaky")])

    def test_reasons(self):
        """shows why a result failed, however much comes after it"""
        more = "# ok 3 c\n" * 50
        _, lines = self.report(
            boot=f"# ok 1 a\n# not ok 2 b\n# # because\n# # it is so\n{more}not ok 1 t\nSTATUS 1\n"
        )
        self.assertEqual(lines.count("    # # because"), 1)
        self.assertEqual(lines.count("    # # it is so"), 1)
        self.assertLess(lines.count("    # ok 3 c"), 10)

    def test_no_reasons(self):
        """does not count what may fail among the reasons"""
        _, lines = self.report(
            boot="# not ok 1 a # TODO\n# # for this\n# not ok 2 b\n# # for that\n"
            + "# ok 3 c\n" * 50
            + "not ok 1 t\nSTATUS 1\n"
        )
        self.assertEqual(lines.count("    # # for this"), 0)
        self.assertEqual(lines.count("    # # for that"), 1)

    def test_report(self):
        """reports sums, the ends of the suites that failed, and each failure once"""
        with tempfile.TemporaryDirectory() as folder:
            logs = {
                "good": "1..1\nok 1 a\nSTATUS 0\n",
                "bad": "first\n"
                + "x\n" * collect.ENDING
                + "1..3\nnot ok 1 b\nlast words\nSTATUS 1\n",
            }
            paths = [pathlib.Path(folder, f"{name}.log") for name in logs]
            for path in paths:
                path.write_text(logs[path.stem], encoding="utf-8")
            summary = pathlib.Path(folder, "summary")
            done = subprocess.run(
                [LAB / "collect.py", summary, *paths],
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
            self.assertEqual(done.returncode, 1)
            self.assertEqual(summary.read_text(encoding="utf-8"), "1 3 0\n")
            lines = done.stdout.split("\n")
            self.assertIn("the end of bad:", lines)
            self.assertIn("    last words", lines)
            self.assertNotIn("    first", lines)
            self.assertNotIn("the end of good:", lines)
            self.assertEqual(lines.count("failed: bad: b"), 1)
            self.assertEqual(
                lines.count("failed: bad: the suite: a planned result never came (2 times)"), 1
            )


class GuestOutput(unittest.TestCase):
    """the console reader"""

    def read(self, *pieces):
        with tempfile.TemporaryDirectory() as folder:
            status = pathlib.Path(folder, "status")
            with subprocess.Popen(
                [LAB / "guest-output", "T0", os.path.join(folder, "log"), status],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as reader:
                for piece in pieces:
                    reader.stdin.write(piece)
                    reader.stdin.flush()
                reader.stdin.close()
                output = reader.stdout.read()
            log = pathlib.Path(folder, "log").read_bytes()
            self.assertEqual(log, b"".join(pieces))
            return output, status.read_text(encoding="ascii") if status.exists() else None

    def test_whole(self):
        """passes on what the script printed, and its status"""
        console = b"noise\nOXEN-BEGIN T0\na\nb\n\nOXEN-END T0 7\nreboot: Power down\n"
        self.assertEqual(self.read(console), (b"a\nb\n", "7"))

    def test_in_single_bytes(self):
        """takes the console in pieces of any size"""
        console = b"x\r\nOXEN-BEGIN T0\r\nOXEN-EN\nlast line\nOXEN-END T0 0\r\nmore"
        pieces = [bytes([byte]) for byte in console]
        self.assertEqual(self.read(*pieces), (b"OXEN-EN\nlast line", "0"))

    def test_other_token(self):
        """does not take another's marks for its own"""
        console = b"OXEN-BEGIN T0\nOXEN-BEGIN T1\nOXEN-END T1 9\n\nOXEN-END T0 1\n"
        self.assertEqual(self.read(console), (b"OXEN-BEGIN T1\nOXEN-END T1 9\n", "1"))

    def test_crash(self):
        """passes on all there is when the guest dies"""
        self.assertEqual(self.read(b"OXEN-BEGIN T0\nhalf\nway"), (b"half\nway", None))

    def test_no_output(self):
        """knows a script that prints nothing"""
        self.assertEqual(self.read(b"OXEN-BEGIN T0\n\nOXEN-END T0 0\n"), (b"", "0"))


class Floors(unittest.TestCase):
    """the floors"""

    def check(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = pathlib.Path(folder, "rust", name.replace("__", "/") + ".rs")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
            return floors.check(pathlib.Path(folder))

    def test_down(self):
        """let imports go down"""
        self.assertEqual(
            self.check(domain="use crate::{evtchn::A, mm::P2m};", mm="use crate::abi::X;"), []
        )

    def test_up(self):
        """see imports that go up, at their line"""
        (found,) = self.check(mm__p2m="\n// crate::run is fine here\nuse crate::domain::Domain;")
        self.assertIn("rust/mm/p2m.rs:3:", found)

    def test_grouped(self):
        """see them in a group"""
        (found,) = self.check(mm="use crate::{\n    abi::X, //\n    domain::Domain, //\n};")
        self.assertIn("`domain`", found)

    def test_circle(self):
        """see a circle on one floor"""
        (found,) = self.check(evtchn="use crate::time::T;", time="use crate::evtchn::E;")
        self.assertIn("circle", found)

    def test_tests_may(self):
        """let tests look anywhere"""
        source = "fn f() {}\n#[cfg(test)]\nmod tests { use crate::domain::D; }\n"
        self.assertEqual(self.check(mm=source), [])
        self.assertEqual(
            self.check(mm="#[cfg(test)]\nmod world;", mm__world="use crate::run::R;"), []
        )


class Cache(unittest.TestCase):
    """the cache"""

    def bash(self, folder, script, **options):
        text = f'. "{LAB}/common.sh"\nCACHE={folder}\nmkdir -p "$CACHE/locks"\n{script}'
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def test_made_once(self):
        """makes an entry once when two runs want it"""
        with tempfile.TemporaryDirectory() as folder:
            make = """make() { echo x >>"$CACHE/made"; sleep 0.5; echo whole >"$1/f"; }
                ensure_entry e-1 make"""
            script = f"({make}) & ({make}) & wait; cat $CACHE/e-1/f $CACHE/made"
            self.assertEqual(self.bash(folder, script).stdout, "whole\nx\n")

    def test_half_made(self):
        """never shows a half-made entry, and makes it anew"""
        with tempfile.TemporaryDirectory() as folder:
            dies = 'make() { echo half >"$1/f"; exit 9; }; ensure_entry e-1 make'
            self.assertEqual(self.bash(folder, dies).returncode, 9)
            self.assertFalse(pathlib.Path(folder, "e-1").exists())
            whole = """make() { [ ! -e "$1/f" ]; echo whole >"$1/f"; }
                ensure_entry e-1 make
                cat $CACHE/e-1/f"""
            self.assertEqual(self.bash(folder, whole).stdout, "whole\n")
            self.assertFalse(pathlib.Path(folder, "part-e-1").exists())

    def test_sweeps(self):
        """sweeps what dead runs left and nothing that is locked"""
        with tempfile.TemporaryDirectory() as folder:
            script = """
                mkdir $CACHE/part-dead-1 $CACHE/part-live-1
                (flock -x 9; sleep 1) 9>$CACHE/locks/live-1 &
                sleep 0.3
                sweep_cache
                ls $CACHE
            """
            self.assertEqual(self.bash(folder, script).stdout, "locks\npart-live-1\n")

    def test_key(self):
        """gives a key that each part changes"""
        with tempfile.TemporaryDirectory() as folder:
            script = "key_of a b; key_of ab; key_of a b c; key_of a b"
            keys = self.bash(folder, script).stdout.split()
            self.assertEqual(len(set(keys)), 3)
            self.assertEqual(keys[0], keys[3])

    def test_folder(self):
        """is where OXEN_CACHE, XDG_CACHE_HOME or HOME says"""
        with tempfile.TemporaryDirectory() as folder:
            places = (
                ({"OXEN_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a/oxen\n"),
                ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/oxen\n"),
                ({"HOME": "/c"}, "/c/.cache/oxen\n"),
            )
            for env, expected in places:
                env["PATH"] = os.environ["PATH"]
                self.assertEqual(self.bash(folder, "cache_dir", env=env).stdout, expected)

    def test_no_space(self):
        """says in one line that the disk is full"""
        with tempfile.TemporaryDirectory() as folder:
            done = self.bash(folder, 'need_space "$CACHE/not/there" 999999999 "a test"')
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"\Aoxen: no space for a test: .*OXEN_CACHE.*\n\Z")


class Missing(unittest.TestCase):
    """without what it needs"""

    PLENTY = "echo Free; echo x x x 99999 x"

    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def run_lab(self, *command, without=(), env=None, lab=LAB / "lab", **fakes):
        """Runs a command of the lab as root would, without some programs and with scripts in place of others."""
        path = self.folder / "bin"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        fakes.setdefault("id", "echo 0")
        fakes = {name.replace("_", "-"): text for name, text in fakes.items()}
        for place in ("/usr/local/bin", "/usr/bin", "/bin"):
            for tool in pathlib.Path(place).glob("*"):
                if tool.name not in (*without, *fakes) and not (path / tool.name).is_symlink():
                    (path / tool.name).symlink_to(tool)
        for name, text in fakes.items():
            (path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (path / name).chmod(0o755)
        env = {"OXEN_CACHE": str(self.folder / "cache"), **(env or {}), "PATH": str(path)}
        return subprocess.run(
            [lab, *command],
            env=env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def one_line(self, done, pattern, status=1):
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, rf"\Aoxen: {pattern}.*\n\Z")
        self.assertEqual(done.returncode, status)

    def test_machine(self):
        """names the architecture when it is another"""
        self.one_line(
            self.run_lab("root", uname="echo Linux aarch64"), "this is Linux aarch64: .*x86-64"
        )

    def test_tool(self):
        """names the program that the host lacks"""
        self.one_line(
            self.run_lab("root", without=("flock", "unshare")),
            "this host has no flock unshare: install",
        )

    def test_place(self):
        """says that a checkout cannot lie below a name with a space"""
        here = self.folder / "a b" / "tools" / "lab"
        shutil.copytree(LAB, here)
        self.one_line(
            self.run_lab("root", lab=here / "lab"), "the kernel's build cannot work in '.*a b'"
        )

    def test_not_root(self):
        """says that it needs root when there is no sudo"""
        done = self.run_lab("root", without=("sudo",), id="echo 1000")
        self.one_line(done, "the lab needs root .*install sudo")

    def test_no_home(self):
        """asks for a cache when there is no home"""
        self.one_line(self.run_lab("root", env={"OXEN_CACHE": ""}), "no HOME .*OXEN_CACHE")

    def test_cache_refused(self):
        """says that it cannot write to the cache"""
        self.one_line(
            self.run_lab("root", env={"OXEN_CACHE": "/proc/none"}), "cannot write to /proc/none"
        )

    def test_little_space(self):
        """says how much space is missing"""
        done = self.run_lab("root", df="echo Free; echo x x x 10 x")
        self.one_line(
            done, "no space for the build root: 3500 MiB are needed and .* has 10; .*OXEN_CACHE"
        )

    def test_full_disk(self):
        """says so on a disk that is full in truth"""
        cache = self.folder / "cache"
        cache.mkdir()
        script = f"""mount -t tmpfs -o size=64k tmpfs {cache} || exit
            yes >{cache}/full || exec {LAB}/lab root"""
        enter = [
            "unshare",
            "--mount",
            *([] if os.getuid() == 0 else ["--map-root-user"]),
            "sh",
            "-c",
            script,
        ]
        env = {**os.environ, "OXEN_CACHE": str(cache)}
        done = subprocess.run(enter, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 1 or "unshare" in done.stderr or "mount:" in done.stderr:
            self.skipTest("this user may not mount")
        self.assertRegex(
            done.stderr, r"(?m)^oxen: (no space for the build root|cannot write).*OXEN_CACHE.*\n\Z"
        )

    def test_no_apt(self):
        """names mmdebstrap when the host has neither it nor apt"""
        done = self.run_lab("root", without=("mmdebstrap", "apt-get"), df=self.PLENTY)
        self.one_line(done, "this host has no apt-get: install your distribution's mmdebstrap")

    def test_no_network(self):
        """says that the mirror cannot be reached"""
        says = (
            "echo 'W: Failed to fetch http://mirror/ Temporary failure resolving mirror'; exit 100"
        )
        unshare = 'shift; exec "$@"'
        done = self.run_lab("root", df=self.PLENTY, unshare=unshare, mmdebstrap=says)
        self.one_line(done, "cannot make the build root: the network .*OXEN_MIRROR")
        self.assertFalse(list((self.folder / "cache/oxen").glob("root-*")))
        done = self.run_lab("root", without=("mmdebstrap",), df=self.PLENTY, apt_get=says)
        self.one_line(done, "cannot install mmdebstrap on this host: the network")

    def test_reasons(self):
        """knows the usual reasons, and shows the log for others"""
        reasons = {
            "tar: write error: No space left on device": "cannot try: the disk is full: ",
            "W: GPG error: x InRelease: NO_PUBKEY 0": "cannot try: the host does not know the archive's key",
            "curl: (7) Couldn't connect to server": "cannot try: the network or the mirror",
            "mount: /proc: Operation not permitted": "cannot try: root may not mount",
            "fork: Cannot allocate memory": "cannot try: the memory was full",
            "no cloud kernel of the series 7.2": "cannot try: Debian's backports hold no kernel",
        }
        log = self.folder / "log"

        def attempt(text):
            script = f""". "{LAB}/common.sh"
                fails() {{ echo "{text}"; return 3; }}
                must_step try title "{log}" fails"""
            return subprocess.run(
                ["bash", "-c", script], capture_output=True, text=True, check=False
            )

        for text, expected in reasons.items():
            self.one_line(attempt(text), expected)
        done = attempt("something else")
        self.assertRegex(
            done.stderr,
            r"\A    something else\n==> title: failed \(status 3\)[^\n]*\noxen: cannot try: ",
        )

    def test_no_script(self):
        """says that there is no script, and no terminal"""
        self.one_line(self.run_lab("run", "/no/script"), "there is no script /no/script")
        self.one_line(self.run_lab("run"), "there is no terminal: give a script")

    def test_no_suite(self):
        """names the suites when one is asked for that is not there"""
        done = self.run_lab("test", env={"ONLY": "lint nonsense"})
        self.one_line(done, "there is no suite 'nonsense'; there are: lab lint .*selftest-module")

    def test_accelerator(self):
        """says that KVM is asked for and not there, or something that does not exist"""

        def find(asked):
            script = f'. "{LAB}/accel.sh"; kvm_works() {{ return 1; }}; find_accel'
            env = {**os.environ, "OXEN_ACCEL": asked}
            return subprocess.run(
                ["bash", "-c", script], env=env, capture_output=True, text=True, check=False
            )

        self.assertEqual(find("").stdout, "tcg\n")
        self.assertEqual(find("tcg").stdout, "tcg\n")
        for asked in ("kvm", "hvf"):
            done = find(asked)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, rf"\AOXEN_ACCEL is '?{asked}'?.*\n\Z")


class OwnKernel(unittest.TestCase):
    """a kernel of one's own"""

    RUSTC = "rustc 1.85.1 (4eb161250 2025-03-15)"
    REQUIRED = (LAB / "../../configs/required.config").read_text(encoding="utf-8")

    def check(self, env=None, rustc=RUSTC, release="7.2.5-mine", config=(), remove=()):
        """Makes a build folder that is right but for what the arguments change, and lets it be looked at."""
        options = dict(
            line.split("=", 1) for line in self.REQUIRED.split("\n") if line.startswith("CONFIG_")
        )
        options.update(CONFIG_X86_64="y", CONFIG_CC_IS_GCC="y", CONFIG_EVENT_TRACING="y")
        options.update(CONFIG_RUSTC_VERSION_TEXT=f'"{self.RUSTC}"')
        options.update(config)
        files = {
            "Makefile": "",
            "Module.symvers": "x",
            "include/config/kernel.release": release + "\n",
            "include/config/auto.conf": "".join(
                f"{name}={is_}\n" for name, is_ in options.items() if is_
            ),
            "rust/libkernel.rmeta": "",
            "bin/rustc": f"#!/bin/sh\necho '{rustc}'\n",
            "bin/bindgen": "#!/bin/sh\n",
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if name not in remove:
                    path.write_text(content, encoding="utf-8")
                    path.chmod(0o755)
            env = {"PATH": f"{folder}/bin:/usr/bin:/bin", **(env or {})}
            return subprocess.run(
                [LAB / "check-kdir", folder], env=env, capture_output=True, text=True, check=False
            )

    def refused(self, pattern, **changes):
        done = self.check(**changes)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf"\Aoxen: .*{pattern}.*\n\Z")

    def test_good(self):
        """is accepted, of either series and built by either compiler"""
        clang = {"CONFIG_CC_IS_GCC": "", "CONFIG_CC_IS_CLANG": "y"}
        for changes in (
            {},
            {"release": "7.2.0"},
            {"release": "7.3.0-rc1"},
            {"config": clang, "env": {"LLVM": "1"}},
            {"config": clang, "env": {"CC": "clang-19"}},
        ):
            done = self.check(**changes)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_not_prepared(self):
        """is refused when it is not prepared, or holds headers only"""
        self.refused("is no build folder of a kernel", remove=("Makefile",))
        self.refused("is not prepared: run .*modules_prepare", remove=("include/config/auto.conf",))
        self.refused("does not say which kernel", remove=("include/config/kernel.release",))
        self.refused("no compiled Rust libraries", remove=("rust/libkernel.rmeta",))
        self.refused("no Module.symvers", remove=("Module.symvers",))

    def test_wrong_kernel(self):
        """is refused when it is of another version or architecture, or real-time"""
        self.refused("is for Linux 7.1.9: oxen is for 7.2 and 7.3", release="7.1.9")
        self.refused("is for Linux 7.20.1: ", release="7.20.1")
        self.refused("another architecture", config={"CONFIG_X86_64": ""})
        self.refused("PREEMPT_RT", config={"CONFIG_PREEMPT_RT": "y"})

    def test_no_rust(self):
        """is refused without Rust, without its rustc, and with another"""
        self.refused("without Rust .*required.config.*rustavailable", config={"CONFIG_RUST": ""})
        self.refused("there is no no-rustc: install 'rustc 1.85.1", env={"RUSTC": "no-rustc"})
        self.refused("built by 'rustc 1.85.1 .*rustc is 'rustc 1.86.0'", rustc="rustc 1.86.0")
        self.refused("there is no no-bindgen: install", env={"BINDGEN": "no-bindgen"})

    def test_other_compiler(self):
        """is refused when the C compiler is of the other kind"""
        self.refused("built by gcc", env={"LLVM": "1"})
        self.refused("add LLVM=1", config={"CONFIG_CC_IS_GCC": "", "CONFIG_CC_IS_CLANG": "y"})

    def test_lacks(self):
        """is accepted with a warning when it lacks what is not needed to build"""
        done = self.check(config={"CONFIG_DEBUG_FS": "", "CONFIG_KVM_INTEL": ""})
        self.assertEqual(done.returncode, 0)
        self.assertRegex(
            done.stderr, r"\Aoxen: warning: this kernel lacks CONFIG_DEBUG_FS, see .*\n\Z"
        )


class Tap(unittest.TestResult):
    """Prints each result as TAP."""

    number = 0

    def result(self, test, reason=None):
        self.number += 1
        name = f"{type(test).__doc__} {test.shortDescription()}"
        print(f"{'not ok' if reason else 'ok'} {self.number} {name}")
        if reason:
            print(textwrap.indent(reason.rstrip(), "#   "))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.result(test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.number += 1
        print(f"ok {self.number} {type(test).__doc__} {test.shortDescription()} # SKIP {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.result(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.result(test, self.errors[-1][1])


def main():
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"TAP version 13\n1..{tests.countTestCases()}")
    result = Tap()
    tests.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
