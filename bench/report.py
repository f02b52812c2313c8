# SPDX-License-Identifier: MIT
"""Result file -> tables, for the terminal, README.md and docs/performance.md.

Everything is computed here from the stored pairs, so that an old result file can be shown again."""
import pathlib
import re
import statistics

import paired
import rows as table

ROOT = pathlib.Path(__file__).resolve().parent.parent
VOID_BELOW = 0.85


def is_prompt(work):
    return work["do"] == "prompt"


def scale(row, summary):
    """This machine against the reference machine, for this row; None without probes.
    A prompt follows the int8 peak; a decode whichever of peak and read bandwidth fell further."""
    if "int8_gmac_s" not in summary:
        return None
    peak = summary["int8_gmac_s"] / table.REFERENCE["int8_gmac_s"]
    return peak if is_prompt(row.work) else min(peak, summary["read_gb_s"] / table.REFERENCE["read_gb_s"])


def void(row, summary):
    """llama.cpp ran slower than 85 % of its speed on the reference machine, scaled by the probes."""
    s = scale(row, summary)
    return bool(s and row.peer and summary["llama_tok_s"] < VOID_BELOW * row.peer * s)


def of_limit(work, cost, summary, tok_s):
    """Fraction of what a probe allows; None without one or for several sessions."""
    if "int8_gmac_s" not in summary or work["do"] not in ("prompt", "decode"):
        return None
    if is_prompt(work):                                     # causal: half the context on average, q k and p v
        macs = cost["body_macs"] + cost["head_macs"] / work["n"] + cost["n_layer"] * cost["q_width"] * work["n"]
        return macs * tok_s / (1e9 * summary["int8_gmac_s"])
    held = work["depth"] + work["n"] / 2
    read = cost["body_bytes"] + cost["head_bytes"] + cost["n_layer"] * cost["kv_width"] * 2 * 2 * held
    return read * tok_s / (1e9 * summary["read_gb_s"])


def median_of_limit(r, summary):
    """The median over the pairs, each against the probes of its own group."""
    if "cost" not in r:
        return None
    n = r["tokens"]["mote"]
    each = [of_limit(r["work"], r["cost"], p.get("probe", summary), n / p["mote"]["seconds"]) for p in r["pairs"]]
    return None if None in each else statistics.median(each)


def verdict(value, at_least, goal, smaller=False):
    if smaller:
        return "goal" if value <= goal else "reached" if value <= at_least else "**missed**"
    return "goal" if value >= goal else "reached" if value >= at_least else "**missed**"


def percent(x):
    return "" if x is None else f"{100 * x:.0f} %"


def speed_line(row, r):
    s = paired.summary(r, r["tokens"])
    mark = " void" if void(row, s) else ""
    notes = [f"{r['thrown']} thrown"] if r["thrown"] else []
    if r["unsteady"]:
        notes.append("unsteady")
    if "own_alone_tok_s" in r:
        notes.append(f"{s['mote_tok_s'] / r['own_alone_tok_s']:.2f} × our own single stream")
    limit = median_of_limit(r, s)
    return {"work": row.text, "mote": f"{s['mote_tok_s']:.0f}" if s["mote_tok_s"] >= 100 else f"{s['mote_tok_s']:.1f}",
            "llama": (f"{s['llama_tok_s']:.0f}" if s["llama_tok_s"] >= 100 else f"{s['llama_tok_s']:.1f}") + mark,
            "ratio": f"{s['ratio']:.2f} ({s['ratio_low']:.2f}–{s['ratio_high']:.2f})", "best": f"{s['ratio_best']:.2f}",
            "bar": f"{row.at_least:g} / {row.goal:g}", "verdict": verdict(s["ratio"], row.at_least, row.goal),
            "limit": percent(limit) + (f" (bar {percent(row.limit[0])})" if limit and row.limit else ""), "cpu": f"{s['mote_cpu_ms_per_token']:.2f} / {s['llama_cpu_ms_per_token']:.2f}",
            "steal": f"{100 * r['steal_seconds'] / r['wall_seconds']:.1f} %", "n": f"{s['n_pairs']}",
            "notes": ", ".join(notes)}


def start_line(row, r):
    ms = {k: 1e3 * statistics.median(x[r["field"]] for x in r["start"][k]) for k in ("mote", "llama")}
    whole = 1e3 * statistics.median(r["start"]["whole"])
    return {"work": row.text, "mote": f"{ms['mote']:.0f} ms", "llama": f"{ms['llama']:.0f} ms",
            "ratio": f"{ms['llama'] / ms['mote']:.1f}", "bar": f"≤ {row.at_least:g} / {row.goal:g} ms",
            "verdict": verdict(ms["mote"], row.at_least, row.goal, smaller=True), "n": f"{len(r['start']['mote'])}",
            "notes": f"`mote run` to its first byte {whole:.0f} ms"}


def memory_line(row, r):
    return {"work": row.text, "mote": f"{r['peak'] / 2**20:.1f} MiB", "bar": f"≤ {r['bar'] / 2**20:.1f} MiB",
            "verdict": "reached" if r["peak"] <= r["bar"] else "**missed**",
            "notes": f"{r['n']} tokens"}


def line(row, r):
    if "pairs" in r:
        return speed_line(row, r)
    if "start" in r:
        return start_line(row, r)
    return memory_line(row, r) if "peak" in r else None


COLUMNS = [("work", "work"), ("mote", "mote tok/s"), ("llama", "llama.cpp tok/s"), ("ratio", "ratio (95 %)"),
           ("best", "best times"), ("bar", "at least / goal"), ("verdict", ""), ("limit", "of the limit"),
           ("cpu", "CPU ms/token"), ("steal", "stolen"), ("n", "pairs"), ("notes", "")]
SHORT = ("work", "mote", "llama", "ratio")


def markdown(lines, columns):
    used = [(key, title) for key, title in columns if any(x.get(key) for x in lines)]
    out = ["| " + " | ".join(title for _, title in used) + " |", "|" + "---|" * len(used)]
    out += ["| " + " | ".join(x.get(key, "") for key, _ in used) + " |" for x in lines]
    return "\n".join(out)


def probe_text(result):
    seen = [p for r in result["rows"].values() for p in r.get("probes", [])]
    if not seen:
        return "the machine's limits were not probed"
    def span(key, digits=0):
        v = sorted(p[key] for p in seen if key in p)
        return f"{statistics.median(v):.{digits}f} ({v[0]:.{digits}f}–{v[-1]:.{digits}f})"
    return (f"probes beside the pairs, median and range: int8 peak {span('int8_gmac_s')} GMAC/s, "
            f"read {span('read_gb_s', 1)} GB/s at the size of each model, barrier {span('barrier_ns')} ns")


def system_line(text):
    """What llama.cpp says it was built with, without what is 0."""
    return re.sub(r"\s*=\s*1\b", "", re.sub(r"\w+\s*=\s*0\b", "", text)).replace(" |", "").replace("CPU : ", "").strip()


def heading(result):
    commits = sorted({r["commit"] for r in result["rows"].values()})
    return (f"{result['machine']}, {result['threads']} threads, commit {', '.join(commits)}, {result['date']}; "
            + (f"{result['peer']}, built natively ({system_line(result['peer_cpu'])}), the best of its settings for each row"
               if result["peer"].startswith("llama") else f"against {result['peer']}"))


def full(result, keys=None, peer="llama.cpp"):
    lines = [line(row, result["rows"][row.key]) for row in table.ROWS
             if row.key in result["rows"] and (not keys or row.key in keys)]
    lines = [x for x in lines if x]
    parts = [heading(result) + "; " + probe_text(result) + "."]
    if lines:
        bars = peer == "llama.cpp"
        parts.append(markdown(lines, [(key, title.replace("llama.cpp", peer)) for key, title in COLUMNS
                                      if bars or key not in ("bar", "verdict")]))
    quality = perplexities(result, keys)
    if quality:
        parts.append(quality)
    limits = of_limits(result, keys)
    if limits:
        parts.append(limits)
    return "\n\n".join(parts)


def of_limits(result, keys=None):
    """Every weight type of the 1.2 B shape against the probes of `mote bench`."""
    lines = []
    for row in table.ROWS:
        r = result["rows"].get(row.key)
        if r and "limits" in r and (not keys or row.key in keys):
            prompt, decode = r["limits"]["prompt"], r["limits"]["decode"]
            good = prompt["fraction"] >= table.PROMPT_LIMIT[0] and decode["fraction"] >= row.limit[0]
            lines.append({"type": row.text, "p": f"{prompt['tok_s']:.0f}", "d": f"{decode['tok_s']:.1f}",
                          "pf": f"{percent(prompt['fraction'])} of {prompt['limit']}",
                          "df": f"{percent(decode['fraction'])} of {decode['limit']}",
                          "ok": "reached" if good else "**missed**"})
    return lines and markdown(lines, [("type", "model"), ("p", "prompt 256, tok/s"), ("pf", "of the limit (bar 60 %)"),
                                      ("d", "decode, tok/s"), ("df", "of the limit (bar 82 %, Q8_0 88 %)"), ("ok", "")])


def perplexities(result, keys=None):
    lines = []
    for row in table.ROWS:
        r = result["rows"].get(row.key)
        if r and "exact" in r and (not keys or row.key in keys):
            more = 100 * (r["default"] / r["exact"] - 1)
            lines.append({"type": row.text.split()[-1], "exact": f"{r['exact']:.4f}", "default": f"{r['default']:.4f}",
                          "more": f"{more:+.2f} %", "ok": "reached" if abs(more) <= row.at_least else "**missed**"})
    return lines and markdown(lines, [("type", "type"), ("exact", "perplexity, --exact"), ("default", "default"),
                                      ("more", "difference (bar 0.3 %)"), ("ok", "")])


OPS = [("op", "stage"), ("share", "share"), ("ms", "ms"), ("wait", "of it waiting"), ("rate", "rate"), ("limit", "of the limit")]


def op_line(op):
    rate = f"{op['gmac_s']:.0f} GMAC/s" if op.get("gmac_s") else ""
    if op.get("limit") == "read":
        rate = f"{op['gb_s']:.1f} GB/s"
    return {"op": op["op"], "share": percent(op["share"]), "ms": f"{op['ms']:.3f}", "wait": f"{op['wait_ms']:.3f}", "rate": rate,
            "limit": f"{percent(op['fraction'])} ({op['limit']})" if op.get("fraction") else ""}


def stages(result, least=0.005):
    """A table for each prompt and each generation that `mote bench --ops` took apart."""
    parts = []
    for row in table.ROWS:
        r = result["rows"].get(row.key)
        for got in r["stages"].get("rows", []) if r and "stages" in r else []:
            for phase in ("prompt", "decode"):
                ops = [op for op in got.get("ops") or [] if op["phase"] == phase and op["share"] >= least]
                if ops:
                    what = f"a prompt of {got['prompt_tokens']}" if phase == "prompt" else "one token"
                    depth = f" behind {got['depth']:,}" if got["depth"] else ""
                    name = row.text.split(" behind")[0]
                    parts.append(f"{name}, {what}{depth}: {got['tok_s']:.0f} tok/s (commit {r['commit']})\n\n"
                                 + markdown([op_line(op) for op in ops], OPS))
    return "\n\n".join(parts) or "Not measured yet."


def readme(result):
    lines = [line(row, result["rows"][row.key]) for row in table.ROWS
             if row.key in result["rows"] and "pairs" in result["rows"][row.key]]
    return (heading(result) + "; medians of interleaved pairs. More, and how it is measured: "
            "[docs/performance.md](docs/performance.md).\n\n"
            + markdown(lines, [c for c in COLUMNS if c[0] in SHORT]))


def put(path, name, text):
    """Replaces what stands between <!-- NAME:begin --> and <!-- NAME:end -->."""
    path = pathlib.Path(path)
    old = path.read_text()
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in old or end not in old:
        raise SystemExit(f"{path}: no place for {name}")
    head, rest = old.split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")
