#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long opening takes: the vocabulary alone, everything but the weights' values, and packing.

    bench/open_speed.py [--times 7] [--threads 1] MODEL ...

Wall time, the best and the median of --times opens in one process; the files are in the page cache.
Packing is the difference between a whole open (no side file) and one without values; its speed counts the bytes
of the file."""
import argparse
import ctypes as C
import pathlib
import statistics
import time

import libmote


def opened(lib, path, threads, vocab_only=False, plan_only=False):
    opts, model, err = libmote.ModelOpts(), C.c_void_p(), libmote.Error()
    lib.mote_model_opts_init(C.byref(opts))
    opts.n_threads, opts.vocab_only, opts.plan_only = threads, vocab_only, plan_only
    start = time.perf_counter()
    status = lib.mote_model_open(C.byref(model), str(path).encode(), C.byref(opts), C.byref(err))
    seconds = time.perf_counter() - start
    libmote.must(status, err)
    lib.mote_model_close(model)
    return seconds


def several(times, *args, **named):
    found = [opened(*args, **named) for _ in range(times)]
    return min(found), statistics.median(found)


def size(path):
    path = pathlib.Path(path)
    files = [path] if path.is_file() else [f for f in path.iterdir() if f.suffix in (".safetensors", ".bin", ".pth")]
    return sum(f.stat().st_size for f in files)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--times", type=int, default=7)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("model", nargs="+")
    o = ap.parse_args()
    lib = libmote.library()
    lib.mote_model_open.restype = C.c_int
    print(f"{lib.mote_version_text().decode()}, {lib.mote_cpu_name().decode()}, {o.threads} thread(s); best (median) of {o.times}\n")
    print("| model | MB | vocabulary | all but values | packing |\n|---|---|---|---|---|")
    for path in o.model:
        vocab = several(o.times, lib, path, o.threads, vocab_only=True)
        cells = [f"{1e3 * vocab[0]:.1f} ms ({1e3 * vocab[1]:.1f})"]
        try:
            plan = several(o.times, lib, path, o.threads, plan_only=True)
            whole = several(max(1, o.times // 2), lib, path, o.threads)
            cells += [f"{1e3 * plan[0]:.1f} ms ({1e3 * plan[1]:.1f})",
                      f"{1e3 * (whole[0] - plan[0]):.0f} ms, {size(path) / 1e9 / max(whole[0] - plan[0], 1e-9):.2f} GB/s"]
        except RuntimeError as why:
            cells += [f"{why}"[:60], ""]
        print(f"| {pathlib.Path(path).name} | {size(path) / 1e6:.1f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
