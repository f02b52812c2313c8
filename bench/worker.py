# SPDX-License-Identifier: MIT
"""One engine with its model loaded, told by lines on stdin what to time; answers in JSON lines.

Two workers stay resident and take turns, so that loading and packing are paid once and the machine's
drift falls on both.  Commands: "prompt N", "decode N DEPTH", "info"."""
import json
import resource
import sys
import time


class MoteWorker:
    def __init__(self, path, threads):
        from libmote import BEST, LAST, Mote
        self.last, self.best = LAST, BEST
        self.m = Mote(path, threads, n_ctx=8704)

    def info(self):
        return {"engine": "mote " + self.m.lib.mote_version_text().decode(), "cpu": self.m.lib.mote_cpu_name().decode()}

    def prompt(self, ids):
        self.m.rewind()
        self.m.decode(ids, self.last)

    def decode(self, n):
        token = 5
        for _ in range(n):
            self.m.decode([token], self.best)
            token = self.m.best()


class LlamaWorker:
    def __init__(self, path, threads):
        import llama_cpp
        import numpy as np
        self.np, self.lib = np, llama_cpp
        self.m = llama_cpp.Llama(str(path), n_ctx=8704, n_threads=threads, n_threads_batch=threads,
                                 n_batch=512, verbose=False)

    def info(self):
        return {"engine": "llama-cpp-python " + self.lib.__version__,
                "cpu": self.lib.llama_print_system_info().decode()}

    def prompt(self, ids):
        self.m.reset()
        self._clear()
        self.m.eval(ids)

    def _clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.m.ctx), True)

    def decode(self, n):
        """The library's own loop, without the Python wrapper's copy of the logits."""
        lib, token, ctx = self.lib, 5, self.m.ctx
        vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.m.model))
        buf = (lib.llama_token * 1)(token)
        for _ in range(n):
            buf[0] = token
            if lib.llama_decode(ctx, lib.llama_batch_get_one(buf, 1)):
                raise RuntimeError("llama_decode failed")
            logits = self.np.ctypeslib.as_array(lib.llama_get_logits(ctx), (vocab,))
            token = int(logits.argmax())


def main():
    kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    w = {"mote": MoteWorker, "llama": LlamaWorker}[kind](path, threads)
    print(json.dumps(w.info()), flush=True)
    for line in sys.stdin:
        what, *args = line.split()
        args = [int(a) for a in args]
        cpu = time.process_time()
        if what == "prompt":
            ids = [1000 + i * 7 for i in range(args[0])]
            start = time.perf_counter()
            w.prompt(ids)
        else:
            w.prompt([1000 + i * 7 for i in range(args[1])])
            cpu = time.process_time()
            start = time.perf_counter()
            w.decode(args[0])
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "cpu_seconds": time.process_time() - cpu,
                          "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


main()
