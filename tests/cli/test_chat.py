# SPDX-License-Identifier: MIT
"""The chat at a terminal, through pexpect."""
import json
import re
import signal
import time

import pytest

pexpect = pytest.importorskip("pexpect")
PROMPT = ">>> "


class Chat:
    def __init__(self, mote, model, *args, env=None):
        self.c = pexpect.spawn(mote.path, ["run", model, "--temp", "0", "-n", "24", *args], timeout=60,
                               env={**mote.env, **(env or {})}, encoding="utf-8", dimensions=(40, 100))
        self.c.delaybeforesend = 0
        self.ready()

    def ready(self):
        self.c.expect_exact(PROMPT)
        return self.c.before

    def say(self, line):
        self.c.send(line + "\r")
        return self.ready()

    def stats(self):
        text = self.say("/stats")
        m = re.search(r"prompt (\d+) tokens, (\d+) of them held already", text)
        return int(m.group(1)), int(m.group(2))

    def end(self):
        self.c.expect(pexpect.EOF)
        self.c.close()
        assert self.c.signalstatus is None
        return self.c.exitstatus


@pytest.fixture
def chat(mote, model):
    made = []

    def start(*args, **more):
        made.append(Chat(mote, model, *args, **more))
        return made[-1]
    yield start
    for m in made:
        m.c.close(force=True)


def test_transcript(chat):
    c = chat()
    assert re.search(r"tok/s · first token [\d.]+ s · \d+ tokens?\]", c.say("What is the capital of France?"))
    text = c.say("/history")
    assert "user: What is the capital of France?" in text and "assistant: " in text
    c.c.send("/bye\r")
    assert c.end() == 0


def test_first_lines(mote, model):
    c = pexpect.spawn(mote.path, ["run", model], env=mote.env, encoding="utf-8", timeout=60,
                      dimensions=(40, 100))
    c.expect(r"loaded    [\d.]+ s   \d+ of \d+ context   RAM .* threads?, ")
    c.expect(r'Type a message. """ for several lines, /help for commands, Ctrl-D to leave.')
    c.expect_exact(PROMPT)
    c.sendeof()
    c.expect(pexpect.EOF)
    c.close()
    assert c.exitstatus == 0


def test_a_turn_computes_only_what_is_new(chat):
    c = chat()
    c.say("What is the capital of France?")
    first, held = c.stats()
    assert held < first
    c.say("And of Italy?")
    second, held = c.stats()
    assert second > first and held >= first      # the whole first prompt was still there


def test_block_and_paste_are_one_message(chat):
    c = chat("-n", "4")
    c.c.send('"""one\r')
    c.c.expect_exact("... ")
    c.c.send('two"""\r')
    c.ready()
    c.c.send("\x1b[200~alpha\nbeta\rgamma\x1b[201~")
    c.c.expect_exact("[paste 1: 3 lines]")
    c.c.send(" end\r")
    c.ready()
    text = c.say("/history").replace("\r\n", "\n")
    assert "user: one\ntwo\n" in text
    assert "user: alpha\nbeta\ngamma end\n" in text
    assert text.count("assistant: ") == 2


def test_paste_of_one_line_is_plain_text(chat):
    c = chat("-n", "2")
    c.c.send("\x1b[200~hello \x1b[31mred\x1b[201~")
    c.c.expect_exact("hello [31mred")
    c.c.send("\r")
    c.ready()
    assert "user: hello [31mred" in c.say("/history")


def test_interrupt_keeps_the_chat(chat):
    c = chat("-n", "1000")
    c.c.send("Write a very long story about a dragon.\r")
    c.c.expect_exact("dragon.\r\n")
    c.c.expect(r"\w+ \w+")
    c.c.sendintr()
    assert "stopped" in c.ready()
    text = c.say("/history")
    assert "user: Write a very long story" in text and "assistant: " in text
    assert "temp 0 " in c.say("/set")            # it goes on


def test_interrupt_at_the_prompt(chat):
    c = chat()
    c.c.send("half a line")
    c.c.expect_exact("half a line")
    c.c.sendintr()
    c.c.expect_exact("Ctrl-C again")
    c.ready()
    c.say("/help")
    c.c.sendintr()
    c.c.expect_exact("Ctrl-C again")
    c.ready()
    c.c.sendintr()
    assert c.end() == 130


def test_terminate_while_answering(chat):
    c = chat("-n", "2000")
    c.c.send("Write a very long story about a dragon.\r")
    c.c.expect_exact("dragon.\r\n")
    c.c.expect(r"\w+ \w+")
    c.c.kill(signal.SIGTERM)
    c.ready()
    c.c.sendeof()
    assert c.end() == 0


def test_settings(chat):
    c = chat()
    assert "temp is 0.5 now" in c.say("/set temp 0.5")
    assert "temp 0.5" in c.say("/set")
    assert "top-k is 5 now" in c.say("/set top_k 5")
    assert "wants a number" in c.say("/set temp hot")
    assert "temp 0.5" in c.say("/set")
    assert "no setting" in c.say("/set exact 1")
    assert "tokens" in c.say("/show")
    assert "try: /stats" in c.say("/statz")


def test_system_clear_undo_retry(chat):
    c = chat()
    assert "set" in c.say("/system Answer in French.")
    c.say("Hello")
    first = c.say("/history")
    assert "system: Answer in French." in first
    c.say("/retry")
    assert c.say("/history").replace("/history", "") == first.replace("/history", "")    # temperature 0
    c.say("/undo")
    assert "user:" not in c.say("/history")
    c.say("Hello")
    c.say("/clear")
    assert "user:" not in c.say("/history")
    assert "Answer in French." in c.say("/system")
    c.say("/system off")
    assert "No system message" in c.say("/system")


def test_edit_in_the_line(chat):
    c = chat("-n", "2")
    c.say("Name a frui")
    c.c.send("/edit\r")
    c.c.expect_exact("edit> ")
    c.c.expect_exact("Name a frui")
    c.c.send("t\r")
    c.ready()
    text = c.say("/history")
    assert "user: Name a fruit\r\n" in text and text.count("user:") == 1


def test_edit_in_an_editor(chat, tmp_path):
    editor = tmp_path / "ed"
    editor.write_text('#!/bin/sh\nprintf "Name two\\nfruits\\n" > "$1"\n')
    editor.chmod(0o755)
    c = chat("-n", "2", env={"EDITOR": str(editor)})
    c.say("Name a fruit")
    c.say("/edit")
    text = c.say("/history").replace("\r\n", "\n")
    assert "user: Name two\nfruits\n" in text and text.count("user:") == 1


def test_save_and_load(chat, tmp_path):
    path = tmp_path / "chat.json"
    c = chat("-n", "4")
    c.say("Hello, größe € 😀")
    c.say(f"/save {path}")
    saved = json.loads(path.read_text())
    assert [m["role"] for m in saved["messages"]] == ["user", "assistant"]
    assert saved["messages"][0]["content"] == "Hello, größe € 😀"
    d = chat("-n", "4")
    assert "Loaded 2 messages" in d.say(f"/load {path}")
    assert "größe € 😀" in d.say("/history")
    path.write_text('{"messages": [{"role": 1}]}')
    assert "not a saved chat" in d.say(f"/load {path}")
    assert "cannot open" in d.say(f"/load {tmp_path}/none")
    assert "größe" in d.say("/history")          # a failed load changes nothing
    assert "cannot write" in d.say(f"/save {tmp_path}/no/x.json")


def test_history_is_kept(chat, mote):
    c = chat("-n", "2")
    c.say("a message to remember")
    c.c.sendeof()
    assert c.end() == 0
    d = chat("-n", "2")
    d.c.send("\x1b[A")
    d.c.expect_exact("a message to remember")
    d.c.send("\x15")
    d.c.sendeof()
    assert (mote.home / "history").stat().st_mode & 0o077 == 0


def fill(c):
    c.c.send("Tell me everything about the history of the world, please, in great detail.\r")
    return c.c.expect_exact(["Drop the oldest turns?", "[stopped", PROMPT])


def test_full_context_asks(chat):
    c = chat("--ctx", "160", "-n", "40")
    for _ in range(8):
        if fill(c) == 0:
            break
    else:
        pytest.fail("the context of 160 tokens never was full")
    c.c.send("y\r")
    c.c.expect("oldest .* dropped")
    c.ready()
    for _ in range(8):
        if fill(c) == 0:
            break
    c.c.send("n\r")
    c.c.expect_exact("nothing was cut")
    c.ready()


def test_message_longer_than_the_context(chat):
    c = chat("--ctx", "96")
    text = c.say("word " * 150)
    assert "the context holds 96" in text
    assert "Nothing was said yet" in c.say("/history")


def test_control_bytes_do_not_reach_the_terminal(chat, tmp_path):
    path = tmp_path / "evil.json"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "x\u001b[2Jy\u009bz"}]}))
    c = chat("-n", "2")
    c.say(f"/load {path}")
    assert r"x\x1b[2Jy\xc2\x9bz" in c.say("/history")


def test_time_does_not_stand_still(chat):
    """A resize in the middle of a line is no end of it."""
    c = chat("-n", "2")
    c.c.send("hel")
    c.c.expect_exact("hel")
    c.c.setwinsize(30, 60)
    time.sleep(0.1)
    c.c.send("lo\r")
    c.ready()
    assert "user: hello" in c.say("/history")
