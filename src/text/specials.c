/* SPDX-License-Identifier: MIT */
/* specials.c - the trie of specials.h.
 *
 * Nodes have no child lists: an edge is a row of one hash table, keyed by parent and byte, so a
 * step costs the same in a vocabulary with two special tokens and in one with thousands.  Token
 * length and total are bounded, because the time of a match is bounded by the longest token. */
#include "text/specials.h"

#include <string.h>

enum {
    LONGEST_SPECIAL = 256,       /* bytes; published ones stay below 64 */
    MOST_NODES = 1 << 20,
    LONGEST_CHAIN = 1024
};

static uint32_t slot_of(const mt_specials *t, uint32_t key)
{
    return (uint32_t)((uint64_t)(key * 0x9E3779B1u) * t->n_edge_slot >> 32);
}

/* The row of an edge, or the empty row where it belongs; NULL: further than any edge lies. */
static mt_edge *edge_at(const mt_specials *t, uint32_t node, uint8_t byte)
{
    const uint32_t key = node << 8 | byte;
    uint32_t i = slot_of(t, key);
    for (int chain = 0; chain < LONGEST_CHAIN; chain++) {
        if (!t->edge[i].node || t->edge[i].key == key) return &t->edge[i];
        i = i + 1 < t->n_edge_slot ? i + 1 : 0;
    }
    return NULL;
}

/* The child of a node; 0: none. */
static uint32_t child(const mt_specials *t, uint32_t node, uint8_t byte)
{
    const mt_edge *e = edge_at(t, node, byte);
    return e ? e->node : 0;
}

/* False: a chain longer than any honest vocabulary makes. */
static bool insert(mt_specials *t, mt_str text, uint32_t id, uint8_t role)
{
    uint32_t node = 0;
    for (size_t i = 0; i < text.n; i++) {
        mt_edge *e = edge_at(t, node, (uint8_t)text.p[i]);
        if (!e) return false;
        if (!e->node) {
            *e = (mt_edge){ node << 8 | (uint8_t)text.p[i], t->n_node };
            t->token[t->n_node++] = -1;
        }
        node = e->node;
    }
    if (t->token[node] >= 0) return true;        /* a twin: the first counts */
    t->token[node] = (int32_t)id;
    t->first[(uint8_t)text.p[0]] |= (uint8_t)(1u << role);
    t->roles |= (uint8_t)(1u << role);
    return true;
}

mote_status mt_specials_init(mt_specials *t, const mt_special *list, size_t n, const uint8_t *role,
                             mt_arena *arena, mote_error *err)
{
    size_t n_node = 1;
    *t = (mt_specials){ .role = role };
    for (size_t i = 0; i < n; i++) {
        if (list[i].text.n > LONGEST_SPECIAL)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: special token %u has %zu bytes, the limit "
                    "is %d", list[i].id, list[i].text.n, (int)LONGEST_SPECIAL);
        n_node += list[i].text.n;
        if (n_node > MOST_NODES)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: special tokens have more than %d bytes "
                    "together", (int)MOST_NODES);
    }
    t->n_edge_slot = (uint32_t)(n_node * 2);
    t->token = mt_arena_push(arena, n_node * sizeof *t->token);
    t->edge = mt_arena_push_n(arena, t->n_edge_slot, sizeof *t->edge);
    if (!t->token || !t->edge) MT_FAIL(err, MOTE_ENOMEM, "no memory for the special tokens");
    t->token[0] = -1;
    t->n_node = 1;
    for (size_t i = 0; i < n; i++)
        if (list[i].text.n && !insert(t, list[i].text, list[i].id, role[list[i].id]))
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: special token %u is one of more than %d that "
                    "collide", list[i].id, (int)LONGEST_CHAIN);
    return MOTE_OK;
}

int32_t mt_specials_match(const mt_specials *t, const uint8_t *p, const uint8_t *end,
                          const uint8_t *trusted_end, size_t *len)
{
    int32_t best = -1;
    uint32_t node = 0;
    for (const uint8_t *q = p; q < end; ) {
        node = child(t, node, *q++);
        if (!node) break;
        const int32_t id = t->token[node];
        if (id < 0 || (t->role[id] == MT_ROLE_CONTROL && q > trusted_end)) continue;
        best = id;
        *len = (size_t)(q - p);
    }
    return best;
}

int32_t mt_specials_find(const mt_specials *t, mt_str text)
{
    uint32_t node = 0;
    for (size_t i = 0; i < text.n; i++) {
        node = child(t, node, (uint8_t)text.p[i]);
        if (!node) return -1;
    }
    return t->token[node];
}
