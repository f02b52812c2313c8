/* SPDX-License-Identifier: MIT */
/* cmd_run.c - `mote run`: one answer, or a chat.
 *
 * A prompt, a file or text on stdin make it one answer; a terminal on both ends without any of
 * them makes it a chat.  Without a terminal and without a question it answers a built-in one, so
 * that the first command of a new user always shows something. */
#include "app.h"
#include "catalogue.h"
#include "chat.h"
#include "repl.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = 64 << 20 };

typedef struct request {
    const char *model, *prompt;
    bool chat;
    text message;
} request;

/* Reading stdin behind a prompt is right for a pipe or a file; /dev/null and closed are empty. */
static bool stdin_may_hold_text(void)
{
    struct stat s;
    if (term.in_tty || fstat(STDIN_FILENO, &s) != 0) return false;
    return !S_ISCHR(s.st_mode);
}

static int add_part(text *t, const text *part, const char *name)
{
    int st = text_check_utf8(part, name);
    const char *nul = part->n ? memchr(part->p, 0, part->n) : NULL;
    if (!st && nul)
        st = term_error(ST_FAILED, "%s holds a NUL byte at offset %zu", name, (size_t)(nul - part->p));
    size_t n = part->n;
    while (n && (part->p[n - 1] == '\n' || part->p[n - 1] == '\r')) n--;
    if (st || !n) return st;
    if ((t->n && !text_puts(t, "\n\n")) || !text_add(t, part->p, n))
        return term_error(ST_NO_FIT, "no memory for %s", name);
    return ST_DONE;
}

/* Prompt, --file and stdin, in this order, with an empty line between. */
static int read_request(request *q, const args *a)
{
    text part = { 0 };
    int st = ST_DONE;
    if (a->n_rest == 2) {
        q->model = a->rest[0];
        q->prompt = a->rest[1];
    } else if (a->n_rest == 1) {
        /* one argument with spaces in it is a prompt for the default model */
        if (ref_looks_like_model(a->rest[0])) q->model = a->rest[0];
        else q->prompt = a->rest[0];
    }
    if (q->prompt) {
        text_puts(&part, q->prompt);
        st = add_part(&q->message, &part, "the prompt");
        part.n = 0;
    }
    const char *file = args_text(a, OPT_FILE, NULL);
    if (!st && file) {
        st = text_read_file(&part, file, INPUT_MAX);
        if (!st) st = add_part(&q->message, &part, file);
        part.n = 0;
    }
    const bool alone = !q->prompt && !file;
    q->chat = alone && term.in_tty && term.out_tty && !args_has(a, OPT_JSON);
    if (!st && !q->chat && !(file && !strcmp(file, "-"))
        && (stdin_may_hold_text() || (alone && term.in_tty))) {
        if (term.in_tty) term_note("reading the prompt from the terminal; Ctrl-D ends it");
        st = text_read_fd(&part, STDIN_FILENO, "stdin", INPUT_MAX);
        if (!st) st = add_part(&q->message, &part, "stdin");
    }
    text_free(&part);
    if (!st && !q->chat && !q->message.n) {
        term_note("no question given; asking: %s", APP_QUESTION);
        if (!text_puts(&q->message, APP_QUESTION)) st = term_error(ST_NO_FIT, "no memory");
    }
    return st;
}

static const char *stop_name(mote_stop stop)
{
    switch (stop) {
    case MOTE_STOP_LENGTH: return "length";
    case MOTE_STOP_END: return "end";
    case MOTE_STOP_FULL: return "full";
    case MOTE_STOP_CALLER: return "caller";
    }
    return "";
}

static int print_json(const chat *c)
{
    const char *answer = chat_last(c, "assistant");
    const mote_stats *s = &c->stats;
    json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:I, s:I}", "model", c->l->name, "text",
                          answer ? answer : "", "stop", stop_name(s->stop), "prompt_tokens", s->n_prompt,
                          "new_tokens", s->n_new, "guessed_tokens",
                          s->n_drafted, "guessed_right", s->n_accepted, "first_token_seconds",
                          c->first_token < 0 ? 0 : c->first_token, "prompt_seconds", s->prompt_seconds,
                          "decode_seconds", s->decode_seconds, "seed", (json_int_t)c->how.o.seed,
                          "peak_rss_bytes", (json_int_t)device_peak_memory());
    if (!o) return term_error(ST_NO_FIT, "no memory for the result");
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
    return ST_DONE;
}

static int one_answer(chat *c, const request *q)
{
    int st = chat_add(c, "user", q->message.p, q->message.n);
    const bool as_json = args_has(c->a, OPT_JSON);
    c->to_stdout = !as_json;
    if (!c->l->info.has_chat_template && !c->l->info.has_encoder)
        term_note("%s has no chat template: it goes on with the text as it stands", c->l->name);
    if (!st) st = chat_turn(c);
    if (!as_json && c->answer.n && c->answer.p[c->answer.n - 1] != '\n') putchar('\n');
    if (as_json && (!st || c->answer.n)) {
        const int printed = print_json(c);
        if (!st) st = printed;
    }
    fflush(stdout);
    if (!st && term.verbose)
        term_say("done", "%d tokens, prompt %d in %.2f s, %.1f tok/s, %d of %d guesses right", c->stats.n_new,
                 c->stats.n_prompt, c->stats.prompt_seconds,
                 c->stats.decode_seconds > 0 ? (c->stats.n_new - 1) / c->stats.decode_seconds : 0.0,
                 c->stats.n_accepted, c->stats.n_drafted);
    return st;
}

int cmd_run(const args *given)
{
    static args a;              /* a copy that /set may change; static: it is large */
    static loaded l;
    request q = { 0 };
    chat c = { 0 };
    a = *given;
    int st = read_request(&q, &a);
    if (!st) st = load_model(&l, &a, q.model, true, false);
    if (!st && !l.info.has_decoder)
        st = term_error(ST_FAILED, "%s (%s) reads texts and writes none: mote probe %s --ids … --want pooled gives a text as numbers",
                        l.name, l.info.family, l.name);
    if (!st) st = load_engine(&l, &a, args_int(&a, OPT_CTX, 0), 0);
    if (!st && (q.chat || (term.err_tty && term.out_tty) || term.verbose)) load_say(&l);
    if (!st) st = chat_open(&c, &l, &a, q.chat);
    if (!st) st = q.chat ? repl_run(&c) : one_answer(&c, &q);
    if (c.l) chat_close(&c);
    load_close(&l);
    text_free(&q.message);
    return st;
}
