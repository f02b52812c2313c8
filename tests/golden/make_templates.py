# SPDX-License-Identifier: MIT
"""Goldens of the chat template interpreter, made by jinja2 as transformers configures it.

    python tests/golden/make_templates.py DATA/templates

writes beside itself templates.json (every template of the folder on every conversation below) and
template_snippets.json (the language, one rule at a time, and random expressions).  Templates of the
folder are named, not copied.  An error is a golden too: [class, message].
"""
import datetime
import json
import pathlib
import random
import re
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils as ctu

from template_snippets import SNIPPETS, VARS

HERE = pathlib.Path(__file__).parent
NOW = 1753531445  # 2025-07-26 12:04:05 UTC


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.utcfromtimestamp(NOW)


ctu.datetime = FixedClock

# ---- conversations ------------------------------------------------------------------------------
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather of a place.",
    "parameters": {"type": "object", "properties": {
        "location": {"type": "string", "description": "City and country, e.g. \"Paris, FR\""},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit"}},
        "required": ["location"]}}}
NESTED = {"type": "function", "function": {
    "name": "plan_trip", "description": "Plans a trip.\nLong text & <tags> \u2014 \u00fcber.",
    "parameters": {"type": "object", "properties": {
        "stops": {"type": "array", "description": "stops", "items": {"type": "object", "properties": {
            "city": {"type": "string"}, "nights": {"type": "integer", "nullable": True}},
            "required": ["city"]}},
        "tags": {"type": "array", "items": {"type": "string"}, "nullable": True, "description": "tags"},
        "numbers": {"type": "array", "items": {"type": "number"}, "description": "n"},
        "anything": {"type": "array", "description": "no items"},
        "budget": {"type": "number", "default": 1000.5, "description": "money"},
        "mode": {"oneOf": [{"type": "string", "description": "by name", "default": "x"}, {"type": "integer"}],
                 "description": "one of"},
        "level": {"type": ["string", "null"], "description": "nullable"},
        "kind": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "enum"},
        "opts": {"type": "object", "properties": {"fast": {"type": "boolean", "description": "quick?"},
                                                  "deep": {"type": "object"}}, "description": "options"},
        "flag": {"type": "boolean", "default": False, "description": "flag"}},
        "required": ["stops", "mode"]},
    "return": {"type": "object", "description": "a plan"}}}
BARE = {"type": "function", "function": {"name": "ping", "description": "No parameters.",
                                         "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, ident="abcdef123"):
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


U = lambda text: {"role": "user", "content": text}
A = lambda text, **more: {"role": "assistant", "content": text, **more}
S = lambda text: {"role": "system", "content": text}
T = lambda text, ident="abcdef123", **more: {"role": "tool", "content": text, "tool_call_id": ident, **more}

SPECIAL = ("<|im_start|>system\n<|im_end|><s></s>[INST][/INST]<|eot_id|><|begin_of_text|>"
           "<start_of_turn><end_of_turn><|START_OF_TURN_TOKEN|><|end|><\uff5cUser\uff5c>")
TURNS = [S("You are terse."), U("Hi"), A("Hello."), U("What is 2 + 2?"), A("4"), U("And 3 + 3?")]
TOOL_TURNS = [U("Weather in Paris?"),
              A("", tool_calls=[call("get_weather", {"location": "Paris, FR", "unit": "celsius"})]),
              T("{\"temp\": 21.5}", name="get_weather"), A("It is 21.5 degrees."), U("Thanks")]
TWO_CALLS = [S("Use tools."), U("Paris and Rome?"),
             A("<think>\nask both\n</think>\n\nAsking.", tool_calls=[
                 call("get_weather", {"location": "Paris"}, "aaaaaaaa1"),
                 call("get_weather", {"location": "Rome", "days": 3, "deep": {"x": [1, 2.5, None, True]}}, "bbbbbbbb2")]),
             T("sunny", "aaaaaaaa1"), T("rain", "bbbbbbbb2")]

BASE = {"bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None}
CONVERSATIONS = [
    ("user", {"messages": [U("Hello, who are you?")], "add_generation_prompt": True}),
    ("user, no prompt", {"messages": [U("Hello")], "add_generation_prompt": False}),
    ("turns", {"messages": TURNS, "add_generation_prompt": True}),
    ("ends with assistant", {"messages": TURNS[:-1], "add_generation_prompt": False}),
    ("tools", {"messages": [S("Be helpful."), U("Weather in Paris?")], "tools": [WEATHER, BARE],
               "add_generation_prompt": True}),
    ("tools, no system", {"messages": [U("Plan!")], "tools": [NESTED], "add_generation_prompt": True}),
    ("tool call and result", {"messages": TOOL_TURNS, "tools": [WEATHER], "add_generation_prompt": True}),
    ("tool call last", {"messages": TOOL_TURNS[:2], "tools": [WEATHER], "add_generation_prompt": False}),
    ("tool result last", {"messages": TOOL_TURNS[:3], "tools": [WEATHER], "add_generation_prompt": True}),
    ("two calls", {"messages": TWO_CALLS, "tools": [WEATHER, NESTED], "add_generation_prompt": True,
                   "enable_thinking": True}),
    ("null content", {"messages": [U("x"), {"role": "assistant", "content": None, "tool_calls": [
        call("ping", "{\"a\": 1}")]}, T("pong")], "tools": [BARE], "add_generation_prompt": True}),
    ("empty content", {"messages": [S(""), U(""), A(""), U("")], "add_generation_prompt": True}),
    ("unicode", {"messages": [S("\u4f60\u597d \u2014 \u00fcber"), U("\U0001f600 na\u00efve \u0627\u0644\u0639 e\u0301\u200d \u00a0")],
                 "add_generation_prompt": True}),
    ("multi-line", {"messages": [U("  line 1\n\n\tline 2  \r\nline 3\n\n"), A("\n a \n"), U("\n\nend \t ")],
                    "add_generation_prompt": True}),
    ("thinking", {"messages": [U("q"), A("<think>\nhm\n</think>\n\nanswer"), U("again"),
                               A("more", reasoning_content="because\n", thinking="because\n")],
                  "add_generation_prompt": False, "enable_thinking": True}),
    ("no thinking", {"messages": [S("/no_think be quick"), U("q /no_think")], "add_generation_prompt": True,
                     "enable_thinking": False, "date_string": "1 Jan 2025", "thinking": True}),
    ("documents", {"messages": [U("Summarise.")], "add_generation_prompt": True, "documents": [
        {"doc_id": 1, "title": "One", "text": "First <text>."}, {"doc_id": 2, "title": "Two", "text": "Second\ntext."}],
        "controls": {"citations": True, "length": "short"}, "enable_citations": True}),
    ("content parts", {"messages": [U([{"type": "text", "text": " part 1 "}, {"type": "image"},
                                       {"type": "text", "text": "part 2"}])], "add_generation_prompt": True}),
    ("bad order", {"messages": [U("a"), U("b"), S("late")], "add_generation_prompt": True}),
    ("special tokens", {"messages": [S(SPECIAL), U(SPECIAL), A(SPECIAL), U("a" + SPECIAL + "b")],
                        "add_generation_prompt": True}),
    ("options", {"messages": [S("Sys"), U("q")], "tools": [BARE], "builtin_tools": ["browser", "python"],
                 "custom_tools": [WEATHER], "tools_in_user_message": False, "model_identity": "You are M.",
                 "reasoning_effort": "high", "keep_past_thinking": True, "add_generation_prompt": True}),
    ("developer", {"messages": [{"role": "developer", "content": "Rules."}, U("q")], "tools": [NESTED],
                   "add_generation_prompt": True}),
    ("no messages", {"messages": [], "add_generation_prompt": True}),
    ("empty tools", {"messages": TURNS, "tools": [], "add_generation_prompt": True}),
    ("two turns, no system", {"messages": TURNS[1:4], "tools": [], "add_generation_prompt": True}),
    ("tools and turns", {"messages": TURNS[1:4], "tools": [WEATHER, BARE], "add_generation_prompt": True}),
    ("one tool, its call", {"messages": TOOL_TURNS[:4], "tools": [BARE], "add_generation_prompt": False}),
    ("trailing space", {"messages": [U("a \n "), A(" b\t\n"), U(" c ")], "tools": [], "add_generation_prompt": False}),
    ("many turns", {"messages": TURNS[1:] * 4 + [U("end")], "tools": [], "add_generation_prompt": True}),
]


def render(template, variables):
    """The output, or [class, message] of the error."""
    try:
        return ctu._cached_compile_jinja_template(template).render(**variables)
    except Exception as e:  # noqa: BLE001 - every error is a golden
        return [type(e).__name__, str(e)]


def make_templates(folder):
    renders = {}
    sources = {p.name: p.read_text() for p in sorted(folder.glob("*.jinja"))}
    for name, source in sources.items():
        renders[name] = [render(source, {**BASE, **json.loads(json.dumps(v))}) for _, v in CONVERSATIONS]
    return {"conversations": [[n, json.dumps({**BASE, **v, "__now": NOW}, ensure_ascii=False)] for n, v in CONVERSATIONS],
            "renders": renders}


# ---- random expressions -----------------------------------------------------------------------------
class Maker:
    """Random expressions, mostly well typed, so that most of them have a value."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, *options):
        return self.r.choice(options)

    def number(self, d):
        if d <= 0:
            return self.pick("0", "1", "2", "-3", "7", "2.5", "0.1", "10", "n", "f", "true", "1e3")
        a, b = self.number(d - 1), self.number(d - 1)
        return self.pick(f"({a} + {b})", f"({a} - {b})", f"{a} * {b}", f"{a} / {b}", f"{a} // {b}", f"{a} % {b}",
                         f"-{a}", f"({a})|abs", f"({a})|round", f"({a})|round(1)", f"({a})|int", f"({a})|float",
                         f"{self.sequence(d - 1)}|length", f"{self.text(d - 1)}|length", f"{self.text(d-1)}.find('a')",
                         f"[{a}, {b}]|max", f"[{a}, {b}]|sum", f"({a} if {self.truth(d - 1)} else {b})",
                         f"{self.text(d - 1)}.count('o')", f"({a}) ** 2")

    def text(self, d):
        if d <= 0:
            return self.pick("'abc'", "'Hello World'", "''", "s", "t", "'a b  c'", "\"it's\"", "'\u00e9\u00df\u4f60'", "' x\\n'")
        a, b = self.text(d - 1), self.text(d - 1)
        n = self.r.randint(-4, 6)
        return self.pick(f"({a} + {b})", f"({a} ~ {self.any(d - 1)})", f"{a}.upper()", f"({a})|lower", f"({a})|title",
                         f"({a})|trim", f"({a}).strip('ab ')", f"({a})[{n}:]", f"({a})[:{n}]", f"({a})[::-1]",
                         f"({a})[{n}]", f"({a}).replace({b}, 'X')", f"({a})|replace('a', {b})", f"({a}) * {abs(n) % 3}",
                         f"({self.sequence(d - 1)})|join({b})", f"({a}).join(['1', '2', 'x'])", f"({a})|capitalize",
                         f"({self.any(d - 1)})|string", f"({self.any(d - 1)})|tojson", f"({a} if {self.truth(d - 1)} else {b})",
                         f"({a})|reverse", f"({a}).split({b})|join('|')", f"({a})|center(9)", f"({a} or {b})",
                         f"'%s-%s' % ({a}, {b})", f"'{{}}:{{}}'.format({a}, {self.number(d - 1)})", f"({a}).title()")

    def truth(self, d):
        if d <= 0:
            return self.pick("true", "false", "b", "none", "n > 2", "s == 'x'", "missing is defined")
        return self.pick(f"{self.number(d - 1)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.number(d - 1)}",
                         f"{self.text(d - 1)} {self.pick('==', '!=', '<', '>', 'in', 'not in')} {self.text(d - 1)}",
                         f"not {self.truth(d - 1)}", f"({self.truth(d - 1)} and {self.truth(d - 1)})",
                         f"({self.truth(d - 1)} or {self.truth(d - 1)})", f"{self.any(d - 1)} in {self.sequence(d - 1)}",
                         f"({self.any(d - 1)}) is {self.pick('string', 'number', 'mapping', 'sequence', 'iterable', 'none', 'defined', 'boolean', 'integer', 'float', 'true', 'not none')}",
                         f"{self.sequence(d - 1)} == {self.sequence(d - 1)}", f"({self.text(d - 1)}).startswith({self.text(0)})")

    def sequence(self, d):
        if d <= 0:
            return self.pick("[1, 2, 3]", "[]", "xs", "names", "range(4)|list", "(1, 'a')|list", "['b', 'A', 'c']", "rows")
        a = self.sequence(d - 1)
        n = self.r.randint(-3, 4)
        return self.pick(f"({a} + {self.sequence(d - 1)})", f"({a})[{n}:]", f"({a})[::-1]", f"({a})|reverse|list",
                         f"({a})|list", f"[{self.any(d - 1)}, {self.any(d - 1)}]", f"({a})|map('string')|list",
                         f"({a})|select('string')|list", f"({a})|reject('none')|list", f"({a}) * {abs(n)}",
                         f"({a})|batch(2)|list", f"({a})|map('string')|map('upper')|sort", f"({self.text(d - 1)}).split()",
                         f"d.keys()|list", "d|dictsort", "rows|map(attribute='k')|list", f"({a})|map('string')|unique|list",
                         f"({self.text(d - 1)})|list")

    def any(self, d):
        return self.pick(self.number, self.text, self.truth, self.sequence,
                         lambda _: self.pick("d", "none", "{'k': 1, 'z': [2]}", "missing", "d.a", "d['q']"))(d)


def make_random(n):
    out, m = [], Maker(20250726)
    n_error = 0
    while len(out) < n:
        source = "{{ " + m.any(m.r.randint(2, 4)) + " }}"
        if len(source) > 240:
            continue
        got = render(source, json.loads(VARS[0]))
        if isinstance(got, str) and (re.search(r"\d{18}| at 0x", got) or len(got) > 400):
            continue  # beyond 64 bits, an address, or merely long
        if isinstance(got, list):
            if got[0] == "TemplateSyntaxError" or " at 0x" in got[1] or n_error > n // 8:
                continue
            n_error += 1
        out.append([source, 0, got])
    return out


def main():
    templates = make_templates(pathlib.Path(sys.argv[1]))
    snippets = []
    for item in SNIPPETS:
        source, which = item if isinstance(item, tuple) else (item, 0)
        snippets.append([source, which, render(source, json.loads(VARS[which]))])
    versions = {"jinja2": jinja2.__version__, "transformers": transformers.__version__,
                "python": sys.version.split()[0]}
    variables = [json.dumps({**json.loads(v), "__now": NOW}, ensure_ascii=False) for v in VARS]

    def write(name, value):
        with open(HERE / name, "w") as f:
            json.dump({"versions": versions, **value}, f, ensure_ascii=False, indent=0)
            f.write("\n")

    write("templates.json", templates)
    write("template_snippets.json", {"variables": variables, "snippets": snippets, "random": make_random(500)})
    print(len(SNIPPETS), "snippets,", sum(len(v) for v in templates["renders"].values()), "renders")


if __name__ == "__main__":
    main()
