/* SPDX-License-Identifier: MIT */
/* attend_body.h - attention and the store into pages, once for every vector width.
 *
 * A file of one instruction set defines `vec` (LANES floats), `ivec` (as many words) and the
 * primitives used below, all always-inlined, then includes this body and registers its functions.
 *
 *   scores tile: V vectors of keys x H rows       values tile: N vectors of v_dim x H rows
 *
 * A row is one query head at one position.  K lies with 16 keys side by side, so a load gives a
 * dimension (or a pair, or four codes) of LANES keys, and all rows of the tile share it; V lies with
 * dimensions side by side.  Scores of a chunk lie in scratch as [row of the tile][256], by position -
 * chunk start; what a row does not see gets -inf there and weighs nothing.  Accumulators are named
 * locals: gcc keeps no array of them in registers. */
#ifndef MT_KERNEL_ATTEND_BODY_H
#define MT_KERNEL_ATTEND_BODY_H

enum { TILE = 6, MAX_DIM = 512, PAGE_VECS = (int)MT_PAGE / (int)LANES, AHEAD = 16 };

typedef struct run {
    const mt_attend *a;
    int64_t ldq, v_pad, base;           /* floats per query row, per value row; chunk start */
    float *q, *s, *weight, *v;          /* rows; tile's scores; q8: weights x scales; running sums */
    int64_t hi_all;                     /* keys any row sees end here */
    int row, n;                         /* the tile: first row and how many */
    int64_t lo[TILE], hi[TILE];         /* keys of the chunk its rows see; never less than the row before */
    float max[16], sum[16], old[16], new[16];   /* tile's; factors of what was and what comes */
    float *to[TILE];                    /* where values of the tile's rows go */
    bool is_first[TILE];                /* nothing there yet */
    float m[MT_ATTEND_ROWS + 16], l[MT_ATTEND_ROWS + 16];
} run;

MT_INLINE bool is_short(const mt_kv_type type) { return type == MT_KV_BF16 || type == MT_KV_Q8; }
MT_INLINE int64_t row_hi(const mt_attend *a, int i)
{
    return a->limit > 0 ? MT_MIN(a->hi + i, a->limit) : a->hi + i;
}
MT_INLINE int64_t row_lo(const mt_attend *a, int i)
{
    return a->window > 0 ? MT_MAX(a->lo, a->hi + i - a->window) : a->lo;
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)

/* ---- scores ---------------------------------------------------------------- */
/* The end of a dot product: cap, bias, what the row sees.  Called: copies would fill the cache. */
static __attribute__((noinline)) void put_score(run *r, int h, int64_t j, vec x)
{
    const mt_attend *a = r->a;
    const int from = (int)MT_MAX(r->lo[h] - j, 0), to = (int)MT_MIN(r->hi[h] - j, LANES);
    if (a->softcap != 0.0f) {
        const vec cap = all(a->softcap * MT_LOG2E);
        x = vmul(cap, tanh_of(vdiv(x, cap)));
    }
    if (a->bias) {
        const int i = (r->row + h) / a->n_q, g = (r->row + h) % a->n_q;
        x = vfma(load_n(to, a->bias + i * a->bias_ldi + g * a->bias_ldg + j), all(MT_LOG2E), x);
    }
    store(r->s + h * MT_CHUNK + (j - r->base), only_from_to(x, from, to));
}

#define DOT_VARS(h)                                                              \
    const float *q##h = r->q + (r->row + (H > h ? h : 0)) * r->ldq;              \
    vec d0##h = all(0), d1##h = d0##h, d2##h = d0##h, d3##h = d0##h;
#define DOT_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(q##h[d]);                                              \
        d0##h = add_product(d0##h, b, k0);                                              \
        if (V > 1) d1##h = add_product(d1##h, b, k1);                                   \
        if (V > 2) d2##h = add_product(d2##h, b, k2);                                   \
        if (V > 2) d3##h = add_product(d3##h, b, k3);                                   \
    }
#define DOT_PAIR(h)                                                              \
    if (H > h) {                                                                 \
        const ivec b = all_words(q##h + d);                                      \
        d0##h = pair_dot(d0##h, k0, b);                                          \
        if (V > 1) d1##h = pair_dot(d1##h, k1, b);                               \
        if (V > 2) d2##h = pair_dot(d2##h, k2, b);                               \
        if (V > 2) d3##h = pair_dot(d3##h, k3, b);                               \
    }
#define DOT_PUT(h)                                                               \
    if (H > h) {                                                                 \
        float *s = r->s + h * MT_CHUNK + (j - r->base);                          \
        if (is_whole) {                                                          \
            store(s, d0##h);                                                     \
            if (V > 1) store(s + LANES, d1##h);                                  \
            if (V > 2) store(s + 2 * LANES, d2##h);                              \
            if (V > 2) store(s + 3 * LANES, d3##h);                              \
        } else {                                                                 \
            put_score(r, h, j, d0##h);                                           \
            if (V > 1) put_score(r, h, j + LANES, d1##h);                        \
            if (V > 2) put_score(r, h, j + 2 * LANES, d2##h);                    \
            if (V > 2) put_score(r, h, j + 3 * LANES, d3##h);                    \
        }                                                                        \
    }

/* K of LANES keys from j: dimension 0, for type words of `width` bytes. */
MT_INLINE const uint8_t *keys_at(const run *r, int64_t j, int width)
{
    return mt_kv_k(&r->a->kv, j / MT_PAGE, r->a->h) + j % MT_PAGE * width;
}

/* The page that is read `AHEAD` pages later: behind the keys of a chunk come its values, then the keys
 * of the next.  Few rows are done with a page before the next has come from memory by itself; into
 * the second level, since a chunk fills the first: with that, attention behind 3,900 keys reads as
 * fast as a loop that only reads in the same order (without: 0.75 of it). */
#define ASK_FOR(p) __builtin_prefetch(p, 0, 2)
MT_INLINE const uint8_t *ahead(const run *r, bool is_v, int64_t page)
{
    const int64_t last = (r->hi_all - 1) / MT_PAGE, here = r->base / MT_PAGE;
    const int64_t end = MT_MIN(last, here + MT_CHUNK / MT_PAGE - 1);
    if (page > end) {
        page = is_v ? page : MT_MIN(here + page - end - 1, end);
        is_v = !is_v;
    }
    page = MT_MIN(page, last);
    return is_v ? mt_kv_v(&r->a->kv, page, r->a->h) : mt_kv_k(&r->a->kv, page, r->a->h);
}
/* Only the first vector of a page asks for it. */
#define ASK(i, p) if (V > i && i * LANES % MT_PAGE == 0) ASK_FOR(p)
#define ASK_KEYS(off) ASK(0, n0 + (off)); ASK(1, n1 + (off)); ASK(2, n2 + (off)); ASK(3, n3 + (off));
#define NEXT_KEYS                                                                \
    const uint8_t *n0 = ahead(r, false, j / MT_PAGE + AHEAD), *n1 = n0, *n2 = n0, *n3 = n0; \
    if (V > 1 && PAGE_VECS == 1) n1 = ahead(r, false, j / MT_PAGE + AHEAD + 1);  \
    if (V > 2 && PAGE_VECS == 1) n2 = ahead(r, false, j / MT_PAGE + AHEAD + 2);  \
    if (V > 2 && PAGE_VECS == 1) n3 = ahead(r, false, j / MT_PAGE + AHEAD + 3);

/* Whether every row of the tile sees all keys [j, end) and nothing else is to be done to them. */
MT_INLINE bool sees_all(const run *r, int64_t j, int64_t end)
{
    return j >= r->lo[r->n - 1] && end <= r->hi[0] && r->a->softcap == 0.0f && !r->a->bias;
}

/* V (1, 2 or 4) vectors of keys from j and H rows are constants. */
MT_INLINE void score_tile(const mt_kv_type type, const int V, const int H, run *r, int64_t j)
{
    const int width = type == MT_KV_F16 ? 2 : 4, step = MT_PAGE * width;
    const int64_t dim = r->a->head_dim;
    const uint8_t *p0 = keys_at(r, j, width);
    const uint8_t *p1 = V > 1 ? keys_at(r, j + LANES, width) : p0;
    const uint8_t *p2 = V > 2 ? keys_at(r, j + 2 * LANES, width) : p0;
    const uint8_t *p3 = V > 2 ? keys_at(r, j + 3 * LANES, width) : p0;
    NEXT_KEYS
    EACH_ROW(DOT_VARS)
    if (type != MT_KV_BF16) {
        for (int64_t d = 0; d < dim; d++) {
            ASK_KEYS(d * step)
            const vec k0 = read_kv(type, p0 + d * step, LANES);
            const vec k1 = V > 1 ? read_kv(type, p1 + d * step, LANES) : k0;
            const vec k2 = V > 2 ? read_kv(type, p2 + d * step, LANES) : k0;
            const vec k3 = V > 2 ? read_kv(type, p3 + d * step, LANES) : k0;
            EACH_ROW(DOT_STEP)
        }
    } else if (HAS_PAIR_DOT) {
        for (int64_t d = 0; d < (dim + 1) / 2; d++) {
            ASK_KEYS(d * step)
            const ivec k0 = read_words(p0 + d * step, LANES);
            const ivec k1 = V > 1 ? read_words(p1 + d * step, LANES) : k0;
            const ivec k2 = V > 2 ? read_words(p2 + d * step, LANES) : k0;
            const ivec k3 = V > 2 ? read_words(p3 + d * step, LANES) : k0;
            EACH_ROW(DOT_PAIR)
        }
    } else {
        for (int64_t i = 0; i < (dim + 1) / 2; i++) {
            const int64_t at = i * step;
            ASK_KEYS(at)
            {
                const int64_t d = 2 * i + 1;    /* rows are padded to even */
                const vec k0 = odd_of(read_words(p0 + at, LANES));
                const vec k1 = V > 1 ? odd_of(read_words(p1 + at, LANES)) : k0;
                const vec k2 = V > 2 ? odd_of(read_words(p2 + at, LANES)) : k0;
                const vec k3 = V > 2 ? odd_of(read_words(p3 + at, LANES)) : k0;
                EACH_ROW(DOT_STEP)
            }
            {
                const int64_t d = 2 * i;
                const vec k0 = even_of(read_words(p0 + at, LANES));
                const vec k1 = V > 1 ? even_of(read_words(p1 + at, LANES)) : k0;
                const vec k2 = V > 2 ? even_of(read_words(p2 + at, LANES)) : k0;
                const vec k3 = V > 2 ? even_of(read_words(p3 + at, LANES)) : k0;
                EACH_ROW(DOT_STEP)
            }
        }
    }
    const bool is_whole = sees_all(r, j, j + V * LANES);
    EACH_ROW(DOT_PUT)
}

/* ---- scores of int8 keys ----------------------------------------------------- */
#define CODE_VARS(h)                                                             \
    const float *q##h = r->q + (r->row + (H > h ? h : 0)) * r->ldq;              \
    vec d0##h = all(0), d1##h = d0##h;
#define CODE_START(h) ivec i0##h = code_start(sums_of(r, q##h)[g]), i1##h = i0##h;
#define CODE_STEP(h)                                                             \
    if (H > h) {                                                                 \
        const ivec b = all_words(q##h + d);                                      \
        i0##h = code_dot(i0##h, k0, b);                                          \
        if (V > 1) i1##h = code_dot(i1##h, k1, b);                               \
    }
#define CODE_END(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(scales_of(r, q##h)[g]);                                \
        d0##h = vfma(to_float(i0##h), vmul(b, s0), d0##h);                       \
        if (V > 1) d1##h = vfma(to_float(i1##h), vmul(b, s1), d1##h);            \
    }
#define CODE_PUT(h)                                                              \
    if (H > h) {                                                                 \
        float *s = r->s + h * MT_CHUNK + (j - r->base);                          \
        if (is_whole) {                                                          \
            store(s, d0##h);                                                     \
            if (V > 1) store(s + LANES, d1##h);                                  \
        } else {                                                                 \
            put_score(r, h, j, d0##h);                                           \
            if (V > 1) put_score(r, h, j + LANES, d1##h);                        \
        }                                                                        \
    }
/* Behind the codes of a query row: scales and sums of its groups. */
MT_INLINE float *scales_of(const run *r, const float *q) { return (float *)q + r->ldq - 2 * MT_GROUP; }
MT_INLINE int32_t *sums_of(const run *r, const float *q)
{
    return (int32_t *)(void *)((float *)q + r->ldq - MT_GROUP);
}

MT_INLINE void score_codes(const int V, const int H, run *r, int64_t j)
{
    const int64_t n4 = (r->a->head_dim + 3) / 4;
    const uint8_t *p0 = keys_at(r, j, 4), *p1 = V > 1 ? keys_at(r, j + LANES, 4) : p0;
    const uint8_t *c0 = keys_at(r, j, 2) + n4 * 64, *c1 = V > 1 ? keys_at(r, j + LANES, 2) + n4 * 64 : c0;
    NEXT_KEYS
    EACH_ROW(CODE_VARS)
    for (int64_t g = 0; g * 8 < n4; g++) {
        EACH_ROW(CODE_START)
        for (int64_t d = g * 8; d < MT_MIN(g * 8 + 8, n4); d++) {
            ASK_KEYS(d * 64)
            const ivec k0 = read_codes(p0 + d * 64), k1 = V > 1 ? read_codes(p1 + d * 64) : k0;
            EACH_ROW(CODE_STEP)
        }
        const vec s0 = read_scales(c0 + g * 32), s1 = V > 1 ? read_scales(c1 + g * 32) : s0;
        EACH_ROW(CODE_END)
    }
    const bool is_whole = sees_all(r, j, j + V * LANES);
    EACH_ROW(CODE_PUT)
}

MT_INLINE void score_keys(const mt_kv_type type, const int H, run *r)
{
    const int wide = type == MT_KV_Q8 ? KEY_VECS / 2 : KEY_VECS;
    int64_t j = r->lo[0] / MT_PAGE * MT_PAGE;
    const int64_t end = (r->hi[H - 1] + MT_PAGE - 1) / MT_PAGE * MT_PAGE;
    for (; j + wide * LANES <= end; j += wide * LANES) {
        if (type == MT_KV_Q8) score_codes(wide, H, r, j);
        else score_tile(type, wide, H, r, j);
    }
    for (; j < end; j += LANES) {
        if (type == MT_KV_Q8) score_codes(1, H, r, j);
        else score_tile(type, 1, H, r, j);
    }
}

/* ---- weights ------------------------------------------------------------------- */
#define WEIGH(i)                                                                 \
    if (PAGE_VECS > i) {                                                         \
        const int64_t at = h * MT_CHUNK + (j - r->base) + i * LANES;             \
        vec w = exp2_of(is_short(type), vsub(load(r->s + at), from));            \
        if (type == MT_KV_BF16) w = bf16_round(w);                               \
        part##i = vadd(part##i, w);                                              \
        if (type == MT_KV_BF16 && HAS_PAIR_DOT) store_bf16(r->s + at - (j - r->base) / 2, w); \
        else store(r->s + at, w);                                                \
    }
/* Scores of the tile's rows become weights (pairs of bf16 where those multiply); maxima and sums. */
MT_INLINE void weigh(const mt_kv_type type, run *r)
{
    for (int h = 0; h < r->n; h++) {
        const float *s = r->s + h * MT_CHUNK - r->base;
        vec top = all(-INFINITY);
        for (int64_t j = r->lo[h] / MT_PAGE * MT_PAGE; j < r->hi[h]; j += LANES) top = max_of(top, load(s + j));
        r->max[h] = largest(top);
    }
    for (int h = 0; h < r->n; h++) {
        const vec from = all(r->max[h] == -INFINITY ? 0.0f : r->max[h]);
        vec part0 = all(0), part1 = part0, part2 = part0, part3 = part0;
        for (int64_t j = r->lo[h] / MT_PAGE * MT_PAGE; j < r->hi[h]; j += MT_PAGE) {
            WEIGH(0)
            WEIGH(1)
            WEIGH(2)
            WEIGH(3)
        }
        r->sum[h] = sum_tree(part0, part1, part2, part3);
    }
}

/* Merges the tile's maxima and sums into the rows'; leaves the factors of the values. */
MT_INLINE void merge_sums(const mt_kv_type type, run *r)
{
    for (int h = 0; h < r->n; h += LANES) {
        float *m = r->m + r->row + h, *l = r->l + r->row + h;
        const vec was = load(m), comes = load(r->max + h), max = max_of(was, comes), from = zero_for_least(max);
        const vec x = exp2_of(is_short(type), vsub(was, from)), y = exp2_of(is_short(type), vsub(comes, from));
        store_n(r->n - h, l, vfma(load(r->sum + h), y, vmul(load(l), x)));
        store_n(r->n - h, m, max);
        store(r->old + h, x);
        store(r->new + h, y);
    }
}

/* ---- values ---------------------------------------------------------------------- */
#define VAL_VARS(h) vec v0##h = all(0), v1##h = v0##h, v2##h = v0##h, v3##h = v0##h;
#define VAL_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(s[h * MT_CHUNK + j]);                                  \
        const vec b2 = type == MT_KV_Q8 && N * LANES > MT_GROUP ? all(s[(h + TILE) * MT_CHUNK + j]) : b; \
        v0##h = add_product(v0##h, b, w0);                                              \
        if (N > 1) v1##h = add_product(v1##h, b, w1);                                   \
        if (N > 2) v2##h = add_product(v2##h, b2, w2);                                  \
        if (N > 2) v3##h = add_product(v3##h, b2, w3);                                  \
    }
#define VAL_PAIR(h)                                                              \
    if (H > h) {                                                                 \
        const ivec b = all_words(s + h * MT_CHUNK + j);                          \
        v0##h = pair_dot(v0##h, w0, b);                                          \
        if (N > 1) v1##h = pair_dot(v1##h, w1, b);                               \
        if (N > 2) v2##h = pair_dot(v2##h, w2, b);                               \
        if (N > 2) v3##h = pair_dot(v3##h, w3, b);                               \
    }
#define VAL_EDGE(h)                                                              \
    if (H > h && u >= r->lo[h] && u < r->hi[h]) { VAL_STEP(h) }
#define PAIR_EDGE(h)                                                             \
    if (H > h && seen_half(r, h, u)) {                                           \
        const uint32_t m = seen_half(r, h, u);                                   \
        const ivec w0 = and_word(r0, m), w1 = and_word(r1, m), w2 = and_word(r2, m), w3 = and_word(r3, m); \
        VAL_PAIR(h)                                                              \
    }
#define HALF_EDGE(h, of)                                                         \
    if (H > h && seen_half(r, h, u)) {                                           \
        const uint32_t m = seen_half(r, h, u);                                   \
        const vec w0 = of(and_word(r0, m)), w1 = of(and_word(r1, m));            \
        const vec w2 = of(and_word(r2, m)), w3 = of(and_word(r3, m));            \
        VAL_STEP(h)                                                              \
    }
#define ODD_EDGE(h)  HALF_EDGE(h, odd_of)
#define EVEN_EDGE(h) HALF_EDGE(h, even_of)
#define VAL_PUT(h)                                                               \
    if (H > h) {                                                                 \
        float *c = r->to[h] + at;                                                \
        if (!r->is_first[h]) {                                                   \
            const vec x = all(r->old[h]), y = all(r->new[h]);                    \
            v0##h = vfma(v0##h, y, vmul(load(c), x));                            \
            if (N > 1) v1##h = vfma(v1##h, y, vmul(load(c + LANES), x));         \
            if (N > 2) v2##h = vfma(v2##h, y, vmul(load(c + 2 * LANES), x));     \
            if (N > 2) v3##h = vfma(v3##h, y, vmul(load(c + 3 * LANES), x));     \
        }                                                                        \
        store(c, v0##h);                                                         \
        if (N > 1) store(c + LANES, v1##h);                                      \
        if (N > 2) store(c + 2 * LANES, v2##h);                                  \
        if (N > 2) store(c + 3 * LANES, v3##h);                                  \
    }

/* The half words of pair u that row h sees. */
MT_INLINE uint32_t seen_half(const run *r, int h, int64_t u)
{
    return (2 * u >= r->lo[h] && 2 * u < r->hi[h] ? 0xffffu : 0u) |
           (2 * u + 1 >= r->lo[h] && 2 * u + 1 < r->hi[h] ? 0xffff0000u : 0u);
}

/* q8: weights times the scales of the group of dimension `at`, and of the next one. */
MT_INLINE void scale_weights(run *r, int64_t at, const int n_group)
{
    const mt_kv_view *kv = &r->a->kv;
    const int64_t off = r->a->v_dim * MT_PAGE + at / MT_GROUP * MT_PAGE * 2;
    for (int h = 0; h < r->n; h++)
        for (int64_t j = r->lo[h] / MT_PAGE * MT_PAGE; j < r->hi[h]; j += LANES)
            for (int g = 0; g < n_group; g++) {
                const uint8_t *scale = mt_kv_v(kv, j / MT_PAGE, r->a->h) + off + g * MT_PAGE * 2 + j % MT_PAGE * 2;
                store(r->weight + (g * TILE + h) * MT_CHUNK + (j - r->base),
                      vmul(load(r->s + h * MT_CHUNK + (j - r->base)), read_scales(scale)));
            }
}

#define ASK_ROW for (int i = 0; i < N * LANES * width; i += 64) ASK_FOR(next + i);
/* Dimensions at .. at + N vectors; only `left` of the last vector exist.  A unit u is a key, or a
 * pair of keys.  Units that all rows see are the middle; at the edges each row is asked. */
MT_INLINE void value_tile(const mt_kv_type type, const int N, const int H, run *r, int64_t at, int left)
{
    const mt_kv_view *kv = &r->a->kv;
    const int by = type == MT_KV_BF16 ? 2 : 1, per = MT_PAGE / by;
    const int width = type == MT_KV_Q8 ? 1 : type == MT_KV_F16 ? 2 : 4;
    const int64_t row = r->a->v_dim * width;
    const int64_t end = (r->hi[H - 1] + by - 1) / by, all_from = (r->lo[H - 1] + by - 1) / by;
    const int64_t all_to = MT_MAX(r->hi[0] / by, all_from);
    const float *s = type == MT_KV_Q8 ? r->weight : r->s;
    if (type == MT_KV_Q8) scale_weights(r, at, N * LANES > MT_GROUP ? 2 : 1);
    EACH_ROW(VAL_VARS)
    for (int64_t u = r->lo[0] / by; u < end;) {
        const uint8_t *p = mt_kv_v(kv, u / per, r->a->h) + at * width + u % per * row;
        const bool is_edge = u < all_from || u >= all_to;
        const int64_t until = u < all_from ? all_from : u < all_to ? all_to : end;
        const int64_t stop = MT_MIN(MT_MIN(until, end), (u / per + 1) * per);
        const uint8_t *next = ahead(r, true, u / per + AHEAD) + at * width;
        next += u % per * row;
        for (; u < stop && type != MT_KV_BF16; u++, p += row, next += row) {
            ASK_ROW
            const vec w0 = read_value(type, p, N == 1 ? left : LANES);
            const vec w1 = N > 1 ? read_value(type, p + LANES * width, LANES) : w0;
            const vec w2 = N > 2 ? read_value(type, p + 2 * LANES * width, LANES) : w0;
            const vec w3 = N > 2 ? read_value(type, p + 3 * LANES * width, LANES) : w0;
            const int64_t j = u - r->base;
            if (is_edge) { EACH_ROW(VAL_EDGE) }
            else { EACH_ROW(VAL_STEP) }
        }
        for (; u < stop && is_edge; u++, p += row) {
            const ivec r0 = read_words(p, N == 1 ? left : LANES);
            const ivec r1 = N > 1 ? read_words(p + LANES * 4, LANES) : r0;
            const ivec r2 = N > 2 ? read_words(p + 2 * LANES * 4, LANES) : r0;
            const ivec r3 = N > 2 ? read_words(p + 3 * LANES * 4, LANES) : r0;
            if (HAS_PAIR_DOT) {
                const int64_t j = u - r->base / 2;
                EACH_ROW(PAIR_EDGE)
                continue;
            }
            {
                const int64_t j = 2 * u + 1 - r->base;
                EACH_ROW(ODD_EDGE)
            }
            const int64_t j = 2 * u - r->base;
            EACH_ROW(EVEN_EDGE)
        }
        for (; u < stop; u++, p += row, next += row) {
            ASK_ROW
            if (HAS_PAIR_DOT) {
                const ivec w0 = read_words(p, N == 1 ? left : LANES);
                const ivec w1 = N > 1 ? read_words(p + LANES * 4, LANES) : w0;
                const ivec w2 = N > 2 ? read_words(p + 2 * LANES * 4, LANES) : w0;
                const ivec w3 = N > 2 ? read_words(p + 3 * LANES * 4, LANES) : w0;
                const int64_t j = u - r->base / 2;
                EACH_ROW(VAL_PAIR)
                continue;
            }
            {                           /* read twice: registers are dearer */
                const vec w0 = odd_of(read_words(p, N == 1 ? left : LANES));
                const vec w1 = N > 1 ? odd_of(read_words(p + LANES * 4, LANES)) : w0;
                const vec w2 = N > 2 ? odd_of(read_words(p + 2 * LANES * 4, LANES)) : w0;
                const vec w3 = N > 2 ? odd_of(read_words(p + 3 * LANES * 4, LANES)) : w0;
                const int64_t j = 2 * u + 1 - r->base;
                EACH_ROW(VAL_STEP)
            }
            const vec w0 = even_of(read_words(p, N == 1 ? left : LANES));
            const vec w1 = N > 1 ? even_of(read_words(p + LANES * 4, LANES)) : w0;
            const vec w2 = N > 2 ? even_of(read_words(p + 2 * LANES * 4, LANES)) : w0;
            const vec w3 = N > 2 ? even_of(read_words(p + 3 * LANES * 4, LANES)) : w0;
            const int64_t j = 2 * u - r->base;
            EACH_ROW(VAL_STEP)
        }
    }
    EACH_ROW(VAL_PUT)
}

MT_INLINE void add_values(const mt_kv_type type, const int H, run *r)
{
    const int64_t dim = r->a->v_dim;
    int64_t at = 0;
    for (; at + DIM_VECS * LANES <= dim; at += DIM_VECS * LANES) value_tile(type, DIM_VECS, H, r, at, LANES);
    for (; at < dim; at += LANES) value_tile(type, 1, H, r, at, (int)MT_MIN(dim - at, LANES));
}

/* ---- a chunk ----------------------------------------------------------------------- */
#define ANY_ROWS(f, type)                                                        \
    switch (r->n) {                                                              \
    case 1: f(type, 1, r); break;                                                \
    case 2: f(type, 2, r); break;                                                \
    case 3: f(type, 3, r); break;                                                \
    case 4: f(type, 4, r); break;                                                \
    case 5: f(type, 5, r); break;                                                \
    case 6: f(type, 6, r); break;                                                \
    }

/* Where the tile's rows stand in the chunk, and where their values go. */
static void place_tile(run *r, int row, int n, int64_t chunk)
{
    const mt_attend *a = r->a;
    const int64_t first = row_lo(a, 0) / MT_CHUNK;
    const size_t ld = mt_attend_part(a->v_dim);
    r->row = row, r->n = n;
    for (int h = 0; h < n; h++) {
        const int i = (row + h) / a->n_q;
        const int64_t lo = row_lo(a, i), hi = row_hi(a, i);
        r->lo[h] = MT_MAX(lo, r->base);
        r->hi[h] = MT_MIN(hi, r->base + MT_CHUNK);
        r->is_first[h] = a->part || lo >= r->base;
        r->to[h] = r->v + (row + h) * r->v_pad;
        if (a->part)
            r->to[h] = a->part + ((size_t)(chunk - first) * (size_t)(a->n_q * a->n_pos) + (size_t)(row + h)) * ld + MT_PAGE;
    }
}

MT_INLINE void attend_chunk(const mt_kv_type type, run *r, int64_t chunk)
{
    const mt_attend *a = r->a;
    int from = 0, to = a->n_pos;
    r->base = chunk * MT_CHUNK;
    while (from < to && row_hi(a, from) <= r->base) from++;
    while (from < to && row_lo(a, to - 1) >= r->base + MT_CHUNK) to--;
    const int n = (to - from) * a->n_q, n_tile = (n + TILE - 1) / TILE;
    for (int t = 0; t < n_tile; t++) {
        const int row = from * a->n_q + n * t / n_tile;
        place_tile(r, row, from * a->n_q + n * (t + 1) / n_tile - row, chunk);
        ANY_ROWS(score_keys, type)
        weigh(type, r);
        if (!a->part) merge_sums(type, r);
        ANY_ROWS(add_values, type)
        for (int h = 0; a->part && h < r->n; h++) r->to[h][-16] = r->max[h], r->to[h][-15] = r->sum[h];
    }
}

/* ---- a call -------------------------------------------------------------------------- */
/* Query row times scale, in the form the keys demand.  Rows have room for whole groups. */
MT_INLINE void prepare_row(const mt_kv_type type, const run *r, const float *q, float *to)
{
    const int dim = r->a->head_dim;
    const vec scale = all(r->a->scale * MT_LOG2E);
    float x[MAX_DIM];
    float *at = type == MT_KV_Q8 ? x : to;
    for (int d = 0; d < (dim + MT_GROUP - 1) / MT_GROUP * MT_GROUP; d += LANES) {
        vec v = vmul(load_n(MT_MAX(MT_MIN(dim - d, LANES), 0), q + d), scale);
        if (type == MT_KV_BF16) v = bf16_round(v);
        if (type == MT_KV_BF16 && HAS_PAIR_DOT) store_bf16(at + d / 2, v);
        else store(at + d, v);
    }
    for (int g = 0; type == MT_KV_Q8 && g * MT_GROUP < dim; g++) {
        int8_t *code = (int8_t *)to + g * MT_GROUP;
        scales_of(r, to)[g] = quantize_group(x + g * MT_GROUP, code);
        int32_t sum = 0;
        for (int i = 0; i < MT_GROUP; i++) sum += code[i];
        sums_of(r, to)[g] = sum;
    }
}

MT_INLINE void attend_type(const mt_kv_type type, const mt_attend *a)
{
    run state, *r = &state;
    const int n_row = a->n_q * a->n_pos, last = a->n_pos - 1;
    r->a = a;
    r->hi_all = row_hi(a, last);
    r->ldq = (int64_t)mt_pad((size_t)a->head_dim, MT_GROUP) + 2 * MT_GROUP;
    r->v_pad = (int64_t)mt_pad((size_t)a->v_dim, MT_PAGE);
    r->s = a->scratch, r->weight = r->s + TILE * MT_CHUNK, r->q = r->weight + 2 * TILE * MT_CHUNK;
    r->v = r->q + n_row * r->ldq;
    for (int i = 0; i < 16; i++) r->max[i] = r->sum[i] = 0;
    for (int i = 0; i < n_row; i++) {
        r->m[i] = -INFINITY, r->l[i] = 0;
        prepare_row(type, r, a->q + (size_t)(i / a->n_q) * a->ldq + (size_t)(i % a->n_q * a->head_dim), r->q + i * r->ldq);
    }
    for (int i = n_row; i < n_row + 16; i++) r->m[i] = r->l[i] = 0;
    int64_t c = row_lo(a, 0) / MT_CHUNK, end = (row_hi(a, last) - 1) / MT_CHUNK + 1;
    if (a->part) c = MT_MAX(c, a->c0), end = MT_MIN(end, a->c1);
    for (; c < end; c++) attend_chunk(type, r, c);
    for (int i = 0; i < n_row && !a->part; i++) {
        const vec inv = all(1.0f / r->l[i]);
        float *out = a->out + (size_t)(i / a->n_q) * a->ldo + (size_t)(i % a->n_q * a->v_dim);
        for (int d = 0; d < a->v_dim; d += LANES)
            store_n((int)MT_MIN(a->v_dim - d, LANES), out + d, vmul(load(r->v + i * r->v_pad + d), inv));
    }
}

/* The flags that flush denormals are set around a call, not inside an inlined one. */
#define ATTEND(name, type)                                                       \
    static __attribute__((noinline)) void name##_flushed(const mt_attend *a) { attend_type(type, a); } \
    static void name(const mt_attend *a)                                         \
    {                                                                            \
        const unsigned was = flush_on();                                         \
        name##_flushed(a);                                                       \
        flush_back(was);                                                         \
    }

#ifndef ATTEND_PAIRS_ONLY
/* ---- merging parts ------------------------------------------------------------------- */
static __attribute__((noinline)) void merge_flushed(const mt_attend *a)
{
    const size_t ld = mt_attend_part(a->v_dim), n_row = (size_t)(a->n_q * a->n_pos);
    const bool brief = is_short(a->kv.type);
    for (size_t i = 0; i < n_row; i++) {
        const int at = (int)i / a->n_q;
        const int64_t first = row_lo(a, at) / MT_CHUNK, last = (row_hi(a, at) - 1) / MT_CHUNK;
        float *sum = a->part + ((size_t)(first - row_lo(a, 0) / MT_CHUNK) * n_row + i) * ld;
        const float *part = sum;
        for (int64_t c = first + 1; c <= last; c++) {
            part += n_row * ld;
            const vec was = all(sum[0]), comes = all(part[0]), max = max_of(was, comes);
            const vec from = zero_for_least(max);
            const vec x = brief ? exp2_of(true, vsub(was, from)) : exp2_of(false, vsub(was, from));
            const vec y = brief ? exp2_of(true, vsub(comes, from)) : exp2_of(false, vsub(comes, from));
            store_n(1, sum + 1, vfma(all(part[1]), y, vmul(all(sum[1]), x)));
            store_n(1, sum, max);
            for (int d = MT_PAGE; d < MT_PAGE + a->v_dim; d += LANES)
                store(sum + d, vfma(load(part + d), y, vmul(load(sum + d), x)));
        }
        const vec inv = all(1.0f / sum[1]);
        float *out = a->out + (size_t)at * a->ldo + i % (size_t)a->n_q * (size_t)a->v_dim;
        for (int d = 0; d < a->v_dim; d += LANES)
            store_n((int)MT_MIN(a->v_dim - d, LANES), out + d, vmul(load(sum + MT_PAGE + d), inv));
    }
}

static void attend_merge(const mt_attend *a)
{
    const unsigned was = flush_on();
    merge_flushed(a);
    flush_back(was);
}

/* ---- storing ---------------------------------------------------------------------------- */
/* One row of a head in its pages' number type, then moved to its places. */
MT_INLINE void to_half_row(const mt_kv_type type, const float *x, int n, uint16_t *to)
{
    for (int i = 0; i < n; i += LANES) store_half(type, to + i, load_n(MT_MIN(n - i, LANES), x + i));
}

MT_INLINE void put_q8(uint8_t *kp, uint8_t *vp, size_t lane, const float *k, int head_dim, const float *v,
                      int v_dim)
{
    float x[MT_GROUP];
    int8_t code[MT_GROUP];
    uint8_t *k_scale = kp + (head_dim + 3) / 4 * 64 + lane * 2, *v_scale = vp + v_dim * MT_PAGE + lane * 2;
    for (int is_v = 0; is_v < 2; is_v++) {
        const int dim = is_v ? v_dim : head_dim;
        for (int d = 0; d < dim; d += MT_GROUP) {
            const int n = MT_MIN(MT_GROUP, dim - d);
            for (int i = 0; i < MT_GROUP; i += LANES)
                store(x + i, load_n(MT_MAX(MT_MIN(n - i, LANES), 0), (is_v ? v : k) + d + i));
            const float scale = quantize_group(x, code);
            uint32_t bits;
            memcpy(&bits, &scale, 4);
            bits >>= 16;                /* exact: the rest is 0 */
            memcpy((is_v ? v_scale : k_scale) + d / MT_GROUP * MT_PAGE * 2, &bits, 2);
            if (is_v) memcpy(vp + lane * (size_t)v_dim + d, code, (size_t)n);
            else
                for (int i = 0; i < n; i += 4) memcpy(kp + (d + i) * MT_PAGE + lane * 4, code + i, 4);
        }
    }
}

MT_INLINE void put_half(const mt_kv_type type, uint8_t *kp, uint8_t *vp, size_t lane, const float *k, int head_dim,
                        const float *v, int v_dim)
{
    uint16_t x[MAX_DIM + 16];
    to_half_row(type, k, head_dim, x);
    if (type == MT_KV_F16) {
        for (int d = 0; d < head_dim; d++) memcpy(kp + ((size_t)d * MT_PAGE + lane) * 2, x + d, 2);
        to_half_row(type, v, v_dim, x);
        memcpy(vp + lane * (size_t)v_dim * 2, x, (size_t)v_dim * 2);
        return;
    }
    if (head_dim % 2) x[head_dim] = 0;
    for (int d = 0; d < head_dim; d += 2) memcpy(kp + (size_t)d * MT_PAGE * 2 + lane * 4, x + d, 4);
    to_half_row(type, v, v_dim, x);
    vp += lane / 2 * (size_t)v_dim * 4 + lane % 2 * 2;      /* the other position of the pair stays */
    for (int d = 0; d < v_dim; d++) memcpy(vp + d * 4, x + d, 2);
}

static void kv_put(const mt_kv_view *kv, int64_t pos, int n_kv, int head_dim, int v_dim, const float *k,
                   const float *v)
{
    const size_t lane = (size_t)(pos % MT_PAGE);
    for (int h = 0; h < n_kv; h++, k += head_dim, v += v_dim) {
        uint8_t *kp = mt_kv_k(kv, pos / MT_PAGE, h);
        uint8_t *vp = mt_kv_v(kv, pos / MT_PAGE, h);
        switch (kv->type) {
        case MT_KV_F32:
            for (int d = 0; d < head_dim; d++) memcpy(kp + ((size_t)d * MT_PAGE + lane) * 4, k + d, 4);
            memcpy(vp + lane * (size_t)v_dim * 4, v, (size_t)v_dim * 4);
            break;
        case MT_KV_F16: put_half(MT_KV_F16, kp, vp, lane, k, head_dim, v, v_dim); break;
        case MT_KV_BF16: put_half(MT_KV_BF16, kp, vp, lane, k, head_dim, v, v_dim); break;
        case MT_KV_Q8: put_q8(kp, vp, lane, k, head_dim, v, v_dim); break;
        case MT_KV_COUNT: break;
        }
    }
}
#endif

#endif
