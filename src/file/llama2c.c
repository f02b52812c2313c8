/* SPDX-License-Identifier: MIT */
/* llama2c.c - the .bin files of llama2.c: a llama as plain arrays behind seven numbers.
 *
 * Version 0 has no magic: it is believed when the file has exactly the size that its numbers ask for.
 * Version 1 is the same with a header, version 2 has int8 codes with one f32 scale for each group of
 * a flattened matrix.  No block type keeps such scales, and a rounded one would be another model, so
 * that these tensors are f32 whose rows are made.  The vocabulary lies in a file beside the model. */
#include "file/old.h"
#include "file/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEADER = 28, NEW_HEADER = 256, MAGIC = 0x616b3432, N_PART = 13, ROPE = MT_OLD_PARTS, MAX_WORDS = 64 << 20 };

typedef struct header {
    mt_old_llama llama;
    int version;
    bool is_tied;
    uint32_t group;              /* version 2: codes that share a scale */
} header;

/* Where the parts lie; ROPE: tables of cosines and sines, which everybody computes. */
static const int legacy_order[N_PART] = {
    MT_OLD_EMBD, MT_OLD_ATTN_NORM, MT_OLD_Q, MT_OLD_K, MT_OLD_V, MT_OLD_O, MT_OLD_FFN_NORM, MT_OLD_GATE, MT_OLD_DOWN,
    MT_OLD_UP, MT_OLD_NORM, ROPE, MT_OLD_HEAD };
static const int order[N_PART] = {
    MT_OLD_ATTN_NORM, MT_OLD_FFN_NORM, MT_OLD_NORM, MT_OLD_EMBD, MT_OLD_Q, MT_OLD_K, MT_OLD_V, MT_OLD_O, MT_OLD_GATE,
    MT_OLD_DOWN, MT_OLD_UP, MT_OLD_HEAD, -1 };

/* ---- the header ------------------------------------------------------------------- */

static bool read_numbers(mt_cursor *c, header *h)
{
    uint32_t v[7];
    for (int i = 0; i < 7; i++) v[i] = mt_read_u32(c);
    h->is_tied = v[5] <= INT32_MAX;              /* version 0: negative says that the head is its own */
    if (!h->is_tied) v[5] = 0 - v[5];
    h->llama = (mt_old_llama){ .dim = v[0], .hidden = v[1], .n_layer = v[2], .n_head = v[3], .n_kv = v[4],
                               .n_vocab = v[5], .n_ctx = v[6], .eps = 1e-5f };
    return !c->failed && mt_old_plausible(&h->llama);
}

static uint64_t values_of(const header *h, int part)
{
    uint64_t ne[2];
    if (part < 0 || (part == MT_OLD_HEAD && h->is_tied)) return 0;
    if (part == ROPE) return (uint64_t)h->llama.n_ctx * (h->llama.dim / h->llama.n_head / 2) * 2;
    mt_old_shape(&h->llama, (mt_old_part)part, ne);
    return ne[0] * ne[1];
}

static bool is_coded(const header *h, int part)
{
    return h->version == 2 && part != MT_OLD_ATTN_NORM && part != MT_OLD_FFN_NORM && part != MT_OLD_NORM;
}

/* Of one tensor.  Below 2^38: the limits of old.c. */
static uint64_t bytes_of(const header *h, int part)
{
    const uint64_t n = values_of(h, part);
    return is_coded(h, part) ? n + n / h->group * 4 : n * 4;
}

static uint64_t file_bytes(const header *h)
{
    uint64_t sum = h->version ? NEW_HEADER : HEADER;
    for (int i = 0; i < N_PART; i++) {
        const int part = h->version ? order[i] : legacy_order[i];
        const bool in_layer = part >= 0 && part < MT_OLD_PARTS && mt_old_in_layer((mt_old_part)part);
        sum += bytes_of(h, part) * (in_layer ? h->llama.n_layer : 1);
    }
    return sum;
}

static bool has_magic(const mt_map *m)
{
    mt_cursor c = { .p = m->data, .size = m->size };
    return mt_read_u32(&c) == MAGIC && !c.failed;
}

bool mt_llama2c_is(const mt_map *m)
{
    header h = { .version = 0 };
    mt_cursor c = { .p = m->data, .size = m->size };
    return has_magic(m) || (read_numbers(&c, &h) && file_bytes(&h) == m->size);
}

static mote_status read_header(const mt_source *s, header *h, mote_error *err)
{
    const char *path = mt_path_end(s->path);
    mt_cursor c = { .p = s->map.data, .size = s->map.size };
    *h = (header){ .version = 0 };
    if (has_magic(&s->map)) {
        mt_read_u32(&c);
        const uint32_t version = mt_read_u32(&c);
        if (version < 1 || version > 2)
            MT_FAIL(err, c.failed ? MOTE_EFORMAT : MOTE_EUNSUPPORTED, "%s: expected a llama2.c file of version 1 or 2, "
                    "found %u", path, version);
        h->version = (int)version;
    }
    const bool is_plausible = read_numbers(&c, h);
    if (h->version) {
        const uint8_t tied = mt_read_u8(&c);
        if (!is_plausible || !h->is_tied || tied > 1)
            MT_FAIL(err, MOTE_EFORMAT, "%s: the numbers in its llama2.c header do not describe a model", path);
        h->is_tied = tied == 1;
    }
    if (h->version == 2) {
        h->group = mt_read_u32(&c);
        for (int i = 0; i < N_PART; i++)
            if (h->group < 1 || (is_coded(h, order[i]) && values_of(h, order[i]) % h->group))
                MT_FAIL(err, MOTE_EFORMAT, "%s: groups of %u do not divide its matrices", path, h->group);
    }
    if (file_bytes(h) != s->map.size)
        MT_FAIL(err, MOTE_EFORMAT, "%s: a llama2.c file of %" PRIu64 " bytes was expected, found %zu", path, file_bytes(h),
                s->map.size);
    return MOTE_OK;
}

/* ---- tensors -------------------------------------------------------------------------- */

typedef struct recipe { const uint8_t *code, *scale; size_t group; } recipe;

static void make_rows(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const recipe *r = t->recipe;
    const size_t width = (size_t)t->ne[0], from = (size_t)first * width, to = from + (size_t)n * width;
    for (size_t i = from; i < to;) {
        const size_t end = MT_MIN(to, (i / r->group + 1) * r->group);
        float scale;
        mt_decode_row(MT_F32, r->scale + i / r->group * 4, &scale, 1);
        for (; i < end; i++, out += sizeof(float)) mt_old_store(out, (float)(int8_t)r->code[i] * scale);
    }
}

static mote_status place(mt_source *s, const header *h, int part, uint32_t layer, size_t *at, mote_error *err)
{
    const size_t n = (size_t)values_of(h, part);
    const uint8_t *p = s->map.data + *at;        /* inside: the sum of all is the file's size */
    *at += (size_t)bytes_of(h, part);
    if (part == ROPE || n == 0) return MOTE_OK;
    mt_tensor *t = mt_old_add(s, &h->llama, (mt_old_part)part, layer);
    recipe *r = is_coded(h, part) ? mt_arena_push(&s->arena, sizeof *r) : NULL;
    if (!t || (is_coded(h, part) && !r))
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for tensor %zu", mt_path_end(s->path), s->n_tensor);
    t->type = MT_F32, t->bytes = n * sizeof(float);
    if (!r) {
        t->data = p;
        return MOTE_OK;
    }
    *r = (recipe){ p, p + n, h->group };
    t->make = make_rows, t->recipe = r;
    return MOTE_OK;
}

mote_status mt_llama2c_read(mt_source *s, mote_error *err)
{
    header h;
    MT_TRY(read_header(s, &h, err));
    MT_TRY(mt_old_begin(s, "llama2.c", &h.llama, err));
    s->version = (uint32_t)h.version;
    size_t at = h.version ? NEW_HEADER : HEADER;
    s->data_bytes = s->map.size - at;
    for (int i = 0; i < N_PART; i++) {
        const int part = h.version ? order[i] : legacy_order[i];
        const bool in_layer = part >= 0 && part < MT_OLD_PARTS && mt_old_in_layer((mt_old_part)part);
        for (uint32_t layer = 0; part >= 0 && layer < (in_layer ? h.llama.n_layer : 1); layer++)
            MT_TRY(place(s, &h, part, layer, &at, err));
    }
    return mt_source_index(s, err);
}

/* ---- tokenizer.bin: longest piece, then score, length and bytes of each ------------------ */

static bool is_byte(const char *p, size_t n)     /* "<0x0A>" */
{
    return n == 6 && memcmp(p, "<0x", 3) == 0 && p[5] == '>';
}

mote_status mt_llama2c_words(mt_source *s, const uint8_t *p, size_t n, mote_error *err)
{
    const char *path = mt_path_end(s->path);
    mt_cursor c = { .p = p, .size = n };
    mt_old_words w;
    int64_t n_vocab = 0;
    mt_meta_int(s, "llama.vocab_size", &n_vocab);
    if (n < 4 || (size_t)n_vocab > (n - 4) / 8)
        MT_FAIL(err, MOTE_EFORMAT, "%s: its tokenizer has %zu bytes, too few for %" PRId64 " tokens", path, n, n_vocab);
    MT_TRY(mt_old_words_begin(s, &w, (size_t)n_vocab, true, err));
    mt_read_u32(&c);
    for (size_t i = 0; i < w.n; i++) {
        const uint8_t *score = mt_read_bytes(&c, 4);
        const uint32_t length = mt_read_u32(&c);
        const char *text = (const char *)mt_read_bytes(&c, length);
        if (!text) MT_FAIL(err, MOTE_EFORMAT, "%s: its tokenizer ends inside token %zu of %zu", path, i, w.n);
        memcpy(w.score + 4 * i, score, 4);
        mt_old_word(&w, i, text, length, is_byte(text, length) ? MT_OLD_BYTE : MT_OLD_NORMAL);
    }
    if (c.at != n)
        MT_FAIL(err, MOTE_EFORMAT, "%s: its tokenizer has more than the model's %zu tokens", path, w.n);
    /* As sentencepiece numbers them; the file has line breaks around two. */
    static const struct { const char *text; int kind; } special[] = {
        { "<unk>", MT_OLD_UNKNOWN }, { "<s>", MT_OLD_CONTROL }, { "</s>", MT_OLD_CONTROL } };
    for (size_t i = 0; i < MT_MIN(MT_COUNT(special), w.n); i++)
        mt_old_word(&w, i, special[i].text, strlen(special[i].text), special[i].kind);
    MT_TRY(mt_old_words_end(s, &w, err));
    return mt_source_index(s, err);
}

static mote_status try_file(mt_source *s, const char *name, bool *found, mote_error *err)
{
    const char *slash = strrchr(s->path, '/');
    const size_t n = slash ? (size_t)(slash - s->path) + 1 : 0;
    mt_map m;
    mote_error why;
    char *path = mt_arena_push(&s->arena, n + strlen(name) + 1);
    if (!path) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for the name of its tokenizer", mt_path_end(s->path));
    memcpy(path, s->path, n);
    memcpy(path + n, name, strlen(name) + 1);
    if (mt_map_open(&m, path, NULL) != MOTE_OK) return MOTE_OK;
    const size_t n_meta = s->n_meta;
    mote_status st = m.size > MAX_WORDS ? mt_fail(&why, MOTE_EFORMAT, "%s: too large for a tokenizer", mt_path_end(path))
                                        : mt_llama2c_words(s, m.data, m.size, &why);
    mt_map_close(&m);
    *found = st == MOTE_OK;
    if (st == MOTE_OK) return MOTE_OK;
    if (st == MOTE_ENOMEM) MT_FAIL(err, st, "%s", why.text);
    s->n_meta = n_meta;
    mt_log(1, "%s is not the tokenizer of this model: %s", mt_path_end(path), why.text);
    return MOTE_OK;
}

mote_status mt_llama2c_beside(mt_source *s, mote_error *err)
{
    char name[48];
    int64_t n_vocab = 0;
    bool found = false;
    mt_meta_int(s, "llama.vocab_size", &n_vocab);
    snprintf(name, sizeof name, "tok%" PRId64 ".bin", n_vocab);     /* as its own training names them */
    MT_TRY(try_file(s, name, &found, err));
    if (!found) MT_TRY(try_file(s, "tokenizer.bin", &found, err));
    return MOTE_OK;
}
