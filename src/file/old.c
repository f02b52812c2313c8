/* SPDX-License-Identifier: MIT */
/* old.c - a llama of an older format as GGUF tells it: keys, names, shapes, vocabulary. */
#include "file/old.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_VOCAB = 1 << 20, MAX_CTX = 1 << 24, MAX_DIM = 65536, MAX_HIDDEN = 1 << 20, MAX_LAYER = 1024, MAX_HEAD = 1024,
    N_META = 24                      /* what begin and words_end add, at most */
};


/* ---- the parts ------------------------------------------------------------------ */

static const struct { const char *gguf, *torch; bool in_layer; } part_row[MT_OLD_PARTS] = {
    [MT_OLD_EMBD] = { "token_embd", "tok_embeddings", false },
    [MT_OLD_ATTN_NORM] = { "attn_norm", "attention_norm", true },
    [MT_OLD_Q] = { "attn_q", "attention.wq", true },
    [MT_OLD_K] = { "attn_k", "attention.wk", true },
    [MT_OLD_V] = { "attn_v", "attention.wv", true },
    [MT_OLD_O] = { "attn_output", "attention.wo", true },
    [MT_OLD_FFN_NORM] = { "ffn_norm", "ffn_norm", true },
    [MT_OLD_GATE] = { "ffn_gate", "feed_forward.w1", true },
    [MT_OLD_DOWN] = { "ffn_down", "feed_forward.w2", true },
    [MT_OLD_UP] = { "ffn_up", "feed_forward.w3", true },
    [MT_OLD_NORM] = { "output_norm", "norm", false },
    [MT_OLD_HEAD] = { "output", "output", false },
};

bool mt_old_in_layer(mt_old_part part) { return part_row[part].in_layer; }

void mt_old_shape(const mt_old_llama *h, mt_old_part part, uint64_t ne[2])
{
    const uint64_t kv = (uint64_t)(h->dim / h->n_head) * h->n_kv;
    ne[0] = h->dim, ne[1] = 1;
    switch (part) {
    case MT_OLD_EMBD: case MT_OLD_HEAD: ne[1] = h->n_vocab; break;
    case MT_OLD_Q: case MT_OLD_O: ne[1] = h->dim; break;
    case MT_OLD_K: case MT_OLD_V: ne[1] = kv; break;
    case MT_OLD_GATE: case MT_OLD_UP: ne[1] = h->hidden; break;
    case MT_OLD_DOWN: ne[0] = h->hidden, ne[1] = h->dim; break;
    case MT_OLD_ATTN_NORM: case MT_OLD_FFN_NORM: case MT_OLD_NORM: case MT_OLD_PARTS: break;
    }
}

static bool in(uint32_t v, uint32_t most) { return v >= 1 && v <= most; }

bool mt_old_plausible(const mt_old_llama *h)
{
    return in(h->n_vocab, MAX_VOCAB) && in(h->n_ctx, MAX_CTX) && in(h->dim, MAX_DIM) && in(h->hidden, MAX_HIDDEN)
           && in(h->n_layer, MAX_LAYER) && in(h->n_head, MAX_HEAD) && in(h->n_kv, h->n_head)
           && h->n_head % h->n_kv == 0 && h->dim % h->n_head == 0 && h->dim / h->n_head % 2 == 0;
}

bool mt_old_find(mt_str name, mt_old_part *part, uint32_t *layer)
{
    char torch[64];
    size_t n_text = sizeof "layers." - 1, at = n_text;
    const bool in_layer = name.n > n_text && memcmp(name.p, "layers.", n_text) == 0;
    *layer = 0;
    if (!in_layer) at = 0;
    for (; in_layer && at < name.n && name.p[at] >= '0' && name.p[at] <= '9' && *layer <= MAX_LAYER; at++)
        *layer = *layer * 10 + (uint32_t)(name.p[at] - '0');
    if (in_layer && (at == n_text || (name.p[n_text] == '0' && at > n_text + 1) || at == name.n || name.p[at++] != '.'))
        return false;
    for (int i = 0; i < MT_OLD_PARTS; i++) {
        const int n = snprintf(torch, sizeof torch, "%s.weight", part_row[i].torch);
        *part = (mt_old_part)i;
        if (part_row[i].in_layer == in_layer && mt_str_eq((mt_str){ name.p + at, name.n - at }, (mt_str){ torch, (size_t)n }))
            return true;
    }
    return false;
}

/* ---- metadata --------------------------------------------------------------------- */

static mt_meta *add(mt_source *s, const char *key, mt_meta_type type)
{
    mt_meta *m = &s->meta[s->n_meta++];             /* N_META bounds them */
    *m = (mt_meta){ .key = key, .type = type, .n = 1 };
    return m;
}

static void add_number(mt_source *s, const char *key, uint64_t value) { add(s, key, MT_META_U32)->value.u = value; }
static void add_text(mt_source *s, const char *key, const char *text) { add(s, key, MT_META_STRING)->value.s = mt_str_of(text); }

mote_status mt_old_begin(mt_source *s, const char *format, const mt_old_llama *h, mote_error *err)
{
    const size_t n_tensor = (size_t)h->n_layer * MT_OLD_PARTS + MT_OLD_PARTS;
    s->format = format;
    s->n_meta = s->n_tensor = 0;
    s->meta = mt_arena_push_n(&s->arena, N_META, sizeof *s->meta);
    s->tensor = mt_arena_push_n(&s->arena, n_tensor, sizeof *s->tensor);
    if (!s->meta || !s->tensor)
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for %zu tensors", mt_path_end(s->path), n_tensor);
    add_text(s, "general.architecture", "llama");
    add_number(s, "llama.context_length", h->n_ctx);
    add_number(s, "llama.embedding_length", h->dim);
    add_number(s, "llama.block_count", h->n_layer);
    add_number(s, "llama.feed_forward_length", h->hidden);
    add_number(s, "llama.attention.head_count", h->n_head);
    add_number(s, "llama.attention.head_count_kv", h->n_kv);
    add(s, "llama.attention.layer_norm_rms_epsilon", MT_META_F32)->value.f = (double)h->eps;
    add_number(s, "llama.rope.dimension_count", h->dim / h->n_head);
    add_number(s, "llama.vocab_size", h->n_vocab);
    return MOTE_OK;
}

mt_tensor *mt_old_add(mt_source *s, const mt_old_llama *h, mt_old_part part, uint32_t layer)
{
    char name[64];
    uint64_t ne[2];
    if (part_row[part].in_layer) snprintf(name, sizeof name, "blk.%u.%s.weight", layer, part_row[part].gguf);
    else snprintf(name, sizeof name, "%s.weight", part_row[part].gguf);
    mt_tensor *t = &s->tensor[s->n_tensor];
    mt_old_shape(h, part, ne);
    *t = (mt_tensor){ .name = mt_arena_string(&s->arena, mt_str_of(name)), .n_dim = ne[1] > 1 ? 2 : 1,
                      .ne = { (int64_t)ne[0], (int64_t)ne[1], 1, 1 } };
    if (!t->name) return NULL;
    s->n_tensor++;
    return t;
}

/* ---- vocabulary ----------------------------------------------------------------------- */

mote_status mt_old_words_begin(mt_source *s, mt_old_words *w, size_t n, bool has_score, mote_error *err)
{
    *w = (mt_old_words){ .n = n, .text = mt_arena_push_n(&s->arena, n, sizeof *w->text),
                         .score = has_score ? mt_arena_push_n(&s->arena, n, 4) : NULL,
                         .kind = mt_arena_push_n(&s->arena, n, 4) };
    if (!w->text || !w->kind || (has_score && !w->score))
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for a vocabulary of %zu", mt_path_end(s->path), n);
    return MOTE_OK;
}

void mt_old_word(mt_old_words *w, size_t i, const char *text, size_t n, int kind)
{
    w->text[i] = (mt_str){ text, n };
    w->kind[4 * i] = (uint8_t)kind;
}

static const char space_mark[] = "\xE2\x96\x81";        /* U+2581 */

/* One block for all texts.  Spaces of control tokens are no words' spaces, but they have none. */
static bool copy_texts(mt_source *s, mt_old_words *w)
{
    size_t bytes = 0;
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->text[i].n; k++) bytes += w->text[i].p[k] == ' ' ? 3 : 1;   /* <= 3 times the file */
    char *room = mt_arena_push(&s->arena, bytes);
    for (size_t i = 0; room && i < w->n; i++) {
        const mt_str from = w->text[i];
        w->text[i].p = room;
        for (size_t k = 0; k < from.n; k++) {
            const size_t n = from.p[k] == ' ' ? 3 : 1;
            memcpy(room, n == 3 ? space_mark : from.p + k, n);
            room += n;
        }
        w->text[i].n = (size_t)(room - w->text[i].p);
    }
    return room != NULL;
}

mote_status mt_old_words_end(mt_source *s, mt_old_words *w, mote_error *err)
{
    if (!copy_texts(s, w)) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for a vocabulary of %zu", mt_path_end(s->path), w->n);
    add_text(s, "tokenizer.ggml.model", "llama");
    add_text(s, "tokenizer.ggml.pre", "default");
    mt_meta *m = add(s, "tokenizer.ggml.tokens", MT_META_ARRAY);
    m->item = MT_META_STRING, m->n = w->n, m->strings = w->text;
    if (w->score) {
        m = add(s, "tokenizer.ggml.scores", MT_META_ARRAY);
        m->item = MT_META_F32, m->n = w->n, m->raw = w->score;
    }
    m = add(s, "tokenizer.ggml.token_type", MT_META_ARRAY);
    m->item = MT_META_I32, m->n = w->n, m->raw = w->kind;
    add_number(s, "tokenizer.ggml.bos_token_id", 1);
    add_number(s, "tokenizer.ggml.eos_token_id", 2);
    add_number(s, "tokenizer.ggml.unknown_token_id", 0);
    add(s, "tokenizer.ggml.add_bos_token", MT_META_BOOL)->value.b = true;
    add(s, "tokenizer.ggml.add_eos_token", MT_META_BOOL)->value.b = false;
    return MOTE_OK;
}
