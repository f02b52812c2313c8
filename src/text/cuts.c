/* SPDX-License-Identifier: MIT */
/* cuts.c - the list of cuts, and what becomes of unknown characters. */
#include "text/cuts.h"

#include <string.h>

bool mt_cuts_reserve(mt_cuts *c, size_t more)
{
    size_t cap, bytes;
    if (more <= c->cap - c->n) return true;
    if (!mt_add_ok(c->n, more, &cap)) return false;
    cap = MT_MAX(MT_MAX(cap, c->cap * 2), 256);
    if (!mt_mul_ok(cap, sizeof *c->p, &bytes)) return false;
    mt_cut *grown = mt_get(c->alloc, bytes, _Alignof(mt_cut));
    if (!grown) return false;
    if (c->n) memcpy(grown, c->p, c->n * sizeof *c->p);
    mt_put(c->alloc, c->p, c->cap * sizeof *c->p);
    c->p = grown;
    c->cap = cap;
    return true;
}

void mt_cuts_free(mt_cuts *c)
{
    mt_put(c->alloc, c->p, c->cap * sizeof *c->p);
    *c = (mt_cuts){ .alloc = c->alloc };
}

/* ---- unknown characters ------------------------------------------------------ */

static bool has_all_bytes(const mt_cutter *c)
{
    for (uint32_t i = c->from; i < c->to; i++)
        if (c->byte[c->text[i]] < 0) return false;
    return true;
}

/* The token that the whole run is; -1: none. */
static int32_t whole_token(const mt_cutter *c)
{
    uint32_t at = 0;
    if (!c->whole) return -1;
    for (uint32_t i = c->from; i < c->to; i++) {
        at = mt_trie_step(c->whole, at, c->text[i]);
        if (!at) return -1;
    }
    return c->unit_token ? c->unit_token[at] : c->whole->unit[at].id;
}

bool mt_cutter_flush(mt_cutter *c)
{
    const uint32_t from = c->from, to = c->to;
    if (from == to) return true;
    const int32_t id = whole_token(c);
    if (id >= 0) {
        c->from = c->to;
        return mt_cuts_put(c->out, id, from, to);
    }
    if (!c->byte || !has_all_bytes(c)) {
        c->from = c->to;
        return c->unk < 0 || mt_cuts_put(c->out, c->unk, from, to);
    }
    if (!mt_cuts_reserve(c->out, to - from)) return false;
    for (uint32_t i = from; i < to; i++)
        c->out->p[c->out->n++] = (mt_cut){ c->byte[c->text[i]], i, i + 1 };
    c->from = c->to;
    return true;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int mt_byte_piece(mt_str piece)
{
    if (piece.n != 6 || memcmp(piece.p, "<0x", 3) != 0 || piece.p[5] != '>') return -1;
    const int high = hex_of(piece.p[3]), low = hex_of(piece.p[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* ---- memory of a call ----------------------------------------------------------- */

void *mt_room_get(mt_room *r, size_t bytes)
{
    if (bytes <= r->bytes) return r->p;
    mt_room_free(r);
    r->p = mt_get(r->alloc, bytes, sizeof(uint64_t));
    if (r->p) r->bytes = bytes;
    return r->p;
}

void mt_room_free(mt_room *r)
{
    mt_put(r->alloc, r->p, r->bytes);
    *r = (mt_room){ .alloc = r->alloc };
}
