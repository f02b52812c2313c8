#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Folders as transformers saves them, and what it computes with them: tests/golden/hf.

    make_folders.py        (with torch 2.13.0, transformers 5.23.0, numpy)

The models are those of tests/conform/families.py.  Beside config.json and model.safetensors lies
expect.npz: ids, types, decoder (where there are any) and output, in float64 rounded to float32.
"""
import shutil
import sys
from pathlib import Path

import numpy as np

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
