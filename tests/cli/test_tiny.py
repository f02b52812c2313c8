# SPDX-License-Identifier: MIT
"""The commands on the random models of tests/golden: they need no download, and say nothing of sense."""
import json
import struct

import pytest

from conftest import ROOT

GOLDEN = ROOT / "tests" / "golden"
TINY = GOLDEN / "tiny_q4_1.gguf"


@pytest.fixture(params=["tiny_q4_1", "tiny_f32", "tiny_k", "tiny_qwen2"])
def tiny(request):
    return GOLDEN / f"{request.param}.gguf"


def test_every_command(mote, tiny, tmp_path):
    np = pytest.importorskip("numpy")
    info = json.loads(mote.run("show", tiny, "--json").stdout)
    ids = mote.run("tokenize", tiny, "Hello there").stdout.split()
    assert ids
    out = tmp_path / "o.npy"
    mote.run("probe", tiny, "--ids", ",".join(ids), "--out", out)
    a = np.load(out)
    assert a.shape == (len(ids), info["vocabulary"]) and np.isfinite(a).all()
    text = tmp_path / "t.txt"
    text.write_text("some words " * 50)
    j = json.loads(mote.run("perplexity", tiny, "--file", text, "--ctx", "32", "--json").stdout)
    assert j["perplexity"] > 1
    j = json.loads(mote.run("bench", tiny, "-p", "16", "-n", "4", "-r", "2", "--json").stdout)
    assert j["decode_tok_s"] > 0
    j = json.loads(mote.run("run", tiny, "Hi", "-n", "20", "--seed", "1", "--json").stdout)
    assert 0 < j["new_tokens"] <= 20


def test_guessing_does_not_change_the_text(mote, tiny):
    def answer(*more):
        return json.loads(mote.run("run", tiny, "Hi, hi, hi", "-n", "300", "--seed", "1", "--json", *more).stdout)
    for temp in ("0", "0.3"):
        plain, few, many = (answer("--temp", temp, "--speculate", n) for n in ("0", "3", "15"))
        assert plain["guessed_tokens"] == 0
        assert plain["text"] == few["text"] == many["text"] == answer("--temp", temp)["text"]
        assert plain["new_tokens"] == many["new_tokens"] and plain["stop"] == many["stop"]
    assert mote.run("run", tiny, "Hi", "--speculate", "16", status=2).stderr


def test_output_bytes_are_whole_in_a_pipe(mote, tiny):
    """Random bytes come through a pipe untouched; the same seed gives the same ones."""
    a = mote.run("run", tiny, "Hi", "-n", "200", "--temp", "2", "--seed", "3", input=b"", text=False)
    b = mote.run("run", tiny, "Hi", "-n", "200", "--temp", "2", "--seed", "3", input=b"", text=False)
    assert a.stdout == b.stdout and len(a.stdout) > 50


def test_output_on_a_terminal_is_harmless(mote, tiny):
    pexpect = pytest.importorskip("pexpect")
    c = pexpect.spawn(mote.path, ["run", str(tiny), "Hi", "-n", "300", "--temp", "2", "--seed", "3", "-q"],
                      env=mote.env, timeout=60)
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0
    text = c.before.decode("utf-8")          # whole characters only, or this fails
    assert not any(ord(ch) < 32 and ch not in "\r\n\t" or 0x7f <= ord(ch) < 0xa0 for ch in text)


def test_chat_on_random_bytes(mote, tiny):
    """A chat whose answers are no UTF-8 still goes on: the messages stay valid."""
    pexpect = pytest.importorskip("pexpect")
    c = pexpect.spawn(mote.path, ["run", str(tiny), "-n", "60", "--temp", "2", "--seed", "1"], env=mote.env,
                      timeout=60, encoding="utf-8", codec_errors="strict", dimensions=(40, 100))
    c.expect_exact(">>> ")
    for _ in range(3):
        c.send("Hello\r")
        c.expect(r"tok/s .* tokens?\]")
        c.expect_exact(">>> ")
    c.send("/stats\r")
    c.expect(r"prompt (\d+) tokens, (\d+) of them held")
    assert int(c.match.group(2)) > 10
    c.expect_exact(">>> ")                   # what is typed before the prompt is not read
    c.sendeof()
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0


def test_threads_and_levels_agree(mote, tmp_path):
    np = pytest.importorskip("numpy")
    ids = ",".join(str(i) for i in range(5, 45))
    made = []
    for i, more in enumerate((["-t", "1"], ["-t", "2"], ["-t", "3"])):
        out = tmp_path / f"{i}.npy"
        mote.run("probe", TINY, "--ids", ids, "--out", out, *more)
        made.append(np.load(out))
    assert all((m == made[0]).all() for m in made)


def test_run_says_what_an_encoder_is_for(mote):
    r = mote.run("run", GOLDEN / "bert.gguf", "hi", status=1)
    assert len(r.stderr.splitlines()) == 1 and "reads texts" in r.stderr and "--want pooled" in r.stderr


@pytest.mark.parametrize("name", ["t5_v10", "rwkv4", "mixtral", "gpt2"])
def test_run_without_a_tokenizer(mote, name):
    r = mote.run("run", GOLDEN / f"{name}.gguf", "hi", status=None)
    assert r.returncode in (1, 6) and r.stderr.splitlines()[-1].startswith("mote: ") and "tokenizer" in r.stderr


def test_bench_of_every_topology(mote):
    def bench(name, *more):
        return json.loads(mote.run("bench", GOLDEN / f"{name}.gguf", "-r", "2", "--json", *more).stdout)
    for name in ("t5_v10", "rwkv4"):
        j = bench(name, "-p", "16", "-n", "4", "--ops")
        assert j["prompt_tok_s"] > 0 and j["decode_tok_s"] > 0
    assert bench("bert", "-p", "16")["prompt_tok_s"] > 0
    r = mote.run("bench", GOLDEN / "bert.gguf", "-p", "0", "-n", "4", status=2)
    assert "reads texts" in r.stderr


def test_unknown_architecture(mote, tmp_path):
    def s(x):
        return struct.pack("<Q", len(x)) + x
    path = tmp_path / "zebra.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + s(b"general.architecture")
                     + struct.pack("<I", 8) + s(b"zebra"))
    r = mote.run("run", path, "hi", status=1)
    first, second = r.stderr.splitlines()
    assert "zebra" in first and "llama" in first and second.startswith("     try: ")


def test_truncations_of_a_whole_file(mote, tmp_path):
    data = TINY.read_bytes()
    path = tmp_path / "cut.gguf"
    for n in sorted({*range(0, 64, 7), *range(64, len(data), len(data) // 60)}):
        path.write_bytes(data[:n])
        r = mote.run("run", path, "hi", status=6)
        assert len(r.stderr.splitlines()) == 2, f"{n} bytes: {r.stderr}"
