/* SPDX-License-Identifier: MIT */
/* specials.h - tokens that are matched as they stand in the text, before it is split into words.
 *
 * A trie over bytes; at a place the longest token wins.  Control tokens count only where the
 * text is trusted, user-defined tokens everywhere: they are ordinary text features, such as runs
 * of spaces. */
#ifndef MT_SPECIALS_H
#define MT_SPECIALS_H

#include "text/pieces.h"

typedef struct mt_edge { uint32_t key, node; } mt_edge;  /* key: parent << 8 | byte */

typedef struct mt_specials {
    uint32_t n_node, n_edge_slot;
    int32_t *token;              /* (n_node): the token that ends here, or -1 */
    mt_edge *edge;               /* open addressing; node 0 is the root, so 0 means empty */
    uint8_t  first[256];         /* 1 << role of the tokens that begin with this byte */
    uint8_t  roles;              /* all of first[] together */
    const uint8_t *role;         /* by token */
} mt_specials;

/* A token and the text that stands for it. */
typedef struct mt_special { mt_str text; uint32_t id; } mt_special;
/* role: of every token, kept.  Of equal texts the first counts. */
mote_status mt_specials_init(mt_specials *t, const mt_special *list, size_t n, const uint8_t *role,
                             mt_arena *arena, mote_error *err);
/* The longest token at p; -1: none.  A control token must end at or before trusted_end, any token
 * before end. */
int32_t mt_specials_match(const mt_specials *t, const uint8_t *p, const uint8_t *end,
                          const uint8_t *trusted_end, size_t *len);
/* The token with exactly this text; -1: none. */
int32_t mt_specials_find(const mt_specials *t, mt_str text);

#endif
