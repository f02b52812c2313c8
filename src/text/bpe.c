/* SPDX-License-Identifier: MIT */
/* bpe.c - the merge table, and merging by scan for short words and by heap for long ones.
 *
 * A short word is merged in place by looking for the lowest rank again and again: quadratic, but
 * without memory and faster up to a few dozen bytes.  A long word is a linked list of symbols
 * and a queue of pairs by (rank, place); one that has changed since is skipped, so n bytes
 * cost at most 3 n of them, of which 2 n wait at any time. */
#include "text/bpe.h"

#include <string.h>

enum {
    ID_BITS = 21, RANK_BITS = 22,
    MOST_MERGES = (1 << RANK_BITS) - 2,
    LONGEST_CHAIN = 1024,
    LONGEST_HALF = 1000,         /* bytes of one side of a merge, as stored */
    BLOCK = 32,                  /* merges that wait for memory together */
    SHORT_WORD = 40,             /* bytes; above, the heap wins */
    MOST_ODD = 4096,             /* merges of tokens that merging does not make: each is looked for everywhere */
    N_RUN = 64,                  /* runs of pairs that are remembered */
    WHOLE_YES = 1, WHOLE_NO = 2
};
#define NO_RANK UINT32_MAX
#define NO_TOKEN UINT32_MAX
#define EMPTY   UINT64_MAX
_Static_assert(MT_TOKENS_MAX == 1 << ID_BITS, "ids must fit their bits");

/* ---- the table ---------------------------------------------------------------- */

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return (uint64_t)left << ID_BITS | right;
}

static uint32_t slot_of(const mt_bpe *b, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    return (uint32_t)((h >> 32) * b->n_slot >> 32);
}

static uint32_t rank_of(const mt_bpe *b, int32_t left, int32_t right)
{
    const uint64_t key = pair_key((uint32_t)left, (uint32_t)right);
    uint32_t i = slot_of(b, key);
    for (uint32_t chain = 0; chain <= b->chain; chain++) {
        const uint64_t slot = b->slot[i];
        if (slot >> RANK_BITS == key) return (uint32_t)(slot & ((1u << RANK_BITS) - 1));
        if (slot == EMPTY) break;
        i = i + 1 < b->n_slot ? i + 1 : 0;
    }
    return NO_RANK;
}

/* False: a chain longer than any honest vocabulary makes.  A pair seen before keeps its rank. */
static bool insert(mt_bpe *b, uint64_t key, uint32_t i, uint32_t rank)
{
    uint32_t chain = 0;
    for (; b->slot[i] != EMPTY; chain++) {
        if (chain == LONGEST_CHAIN) return false;
        if (b->slot[i] >> RANK_BITS == key) return true;
        i = i + 1 < b->n_slot ? i + 1 : 0;
    }
    b->slot[i] = key << RANK_BITS | rank;
    b->chain = MT_MAX(b->chain, chain);
    return true;
}

/* A merge on its way into the table; na 0: not a pair of possible tokens. */
typedef struct merge_row {
    const uint8_t *p;            /* the halves' bytes: of the token they make, or text */
    size_t       na, nb;
    int32_t      joined;         /* -1: not known yet, or no token */
    mt_piece_key a, b;
    uint64_t     key;
    uint32_t     slot;
    uint8_t      text[2 * LONGEST_HALF];
} merge_row;

static size_t decode_half(const mt_pieces *pieces, mt_str half, uint8_t *to)
{
    if (!pieces->is_text) return mt_piece_decode(half, to);
    memcpy(to, half.p, half.n);
    return half.n;
}

static bool goes_on(char c) { return (c & 0xC0) == 0x80; }

/* Is token id spelled a b?  Then its own bytes serve, and the halves need not be decoded. */
static bool take_bytes(const mt_pieces *pieces, const mt_vocab *v, size_t id, mt_str a, mt_str b, merge_row *row)
{
    if (id >= pieces->n || pieces->role[id] != MT_ROLE_ORDINARY) return false;
    const mt_str whole = v->token[id];
    if (whole.n != a.n + b.n || memcmp(whole.p, a.p, a.n) != 0 || memcmp(whole.p + a.n, b.p, b.n) != 0) return false;
    if (!pieces->is_text && goes_on(*b.p)) return false;
    const mt_str bytes = mt_pieces_bytes(pieces, id);
    row->na = a.n;
    for (size_t i = 0; i < a.n && !pieces->is_text; i++) row->na -= goes_on(a.p[i]);
    row->p = (const uint8_t *)bytes.p;
    row->nb = bytes.n - row->na;
    row->joined = (int32_t)id;
    return true;
}

/* Reads "left right"; cut: where the space is, 0: the first.  last: the token of the merge before, -1: not
 * known; most often the next one is meant. */
static void read_row(const mt_pieces *pieces, const mt_vocab *v, size_t i, int32_t last, merge_row *row)
{
    const mt_str text = v->merge[i];
    const size_t cut = v->merge_cut ? v->merge_cut[i] : 0;
    row->na = 0, row->joined = -1;
    const char *space = cut ? text.p + cut : text.n > 1 ? memchr(text.p + 1, ' ', text.n - 1) : NULL;
    if (!space) return;
    const mt_str a = { text.p, (size_t)(space - text.p) };
    const mt_str b = { space + 1, text.n - a.n - 1 };
    if (a.n > LONGEST_HALF || b.n == 0 || b.n > LONGEST_HALF) return;
    if (last < 0 || (!take_bytes(pieces, v, (size_t)last + 1, a, b, row) && !take_bytes(pieces, v, (size_t)last, a, b, row))) {
        const size_t na = decode_half(pieces, a, row->text);
        if (na == SIZE_MAX) return;
        row->nb = decode_half(pieces, b, row->text + na);
        if (row->nb == SIZE_MAX) return;
        row->na = na, row->p = row->text;
    }
    row->a = mt_pieces_key(pieces, row->p, row->na);
    row->b = mt_pieces_key(pieces, row->p + row->na, row->nb);
}

/* The token that a row makes: of a prefix, the right half's goes. */
static int32_t join_row(const mt_pieces *pieces, merge_row *row, size_t prefix)
{
    if (row->joined >= 0 || row->na == 0) return row->joined;
    if (prefix > row->nb) return -1;
    if (prefix) memmove(row->text + row->na, row->text + row->na + prefix, row->nb - prefix);
    return mt_pieces_find(pieces, row->p, row->na + row->nb - prefix);
}

/* Finds the three tokens of a row; -1: one is missing. */
static int32_t resolve_row(const mt_bpe *b, merge_row *row, size_t prefix)
{
    if (row->na == 0) return -1;
    const int32_t left = mt_pieces_find_key(b->pieces, &row->a, row->p);
    const int32_t right = mt_pieces_find_key(b->pieces, &row->b, row->p + row->na);
    if (left < 0 || right < 0) return -1;
    row->key = pair_key((uint32_t)left, (uint32_t)right);
    row->slot = slot_of(b, row->key);
    MT_PREFETCH(&b->slot[row->slot]);
    return join_row(b->pieces, row, prefix);
}

/* Is there a token with these bytes that merging must not make? */
static bool is_special(const mt_pieces *pieces, const uint8_t *p, size_t n)
{
    for (size_t id = 0; id < pieces->n; id++) {
        const mt_str s = mt_pieces_bytes(pieces, id);
        if (pieces->role[id] >= MT_ROLE_USER && s.n == n && memcmp(s.p, p, n) == 0) return true;
    }
    return false;
}

/* A half outside the byte alphabet is no part of any word: such a merge does nothing. */
static bool is_inert(const mt_pieces *pieces, const mt_vocab *v, size_t i)
{
    uint8_t half[LONGEST_HALF];
    const mt_str text = v->merge[i];
    const size_t cut = v->merge_cut ? v->merge_cut[i] : 0;
    if (pieces->is_text || cut == 0 || cut >= text.n) return false;
    const mt_str a = { text.p, cut }, b = { text.p + cut + 1, text.n - cut - 1 };
    if (a.n > LONGEST_HALF || b.n > LONGEST_HALF) return false;
    return mt_piece_decode(a, half) == SIZE_MAX || mt_piece_decode(b, half) == SIZE_MAX;
}

static mote_status check_row(const mt_bpe *b, const merge_row *row, mt_str text, size_t prefix, mote_error *err)
{
    const size_t n = row->na + row->nb - MT_MIN(prefix, row->nb);
    if (row->na && (is_special(b->pieces, row->p, n) || is_special(b->pieces, row->p, row->na) ||
                    is_special(b->pieces, row->p + row->na, row->nb))) return MOTE_OK;
    MT_FAIL(err, MOTE_EFORMAT, "vocabulary: merge '%.*s' names a token that is not in it", (int)MT_MIN(text.n, 64), text.p);
}

static mote_status read_merges(mt_bpe *b, const mt_vocab *v, const mt_bpe_spec *spec, merge_row *row,
                               mote_error *err)
{
    const bool can_guess = spec->prefix.n == 0 && b->pieces->n_twin == 0;
    size_t n_bad = 0, n_odd = 0;
    int32_t last = -1;
    for (uint32_t from = 0; from < v->n_merge; from += BLOCK) {
        const uint32_t n = (uint32_t)MT_MIN(BLOCK, v->n_merge - from);
        for (uint32_t i = 0; i < n; i++) {
            read_row(b->pieces, v, from + i, can_guess ? last : -1, &row[i]);
            if (!can_guess) continue;
            row[i].joined = join_row(b->pieces, &row[i], 0);
            if (row[i].joined >= 0) last = row[i].joined;
        }
        for (uint32_t i = 0; i < n; i++) {
            const int32_t joined = resolve_row(b, &row[i], spec->prefix.n);
            b->joined[from + i] = joined < 0 ? NO_TOKEN : (uint32_t)joined;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (b->joined[from + i] == NO_TOKEN) {
                n_bad++;
                if (!spec->is_strict || is_inert(b->pieces, v, from + i)) continue;
                if (++n_odd > MOST_ODD)
                    MT_FAIL(err, MOTE_EFORMAT, "vocabulary: more than %d merges name special tokens", (int)MOST_ODD);
                MT_TRY(check_row(b, &row[i], v->merge[from + i], spec->prefix.n, err));
            } else if (!insert(b, row[i].key, row[i].slot, from + i)) {
                MT_FAIL(err, MOTE_EFORMAT, "vocabulary: merge %u is one of more than %d that "
                        "collide", from + i, (int)LONGEST_CHAIN);
            }
        }
    }
    if (n_bad) mt_log(1, "vocabulary: %zu of %zu merges name tokens it lacks and are skipped",
                      n_bad, v->n_merge);
    return MOTE_OK;
}

mote_status mt_bpe_init(mt_bpe *b, const mt_pieces *pieces, const mt_vocab *v, const mt_bpe_spec *spec,
                        mt_arena *arena, mote_error *err)
{
    *b = (mt_bpe){ .pieces = pieces, .ignore_merges = spec->ignore_merges };
    if (v->n_merge > MOST_MERGES)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: %zu merges, the limit is %d", v->n_merge,
                (int)MOST_MERGES);
    b->n_slot = (uint32_t)(v->n_merge * 7 / 4 + 1);
    b->slot = mt_arena_push(arena, b->n_slot * sizeof *b->slot);
    b->joined = mt_arena_push(arena, v->n_merge * sizeof *b->joined);
    b->whole = mt_arena_push_zero(arena, pieces->n);
    merge_row *row = mt_get(arena->alloc, BLOCK * sizeof *row, _Alignof(merge_row));
    if (!b->slot || !b->joined || !b->whole || !row) {
        mt_put(arena->alloc, row, BLOCK * sizeof *row);
        MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu merges", v->n_merge);
    }
    memset(b->slot, 0xFF, b->n_slot * sizeof *b->slot);
    const mote_status status = read_merges(b, v, spec, row, err);
    mt_put(arena->alloc, row, BLOCK * sizeof *row);
    return status;
}

/* ---- memory that grows ---------------------------------------------------------- */

bool mt_ids_reserve(mt_ids *ids, size_t more)
{
    if (more <= ids->cap - ids->n) return true;
    size_t cap, bytes;
    if (ids->is_lent || !mt_add_ok(ids->n, more, &cap)) return false;
    cap = MT_MAX(MT_MAX(cap, ids->cap * 2), 256);
    if (!mt_mul_ok(cap, sizeof *ids->p, &bytes)) return false;
    int32_t *grown = mt_get(ids->alloc, bytes, sizeof *ids->p);
    mote_span *span = grown && ids->has_span && mt_mul_ok(cap, sizeof *span, &bytes)
                    ? mt_get(ids->alloc, bytes, _Alignof(mote_span)) : NULL;
    if (!grown || (ids->has_span && !span)) {
        mt_put(ids->alloc, grown, cap * sizeof *ids->p);
        return false;
    }
    if (ids->n) memcpy(grown, ids->p, ids->n * sizeof *ids->p);
    if (ids->n && span) memcpy(span, ids->span, ids->n * sizeof *span);
    mt_ids_free(ids);
    ids->p = grown, ids->span = span;
    ids->cap = cap;
    return true;
}

void mt_ids_free(mt_ids *ids)
{
    if (ids->is_lent) return;
    mt_put(ids->alloc, ids->p, ids->cap * sizeof *ids->p);
    mt_put(ids->alloc, ids->span, ids->cap * sizeof *ids->span);
    ids->p = NULL, ids->span = NULL;
}

void mt_bpe_done(mt_bpe_work *w)
{
    mt_put(w->alloc, w->p, w->bytes);
    w->p = NULL;
    w->bytes = 0;
}

static void *work_of(mt_bpe_work *w, size_t bytes)
{
    if (bytes > w->bytes) {
        mt_bpe_done(w);
        w->p = mt_get(w->alloc, bytes, sizeof(uint64_t));
        if (w->p) w->bytes = bytes;
    }
    return w->p;
}

/* ---- short words ------------------------------------------------------------------ */

/* The tokens of the single bytes. */
static size_t spell(const mt_bpe *b, mt_str word, int32_t *id)
{
    size_t n = 0;
    for (size_t i = 0; i < word.n; i++) {
        const int32_t t = b->pieces->of_byte[(uint8_t)word.p[i]];
        if (t >= 0) id[n++] = t;
    }
    return n;
}

/* Merges id[0, n) in place, n <= SHORT_WORD, and sums up len (NULL: nobody asks); the number left. */
MT_INLINE size_t merge_short(const mt_bpe *b, int32_t *id, uint32_t *len, size_t n)
{
    uint32_t rank[SHORT_WORD];                   /* of the pair (i, i + 1) */
    for (size_t i = 0; i + 1 < n; i++) rank[i] = rank_of(b, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) break;
        id[best] = (int32_t)b->joined[rank[best]];
        n--;
        if (len) len[best] += len[best + 1];
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
            if (len) len[i] = len[i + 1];
        }
        if (best + 1 < n) rank[best] = rank_of(b, id[best], id[best + 1]);
        if (best > 0) rank[best - 1] = rank_of(b, id[best - 1], id[best]);
    }
    return n;
}

/* ---- long words --------------------------------------------------------------------- */

/* A symbol stands where its first byte stood; NONE ends a list, GONE is a symbol joined to the one on its
 * left.  Pairs wait in runs: of one rank, in the order of their places.  The heap holds the runs by (rank,
 * place) of their first pairs, so that a text which repeats itself needs a handful of them, not one for each
 * pair.  A pair joins the last run of its rank that is remembered if it comes behind the pairs there. */
typedef struct open_run { uint32_t rank, tail, last; } open_run;     /* tail NONE: none; last: its place */
typedef struct long_word {
    const mt_bpe *bpe;
    uint64_t *heap;              /* (2 n) rank << 32 | place of the run's first pair, a binary min-heap */
    uint32_t *first;             /* (2 n) that pair, beside heap */
    uint32_t *place, *after;     /* (2 n) the pairs: where each begins, the next one of its run or of those unused */
    uint32_t *next, *prev;       /* (n) */
    int32_t  *id;                /* (n) */
    size_t    n_heap, steps;
    uint32_t  n_pair, unused;    /* pairs made so far; those that can be used again */
    open_run  open[N_RUN];       /* by rank */
} long_word;
#define NONE UINT32_MAX
#define GONE (-1)

static void put_run(long_word *w, size_t i, uint64_t key, uint32_t first)
{
    w->heap[i] = key, w->first[i] = first;
}

static void heap_push(long_word *w, uint64_t key, uint32_t first)
{
    size_t i = w->n_heap++;
    for (; i > 0 && w->heap[(i - 1) / 2] > key; i = (i - 1) / 2, w->steps++)
        put_run(w, i, w->heap[(i - 1) / 2], w->first[(i - 1) / 2]);
    put_run(w, i, key, first);
}

/* Puts a run in the place of the top one, and where it belongs. */
static void heap_sink(long_word *w, uint64_t key, uint32_t first)
{
    size_t i = 0;
    for (size_t down = 1; down < w->n_heap; down = 2 * i + 1) {
        if (down + 1 < w->n_heap && w->heap[down + 1] < w->heap[down]) down++;
        if (w->heap[down] >= key) break;
        put_run(w, i, w->heap[down], w->first[down]);
        i = down;
        w->steps++;
    }
    put_run(w, i, key, first);
}

static void push(long_word *w, uint32_t rank, uint32_t place)
{
    open_run *const r = &w->open[rank % N_RUN];
    const uint32_t pair = w->unused == NONE ? w->n_pair++ : w->unused;
    if (w->unused != NONE) w->unused = w->after[pair];
    w->place[pair] = place, w->after[pair] = NONE;
    if (r->tail != NONE && r->rank == rank && r->last < place) w->after[r->tail] = pair;
    else heap_push(w, (uint64_t)rank << 32 | place, pair);
    *r = (open_run){ rank, pair, place };
}

/* rank << 32 | place of the leftmost pair of the lowest rank. */
static uint64_t pop(long_word *w)
{
    const uint64_t top = w->heap[0];
    const uint32_t pair = w->first[0], after = w->after[pair];
    open_run *const r = &w->open[(top >> 32) % N_RUN];
    if (after != NONE) {
        heap_sink(w, top >> 32 << 32 | w->place[after], after);
    } else {
        if (r->tail == pair) r->tail = NONE;
        w->n_heap--;
        if (w->n_heap) heap_sink(w, w->heap[w->n_heap], w->first[w->n_heap]);
    }
    w->after[pair] = w->unused;
    w->unused = pair;
    return top;
}

/* The rank of the pair that begins at a symbol. */
static uint32_t rank_at(long_word *w, uint32_t at)
{
    w->steps++;
    return w->next[at] == NONE ? NO_RANK : rank_of(w->bpe, w->id[at], w->id[w->next[at]]);
}

static void consider(long_word *w, uint32_t at)
{
    const uint32_t rank = rank_at(w, at);
    if (rank != NO_RANK) push(w, rank, at);
}

static void merge_list(long_word *w, uint32_t n)
{
    for (int i = 0; i < N_RUN; i++) w->open[i].tail = NONE;
    for (uint32_t i = 0; i < n; i++) {
        w->prev[i] = i ? i - 1 : NONE;
        w->next[i] = i + 1 < n ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < n; i++) consider(w, i);
    while (w->n_heap) {
        const uint64_t entry = pop(w);
        const uint32_t at = (uint32_t)entry, rank = (uint32_t)(entry >> 32);
        if (w->id[at] == GONE || rank_at(w, at) != rank) continue;
        const uint32_t right = w->next[at];
        w->id[at] = (int32_t)w->bpe->joined[rank];
        w->id[right] = GONE;
        w->next[at] = w->next[right];
        if (w->next[at] != NONE) w->prev[w->next[at]] = at;
        consider(w, at);
        if (w->prev[at] != NONE) consider(w, w->prev[at]);
    }
}

/* The list over symbols that lie in w, as mt_bpe_symbols gave them. */
static long_word list_of(const mt_bpe *b, const mt_bpe_work *w)
{
    const size_t n = w->cap;
    uint64_t *heap = w->p;
    uint32_t *rest = (uint32_t *)(heap + 2 * n);
    return (long_word){ .bpe = b, .heap = heap, .first = rest, .place = rest + 2 * n, .after = rest + 4 * n,
                        .next = rest + 6 * n, .prev = rest + 7 * n, .id = (int32_t *)(rest + 8 * n), .unused = NONE };
}

/* Room for n: arrays that begin at the same place of their pages would push each other out of the caches. */
static size_t room_for(size_t n)
{
    enum { PAGE = 1024, APART = 80 };            /* symbols of 4 bytes */
    return n < 4 * PAGE ? n : (n + PAGE - APART - 1) / PAGE * PAGE + APART;
}

int32_t *mt_bpe_symbols(mt_bpe_work *w, size_t n)
{
    size_t bytes;
    const size_t each = 2 * sizeof(uint64_t) + 9 * sizeof(uint32_t);
    if (n >= NONE / 2 || !mt_mul_ok(room_for(n), each, &bytes) || !work_of(w, bytes)) return NULL;
    w->cap = room_for(n);
    return list_of(NULL, w).id;
}

size_t mt_bpe_merge(const mt_bpe *b, mt_bpe_work *work, int32_t *id, uint32_t *len, size_t n)
{
    if (n <= SHORT_WORD) return merge_short(b, id, len, n);
    long_word w = list_of(b, work);
    merge_list(&w, (uint32_t)n);
    work->steps += w.steps;
    size_t to = 0;
    for (uint32_t i = 0; i != NONE; i = w.next[i], to++) {
        const uint32_t end = w.next[i] == NONE ? (uint32_t)n : w.next[i];
        uint32_t sum = 0;
        for (uint32_t k = i; len && k < end; k++) sum += len[k];
        id[to] = w.id[i];
        if (len) len[to] = sum;
    }
    return to;
}

static bool merge_long(const mt_bpe *b, mt_str word, mt_bpe_work *work, mt_ids *ids)
{
    int32_t *id = mt_bpe_symbols(work, word.n);
    if (!id) return false;
    const size_t n = mt_bpe_merge(b, work, id, NULL, spell(b, word, id));
    if (!mt_ids_reserve(ids, n)) return false;
    if (n) memcpy(ids->p + ids->n, id, n * sizeof *id);
    ids->n += n;
    return true;
}

/* ---- one word ------------------------------------------------------------------------- */

bool mt_bpe_word(const mt_bpe *b, mt_str word, mt_bpe_work *w, mt_ids *ids)
{
    const int32_t self = mt_pieces_find(b->pieces, (const uint8_t *)word.p, word.n);
    const unsigned whole = self < 0 ? WHOLE_NO : b->ignore_merges ? WHOLE_YES
                         : atomic_load_explicit(&b->whole[self], memory_order_relaxed);
    if (!mt_ids_reserve(ids, word.n <= SHORT_WORD ? word.n : 1)) return false;
    if (whole == WHOLE_YES) {
        ids->p[ids->n++] = self;
        return true;
    }
    const size_t start = ids->n;
    if (word.n <= SHORT_WORD)
        ids->n += merge_short(b, ids->p + start, NULL, spell(b, word, ids->p + start));
    else if (!merge_long(b, word, w, ids))
        return false;
    if (whole != WHOLE_NO) {
        const bool is_whole = ids->n - start == 1 && ids->p[start] == self;
        atomic_store_explicit(&b->whole[self], is_whole ? WHOLE_YES : WHOLE_NO,
                              memory_order_relaxed);
    }
    return true;
}
