# SPDX-License-Identifier: MIT
"""mote against llama.cpp on this machine, in pairs: A B B A ..., same file, same threads.

  make bench [ARGS="--threads 2 --pairs 15 --json OUT --readme"]

Both engines stay loaded in a process of their own; segments alternate, so that drift of a shared
machine falls on both.  Reported: median speed of each, the median of the per-pair ratios with a
bootstrap 95 % interval, and the ratio of the best times.  --readme writes the table into README.md."""
import argparse
import datetime
import json
import pathlib
import platform
import random
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Worker:
    def __init__(self, kind, model, threads):
        self.p = subprocess.Popen([sys.executable, str(HERE / "worker.py"), kind, model, str(threads)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.info = self._read()

    def _read(self):
        line = self.p.stdout.readline()
        if not line:
            raise SystemExit("a worker ended early")
        return json.loads(line)

    def time(self, command):
        self.p.stdin.write(command + "\n")
        self.p.stdin.flush()
        return self._read()


def interval(values, draws=2000):
    rng = random.Random(1)
    meds = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(draws))
    return meds[int(0.025 * draws)], meds[int(0.975 * draws)]


def compare(a, b, command, tokens, pairs):
    times = {"a": [], "b": []}
    for w in (a, b):
        w.time(command)                                     # warm-up
    for i in range(pairs):
        for side in ("ab" if i % 2 == 0 else "ba"):
            times[side].append((a if side == "a" else b).time(command))
    sec = {k: [t["seconds"] for t in v] for k, v in times.items()}
    ratios = [y / x for x, y in zip(sec["a"], sec["b"])]
    low, high = interval(ratios)
    return {"mote_tok_s": tokens / statistics.median(sec["a"]), "llama_tok_s": tokens / statistics.median(sec["b"]),
            "ratio": statistics.median(ratios), "ratio_low": low, "ratio_high": high,
            "ratio_best": min(sec["b"]) / min(sec["a"]),
            "mote_cpu_ms_per_token": 1e3 * statistics.median(t["cpu_seconds"] for t in times["a"]) / tokens,
            "mote_peak_rss": max(t["peak_rss"] for t in times["a"]),
            "llama_peak_rss": max(t["peak_rss"] for t in times["b"]), "pairs": pairs}


def machine():
    name = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    return name


def table(result):
    lines = [f"{result['machine']}, {result['threads']} threads, {result['model']}, commit {result['commit']}, "
             f"{result['date']}; {result['peer']}, built natively; medians of {result['pairs']} pairs.", "",
             "| work | mote tok/s | llama.cpp tok/s | ratio (95 %) |", "|---|---|---|---|"]
    for name, r in result["rows"].items():
        lines.append(f"| {name} | {r['mote_tok_s']:.0f} | {r['llama_tok_s']:.0f} | "
                     f"{r['ratio']:.2f} ({r['ratio_low']:.2f}–{r['ratio_high']:.2f}) |")
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--pairs", type=int, default=15)
    ap.add_argument("--json")
    ap.add_argument("--readme", action="store_true")
    args = ap.parse_args()
    a, b = Worker("mote", args.model, args.threads), Worker("llama", args.model, args.threads)
    print(a.info["engine"], a.info["cpu"], b.info["engine"], b.info["cpu"], sep="\n", file=sys.stderr)
    commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True,
                            text=True).stdout.strip()
    work = {"decode 128": ("decode 128 1", 128), "prompt 512": ("prompt 512", 512),
            "decode 64 behind 1,024": ("decode 64 1024", 64)}
    result = {"machine": machine(), "threads": args.threads, "model": pathlib.Path(args.model).name,
              "commit": commit, "date": datetime.date.today().isoformat(), "peer": b.info["engine"],
              "pairs": args.pairs, "rows": {}}
    for name, (command, tokens) in work.items():
        result["rows"][name] = compare(a, b, command, tokens, args.pairs)
    print(table(result))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1))
    if args.readme:
        readme = HERE.parent / "README.md"
        text = readme.read_text()
        head, rest = text.split("<!-- bench:begin -->")
        tail = rest.split("<!-- bench:end -->")[1]
        readme.write_text(f"{head}<!-- bench:begin -->\n{table(result)}\n<!-- bench:end -->{tail}")


main()
