# SPDX-License-Identifier: MIT
"""What bench/compare.py measures: one row of the table each, with the bar it has to reach.

A row's `measure` runs one of the small functions below with a Bench (workers, probe, folder) and
returns what goes into the result file.  `peer` is llama.cpp's speed on the machine where the bars
were set (2 cores of Zen 5: int8 peak 1,020 GMAC/s, read 67 GB/s); scaled by this machine's probes
it tells whether llama.cpp runs here as it should (see `void`)."""
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

import models
import paired

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
REFERENCE = {"int8_gmac_s": 1020, "read_gb_s": 67}
BIG = "llama-1.2b"


@dataclasses.dataclass
class Row:
    key: str
    text: str
    model: tuple            # (shape or "default", type); type "": the default file itself
    measure: object         # function(bench, row) -> dict
    work: dict = dataclasses.field(default_factory=dict)
    peer: float = 0         # llama.cpp on the reference machine, tok/s
    at_least: float = 0
    goal: float = 0
    unit: str = "ratio"     # what at_least and goal are about: ratio, ms, bytes, percent
    limit: tuple = ()       # least fraction of the limit, and the goal
    extra: bool = False     # only when it is asked for by name


# ---- llama.cpp's own settings: tried, the best one kept --------------------------------------------

def settings():
    """Repacked or not, flash attention or not, KV in f16 or q8_0 (which needs flash attention)."""
    for repack in (True, False):
        for flash, kv in ((1, "f16"), (0, "f16"), (1, "q8_0")):
            yield {"repack": repack, "flash": flash, "kv": kv}


def short(work):
    """A piece of this work that is long enough to tell settings apart."""
    w = dict(work)
    if w["do"] == "decode":
        w["n"], w["depth"] = 24, min(w["depth"], 2048)
    elif w["do"] == "prompt":
        w["n"] = 256 if w["n"] <= 512 else 2048
    return w


def sweep(bench, worker, path, work, ctx):
    """The fastest settings for this work, remembered in the folder."""
    if bench.against:
        return {}, []
    memory = bench.folder / "peer.json"
    known = json.loads(memory.read_text()) if memory.exists() else {}
    w = short(work)
    key = f"{path.name} {path.stat().st_size} {worker.info['engine']} {bench.machine} {bench.threads} {sorted(w.items())}"
    if "best" in known.get(key, {}) and not bench.sweep:
        return known[key]["best"], known[key]["tried"]
    ctx = min(ctx, w.get("depth", 0) + w["n"] + 64)
    tried = known.get(key, {}).get("tried", []) if not bench.sweep else []

    def attempt(s):
        if any(all(t[k] == v for k, v in s.items()) for t in tried):
            return                                          # known from a run that was cut off
        with paired.quiet():
            worker.do("setup", ctx=ctx, **s)
            worker.do(**{**w, "n": min(w["n"], 8)})         # first use: pages, threads
            seconds = min(worker.do(**w)["seconds"] for _ in range(2 if w["do"] == "decode" else 1))
        tried.append({**s, "tok_s": w["n"] / seconds})
        known[key] = {"tried": tried}
        memory.write_text(json.dumps(known, indent=1))

    for s in settings():
        attempt({**s, "threads": bench.threads})
    fastest = max(tried, key=lambda t: t["tok_s"])
    if bench.threads > 1:
        attempt({k: fastest[k] for k in ("repack", "flash", "kv")} | {"threads": 1})
    best = {k: v for k, v in max(tried, key=lambda t: t["tok_s"]).items() if k != "tok_s"}
    known[key] = {"best": best, "tried": tried}
    memory.write_text(json.dumps(known, indent=1))
    return best, tried


# ---- the functions -----------------------------------------------------------------------------------

def context(work):
    return -(-(work.get("depth", 0) + work["n"] + 32) // 256) * 256


def fill(depth, *workers):
    """That many tokens into the context, in pieces, so that nobody waits long for the machine."""
    for four in range(0, depth, 2000):
        with paired.quiet():
            for at in range(four, min(depth, four + 2000), 500):
                for w in workers:
                    w.do("extend", n=min(500, depth - at), at=at)


def speed(bench, row):
    """Paired tokens per second of one piece of work."""
    path = bench.model(row.model)
    mote, llama = bench.workers(path)
    ctx = context(row.work)
    best, tried = sweep(bench, llama, path, row.work, ctx)
    mote.do("setup", ctx=ctx)
    llama.do("setup", ctx=ctx, **best)
    n, cost = row.work["n"], models.cost(path)

    def warm():
        fill(row.work.get("depth", 0), mote, llama)
        with paired.quiet():
            for w in (mote, llama):
                w.do(**{**row.work, "n": min(n, 64)})

    got = paired.pairs(lambda: mote.do(**row.work), lambda: llama.do(**row.work), bench.pairs, bench.probe,
                       cost["file_bytes"], bench.seconds, warm)
    return {**got, "tokens": {"mote": n, "llama": n}, "peer_settings": best, "peer_tried": tried, "cost": cost,
            "work": row.work, "mote_peak_rss": mote.peak_rss, "llama_peak_rss": llama.peak_rss}


def pieces(bench, row):
    """A long prompt in pieces of 500, the engines taking turns: the sum of a pass is one measurement.
    No pair would hold still for as long as the whole takes."""
    path, n, piece = bench.model(row.model), row.work["n"], 500
    mote, llama = bench.workers(path)
    ctx = context(row.work)
    best, tried = sweep(bench, llama, path, row.work, ctx)
    mote.do("setup", ctx=ctx)
    llama.do("setup", ctx=ctx, **best)
    cost, got, probes, stolen, began = models.cost(path), [], [], paired.steal(), time.monotonic()
    for w in (mote, llama):
        w.do("prompt", n=64)
    for _ in range(-(-bench.pairs // 5)):                   # a pass takes a minute and more
        total = {side: {"seconds": 0, "cpu_seconds": 0} for side in ("mote", "llama")}
        turns = [("mote", mote), ("llama", llama)]
        for four in range(0, n, 4 * piece):
            with paired.quiet():
                probes += [p for p in [bench.probe(cost["file_bytes"])] if p]
                for at in range(four, min(n, four + 4 * piece), piece):
                    turns.reverse()
                    for side, w in turns:
                        answer = w.do("extend", n=piece, at=at)
                        for key in total[side]:
                            total[side][key] += answer[key]
        got.append(total)
    return {"pairs": got, "thrown": 0, "unsteady": False, "probes": probes, "steal_seconds": paired.steal() - stolen,
            "wall_seconds": time.monotonic() - began, "tokens": {"mote": n, "llama": n}, "peer_settings": best,
            "peer_tried": tried, "cost": cost, "work": row.work}


def sessions(bench, row):
    """Several sessions at once, prompts included, against one session alone: llama.cpp's and our own."""
    path = bench.model(row.model)
    mote, llama = bench.workers(path)
    many = row.work
    alone = {"do": "decode", "n": many["n_out"], "depth": 0}
    best, tried = sweep(bench, llama, path, alone, context(alone))
    llama.do("setup", ctx=context(alone), **best)

    def together():
        mote.do("setup", ctx=-(-(many["n_in"] + many["n_out"]) // 256) * 256, sessions=many["count"])
        mote.do(**{**many, "n_out": 8})                     # first use of this shape
        return mote.do(**many)

    cost = models.cost(path)
    got = paired.pairs(together, lambda: llama.do(**alone), bench.pairs, bench.probe, cost["file_bytes"], bench.seconds)
    with paired.quiet():
        mote.do("setup", ctx=context(alone))
        mote.do(**alone)
        own = [mote.do(**alone)["seconds"] for _ in range(5)]
    return {**got, "tokens": {"mote": many["count"] * many["n_out"], "llama": many["n_out"]}, "peer_settings": best,
            "peer_tried": tried, "cost": cost, "work": many, "own_alone_tok_s": many["n_out"] / sorted(own)[2]}


def start(bench, row):
    """A fresh process opens a model that was opened before; the same for llama.cpp."""
    path = bench.model(row.model)
    bench.workers(None)                                     # their memory is not part of this

    def once(kind):
        command = [sys.executable, str(HERE / "worker.py"), kind, str(path), "--threads", str(bench.threads),
                   "--cache-dir", str(bench.cache), "--start", str(row.work["n"])]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def whole():
        """`mote run` as a person starts it, until its first byte."""
        began = time.perf_counter()
        with subprocess.Popen(bench.program("run", path, "Hi", "-n", "1", "-q", "--temp", "0"), env=bench.env,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            p.stdout.read(1)
            seconds = time.perf_counter() - began
            p.stdout.read()
        return seconds

    once("mote"), once("llama"), whole()
    got = {"mote": [], "llama": [], "whole": []}
    for _ in range(max(3, bench.pairs)):
        with paired.quiet():
            got["mote"].append(once("mote"))
            got["llama"].append(once("llama"))
            got["whole"].append(whole())
    return {"start": got, "field": row.work["field"]}


def memory(bench, row):
    """Peak of a `mote run` that reads about 512 tokens and writes 128, against the rule."""
    path, cost = bench.model(row.model), models.cost(bench.model(row.model))
    bench.workers(None)
    prompt = bench.folder / "prompt.txt"
    prompt.write_bytes(text_50k(bench.folder)[0].read_bytes()[:2000])
    command = bench.program("run", path, "-f", prompt, "-n", "128", "--temp", "0", "-q", "--json")
    for _ in range(2):                                      # the second finds packed weights: that one counts
        out = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=bench.env,
                                        check=True).stdout)
    tokens = out["prompt_tokens"] + out["new_tokens"]
    held = cost["n_layer"] * cost["kv_width"] * 2 * 2 * tokens
    return {"peak": out["peak_rss_bytes"], "weights": cost["file_bytes"], "kv": held, "n": tokens,
            "bar": 1.05 * cost["file_bytes"] + held + (16 << 20)}


def text_50k(folder):
    """50 KB of WikiText where the shared data is at hand, else of this repository's own text."""
    data = pathlib.Path(os.environ.get("MOTE_TEST_DATA", ROOT.parent / "shared" / "data")) / "eval" / "wiki.test.raw"
    if data.exists():
        raw = data.read_bytes()
    else:
        raw = b"\n".join(p.read_bytes() for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
                                                  ROOT / "include" / "mote.h"])
    out = folder / "text.txt"
    out.write_bytes(raw[:51200].decode("utf-8", "ignore").encode())
    return out, data.name if data.exists() else "repository"


def perplexity(bench, row):
    path, (text, name) = bench.model(row.model), text_50k(bench.folder)
    bench.workers(None)
    got = {"text": name}
    for how, flags in (("default", []), ("exact", ["--exact"])):
        out = subprocess.run(bench.program("perplexity", path, "--file", text, "--json", "-q", *flags), check=True,
                             capture_output=True, text=True, env=bench.env)
        got[how] = json.loads(out.stdout)["perplexity"]
    return got


def stages(bench, row):
    """Where the time goes, as `mote bench --ops` sees it."""
    path = bench.model(row.model)
    bench.workers(None)
    with paired.quiet():
        out = subprocess.run(bench.program("bench", path, *row.work["flags"].split(), "--ops", "--json", "-q"),
                             check=True, capture_output=True, text=True, env=bench.env)
    return {"stages": json.loads(out.stdout)}


def limits(bench, row):
    """Fractions of the limit by `mote bench`, which probes in the same run; the model goes again."""
    path = bench.model(row.model)
    bench.workers(None)
    with paired.quiet():
        out = subprocess.run(bench.program("bench", path, "-p", "256", "-n", "32", "-r", "5", "--json", "-q"), check=True,
                             capture_output=True, text=True, env=bench.env)
    if not any(r.model == row.model and not r.extra for r in ROWS):
        path.unlink()
    return {"limits": {r["kind"]: {k: r[k] for k in ("tok_s", "fraction", "limit", "limit_tok_s")}
                       for r in json.loads(out.stdout)["rows"]}}


# ---- the rows ----------------------------------------------------------------------------------------

DECODE_LIMIT, PROMPT_LIMIT = (0.82, 0.92), (0.60, 0.75)     # of the read probe, of the int8 probe; 1.2 B only


def both(name, text, model, n, decode, prompt, new=128, limit=(), prompt_limit=()):
    """decode, prompt: (peer, at least, goal)."""
    return [Row(f"{name}-decode", f"{text}, decode {new}", model, speed, {"do": "decode", "n": new, "depth": 0}, *decode,
                limit=limit),
            Row(f"{name}-prompt", f"{text}, prompt {n}", model, speed, {"do": "prompt", "n": n}, *prompt, limit=prompt_limit)]


LONG = 8000
ROWS = [
    *both("q4_1", "SmolLM2-135M Q4_1", ("default", ""), 512, (164, 2.8, 3.4), (431, 10, 12)),
    *both("q4_0", "SmolLM2-135M Q4_0", ("default", "Q4_0"), 512, (278, 1.7, 2.1), (1815, 2.4, 2.9)),
    *both("q4_k_m", "SmolLM2-135M Q4_K_M", ("default", "Q4_K_M"), 512, (196, 2.45, 2.8), (918, 4.8, 5.6)),
    *both("q8_0", "SmolLM2-135M Q8_0", ("default", "Q8_0"), 512, (193, 1.9, 2.2), (1074, 4.2, 4.8)),
    *both("1.2b-q4_0", "1.2 B Q4_0", (BIG, "Q4_0"), 256, (52, 1.35, 1.5), (260, 2.2, 2.6), 32, DECODE_LIMIT, PROMPT_LIMIT),
    *both("1.2b-q4_k_m", "1.2 B Q4_K_M", (BIG, "Q4_K_M"), 256, (51, 1.3, 1.5), (222, 2.2, 2.6), 32,
          DECODE_LIMIT, PROMPT_LIMIT),
    *both("1.2b-q8_0", "1.2 B Q8_0", (BIG, "Q8_0"), 256, (29, 1.6, 1.7), (132, 4, 4.7), 32, (0.88, 0.92),
          PROMPT_LIMIT),
    Row("long-prompt", "SmolLM2-135M Q4_1, prompt 8,000", ("default", ""), pieces, {"do": "prompt", "n": LONG}, 280, 4, 6),
    Row("long-decode", "SmolLM2-135M Q4_1, decode behind 8,000", ("default", ""), speed,
        {"do": "decode", "n": 16, "depth": LONG}, 44, 2.5, 3.4),
    Row("sessions", "8 sessions, 128 in + 128 out each", ("default", ""), sessions,
        {"do": "sessions", "count": 8, "n_in": 128, "n_out": 128}, 164, 8, 11),
    Row("start-ready", "1.2 B Q4_0, second start to ready", (BIG, "Q4_0"), start, {"n": 10, "field": "ready"}, 0, 30, 10, "ms"),
    Row("start-first", "SmolLM2-135M Q4_1, second start to first token", ("default", ""), start,
        {"n": 10, "field": "first"}, 0, 60, 40, "ms"),
    Row("memory", "SmolLM2-135M Q4_1, peak memory", ("default", ""), memory, unit="bytes"),
    Row("memory-1.2b", "1.2 B Q4_0, peak memory", (BIG, "Q4_0"), memory, unit="bytes"),
    *[Row(f"perplexity-{t.lower()}", f"SmolLM2-135M {t}", ("default", t), perplexity, at_least=0.3, unit="percent")
      for t in models.TYPES],
    *[Row(f"stages-{name}", text, model, stages, {"flags": flags}) for name, text, model, flags in (
        ("default", "SmolLM2-135M Q4_1", ("default", ""), "-p 512 -n 64"),
        ("long", "SmolLM2-135M Q4_1 behind 4,096 tokens", ("default", ""), "-p 512 -n 32 --depth 4096"),
        ("1.2b", "1.2 B Q4_0", (BIG, "Q4_0"), "-p 256 -n 16"))],
    *[Row(f"limit-{t.lower()}", f"1.2 B {t}", (BIG, t), limits, limit=(0.88 if t == "Q8_0" else 0.82, 0.92), extra=True)
      for t in models.TYPES if t not in ("F32", "F16", "BF16")],
]
