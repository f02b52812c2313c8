# SPDX-License-Identifier: MIT
"""The commands that need a model: tokenize, probe, perplexity, bench, show, run in pipes."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"


def test_tokenize(mote, model):
    lines = mote.run("tokenize", model, "Hello there\nHello").stdout.splitlines()
    assert len(lines) == 2 and lines[0].startswith(lines[1])
    assert all(w.isdigit() for line in lines for w in line.split())
    assert mote.run("tokenize", model, input="Hello there\nHello\n").stdout.splitlines() == lines
    empty = mote.run("tokenize", model, input="\n\n").stdout
    assert empty.count("\n") == 2
    assert mote.run("tokenize", model, input="").stdout == ""


def test_tokenize_a_line_too_long(mote, model):
    """What stands before it is printed, and one sentence says what is wrong."""
    r = mote.run("tokenize", model, input="Hello\nHello\n" + 17 * "a" * (1 << 20) + "\nHello\n", status=2)
    assert len(r.stdout.splitlines()) == 2 and r.stdout.splitlines()[0] == r.stdout.splitlines()[1]
    assert r.stderr.startswith("mote: text has more than the 16777216 bytes")


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "r50k_base", "p50k_base"])
def test_tokenize_by_a_list_of_ranks(mote, tmp_path, name):
    """A folder with nothing but a tiktoken file under its published name (tests/golden/make_tiktoken.py)."""
    golden = json.loads((GOLDEN / "tiktoken.json").read_text())[name]
    (tmp_path / f"{name}.tiktoken").write_text(golden["ranks"])
    for text, ids in golden["cases"]:
        (tmp_path / "text").write_bytes(text.encode())
        assert [int(w) for w in mote.run("tokenize", tmp_path, "--whole", tmp_path / "text").stdout.split()] == ids, text
    (tmp_path / f"{name}.tiktoken").rename(tmp_path / "own.tiktoken")
    assert "does not say how text is split" in mote.run("tokenize", tmp_path, "hello", status=1).stderr


def test_tokenize_offsets(mote, model):
    text = "Héllo  there, 42"
    rows = [line.split("\t") for line in mote.run("tokenize", model, text, "--offsets").stdout.splitlines()]
    ids = mote.run("tokenize", model, text).stdout.split()
    assert [row[0] for row in rows] == ids
    data = text.encode()
    spans = [(int(a), int(b)) for _, a, b in rows]
    assert all(a <= b <= len(data) for a, b in spans) and max(b for _, b in spans) == len(data)
    covered = set().union(*(range(a, b) for a, b in spans))
    assert covered == set(range(len(data)))
    assert json.loads(mote.run("tokenize", model, text, "--offsets", "--json").stdout)["offsets"] == [list(s) for s in spans]


def test_tokenize_whole_and_json(mote, model, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("Hello there\nHello\n")
    ids = [int(w) for w in mote.run("tokenize", model, "--whole", text).stdout.split()]
    j = json.loads(mote.run("tokenize", model, "--whole", text, "--json", "--pieces").stdout)
    assert j["ids"] == ids and len(j["pieces"]) == len(ids)
    assert "".join(j["pieces"][-len(ids):]).endswith("Hello\n")


def test_tokenize_special_only_when_asked(mote, model):
    plain = mote.run("tokenize", model, "--no-bos", "a<|im_end|>").stdout.split()
    special = mote.run("tokenize", model, "--no-bos", "--special", "a<|im_end|>").stdout.split()
    assert len(special) < len(plain)


def test_tokenize_takes_any_bytes(mote, model):
    r = mote.run("tokenize", model, input=b"a\xff\xfe\x00b\n", text=False)
    assert len(r.stdout.split()) >= 2   # bytes that a vocabulary lacks give no token
    r = mote.run("tokenize", "--pieces", model, "é€\033")
    assert "\033" not in r.stdout


def read_npy(path):
    np = pytest.importorskip("numpy")
    return np.load(path)


def test_probe_shapes_and_batches(mote, model, tmp_path):
    np = pytest.importorskip("numpy")
    rng = random.Random(1)
    ids = [rng.randrange(300, 3000) for _ in range(600)]         # more than one batch
    out = tmp_path / "o.npy"
    mote.run("probe", model, "--ids", ",".join(map(str, ids)), "--out", out)
    a = read_npy(out)
    assert a.dtype == np.dtype("<f4") and a.shape[0] == 600 and np.isfinite(a).all()
    mote.run("probe", model, "--ids", " ".join(map(str, ids[:20])), "--out", out)
    b = read_npy(out)
    assert b.shape == (20, a.shape[1])
    assert (a[:20] == b).all()           # neighbours change nothing, not a bit
    mote.run("probe", model, "--ids", "1,2,3", "--want", "hidden", "--out", out)
    assert read_npy(out).shape[0] == 3
    mote.run("probe", model, "--ids", "-", "--out", out, input="[1, 2, 3]\n")
    assert read_npy(out).shape == (3, a.shape[1])


def test_probe_exact_is_near(mote, model, tmp_path):
    np = pytest.importorskip("numpy")
    ids = "504,2365,282,260,1501,314"
    mote.run("probe", model, "--ids", ids, "--out", tmp_path / "a.npy")
    mote.run("probe", model, "--ids", ids, "--exact", "--out", tmp_path / "b.npy")
    a, b = read_npy(tmp_path / "a.npy"), read_npy(tmp_path / "b.npy")
    cosine = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    assert cosine.min() > 0.95 and cosine.mean() > 0.99


@pytest.mark.parametrize("ids", ["", "x", "1,,x", "-5", "99999999", "1 2 3a"])
def test_probe_bad_ids(mote, model, tmp_path, ids):
    r = mote.run("probe", model, "--ids", ids, "--out", tmp_path / "o.npy", status=2)
    assert r.stderr.startswith("mote: ")
    assert not list(tmp_path.glob("o.npy*"))


def test_probe_where_it_cannot_write(mote, model, tmp_path):
    r = mote.run("probe", model, "--ids", "1", "--out", tmp_path / "no" / "o.npy", status=1)
    assert "cannot write" in r.stderr


def test_perplexity(mote, model, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("The cat sat on the mat. The dog lay by the door. " * 60)
    r = mote.run("perplexity", model, "--file", text, "--ctx", "64", "--chunks", "3", "--json")
    j = json.loads(r.stdout)
    assert j["chunks"] == 3 and j["tokens_scored"] == 3 * 31
    assert 1 <= j["perplexity"] < 30
    rng = random.Random(4)
    text.write_text("".join(rng.choice("qxzjvkw ~|^") for _ in range(3000)))
    noise = json.loads(mote.run("perplexity", model, "--file", text, "--ctx", "64", "--chunks", "3",
                                "--json").stdout)
    assert noise["perplexity"] > 3 * j["perplexity"]
    assert mote.run("perplexity", model, "--file", text, "--ctx", "64", "--chunks", "1",
                    "-q").stdout.startswith("perplexity ")
    text.write_text("short")
    assert "--ctx" in mote.run("perplexity", model, "--file", text, status=2).stderr


def test_bench(mote, model):
    j = json.loads(mote.run("bench", model, "-p", "32", "-n", "8", "-r", "2", "--json").stdout)
    assert j["prompt_tok_s"] > 0 and j["decode_tok_s"] > 0 and j["first_token_s"] > 0
    assert len(j["prompt_tok_s_runs"]) == len(j["decode_tok_s_runs"]) == 2
    assert j["peak_rss_bytes"] > 1 << 20 and j["cpu"] and j["isa"]
    r = mote.run("bench", model, "-p", "0", "-n", "4", "-r", "1", "-d", "16", "-t", "1")
    assert "decode 4" in r.stdout and "prompt" not in r.stdout


def test_show(mote, model):
    text = mote.run("show", model).stdout
    assert "layers" in text and " 0 layers" not in text
    assert "blk.0" in mote.run("show", model, "--tensors").stdout
    assert "general.architecture" in mote.run("show", model, "--metadata").stdout
    assert "im_start" in mote.run("show", model, "--template").stdout
    assert mote.run("show", model, "--graph").stdout and mote.run("show", model, "--plan").stdout
    j = json.loads(mote.run("show", model, "--json", "--template").stdout)
    assert j["layers"] > 0 and "im_start" in j["chat_template"]


# ---- run, without a terminal -------------------------------------------------------
def test_one_answer(mote, model):
    r = mote.run("run", model, "What is the capital of France?", "--temp", "0", "-n", "24")
    assert len(r.stdout.split()) > 3 and r.stdout.endswith("\n")
    exact = mote.run("run", model, "What is the capital of France?", "--temp", "0", "-n", "24", "--exact")
    if pathlib.Path(model).name == "SmolLM2-135M-Instruct.Q4_1.gguf":
        assert "Paris" in exact.stdout
    assert r.stderr == ""                # nothing but the result in a pipe
    again = mote.run("run", model, "What is the capital of France?", "--temp", "0", "-n", "24")
    assert again.stdout == r.stdout


def test_prompt_and_input(mote, model, tmp_path):
    both = mote.run("run", model, "Repeat this word:", "--temp", "0", "-n", "16", input="banana\n").stdout
    text = tmp_path / "t.txt"
    text.write_text("banana\n")
    assert mote.run("run", model, "Repeat this word:", "--file", text, "--temp", "0", "-n", "16").stdout == both
    assert mote.run("run", model, "Repeat this word:\n\nbanana", "--temp", "0", "-n", "16").stdout == both
    assert mote.run("run", model, input="Repeat this word:\n\nbanana\n", env={},
                    timeout=60).stdout != ""


def test_built_in_question(mote, model):
    r = mote.run("run", model, "--temp", "0", "-n", "8")
    assert "Why is the sky blue?" in r.stderr and r.stdout.strip()


def test_seed(mote, model):
    def answer(*more):
        return mote.run("run", model, "Tell me a story.", "-n", "24", "--temp", "1.5", *more).stdout
    assert answer("--seed", "5") == answer("--seed", "5")
    assert len({answer("--seed", str(i)) for i in range(4)}) > 1
    assert answer("--seed", "5", "-t", "1") == answer("--seed", "5", "-t", "2")


def test_run_json(mote, model):
    j = json.loads(mote.run("run", model, "Hi", "--json", "-n", "5", "--seed", "1").stdout)
    assert j["new_tokens"] <= 5 and j["stop"] in ("length", "end") and j["prompt_tokens"] > 5
    assert j["first_token_seconds"] > 0


def test_system_message_counts(mote, model):
    a = json.loads(mote.run("run", model, "Hi", "--json", "-n", "1", "--system", "You are a pirate. " * 9).stdout)
    b = json.loads(mote.run("run", model, "Hi", "--json", "-n", "1").stdout)
    assert a["prompt_tokens"] > b["prompt_tokens"]


def test_prompt_longer_than_the_context(mote, model):
    r = mote.run("run", model, "word " * 700, "--ctx", "256", status=4)
    first, second = r.stderr.splitlines()
    assert "the context holds 256" in first and "--ctx 1024" in second and "nothing was cut" in second
    assert r.stdout == ""


def test_context_full_in_the_middle(mote, model):
    r = mote.run("run", model, "Write a very long story.", "--ctx", "96", "--temp", "0", status=None)
    if r.returncode == 0:
        pytest.skip("the answer ended before the context was full")
    assert r.returncode == 4 and "context of 96 is full" in r.stderr and r.stdout


@pytest.mark.parametrize("data,said", [(b"abc\xff", "offset 3"), (b"a\x00b", "NUL"), (b"\xed\xa0\x80", "offset 0")])
def test_input_that_is_not_text(mote, model, data, said):
    r = mote.run("run", model, input=data, text=False, status=1)
    assert said in r.stderr.decode() and r.stdout == b""


@pytest.mark.parametrize("args", [
    ["--logit-bias", "x"], ["--logit-bias", "1="], ["--order", "top_k,nonsense"],
])
def test_bad_sampling(mote, model, args):
    assert mote.run("run", model, "Hi", "-n", "1", *args, status=2).stderr.startswith("mote: ")


def test_logit_bias(mote, model):
    ids = mote.run("tokenize", model, "--no-bos", "banana").stdout.split()
    r = mote.run("run", model, "Hi", "-n", "3", "--temp", "0", "--logit-bias", f"{ids[0]}=1000")
    piece = mote.run("tokenize", model, "--no-bos", "--pieces", "banana").stdout.split("\t")[1].split("\n")[0]
    assert r.stdout.strip().startswith(piece)


def test_interrupted_answer(mote, model):
    p = mote.start("run", model, "Write a very long story about everything.", "--temp", "0")
    first = p.stdout.read(1)
    assert first
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=10)
    assert p.returncode == 130


def test_closed_pipe_ends_quietly(mote, model):
    p = subprocess.run(f"'{mote.path}' run '{model}' 'Write a long story' --temp 0 < /dev/null | head -c 1",
                       shell=True, env=mote.env, capture_output=True, text=True, timeout=60)
    assert p.stderr == "" and len(p.stdout) == 1


@pytest.mark.parametrize("isa", ["scalar", "avx2", "full"])
def test_cpu_levels(mote, model, isa):
    r = mote.run("run", model, "What is the capital of France?", "--temp", "0", "-n", "8", "--cpu", isa,
                 status=None)
    if r.returncode == 2:
        pytest.skip(f"this processor has no {isa}")
    assert r.returncode == 0 and r.stdout.strip()


# ---- files that are not models ---------------------------------------------------------
def test_model_not_found(mote, tmp_path):
    for name, near_by in (("smolm2-135m", "smollm2-135m"), ("smollm", "smollm2-135m")):
        r = mote.run("run", name, "hi", status=3)
        first, second = r.stderr.splitlines()
        assert first == f'mote: model "{name}" not found' and near_by in second
    assert "hf:some/model" in mote.run("run", "some/model", "hi", status=3).stderr
    mote.run("run", tmp_path / "none.gguf", "hi", status=3)
    r = mote.run("run", "x\033[31m\n.gguf", "hi", status=3)
    assert "\033" not in r.stderr and "\\x1b[31m\\n" in r.stderr


def test_folders(mote, model, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    assert "neither a .gguf file nor config.json nor a tokenizer" in mote.run("run", folder, "hi", status=3).stderr
    (folder / "a.gguf").symlink_to(model)
    assert mote.run("tokenize", folder, "Hello").stdout == mote.run("tokenize", model, "Hello").stdout
    (folder / "b.gguf").symlink_to(model)
    assert "holds 2 GGUF files" in mote.run("run", folder, "hi", status=2).stderr
    assert mote.run("run", "/dev/null", "hi", status=3).stderr


@pytest.mark.parametrize("data", [b"", b"G", b"not a model at all", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64])
def test_damaged_files(mote, tmp_path, data):
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    for command in (["run", path, "hi"], ["tokenize", path, "hi"], ["show", path]):
        r = mote.run(*command, status=6)
        assert "bad.gguf" in r.stderr and r.stderr.startswith("mote: ")


def test_truncated_model(mote, model, tmp_path):
    size = os.path.getsize(model)
    with open(model, "rb") as f:
        head = f.read(4 << 20)
    path = tmp_path / "cut.gguf"
    for n in (100, 5000, 1 << 20, 4 << 20):
        path.write_bytes(head[:n])
        assert mote.run("run", path, "hi", status=6).stderr.count("\n") <= 2
    assert size > 4 << 20


def test_mote_models_folder(mote, model, tmp_path):
    if pathlib.Path(model).name != "SmolLM2-135M-Instruct.Q4_1.gguf":
        pytest.skip("not the default model's file")
    env = {"MOTE_MODELS": str(pathlib.Path(model).parent)}
    assert mote.run("run", "What is the capital of France?", "--temp", "0", "-n", "8", env=env).stdout
    assert "here" in mote.run("pull", env=env).stderr


def test_time_to_first_token(mote, model):
    """Start to first token on a warm page cache; printed, with a bar loose enough for a busy machine."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        p = mote.start("run", model, "Hi", "--temp", "0", "-n", "1")
        p.stdout.read(1)
        times.append(time.monotonic() - start)
        p.communicate()
    print(f"first token after {min(times):.3f} s")
    assert min(times) < 5


def test_no_model_command_writes_to_a_terminal_what_it_should_not(mote, model):
    """Control bytes in metadata stay out of the terminal (escaped by the program)."""
    assert shutil.which("env")
    out = mote.run("show", model, "--metadata").stdout
    assert not any(ord(c) < 32 and c not in "\n\t" for c in out)
