# SPDX-License-Identifier: MIT
"""Folders that transformers saved (tests/golden/make_folders.py), opened as they are, and `mote convert` both ways."""
import json
import os
import shutil

import pytest

from conftest import ROOT

np = pytest.importorskip("numpy")
GOLDEN = ROOT / "tests" / "golden"
FAMILIES = sorted(p.name for p in (GOLDEN / "hf").iterdir())
LIMIT = 1e-4        # of the output's deviation: f32 against float64 through three layers (docs/numerics.md)


@pytest.fixture(params=FAMILIES)
def folder(request):
    return GOLDEN / "hf" / request.param


def probe(mote, model, given, out):
    command = ["probe", model, "--out", out, "--no-cache", "--ids", ",".join(map(str, given["ids"]))]
    if "types" in given:
        command += ["--type-ids", ",".join(map(str, given["types"])), "--want", "hidden"]
    if "decoder" in given:
        command += ["--decoder-ids", ",".join(map(str, given["decoder"]))]
    mote.run(*command)
    return np.load(out)


def worst(got, want):
    assert got.shape == want.shape
    return np.abs(got - want).max() / want.std()


def verified(what):
    """A row of docs/formats.md, as tests/support/verified.h writes them."""
    if path := os.environ.get("MOTE_VERIFIED"):
        with open(path, "a") as f:
            f.write(f"Hugging Face folders|{what}|transformers 5.23 in float64|1\n")


def test_folder_equals_transformers(mote, folder, tmp_path):
    given = np.load(folder / "expect.npz")
    assert worst(probe(mote, folder, given, tmp_path / "o.npy"), given["output"]) < LIMIT
    verified("models that it saved, outputs of `mote probe`")


def test_there_and_back(mote, folder, tmp_path):
    given = np.load(folder / "expect.npz")
    mote.run("convert", folder, tmp_path / "m.gguf")
    assert worst(probe(mote, tmp_path / "m.gguf", given, tmp_path / "o.npy"), given["output"]) < LIMIT
    mote.run("convert", tmp_path / "m.gguf", tmp_path / "back")
    assert worst(probe(mote, tmp_path / "back", given, tmp_path / "o.npy"), given["output"]) < LIMIT
    verified("converted to GGUF and back, outputs after each")
    ours, theirs = (json.loads((p / "config.json").read_text()) for p in (tmp_path / "back", folder))
    flat = {**theirs, **theirs.get("rope_parameters", {})}
    same = {k for k in ours if flat.get(k) is not None and not isinstance(ours[k], dict)} - {"tie_word_embeddings"}
    assert {k: ours[k] for k in same} == {k: flat[k] for k in same} and len(same) >= 7


def test_tokenizer_and_template_come_along(mote, tmp_path):
    """GGUF to folder to GGUF: same ids, same template."""
    tiny, back = GOLDEN / "tiny_q4_1.gguf", tmp_path / "back.gguf"
    mote.run("convert", tiny, tmp_path / "f")
    mote.run("convert", tmp_path / "f", back)
    text = "Hello there, 12345 über\n\n  café 😀"
    ids = mote.run("tokenize", tiny, text).stdout
    assert ids and mote.run("tokenize", tmp_path / "f", text).stdout == ids == mote.run("tokenize", back, text).stdout


def test_types_and_parts(mote, tmp_path):
    tiny = GOLDEN / "tiny_f32.gguf"
    for kind in ("f32", "f16", "bf16"):
        mote.run("convert", tiny, tmp_path / f"{kind}.gguf", "--type", kind)
        types = {t["type"] for t in json.loads(mote.run("show", tmp_path / f"{kind}.gguf", "--json").stdout)["types"]}
        assert types == {"F32", kind.upper()}
    mote.run("convert", tiny, tmp_path / "parts", "--split", "1")
    assert mote.run("show", tmp_path / "parts").stdout


def test_refusals(mote, tmp_path):
    tiny, out = GOLDEN / "tiny_f32.gguf", tmp_path / "o.gguf"
    out.write_text("precious")
    assert "is there already" in mote.run("convert", tiny, out, status=2).stderr and out.read_text() == "precious"
    mote.run("convert", tiny, out, "--yes")
    assert "cannot be run" in mote.run("convert", unknown(tmp_path), tmp_path / "x.gguf", status=1).stderr
    assert not (tmp_path / "x.gguf").exists()
    mote.run("convert", tiny, out, "--type", "q9", status=2)
    assert "is the model itself" in mote.run("convert", out, out, "--yes", status=2).stderr
    folder = tmp_path / "unknown"
    before = (folder / "config.json").read_bytes()
    assert "is there already" in mote.run("convert", tiny, folder, status=2).stderr
    assert (folder / "config.json").read_bytes() == before


def unknown(tmp_path):
    """A folder of a family that nobody has heard of."""
    to = tmp_path / "unknown"
    shutil.copytree(GOLDEN / "hf" / "llama", to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    return to


def test_what_cannot_be_run_can_be_looked_at(mote, tmp_path):
    done = mote.run("show", unknown(tmp_path), "--json", "--tensors", "--metadata")
    j = json.loads(done.stdout)
    assert "unheard_of" in done.stderr
    assert j["metadata"]["model_type"] == "unheard_of" and any(t["name"] == "model.norm.weight" for t in j["tensors"])


def test_show_of_a_folder(mote, folder):
    j = json.loads(mote.run("show", folder, "--json", "--tensors", "--graph", "--plan").stdout)
    assert j["parameters"] > 1000 and j["memory"]["weights"] > 0 and sum(t["bytes"] for t in j["types"]) > 0
    assert "linear" in j["graph"] and j["plan"]


def test_vocab_and_merges_are_a_tokenizer(mote, tmp_path):
    """vocab.json + merges.txt give the ids of the tokenizer.json that says the same."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["Ġ"]
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello"), ("Ġ", "t"), ("Ġt", "he")]
    vocab = {p: i for i, p in enumerate(letters + [a + b for a, b in merges] + ["<|endoftext|>"])}
    assert len(vocab) <= 79
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = {"id": vocab["<|endoftext|>"], "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": True, "special": True}
    two, one = tmp_path / "two", tmp_path / "one"
    for folder in (two, one):
        shutil.copytree(GOLDEN / "hf" / "gpt2-by-layer", folder)
    (two / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (two / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    (one / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [added], "pre_tokenizer": level, "decoder": level,
                                                    "model": {"type": "BPE", "vocab": vocab, "merges": [f"{a} {b}" for a, b in merges]}}))
    for text in ("hello the hello", "then  hell", "<|endoftext|>hello"):
        ids = mote.run("tokenize", two, text, "--special").stdout
        assert ids.split() and ids == mote.run("tokenize", one, text, "--special").stdout
    for name in ("config.json", "model.safetensors"):                     # a tokenizer by itself
        (one / name).unlink()
    assert ids == mote.run("tokenize", one, text, "--special").stdout
    assert "found a tokenizer only" in mote.run("run", one, "hello", status=1).stderr
    assert mote.run("tokenize", two, "hello the").stdout.split() == [str(vocab["hello"]), str(vocab["Ġthe"])]
    shutil.copytree(GOLDEN / "hf" / "llama", tmp_path / "other")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(two / name, tmp_path / "other" / name)
    assert "tokenizer.json is needed" in mote.run("tokenize", tmp_path / "other", "hello", status=1).stderr


def test_an_encoder_decoder_answers(mote):
    """T5 with its own SentencePiece file: the answers of transformers' generate()."""
    for prompt, want in json.loads((GOLDEN / "t5_answers" / "answers.json").read_text()).items():
        assert mote.run("run", GOLDEN / "t5_answers", prompt, "--temp", "0", "-n", "24", "--exact").stdout == want + "\n"


def older_tokenizer(kind, folder):
    """A tokenizer from before tokenizer.json, of at most 79 tokens, and a golden folder it may lie in."""
    letters = list("abcdefghijklmnopqrstuvwxyz")
    if kind == "spiece.model":
        return GOLDEN / "t5_answers"
    if kind.startswith("vocab.txt"):
        shutil.copytree(GOLDEN / "hf" / "bert", folder)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##s", "hello", "He", *letters[:20], *("##" + c for c in letters[:20])]
        (folder / "vocab.txt").write_text("\n".join(words) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": kind == "vocab.txt"}))
    elif kind == "merges.txt":
        shutil.copytree(GOLDEN / "hf" / "gpt2-by-layer", folder)
        merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("\u0120", "hello")]
        vocab = letters + ["\u0120"] + [a + b for a, b in merges] + ["<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(vocab)}, ensure_ascii=False))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    elif kind == "rwkv_vocab_v20230424.txt":
        shutil.copytree(GOLDEN / "hf" / "rwkv", folder)
        pieces = [b"\n", b" ", b"'", b"\\", b"hello", b" hello", b"\xff", b"\xe4\xb8", *(c.encode() for c in letters[:20])]
        (folder / kind).write_text("".join(f"{i + 1} {p!r} {len(p)}\n" for i, p in enumerate(pieces)))
    return folder


@pytest.mark.parametrize("kind", ["spiece.model", "vocab.txt", "vocab.txt, cased", "merges.txt", "rwkv_vocab_v20230424.txt"])
def test_older_tokenizers_come_along(mote, tmp_path, kind):
    """The GGUF gives the ids of the folder, and has a token for each row of weights."""
    folder = older_tokenizer(kind, tmp_path / "in")
    mote.run("convert", folder, tmp_path / "o.gguf")
    for text in ("hello the hellos", "He hello", "it's \\ a\nb", "\u4e2d hello"):
        (tmp_path / "t").write_text(text)
        ids = [mote.run("tokenize", m, "--whole", tmp_path / "t").stdout for m in (folder, tmp_path / "o.gguf")]
        assert ids[0] == ids[1] and ids[0].split()
    tokens = mote.run("show", tmp_path / "o.gguf").stdout
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    assert f"{rows} tokens" in tokens
    if kind == "vocab.txt, cased":
        (tmp_path / "t").write_text("He")
        assert mote.run("tokenize", folder, "--whole", tmp_path / "t").stdout.split() == ["2", "8", "3"]
    if kind == "spiece.model":
        for prompt, want in json.loads((folder / "answers.json").read_text()).items():
            assert mote.run("run", tmp_path / "o.gguf", prompt, "--temp", "0", "-n", "24", "--exact").stdout == want + "\n"
