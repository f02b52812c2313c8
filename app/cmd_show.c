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

/* Opened without weights, the library says nothing about the shape; the metadata does. */
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

static void put_pair(const char *name, const char *value)
{
    if (!value || !*value) return;
    printf("%-12s ", name);
    put_text(value, strlen(value));
}

static void put_summary(const loaded *l)
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
    put_pair("file", l->path);
}

static json_t *text_or_null(const char *s)
{
    json_t *v = s ? json_string(s) : NULL;
    return v ? v : json_null();
}

static int put_json(const loaded *l, const args *a)
{
    static const struct { opt_id id; const char *what; } parts[] = {
        { OPT_METADATA, "metadata" }, { OPT_TENSORS, "tensors" }, { OPT_GRAPH, "graph" }, { OPT_PLAN, "plan" },
    };
    const mote_model_info *i = &l->info;
    json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i}",
                          "model", text_or_null(l->name), "path", text_or_null(l->path),
                          "name", text_or_null(i->name), "family", text_or_null(i->family),
                          "quant", text_or_null(i->quant), "licence", text_or_null(i->licence),
                          "parameters", (json_int_t)i->n_params, "bytes", (json_int_t)i->bytes_file,
                          "layers", i->n_layer, "width", i->n_embd, "heads", i->n_head,
                          "heads_kv", i->n_head_kv, "vocabulary", i->n_vocab, "context", i->n_ctx_train);
    if (!o) return term_error(ST_NO_FIT, "no memory for the result");
    json_object_set_new(o, "has_chat_template", json_boolean(i->has_chat_template));
    if (args_has(a, OPT_TEMPLATE)) json_object_set_new(o, "chat_template", text_or_null(template_of(l)));
    int st = ST_DONE;
    for (int k = 0; !st && k < (int)APP_COUNT(parts); k++) {
        char *p;
        size_t n;
        if (!args_has(a, parts[k].id)) continue;
        st = print_of(l, parts[k].what, &p, &n);
        if (st) break;
        json_t *s = json_stringn(p, n);
        json_object_set_new(o, parts[k].what, s ? s : json_null());
        free(p);
    }
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
    /* the plan needs the weights, everything else only the description */
    int st = load_model(&l, a, a->rest[0], false, !args_has(a, OPT_PLAN) && !args_has(a, OPT_GRAPH));
    if (!st) complete_info(&l);
    if (!st && args_has(a, OPT_JSON)) {
        st = put_json(&l, a);
        load_close(&l);
        return st;
    }
    if (!st && args_has(a, OPT_METADATA)) { any = true; st = put_section(&l, "metadata"); }
    if (!st && args_has(a, OPT_TENSORS)) { any = true; st = put_section(&l, "tensors"); }
    if (!st && args_has(a, OPT_GRAPH)) { any = true; st = put_section(&l, "graph"); }
    if (!st && args_has(a, OPT_PLAN)) { any = true; st = put_section(&l, "plan"); }
    if (!st && args_has(a, OPT_TEMPLATE)) {
        const char *t = template_of(&l);
        any = true;
        if (t) put_text(t, strlen(t));
        else st = term_error(ST_FAILED, "%s has no chat template", l.name);
    }
    if (!st && !any) put_summary(&l);
    load_close(&l);
    return st;
}
