#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Folders as transformers saves them, and what it computes with them: tests/golden/hf and t5_answers.

    make_folders.py        (with torch 2.13.0, transformers 5.23.0, sentencepiece 0.2.3, numpy)

The models are those of tests/conform/families.py.  Beside config.json and model.safetensors lies
expect.npz: ids, types, decoder (where there are any) and output, in float64 rounded to float32.  t5_answers has a
tokenizer too (spiece.model, trained on this project's documents) and answers.json: prompts and what generate() says.
"""
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "conform"))
import families  # noqa: E402

CHOSEN = ("llama", "mistral", "mixtral", "qwen2", "gpt2-by-layer", "bert", "t5-v1.0", "t5-v1.1", "rwkv")

for seed, (name, model, std) in enumerate(families.cases()):
    if name not in CHOSEN:
        continue
    families.randomize(model, seed, std)
    folder = here / "hf" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids, types, decoder = families.inputs(name, seed, model.config.vocab_size)
    want = families.expect(name, model, ids, types, decoder)
    given = {"ids": ids, "types": types, "decoder": decoder, "output": want.astype(np.float32)}
    np.savez_compressed(folder / "expect.npz", **{k: v for k, v in given.items() if v is not None})
    print(name, want.shape, f"std {want.std():.2f}")

folder = here / "t5_answers"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
text = [line for p in sorted((here.parent.parent / "docs").glob("*.md")) for line in p.read_text().split("\n")]
trained = io.BytesIO()              # from memory: a trainer that is given files writes their paths into what it makes
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=trained, vocab_size=300, model_type="unigram",
                                         pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)
(folder / "spiece.model").write_bytes(trained.getvalue())
torch.manual_seed(1)
model = transformers.T5ForConditionalGeneration(transformers.T5Config(
    vocab_size=300, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu",
    tie_word_embeddings=False, decoder_start_token_id=0)).eval()
for p in model.parameters():
    p.data *= 3 if p.dim() > 1 else 1
model.save_pretrained(folder)
model.double()
piece = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
answers = {}
for prompt in ("translate English to German: The house is wonderful.", "summarize: a kernel reads, a plan runs", "the speed"):
    ids = torch.tensor([piece.encode(prompt) + [1]])
    out = model.generate(ids, max_new_tokens=24, do_sample=False)[0].tolist()
    answers[prompt] = piece.decode([i for i in out if i > 2])
(folder / "answers.json").write_text(json.dumps(answers, ensure_ascii=False, indent=1) + "\n")
print("t5_answers", answers)
