/* SPDX-License-Identifier: MIT */
/* options.h - the table of commands and options, from which everything about them is made:
 * parsing, help, completions, the configuration file.
 *
 * An option is a row: name, letter, kind with its range, the commands that take it, one line of
 * help.  Values are checked while parsing, so a command reads them without failing. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {                          /* bits of option.commands */
    IN_RUN = 1 << 0, IN_PULL = 1 << 1, IN_LIST = 1 << 2, IN_SHOW = 1 << 3, IN_RM = 1 << 4,
    IN_TOKENIZE = 1 << 5, IN_PROBE = 1 << 6, IN_BENCH = 1 << 7, IN_PERPLEXITY = 1 << 8,
    IN_DOCTOR = 1 << 9, IN_COMPLETIONS = 1 << 10, IN_HELP = 1 << 11, IN_VERSION = 1 << 12,
    IN_DU = 1 << 13, IN_CONVERT = 1 << 14,
    IN_ALL = (1 << 15) - 1
};

typedef enum opt_id {
    OPT_CTX, OPT_THREADS, OPT_MAX_TOKENS, OPT_TEMP, OPT_TOP_K, OPT_TOP_P, OPT_MIN_P,
    OPT_TYPICAL_P, OPT_SEED, OPT_REPEAT_PENALTY, OPT_REPEAT_LAST_N, OPT_FREQUENCY_PENALTY,
    OPT_PRESENCE_PENALTY, OPT_DRY_MULTIPLIER, OPT_DRY_BASE, OPT_DRY_ALLOWED_LENGTH,
    OPT_DRY_LAST_N, OPT_DRY_BREAKER, OPT_XTC_PROBABILITY, OPT_XTC_THRESHOLD, OPT_MIROSTAT,
    OPT_MIROSTAT_TAU, OPT_MIROSTAT_ETA, OPT_LOGIT_BIAS, OPT_ORDER,
    OPT_SYSTEM, OPT_FILE, OPT_KV, OPT_EXACT, OPT_SPECULATE, OPT_CPU, OPT_NO_CACHE,
    OPT_PIECES, OPT_OFFSETS, OPT_SPECIAL, OPT_NO_BOS, OPT_WHOLE, OPT_IDS, OPT_DECODER_IDS, OPT_TYPE_IDS, OPT_WANT, OPT_OUT,
    OPT_PROMPT_TOKENS, OPT_NEW_TOKENS, OPT_DEPTH, OPT_REPEAT,
    OPT_SESSIONS, OPT_OPS, OPT_FORMAT, OPT_COMPARE, OPT_CHUNKS,
    OPT_METADATA, OPT_TENSORS, OPT_TYPES, OPT_GRAPH, OPT_PLAN, OPT_TEMPLATE,
    OPT_TYPE, OPT_SPLIT, OPT_YES, OPT_JSON, OPT_OFFLINE, OPT_PROGRESS, OPT_QUIET, OPT_VERBOSE, OPT_HELP,
    OPT_COUNT
} opt_id;

typedef enum opt_kind {
    KIND_FLAG, KIND_INT, KIND_INTS, KIND_REAL, KIND_TEXT, KIND_FILE, KIND_WORD, KIND_LIST
} opt_kind;                     /* INTS: by commas; WORD: one of `words`; LIST: text, may be given often */

typedef struct option {
    opt_id id;
    const char *name;           /* without the dashes */
    char letter;                /* 0: none */
    opt_kind kind;
    const char *value;          /* what help calls its argument */
    double lo, hi;              /* INT, INTS, REAL */
    const char *words;          /* WORD: "a|b|c" */
    unsigned commands;
    const char *help;
} option;

enum { ARGS_REST = 64, ARGS_LIST = 64, ARGS_INTS = 16 };
typedef struct args args;
typedef struct command {
    const char *name;
    unsigned bit;
    int (*run)(const args *a);
    const char *usage;          /* positional arguments */
    int n_min, n_max;
    const char *summary;
    const char *about;          /* a paragraph and examples for `help COMMAND` */
} command;

struct args {
    const command *cmd;
    const char *value[OPT_COUNT];        /* NULL: not given; a flag has "" */
    struct { opt_id id; const char *text; } list[ARGS_LIST];
    int n_list;
    const char *rest[ARGS_REST];         /* positional */
    int n_rest;
};

extern const option options[];
extern const int n_options;
extern const command commands[];
extern const int n_commands;

const command *command_find(const char *name);           /* NULL: none */
const char    *command_nearest(const char *name);        /* NULL: nothing is near */
/* The row with this name for a command; NULL: the command has no such option. */
const option  *option_find(const char *name, unsigned commands_of);
/* Fills a (already holding what the configuration file said) from argv behind the command. */
int  args_parse(args *a, int argc, char **argv);
/* One option as the command line or the configuration file gives it.  where: for the error. */
int  args_set(args *a, const option *o, const char *value, const char *where);

bool     args_has(const args *a, opt_id id);
const char *args_text(const args *a, opt_id id, const char *otherwise);
int      args_int(const args *a, opt_id id, int otherwise);
/* The numbers of an INTS option, at most `cap`; returns how many. */
int      args_ints(const args *a, opt_id id, int *out, int cap, int otherwise);
float    args_real(const args *a, opt_id id, float otherwise);
uint64_t args_u64(const args *a, opt_id id, uint64_t otherwise);

int  config_read(args *a);      /* config.c: ~/.config/mote/config, before the command line */

#endif
