# SPDX-License-Identifier: MIT
"""`mote probe` on every topology, against what transformers computed in double (tests/golden)."""
import struct

import pytest

from conftest import ROOT

np = pytest.importorskip("numpy")
GOLDEN = ROOT / "tests" / "golden"


def expectation(name):
    """The tensors of expect_NAME.gguf: I32 and F64 arrays by name."""
    data = (GOLDEN / f"expect_{name}.gguf").read_bytes()
    at = 4

    def take(code):
        nonlocal at
        value, = struct.unpack_from("<" + code, data, at)
        at += struct.calcsize(code)
        return value

    def string():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode()

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            item, n = take("I"), take("Q")
            return [value(item) for _ in range(n)]
        return take("BbHhIif???Qqd"[kind])

    take("I")
    n_tensor, n_key = take("Q"), take("Q")
    keys = {string(): value(take("I")) for _ in range(n_key)}
    table = []
    for _ in range(n_tensor):
        label = string()
        shape = [take("Q") for _ in range(take("I"))]
        table.append((label, shape[::-1], {26: "<i4", 28: "<f8"}[take("I")], take("Q")))
    align = keys.get("general.alignment", 32)
    start = (at + align - 1) // align * align
    return {label: np.frombuffer(data, dtype, int(np.prod(shape)), start + offset).reshape(shape)
            for label, shape, dtype, offset in table}


def listed(ids):
    return ",".join(map(str, ids))


def worst(got, want):
    assert got.dtype == np.dtype("<f4") and got.shape == want.shape
    return np.abs(got - want).max() / want.std()


@pytest.mark.parametrize("name", ["llama_gqa", "qwen2", "mixtral", "gpt2", "rwkv4"])
def test_decoders(mote, tmp_path, name):
    e, out = expectation(name), tmp_path / "o.npy"
    for want in ("logits", "hidden"):
        mote.run("probe", GOLDEN / f"{name}.gguf", "--ids", listed(e["ids.0"]), "--want", want, "--exact", "--out", out)
        assert worst(np.load(out), e[f"{want}.0"]) < 1e-3


def test_encoder(mote, tmp_path):
    e, out = expectation("bert"), tmp_path / "o.npy"
    for i in range(3):
        said = ["probe", GOLDEN / "bert.gguf", "--ids", listed(e[f"ids.{i}"]), "--type-ids", listed(e[f"types.{i}"]),
                "--exact", "--out", out]
        mote.run(*said)                  # hidden rows are what it gives unless told otherwise
        hidden = np.load(out)
        assert worst(hidden, e[f"hidden.{i}"]) < 1e-3
        mote.run(*said, "--want", "pooled")
        assert worst(np.load(out), e[f"pooled.{i}"].reshape(1, -1)) < 1e-3
    mote.run("probe", GOLDEN / "bert.gguf", "--ids", listed(e["ids.0"]), "--exact", "--out", out)
    assert (np.load(out) != hidden[:13]).any()           # types count


@pytest.mark.parametrize("name", ["t5_v10", "t5_v11"])
def test_encoder_decoders(mote, tmp_path, name):
    e, out = expectation(name), tmp_path / "o.npy"
    for i in range(3):
        said = ["probe", GOLDEN / f"{name}.gguf", "--ids", listed(e[f"enc_ids.{i}"]), "--exact", "--out", out]
        for want in ("logits", "hidden"):
            mote.run(*said, "--decoder-ids", listed(e[f"ids.{i}"]), "--want", want)
            assert worst(np.load(out), e[f"{want}.{i}"]) < 1e-3
        mote.run(*said)                  # from the start token alone
        assert np.abs(np.load(out)[0] - e[f"logits.{i}"][0]).max() < 1e-3 * e[f"logits.{i}"].std()


@pytest.mark.parametrize("name, more, names", [
    ("bert", ["--want", "logits"], "no logits"),
    ("bert", ["--decoder-ids", "1"], "--decoder-ids"),
    ("bert", ["--type-ids", "1"], "1 type ids for 3 ids"),
    ("bert", ["--type-ids", "0,x,0"], '"x"'),
    ("gpt2", ["--want", "pooled"], "only encoders pool"),
    ("gpt2", ["--type-ids", "0,0,0"], "--type-ids"),
    ("t5_v10", ["--decoder-ids", "61"], "61"),
    ("t5_v10", ["--want", "pooled"], "only encoders pool"),
])
def test_wrong_questions(mote, tmp_path, name, more, names):
    r = mote.run("probe", GOLDEN / f"{name}.gguf", "--ids", "1,2,3", "--out", tmp_path / "o.npy", *more, status=2)
    assert r.stderr.startswith("mote: ") and names in r.stderr
    assert not list(tmp_path.glob("o.npy*"))


def test_a_text_too_long_for_the_model(mote, tmp_path):
    r = mote.run("probe", GOLDEN / "bert.gguf", "--ids", listed([1] * 21), "--out", tmp_path / "o.npy", status=2)
    assert "20 positions" in r.stderr
