# SPDX-License-Identifier: MIT
"""Time per token against length of the context, number of sessions and size of the model, as charts.

  make bench-scaling [ARGS="--only context,batch,size --draw"]

Both engines stay loaded and take turns; a point is the median of its repetitions.  Grey dashes are
the limit of the same run: bytes that a token must read over the probe's read bandwidth, or its
multiply-adds over the int8 peak, whichever takes longer."""
import argparse
import json
import pathlib
import statistics

import compare
import models
import paired
import plot
import report
import rows

DEPTHS = [128, 256, 512, 1024, 2048, 4096, 8000]
COUNTS = [1, 2, 4, 8, 16, 32]
SIZES = [("smollm2-135m", "135 M"), ("smollm2-360m", "360 M"), ("qwen2.5-0.5b", "0.5 B"), ("llama-1.2b", "1.2 B")]
KIND = "Q4_0"
GB = 1e9


def turns(bench, commands, bytes_read):
    """commands: {name: function}; each runs bench.pairs times, in turns.  Medians, and the probe.
    Measured again, twice at most, when the machine did not hold still."""
    for _ in range(3):
        got = {name: [] for name in commands}
        with paired.quiet():
            for f in commands.values():
                f()
            before = bench.probe(bytes_read)
            for i in range(bench.pairs):
                for name in sorted(commands, reverse=bool(i % 2)):
                    got[name].append(commands[name]()["seconds"])
            after = bench.probe(bytes_read)
        if paired.steady(before, after):
            break
    probe = before and {key: (before[key] + after[key]) / 2 for key in ("int8_gmac_s", "read_gb_s")}
    return {name: statistics.median(v) for name, v in got.items()}, probe


def middle(probes):
    """One probe for a whole chart: the line shall show the work, not the machine's moods."""
    seen = [p for p in probes if p]
    return {key: statistics.median(p[key] for p in seen) for key in ("int8_gmac_s", "read_gb_s")} if seen else None


def in_ms(values):
    return [v and 1e3 * v for v in values]


def step_limit(cost, probe, depth, count):
    """Least seconds of one step of `count` sessions that hold `depth` tokens each."""
    if not probe:
        return None
    held = cost["n_layer"] * depth * count
    read = cost["body_bytes"] + cost["head_bytes"] + held * cost["kv_width"] * 4
    macs = (cost["body_macs"] + cost["head_macs"]) * count + held * cost["q_width"] * 2
    return max(read / probe["read_gb_s"], macs / probe["int8_gmac_s"]) / GB


def context(bench):
    """One token behind a growing context, and the 256 prompt tokens in front of it."""
    path = bench.model(("smollm2-135m", KIND))
    mote, llama = bench.workers(path)
    cost, last, n = models.cost(path), 0, 16
    work = {"do": "decode", "n": n, "depth": 2048}
    best, _ = rows.sweep(bench, llama, path, work, 2304)
    ctx = DEPTHS[-1] // 256 * 256 + 512
    mote.do("setup", ctx=ctx)
    llama.do("setup", ctx=ctx, **best)
    series = {name: [] for name in ("mote, next token", "llama.cpp, next token", "mote, prompt", "llama.cpp, prompt")}
    probes = []
    for depth in DEPTHS:
        piece = min(256, depth)
        while last < depth - piece:                         # up to the last piece: untimed, in turns
            step = min(500, depth - piece - last)
            with paired.quiet():
                for w in (mote, llama):
                    w.do("extend", n=step, at=last)
            last += step
        prompt, _ = turns(bench, {"mote": lambda: mote.do("extend", n=piece, at=depth - piece),
                                  "llama": lambda: llama.do("extend", n=piece, at=depth - piece)}, cost["file_bytes"])
        last = depth
        one, probe = turns(bench, {"mote": lambda: mote.do("decode", n=n, depth=depth),
                                   "llama": lambda: llama.do("decode", n=n, depth=depth)}, cost["file_bytes"])
        probes.append(probe)
        for name, v in zip(series, (one["mote"] / n, one["llama"] / n, prompt["mote"] / piece, prompt["llama"] / piece)):
            series[name].append(1e3 * v)
    series["limit, next token"] = in_ms(step_limit(cost, middle(probes), depth, 1) for depth in DEPTHS)
    return {"title": f"SmolLM2-135M shape, {KIND}: time per token against context", "x_name": "tokens in the context",
            "y_name": "ms per token", "x": DEPTHS, "series": series}


def batch(bench):
    """A step of several sessions, per token."""
    path = bench.model(("smollm2-135m", KIND))
    mote, llama = bench.workers(path)
    cost, n, depth = models.cost(path), 16, 128
    best, _ = rows.sweep(bench, llama, path, {"do": "decode", "n": n, "depth": depth}, 512)
    series, probes = {"mote": [], "llama.cpp": []}, []
    for count in COUNTS:
        mote.do("setup", ctx=256, sessions=count)
        llama.do("setup", ctx=256, sessions=count, **best)
        got, probe = turns(bench, {"mote": lambda: mote.do("batch", count=count, depth=depth, n=n),
                                   "llama": lambda: llama.do("batch", count=count, depth=depth, n=n)}, cost["file_bytes"])
        probes.append(probe)
        for name, v in zip(series, (got["mote"] / n, got["llama"] / n)):
            series[name].append(1e3 * v / count)
    limits = in_ms(step_limit(cost, middle(probes), depth, count) for count in COUNTS)
    series["limit"] = [v and v / count for v, count in zip(limits, COUNTS)]
    return {"title": f"SmolLM2-135M shape, {KIND}: time per token against sessions", "x_name": "sessions in one step",
            "y_name": "ms per token", "x": COUNTS, "series": series}


def size(bench):
    """One token, and a prompt of 256, of models of several sizes."""
    series = {name: [] for name in ("mote, next token", "llama.cpp, next token", "mote, prompt", "llama.cpp, prompt")}
    x, costs, probes = [], [], []
    for shape, _ in SIZES:
        path = bench.model((shape, KIND))
        mote, llama = bench.workers(path)
        cost, values = models.cost(path), []
        x.append((cost["body_macs"] + cost["head_macs"]) / 1e6)
        mote.do("setup", ctx=512)
        for work in ({"do": "decode", "n": 16, "depth": 0}, {"do": "prompt", "n": 256}):
            best, _ = rows.sweep(bench, llama, path, work, 512)
            llama.do("setup", ctx=512, **best)
            got, probe = turns(bench, {"mote": lambda: mote.do(**work), "llama": lambda: llama.do(**work)}, cost["file_bytes"])
            values += [got["mote"] / work["n"], got["llama"] / work["n"]]
        costs.append(cost)
        probes.append(probe)
        for name, v in zip(series, values):
            series[name].append(1e3 * v)
    # here the bandwidth belongs to the size, since small models stay partly in the cache
    series["limit, next token"] = in_ms(step_limit(c, p, 8, 1) for c, p in zip(costs, probes))
    return {"title": f"{KIND}: time per token against model size", "x_name": "weights", "y_name": "ms per token", "x": x,
            "x_labels": [label for _, label in SIZES], "series": series}


CHARTS = {"context": context, "batch": batch, "size": size}


def numbers(key, chart):
    """A chart with its numbers under it."""
    x = chart.get("x_labels") or [f"{v:,}" for v in chart["x"]]
    series = {name: v for name, v in chart["series"].items() if any(v)}
    lines = [f"![{chart['title']}](scale-{key}.svg)", "",
             f"{chart['title']}, ms; {chart['machine']}, commit {chart['commit']}:", "",
             f"| {chart['x_name']} | " + " | ".join(series) + " |", "|---" * (len(series) + 1) + "|"]
    lines += [f"| {label} | " + " | ".join(f"{v[i]:.3g}" if v[i] else "" for v in series.values()) + " |"
              for i, label in enumerate(x)]
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description="Measures how time per token grows.")
    compare.common(ap)
    ap.add_argument("--draw", action="store_true", help="docs/scale-*.svg and their numbers in docs/performance.md, from what is stored")
    args = ap.parse_args()
    path = pathlib.Path(args.dir) / "scaling.json"
    result = json.loads(path.read_text()) if path.exists() else {"charts": {}}
    if args.model:
        bench = compare.Bench(args)
        for key in (args.only.split(",") if args.only else CHARTS):
            result["charts"][key] = {**CHARTS[key](bench), "commit": bench.commit, "machine": bench.machine}
            path.write_text(json.dumps(result, indent=1))
        bench.workers(None)
    if args.draw:
        charts = {key: result["charts"][key] for key in CHARTS if key in result["charts"]}
        plot.draw({"charts": charts}, compare.ROOT / "docs")
        for key, chart in charts.items():
            report.put(compare.ROOT / "docs" / "performance.md", f"scale-{key}", numbers(key, chart))


if __name__ == "__main__":
    main()
