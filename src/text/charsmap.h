/* SPDX-License-Identifier: MIT */
/* charsmap.h - the compiled normaliser of SentencePiece, and SentencePiece's whole normalisation.
 *
 * A charsmap is a table of rules "these bytes become those", stored as a double array and a blob
 * of terminated replacements; `.model` files and tokenizer.json's Precompiled carry the same
 * bytes.  Two readings of it exist in the field and differ: SentencePiece takes the longest rule
 * at each place; `tokenizers` takes, for each grapheme cluster under six bytes and otherwise for
 * each character, the shortest rule that it begins with, and lets it replace the whole. */
#ifndef MT_CHARSMAP_H
#define MT_CHARSMAP_H

#include "text/trie.h"

typedef struct mt_charsmap {
    const uint8_t *unit;         /* n_unit little-endian words, anywhere in memory */
    uint32_t n_unit;
    const char *to;              /* n_to bytes, the last is NUL */
    uint32_t n_to;
    bool plain[256];             /* ASCII that no rule touches when ASCII or nothing follows */
} mt_charsmap;

/* Borrows blob (as stored, not in base64).  Empty: no rules.  EFORMAT: sizes that disagree. */
mote_status mt_charsmap_init(mt_charsmap *m, mt_str blob, mote_error *err);

/* The rule at p: the bytes it takes (0: none) and what they become, which may be empty.  A damaged
 * table gives no rule, never a read outside it; at most 64 steps. */
size_t mt_charsmap_longest(const mt_charsmap *m, const uint8_t *p, const uint8_t *end, mt_str *to);
size_t mt_charsmap_shortest(const mt_charsmap *m, const uint8_t *p, const uint8_t *end, mt_str *to);

/* Walks a text as `tokenizers` does: from becomes to, piece by piece; where no rule applies, to is
 * from.  False: the end.  A byte that is not UTF-8 stays as it is, a piece of its own. */
typedef struct mt_charsmap_walk {
    const mt_charsmap *map;
    const uint8_t *at, *end;     /* at NULL only for an empty text */
    const uint8_t *cluster;      /* end of the cluster that is being taken character by character */
} mt_charsmap_walk;
bool mt_charsmap_next(mt_charsmap_walk *w, mt_str *from, mt_str *to);

/* ---- a text and where its bytes came from ---------------------------------- */
typedef struct mt_mapped {
    const mote_alloc *alloc;
    char     *p;                 /* n bytes */
    uint32_t *at;                /* (n + 1): where in the original byte i came from; at[n] is the
                                  * place behind it.  NULL unless wanted */
    size_t    n, cap;
    bool      wants_map;
} mt_mapped;
void mt_mapped_free(mt_mapped *m);

/* ---- SentencePiece's normaliser ---------------------------------------------- */
typedef struct mt_spm_normal {
    mt_charsmap map;
    const mt_trie *user;         /* user-defined pieces, never touched by a rule; NULL: none */
    bool use_dummy_prefix;       /* a space in front (behind, with use_space_as_suffix) */
    bool use_space_as_suffix;
    bool remove_extra_spaces;    /* in front, behind, and all but one in a row */
    bool escape_spaces;          /* a space becomes U+2581 */
} mt_spm_normal;

/* Replaces what `out` held.  A byte that is not UTF-8 becomes U+FFFD.  Text over 2^28 bytes, before
 * or after, is EINVAL. */
mote_status mt_spm_normalize(const mt_spm_normal *s, mt_str text, mt_mapped *out, mote_error *err);

#endif
