#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long opening takes: the vocabulary alone, everything but the weights' values, and packing.

    bench/open_speed.py [--times 7] [--threads 1] [--write] MODEL ...

Wall time, the best and the median of --times opens in one process; the files are in the page cache.
Packing is the difference between a whole open (no side file) and one without values; its speed counts the bytes
of the file.  --write puts the table into docs/performance.md."""
import argparse
import ctypes as C
import pathlib
import statistics
import time

import compare
import libmote
import report


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
    inside = [] if path.is_file() else list(path.iterdir())
    files = [path] if path.is_file() else [f for f in inside if f.suffix in (".safetensors", ".bin", ".pth")] or inside
    return sum(f.stat().st_size for f in files)


def row(lib, path, o):
    vocab = several(o.times, lib, path, o.threads, vocab_only=True)
    cells = [pathlib.Path(path).name, f"{size(path) / 1e6:.1f}", f"{1e3 * vocab[0]:.1f} ({1e3 * vocab[1]:.1f})"]
    try:
        plan = several(o.times, lib, path, o.threads, plan_only=True)
        whole = several(max(1, o.times // 2), lib, path, o.threads)[0] - plan[0]
        cells += [f"{1e3 * plan[0]:.1f} ({1e3 * plan[1]:.1f})", f"{1e3 * whole:.0f}", f"{size(path) / 1e9 / max(whole, 1e-9):.2f}"]
    except RuntimeError:                                    # a vocabulary by itself
        cells += ["", "", ""]
    return f"| {' | '.join(cells)} |"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--times", type=int, default=7)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--write", action="store_true")
    ap.add_argument("model", nargs="+")
    o = ap.parse_args()
    lib = libmote.library()
    lib.mote_model_open.restype = C.c_int
    lines = [f"{compare.machine()}, {o.threads} thread{'s' * (o.threads > 1)}, commit {compare.commit_of(lib)}; ms, best (median) of {o.times}:", "",
             "| model | MB | vocabulary | all but weights' values | packing, ms | GB/s |", "|---|---|---|---|---|---|"]
    print("\n".join(lines))
    for path in o.model:
        lines.append(row(lib, path, o))
        print(lines[-1], flush=True)
    if o.write:
        report.put(compare.ROOT / "docs" / "performance.md", "opening", "\n".join(lines))


if __name__ == "__main__":
    main()
