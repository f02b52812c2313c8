/* SPDX-License-Identifier: MIT */
/* hf_rows.c - tensors whose rows are made from others: heads reordered, transposed, stacked.
 *
 * Rows travel as blocks of the type they have, so that compressed weights pass through unread.  A
 * source may itself be made; then its rows are asked for in the longest runs there are. */
#include "model/hf.h"

#include <string.h>

enum { RUN = 32, CHUNK = 512 };      /* rows reordered at a time; bytes of a row moved at a time */

static mote_status start(mt_tensor *t, const mt_tensor *of, const void *recipe,
                         void (*make)(const mt_tensor *, int64_t, int64_t, uint8_t *), mote_error *err)
{
    if (!recipe) MT_FAIL(err, MOTE_ENOMEM, "no memory to describe tensor %s", of->name);
    const char *name = t->name;
    *t = *of;
    t->name = name;
    t->data = NULL;
    t->make = make;
    t->recipe = recipe;
    return MOTE_OK;
}

/* ---- rotary halves into pairs -------------------------------------------- */

typedef struct heads { const mt_tensor *of; int64_t head; } heads;   /* head: rows of one */

/* Row j of a head here is row `half_row` of it there: pair i is rows i and i + head / 2. */
static int64_t half_row(int64_t j, int64_t head) { return j % 2 * (head / 2) + j / 2; }

/* Rows lie as even ones, then odd ones: brings them into turn, some columns at a time. */
static void interleave(uint8_t *rows, int64_t n, int64_t n_even, bool starts_odd, size_t row)
{
    uint8_t room[RUN * CHUNK];
    for (size_t at = 0; at < row; at += CHUNK) {
        const size_t w = MT_MIN(row - at, CHUNK);
        for (int64_t i = 0; i < n; i++) memcpy(room + (size_t)i * w, rows + (size_t)i * row + at, w);
        for (int64_t i = 0; i < n; i++) {
            const int64_t k = i + starts_odd, from = k % 2 ? n_even + k / 2 : k / 2 - starts_odd;
            memcpy(rows + (size_t)i * row + at, room + (size_t)from * w, w);
        }
    }
}

static void put_rows(const mt_tensor *of, int64_t first, int64_t n, uint8_t *out)
{
    const uint8_t *rows = mt_tensor_rows(of, first, n, out);
    if (rows != out && n > 0) memcpy(out, rows, (size_t)n * mt_row_bytes(of->type, of->ne[0]));
}

static void make_pairs(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const heads *h = t->recipe;
    const size_t row = mt_row_bytes(t->type, t->ne[0]);
    while (n > 0) {                  /* a run inside one head */
        const int64_t j = first % h->head, base = first - j;
        const int64_t many = MT_MIN(MT_MIN(n, h->head - j), RUN);
        const int64_t even = j + j % 2, n_even = (many + (j % 2 ? 0 : 1)) / 2;
        if (n_even > 0) put_rows(h->of, base + half_row(even, h->head), n_even, out);
        if (many > n_even)
            put_rows(h->of, base + half_row(j % 2 ? j : j + 1, h->head), many - n_even, out + (size_t)n_even * row);
        interleave(out, many, n_even, j % 2, row);
        first += many, n -= many, out += (size_t)many * row;
    }
}

/* The other way, where nothing is in a hurry: row j of the first half is row 2 j. */
static int64_t pair_row(int64_t j, int64_t head) { return j < head / 2 ? 2 * j : 2 * (j - head / 2) + 1; }

static void make_halves(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const heads *h = t->recipe;
    const size_t row = mt_row_bytes(t->type, t->ne[0]);
    for (int64_t r = first; r < first + n; r++, out += row)
        put_rows(h->of, r - r % h->head + pair_row(r % h->head, h->head), 1, out);
}

/* Vectors: their elements are the rows, and all of them one row. */
static void reorder_vector(const mt_tensor *t, uint8_t *out, int64_t (*from)(int64_t, int64_t))
{
    const heads *h = t->recipe;
    const size_t size = (size_t)mt_type_of(t->type)->bytes;
    for (int64_t i = 0; i < t->ne[0]; i++)
        memcpy(out + (size_t)i * size, h->of->data + (size_t)(i - i % h->head + from(i % h->head, h->head)) * size, size);
}

static void make_pair_vector(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    (void)first, (void)n;
    reorder_vector(t, out, half_row);
}

static void make_half_vector(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    (void)first, (void)n;
    reorder_vector(t, out, pair_row);
}

typedef void (*make_fn)(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out);

static mote_status reorder(mt_tensor *t, const mt_tensor *of, int n_head, make_fn matrix, make_fn vector, mt_arena *a,
                           mote_error *err)
{
    const bool is_vector = of->ne[1] * of->ne[2] * of->ne[3] == 1;
    const int64_t n = is_vector ? of->ne[0] : of->ne[1];
    if (n_head < 1 || n % n_head != 0 || n / n_head % 2 != 0)
        MT_FAIL(err, MOTE_EFORMAT, "tensor %s has %lld rows, expected %d heads of an even number", of->name,
                (long long)n, n_head);
    if (is_vector && (!of->data || mt_type_of(of->type)->block != 1))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: a bias of type %s cannot be reordered", of->name,
                mt_type_of(of->type)->name);
    heads *h = mt_arena_push_zero(a, sizeof *h);
    if (h) *h = (heads){ of, n / n_head };
    return start(t, of, h, is_vector ? vector : matrix, err);
}

mote_status mt_hf_pair_heads(mt_tensor *t, const mt_tensor *of, int n_head, mt_arena *a, mote_error *err)
{
    return reorder(t, of, n_head, make_pairs, make_pair_vector, a, err);
}

mote_status mt_hf_halve_heads(mt_tensor *t, const mt_tensor *of, int n_head, mt_arena *a, mote_error *err)
{
    return reorder(t, of, n_head, make_halves, make_half_vector, a, err);
}

/* ---- transposed ---------------------------------------------------------- */

static void make_across(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_tensor *of = t->recipe;             /* (in, out): row k holds input k of every output */
    const size_t size = (size_t)mt_type_of(t->type)->bytes, row = (size_t)t->ne[0] * size;
    for (int64_t k = 0; k < t->ne[0]; k++) {
        const uint8_t *from = of->data + (size_t)(k * of->ne[0] + first) * size;
        for (int64_t r = 0; r < n; r++) memcpy(out + (size_t)r * row + (size_t)k * size, from + (size_t)r * size, size);
    }
}

/* The same from blocks, as f32. */
static void make_across_blocks(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    enum { MAX_BLOCK = 256 };
    const mt_tensor *of = t->recipe;
    const int64_t block = mt_type_of(of->type)->block, from = first - first % block;
    float *const y = (float *)(void *)out, value[MAX_BLOCK];
    for (int64_t k = 0; k < t->ne[0]; k++) {
        const uint8_t *row = of->data + (size_t)k * mt_row_bytes(of->type, of->ne[0]);
        for (int64_t b = from; b < first + n; b += block) {
            mt_decode_row(of->type, row + mt_row_bytes(of->type, b), value, block);
            for (int64_t r = MT_MAX(b, first); r < MT_MIN(b + block, first + n); r++)
                y[(r - first) * t->ne[0] + k] = value[r - b];
        }
    }
}

mote_status mt_hf_across(mt_tensor *t, const mt_tensor *of, mote_error *err)
{
    const bool is_plain = mt_type_of(of->type)->block == 1;
    if (of->make) {                              /* compressed weights come in the usual order */
        const char *name = t->name;
        *t = *of;
        t->name = name;
        return MOTE_OK;
    }
    if (of->ne[2] != 1 || of->ne[3] != 1 || !mt_type_of(of->type)->can_decode)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: expected a matrix that can be transposed", of->name);
    MT_TRY(start(t, of, of, is_plain ? make_across : make_across_blocks, err));
    t->ne[0] = of->ne[1], t->ne[1] = of->ne[0];
    if (!is_plain) {
        t->type = MT_F32;
        if (!mt_mul_ok((size_t)mt_tensor_count(t), sizeof(float), &t->bytes))
            MT_FAIL(err, MOTE_EFORMAT, "tensor %s does not fit any memory", of->name);
    }
    return MOTE_OK;
}

/* ---- stacked ------------------------------------------------------------- */

static void make_stack(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_tensor *const *of = t->recipe;
    const size_t row = mt_row_bytes(t->type, t->ne[0]);
    while (n > 0) {
        const int64_t in = first % t->ne[1], many = MT_MIN(n, t->ne[1] - in);
        put_rows(of[first / t->ne[1]], in, many, out);
        first += many, n -= many, out += (size_t)many * row;
    }
}

mote_status mt_hf_stack(mt_tensor *t, const mt_tensor *const *of, int n, mt_arena *a, mote_error *err)
{
    const mt_tensor **list = mt_arena_push_n(a, (size_t)n, sizeof *list);
    for (int i = 0; list && i < n; i++) {
        if (memcmp(of[i]->ne, of[0]->ne, sizeof of[0]->ne) != 0 || of[i]->type != of[0]->type || of[i]->ne[2] != 1)
            MT_FAIL(err, MOTE_EFORMAT, "tensors %s and %s: experts of one layer need matrices of one shape and type",
                    of[0]->name, of[i]->name);
        list[i] = of[i];
    }
    MT_TRY(start(t, of[0], list, make_stack, err));
    t->ne[2] = n;
    if (!mt_mul_ok(of[0]->bytes, (size_t)n, &t->bytes))
        MT_FAIL(err, MOTE_EFORMAT, "tensor %s: %d experts of %zu bytes do not fit any memory", t->name, n, of[0]->bytes);
    return MOTE_OK;
}

/* ---- one of a stack ------------------------------------------------------ */

typedef struct part { const mt_tensor *of; int64_t first; } part;

static void make_part(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const part *p = t->recipe;
    put_rows(p->of, p->first + first, n, out);
}

mote_status mt_hf_unstack(mt_tensor *t, const mt_tensor *of, int i, mt_arena *a, mote_error *err)
{
    part *p = mt_arena_push_zero(a, sizeof *p);
    if (p) *p = (part){ of, i * of->ne[1] };
    MT_TRY(start(t, of, p, make_part, err));
    t->ne[2] = 1, t->n_dim = 2;
    t->bytes = of->bytes / (size_t)of->ne[2];
    return MOTE_OK;
}
