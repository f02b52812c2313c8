# SPDX-License-Identifier: MIT
"""What llama.cpp answers with the default model: goldens for tests/unit/test_real.c.

  python make_answers.py SmolLM2-135M-Instruct.Q4_1.gguf > answers.txt

Needs llama-cpp-python.  For each prompt, one block of lines:
  prompt BYTES-IN-HEX        ids N id ...        answer N id ...        margin N float ...
margin: how far the best logit stands above the second, in front of each answer token; and for the whole
prompt plus answer, `nll SUM COUNT`: -ln p of every token behind the first."""
import sys

import llama_cpp
import numpy as np

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LONG = "".join(f"Item {i}: the square of {i} is {i * i}. " for i in range(1, 110))
PROMPTS = [
    "A", "The", "Once upon a time", "The capital of France is", "2 + 2 =",
    CHAT.format("Why is the sky blue?"), CHAT.format("Write a haiku about rain."),
    CHAT.format("List three prime numbers above 100."), CHAT.format("Translate to French: good morning"),
    CHAT.format("Was ist die Hauptstadt von Österreich?"), CHAT.format("Explain recursion to a child."),
    "def fibonacci(n):\n    ", "#include <stdio.h>\n\nint main(void)\n{\n", "SELECT name, COUNT(*) FROM users\nWHERE",
    "fn main() {\n    let v: Vec<i32> = ", "<!DOCTYPE html>\n<html>\n<head>", '{"name": "mote", "version":',
    "for (let i = 0; i < 10; i++) {\n  console.log(", "Der schnelle braune Fuchs springt über",
    "Il était une fois", "En un lugar de la Mancha", "Москва — столица", "東京は日本の", "中国的首都是",
    "안녕하세요, 저는", "مرحبا بالعالم", "नमस्ते दुनिया", "I love 🍕 and 🎉🎉 because",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈", LONG,
]


def evaluate(m, ids):
    m.reset()
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(m.ctx), True)
    m.eval(ids)


def line(word, values, fmt):
    print(word, len(values), *(format(v, fmt) for v in values))


def main():
    m = llama_cpp.Llama(sys.argv[1], n_ctx=2560, n_threads=2, n_batch=512, logits_all=True, verbose=False)
    print(f"# llama-cpp-python {llama_cpp.__version__}, greedy, 64 tokens")
    for text in PROMPTS:
        ids = m.tokenize(text.encode(), add_bos=True, special=True)
        evaluate(m, ids)
        answer, margin = [], []
        for _ in range(64):
            top = np.sort(m.scores[m.n_tokens - 1])[-2:]
            answer.append(int(np.argmax(m.scores[m.n_tokens - 1])))
            margin.append(float(top[1] - top[0]))
            m.eval(answer[-1:])
        whole = ids + answer
        logits = np.array(m.scores[:len(whole) - 1], dtype=np.float64)
        logits -= logits.max(1, keepdims=True)
        nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(whole) - 1), whole[1:]]
        print("prompt", text.encode().hex())
        line("ids", ids, "d")
        line("answer", answer, "d")
        line("margin", margin, ".4f")
        print(f"nll {nll.sum():.4f} {len(nll)}")


main()
