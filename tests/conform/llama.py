# SPDX-License-Identifier: MIT
"""The default model against llama.cpp and against a float64 reading of its weights.

  make conform [ARGS=--quick]

1. Same ids, and for 30 prompts (1 to 1,500 tokens, several scripts, code, emoji) 64 greedy tokens of
   llama.cpp, teacher-forced through mote: a position may differ only where llama.cpp's two best logits
   lie within 0.15 of each other, or where mote --exact does not side with llama.cpp.
2. Logits of 1,000 positions: cosine with llama.cpp, mean >= 0.9995, worst >= 0.998.
3. --exact against transformers in float64 on the dequantised weights: cosine >= 0.99999.
4. Perplexity of 50 KB of text within 0.5 % of llama.cpp's.
Prints each figure with its bar and ends with "N passed, N failed"."""
import argparse
import os
import pathlib
import sys

import llama_cpp
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))
from libmote import BOS, SPECIAL, Mote  # noqa: E402

DATA = pathlib.Path(os.environ.get("MOTE_TEST_DATA", ROOT.parent / "shared" / "data"))
WIKI = (DATA / "eval" / "wiki.test.raw").read_text(encoding="utf-8")
PLAY = (DATA / "eval" / "tinyshakespeare.txt").read_text(encoding="utf-8")

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [
    "A", "The", "Once upon a time", "The capital of France is", "2 + 2 =",
    CHAT.format("Why is the sky blue?"), CHAT.format("Write a haiku about rain."),
    CHAT.format("List three prime numbers above 100."), CHAT.format("Translate to French: good morning"),
    "def fibonacci(n):\n    ", "#include <stdio.h>\n\nint main(void)\n{\n", "SELECT name, COUNT(*) FROM users\nWHERE",
    "fn main() {\n    let v: Vec<i32> = ", "<!DOCTYPE html>\n<html>\n<head>", '{"name": "mote", "version":',
    "Der schnelle braune Fuchs springt über", "Il était une fois", "En un lugar de la Mancha",
    "Москва — столица", "東京は日本の", "中国的首都是", "안녕하세요, 저는", "مرحبا بالعالم", "नमस्ते दुनिया",
    "I love 🍕 and 🎉🎉 because", "👩‍👩‍👧‍👦 family 🏳️‍🌈",
    WIKI[2000:3500], PLAY[:3000], WIKI[50000:54000], PLAY[10000:14800],
]
passed, failed = [], []


def check(name, value, bar, ok):
    (passed if ok else failed).append(name)
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {value} (bar: {bar})", flush=True)


def llama_logits(m, ids):
    m.reset()
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(m.ctx), True)
    m.eval(ids)
    return np.array(m.scores[:len(ids)], dtype=np.float64)


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def greedy(m, ids, n):
    m.reset()
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(m.ctx), True)
    m.eval(ids)
    out = []
    for _ in range(n):
        out.append(int(np.argmax(m.scores[m.n_tokens - 1])))
        m.eval(out[-1:])
    return out


def same_answers(llama, fast, exact, prompts):
    bad_ids, violations, differ, total, longest = [], [], 0, 0, 0
    for i, text in enumerate(prompts):
        want = llama.tokenize(text.encode(), add_bos=True, special=True)
        got = fast.tokenize(text, BOS | SPECIAL)
        if want != got:
            bad_ids.append(i)
            continue
        longest = max(longest, len(want))
        answer = greedy(llama, want, 64)
        whole = want + answer
        ll = llama_logits(llama, whole)[len(want) - 1:-1]
        mine = fast.logits(whole)[len(want) - 1:-1]
        for at in np.nonzero(mine.argmax(1) != answer)[0]:
            differ += 1
            top = np.sort(ll[at])[-2:]
            if top[1] - top[0] <= 0.15:
                continue
            sure = exact.logits(whole)[len(want) - 1:-1]
            if sure[at].argmax() == answer[at]:
                violations.append((i, int(at), float(top[1] - top[0])))
        total += len(answer)
    check("token ids of the prompts", f"{len(bad_ids)} differ {bad_ids}, longest {longest} tokens", "0", not bad_ids)
    check("teacher-forced answers", f"{differ} of {total} positions differ, {len(violations)} above margin {violations}",
          "0 above margin", not violations)


def same_logits(llama, fast):
    ids = fast.tokenize(WIKI[100000:105000], BOS)[:1000]
    c = cosines(llama_logits(llama, ids), fast.logits(ids))
    check("logits cosine, mean of 1,000", f"{c.mean():.6f}", ">= 0.9995", c.mean() >= 0.9995)
    check("logits cosine, worst of 1,000", f"{c.min():.6f}", ">= 0.998", c.min() >= 0.998)


def exact_reading(path, exact, n):
    """transformers in float64 on the weights as gguf's own dequantiser reads them."""
    import gguf
    import torch
    from gguf.quants import dequantize
    from transformers import LlamaConfig, LlamaForCausalLM
    r = gguf.GGUFReader(path)
    get = {k: f.contents() for k, f in r.fields.items() if k.startswith("llama.")}
    heads, kv = get["llama.attention.head_count"], get["llama.attention.head_count_kv"]
    cfg = LlamaConfig(hidden_size=get["llama.embedding_length"], num_hidden_layers=get["llama.block_count"],
                      num_attention_heads=heads, num_key_value_heads=kv, vocab_size=get["llama.vocab_size"],
                      intermediate_size=get["llama.feed_forward_length"], rope_theta=get["llama.rope.freq_base"],
                      rms_norm_eps=get["llama.attention.layer_norm_rms_epsilon"], tie_word_embeddings=True,
                      max_position_embeddings=get["llama.context_length"])
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {}
    for t in r.tensors:
        w = dequantize(t.data, t.tensor_type).astype(np.float64)
        part = t.name.split(".")
        if part[0] == "blk":
            if part[2] in ("attn_q", "attn_k"):             # GGUF keeps rotary pairs adjacent; the library, halves
                h = heads if part[2] == "attn_q" else kv
                w = w.reshape(h, w.shape[0] // h // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
            name = f"model.layers.{part[1]}.{names[part[2]]}.weight"
        else:
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[part[0]]
        state[name] = torch.from_numpy(np.ascontiguousarray(w))
    model = LlamaForCausalLM(cfg).double()
    model.load_state_dict(state, strict=False)
    ids = exact.tokenize(WIKI[100000:104000], BOS)[:n]
    with torch.no_grad():
        want = model(torch.tensor([ids])).logits[0].numpy()
    c = cosines(want, exact.logits(ids))
    check(f"--exact against float64, worst cosine of {n}", f"{c.min():.8f}", ">= 0.99999", c.min() >= 0.99999)


def perplexity(llama, fast):
    """Second half of each window of 512, as llama.cpp's own tool counts."""
    ids = fast.tokenize(WIKI[:51200], 0)
    a = b = 0.0
    n = 0
    for at in range(0, len(ids) - 511, 512):
        window = ids[at:at + 512]
        ll = llama_logits(llama, window)
        ll -= ll.max(1, keepdims=True)
        lp = ll - np.log(np.exp(ll).sum(1, keepdims=True))
        a += sum(lp[i, window[i + 1]] for i in range(256, 511))
        fast.rewind()
        b += fast.measure(window)[256:511].sum()
        n += 255
    pa, pb = np.exp(-a / n), np.exp(-b / n)
    check("perplexity of 50 KB", f"llama.cpp {pa:.4f}, mote {pb:.4f}: {100 * (pb / pa - 1):+.3f} %", "within 0.5 %",
          abs(pb / pa - 1) <= 0.005)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--quick", action="store_true", help="fewer prompts and positions")
    args = ap.parse_args()
    llama = llama_cpp.Llama(args.model, n_ctx=2048, n_threads=2, n_threads_batch=2, n_batch=512, logits_all=True,
                            verbose=False)
    fast, exact = Mote(args.model), Mote(args.model, exact=True)
    print("llama-cpp-python", llama_cpp.__version__, "|", fast.lib.mote_version_text().decode(), "|",
          fast.lib.mote_cpu_name().decode())
    same_answers(llama, fast, exact, PROMPTS[::5] if args.quick else PROMPTS)
    same_logits(llama, fast)
    exact_reading(args.model, exact, 100 if args.quick else 300)
    perplexity(llama, fast)
    print(f"{len(passed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


main()
