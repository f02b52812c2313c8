# SPDX-License-Identifier: MIT
"""One engine with its model loaded, told by JSON lines on stdin what to time; answers in JSON lines.

Two workers stay resident and take turns, so that loading and packing are paid once and the machine's
drift falls on both.  A command is {"do": name, ...}:

    setup     ctx, sessions; llama.cpp also: threads, flash, kv, repack
    prompt    n                 n tokens into an empty context, logits of the last
    extend    n, at             a piece of a prompt: n tokens behind the `at` that came before
    decode    n, depth          n tokens one by one behind `depth` (which is kept from call to call)
    sessions  count, n_in, n_out   that many prompts, then all generate together
    batch     count, depth, n   n steps of `count` sessions behind `depth` tokens each

Both engines choose the likeliest token.  Neither goes through a wrapper that copies the logits."""
import argparse
import gc
import json
import resource
import sys
import time


def ids(n, shift=0, at=0):
    return [1000 + (i * 7 + shift * 131) % 40000 for i in range(at, at + n)]


class MoteWorker:
    def __init__(self, path, threads, cache_dir):
        from libmote import BEST, LAST, Engine, Model
        self.last, self.best, self.make = LAST, BEST, Engine
        self.model, self.e = Model(path, threads, cache_dir), None
        lib = self.model.lib
        self.info = {"engine": "mote " + lib.mote_version_text().decode(), "cpu": lib.mote_cpu_name().decode()}

    def setup(self, ctx=8704, sessions=1, **_):
        if self.e:
            self.e.close()
        self.e, self.held = self.make(self.model, n_ctx=ctx, n_session=sessions), {}

    def prompt(self, n):
        self.e.rewind()
        self.e.decode(ids(n), self.last)
        self.held = {0: n}

    def extend(self, n, at):
        self.e.rewind(at)
        self.e.decode(ids(n, 0, at), self.last)
        self.held = {0: at + n}

    def fill(self, depth, count=1):
        for s in range(count):
            if self.e.length(s) < depth or self.held.get(s) != depth:
                self.e.rewind(0, s)
                if depth:
                    self.e.decode(ids(depth, s), self.best, s)
                self.held[s] = depth
            else:
                self.e.rewind(depth, s)

    def decode(self, n):
        token = 5
        for _ in range(n):
            self.e.decode([token], self.best)
            token = self.e.best()

    def start_many(self, count, n_in):
        self.held = {}
        for s in range(count):
            self.e.rewind(0, s)
        self.e.decode_many([ids(n_in, s) for s in range(count)])

    def step_many(self, count, n):
        for _ in range(n):
            self.e.step_many(count)

    def prime(self, count):
        """Every session gets a last token to go on from."""
        self.e.decode_many([[5]] * count)


class LlamaWorker:
    def __init__(self, path, threads, cache_dir):
        import llama_cpp
        import numpy as np
        from models import silence
        self.np, self.lib, self.path, self.threads = np, llama_cpp, str(path), threads
        silence(llama_cpp)
        llama_cpp.llama_backend_init()
        self.model = self.ctx = self.repack = None
        self.info = {"engine": "llama-cpp-python " + llama_cpp.__version__,
                     "cpu": llama_cpp.llama_print_system_info().decode()}

    def setup(self, ctx=8704, sessions=1, threads=0, flash=1, kv="f16", repack=True):
        lib = self.lib
        if self.ctx:
            lib.llama_free(self.ctx)
        if self.model and self.repack != repack:
            lib.llama_model_free(self.model)
            self.model = None
        if not self.model:
            p = lib.llama_model_default_params()
            p.use_extra_bufts, p.n_gpu_layers = repack, 0
            self.model, self.repack = lib.llama_model_load_from_file(self.path.encode(), p), repack
            if not self.model:
                raise RuntimeError(f"llama.cpp cannot open {self.path}")
            self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        p = lib.llama_context_default_params()
        p.n_ctx, p.n_seq_max, p.n_batch, p.n_ubatch = ctx * sessions, sessions, 2048, 512
        p.n_threads = p.n_threads_batch = threads or self.threads
        p.flash_attn_type, p.no_perf = flash, True
        p.type_k = p.type_v = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}[kv]
        self.ctx = lib.llama_init_from_model(self.model, p)
        if not self.ctx:
            raise RuntimeError("llama.cpp makes no context with these settings")
        self.memory, self.held = lib.llama_get_memory(self.ctx), {}

    def run(self, tokens):
        """In steps of n_batch; the library itself cuts them into passes of n_ubatch."""
        for at in range(0, len(tokens), 2048):
            part = tokens[at:at + 2048]
            buf = (self.lib.llama_token * len(part))(*part)
            if self.lib.llama_decode(self.ctx, self.lib.llama_batch_get_one(buf, len(part))):
                raise RuntimeError("llama_decode failed")

    def best(self, row=-1):
        p = self.lib.llama_get_logits_ith(self.ctx, row)
        return int(self.np.ctypeslib.as_array(p, (self.vocab,)).argmax())

    def prompt(self, n):
        self.lib.llama_memory_clear(self.memory, False)
        self.run(ids(n))
        self.held = {0: n}

    def extend(self, n, at):
        self.lib.llama_memory_seq_rm(self.memory, 0, at, -1)
        self.run(ids(n, 0, at))
        self.held = {0: at + n}

    def fill(self, depth, count=1):
        for s in range(count):
            if self.held.get(s) == depth:
                self.lib.llama_memory_seq_rm(self.memory, s, depth, -1)
                continue
            self.lib.llama_memory_seq_rm(self.memory, s, -1, -1)
            for at in range(0, depth, 2048):
                part = ids(depth, s)[at:at + 2048]
                self.pass_of([(t, at + i, s) for i, t in enumerate(part)], last_only=True)
            self.held[s] = depth

    def pass_of(self, rows, last_only=False):
        """rows: (token, position, session)."""
        lib, n = self.lib, len(rows)
        b = lib.llama_batch_init(n, 0, 1)
        b.n_tokens = n
        for i, (token, pos, seq) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = token, pos, 1, seq
            b.logits[i] = not last_only or i == n - 1 or rows[i + 1][2] != seq
        code = lib.llama_decode(self.ctx, b)
        lib.llama_batch_free(b)
        if code:
            raise RuntimeError("llama_decode failed")

    def decode(self, n):
        lib, token, buf = self.lib, 5, (self.lib.llama_token * 1)()
        for _ in range(n):
            buf[0] = token
            if lib.llama_decode(self.ctx, lib.llama_batch_get_one(buf, 1)):
                raise RuntimeError("llama_decode failed")
            token = self.best()

    def start_many(self, count, n_in):
        self.lib.llama_memory_clear(self.memory, False)
        self.held = {}
        rows = [(t, i, s) for s in range(count) for i, t in enumerate(ids(n_in, s))]
        self.at, self.token = [n_in] * count, []
        for at in range(0, len(rows), 2048):
            part = rows[at:at + 2048]
            self.pass_of(part, last_only=True)
            self.token += [self.best(i) for i, r in enumerate(part) if i + 1 == len(part) or part[i + 1][2] != r[2]]

    def prime(self, count):
        self.token = [5] * count
        self.at = [self.held[s] for s in range(count)]

    def step_many(self, count, n):
        for _ in range(n):
            self.pass_of([(self.token[s], self.at[s], s) for s in range(count)])
            self.token = [self.best(s) for s in range(count)]
            self.at = [p + 1 for p in self.at]


def run(w, do, **a):
    """(seconds, cpu seconds) of a command's timed part."""
    if do == "decode":
        w.fill(a["depth"])
    elif do == "batch":
        w.fill(a["depth"], a["count"])
        w.prime(a["count"])
    time.sleep(0.01)                            # the other engine's threads go to sleep
    cpu, start = time.process_time(), time.perf_counter()
    if do == "prompt":
        w.prompt(a["n"])
    elif do == "extend":
        w.extend(a["n"], a["at"])
    elif do == "decode":
        w.decode(a["n"])
    elif do == "sessions":
        w.start_many(a["count"], a["n_in"])
        w.step_many(a["count"], a["n_out"] - 1)
    elif do == "batch":
        w.step_many(a["count"], a["n"])
    return time.perf_counter() - start, time.process_time() - cpu


def start(kind, path, threads, cache_dir, n):
    """Opens a model in this fresh process, then n tokens and the best next one: seconds to each.
    llama.cpp's library is loaded already by its import; mote's is loaded inside."""
    if kind == "llama":
        import llama_cpp  # noqa: F401
        import models  # noqa: F401
    import libmote  # noqa: F401
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    w = {"mote": MoteWorker, "llama": LlamaWorker}[kind](path, threads, cache_dir)
    w.setup(ctx=4096)
    ready = time.perf_counter() - began
    w.prompt(n)
    w.best(-1) if kind == "llama" else w.e.output().argmax()
    print(json.dumps({"ready": ready, "first": time.perf_counter() - began,
                      "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "base_rss": base * 1024}), flush=True)
    if kind == "mote":                                      # the end of a first open: packed weights are on the disk
        w.e.close()
        w.e.model.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("kind", choices=["mote", "llama"])
    p.add_argument("model")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--cache-dir")
    p.add_argument("--start", type=int, metavar="N", help="time a start and a prompt of N tokens, then end")
    a = p.parse_args()
    if a.start:
        return start(a.kind, a.model, a.threads, a.cache_dir, a.start)
    w = {"mote": MoteWorker, "llama": LlamaWorker}[a.kind](a.model, a.threads, a.cache_dir)
    print(json.dumps(w.info), flush=True)
    gc.disable()
    settings = None
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        try:
            if do == "setup":
                if command != settings:                     # the same again keeps what the context holds
                    w.setup(**command)
                settings, answer = command, {}
            else:
                seconds, cpu = run(w, do, **command)
                answer = {"seconds": seconds, "cpu_seconds": cpu}
        except RuntimeError as e:
            answer = {"error": str(e)}
        answer["peak_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(answer), flush=True)


main()
