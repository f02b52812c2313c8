/* SPDX-License-Identifier: MIT */
/* options.c - the option table and the parser that reads a command line by it.
 *
 * First thing every command passes.  `--name VALUE`, `--name=VALUE`, `-xVALUE`, `-x VALUE`, `--`
 * ends the options; options and positional arguments mix.  A value is always the next word, so
 * negative numbers need no care. */
#include "app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IN_MODEL (IN_RUN | IN_TOKENIZE | IN_PROBE | IN_BENCH | IN_PERPLEXITY)
#define IN_ENGINE (IN_RUN | IN_PROBE | IN_BENCH | IN_PERPLEXITY)

const option options[] = {
    { OPT_CTX, "ctx", 'c', KIND_INT, "N", 16, 1 << 24, NULL, IN_RUN | IN_PERPLEXITY,
      "tokens the context holds (run: as trained, at most 4096; perplexity: 512)" },
    { OPT_THREADS, "threads", 't', KIND_INT, "N", 1, 1024, NULL, IN_ENGINE,
      "threads to compute with (default: the cores this process may use)" },
    { OPT_MAX_TOKENS, "max-tokens", 'n', KIND_INT, "N", 1, 1 << 24, NULL, IN_RUN,
      "longest answer (default: as far as the context goes)" },
    { OPT_SYSTEM, "system", 's', KIND_TEXT, "TEXT", 0, 0, NULL, IN_RUN,
      "system message in front of the chat" },
    { OPT_FILE, "file", 'f', KIND_FILE, "FILE", 0, 0, NULL, IN_RUN | IN_PERPLEXITY,
      "text to read: run puts it behind the prompt, perplexity measures it (-: stdin)" },
    { OPT_TEMP, "temp", 0, KIND_REAL, "X", 0, 100, NULL, IN_RUN,
      "temperature; 0 always takes the likeliest token" },
    { OPT_TOP_K, "top-k", 0, KIND_INT, "N", 0, 1 << 24, NULL, IN_RUN,
      "only the N likeliest tokens (0: all)" },
    { OPT_TOP_P, "top-p", 0, KIND_REAL, "P", 0, 1, NULL, IN_RUN,
      "only the likeliest tokens that make up P (1: all)" },
    { OPT_MIN_P, "min-p", 0, KIND_REAL, "P", 0, 1, NULL, IN_RUN,
      "only tokens at least P times as likely as the likeliest (0: all)" },
    { OPT_TYPICAL_P, "typical-p", 0, KIND_REAL, "P", 0, 1, NULL, IN_RUN,
      "locally typical sampling (1: off)" },
    { OPT_SEED, "seed", 0, KIND_INT, "N", 0, 18446744073709551615.0, NULL, IN_RUN | IN_BENCH,
      "seed of the random numbers: the same seed gives the same text" },
    { OPT_REPEAT_PENALTY, "repeat-penalty", 0, KIND_REAL, "X", 0.01, 100, NULL, IN_RUN,
      "makes tokens of the recent text less likely (1: off)" },
    { OPT_REPEAT_LAST_N, "repeat-last-n", 0, KIND_INT, "N", -1, 1 << 24, NULL, IN_RUN,
      "how much recent text the penalties look at (-1: all of it)" },
    { OPT_FREQUENCY_PENALTY, "frequency-penalty", 0, KIND_REAL, "X", -100, 100, NULL, IN_RUN,
      "penalty for each time a token occurred (0: off)" },
    { OPT_PRESENCE_PENALTY, "presence-penalty", 0, KIND_REAL, "X", -100, 100, NULL, IN_RUN,
      "penalty for tokens that occurred at all (0: off)" },
    { OPT_DRY_MULTIPLIER, "dry-multiplier", 0, KIND_REAL, "X", 0, 100, NULL, IN_RUN,
      "strength of the penalty on repeated sequences (0: off)" },
    { OPT_DRY_BASE, "dry-base", 0, KIND_REAL, "X", 1, 100, NULL, IN_RUN,
      "growth of that penalty with the length of the sequence" },
    { OPT_DRY_ALLOWED_LENGTH, "dry-allowed-length", 0, KIND_INT, "N", 0, 1 << 20, NULL, IN_RUN,
      "repeated sequences up to this length go free" },
    { OPT_DRY_LAST_N, "dry-last-n", 0, KIND_INT, "N", -1, 1 << 24, NULL, IN_RUN,
      "how much recent text is searched for repetitions (-1: all of it)" },
    { OPT_DRY_BREAKER, "dry-breaker", 0, KIND_LIST, "TEXT", 0, 0, NULL, IN_RUN,
      "text that ends a sequence; may be given often" },
    { OPT_XTC_PROBABILITY, "xtc-probability", 0, KIND_REAL, "P", 0, 1, NULL, IN_RUN,
      "chance of leaving out the top choices (0: off)" },
    { OPT_XTC_THRESHOLD, "xtc-threshold", 0, KIND_REAL, "P", 0, 1, NULL, IN_RUN,
      "probability from which a token is a top choice" },
    { OPT_MIROSTAT, "mirostat", 0, KIND_WORD, "0|2", 0, 0, "0|2", IN_RUN,
      "2: hold the surprise at a target, in place of top-k, top-p, min-p" },
    { OPT_MIROSTAT_TAU, "mirostat-tau", 0, KIND_REAL, "X", 0, 100, NULL, IN_RUN,
      "the target surprise of mirostat" },
    { OPT_MIROSTAT_ETA, "mirostat-eta", 0, KIND_REAL, "X", 0, 10, NULL, IN_RUN,
      "how fast mirostat follows" },
    { OPT_LOGIT_BIAS, "logit-bias", 0, KIND_LIST, "TOKEN=X", 0, 0, NULL, IN_RUN,
      "adds X to the logit of a token id; may be given often" },
    { OPT_ORDER, "order", 0, KIND_TEXT, "STEPS", 0, 0, NULL, IN_RUN,
      "order of the sampling steps, by commas" },
    { OPT_KV, "kv", 0, KIND_WORD, "TYPE", 0, 0, "bf16|f16|f32|q8", IN_ENGINE,
      "how keys and values are kept: bf16, f16, f32 or q8" },
    { OPT_EXACT, "exact", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_RUN | IN_PROBE | IN_PERPLEXITY,
      "compute in f32 throughout: slow, for comparisons" },
    { OPT_SPECULATE, "speculate", 0, KIND_INT, "N", 0, 15, NULL, IN_RUN,
      "tokens guessed ahead from repetitions, at most; the text is the same (default 15; 0: none)" },
    { OPT_CPU, "cpu", 0, KIND_WORD, "ISA", 0, 0, "scalar|avx2|avxvnni|avx512|neon|dotprod|i8mm|full", IN_ENGINE,
      "use no more of the processor than this level of its own, or full" },
    { OPT_NO_CACHE, "no-cache", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_ENGINE | IN_SHOW,
      "pack the weights anew, and keep them for no later start" },
    { OPT_PIECES, "pieces", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_TOKENIZE,
      "show the text of each token behind its id, one per line" },
    { OPT_OFFSETS, "offsets", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_TOKENIZE,
      "show the bytes of the text that each token stands for, from and to, one token per line" },
    { OPT_SPECIAL, "special", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_TOKENIZE,
      "recognise special tokens in the text" },
    { OPT_NO_BOS, "no-bos", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_TOKENIZE,
      "leave out the tokens that the model's tokenizer puts in front and behind" },
    { OPT_WHOLE, "whole", 0, KIND_FILE, "FILE", 0, 0, NULL, IN_TOKENIZE,
      "take a whole file as one text, newlines and all (-: stdin)" },
    { OPT_IDS, "ids", 0, KIND_TEXT, "1,2,3", 0, 0, NULL, IN_PROBE,
      "the token ids to run, by commas or spaces (-: from stdin)" },
    { OPT_DECODER_IDS, "decoder-ids", 0, KIND_TEXT, "0,5", 0, 0, NULL, IN_PROBE,
      "what an encoder-decoder's answer begins with (default: its start token)" },
    { OPT_TYPE_IDS, "type-ids", 0, KIND_TEXT, "0,0,1", 0, 0, NULL, IN_PROBE,
      "an encoder's token types, as many as ids (default: all 0)" },
    { OPT_WANT, "want", 0, KIND_WORD, "WHAT", 0, 0, "logits|hidden|pooled", IN_PROBE,
      "logits (default), hidden: the rows behind the final norm (an encoder's default), or pooled: one row" },
    { OPT_OUT, "out", 'o', KIND_FILE, "FILE", 0, 0, NULL, IN_PROBE,
      "the .npy file to write: float32, one row per token" },
    { OPT_PROMPT_TOKENS, "prompt-tokens", 'p', KIND_INTS, "N,...", 0, 1 << 20, NULL, IN_BENCH,
      "lengths of the prompts to time (default 512; 0: none)" },
    { OPT_NEW_TOKENS, "new-tokens", 'n', KIND_INTS, "N,...", 0, 1 << 20, NULL, IN_BENCH,
      "tokens to generate (default 128; 0: none)" },
    { OPT_DEPTH, "depth", 'd', KIND_INTS, "N,...", 0, 1 << 20, NULL, IN_BENCH,
      "tokens already in the context when the timing starts (default 0)" },
    { OPT_SESSIONS, "sessions", 0, KIND_INTS, "N,...", 1, 64, NULL, IN_BENCH,
      "sessions together; above 1: generated tokens by time, prompts included (default 1)" },
    { OPT_REPEAT, "repeat", 'r', KIND_INT, "N", 1, 1000, NULL, IN_BENCH,
      "repetitions (default 9, or 6 where they take long)" },
    { OPT_OPS, "ops", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_BENCH, "the time of each op as well" },
    { OPT_FORMAT, "format", 0, KIND_WORD, "FORMAT", 0, 0, "table|markdown|csv|json", IN_BENCH,
      "how to print the result: table, markdown, csv or json" },
    { OPT_COMPARE, "compare", 0, KIND_FILE, "OLD.json", 0, 0, NULL, IN_BENCH,
      "compare with an earlier result; instead of MODEL a second one may be named" },
    { OPT_CHUNKS, "chunks", 0, KIND_INT, "N", 1, 1 << 24, NULL, IN_PERPLEXITY,
      "measure only the first N windows" },
    { OPT_METADATA, "metadata", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "all metadata" },
    { OPT_TENSORS, "tensors", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "all tensors" },
    { OPT_TYPES, "types", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "bytes by element type" },
    { OPT_GRAPH, "graph", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "the graph of a forward pass" },
    { OPT_PLAN, "plan", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "what the graph was compiled to" },
    { OPT_TEMPLATE, "template", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_SHOW, "the chat template" },
    { OPT_TYPE, "type", 0, KIND_WORD, "TYPE", 0, 0, "f32|f16|bf16", IN_CONVERT,
      "store every matrix as f32, f16 or bf16 (default: as it is)" },
    { OPT_SPLIT, "split", 0, KIND_INT, "MIB", 1, 1 << 24, NULL, IN_CONVERT,
      "at most so many MiB of weights in one file" },
    { OPT_YES, "yes", 'y', KIND_FLAG, NULL, 0, 0, NULL, IN_RM | IN_CONVERT, "do not ask" },
    { OPT_JSON, "json", 0, KIND_FLAG, NULL, 0, 0, NULL,
      IN_RUN | IN_LIST | IN_DU | IN_SHOW | IN_TOKENIZE | IN_BENCH | IN_PERPLEXITY | IN_DOCTOR | IN_VERSION,
      "the result as JSON" },
    { OPT_OFFLINE, "offline", 0, KIND_FLAG, NULL, 0, 0, NULL, IN_MODEL | IN_PULL | IN_SHOW,
      "never use the network" },
    { OPT_PROGRESS, "progress", 0, KIND_WORD, "HOW", 0, 0, "auto|bar|plain|json|none", IN_ALL,
      "how progress is shown: auto, bar, plain, json or none" },
    { OPT_QUIET, "quiet", 'q', KIND_FLAG, NULL, 0, 0, NULL, IN_ALL, "errors only" },
    { OPT_VERBOSE, "verbose", 'v', KIND_FLAG, NULL, 0, 0, NULL, IN_ALL, "say more" },
    { OPT_HELP, "help", 'h', KIND_FLAG, NULL, 0, 0, NULL, IN_ALL, "this help" },
};
const int n_options = (int)APP_COUNT(options);

const option *option_find(const char *name, unsigned commands_of)
{
    for (int i = 0; i < n_options; i++)
        if ((options[i].commands & commands_of) && !strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

static const option *by_letter(char letter, unsigned commands_of)
{
    for (int i = 0; i < n_options; i++)
        if ((options[i].commands & commands_of) && options[i].letter == letter)
            return &options[i];
    return NULL;
}

static int unknown_option(const args *a, const char *name)
{
    const option *best = NULL;
    int least = 4;              /* three edits are a typo, more is another word */
    for (int i = 0; i < n_options; i++) {
        if (!(options[i].commands & a->cmd->bit)) continue;
        int d = text_distance(name, options[i].name, least);
        /* "max" for "max-tokens": a beginning is as good as a typo */
        if (d >= least && strlen(name) >= 2 && !strncmp(options[i].name, name, strlen(name)))
            d = least - 1;
        if (d < least) { least = d; best = &options[i]; }
    }
    const int st = term_error(ST_USAGE, "%s has no option \"--%s\"", a->cmd->name, name);
    if (best)
        term_try("--%s%s%s   or: mote help %s", best->name, best->value ? " " : "",
                 best->value ? best->value : "", a->cmd->name);
    else
        term_try("mote help %s", a->cmd->name);
    return st;
}

static bool is_word_of(const char *words, const char *value)
{
    const size_t n = strlen(value);
    if (!n || strchr(value, '|')) return false;
    for (const char *p = words; p && *p; p = strchr(p, '|'), p = p ? p + 1 : NULL)
        if (!strncmp(p, value, n) && (p[n] == 0 || p[n] == '|')) return true;
    return false;
}

static bool are_numbers(const option *o, const char *value)
{
    char *end;
    for (int n = 1; n <= ARGS_INTS; n++, value = end + 1) {
        errno = 0;
        const long long v = strtoll(value, &end, 10);
        if (errno || end == value || (*end && *end != ',') || (double)v < o->lo || (double)v > o->hi) return false;
        if (!*end) return true;
    }
    return false;
}

static int check_value(const option *o, const char *value, const char *where)
{
    char *end;
    errno = 0;
    if (o->kind == KIND_INT && o->id == OPT_SEED) {
        strtoull(value, &end, 10);
        if (errno || end == value || *end || strchr(value, '-'))
            return term_error(ST_USAGE, "%s%s wants a whole number from 0 to 2^64-1, not \"%s\"",
                              where, o->name, value);
    } else if (o->kind == KIND_INT) {
        const long long v = strtoll(value, &end, 10);
        if (errno || end == value || *end || (double)v < o->lo || (double)v > o->hi)
            return term_error(ST_USAGE, "%s%s wants a whole number from %.0f to %.0f, not \"%s\"",
                              where, o->name, o->lo, o->hi, value);
    } else if (o->kind == KIND_INTS) {
        if (!are_numbers(o, value))
            return term_error(ST_USAGE, "%s%s wants whole numbers from %.0f to %.0f by commas, at most %d, not \"%s\"",
                              where, o->name, o->lo, o->hi, ARGS_INTS, value);
    } else if (o->kind == KIND_REAL) {
        const double v = strtod(value, &end);
        if (errno || end == value || *end || !(v >= o->lo && v <= o->hi))
            return term_error(ST_USAGE, "%s%s wants a number from %g to %g, not \"%s\"",
                              where, o->name, o->lo, o->hi, value);
    } else if (o->kind == KIND_WORD && !is_word_of(o->words, value)) {
        return term_error(ST_USAGE, "%s%s wants one of %s, not \"%s\"",
                          where, o->name, o->words, value);
    }
    return ST_DONE;
}

int args_set(args *a, const option *o, const char *value, const char *where)
{
    const int st = check_value(o, value, where);
    if (st) return st;
    if (o->kind == KIND_LIST) {
        if (a->n_list == ARGS_LIST)
            return term_error(ST_USAGE, "%s%s is given more than %d times", where, o->name, ARGS_LIST);
        a->list[a->n_list].id = o->id;
        a->list[a->n_list++].text = value;
    }
    a->value[o->id] = value;
    return ST_DONE;
}

/* One word that starts with "--".  *i moves over a value taken from the next word. */
static int parse_long(args *a, int argc, char **argv, int *i)
{
    char name[64];
    const char *word = argv[*i] + 2;
    const char *equals = strchr(word, '=');
    const size_t n = equals ? (size_t)(equals - word) : strlen(word);
    if (n >= sizeof name) return term_error(ST_USAGE, "unknown option \"--%.60s...\"", word);
    memcpy(name, word, n);
    name[n] = 0;
    const option *o = option_find(name, a->cmd->bit);
    if (!o) return unknown_option(a, name);
    if (o->kind == KIND_FLAG) {
        if (equals) return term_error(ST_USAGE, "--%s takes no value, got \"%s\"", name, equals + 1);
        return args_set(a, o, "", "--");
    }
    if (equals) return args_set(a, o, equals + 1, "--");
    if (*i + 1 >= argc) {
        const int st = term_error(ST_USAGE, "--%s needs a value", name);
        term_try("--%s %s", name, o->value);
        return st;
    }
    return args_set(a, o, argv[++*i], "--");
}

/* One word of letters: flags may be bunched, the first that takes a value ends the bunch. */
static int parse_letters(args *a, int argc, char **argv, int *i)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const option *o = by_letter(*p, a->cmd->bit);
        if (!o) {
            const int st = term_error(ST_USAGE, "%s has no option \"-%c\"", a->cmd->name, *p);
            term_try("mote help %s", a->cmd->name);
            return st;
        }
        if (o->kind == KIND_FLAG) {
            const int st = args_set(a, o, "", "--");
            if (st) return st;
            continue;
        }
        if (p[1]) return args_set(a, o, p[1] == '=' ? p + 2 : p + 1, "--");
        if (*i + 1 >= argc) {
            const int st = term_error(ST_USAGE, "-%c needs a value", *p);
            term_try("-%c %s", *p, o->value);
            return st;
        }
        return args_set(a, o, argv[++*i], "--");
    }
    return ST_DONE;
}

int args_parse(args *a, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        int st = ST_DONE;
        if (!only_words && !strcmp(argv[i], "--")) { only_words = true; continue; }
        if (!only_words && argv[i][0] == '-' && argv[i][1] == '-') {
            st = parse_long(a, argc, argv, &i);
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            st = parse_letters(a, argc, argv, &i);
        } else {
            if (a->n_rest == a->cmd->n_max || a->n_rest == ARGS_REST) {
                st = term_error(ST_USAGE, "%s: one argument too many: \"%s\"", a->cmd->name, argv[i]);
                term_try("mote %s %s   (text with spaces needs quotes)", a->cmd->name, a->cmd->usage);
                return st;
            }
            a->rest[a->n_rest++] = argv[i];
        }
        if (st) return st;
    }
    if (a->n_rest < a->cmd->n_min && !args_has(a, OPT_HELP)) {
        const int st = term_error(ST_USAGE, "%s needs %s", a->cmd->name, a->cmd->usage);
        term_try("mote help %s", a->cmd->name);
        return st;
    }
    return ST_DONE;
}

bool args_has(const args *a, opt_id id) { return a->value[id] != NULL; }

const char *args_text(const args *a, opt_id id, const char *otherwise)
{
    return a->value[id] ? a->value[id] : otherwise;
}

int args_int(const args *a, opt_id id, int otherwise)
{
    return a->value[id] ? (int)strtol(a->value[id], NULL, 10) : otherwise;
}

int args_ints(const args *a, opt_id id, int *out, int cap, int otherwise)
{
    int n = 0;
    const char *p = a->value[id];
    out[0] = otherwise;
    if (!p) return 1;
    for (char *end; n < cap; p = end + 1) {
        out[n++] = (int)strtol(p, &end, 10);
        if (!*end) break;
    }
    return n;
}

float args_real(const args *a, opt_id id, float otherwise)
{
    return a->value[id] ? strtof(a->value[id], NULL) : otherwise;
}

uint64_t args_u64(const args *a, opt_id id, uint64_t otherwise)
{
    return a->value[id] ? strtoull(a->value[id], NULL, 10) : otherwise;
}
