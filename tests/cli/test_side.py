# SPDX-License-Identifier: MIT
"""The packed weights that a start leaves for the next one: kept, mapped, replaced when wrong, removed
with their model.  On the random models of tests/golden: what matters is that bytes do not change."""
import hashlib
import json
import os
import shutil
import subprocess

import pytest

from conftest import ROOT, Mote

TINY = ROOT / "tests" / "golden" / "tiny_q4_1.gguf"
SECTION = 2 << 20


def lines(stderr):
    """What is said besides the command's own line."""
    return "\n".join(line for line in stderr.split("\n") if line and not line.startswith("wrote"))


class Keeper(Mote):
    def __init__(self, folder):
        super().__init__(folder)
        del self.env["MOTE_NO_CACHE"]
        self.packed = self.home / "packed"
        self.out = folder / "logits.npy"
        self.model = folder / "model.gguf"
        shutil.copy(TINY, self.model)

    def logits(self, *more, **kw):
        """(digest of the logits, what stands on stderr)"""
        r = self.run("probe", self.model, "--ids", "1,2,3,4,5", "--out", self.out, *more, **kw)
        return hashlib.sha256(self.out.read_bytes()).hexdigest(), lines(r.stderr)

    def kept(self):
        return sorted(self.packed.glob("*")) if self.packed.exists() else []


@pytest.fixture
def keeper(tmp_path):
    return Keeper(tmp_path)


def test_kept_once_and_mapped_after(keeper):
    first, said = keeper.logits()
    assert said == ""
    kept = keeper.kept()
    assert len(kept) == 1 and kept[0].suffix == ".packed"
    assert kept[0].stat().st_mode & 0o777 == 0o600
    before = kept[0].stat()
    second, said = keeper.logits()
    assert (second, said) == (first, "")
    after = keeper.kept()[0].stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("how", ["--no-cache", "MOTE_NO_CACHE"])
def test_turned_off(keeper, how):
    first, _ = keeper.logits()
    shutil.rmtree(keeper.packed)
    again, said = keeper.logits("--no-cache") if how[0] == "-" else keeper.logits(env={how: "1"})
    assert (again, said) == (first, "") and keeper.kept() == []


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[:-100]
    elif how == "empty":
        data = bytearray()
    elif how == "head":
        data[130] ^= 1
    elif how == "weights":
        data[SECTION + 5] ^= 0x10
    elif how == "last weights":
        end = len(data) - 1
        while not data[end]:
            end -= 1
        data[end] ^= 0x80
    elif how == "byte order":
        data[16:20] = data[16:20][::-1]
    elif how == "version":
        data[8] += 1
    elif how == "another file":
        data = bytearray(TINY.read_bytes())
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "head", "weights", "last weights", "byte order", "version",
                                 "another file"])
def test_wrong_file_is_replaced_with_one_line(keeper, how):
    first, _ = keeper.logits()
    path = keeper.kept()[0]
    good = path.read_bytes()
    damage(path, how)
    assert path.read_bytes() != good
    again, said = keeper.logits()
    assert again == first
    assert said.count("\n") == 0 and "packed weights" in said, said
    assert keeper.kept() == [path] and path.read_bytes() == good
    assert keeper.logits() == (first, "")


def test_model_that_changed_is_packed_anew(keeper):
    keeper.logits()
    old = keeper.kept()
    data = bytearray(keeper.model.read_bytes())
    data[-1] ^= 1                       # one bit of the last weight
    keeper.model.write_bytes(data)
    changed, said = keeper.logits()
    assert said == "" and len(keeper.kept()) == 1 and keeper.kept() != old
    assert changed == keeper.logits("--no-cache")[0]


def test_draft_of_a_killed_start(keeper):
    keeper.logits()
    path = keeper.kept()[0]
    path.unlink()
    mine, other = path.with_suffix(".tmp"), path.with_name("0" * 32 + ".tmp")
    mine.write_bytes(b"half")
    other.write_bytes(b"half")
    assert keeper.logits()[1] == ""
    assert keeper.kept() == [path]


def test_folder_that_cannot_be_written(keeper):
    first, _ = keeper.logits()
    shutil.rmtree(keeper.packed)
    keeper.packed.write_text("no folder")       # refuses root as well
    again, said = keeper.logits()
    assert again == first
    assert said.count("\n") == 0 and "packed weights are not kept" in said, said


def test_disk_that_is_full(keeper):
    first, _ = keeper.logits("--no-cache")
    limit = ["prlimit", f"--fsize={SECTION + 4096}", "env", "--ignore-signal=XFSZ"]
    if subprocess.run(limit + ["true"], capture_output=True).returncode:
        print("SKIPPED: no prlimit or no env --ignore-signal")
        pytest.skip("no prlimit or no env --ignore-signal")
    r = subprocess.run(limit + [keeper.path, "probe", str(keeper.model), "--ids", "1,2,3,4,5", "--out",
                                str(keeper.out)], env=keeper.env, capture_output=True, text=True)
    assert r.returncode == 0
    assert lines(r.stderr).count("\n") == 0 and "packed weights are not kept" in r.stderr, r.stderr
    assert hashlib.sha256(keeper.out.read_bytes()).hexdigest() == first
    assert keeper.kept() == []


def test_many_starts_together(keeper):
    first, _ = keeper.logits("--no-cache")
    for _ in range(3):
        shutil.rmtree(keeper.packed, ignore_errors=True)
        started = [keeper.start("probe", keeper.model, "--ids", "1,2,3,4,5", "--out", keeper.out.with_suffix(f".{i}"))
                   for i in range(6)]
        for i, p in enumerate(started):
            _, said = p.communicate(timeout=60)
            assert p.returncode == 0 and lines(said) == ""
            assert hashlib.sha256(keeper.out.with_suffix(f".{i}").read_bytes()).hexdigest() == first
        assert len(keeper.kept()) == 1 and keeper.kept()[0].suffix == ".packed"


def test_killed_at_any_time(keeper):
    first, _ = keeper.logits("--no-cache")
    for i in range(12):                 # of a run that takes some 30 ms
        p = keeper.start("probe", keeper.model, "--ids", "1,2,3", "--out", keeper.out)
        try:
            p.wait(timeout=0.005 * i)
        except subprocess.TimeoutExpired:
            p.kill()
        p.communicate()
        assert keeper.logits() == (first, "")
        for path in keeper.kept():
            path.unlink()


def test_du_and_rm(keeper):
    ours = keeper.home / "models" / "url" / "example.org" / "tiny.gguf"
    ours.parent.mkdir(parents=True)
    shutil.copy(TINY, ours)
    keeper.model = ours
    keeper.logits()
    gone = keeper.home.parent / "gone.gguf"
    shutil.copy(TINY, gone)
    os.utime(gone, (1, 1))
    keeper.model = gone
    keeper.logits()
    gone.unlink()
    j = json.loads(keeper.run("du", "--json").stdout)
    rows = {m["path"]: m for m in j["models"]}
    kept = {p.stat().st_size for p in keeper.kept()}
    assert len(keeper.kept()) == 2 and len(rows) == 2
    assert rows[str(ours)]["bytes"] == TINY.stat().st_size and {rows[str(ours)]["packed_bytes"]} == kept
    assert rows[str(gone)]["gone"] and not rows[str(ours)]["gone"]
    assert "(gone)" in keeper.run("du").stdout
    name = rows[str(ours)]["name"]
    r = keeper.run("rm", "-y", name, status=None)
    if r.returncode:                    # listed by path: rm takes that too
        keeper.run("rm", "-y", ours)
    assert keeper.kept() == []
    assert json.loads(keeper.run("du", "--json").stdout)["models"] == []
