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


class ModelOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("alloc", C.c_void_p), ("pool", C.c_void_p), ("n_threads", C.c_int),
                ("cache_dir", C.c_char_p), ("vocab_only", C.c_bool)]


class EngineOpts(C.Structure):
    _fields_ = [("size", C.c_size_t), ("n_ctx", C.c_int), ("n_batch", C.c_int), ("n_session", C.c_int),
                ("kv_type", C.c_char_p), ("exact", C.c_bool)]


def library():
    lib = C.CDLL(os.environ.get("MOTE_LIBRARY", str(ROOT / "build" / "libmote.so")))
    lib.mote_output.restype = C.POINTER(C.c_float)
    lib.mote_version_text.restype = lib.mote_cpu_name.restype = C.c_char_p
    for name in ("mote_decode", "mote_tokenize", "mote_measure"):
        getattr(lib, name).restype = C.c_int
    return lib


class Mote:
    """One model, one engine, one session."""

    def __init__(self, path, threads=2, exact=False, n_ctx=2048, n_batch=256):
        self.lib, self.err = library(), Error()
        self.model, self.engine, self.session = C.c_void_p(), C.c_void_p(), C.c_void_p()
        mo, eo = ModelOpts(), EngineOpts()
        self.lib.mote_model_opts_init(C.byref(mo))
        self.lib.mote_engine_opts_init(C.byref(eo))
        mo.n_threads = threads
        eo.n_ctx, eo.n_batch, eo.exact = n_ctx, n_batch, exact
        self.n_batch = n_batch
        self._must(self.lib.mote_model_open(C.byref(self.model), str(path).encode(), C.byref(mo), C.byref(self.err)))
        self._must(self.lib.mote_engine_open(C.byref(self.engine), self.model, C.byref(eo), C.byref(self.err)))
        self._must(self.lib.mote_session_open(C.byref(self.session), self.engine, C.byref(self.err)))

    def _must(self, status):
        if status:
            raise RuntimeError(self.err.text.decode(errors="replace"))

    def tokenize(self, text, flags=BOS | SPECIAL):
        raw, n = text.encode(), C.c_size_t()
        out = (C.c_int32 * (len(raw) + 8))()
        self._must(self.lib.mote_tokenize(self.model, raw, C.c_size_t(len(raw)), C.c_uint(flags), out,
                                          C.c_size_t(len(out)), C.byref(n), C.byref(self.err)))
        return list(out[:n.value])

    def rewind(self, keep=0):
        self._must(self.lib.mote_session_rewind(self.session, keep, C.byref(self.err)))

    def decode(self, ids, want=LAST):
        t = (C.c_int32 * len(ids))(*ids)
        self._must(self.lib.mote_decode(self.session, t, C.c_size_t(len(ids)), want, C.byref(self.err)))

    def output(self):
        """(rows, cols) copy of what the last decode wanted."""
        rows, cols = C.c_size_t(), C.c_size_t()
        p = self.lib.mote_output(self.session, C.byref(rows), C.byref(cols))
        return np.ctypeslib.as_array(p, (rows.value, cols.value)).copy()

    def best(self):
        return self.lib.mote_best(self.session)

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
        self._must(self.lib.mote_measure(self.session, t, C.c_size_t(len(ids)), out, C.byref(self.err)))
        return np.array(out[:len(ids) - 1], dtype=np.float64)

    def close(self):
        self.lib.mote_session_close(self.session)
        self.lib.mote_engine_close(self.engine)
        self.lib.mote_model_close(self.model)
