/* SPDX-License-Identifier: MIT */
/* trie.c - building the double array of trie.h.
 *
 * Keys are sorted byte by byte while the array grows: a node is a range of keys that agree so far,
 * and its children are the same range in order of the next byte.  Eight bytes of each key lie
 * beside its number, so that the keys themselves are touched once for that many.  A place for the
 * children is looked for in the last few blocks of 256 units that have room, so that building takes
 * time in proportion to the keys' bytes; links are stored as base ^ byte, hence a node's children
 * never leave their block. */
#include "text/trie.h"

#include <string.h>

enum {
    BLOCK = 256,
    MOST_UNITS = 1 << 23,        /* a base has 23 bits */
    N_OPEN = 16,                 /* blocks that children are offered to */
    MOST_MISSES = 64,            /* after so many a block with room is given up */
    FEW = 24                     /* keys; above, they are counted, below, inserted */
};
#define IN_USE 0x100u

/* free: bit per unit; base: bit per base that is taken, for two nodes must not share one. */
typedef struct block { uint64_t free[4], base[4]; uint32_t n_free, n_miss; } block;
typedef struct range { uint32_t from, to, depth, unit; } range;
/* A key on its way: the first of its bytes that count at a depth of 8 k is the word's highest. */
typedef struct item { uint64_t word; const uint8_t *p; uint32_t n; int32_t id; } item;

typedef struct builder {
    const mote_alloc *alloc;
    item    *item, *other;       /* (n) keys in order; room to sort */
    range   *stack;              /* (n + 1) */
    size_t   n, n_stack;
    mt_trie_unit *unit;
    block   *block;
    uint32_t n_block, cap_block;
    uint32_t open[N_OPEN], n_open;
} builder;

/* ---- blocks --------------------------------------------------------------------- */

static bool get_bit(const uint64_t set[4], unsigned i) { return set[i >> 6] >> (i & 63) & 1; }
static void put_bit(uint64_t set[4], unsigned i) { set[i >> 6] |= (uint64_t)1 << (i & 63); }
static void drop_bit(uint64_t set[4], unsigned i) { set[i >> 6] &= ~((uint64_t)1 << (i & 63)); }

static bool grow_blocks(builder *b)
{
    const uint32_t cap = b->cap_block ? b->cap_block * 2 : 16;
    mt_trie_unit *unit = mt_get(b->alloc, (size_t)cap * BLOCK * sizeof *unit, _Alignof(mt_trie_unit));
    block *blocks = mt_get(b->alloc, cap * sizeof *blocks, _Alignof(block));
    if (!unit || !blocks) {
        mt_put(b->alloc, unit, (size_t)cap * BLOCK * sizeof *unit);
        mt_put(b->alloc, blocks, cap * sizeof *blocks);
        return false;
    }
    if (b->n_block) {
        memcpy(unit, b->unit, (size_t)b->n_block * BLOCK * sizeof *unit);
        memcpy(blocks, b->block, b->n_block * sizeof *blocks);
    }
    mt_put(b->alloc, b->unit, (size_t)b->cap_block * BLOCK * sizeof *unit);
    mt_put(b->alloc, b->block, b->cap_block * sizeof *blocks);
    b->unit = unit;
    b->block = blocks;
    b->cap_block = cap;
    return true;
}

/* A new block, all free; false: no memory. */
static bool add_block(builder *b)
{
    if (b->n_block == b->cap_block && !grow_blocks(b)) return false;
    block *k = &b->block[b->n_block];
    *k = (block){ .n_free = BLOCK };
    memset(k->free, 0xFF, sizeof k->free);
    for (uint32_t i = 0; i < BLOCK; i++)
        b->unit[b->n_block * BLOCK + i] = (mt_trie_unit){ 0, -1 };
    if (b->n_open == N_OPEN) memmove(b->open, b->open + 1, --b->n_open * sizeof *b->open);
    b->open[b->n_open++] = b->n_block++;
    return true;
}

/* A base within the block that has room for children at all of byte[0, n); -1: none. */
static int base_in(const block *k, const uint8_t *byte, unsigned n)
{
    if (k->n_free < n) return -1;
    for (unsigned word = 0; word < 4; word++)
        for (uint64_t left = k->free[word]; left; left &= left - 1) {
            const unsigned base = (word * 64 + (unsigned)__builtin_ctzll(left)) ^ byte[0];
            if (get_bit(k->base, base)) continue;
            unsigned i = 1;
            while (i < n && get_bit(k->free, base ^ byte[i])) i++;
            if (i == n) return (int)base;
        }
    return -1;
}

/* Takes units for children at byte[0, n); *base is where they hang. */
static bool place(builder *b, const uint8_t *byte, unsigned n, uint32_t *base)
{
    int found = -1;
    uint32_t slot = b->n_open;
    while (slot > 0 && found < 0) {
        block *k = &b->block[b->open[--slot]];
        found = base_in(k, byte, n);
        if (found < 0 && ++k->n_miss > MOST_MISSES)
            memmove(b->open + slot, b->open + slot + 1, (--b->n_open - slot) * sizeof *b->open);
    }
    if (found < 0) {
        if (!add_block(b)) return false;
        slot = b->n_open - 1;
        found = base_in(&b->block[b->open[slot]], byte, n);
    }
    const uint32_t which = b->open[slot];
    block *k = &b->block[which];
    put_bit(k->base, (unsigned)found);
    for (unsigned i = 0; i < n; i++) drop_bit(k->free, (unsigned)found ^ byte[i]);
    k->n_free -= n;
    if (k->n_free == 0)
        memmove(b->open + slot, b->open + slot + 1, (--b->n_open - slot) * sizeof *b->open);
    *base = which * BLOCK + (unsigned)found;
    return true;
}

/* ---- keys ------------------------------------------------------------------------ */

static uint8_t byte_at(const item *i, uint32_t depth)
{
    return (uint8_t)(i->word >> (56 - 8 * (depth & 7)));
}

/* Brings the next eight bytes of the keys of a range beside them; behind a key's end are zeros. */
static void load_words(builder *b, const range *r)
{
    for (uint32_t i = r->from; i < r->to; i++) {
        item *t = &b->item[i];
        const uint8_t *p = t->p + r->depth;
        const uint32_t n = MT_MIN(t->n - r->depth, 8);
        t->word = 0;
        for (uint32_t k = 0; k < n; k++) t->word |= (uint64_t)p[k] << (56 - 8 * k);
    }
}

/* Drops the keys that end here; the first of them is the unit's token. */
static void take_ends(builder *b, range *r)
{
    uint32_t keep = r->to;
    for (uint32_t i = r->to; i-- > r->from; ) {
        const item t = b->item[i];
        if (t.n == r->depth) b->unit[r->unit].id = t.id;
        else if (--keep != i) b->item[keep] = t;
    }
    r->from = keep;
}

/* Brings a range in order of the byte at its depth, equal ones as they were. */
static void sort_range(builder *b, const range *r)
{
    if (r->to - r->from <= FEW) {
        for (uint32_t i = r->from + 1; i < r->to; i++) {
            const item t = b->item[i];
            const uint8_t byte = byte_at(&t, r->depth);
            uint32_t k = i;
            for (; k > r->from && byte_at(&b->item[k - 1], r->depth) > byte; k--)
                b->item[k] = b->item[k - 1];
            if (k != i) b->item[k] = t;
        }
        return;
    }
    uint32_t start[256] = { 0 };
    for (uint32_t i = r->from; i < r->to; i++) start[byte_at(&b->item[i], r->depth)]++;
    for (uint32_t c = 0, sum = r->from; c < 256; c++) {
        const uint32_t n = start[c];
        start[c] = sum;
        sum += n;
    }
    for (uint32_t i = r->from; i < r->to; i++)
        b->other[start[byte_at(&b->item[i], r->depth)]++] = b->item[i];
    memcpy(b->item + r->from, b->other + r->from, (r->to - r->from) * sizeof *b->item);
}

/* Makes the units of a key that is alone in its range; false: no memory. */
static bool finish(builder *b, const item *t, const range *r)
{
    uint32_t unit = r->unit, base;
    for (uint32_t depth = r->depth; depth < t->n; depth++) {
        const uint8_t byte = t->p[depth];
        if (!place(b, &byte, 1, &base)) return false;
        b->unit[unit].link |= base << 9;
        unit = base ^ byte;
        b->unit[unit] = (mt_trie_unit){ IN_USE | byte, -1 };
    }
    b->unit[unit].id = t->id;
    return true;
}

/* Makes the children of a range's unit; false: no memory. */
static bool branch(builder *b, range r)
{
    uint8_t byte[256];
    uint32_t end[256];
    unsigned n = 0;
    if (r.to - r.from == 1) return finish(b, &b->item[r.from], &r);
    if ((r.depth & 7) == 0) load_words(b, &r);
    take_ends(b, &r);
    if (r.from == r.to) return true;
    sort_range(b, &r);
    for (uint32_t i = r.from; i < r.to; i++) {
        const uint8_t c = byte_at(&b->item[i], r.depth);
        if ((r.depth & 7) == 7) MT_PREFETCH(b->item[i].p + r.depth + 1);
        if (n == 0 || byte[n - 1] != c) byte[n++] = c;
        end[n - 1] = i + 1;
    }
    uint32_t base;
    if (!place(b, byte, n, &base)) return false;
    b->unit[r.unit].link |= base << 9;
    for (unsigned i = 0; i < n; i++) {
        const uint32_t unit = base ^ byte[i];
        b->unit[unit] = (mt_trie_unit){ IN_USE | byte[i], -1 };
        b->stack[b->n_stack++] = (range){ i ? end[i - 1] : r.from, end[i], r.depth + 1, unit };
    }
    return true;
}

static mote_status build(builder *b, mote_error *err)
{
    if (!add_block(b)) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", b->n);
    b->n_open = 0;                               /* the root's block has no children */
    b->stack[b->n_stack++] = (range){ 0, (uint32_t)b->n, 0, 0 };
    while (b->n_stack) {
        if (!branch(b, b->stack[--b->n_stack]))
            MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", b->n);
        if (b->n_block > MOST_UNITS / BLOCK)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: tokens have more than %d different "
                    "beginnings", (int)MOST_UNITS);
    }
    return MOTE_OK;
}

/* ---- opening ------------------------------------------------------------------------ */

/* Counts the keys that are not empty, their longest into t. */
static mote_status gather(builder *b, mt_trie *t, const mt_str *key, const int32_t *id, size_t n,
                          mote_error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        if (key[i].n > MT_TRIE_LONGEST)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: token %u has %zu bytes, the limit is %d", i,
                    key[i].n, (int)MT_TRIE_LONGEST);
        const uint32_t len = (uint32_t)key[i].n;
        if (len) b->item[b->n++] = (item){ 0, (const uint8_t *)key[i].p, len, id ? id[i] : (int32_t)i };
        t->longest = MT_MAX(t->longest, len);
    }
    t->n_key = (uint32_t)b->n;
    return MOTE_OK;
}

static mote_status fill(builder *b, mt_trie *t, mt_arena *arena, mote_error *err)
{
    MT_TRY(build(b, err));
    t->n_unit = b->n_block * BLOCK;
    t->unit = mt_arena_push(arena, t->n_unit * sizeof *t->unit);
    if (!t->unit) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", b->n);
    memcpy(t->unit, b->unit, t->n_unit * sizeof *t->unit);
    return MOTE_OK;
}

mote_status mt_trie_init(mt_trie *t, const mt_str *key, const int32_t *id, size_t n,
                         mt_arena *arena, mote_error *err)
{
    const mote_alloc *alloc = arena->alloc;
    *t = (mt_trie){ 0 };
    if (n > INT32_MAX / 2)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: %zu tokens are too many", n);
    builder b = { .alloc = alloc,
                  .item = mt_get(alloc, n * sizeof *b.item, _Alignof(item)),
                  .other = mt_get(alloc, n * sizeof *b.other, _Alignof(item)),
                  .stack = mt_get(alloc, (n + 1) * sizeof *b.stack, _Alignof(range)) };
    mote_status status = MOTE_OK;
    if (!b.item || !b.other || !b.stack)
        status = mt_fail(err, MOTE_ENOMEM, "no memory for %zu tokens", n);
    if (status == MOTE_OK) status = gather(&b, t, key, id, n, err);
    if (status == MOTE_OK) status = fill(&b, t, arena, err);
    mt_put(alloc, b.item, n * sizeof *b.item);
    mt_put(alloc, b.other, n * sizeof *b.other);
    mt_put(alloc, b.stack, (n + 1) * sizeof *b.stack);
    mt_put(alloc, b.unit, (size_t)b.cap_block * BLOCK * sizeof *b.unit);
    mt_put(alloc, b.block, b.cap_block * sizeof *b.block);
    return status;
}

int32_t mt_trie_match(const mt_trie *t, const uint8_t *p, const uint8_t *end, size_t *len)
{
    int32_t best = -1;
    uint32_t at = 0;
    for (const uint8_t *q = p; q < end; ) {
        at = mt_trie_step(t, at, *q++);
        if (!at) break;
        if (t->unit[at].id < 0) continue;
        best = t->unit[at].id;
        *len = (size_t)(q - p);
    }
    return best;
}
