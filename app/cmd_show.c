/* SPDX-License-Identifier: MIT */
/* cmd_show.c - `mote show`: what a model is made of. */
#include "app.h"
#include "load.h"
#include "store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The library's text for people, in a fresh string. */
static int print_of(const loaded *l, const char *what, char **out, size_t *n)
{
    mote_error err = { 0 };
    for (size_t cap = 1 << 16;;) {
        *out = malloc(cap);
        if (!*out) return term_error(ST_NO_FIT, "no memory for the %s", what);
        const mote_status code = mote_model_print(l->m, what, *out, cap, n, &err);
        if (code == MOTE_OK) return ST_DONE;
        free(*out);
        *out = NULL;
        if (code != MOTE_EFULL || *n <= cap) return term_mote_error(code, &err);
        cap = *n;
    }
}

static const char *template_of(const loaded *l)
{
    const char *t = mote_model_meta(l->m, "tokenizer.chat_template");
    return t ? t : mote_model_meta(l->m, "chat_template");
}

static void put_text(const char *p, size_t n)
{
    term_write(stdout, p, n, true);
    if (n && p[n - 1] != '\n') putchar('\n');
}

static int put_section(const loaded *l, const char *what)
{
    char *p;
    size_t n;
    const int st = print_of(l, what, &p, &n);
    if (st) return st;
    put_text(p, n);
    free(p);
    return ST_DONE;
}

static const struct { opt_id id; const char *what, *json; } sections[] = {
    { OPT_METADATA, "metadata", "metadata.json" }, { OPT_TENSORS, "tensors", "tensors.json" },
    { OPT_TYPES, "types", "types.json" }, { OPT_GRAPH, "graph", NULL }, { OPT_PLAN, "plan", NULL },
};

/* ---- the template ----------------------------------------------------------------------------- */

/* A short chat as the model would see it, in a fresh string; NULL: it cannot be rendered. */
static char *render_sample(const loaded *l, size_t *n)
{
    mote_error err = { 0 };
    mote_chat c;
    mote_chat_init(&c);
    c.messages = "[{\"role\": \"user\", \"content\": \"Hello!\"}, {\"role\": \"assistant\", \"content\": \"Hi.\"}, "
                 "{\"role\": \"user\", \"content\": \"Tell me more.\"}]";
    for (size_t cap = 1 << 12;;) {
        char *out = malloc(cap);
        if (!out) return NULL;
        const mote_status code = mote_chat_render(l->m, &c, out, cap, n, &err);
        if (code == MOTE_OK) return out;
        free(out);
        if (code != MOTE_EFULL || *n <= cap) {
            term_note("the template cannot be rendered: %s", err.text);
            return NULL;
        }
        cap = *n;
    }
}

static int put_template(const loaded *l)
{
    const char *t = template_of(l);
    size_t n;
    if (!l->info.has_chat_template) return term_error(ST_FAILED, "%s has no chat template", l->name);
    if (t) put_text(t, strlen(t));
    char *sample = render_sample(l, &n);
    if (!sample) return ST_DONE;
    puts("\n---- a short chat through it ----");
    put_text(sample, n);
    free(sample);
    return ST_DONE;
}

/* ---- the summary ------------------------------------------------------------------------------ */

/* Opened without a net, the library says nothing about the shape; the metadata does. */
static int meta_int(const loaded *l, const char *key)
{
    char name[256];
    const char *family = mote_model_meta(l->m, "general.architecture");
    snprintf(name, sizeof name, "%s.%s", family ? family : "", key);
    const char *v = mote_model_meta(l->m, name);
    const long n = v ? strtol(v, NULL, 10) : 0;
    return n > 0 && n <= INT32_MAX ? (int)n : 0;
}

static void complete_info(loaded *l)
{
    mote_model_info *i = &l->info;
    if (!i->n_layer) i->n_layer = meta_int(l, "block_count");
    if (!i->n_embd) i->n_embd = meta_int(l, "embedding_length");
    if (!i->n_head) i->n_head = meta_int(l, "attention.head_count");
    if (!i->n_head_kv) i->n_head_kv = meta_int(l, "attention.head_count_kv");
    if (!i->n_head_kv) i->n_head_kv = i->n_head;
    if (!i->n_ctx_train) i->n_ctx_train = meta_int(l, "context_length");
}

/* Bytes an engine takes at this context; 0: it cannot be run. */
static size_t engine_bytes(const loaded *l, int n_ctx)
{
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    o.n_ctx = n_ctx;
    return l->info.bytes_weights ? mote_engine_bytes(l->m, &o) : 0;
}

static int memory_contexts(const loaded *l, int out[4])
{
    static const int some[] = { 512, 2048, 4096 };
    int n = 0;
    for (size_t i = 0; i < APP_COUNT(some); i++)
        if (some[i] < l->info.n_ctx_train || l->info.n_ctx_train <= 0) out[n++] = some[i];
    if (l->info.n_ctx_train > 0) out[n++] = l->info.n_ctx_train;
    return n;
}

static void put_pair(const char *name, const char *value)
{
    if (!value || !*value) return;
    printf("%-12s ", name);
    put_text(value, strlen(value));
}

static void put_memory(const loaded *l)
{
    int at[4];
    const int n = memory_contexts(l, at);
    term_buf b;
    if (!l->info.bytes_weights) return;
    printf("%-12s %s of packed weights", "memory", term_bytes(&b, l->info.bytes_weights));
    for (int i = 0; i < n; i++) {
        const size_t bytes = engine_bytes(l, at[i]);
        if (bytes) printf("%s %s at %d", i ? "," : ";", term_bytes(&b, bytes), at[i]);
    }
    printf(" tokens of context\n");
}

static int put_summary(const loaded *l)
{
    const mote_model_info *i = &l->info;
    term_buf b;
    put_pair("model", l->name);
    put_pair("name", i->name);
    put_pair("family", i->family);
    put_pair("licence", i->licence);
    put_pair("quant", i->quant);
    printf("%-12s %s\n", "parameters", term_count(&b, i->n_params));
    printf("%-12s %s\n", "size", term_bytes(&b, i->bytes_file));
    printf("%-12s %d layers, %d wide, %d heads (%d for keys and values)\n", "shape", i->n_layer, i->n_embd,
           i->n_head, i->n_head_kv);
    printf("%-12s %d tokens\n", "vocabulary", i->n_vocab);
    printf("%-12s %d tokens as trained\n", "context", i->n_ctx_train);
    printf("%-12s %s\n", "template", i->has_chat_template ? "yes (--template shows it)" : "none");
    put_memory(l);
    put_pair("file", l->path);
    putchar('\n');
    return put_section(l, "types");
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *s)
{
    json_t *v = s ? json_string(s) : NULL;
    return v ? v : json_null();
}

static json_t *json_memory(const loaded *l)
{
    int at[4];
    const int n = memory_contexts(l, at);
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        const size_t bytes = engine_bytes(l, at[i]);
        if (bytes) json_array_append_new(list, json_pack("{s:i, s:I}", "context", at[i], "bytes", (json_int_t)bytes));
    }
    return json_pack("{s:I, s:o}", "weights", (json_int_t)l->info.bytes_weights, "engine", list);
}

/* One section, as the library's JSON where it has it, else its text. */
static int add_section(const loaded *l, json_t *o, const char *name, const char *what, bool is_json)
{
    char *p;
    size_t n;
    const int st = print_of(l, what, &p, &n);
    if (st) return st;
    json_t *v = is_json ? json_loadb(p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : json_stringn(p, n);
    json_object_set_new(o, name, v ? v : json_null());
    free(p);
    return ST_DONE;
}

static int put_json(const loaded *l, const args *a)
{
    const mote_model_info *i = &l->info;
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:o}",
                          "model", text_or_null(l->name), "path", text_or_null(l->path),
                          "name", text_or_null(i->name), "family", text_or_null(i->family),
                          "quant", text_or_null(i->quant), "licence", text_or_null(i->licence),
                          "parameters", (json_int_t)i->n_params, "bytes", (json_int_t)i->bytes_file,
                          "layers", i->n_layer, "width", i->n_embd, "heads", i->n_head,
                          "heads_kv", i->n_head_kv, "vocabulary", i->n_vocab, "context", i->n_ctx_train,
                          "memory", json_memory(l));
    if (!o) return term_error(ST_NO_FIT, "no memory for the result");
    json_object_set_new(o, "has_chat_template", json_boolean(i->has_chat_template));
    if (args_has(a, OPT_TEMPLATE)) {
        size_t n = 0;
        char *sample = i->has_chat_template ? render_sample(l, &n) : NULL;
        json_object_set_new(o, "chat_template", text_or_null(template_of(l)));
        json_object_set_new(o, "chat_sample", sample ? json_stringn(sample, n) : json_null());
        free(sample);
    }
    int st = add_section(l, o, "types", "types.json", true);
    for (size_t k = 0; !st && k < APP_COUNT(sections); k++)
        if (args_has(a, sections[k].id) && sections[k].id != OPT_TYPES)
            st = add_section(l, o, sections[k].what, sections[k].json ? sections[k].json : sections[k].what,
                             sections[k].json != NULL);
    if (!st) {
        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(o);
    return st;
}

int cmd_show(const args *a)
{
    static loaded l;
    bool any = false;
    int st = load_describe(&l, a, a->rest[0]);
    if (st) return st;
    complete_info(&l);
    if (args_has(a, OPT_JSON)) {
        st = put_json(&l, a);
        load_close(&l);
        return st;
    }
    for (size_t k = 0; !st && k < APP_COUNT(sections); k++) {
        if (!args_has(a, sections[k].id)) continue;
        any = true;
        st = put_section(&l, sections[k].what);
    }
    if (!st && args_has(a, OPT_TEMPLATE)) {
        any = true;
        st = put_template(&l);
    }
    if (!st && !any) st = put_summary(&l);
    load_close(&l);
    return st;
}
