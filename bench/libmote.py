# SPDX-License-Identifier: MIT
"""libmote through ctypes, as far as the benchmarks and the live comparisons need it."""
import ctypes as C
import os
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
NONE, LAST, ALL, BEST, HIDDEN = range(5)
BOS, EOS, SPECIAL = 1, 2, 4


class Error(C.Structure):
    _fields_ = [("code", C.c_int), ("text", C.c_char * 252)]


# The library's _init fills an opts struct of its own size, which may be newer than ours: leave it room.
class ModelOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("alloc", C.c_void_p), ("pool", C.c_void_p), ("n_threads", C.c_int),
                ("cache_dir", C.c_char_p), ("vocab_only", C.c_bool), ("plan_only", C.c_bool),
                ("newer", C.c_char * 256)]


class EngineOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("n_ctx", C.c_int), ("n_batch", C.c_int), ("n_session", C.c_int),
                ("kv_type", C.c_char_p), ("exact", C.c_bool), ("n_draft", C.c_int), ("newer", C.c_char * 256)]


class SamplerOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("seed", C.c_uint64), ("temperature", C.c_float), ("top_k", C.c_int),
                ("top_p", C.c_float), ("min_p", C.c_float), ("others", C.c_char * 512)]


class Stats(C.Structure):
    _fields_ = [("n_prompt", C.c_int), ("n_cached", C.c_int), ("n_new", C.c_int), ("prompt_seconds", C.c_double),
                ("decode_seconds", C.c_double), ("stop", C.c_int), ("n_drafted", C.c_int), ("n_accepted", C.c_int)]


class Step(C.Structure):
    _fields_ = [("session", C.c_void_p), ("t", C.POINTER(C.c_int32)), ("n", C.c_size_t), ("want", C.c_int)]


def library():
    lib = C.CDLL(os.environ.get("MOTE_LIBRARY", str(ROOT / "build" / "libmote.so")))
    lib.mote_output.restype = C.POINTER(C.c_float)
    lib.mote_session_tokens.restype = C.POINTER(C.c_int32)
    lib.mote_version_text.restype = lib.mote_cpu_name.restype = C.c_char_p
    for name in ("mote_decode", "mote_decode_many", "mote_tokenize", "mote_measure"):
        getattr(lib, name).restype = C.c_int
    return lib


def must(status, err):
    if status:
        raise RuntimeError(err.text.decode(errors="replace"))


class Model:
    def __init__(self, path, threads=2, cache_dir=None):
        self.lib, self.err, self.model = library(), Error(), C.c_void_p()
        opts = ModelOpts()
        self.lib.mote_model_opts_init(C.byref(opts))
        opts.n_threads = threads
        if cache_dir:
            opts.cache_dir = str(cache_dir).encode()
        must(self.lib.mote_model_open(C.byref(self.model), str(path).encode(), C.byref(opts), C.byref(self.err)),
             self.err)

    def tokenize(self, text, flags=BOS | SPECIAL):
        raw, n = text.encode(), C.c_size_t()
        out = (C.c_int32 * (len(raw) + 8))()
        must(self.lib.mote_tokenize(self.model, raw, C.c_size_t(len(raw)), C.c_uint(flags), out,
                                    C.c_size_t(len(out)), C.byref(n), C.byref(self.err)), self.err)
        return list(out[:n.value])

    def detokenize(self, ids):
        n, out = C.c_size_t(), C.create_string_buffer(32 * len(ids) + 64)
        must(self.lib.mote_detokenize(self.model, (C.c_int32 * len(ids))(*ids), C.c_size_t(len(ids)), C.c_uint(SPECIAL), out,
                                      C.c_size_t(len(out)), C.byref(n), C.byref(self.err)), self.err)
        return out.raw[:n.value].decode(errors="replace")

    def close(self):
        self.lib.mote_model_close(self.model)


class Engine:
    """An engine with all its sessions open; most calls take the session's number."""

    def __init__(self, model, n_ctx=2048, n_batch=0, n_session=1, kv=None, exact=False, n_draft=0):
        self.lib, self.err, self.model, self.engine = model.lib, Error(), model, C.c_void_p()
        opts = EngineOpts()
        self.lib.mote_engine_opts_init(C.byref(opts))
        opts.n_ctx, opts.n_session, opts.exact, opts.n_draft = n_ctx, n_session, exact, n_draft
        if n_batch:
            opts.n_batch = n_batch
        if kv:
            opts.kv_type = kv.encode()
        must(self.lib.mote_engine_open(C.byref(self.engine), model.model, C.byref(opts), C.byref(self.err)), self.err)
        self.sessions = [C.c_void_p() for _ in range(n_session)]
        for s in self.sessions:
            must(self.lib.mote_session_open(C.byref(s), self.engine, C.byref(self.err)), self.err)
        self.steps, self.token = (Step * n_session)(), (C.c_int32 * n_session)()
        for i, s in enumerate(self.sessions):
            self.steps[i] = Step(s, C.cast(C.byref(self.token, 4 * i), C.POINTER(C.c_int32)), 1, BEST)

    def rewind(self, keep=0, session=0):
        must(self.lib.mote_session_rewind(self.sessions[session], keep, C.byref(self.err)), self.err)

    def length(self, session=0):
        return self.lib.mote_session_length(self.sessions[session])

    def decode(self, ids, want=LAST, session=0):
        t = (C.c_int32 * len(ids))(*ids)
        must(self.lib.mote_decode(self.sessions[session], t, C.c_size_t(len(ids)), want, C.byref(self.err)), self.err)

    def decode_many(self, prompts, want=BEST):
        """One prompt for each of the first sessions, in common passes."""
        t = [(C.c_int32 * len(p))(*p) for p in prompts]
        steps = (Step * len(t))(*[Step(self.sessions[i], x, len(x), want) for i, x in enumerate(t)])
        must(self.lib.mote_decode_many(steps, C.c_size_t(len(t)), C.byref(self.err)), self.err)

    def step_many(self, count):
        """One more token, the best one, in each of the first `count` sessions."""
        for i in range(count):
            self.token[i] = self.lib.mote_best(self.sessions[i])
        must(self.lib.mote_decode_many(self.steps, C.c_size_t(count), C.byref(self.err)), self.err)

    def generate(self, ids, max_tokens, temperature=0.0, seed=1, session=0, **sampling):
        """An answer to the tokens: its own tokens, and the statistics."""
        opts, sampler, stats, n = SamplerOpts(), C.c_void_p(), Stats(), len(ids)
        self.lib.mote_sampler_opts_init(C.byref(opts), self.model.model)
        opts.temperature, opts.seed = temperature, seed
        for key, value in sampling.items():
            setattr(opts, key, value)
        must(self.lib.mote_sampler_open(C.byref(sampler), self.model.model, C.byref(opts), C.byref(self.err)), self.err)
        status = self.lib.mote_continue(self.sessions[session], sampler, (C.c_int32 * n)(*ids), C.c_size_t(n),
                                        max_tokens, None, None, C.byref(stats), C.byref(self.err))
        self.lib.mote_sampler_close(sampler)
        must(status, self.err)
        return self.lib.mote_session_tokens(self.sessions[session])[n:self.length(session)], stats

    def output(self, session=0):
        """(rows, cols) copy of what the last decode wanted."""
        rows, cols = C.c_size_t(), C.c_size_t()
        p = self.lib.mote_output(self.sessions[session], C.byref(rows), C.byref(cols))
        return np.ctypeslib.as_array(p, (rows.value, cols.value)).copy()

    def best(self, session=0):
        return self.lib.mote_best(self.sessions[session])

    def close(self):
        for s in self.sessions:
            self.lib.mote_session_close(s)
        self.lib.mote_engine_close(self.engine)


class Mote(Engine):
    """One model, one engine, one session."""

    def __init__(self, path, threads=2, exact=False, n_ctx=2048, n_batch=256):
        super().__init__(Model(path, threads), n_ctx, n_batch, exact=exact)
        self.n_batch = n_batch

    def tokenize(self, text, flags=BOS | SPECIAL):
        return self.model.tokenize(text, flags)

    def logits(self, ids):
        """Logits of every position of a text, from an empty session."""
        self.rewind()
        out = []
        for at in range(0, len(ids), self.n_batch):
            self.decode(ids[at:at + self.n_batch], ALL)
            out.append(self.output())
        return np.concatenate(out)

    def measure(self, ids):
        t, out = (C.c_int32 * len(ids))(*ids), (C.c_float * len(ids))()
        must(self.lib.mote_measure(self.sessions[0], t, C.c_size_t(len(ids)), out, C.byref(self.err)), self.err)
        return np.array(out[:len(ids) - 1], dtype=np.float64)

    def close(self):
        super().close()
        self.model.close()
