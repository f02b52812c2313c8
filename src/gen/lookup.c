/* SPDX-License-Identifier: MIT */
/* lookup.c - the tables behind mt_lookup_find.
 *
 * Hashing runs backwards from the end of a run, so that one walk over eight tokens passes the keys
 * of all four tables.  The longest run that is found wins, since what follows a longer agreement is
 * the likelier; among equals the last occurrence, which is what a table remembers. */
#include <string.h>

#include "gen/lookup.h"

static const int run_length[MT_LOOKUP_LEVELS] = {2, 3, 5, 8};

/* At most half full, or young entries would displace too many old ones. */
static int bits_for(int n_ctx)
{
    int bits = 6;
    while ((1 << bits) < 2 * n_ctx) bits++;
    return bits;
}

size_t mt_lookup_bytes(int n_ctx)
{
    return sizeof(uint32_t) * MT_LOOKUP_LEVELS << bits_for(n_ctx);
}

void mt_lookup_init(mt_lookup *l, void *memory, int n_ctx)
{
    *l = (mt_lookup){.place = memory, .bits = bits_for(n_ctx)};
    memset(memory, 0, mt_lookup_bytes(n_ctx));
}

void mt_lookup_keep(mt_lookup *l, int n) { l->n = MT_MIN(l->n, n); }

/* The entries of the runs that end at t[n - 1]; returns how many there are. */
static int entries_at(const mt_lookup *l, const mote_token *t, int n, uint32_t *entry[MT_LOOKUP_LEVELS])
{
    uint64_t h = 0;
    int back = 0;
    for (int i = 0; i < MT_LOOKUP_LEVELS; i++) {
        if (n < run_length[i]) return i;
        for (; back < run_length[i]; back++)
            h = (h ^ (uint32_t)t[n - 1 - back]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
        entry[i] = l->place + ((size_t)i << l->bits) + (h * 0xBF58476D1CE4E5B9u >> (64 - l->bits));
    }
    return MT_LOOKUP_LEVELS;
}

static void take_in(mt_lookup *l, const mote_token *t, int n)
{
    uint32_t *entry[MT_LOOKUP_LEVELS];
    while (l->n < n) {
        const int count = entries_at(l, t, ++l->n, entry);
        for (int i = 0; i < count; i++) *entry[i] = (uint32_t)l->n;
    }
}

int mt_lookup_find(mt_lookup *l, const mote_token *t, int n, int *len)
{
    uint32_t *entry[MT_LOOKUP_LEVELS];
    int best = 0;
    *len = 0;
    l->n = MT_MIN(l->n, n - 1);
    take_in(l, t, n - 1);                /* not the end itself: it would find itself */
    for (int i = entries_at(l, t, n, entry) - 1; i >= 0; i--) {
        const int at = (int)*entry[i];
        if (at < run_length[i] || at >= n) continue;
        int same = 0;
        while (same < at && same < MT_LOOKUP_LONGEST && t[at - 1 - same] == t[n - 1 - same]) same++;
        if (same < run_length[i] || same <= *len) continue;      /* another run with this hash */
        best = at, *len = same;
    }
    return best;
}
