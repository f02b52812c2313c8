# SPDX-License-Identifier: MIT
"""Downloads: place, checks, resume, kills, full disks, no network."""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.usefixtures("net")

MIB = 1 << 20
REPO = "maker/Tiny-GGUF"
NAME = "tiny.Q4_0.gguf"


def some_bytes(n, seed=1):
    return b"GGUF" + random.Random(seed).randbytes(n - 4)


@pytest.fixture
def repo(mote, server):
    """A hub with one repository of one 6 MiB file."""
    mote.env["MOTE_HUB_URL"] = server.url
    return server.add_repo(REPO, {NAME: some_bytes(6 * MIB)})[NAME]


def snapshot(mote, name=NAME):
    found = list(mote.hub.glob(f"hub/models--maker--Tiny-GGUF/snapshots/*/{name}"))
    assert len(found) <= 1
    return found[0] if found else None


def sha(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def test_the_module_that_downloads(mote, server, repo, tmp_path):
    """It lies beside the program or where it is installed; without it everything else works."""
    alone = tmp_path / "bin" / "mote"
    alone.parent.mkdir()
    shutil.copy(mote.path, alone)
    module, mote.path = pathlib.Path(mote.path).with_name("mote-net.so"), str(alone)
    r = mote.run("pull", f"hf:{REPO}:{NAME}", status=3)
    assert "mote-net.so, which downloads, cannot be loaded: it is missing" in r.stderr and "install mote again" in r.stderr
    assert "mote-net.so, which downloads, is missing" in mote.run("doctor", status=None).stdout
    assert mote.run("version").stdout.startswith("mote ")
    alone.with_name("mote-net.so").write_bytes(b"no library")
    assert "cannot be loaded" in mote.run("pull", f"hf:{REPO}:{NAME}", status=3).stderr
    shutil.copy(module, alone.with_name("mote-net.so"))
    mote.run("pull", f"hf:{REPO}:{NAME}")
    assert snapshot(mote)


def test_hub_layout(mote, server, repo):
    r = mote.run("pull", f"hf:{REPO}:{NAME}")
    assert f"sha256 {repo.sha256[:4]}…{repo.sha256[-4:]}" in r.stderr
    assert "licence mit" in r.stderr and r.stdout == ""
    link = snapshot(mote)
    assert link.is_symlink() and not os.path.isabs(os.readlink(link))
    assert link.resolve().name == repo.sha256 and link.resolve().parent.name == "blobs"
    assert sha(link) == repo.sha256
    main = mote.hub / "hub" / "models--maker--Tiny-GGUF" / "refs" / "main"
    assert main.read_text() == link.parent.name
    assert len(mote.files()) == 3        # blob, link, refs/main: nothing is left lying about
    n = len(server.requests)
    assert "here" in mote.run("pull", f"hf:{REPO}:{NAME}").stderr
    assert "here" in mote.run("pull", f"hf:{REPO}").stderr
    assert len(server.requests) == n     # what is here is asked for no second time


def test_chooses_a_file_and_says_so(mote, server):
    mote.env["MOTE_HUB_URL"] = server.url
    server.add_repo(REPO, {"a.F16.gguf": some_bytes(2 * MIB), "a.Q4_K_M.gguf": some_bytes(MIB, 2),
                           "a.Q8_0.gguf": some_bytes(MIB, 3), "README.md": b"x",
                           "a.Q4_0-00001-of-00002.gguf": some_bytes(MIB, 4)})
    r = mote.run("pull", f"hf:{REPO}")
    assert "chosen    a.Q4_K_M.gguf of 3 GGUF files" in r.stderr
    assert snapshot(mote, "a.Q4_K_M.gguf")


def test_hub_names_that_do_not_exist(mote, server, repo):
    r = mote.run("pull", "hf:maker/nothing", status=3)
    assert "maker/nothing" in r.stderr
    r = mote.run("pull", f"hf:{REPO}:tiny.Q4_1.gguf", status=3)
    assert f"hf:{REPO}:{NAME}" in r.stderr       # the nearest


def test_hostile_file_names_are_not_followed(mote, server):
    mote.env["MOTE_HUB_URL"] = server.url
    server.add_repo(REPO, {"../../../evil.gguf": some_bytes(MIB)})
    mote.run("pull", f"hf:{REPO}", status=3)
    assert not [p for p in mote.files() if "evil" in p.name]


def test_list_show_rm(mote, server, repo):
    mote.run("pull", f"hf:{REPO}")
    name = f"hf:{REPO}:{NAME}"
    rows = json.loads(mote.run("list", "--json").stdout)["models"]
    assert [(r["name"], r["source"], r["quant"], r["bytes"]) for r in rows] == \
        [(name, "hub", "Q4_0", 6 * MIB)]
    assert rows[0]["sha256"] == repo.sha256
    assert name in mote.run("list").stdout
    assert name in mote.run("completions", "models").stdout
    assert "-y" in mote.run("rm", name, status=2).stderr
    assert "freed" in mote.run("rm", "-y", name).stderr
    assert mote.files() == []
    assert json.loads(mote.run("list", "--json").stdout)["models"] == []
    assert "not on this machine" in mote.run("rm", "-y", name, status=3).stderr


def test_rm_leaves_other_tools_alone(mote, server, repo):
    theirs = mote.hub / "hub" / "models--other--Model" / "snapshots" / "abc" / "m.Q8_0.gguf"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(some_bytes(1000))
    rows = json.loads(mote.run("list", "--json").stdout)["models"]
    assert [r["name"] for r in rows] == ["hf:other/Model:m.Q8_0.gguf"]
    assert "was not pulled by mote" in mote.run("rm", "-y", "hf:other/Model", status=1).stderr
    assert theirs.exists()


def test_rm_keeps_a_blob_that_is_still_linked(mote, server, repo):
    mote.run("pull", f"hf:{REPO}")
    link = snapshot(mote)
    other = link.parent.parent / "fedcba" / "copy.bin"
    other.parent.mkdir()
    other.symlink_to(os.readlink(link))
    mote.run("rm", "-y", f"hf:{REPO}:{NAME}")
    assert not link.exists() and sha(other) == repo.sha256


def test_wrong_sha_is_refused(mote, server):
    mote.env["MOTE_HUB_URL"] = server.url
    server.add_repo(REPO, {NAME: some_bytes(3 * MIB)}, sha="ab" * 32)
    r = mote.run("pull", f"hf:{REPO}", status=6)
    assert "is damaged: sha256 does not match" in r.stderr
    assert not snapshot(mote) and mote.files() == []


def test_wrong_length_is_refused(mote, server, repo):
    repo.data = repo.data[:-5]
    assert "expected" in mote.run("pull", f"hf:{REPO}", status=6).stderr
    assert not snapshot(mote)


def test_connection_that_breaks_is_taken_up_again(mote, server, repo):
    repo.drop_after, repo.drops = 2 * MIB, 2
    mote.run("pull", f"hf:{REPO}")
    starts = server.ranges(f"/{REPO}/resolve/{snapshot(mote).parent.name}/{NAME}")
    assert len(starts) == 3 and starts == sorted(starts) and starts[1] >= MIB
    assert sha(snapshot(mote)) == repo.sha256


def test_server_errors_are_tried_again(mote, server, repo):
    repo.status, repo.fail_times = 503, 2
    mote.run("pull", f"hf:{REPO}")
    assert sha(snapshot(mote)) == repo.sha256


def interrupt_in_the_middle(mote, how, *args, at=2 * MIB):
    """Starts a pull, waits until part of it is on the disk, ends it."""
    p = mote.start(*args)
    for _ in range(600):
        time.sleep(0.02)
        if any(f.name.endswith(".mote-part") and f.stat().st_size >= at for f in mote.files()):
            break
    else:
        p.kill()
        pytest.fail(f"nothing came: {p.communicate()}")
    p.send_signal(how)
    out, err = p.communicate(timeout=20)
    return p.returncode, err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_keeps_what_is_there(mote, server, repo, how):
    repo.rate = 4 * MIB
    code, err = interrupt_in_the_middle(mote, how, "pull", f"hf:{REPO}")
    assert code == 130 and "Stopped at" in err and "goes on from there" in err
    assert not snapshot(mote)
    repo.rate = None
    mote.run("pull", f"hf:{REPO}")
    starts = server.ranges(f"/{REPO}/resolve/{snapshot(mote).parent.name}/{NAME}")
    assert starts[-1] >= MIB
    assert sha(snapshot(mote)) == repo.sha256
    assert len(mote.files()) == 3


def test_changed_file_starts_again(mote, server, repo):
    url = f"{server.url}/plain.gguf"
    f = server.add("/plain.gguf", some_bytes(6 * MIB))
    f.rate = 4 * MIB
    interrupt_in_the_middle(mote, signal.SIGINT, "pull", url)
    new = server.add("/plain.gguf", some_bytes(5 * MIB, 9), etag='"v2"')
    r = mote.run("pull", url)
    assert "starting again" in r.stderr
    found = list(mote.home.rglob("plain.gguf"))
    assert len(found) == 1 and sha(found[0]) == new.sha256


@pytest.mark.parametrize("fault", ["no_range", "wrong_range"])
def test_server_that_cannot_resume(mote, server, repo, fault):
    repo.rate = 4 * MIB
    interrupt_in_the_middle(mote, signal.SIGINT, "pull", f"hf:{REPO}")
    repo.rate = None
    setattr(repo, fault, True)
    mote.run("pull", f"hf:{REPO}")
    assert sha(snapshot(mote)) == repo.sha256


def test_damaged_part_costs_a_chunk_not_the_file(mote, server, repo):
    repo.rate = 4 * MIB
    interrupt_in_the_middle(mote, signal.SIGINT, "pull", f"hf:{REPO}", at=4 * MIB)
    part = [f for f in mote.files() if f.name.endswith(".mote-part")][0]
    with open(part, "r+b") as f:         # as after a power cut: the second MiB was never written
        f.seek(MIB + 100)
        f.write(b"\0" * 1000)
    repo.rate = None
    mote.run("pull", f"hf:{REPO}")
    assert server.ranges(f"/{REPO}/resolve/{snapshot(mote).parent.name}/{NAME}")[-1] == MIB
    assert sha(snapshot(mote)) == repo.sha256


def test_kill_at_50_random_moments(mote, server):
    """Never a half file under its final name, and in the end the right one."""
    mote.env["MOTE_HUB_URL"] = server.url
    f = server.add_repo(REPO, {NAME: some_bytes(16 * MIB)})[NAME]
    f.rate = 24 * MIB
    seed = int(os.environ.get("MOTE_SEED", "7"))
    rng = random.Random(seed)
    finished = 0
    for i in range(50):
        p = mote.start("pull", f"hf:{REPO}")
        time.sleep(rng.random() ** 2 * 0.5)
        p.kill()
        p.communicate()
        path = snapshot(mote)
        if path and path.exists():
            assert sha(path) == f.sha256, f"seed {seed}, kill {i}: a wrong file was published"
            finished += 1
            mote.run("rm", "-y", f"hf:{REPO}:{NAME}")
    print(f"seed {seed}: {finished} of 50 were done before the kill")
    f.rate = None
    mote.run("pull", f"hf:{REPO}")
    assert sha(snapshot(mote)) == f.sha256
    assert not [p for p in mote.files() if "part" in p.name]


def test_two_pulls_at_once(mote, server, repo):
    repo.rate = 8 * MIB
    both = [mote.start("pull", f"hf:{REPO}") for _ in range(2)]
    ends = [p.communicate(timeout=60) for p in both]
    assert [p.returncode for p in both] == [0, 0], ends
    assert sha(snapshot(mote)) == repo.sha256
    assert not [p for p in mote.files() if "part" in p.name]


def test_redirects(mote, server, repo):
    target = server.add("/cdn/data", repo.data)
    link = server.files[f"/{REPO}/resolve/0123456789abcdef0123456789abcdef01234567/{NAME}"]
    link.redirect = f"{server.url}/cdn/data"
    mote.env["HF_TOKEN"] = "hf_secret"
    mote.run("pull", f"hf:{REPO}")
    assert sha(snapshot(mote)) == target.sha256
    asked = [h for p, h in server.requests if p.startswith("/api")]
    assert asked[0].get("authorization") == "Bearer hf_secret"


def test_redirect_loop_and_foreign_schemes(mote, server):
    server.add("/loop.gguf", b"").redirect = "/loop.gguf"
    assert "redirects" in mote.run("pull", f"{server.url}/loop.gguf", status=5).stderr
    for target in ("http://example.org/x.gguf", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.add("/away.gguf", b"").redirect = target
        assert "https" in mote.run("pull", f"{server.url}/away.gguf", status=5).stderr


def test_token_stays_with_the_hub(mote, server):
    server.add("/x.gguf", some_bytes(1000))
    mote.run("pull", f"{server.url}/x.gguf", env={"HF_TOKEN": "hf_secret"})
    assert all("authorization" not in h for _, h in server.requests)


def test_plain_address(mote, server):
    f = server.add("/models/a/x.Q8_0.gguf", some_bytes(2 * MIB))
    url = f"{server.url}/models/a/x.Q8_0.gguf"
    r = mote.run("pull", url)
    assert f.sha256 in r.stderr and "nothing to compare" in r.stderr
    rows = json.loads(mote.run("list", "--json").stdout)["models"]
    assert rows[0]["name"] == url and rows[0]["source"] == "url" and rows[0]["sha256"] == f.sha256
    assert "here" in mote.run("pull", url).stderr
    mote.run("rm", "-y", url)
    assert mote.files() == []


@pytest.mark.parametrize("status,expected", [(404, 3), (403, 5), (401, 5), (400, 5)])
def test_http_statuses(mote, server, status, expected):
    server.add("/x.gguf", b"").status = status
    r = mote.run("pull", f"{server.url}/x.gguf", status=expected)
    assert str(status) in r.stderr and "try:" in r.stderr


def test_no_network(mote):
    r = mote.run("pull", "hf:maker/Model", status=5)
    assert "127.0.0.1:9" in r.stderr and len(r.stderr.splitlines()) == 2
    r = mote.run("pull", "smollm2-135m", status=5)
    assert "cannot be fetched" in r.stderr and "pip" in r.stderr
    assert "MOTE_MODELS" in r.stderr.splitlines()[-1]
    assert mote.files() == []


def test_no_network_and_no_pip(mote, tmp_path):
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "MOTE_PIP": ""}
    assert "there is no pip" in mote.run("pull", "smollm2-135m", status=5, env=env).stderr


def test_offline_asks_nobody(mote, server, repo):
    r = mote.run("pull", "--offline", f"hf:{REPO}", status=3)
    assert "not on this machine" in r.stderr and server.requests == []


def test_progress_rules(mote, server, repo):
    repo.rate = 8 * MIB
    r = mote.run("pull", f"hf:{REPO}")
    assert "\033" not in r.stderr and "\r" not in r.stderr
    lines = [line for line in r.stderr.splitlines() if line.startswith("pulling")]
    percent = [int(line.split()[1]) for line in lines]
    assert percent == sorted(percent) and percent[-1] == 100 and len(lines) <= 11
    mote.run("rm", "-y", f"hf:{REPO}")
    r = mote.run("pull", "-q", f"hf:{REPO}")
    assert r.stderr == ""
    mote.run("rm", "-y", f"hf:{REPO}")
    r = mote.run("pull", "--progress", "json", f"hf:{REPO}")
    events = [json.loads(line) for line in r.stderr.splitlines() if line.startswith("{")]
    assert events and events[-1]["done"] == events[-1]["total"] == 6 * MIB


def test_bar_on_a_terminal(mote, server, repo):
    pexpect = pytest.importorskip("pexpect")
    repo.rate = 8 * MIB
    c = pexpect.spawn(mote.path, ["pull", f"hf:{REPO}"], env=mote.env, encoding="utf-8", timeout=30,
                      dimensions=(24, 100))
    c.expect(pexpect.EOF)
    assert "━" in c.before and "\r" in c.before and "100 %" in c.before
    c.close()
    assert c.exitstatus == 0


# ---- disks ---------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("a full disk needs root and tmpfs: not tested")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_seen_before(mote, server, small_disk):
    server.add("/big.gguf", some_bytes(80 * MIB))
    r = mote.run("pull", f"{server.url}/big.gguf", status=4, env={"MOTE_HOME": str(small_disk)})
    assert "free on that disk" in r.stderr and "try:" in r.stderr


def test_full_disk_in_the_middle_keeps_the_part(mote, server, small_disk):
    f = server.add("/big.gguf", some_bytes(120 * MIB))
    f.hide_length = True                 # so that nothing can be known before
    env = {"MOTE_HOME": str(small_disk)}
    r = mote.run("pull", f"{server.url}/big.gguf", status=4, env=env)
    assert "the disk is full" in r.stderr
    assert not list(small_disk.rglob("*.gguf"))
    subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
    mote.run("pull", f"{server.url}/big.gguf", env=env)
    assert server.ranges("/big.gguf")[-1] >= 64 * MIB
    assert sha(list(small_disk.rglob("big.gguf"))[0]) == f.sha256


def test_folder_that_cannot_be_written(mote, server, repo, tmp_path):
    (tmp_path / "file").write_text("")
    r = mote.run("pull", f"hf:{REPO}", status=1, env={"HF_HOME": str(tmp_path / "file")})
    assert "cannot make the folder" in r.stderr
