# SPDX-License-Identifier: MIT
"""What the scripts of this folder share: where the project is, and how a program is run."""
import os
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(command, seconds, env=None, cwd=ROOT):
    """(exit status or None when the time is over, all it said).  No terminal, no input.

    The output goes through a file: a grandchild that keeps a pipe open cannot hold us.
    """
    with tempfile.TemporaryFile() as out:
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                    timeout=seconds, env=env, cwd=cwd).returncode
        except subprocess.TimeoutExpired:
            status = None
        except OSError as bad:
            return 127, str(bad)
        out.seek(0)
        return status, out.read().decode("utf-8", "replace")


def why(status):
    if status is None:
        return "ran out of time"
    return f"ended by signal {-status}" if status < 0 else f"exit status {status}"


def tail(text, lines):
    """The end of an output, indented, so that no line of it looks like ours."""
    return "    " + "\n    ".join(text.rstrip().split("\n")[-lines:])


def test_environment():
    """What every test reads; see tests/README.md."""
    env = dict(os.environ, MOTE_SOURCE=ROOT)
    env.setdefault("MOTE_TEST_DATA", os.path.normpath(os.path.join(ROOT, "..", "shared", "data")))
    env.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    env.setdefault("ASAN_OPTIONS", "allocator_may_return_null=1")   # as the real allocator does
    return env
