/* SPDX-License-Identifier: MIT */
/* text.c - the public text calls: tokens of a text, tokens of a chat, and back. */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "api/model.h"

mote_status mote_tokenize_spans(const mote_model *m, const char *text, size_t len, unsigned flags,
                                mote_token *out, mote_span *span, size_t cap, size_t *n, mote_error *err)
{
    const mt_tokenizer *t;
    if (!n || (!text && len)) MT_FAIL(err, MOTE_EINVAL, "tokenize: text and n must not be NULL");
    MT_TRY(mt_model_tokenizer(m, &t, err));
    const mt_segment seg = {{text, len}, (flags & MOTE_TEXT_SPECIAL) != 0};
    return mt_tokenizer_encode_spans(t, &seg, 1, flags & (MOTE_TEXT_BOS | MOTE_TEXT_EOS), out, span, cap, n, err);
}

mote_status mote_tokenize(const mote_model *m, const char *text, size_t len, unsigned flags,
                          mote_token *out, size_t cap, size_t *n, mote_error *err)
{
    return mote_tokenize_spans(m, text, len, flags, out, NULL, cap, n, err);
}

mote_status mote_tokenize_many(const mote_model *m, const mote_text *text, size_t n_text, unsigned flags,
                               mote_token *out, mote_span *span, size_t cap, size_t *end, size_t *n, mote_error *err)
{
    const mt_tokenizer *t;
    if (!n || ((!text || !end) && n_text)) MT_FAIL(err, MOTE_EINVAL, "tokenize: text, end and n must not be NULL");
    MT_TRY(mt_model_tokenizer(m, &t, err));
    return mt_tokenizer_encode_many(t, m->pool, text, n_text, flags, out, span, cap, end, n, err);
}

mote_status mote_detokenize(const mote_model *m, const mote_token *t, size_t nt, unsigned flags,
                            char *out, size_t cap, size_t *n, mote_error *err)
{
    const mt_tokenizer *tok;
    mt_buf text;
    if (!n || (!t && nt)) MT_FAIL(err, MOTE_EINVAL, "detokenize: tokens and n must not be NULL");
    MT_TRY(mt_model_tokenizer(m, &tok, err));
    mt_buf_init(&text, m->alloc, (size_t)1 << 30);
    mote_status st = mt_tokenizer_decode(tok, t, nt, flags, &text, err);
    if (st == MOTE_OK) {
        *n = text.n;
        if (text.n > cap) st = mt_fail(err, MOTE_EFULL, "detokenize: %zu bytes, the buffer holds %zu", text.n, cap);
        else if (text.n) memcpy(out, text.p, text.n);
    }
    mt_buf_free(&text);
    return st;
}

const char *mote_token_bytes(const mote_model *m, mote_token t, size_t *len)
{
    bool is_special;
    size_t own;
    return m && m->tokenizer ? mt_tokenizer_bytes(m->tokenizer, t, len ? len : &own, &is_special) : NULL;
}

mote_token mote_token_named(const mote_model *m, const char *name)
{
    return m && m->tokenizer && name ? mt_tokenizer_find(m->tokenizer, mt_str_of(name)) : -1;
}

bool mote_token_ends(const mote_model *m, mote_token t) { return m && m->tokenizer && mt_tokenizer_ends(m->tokenizer, t); }
size_t mote_utf8_whole(const char *bytes, size_t n) { return mt_utf8_whole(bytes, n); }

/* ---- chats ---------------------------------------------------------------------------------------- */

void mote_chat_init(mote_chat *c)
{
    if (c) *c = (mote_chat){.size = sizeof *c};
}

/* Parses JSON text of the wanted kind into key of vars; NULL text: JSON null. */
static mote_status set_json(json_t *vars, const char *key, const char *text, bool want_array, mote_error *err)
{
    json_error_t why;
    json_t *v = text ? json_loads(text, JSON_REJECT_DUPLICATES, &why) : json_null();
    if (!v) MT_FAIL(err, MOTE_EINVAL, "chat: %s is not valid JSON: %s at line %d", key, why.text, why.line);
    if (text && want_array && !json_is_array(v)) {
        json_decref(v);
        MT_FAIL(err, MOTE_EINVAL, "chat: %s must be a JSON array", key);
    }
    if (json_object_set_new(vars, key, v)) MT_FAIL(err, MOTE_ENOMEM, "chat: no memory for %s", key);
    return MOTE_OK;
}

static mote_status set_token(json_t *vars, const mote_model *m, const char *key, int32_t id, mote_error *err)
{
    if (id < 0 || (size_t)id >= m->vocab.n_token) return MOTE_OK;
    const mt_str s = m->vocab.token[id];
    json_t *text = json_stringn(s.p, s.n);
    if (!text) return MOTE_OK;                   /* not UTF-8: the template cannot name it */
    if (json_object_set_new(vars, key, text)) MT_FAIL(err, MOTE_ENOMEM, "chat: no memory for %s", key);
    return MOTE_OK;
}

/* What the reference library hands to a template; the caller's variables cannot replace ours. */
static mote_status fill_variables(json_t *vars, const mote_model *m, const mote_chat *c, mote_error *err)
{
    if (!json_object_get(vars, "documents")) MT_TRY(set_json(vars, "documents", NULL, true, err));
    if (!json_object_get(vars, "__now") && json_object_set_new(vars, "__now", json_integer((json_int_t)time(NULL))))
        MT_FAIL(err, MOTE_ENOMEM, "chat: no memory for its variables");
    MT_TRY(set_json(vars, "messages", c->messages, true, err));
    MT_TRY(set_json(vars, "tools", c->tools, true, err));
    MT_TRY(set_token(vars, m, "bos_token", m->vocab.bos, err));
    MT_TRY(set_token(vars, m, "eos_token", m->vocab.eos, err));
    if (json_object_set_new(vars, "add_generation_prompt", json_boolean(!c->no_reply)))
        MT_FAIL(err, MOTE_ENOMEM, "chat: no memory for its variables");
    return MOTE_OK;
}

static mote_status variables_of(const mote_model *m, const mote_chat *c, char **out, mote_error *err)
{
    json_error_t why;
    json_t *vars = c->variables ? json_loads(c->variables, JSON_REJECT_DUPLICATES, &why) : json_object();
    if (!vars && c->variables) MT_FAIL(err, MOTE_EINVAL, "chat: variables are not valid JSON: %s at line %d", why.text, why.line);
    mote_status st = MOTE_OK;
    if (!json_is_object(vars)) st = mt_fail(err, MOTE_EINVAL, "chat: variables must be a JSON object");
    if (st == MOTE_OK) st = fill_variables(vars, m, c, err);
    if (st == MOTE_OK && !(*out = json_dumps(vars, JSON_COMPACT)))
        st = mt_fail(err, MOTE_ENOMEM, "chat: no memory for its variables");
    json_decref(vars);
    return st;
}

/* For a model without a template: a line for each message, and the reply's begun. */
static const char plain_chat[] =
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

typedef struct rendered { mt_arena arena; mt_segment *seg; size_t n; } rendered;

static mote_status render_with(const mt_template *t, const mote_model *m, const mote_chat *c, rendered *r, mote_error *err)
{
    static const char *const trusted[] = {"bos_token", "eos_token", NULL};
    char *vars = NULL;
    MT_TRY(variables_of(m, c, &vars, err));
    const mote_status st = mt_template_render(t, vars, trusted, &r->arena, &r->seg, &r->n, err);
    void (*release)(void *);
    json_get_alloc_funcs(NULL, &release);
    release(vars);
    return st;
}

/* r->arena is to be reset by the caller, whatever the status. */
static mote_status render(const mote_model *m, const mote_chat *in, rendered *r, mote_error *err)
{
    mt_arena_init(&r->arena, m ? m->alloc : NULL, 1 << 16);
    if (!m || !in) MT_FAIL(err, MOTE_EINVAL, "chat: model and chat must not be NULL");
    mote_chat c;
    mote_chat_init(&c);
    memcpy(&c, in, MT_MIN(in->size, sizeof c));
    if (!c.messages) MT_FAIL(err, MOTE_EINVAL, "chat: messages must not be NULL");
    if (!c.chat_template && m->chat) return render_with(c.tools && m->chat_tools ? m->chat_tools : m->chat, m, &c, r, err);
    if (!c.chat_template) mt_log(1, "%s: the model has no usable chat template, a plain one serves", m->source->path);
    mt_template *t;
    MT_TRY(mt_template_open(&t, mt_str_of(c.chat_template ? c.chat_template : plain_chat), m->alloc, err));
    const mote_status st = render_with(t, m, &c, r, err);
    mt_template_close(t);
    return st;
}

mote_status mote_chat_tokens(const mote_model *m, const mote_chat *c, mote_token *out, size_t cap,
                             size_t *n, mote_error *err)
{
    rendered r;
    const mt_tokenizer *t;
    if (!n) MT_FAIL(err, MOTE_EINVAL, "chat: n must not be NULL");
    MT_TRY(mt_model_tokenizer(m, &t, err));
    mote_status st = render(m, c, &r, err);
    if (st == MOTE_OK) st = mt_tokenizer_encode(t, r.seg, r.n, mt_tokenizer_chat_has_bos(t) ? MOTE_TEXT_BOS : 0, out, cap, n, err);
    mt_arena_reset(&r.arena);
    return st;
}

mote_status mote_chat_render(const mote_model *m, const mote_chat *c, char *out, size_t cap,
                             size_t *n, mote_error *err)
{
    rendered r;
    if (!n) MT_FAIL(err, MOTE_EINVAL, "chat: n must not be NULL");
    mote_status st = render(m, c, &r, err);
    if (st == MOTE_OK) {
        size_t total = 0, at = 0;
        for (size_t i = 0; i < r.n; i++) total += r.seg[i].text.n;
        *n = total;
        if (total > cap) st = mt_fail(err, MOTE_EFULL, "chat: %zu bytes, the buffer holds %zu", total, cap);
        for (size_t i = 0; st == MOTE_OK && i < r.n; at += r.seg[i++].text.n)
            memcpy(out + at, r.seg[i].text.p, r.seg[i].text.n);
    }
    mt_arena_reset(&r.arena);
    return st;
}
