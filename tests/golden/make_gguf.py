#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes small GGUF files with the gguf package's own writer: every metadata type, arrays of each,
several tensor types, another alignment, no tensors at all.  They are what test_gguf.c reads as
somebody else's files, and the seeds of fuzz_gguf.

    python tests/golden/make_gguf.py tests/fuzz/corpus/gguf
"""
import importlib.metadata
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T, GGUFValueType as V

FOLDER = pathlib.Path(sys.argv[1])


def save(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def every_type():
    w = gguf.GGUFWriter(FOLDER / "every_type.gguf", "test")
    w.add_string("made.by", "gguf " + importlib.metadata.version("gguf") + ", numpy " + np.__version__)
    w.add_uint8("u8", 200)
    w.add_int8("i8", -100)
    w.add_uint16("u16", 60000)
    w.add_int16("i16", -30000)
    w.add_uint32("u32", 4000000000)
    w.add_int32("i32", -2000000000)
    w.add_uint64("u64", 2**63 + 5)
    w.add_int64("i64", -(2**62))
    w.add_float32("f32", 0.1)
    w.add_float64("f64", 0.1)
    w.add_bool("yes", True)
    w.add_bool("no", False)
    w.add_string("text", "grüße, 世界")
    w.add_key_value("nothing", "", V.STRING)   # add_string drops empty ones
    for name, kind, values in [
            ("u8s", V.UINT8, [0, 255]), ("i8s", V.INT8, [-128, 127]), ("u16s", V.UINT16, [1, 65535]),
            ("i16s", V.INT16, [-32768, 5]), ("u32s", V.UINT32, [7, 2**32 - 1]),
            ("i32s", V.INT32, [-2**31, 3]), ("u64s", V.UINT64, [2**64 - 1, 9]),
            ("i64s", V.INT64, [-2**63, 11]), ("f32s", V.FLOAT32, [0.5, -1.25]),
            ("f64s", V.FLOAT64, [1e300, -0.1]), ("bools", V.BOOL, [True, False, True]),
            ("strings", V.STRING, ["a", "", "ccc"])]:
        w.add_key_value(name, values, V.ARRAY, kind)
    rng = np.random.default_rng(20261120)
    w.add_tensor("plain.weight", np.arange(10, dtype=np.float32).reshape(2, 5))
    w.add_tensor("half.weight", np.arange(6, dtype=np.float16))
    for kind in (T.Q4_0, T.Q8_0, T.Q4_1):
        rows = rng.standard_normal((3, 64), dtype=np.float32)
        w.add_tensor(kind.name + ".weight", gguf.quants.quantize(rows, kind), raw_dtype=kind)
    w.add_tensor("four.weight", np.ones((2, 1, 3, 4), dtype=np.float32))
    save(w)


def aligned():
    w = gguf.GGUFWriter(FOLDER / "aligned.gguf", "test")
    w.add_custom_alignment(64)
    w.add_tensor("a", np.zeros(3, dtype=np.int8))
    w.add_tensor("b", np.zeros(5, dtype=np.int32))
    save(w)


def words():
    w = gguf.GGUFWriter(FOLDER / "words.gguf", "llama")
    w.add_tokenizer_model("gpt2")
    w.add_token_list(["a", "b", "ab", "<|end|>"])
    w.add_token_types([1, 1, 1, 3])
    w.add_token_merges(["a b"])
    save(w)


every_type()
aligned()
words()
