# SPDX-License-Identifier: MIT
"""mote against llama.cpp on this machine: every row of the table in docs/performance.md, in pairs.

  make bench [ARGS="--only q4_1,1.2b-q8_0 --pairs 15"]
  make bench ARGS="--report --write"        the tables again, from the stored results

The models are made on first use and kept in build/bench (6 GB with the 1.2 B ones), with the results
and llama.cpp's best settings.  --only takes names of rows or their beginnings, see --list.
--against LIBRARY measures a change: this libmote.so and another one, by the same rules.
How pairs are taken and when they are thrown away: bench/paired.py; the rows: bench/rows.py."""
import argparse
import datetime
import json
import os
import pathlib
import platform
import sys

import models
import paired
import report
import rows
from libmote import library

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


class Bench:
    """What a row needs: the models, the two workers, the probe."""

    def __init__(self, args):
        self.folder, self.threads, self.pairs, self.seconds = pathlib.Path(args.dir), args.threads, args.pairs, args.seconds
        self.sweep, self.default, self.build = args.sweep, pathlib.Path(args.model), pathlib.Path(args.build)
        self.cache = self.folder / "packed"
        self.env = {**os.environ, "XDG_CACHE_HOME": str(self.folder.resolve() / "cache")}
        self.machine = machine()
        self.probe = paired.Probe(self.build / "probe", args.threads)
        self.open = (None, ())
        self.peer, self.against = None, getattr(args, "against", None)
        self.cache.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("MOTE_LIBRARY", str(self.build / "libmote.so"))
        can = library().mote_cpu_name().decode().split()
        self.level = next((x for x in ("avx512", "avx_vnni", "avx2", "i8mm", "dotprod", "neon") if x in can), "scalar")
        self.commit = commit_of(library())

    def model(self, which):
        name, kind = which
        return models.cached(self.folder, name, kind, self.default) if kind else self.default

    def program(self, command, path, *rest):
        return [str(self.build / "mote"), command, str(path), "--offline", "-t", str(self.threads), *map(str, rest)]

    def workers(self, path):
        """Both engines with this model loaded; stays so until another model is asked for."""
        if self.open[0] != path:
            for w in self.open[1]:
                w.close()
            other = (("mote", self.folder / "packed-against", self.against) if self.against else ("llama", None, None))
            self.open = (path, (paired.Worker("mote", path, self.threads, self.cache),
                                paired.Worker(other[0], path, self.threads, *other[1:])) if path else ())
            if path:
                self.peer = self.open[1][1].info
        return self.open[1]


def commit_of(lib):
    return lib.mote_version_text().decode().split("(")[-1].split(",")[0]    # "0.1.0 (commit, compiler)"


def machine():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def chosen(only):
    """Rows whose name is one of the words, or begins with one and a dash; without words all but the extra ones."""
    if not only:
        return [r for r in rows.ROWS if not r.extra]
    words = only.split(",")
    found = [r for r in rows.ROWS if any(r.key == w or r.key.startswith(w + "-") for w in words)]
    if not found:
        raise SystemExit(f"no row is called {only}; see --list")
    return found


def merge(old, new):
    """The pairs of two runs of a row in one result; the later run's other values."""
    if not old or "pairs" not in old or "pairs" not in new:
        return new
    both = dict(new)
    for key in ("pairs", "probes", "thrown", "steal_seconds", "wall_seconds"):
        both[key] = old[key] + new[key]
    return both


def common(ap):
    """The options that bench/scaling.py has too."""
    ap.add_argument("model", nargs="?", help="the default model's file; without it nothing is measured")
    ap.add_argument("--only", help="what to measure, by commas")
    ap.add_argument("--pairs", type=int, default=15)
    ap.add_argument("--seconds", type=float, default=0, help="begin no group of pairs after this time (0: no limit)")
    ap.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    ap.add_argument("--dir", default=str(ROOT / "build" / "bench"), help="models and results")
    ap.add_argument("--build", default=str(ROOT / "build"), help="where mote, libmote.so and probe are")
    ap.add_argument("--sweep", action="store_true", help="try llama.cpp's settings anew")


def arguments():
    ap = argparse.ArgumentParser(description="Measures mote against llama.cpp.")
    common(ap)
    ap.add_argument("--json", help="the result file (default: results.json in --dir)")
    ap.add_argument("--against", metavar="LIBRARY", help="another libmote.so in llama.cpp's place: what a change was worth")
    ap.add_argument("--append", action="store_true", help="add pairs to those stored instead of replacing the row")
    ap.add_argument("--list", action="store_true", help="the rows")
    ap.add_argument("--report", action="store_true", help="measure nothing, show what is stored")
    ap.add_argument("--write", action="store_true", help="put the tables into README.md and docs/performance.md")
    return ap.parse_args()


def main():
    args = arguments()
    if args.list:
        for r in rows.ROWS:
            print(f"{r.key:24} {r.text}{' (only when named)' if r.extra else ''}")
        return
    path = pathlib.Path(args.json or pathlib.Path(args.dir) / ("against.json" if args.against else "results.json"))
    result = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    done = []
    if args.model and not args.report:
        bench = Bench(args)
        for row in chosen(args.only):
            print(f"{row.key} ...", end=" ", file=sys.stderr, flush=True)
            new = row.measure(bench, row)
            new["commit"] = bench.commit
            result["rows"][row.key] = merge(result["rows"].get(row.key), new) if args.append else new
            if bench.peer:
                result |= {"peer": bench.peer["engine"], "peer_cpu": bench.peer["cpu"].strip(" |")}
            result |= {"machine": bench.machine, "level": bench.level, "threads": args.threads, "date": datetime.date.today().isoformat()}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(result, indent=1))
            done.append(row.key)
            print({k: v for k, v in (report.line(row, result["rows"][row.key]) or new).items() if k != "work"}, file=sys.stderr)
        bench.workers(None)
    result.setdefault("peer", "llama.cpp")
    result.setdefault("peer_cpu", "not run")
    print(report.full(result, done, "the other" if args.against else "llama.cpp"))
    if args.write:
        level = result["level"]                             # a table for each class of processors
        report.put(ROOT / "README.md", "bench", report.readme(result))
        report.put(ROOT / "docs" / "performance.md", f"table-{level}", report.full(result))
        report.put(ROOT / "docs" / "performance.md", f"stages-{level}", report.stages(result))


if __name__ == "__main__":
    main()
