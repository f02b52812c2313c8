# SPDX-License-Identifier: MIT
"""mote bench: its rows, its formats, the comparison of two results.  No speed is demanded here."""
import copy
import csv
import io
import json
import random

import pytest

from conftest import ROOT

TINY = ROOT / "tests" / "golden" / "tiny_q4_1.gguf"
QUICK = ("-p", "16", "-n", "4", "-r", "2", "-t", "2")


def bench(mote, *args):
    return json.loads(mote.run("bench", TINY, *args, "--json").stdout)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """One result for the tests that only look at it."""
    from conftest import Mote
    return bench(Mote(tmp_path_factory.mktemp("bench")), *QUICK, "--ops")


def test_fields_that_scripts_use(result):
    assert result["schema"] == 1 and result["threads"] == 2 and result["quant"]
    assert result["prompt_tok_s"] > 0 and result["decode_tok_s"] > 0 and result["first_token_s"] > 0
    assert len(result["prompt_tok_s_runs"]) == len(result["decode_tok_s_runs"]) == 2
    assert result["peak_rss_bytes"] > result["weight_bytes"] > 0
    assert [r["kind"] for r in result["rows"]] == ["prompt", "decode"]
    for row in result["rows"]:
        assert row["tok_s_low"] <= row["tok_s"] <= row["tok_s_high"] and len(row["runs"]) == 2
        assert row["coverage"] == 0.5           # two runs promise no more


def test_limits(result):
    machine = result["machine"]
    assert machine["int8_gmac_s"] > 0 and machine["f32_gmac_s"] > 0 and machine["read_gb_s"] > 0
    assert machine["read_low"] <= machine["read_gb_s"] <= machine["read_high"]
    assert machine["int8_how"] and machine["read_how"] and machine["placement"]
    prompt, decode = result["rows"]
    assert prompt["limit"] == "int8" and decode["limit"] == "read"
    int8 = (machine["int8_gmac_s"] + machine["int8_gmac_s_end"]) / 2 * 1e9
    assert prompt["limit_tok_s"] * prompt["macs_per_token"] == pytest.approx(int8, rel=1e-6)
    assert decode["limit_tok_s"] * decode["bytes_per_token"] == pytest.approx(machine["read_gb_s"] * 1e9, rel=1e-6)
    for row in result["rows"]:
        assert row["fraction"] == pytest.approx(row["tok_s"] / row["limit_tok_s"], rel=1e-6)
    assert decode["bytes_per_token"] >= 0.5 * result["weight_bytes"]


def test_energy_is_never_zero(result):
    energy = result["energy"]
    assert bool(energy["source"]) != bool(energy["why"])
    for row in result["rows"]:
        assert row["joules_per_token"] is None if energy["why"] else row["joules_per_token"] > 0


def test_ops(result):
    for row in result["rows"]:
        ops = row["ops"]
        assert {o["phase"] for o in ops} == {row["kind"]}
        assert sum(o["share"] for o in ops) == pytest.approx(1, abs=1e-6)
        assert {"product", "attention"} <= {o["kind"] for o in ops}
        tokens = row["prompt_tokens"] if row["kind"] == "prompt" else 1
        assert sum(o["macs"] for o in ops) == pytest.approx(row["macs_per_token"] * tokens, rel=1e-6)
        assert all(o["ms"] >= o["wait_ms"] >= 0 for o in ops)


def test_lists_of_lengths(mote):
    j = bench(mote, "-p", "8,16", "-n", "4", "-d", "32,0", "-r", "1")
    assert [(r["prompt_tokens"], r["new_tokens"], r["depth"]) for r in j["rows"]] == [
        (8, 0, 0), (16, 0, 0), (0, 4, 0), (8, 0, 32), (16, 0, 32), (0, 4, 32)]
    assert j["rows"][-1]["name"] == "decode 4 at 32"
    # keys and values behind 32 tokens are read as well
    assert j["rows"][5]["bytes_per_token"] > j["rows"][2]["bytes_per_token"]


def test_sessions(mote):
    j = bench(mote, "-p", "16", "-n", "8", "--sessions", "1,3", "-r", "1")
    last = j["rows"][-1]
    assert last["name"] == "3 × (16 + 8)" and last["sessions"] == 3 and last["kind"] == "both"
    assert last["tok_s"] > 0 and last["limit"] in ("both", "int8", "read")
    only = bench(mote, "-p", "0", "-n", "4", "--sessions", "2", "-r", "1")["rows"]
    assert [r["name"] for r in only] == ["2 × decode 4"]


def test_table(mote):
    r = mote.run("bench", TINY, *QUICK, "--ops")
    lines = r.stdout.splitlines()
    assert max(map(len, lines)) <= 96, r.stdout
    head = next(i for i, line in enumerate(lines) if line.startswith("WORK"))
    assert lines[head + 1].startswith("prompt 16") and lines[head + 2].startswith("decode 4")
    assert len({len(line) for line in lines[head:head + 3]}) == 1        # columns are aligned
    for word in ("RANGE", "OF LIMIT", "OP ", "attention", "memory", "energy", "read", "barrier"):
        assert word in r.stdout
    assert mote.run("bench", TINY, *QUICK, "-q").stderr == ""


def test_markdown_and_csv(mote):
    text = mote.run("bench", TINY, *QUICK, "--format", "markdown").stdout
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4 and len({line.count("|") for line in rows}) == 1
    text = mote.run("bench", TINY, *QUICK, "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["name"] for r in rows] == ["prompt 16", "decode 4"]
    assert float(rows[0]["tok_s"]) > 0 and float(rows[0]["read_gb_s"]) > 0 and rows[0]["joules_per_token"] != "0"
    text = mote.run("bench", TINY, *QUICK, "--format", "csv", "--ops").stdout
    assert {r["phase"] for r in csv.DictReader(io.StringIO(text))} == {"prompt", "decode"}


def test_one_thread_and_no_prompt(mote):
    r = mote.run("bench", TINY, "-p", "0", "-n", "4", "-r", "1", "-d", "16", "-t", "1")
    assert "decode 4 at 16" in r.stdout and "prompt" not in r.stdout and "first token" not in r.stdout


@pytest.mark.parametrize("args", [
    ("-p", "0", "-n", "0"), ("-p", "1,"), ("-p", ",1"), ("-p", "1,,2"), ("-n", "-1"), ("-n", "x"), ("-d", "1 2"),
    ("--sessions", "0"), ("--sessions", "65"), ("-p", ",".join("1" * 17)), ("--format", "html"),
])
def test_wrong_usage(mote, args):
    r = mote.run("bench", TINY, *args, status=2)
    assert r.stderr.startswith("mote: ") and r.stdout == ""


# ---- comparing ----------------------------------------------------------------------------
def made(tok_s, noise=0.005, n=9, read=50.0, seed=1, **more):
    """A result as mote writes it, with a generation of this speed."""
    rng = random.Random(seed)
    runs = [tok_s * rng.uniform(1 - noise, 1 + noise) for _ in range(n)]
    samples = [read * rng.uniform(0.99, 1.01) for _ in range(n)]
    row = {"name": "decode 128", "kind": "decode", "prompt_tokens": 0, "new_tokens": 128, "depth": 0, "sessions": 1,
           "tok_s": sorted(runs)[n // 2], "runs": runs, "limit": "read", "arithmetic": "int8", "arithmetic_share": 0.0}
    return {"schema": 1, "model": "m", "quant": "Q4_1", "cpu": "c", "isa": "i", "version": "v", "threads": 2,
            "machine": {"int8_gmac_s": 400.0, "read_gb_s": read, "read_samples": samples, "barrier_ns": 50.0},
            "rows": [row], **more}


def compare(mote, folder, before, after, *args, status=0):
    (folder / "a.json").write_text(json.dumps(before))
    (folder / "b.json").write_text(json.dumps(after))
    return mote.run("bench", "--compare", folder / "a.json", folder / "b.json", *args, status=status)


@pytest.mark.parametrize("before, after, verdict", [
    (made(100), made(100, seed=2), "same"),
    (made(100), made(110, seed=2), "faster"),
    (made(100), made(90, seed=2), "slower"),
    (made(100, 0.3), made(102, 0.3, seed=2), "too noisy to tell"),
    (made(100, n=3), made(150, n=3, seed=2), "too few runs to tell"),
    (made(100), made(120, read=60.0, seed=2), "same"),           # the machine became faster, not mote
    (made(100), made(100, read=60.0, seed=2), "slower"),
    (made(100), made(120, read=60.0, seed=2, threads=4), "faster"),      # another setup: as it is
])
def test_verdicts(mote, tmp_path, before, after, verdict):
    j = json.loads(compare(mote, tmp_path, before, after, "--json").stdout)
    row = j["rows"][0]
    assert row["verdict"] == verdict
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert verdict in compare(mote, tmp_path, before, after).stdout


def test_comparison_on_paper(mote, tmp_path):
    r = compare(mote, tmp_path, made(100), made(120, read=60.0, seed=2))
    assert max(map(len, r.stdout.splitlines())) <= 96
    assert "same *" in r.stdout and "* the machine itself moved" in r.stdout
    text = compare(mote, tmp_path, made(100), made(110, seed=2), "--format", "csv").stdout
    assert list(csv.DictReader(io.StringIO(text)))[0]["verdict"] == "faster"
    text = compare(mote, tmp_path, made(100), made(110, seed=2), "--format", "markdown").stdout
    assert "\n| decode 128" in text
    r = compare(mote, tmp_path, made(100), made(100, threads=3))
    assert "differ in threads" in r.stderr


def test_a_run_compared_with_a_file(mote, tmp_path, result):
    old = tmp_path / "old.json"
    old.write_text(json.dumps(result))
    j = json.loads(mote.run("bench", TINY, *QUICK, "--compare", old, "--json").stdout)
    assert [r["name"] for r in j["comparison"]["rows"]] == ["prompt 16", "decode 4"]
    text = mote.run("bench", TINY, *QUICK, "--compare", old).stdout
    assert "VERDICT" in text and "OF LIMIT" in text


@pytest.mark.parametrize("spoil", [
    lambda j: j.update(schema=2), lambda j: j.pop("rows"), lambda j: j.update(rows=[{}]),
    lambda j: j["rows"][0].update(runs=[]), lambda j: j["rows"][0].update(runs=[0]),
    lambda j: j["rows"][0].update(runs=["x"]), lambda j: j["rows"][0].update(runs="x"),
])
def test_files_that_are_no_results(mote, tmp_path, spoil):
    bad = copy.deepcopy(made(100))
    spoil(bad)
    r = compare(mote, tmp_path, made(100), bad, status=6)
    assert "no result of mote bench" in r.stderr and len(r.stderr.splitlines()) == 2


def test_files_that_are_nothing(mote, tmp_path):
    (tmp_path / "x.json").write_text("{")
    mote.run("bench", "--compare", tmp_path / "x.json", tmp_path / "x.json", status=6)
    r = mote.run("bench", "--compare", tmp_path / "none.json", tmp_path / "x.json", status=None)
    assert r.returncode in (1, 3) and "none.json" in r.stderr
    other = made(100)
    other["rows"][0]["new_tokens"] = 64
    assert "no work in common" in compare(mote, tmp_path, made(100), other, status=1).stderr
    strange = made(100)
    strange["machine"] = {"read_samples": [0, "x", None], "read_gb_s": "fast"}
    compare(mote, tmp_path, strange, made(100))
