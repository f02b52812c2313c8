# SPDX-License-Identifier: MIT
"""Two engines measured in turns on a machine that others use too: workers, probes, pairs, statistics.

A group is A B B A, two pairs, with a probe of the machine before and behind it.  A group whose two
probes differ by more than 3 % in int8 peak or 10 % in read bandwidth is thrown away and measured again,
up to twice as many groups as wanted.  What is reported comes from the pairs that stay: medians,
the median of their ratios with a bootstrap 95 % interval, the ratio of the best times, CPU seconds."""
import contextlib
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
quiet = contextlib.nullcontext      # entered around what is timed; a place for a lock among people who share a machine
PEAK_MAY_MOVE, READ_MAY_MOVE = 0.03, 0.10


class Worker:
    """bench/worker.py in a process of its own."""

    def __init__(self, kind, model, threads, cache_dir=None, library=None):
        command = [sys.executable, str(HERE / "worker.py"), kind, str(model), "--threads", str(threads)]
        if cache_dir:
            command += ["--cache-dir", str(cache_dir)]
        env = {**os.environ, "MOTE_LIBRARY": str(library)} if library else None
        self.p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.info = self._read()
        self.peak_rss = 0

    def _read(self):
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit("a worker ended early")
        return json.loads(line)

    def do(self, do, **arguments):
        self.p.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.p.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        self.peak_rss = max(self.peak_rss, answer["peak_rss"])
        return answer

    def close(self):
        self.p.stdin.close()
        self.p.wait()


class Probe:
    """The machine's limits of this moment: build/probe, or nothing where it was not built."""

    def __init__(self, program, threads):
        self.program, self.threads = pathlib.Path(program), threads

    def __call__(self, bytes_read):
        if not self.program.exists():
            return None
        out = subprocess.run([str(self.program), "--threads", str(self.threads), "--bytes", str(int(bytes_read)),
                              "--seconds", "0.1"], capture_output=True, text=True)
        if out.returncode:
            raise SystemExit(f"{self.program}: {out.stderr.strip()}")
        return json.loads(out.stdout)


def steady(before, after):
    if not before or not after:
        return True
    return all(abs(after[key] / before[key] - 1) <= limit
               for key, limit in (("int8_gmac_s", PEAK_MAY_MOVE), ("read_gb_s", READ_MAY_MOVE)))


def steal():
    """Seconds that the hypervisor gave to others, all cores."""
    field = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return int(field[8]) / 100


def pairs(a, b, wanted, probe, bytes_read, seconds=0, warm=None):
    """a, b: functions that run one segment and return {"seconds", "cpu_seconds"}; warm: runs both once.
    seconds: no new group is begun after this time (0: no limit).  A single pair has a random order."""
    kept, thrown, probes, other_probes, began = [], [], [], [], time.monotonic()
    orders = ["ab", "ba"] if wanted > 1 else [random.choice(["ab", "ba"])]
    groups, stolen = -(-wanted // len(orders)), steal()
    if warm:
        warm()
    else:
        with quiet():
            a(), b()
    for _ in range(2 * groups):
        if len(kept) >= wanted or (seconds and kept and time.monotonic() - began > seconds):
            break
        got = []
        with quiet():
            before = probe(bytes_read)
            for order in orders:
                times = {side: (a if side == "a" else b)() for side in order}
                got.append({"mote": times["a"], "llama": times["b"], "order": order})
            after = probe(bytes_read)
        still = steady(before, after)
        if before and after:                                # the limit of just these seconds
            for p in got:
                p["probe"] = {key: (before[key] + after[key]) / 2 for key in ("int8_gmac_s", "read_gb_s")}
        (kept if still else thrown).extend(got)
        (probes if still else other_probes).extend(p for p in (before, after) if p)
    unsteady = not kept                                     # nothing held still: say so, and use it all
    return {"pairs": kept + thrown if unsteady else kept, "thrown": 0 if unsteady else len(thrown),
            "unsteady": unsteady, "probes": probes or other_probes, "steal_seconds": steal() - stolen,
            "wall_seconds": time.monotonic() - began}


def interval(values, draws=2000):
    rng = random.Random(1)
    meds = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return meds[int(0.025 * draws)], meds[int(0.975 * draws)]


def summary(measured, tokens):
    """tokens: of a segment of each side, {"mote": n, "llama": n}."""
    got = {side: [p[side]["seconds"] / tokens[side] for p in measured["pairs"]] for side in ("mote", "llama")}
    cpu = {side: [p[side]["cpu_seconds"] / tokens[side] for p in measured["pairs"]] for side in ("mote", "llama")}
    ratios = [b / a for a, b in zip(got["mote"], got["llama"])]
    low, high = interval(ratios)
    s = {"mote_tok_s": 1 / statistics.median(got["mote"]), "llama_tok_s": 1 / statistics.median(got["llama"]),
         "ratio": statistics.median(ratios), "ratio_low": low, "ratio_high": high,
         "ratio_best": min(got["llama"]) / min(got["mote"]), "n_pairs": len(ratios),
         "mote_cpu_ms_per_token": 1e3 * statistics.median(cpu["mote"]),
         "llama_cpu_ms_per_token": 1e3 * statistics.median(cpu["llama"])}
    s["won"] = low > 1 and s["ratio_best"] >= 0.95 * low
    for key in ("int8_gmac_s", "read_gb_s", "barrier_ns"):
        seen = [p[key] for p in measured["probes"] if key in p]
        if seen:
            s[key] = statistics.median(seen)
    return s
