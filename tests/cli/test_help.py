# SPDX-License-Identifier: MIT
"""Overview, help, version, completions, options, configuration."""
import json
import re
import shutil
import subprocess

import pytest

COMMANDS = ["run", "pull", "list", "show", "rm", "tokenize", "probe", "bench", "perplexity", "doctor",
            "completions", "help", "version"]


def test_overview(mote):
    r = mote.run()
    assert r.stdout.startswith("mote ")
    assert "This device: " in r.stdout and "GiB RAM" in r.stdout
    assert r.stderr == ""


def test_help_names_every_command(mote):
    text = mote.run("help").stdout
    for c in COMMANDS:
        assert re.search(rf"^  {c}\b", text, re.M), c
    assert "serve" not in text
    assert mote.run("--help").stdout == text
    assert mote.run("-h").stdout == text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(mote, command):
    text = mote.run("help", command).stdout
    assert text.startswith(f"mote {command}")
    assert mote.run(command, "--help").stdout == text
    assert max(map(len, text.splitlines())) <= 96


def test_version(mote):
    assert mote.run("version").stdout.startswith("mote 0.")
    assert mote.run("--version").stdout == mote.run("version").stdout
    v = json.loads(mote.run("version", "--json").stdout)
    assert {"version", "build", "cpu", "network"} <= set(v)


@pytest.mark.parametrize("args,expected", [
    (["rnu"], "mote run"),
    (["lst"], "mote list"),
    (["run", "--tmp", "1"], "--temp"),
    (["run", "--max", "1"], "--max-tokens"),
    (["list", "--jsno"], "--json"),
    (["help", "pul"], "mote help pull"),
])
def test_unknown_names_get_a_suggestion(mote, args, expected):
    r = mote.run(*args, status=2)
    first, second = r.stderr.splitlines()
    assert first.startswith("mote: ") and second.startswith("     try: ")
    assert expected in second
    assert r.stdout == ""


@pytest.mark.parametrize("args", [
    ["zzzzzz"],
    ["run", "--temp"],
    ["run", "--temp", "hot"],
    ["run", "--temp", "nan"],
    ["run", "--ctx", "0"],
    ["run", "--ctx", "99999999999999999999"],
    ["run", "--seed", "-1"],
    ["run", "--exact=yes"],
    ["run", "-x"],
    ["run", "--kv", "int8"],
    ["run", "--progress", "loud"],
    ["run", "a b", "c", "d"],
    ["tokenize"],
    ["show"],
    ["completions", "tcsh"],
    ["probe", "x.gguf", "--ids", "1"],
    ["perplexity", "x.gguf"],
    ["bench", "-p", "0", "-n", "0"],
    ["run", "ftp://x/y.gguf", "hello"][:1] + ["http://example.org/y.gguf", "hello"],
    ["pull", "hf:onlyowner"],
    ["pull", "hf:../../etc"],
    ["pull", "hf:a/b:../../x.gguf"],
    ["pull", "pypi:--evil"],
    ["pull", "pypi:a/b"],
])
def test_usage_errors(mote, args):
    r = mote.run(*args, status=2)
    assert r.stderr.startswith("mote: ") and r.stdout == ""


def test_double_dash_and_letters(mote):
    r = mote.run("run", "-qn5", "--", "--not-an-option", status=3)
    assert "--not-an-option" in r.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(mote, shell, tmp_path):
    text = mote.run("completions", shell).stdout
    for c in COMMANDS:
        assert c in text
    for o in ("max-tokens", "temp", "chunks"):
        assert o in text
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed: its script was not parsed")
    script = tmp_path / "script"
    script.write_text(text)
    subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)


def complete(mote, tmp_path, words):
    script = tmp_path / "mote.bash"
    script.write_text(mote.run("completions", "bash").stdout)
    quoted = " ".join(f"'{w}'" for w in words)
    folder = mote.path.rsplit("/", 1)[0]
    program = (f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _mote; "
               'printf "%s\\n" "${COMPREPLY[@]}"')
    r = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path,
                       env={**mote.env, "PATH": f"{folder}:{mote.env['PATH']}"})
    return r.stdout.split()


def test_bash_completes(mote, tmp_path):
    assert "perplexity" in complete(mote, tmp_path, ["mote", "per"])
    assert complete(mote, tmp_path, ["mote", "run", "--max"]) == ["--max-tokens"]
    assert set(complete(mote, tmp_path, ["mote", "run", "--kv", ""])) == {"bf16", "f16", "f32", "q8"}
    if mote.path.endswith("/mote"):
        assert "smollm2-135m" in complete(mote, tmp_path, ["mote", "run", "smo"])


def test_completions_models(mote):
    assert mote.run("completions", "models").stdout.split() == ["smollm2-135m"]


def test_config(mote, tmp_path):
    config = tmp_path / "config"
    config.write_text("# mine\noffline = yes\n[run]\ntemp = 0.1\n")
    assert "not on this machine" in mote.run("tokenize", "smollm2", "x", status=3).stderr
    config.write_text("tempp = 1\n")
    assert "tempp" in mote.run("list", status=2).stderr
    config.write_text("[run]\ntemp = hot\n")
    assert "temp" in mote.run("run", "x y", status=2).stderr
    mote.run("list")                     # not a setting of list
    config.write_text("this is no setting\n")
    assert "line 1" in mote.run("list", status=2).stderr


def test_doctor(mote):
    r = mote.run("doctor")
    assert "Next: mote pull smollm2-135m" in r.stdout
    j = json.loads(mote.run("doctor", "--json").stdout)
    assert j["command"] == "mote pull smollm2-135m"
    assert {c["check"] for c in j["checks"]} >= {"processor", "cores", "memory", "cache", "model"}


def test_doctor_sees_a_folder_it_cannot_make(mote, tmp_path):
    (tmp_path / "file").write_text("")
    r = mote.run("doctor", status=1, env={"MOTE_HOME": str(tmp_path / "file" / "x")})
    assert r.stdout.splitlines()[3].startswith("bad")


def test_full_stdout_is_an_error(mote):
    with open("/dev/full", "w") as full:
        r = subprocess.run([mote.path, "help"], stdout=full, stderr=subprocess.PIPE, text=True, env=mote.env)
    assert r.returncode == 1 and "cannot write the result" in r.stderr
