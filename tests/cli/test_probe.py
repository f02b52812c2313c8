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


# ---- files that are well formed and ask for too much ------------------------------------------------


def write_gguf(path, keys, tensors, rng=None):
    """keys: name -> int, float or str; tensors: name -> shape, slowest first.  All values 0, as F32; with a
    generator random ones, matrices as Q8_0."""
    def text(x):
        return struct.pack("<Q", len(x)) + x.encode()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, v in keys.items():
        kind, code = {int: (4, "<I"), float: (6, "<f"), str: (8, None)}[type(v)]
        head += text(name) + struct.pack("<I", kind) + (struct.pack(code, v) if code else text(v))
    body = bytearray()
    for name, shape in tensors.items():
        n, is_matrix = int(np.prod(shape)), rng is not None and len(shape) > 1
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += struct.pack("<IQ", 8 if is_matrix else 0, len(body))
        if is_matrix:
            blocks = np.zeros(n // 32, dtype=[("d", "<f2"), ("q", "i1", 32)])
            blocks["d"], blocks["q"] = rng.uniform(0.5, 2, n // 32) / 64 / shape[-1] ** 0.5, rng.integers(-127, 128, (n // 32, 32))
            body += blocks.tobytes()
        else:
            body += (np.zeros(n) if rng is None else rng.uniform(0.2, 0.9, n)).astype("<f4").tobytes()
        body += bytes(-len(body) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)


def llama(path, n_embd, n_head, head_dim, n_expert=0, n_used=0, n_ff=8, rng=None):
    keys = {"general.architecture": "llama", "llama.context_length": 64, "llama.embedding_length": n_embd,
            "llama.block_count": 1, "llama.feed_forward_length": n_ff, "llama.attention.head_count": n_head,
            "llama.attention.head_count_kv": 1, "llama.attention.key_length": head_dim,
            "llama.attention.value_length": head_dim, "llama.attention.layer_norm_rms_epsilon": 1e-5}
    t = {"token_embd.weight": (5, n_embd), "output_norm.weight": (n_embd,), "blk.0.attn_norm.weight": (n_embd,),
         "blk.0.attn_q.weight": (n_head * head_dim, n_embd), "blk.0.attn_k.weight": (head_dim, n_embd),
         "blk.0.attn_v.weight": (head_dim, n_embd), "blk.0.attn_output.weight": (n_embd, n_head * head_dim),
         "blk.0.ffn_norm.weight": (n_embd,)}
    if n_expert:
        keys |= {"llama.expert_count": n_expert, "llama.expert_used_count": n_used or n_expert}
        t |= {"blk.0.ffn_gate_inp.weight": (n_expert, n_embd), "blk.0.ffn_gate_exps.weight": (n_expert, n_ff, n_embd),
              "blk.0.ffn_up_exps.weight": (n_expert, n_ff, n_embd), "blk.0.ffn_down_exps.weight": (n_expert, n_embd, n_ff)}
    else:
        t |= {"blk.0.ffn_gate.weight": (n_ff, n_embd), "blk.0.ffn_up.weight": (n_ff, n_embd),
              "blk.0.ffn_down.weight": (n_embd, n_ff)}
    write_gguf(path, keys, t, rng)


@pytest.mark.parametrize("n_embd, n_head, head_dim, n_expert, names", [
    (8, 1, 512, 0, None), (8, 1, 514, 0, "514 values"),
    (8, 64, 2, 0, None), (8, 65, 2, 0, "65 query heads"),
    (1, 2, 2, 0, "one row"), (8, 2, 2, 1, None), (8, 2, 2, 3, None), (8, 2, 2, 1024, None),
])
def test_shapes_at_their_limits(mote, tmp_path, n_embd, n_head, head_dim, n_expert, names):
    path, out = tmp_path / "m.gguf", tmp_path / "o.npy"
    llama(path, n_embd, n_head, head_dim, n_expert)
    r = mote.run("probe", path, "--ids", "1,2,3,4,0,1,2", "--out", out, status=None)
    if names:
        assert r.returncode == 1 and names in r.stderr
    else:
        assert r.returncode == 0 and (np.load(out) == 0).all()


def rwkv4(path, n_embd, n_ff, rng):
    keys = {"general.architecture": "rwkv4", "rwkv4.context_length": 64, "rwkv4.embedding_length": n_embd,
            "rwkv4.block_count": 1, "rwkv4.feed_forward_length": n_ff, "rwkv4.attention.layer_norm_epsilon": 1e-5}
    t = {"token_embd.weight": (37, n_embd), "output.weight": (37, n_embd)}
    for name in ("token_embd_norm", "blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        t |= {f"{name}.weight": (n_embd,), f"{name}.bias": (n_embd,)}
    for name in ("time_mix_lerp_k", "time_mix_lerp_v", "time_mix_lerp_r", "channel_mix_lerp_k", "channel_mix_lerp_r",
                 "time_mix_decay", "time_mix_first"):
        t[f"blk.0.{name}.weight"] = (n_embd,)
    for name in ("time_mix_key", "time_mix_value", "time_mix_receptance", "time_mix_output", "channel_mix_receptance"):
        t[f"blk.0.{name}.weight"] = (n_embd, n_embd)
    t |= {"blk.0.channel_mix_key.weight": (n_ff, n_embd), "blk.0.channel_mix_value.weight": (n_embd, n_ff)}
    write_gguf(path, keys, t, rng)


@pytest.mark.parametrize("kind", ["experts", "mixes"])
def test_quantised_weights(mote, tmp_path, kind):
    """Products by expert, and of several mixes, on int8: near the exact path, the same bits in every company."""
    path, rng = tmp_path / "m.gguf", np.random.default_rng(5)
    if kind == "experts":
        llama(path, 64, 4, 16, 5, 2, 96, rng)
    else:
        rwkv4(path, 64, 96, rng)
    ids = [i * 3 % 5 for i in range(41)] if kind == "experts" else [i * 7 % 37 for i in range(41)]

    def probe(n, *more):
        mote.run("probe", path, "--ids", listed(ids[:n]), "--out", tmp_path / "o.npy", *more)
        return np.load(tmp_path / "o.npy")
    whole, exact = probe(41, "-t", "1"), probe(41, "--exact")
    error = ((whole - exact) ** 2).sum(1) / (exact ** 2).sum(1)
    assert 0 < np.median(error) < 2e-3
    for n in (1, 2, 9, 17, 41):
        for threads in ("1", "2", "3"):
            assert (probe(n, "-t", threads) == whole[:n]).all()
