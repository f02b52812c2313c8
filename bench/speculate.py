# SPDX-License-Identifier: MIT
"""What guessing tokens from repetitions in the text brings, and costs, on kinds of text.

  build/venv/bin/python bench/speculate.py MODEL.gguf [--pairs 9] [--new 192] [--only code,chat]

Each row writes the same answer with and without guesses, in turns (A B B A) in one process, every time
with a fresh engine, so that nothing was learnt before.  Seconds are those of decoding, without the
prompt.  The row "control" has no guesses on either side: what it shows is the error of the measurement.
The text must be the same token for token; the program fails when it is not."""
import argparse
import json
import pathlib
import random
import statistics
import sys

import paired
from libmote import BOS, Engine, Model

ROOT = pathlib.Path(__file__).resolve().parent.parent

CODE = '''import csv
import pathlib


class Stock:
    """Items in a small shop, by their number."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.items = {}

    def load(self):
        with open(self.path, newline="") as f:
            for row in csv.DictReader(f):
                self.items[int(row["number"])] = (row["name"], int(row["count"]), float(row["price"]))

    def save(self):
        with open(self.path, "w", newline="") as f:
            out = csv.writer(f)
            out.writerow(["number", "name", "count", "price"])
            for number, (name, count, price) in sorted(self.items.items()):
                out.writerow([number, name, count, price])

    def take(self, number, count):
        name, have, price = self.items[number]
        if have < count:
            raise ValueError("only %d of %s left" % (have, name))
        self.items[number] = (name, have - count, price)
        return count * price

    def value(self):
        return sum(count * price for _, count, price in self.items.values())


def main():
    stock = Stock("stock.csv")
    stock.load()
    print("worth", stock.value())
    print("sold for", stock.take(17, 2))
    stock.save()


if __name__ == "__main__":
    main()
'''

STORY = '''The ferry at Orrin's Landing had crossed the same half mile of brown water for sixty-one years when the
council voted to build a bridge. Nobody in the hall was surprised. The road on the far side had been paved in
spring, the quarry had reopened, and the trucks that came down from it waited in a line that reached past the
chapel on most mornings. A bridge would take them over in a minute. The ferry took a quarter of an hour, and it
did not run in fog.

Maren Holt, who had been its captain for the last nineteen of those years, did not speak at the meeting. She had
been asked to, by the woman who kept the shop on the landing and by both of the teachers, who liked to bring
their classes across in May to count herons. She sat in the third row with her coat on and listened to the
engineer, a careful young man with a long pointer, explain what the piers would stand on. There was gravel for
twelve feet, he said, and below it clay, and below that a shelf of rock which nobody had known about until he
drilled for it. He was proud of the rock. Maren had known about it since she was ten years old, because her
father had shown her where the anchor would never hold.

Work began in August. Barges came up from the delta with cranes on them, and the ferry learned to go around them,
first by a little and then by a lot. In the second month one of the barges broke loose at night in a flood and
came down on the landing. It took away the ramp, the bench, and the small white house where tickets had once been
sold. No one was hurt. The company that owned the barge sent a letter, and then a cheque, and then, because Maren
had not cashed it, a man. He found her at the end of what was left of the ramp, measuring.

"You could retire on that," he said.

"I could," she said. "But the bridge won't stand there by winter, and somebody has to bring the children over."

He asked what she needed. She told him: forty planks of larch, two hundred bolts, and the use of one of his
cranes for a single afternoon. He laughed, and then he saw that she had it written down, with the lengths. The
planks came on a Tuesday. By Friday the trucks stood in line again past the chapel, and the drivers, who had been
forced to go round by Tallow for a week, blew their horns when the boat put out.

The bridge opened two years later, in sunshine, with a band. Maren cut no ribbon. But the engineer, who was less
young by then, had asked that the middle pier should carry a number painted at the height of the great flood, and
beside it, lower down, where only a boat could read it, he had put her father's name and the depth of the rock.
'''

QUESTION = "Why do leaves change their colour in autumn? Explain it to somebody who has never studied biology."


def chat(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def texts(model):
    """key -> (what it is, tokens, sampling)."""
    special = lambda text: model.tokenize(text)
    rng, n_vocab = random.Random(4), 49152
    noise = [rng.randrange(64, n_vocab) for _ in range(256)]
    code = special(f"The file stock.py:\n\n```python\n{CODE}```\n\nThe same file, with the class renamed to Inventory:\n\n```python\n")
    question, summary = special(chat(QUESTION)), special(chat("Summarize this story in a few sentences.\n\n" + STORY))
    everything = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return {
        "code": ("a file again with a small change, greedy", code, {}),
        "chat": ("a question, greedy", question, {}),
        "summary": ("summary of a story, greedy", summary, {}),
        "random": ("behind 256 random tokens, greedy", noise, {}),
        "code-0.8": ("a file again, temperature 0.8", code, {"temperature": 0.8}),
        "chat-0.8": ("a question, temperature 0.8", question, {"temperature": 0.8}),
        "summary-0.8": ("summary, temperature 0.8", summary, {"temperature": 0.8}),
        "random-1": ("behind random tokens, all of the distribution", noise, everything),
        "control": ("a question, temperature 0.8, no guesses on either side", question, {"temperature": 0.8}),
    }


def once(model, ids, new, sampling, n_draft):
    engine = Engine(model, n_ctx=2048, n_draft=n_draft)
    tokens, stats = engine.generate(ids, new, **sampling)
    engine.close()
    return tokens, stats


def measure(model, key, ids, new, sampling, pairs):
    sides = {"plain": -1, "guess": -1 if key == "control" else 0}
    got = {side: [] for side in sides}
    text, stats = {}, {}
    for order in [("plain", "guess")] + [("plain", "guess"), ("guess", "plain")] * ((pairs + 1) // 2):
        for side in order:
            tokens, st = once(model, ids, new, sampling, sides[side])
            if text.setdefault("first", tokens) != tokens:
                sys.exit(f"{key}: the text with guesses is another one")
            got[side].append(st.decode_seconds / max(st.n_new - 1, 1))
            stats[side] = st
    plain, guess = got["plain"][1:], got["guess"][1:]       # the first pair warms up
    ratios = [a / b for a, b in zip(plain, guess)]
    low, high = paired.interval(ratios)
    st = stats["guess"]
    return {"key": key, "tokens": st.n_new, "plain_tok_s": 1 / statistics.median(plain),
            "guess_tok_s": 1 / statistics.median(guess), "ratio": statistics.median(ratios), "low": low, "high": high,
            "ratio_best": min(plain) / min(guess), "drafted": st.n_drafted, "accepted": st.n_accepted, "pairs": len(ratios)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--pairs", type=int, default=10)
    p.add_argument("--new", type=int, default=192)
    p.add_argument("--only", default="")
    p.add_argument("--show", action="store_true", help="the texts, too")
    p.add_argument("--json")
    args = p.parse_args()
    model = Model(args.model, args.threads)
    rows = []
    print("| text | tokens | plain tok/s | with guesses | ratio | 95 % | of best | guessed | right |\n"
          "|---|---|---|---|---|---|---|---|---|", flush=True)
    for key, (what, ids, sampling) in texts(model).items():
        if args.only and key not in args.only.split(","):
            continue
        r = measure(model, key, ids, args.new, sampling, args.pairs)
        rows.append(r)
        print(f"| {what} | {r['tokens']} | {r['plain_tok_s']:.0f} | {r['guess_tok_s']:.0f} | {r['ratio']:.2f} | "
              f"{r['low']:.2f}–{r['high']:.2f} | {r['ratio_best']:.2f} | {r['drafted']} | {r['accepted']} |", flush=True)
        if args.show:
            tokens, _ = once(model, ids, args.new, sampling, 0)
            print(model.detokenize(tokens), flush=True)
    model.close()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
