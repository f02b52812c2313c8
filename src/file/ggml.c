/* SPDX-License-Identifier: MIT */
/* ggml.c - GGML, GGMF and GGJT files of llama models, what llama.cpp wrote before GGUF.
 *
 * A header, the vocabulary, then tensors one behind the other to the end of the file.  Blocks of GGJT 3
 * are GGUF's.  Older ones differ in two ways: neighbouring values share a byte (before GGJT 2), and
 * scales are f32 where GGUF has f16.  The first is mended exactly by making rows; where scales would
 * have to be rounded, the rows are made as f32 instead.  Quantised files without a version had two
 * layouts that nothing tells apart, and are refused. */
#include "file/old.h"
#include "file/parts.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 256, ALIGN = 32, BLOCK = 32, N_CTX = 2048, MAX_VOCAB = 1 << 20 };

static const struct { const char *magic, *name; uint32_t last; } kind_row[] = {
    { "lmgg", "GGML", 0 }, { "fmgg", "GGMF", 1 }, { "tjgg", "GGJT", 3 } };
enum { GGML, GGMF, GGJT };

typedef struct reader {
    mt_source  *s;
    mt_cursor   c;
    mt_old_llama h;
    size_t      kind;            /* row of the table above */
    uint32_t    version, quant;  /* quant: layouts of blocks, 1 to 3; 0: unknown */
    const char *path;
    mote_error *err;
} reader;

bool mt_ggml_is(const mt_map *m)
{
    for (size_t i = 0; i < MT_COUNT(kind_row); i++)
        if (m->size >= 4 && memcmp(m->data, kind_row[i].magic, 4) == 0) return true;
    return false;
}

static mote_status ends_early(const reader *r, const char *what)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: the file ends inside %s, %zu bytes long", r->path, what, r->c.size);
}

/* ---- header and vocabulary ------------------------------------------------------------ */

static mote_status read_header(reader *r)
{
    uint32_t v[7];
    while (memcmp(r->s->map.data, kind_row[r->kind].magic, 4) != 0) r->kind++;
    mt_read_u32(&r->c);
    if (r->kind != GGML) r->version = mt_read_u32(&r->c);
    if (!r->c.failed && (r->version > kind_row[r->kind].last || (r->kind != GGML && r->version == 0)))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: expected %s version 1 to %u, found %u", r->path, kind_row[r->kind].name,
                kind_row[r->kind].last, r->version);
    r->quant = r->version;                      /* GGMF 1 and GGJT 1 have the same blocks */
    for (int i = 0; i < 7; i++) v[i] = mt_read_u32(&r->c);
    if (r->c.failed) return ends_early(r, "its header");
    /* v[2] rounds the feed-forward width, which the tensors tell; v[6] is the type of most tensors */
    r->h = (mt_old_llama){ .n_vocab = v[0], .n_ctx = N_CTX, .dim = v[1], .hidden = 1, .n_layer = v[4], .n_head = v[3],
                           .n_kv = v[3], .eps = 5e-6f };
    if (!mt_old_plausible(&r->h) || v[5] != v[1] / v[3])
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: the numbers in its %s header do not describe a llama model, and others are not "
                "read from such files", r->path, kind_row[r->kind].name);
    return MOTE_OK;
}

/* Sentencepiece's ids: unknown, begin, end, 256 bytes, pieces. */
static void set_word(mt_old_words *w, size_t i, const char *text, size_t n, char *byte_room)
{
    static const struct { const char *text; int kind; } special[] = {
        { "<unk>", MT_OLD_UNKNOWN }, { "<s>", MT_OLD_CONTROL }, { "</s>", MT_OLD_CONTROL } };
    char *hex = byte_room + 8 * (i & 255);
    if (i < MT_COUNT(special)) {
        mt_old_word(w, i, special[i].text, strlen(special[i].text), special[i].kind);
    } else if (n == 1 && i < MT_COUNT(special) + 256) {
        snprintf(hex, 8, "<0x%02X>", (unsigned)(uint8_t)*text);
        mt_old_word(w, i, hex, 6, MT_OLD_BYTE);
    } else {
        mt_old_word(w, i, text, n, n ? MT_OLD_NORMAL : MT_OLD_CONTROL);
    }
}

static mote_status read_words(reader *r, mt_old_words *w)
{
    const bool has_score = r->kind != GGML;
    const size_t least = has_score ? 8 : 4;
    char *byte_room = mt_arena_push(&r->s->arena, 256 * 8);
    if (!byte_room) MT_FAIL(r->err, MOTE_ENOMEM, "%s: no memory for its vocabulary", r->path);
    if (r->h.n_vocab > (r->c.size - r->c.at) / least) return ends_early(r, "its vocabulary");
    MT_TRY(mt_old_words_begin(r->s, w, r->h.n_vocab, has_score, r->err));
    for (size_t i = 0; i < w->n; i++) {
        const uint32_t n = mt_read_u32(&r->c);
        const char *text = (const char *)mt_read_bytes(&r->c, n);
        const uint8_t *score = has_score ? mt_read_bytes(&r->c, 4) : NULL;
        if (r->c.failed) return ends_early(r, "its vocabulary");
        if (score) memcpy(w->score + 4 * i, score, 4);
        set_word(w, i, text, n, byte_room);
    }
    return MOTE_OK;
}

/* ---- blocks of before -------------------------------------------------------------------- */

static float load_f32(const uint8_t *p)
{
    float f;
    mt_decode_row(MT_F32, p, &f, 1);
    return f;
}

static int code_of(const uint8_t *q, int i, bool in_pairs)
{
    if (in_pairs) return q[i / 2] >> (i % 2 * 4) & 15;
    return i < BLOCK / 2 ? q[i] & 15 : q[i - BLOCK / 2] >> 4;
}

/* One block to f32 values, or to GGUF's block of the same type. */
typedef void (*block_fn)(const uint8_t *p, bool in_pairs, uint8_t *out);

static void make_q4_0(const uint8_t *p, bool in_pairs, uint8_t *out)     /* f32 d | codes */
{
    const float d = load_f32(p);
    for (int i = 0; i < BLOCK; i++) mt_old_store(out + 4 * i, d * (float)(code_of(p + 4, i, in_pairs) - 8));
}

static void make_q4_1(const uint8_t *p, bool in_pairs, uint8_t *out)     /* f32 d, m | codes */
{
    const float d = load_f32(p), m = load_f32(p + 4);
    for (int i = 0; i < BLOCK; i++) mt_old_store(out + 4 * i, d * (float)code_of(p + 8, i, in_pairs) + m);
}

static void make_q8_0(const uint8_t *p, bool in_pairs, uint8_t *out)     /* f32 d | 32 i8 */
{
    (void)in_pairs;
    const float d = load_f32(p);
    for (int i = 0; i < BLOCK; i++) mt_old_store(out + 4 * i, (float)(int8_t)p[4 + i] * d);
}

static void turn_codes(const uint8_t *from, uint8_t *to)
{
    for (int i = 0; i < BLOCK / 2; i++)
        to[i] = (uint8_t)(code_of(from, i, true) | code_of(from, i + BLOCK / 2, true) << 4);
}

static void make_q5_0(const uint8_t *p, bool in_pairs, uint8_t *out)     /* f16 d | fifth bits | codes */
{
    (void)in_pairs;
    memcpy(out, p, 6);
    turn_codes(p + 6, out + 6);
}

static void make_q5_1(const uint8_t *p, bool in_pairs, uint8_t *out)     /* f16 d, m | fifth bits | codes */
{
    (void)in_pairs;
    memcpy(out, p, 8);
    turn_codes(p + 8, out + 8);
}

/* By type and layouts from first to last; what stands nowhere is GGUF's in version 3. */
static const struct { mt_type type; uint32_t first, last; int bytes; mt_type made; block_fn make; } old_row[] = {
    { MT_Q4_0, 1, 2, 20, MT_F32, make_q4_0 },   { MT_Q4_1, 1, 2, 24, MT_F32, make_q4_1 },
    { MT_Q8_0, 1, 2, 36, MT_F32, make_q8_0 },   { MT_Q5_0, 1, 1, 22, MT_Q5_0, make_q5_0 },
    { MT_Q5_1, 1, 1, 24, MT_Q5_1, make_q5_1 },
};

typedef struct recipe { const uint8_t *block; size_t bytes, out_bytes; bool in_pairs; block_fn make; } recipe;

static void make_rows(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const recipe *r = t->recipe;
    const size_t per_row = (size_t)t->ne[0] / BLOCK, from = (size_t)first * per_row, to = from + (size_t)n * per_row;
    for (size_t i = from; i < to; i++, out += r->out_bytes) r->make(r->block + i * r->bytes, r->in_pairs, out);
}

/* ---- tensors -------------------------------------------------------------------------------- */

typedef struct record {
    mt_old_part part;
    uint32_t layer, type, ne[2];
    int n_dim;
    size_t old;                      /* row of old_row; their number: none */
    const uint8_t *data;
    size_t bytes;
    char name[MAX_NAME + 1];
} record;

static mote_status read_name(reader *r, record *t, uint32_t n)
{
    if (n > MAX_NAME)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: expected a tensor's name of at most %d bytes, found %u", r->path, MAX_NAME, n);
    const uint8_t *p = mt_read_bytes(&r->c, n);
    if (!p) return ends_early(r, "a tensor's name");
    memcpy(t->name, p, n);
    t->name[n] = 0;
    if (!mt_old_find((mt_str){ (const char *)p, n }, &t->part, &t->layer) || t->layer >= r->h.n_layer)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: tensor %.64s is none of a llama model of %u layers", r->path, t->name,
                r->h.n_layer);
    return MOTE_OK;
}

/* What the tensor is stored as, and its size. */
static mote_status find_type(const reader *r, record *t)
{
    const mt_type_info *info = mt_type_of(t->type);
    const bool is_plain = t->type == MT_F32 || t->type == MT_F16;
    const bool is_block = (t->type >= MT_Q4_0 && t->type <= MT_Q8_0) || (t->type >= MT_Q2_K && t->type <= MT_Q6_K);
    int block = info ? info->block : 1, bytes = info ? info->bytes : 1;
    bool is_known = info && (is_plain || (is_block && r->quant == 3) || (r->quant == 2 && t->type >= MT_Q5_0 && is_block
                                                                        && t->type <= MT_Q5_1));
    size_t n;
    for (t->old = 0; t->old < MT_COUNT(old_row); t->old++)
        if (old_row[t->old].type == t->type && r->quant >= old_row[t->old].first && r->quant <= old_row[t->old].last) break;
    if (t->old < MT_COUNT(old_row)) is_known = true, block = BLOCK, bytes = old_row[t->old].bytes;
    if (!is_known)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: tensor %.64s: blocks of type %s in a %s file of version %u cannot be read; "
                "take a GGUF file of this model", r->path, t->name, info ? info->name : "unknown", kind_row[r->kind].name,
                r->version);
    if (t->ne[0] % (uint32_t)block)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %.64s: rows of %s need a multiple of %d values, found %u", r->path,
                t->name, info->name, block, t->ne[0]);
    if (!mt_mul_ok((size_t)t->ne[0], (size_t)t->ne[1], &n) || !mt_mul_ok(n / (size_t)block, (size_t)bytes, &t->bytes))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %.64s: too large for any memory", r->path, t->name);
    return MOTE_OK;
}

static mote_status next_record(reader *r, record *t)
{
    const uint32_t n_dim = mt_read_u32(&r->c), n_name = mt_read_u32(&r->c);
    t->type = mt_read_u32(&r->c);
    if (!r->c.failed && (n_dim < 1 || n_dim > 2))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: expected a tensor of 1 or 2 dimensions at byte %zu, found %u", r->path,
                r->c.at - 12, n_dim);
    t->n_dim = (int)n_dim;
    t->ne[0] = mt_read_u32(&r->c);
    t->ne[1] = n_dim == 2 ? mt_read_u32(&r->c) : 1;
    if (r->c.failed) return ends_early(r, "a tensor");
    MT_TRY(read_name(r, t, n_name));
    MT_TRY(find_type(r, t));
    if (r->kind == GGJT) mt_read_bytes(&r->c, (ALIGN - r->c.at % ALIGN) % ALIGN);
    t->data = mt_read_bytes(&r->c, t->bytes);
    return t->data ? MOTE_OK : ends_early(r, t->name);
}

/* The numbers that the header leaves out: the feed-forward width, and heads of keys and values. */
static mote_status look_ahead(reader *r)
{
    record t;
    const size_t at = r->c.at;
    const uint32_t head = r->h.dim / r->h.n_head;
    bool has_gate = false;
    while (r->c.at < r->c.size) {
        MT_TRY(next_record(r, &t));
        if (t.layer != 0) continue;
        if (t.part == MT_OLD_GATE) r->h.hidden = t.ne[1], has_gate = true;
        if (t.part == MT_OLD_K) r->h.n_kv = t.ne[1] / head;
        if (t.part == MT_OLD_EMBD && t.ne[0] < r->h.dim && r->kind != GGJT)
            MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: one of several files of a model, which only llama.cpp of that time joins; "
                    "take a GGUF file of this model", r->path);
    }
    if (!has_gate || !mt_old_plausible(&r->h))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: its tensors do not describe a llama model", r->path);
    r->c.at = at;
    return MOTE_OK;
}

static mote_status add_tensor(reader *r, const record *t)
{
    uint64_t ne[2];
    mt_source *s = r->s;
    mt_old_shape(&r->h, t->part, ne);
    if (t->ne[0] != ne[0] || t->ne[1] != ne[1])
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %.64s has shape [%u, %u], its header needs [%llu, %llu]", r->path, t->name,
                t->ne[0], t->ne[1], (unsigned long long)ne[0], (unsigned long long)ne[1]);
    if (s->n_tensor == (size_t)MT_OLD_PARTS * (r->h.n_layer + 1))       /* room for all there can be */
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %.64s appears twice", r->path, t->name);
    mt_tensor *o = mt_old_add(s, &r->h, t->part, t->layer);
    const bool is_made = t->old < MT_COUNT(old_row);
    recipe *make = is_made ? mt_arena_push(&s->arena, sizeof *make) : NULL;
    if (!o || (is_made && !make)) MT_FAIL(r->err, MOTE_ENOMEM, "%s: no memory for tensor %.64s", r->path, t->name);
    o->type = is_made ? old_row[t->old].made : (mt_type)t->type;
    o->bytes = mt_row_bytes(o->type, o->ne[0]) * (size_t)o->ne[1];
    if (!is_made) {
        o->data = t->data;
        return MOTE_OK;
    }
    *make = (recipe){ t->data, (size_t)old_row[t->old].bytes, mt_row_bytes(o->type, BLOCK), r->quant == 1,
                      old_row[t->old].make };
    o->make = make_rows, o->recipe = make;
    return MOTE_OK;
}

static mote_status read_all(reader *r)
{
    mt_old_words words;
    record t;
    MT_TRY(read_header(r));
    MT_TRY(read_words(r, &words));
    r->s->data_bytes = r->c.size - r->c.at;
    MT_TRY(look_ahead(r));
    MT_TRY(mt_old_begin(r->s, kind_row[r->kind].name, &r->h, r->err));
    r->s->version = r->version;
    while (r->c.at < r->c.size) {
        MT_TRY(next_record(r, &t));
        MT_TRY(add_tensor(r, &t));
    }
    MT_TRY(mt_old_words_end(r->s, &words, r->err));
    return mt_source_index(r->s, r->err);
}

mote_status mt_ggml_read(mt_source *s, mote_error *err)
{
    reader r = { .s = s, .c = { .p = s->map.data, .size = s->map.size }, .path = mt_path_end(s->path), .err = err };
    return read_all(&r);
}
