/* SPDX-License-Identifier: MIT */
/* template.c - the chat template as the rest of mote sees it: open, render, close.
 *
 * A template is parsed once and then only read, so threads may render it at the same time.
 * A render owns everything else: the parsed variables, its heap, its output; only the
 * segments that leave go to the caller's arena. */
#include <jansson.h>
#include <string.h>

#include "text/jinja.h"

enum { BLOCK = 64 << 10, TREE_BLOCK = 16 << 10 };

mote_status mt_template_open(mt_template **out, mt_str source, const mote_alloc *alloc,
                             mote_error *err)
{
    *out = NULL;
    if (source.n > MT_J_SOURCE)
        MT_FAIL(err, MOTE_EFULL, "the template has %zu bytes, the limit is %d", source.n,
                MT_J_SOURCE);
    if (!mt_j_valid(source.p, source.n))
        MT_FAIL(err, MOTE_EFORMAT, "the template is not valid UTF-8");
    mt_arena arena;
    mt_arena_init(&arena, alloc, TREE_BLOCK);
    mt_template *t = mt_arena_push_zero(&arena, sizeof *t);
    mote_status status = t ? mt_j_parse(source, &arena, &t->root, err)
                           : mt_fail(err, MOTE_ENOMEM, "no memory for a template");
    if (status) {
        mt_arena_reset(&arena);
        return status;
    }
    t->arena = arena;
    *out = t;
    return MOTE_OK;
}

void mt_template_close(mt_template *t)
{
    if (!t) return;
    mt_arena arena = t->arena;                    /* t itself lies in it */
    mt_arena_reset(&arena);
}

/* jansson recurses per level: deep input is refused before it sees it. */
static mote_status check_depth(const char *json, mote_error *err)
{
    int depth = 0;
    bool in_string = false;
    for (const char *p = json; *p; p++) {
        if (in_string && *p == '\\' && p[1]) p++;
        else if (*p == '"') in_string = !in_string;
        else if (!in_string && (*p == '[' || *p == '{')) depth++;
        else if (!in_string && (*p == ']' || *p == '}')) depth--;
        if (depth > MT_J_DATA_DEPTH)
            MT_FAIL(err, MOTE_EFULL, "the template's variables nest deeper than %d levels",
                    MT_J_DATA_DEPTH);
    }
    return MOTE_OK;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (size_t i = 0; names && names[i]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static mote_status load_variables(mt_jrun *r, json_t *json, const char *const *trusted)
{
    mt_jv vars, key, value;
    MT_TRY(mt_j_dict(r, json_object_size(json), &vars));
    for (void *it = json_object_iter(json); it; it = json_object_iter_next(json, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *v = json_object_iter_value(it);
        if (strcmp(name, "__now") == 0) {
            r->now = json_number_value(v);
            continue;
        }
        bool is_tainted = !is_listed(trusted, name);
        MT_TRY(mt_j_text(r, name, json_object_iter_key_len(it),
                         is_tainted ? NULL : MT_J_TRUSTED, &key));
        MT_TRY(mt_j_from_json(r, v, is_tainted, 0, &value));
        MT_TRY(mt_j_dict_set(r, vars.u.d, &key, &value));
    }
    r->vars = vars.u.d;
    return MOTE_OK;
}

/* Where the run of equal marks that starts at i ends. */
static size_t run_end(const uint8_t *marks, size_t i, size_t n)
{
    const uint8_t *p = memchr(marks + i, !marks[i], n - i);
    return p ? (size_t)(p - marks) : n;
}

/* The output as runs of equal marks, in the caller's arena. */
static mote_status segments(mt_jrun *r, mt_arena *arena, mt_segment **out, size_t *n)
{
    const uint8_t *marks = (const uint8_t *)r->marks.p;
    const size_t size = r->out.n;
    size_t n_run = 0, k = 0;
    for (size_t i = 0; i < size; i = run_end(marks, i, size)) n_run++;
    if (n_run > MT_J_HEAP / sizeof(mt_segment)) return mt_j_limit(r, "heap bytes", MT_J_HEAP);
    char *text = mt_arena_push(arena, size + 1);
    mt_segment *seg = mt_arena_push_n(arena, n_run + 1, sizeof *seg);
    if (!text || !seg)
        return mt_fail(r->err, MOTE_ENOMEM, "no memory for the rendered template");
    if (size) memcpy(text, r->out.p, size);
    text[size] = 0;
    for (size_t i = 0, end; i < size; i = end) {
        end = run_end(marks, i, size);
        seg[k++] = (mt_segment){ { text + i, end - i }, marks[i] != 0 };
    }
    *out = seg;
    *n = n_run;
    return MOTE_OK;
}

static mote_status run(mt_jrun *r, const mt_template *t, json_t *json,
                       const char *const *trusted)
{
    mt_jscope root = { 0 };
    MT_TRY(load_variables(r, json, trusted));
    return mt_j_exec(r, &root, t->root);
}

mote_status mt_template_render(const mt_template *t, const char *variables_json,
                               const char *const *trusted, mt_arena *arena, mt_segment **out,
                               size_t *n, mote_error *err)
{
    *out = NULL;
    *n = 0;
    MT_TRY(check_depth(variables_json, err));
    json_error_t why;
    json_t *json = json_loads(variables_json, JSON_ALLOW_NUL, &why);
    if (!json || !json_is_object(json)) {
        json_decref(json);
        MT_FAIL(err, MOTE_EINVAL, "the template's variables are no JSON object: %s",
                json ? "another type" : why.text);
    }
    mt_jrun r = { .err = err, .line = 1 };
    mt_arena_init(&r.heap, t->arena.alloc, BLOCK);
    mt_buf_init(&r.out, t->arena.alloc, MT_J_OUTPUT);
    mt_buf_init(&r.marks, t->arena.alloc, MT_J_OUTPUT);
    mote_status status = run(&r, t, json, trusted);
    if (!status) status = segments(&r, arena, out, n);
    mt_buf_free(&r.out);
    mt_buf_free(&r.marks);
    mt_arena_reset(&r.heap);
    json_decref(json);
    return status;
}
