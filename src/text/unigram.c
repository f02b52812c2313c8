/* SPDX-License-Identifier: MIT */
/* unigram.c - the search of unigram.h.
 *
 * A node is kept for each place in the text: the best sum of a way to it and the piece that ends
 * the way.  As soon as no piece reaches across the place at hand, what lies behind it is decided:
 * the tokens are written and the nodes used again, so that memory follows the longest undecided
 * stretch (a word), not the text.  The sums go on, since their rounding is part of the result. */
#include "text/unigram.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "text/unicode.h"

enum { FEWEST_NODES = 4096 };
static const double UNKNOWN_PENALTY = 10.0;
static const double USER_BONUS = 0.1;            /* for each byte of a user-defined piece but one */

/* ---- opening ------------------------------------------------------------------- */

static int32_t kind_of(const mt_vocab *v, size_t id)
{
    return v->kind ? v->kind[id] : MT_TOKEN_NORMAL;
}

static mote_status check(const mt_unigram_spec *s, mote_error *err)
{
    const mt_vocab *v = s->vocab;
    if (v->n_token == 0 || v->n_token > INT32_MAX / 4)
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %zu tokens cannot be", v->n_token);
    if (!s->score && !v->score)
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: a unigram model needs a score for each token");
    if (v->unk < -1 || (v->unk >= 0 && (size_t)v->unk >= v->n_token))
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: unknown token is %d, expected -1 or less than %zu",
                (int)v->unk, v->n_token);
    return MOTE_OK;
}

/* A sum as the model followed keeps it: of two floats, this is what adding them as floats gives. */
MT_INLINE double rounded(const mt_unigram *u, double sum)
{
    return u->is_double ? sum : (double)(float)sum;
}

/* The scores as they are added, and what an unknown character costs. */
static mote_status read_scores(mt_unigram *u, const mt_unigram_spec *s, mote_error *err)
{
    const mt_vocab *v = s->vocab;
    double least = u->is_double ? (double)INFINITY : (double)FLT_MAX;
    for (size_t i = 0; i < v->n_token; i++) {
        const double score = s->score ? s->score[i] : (double)v->score[i];
        u->score[i] = rounded(u, score);
        if (isnan(score))
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: the score of token %zu is not a number", i);
        if (!u->is_double && kind_of(v, i) != MT_TOKEN_NORMAL) continue;
        least = MT_MIN(least, u->score[i]);
    }
    u->unk_score = rounded(u, least - UNKNOWN_PENALTY);
    for (size_t i = 0; i < v->n_token && !u->is_double; i++)
        if (kind_of(v, i) == MT_TOKEN_USER)
            u->score[i] = rounded(u, (double)v->token[i].n * USER_BONUS - USER_BONUS);
    return MOTE_OK;
}

static bool is_piece(const mt_unigram *u, const mt_vocab *v, size_t id)
{
    const int32_t kind = kind_of(v, id);
    return u->is_double || kind == MT_TOKEN_NORMAL || kind == MT_TOKEN_USER;
}

/* The pieces into the trie; in reverse where the last of equal ones counts. */
static mote_status read_pieces(mt_unigram *u, const mt_vocab *v, mt_str *key, int32_t *id,
                               mt_arena *arena, mote_error *err)
{
    size_t n = 0;
    if (!key || !id) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", v->n_token);
    for (size_t i = 0; i < v->n_token; i++) {
        const size_t from = u->is_double ? v->n_token - 1 - i : i;
        if (!is_piece(u, v, from)) continue;
        key[n] = v->token[from];
        id[n++] = (int32_t)from;
    }
    return mt_trie_init(&u->trie, key, id, n, arena, err);
}

/* Scores that are floats take the tokens' places in the trie, so that a candidate costs one look at
 * memory; which token a unit is, is asked of the winners only.  -1, no token, is no number. */
static mote_status move_scores(mt_unigram *u, size_t n_token, mt_arena *arena, mote_error *err)
{
    for (size_t i = 0; i < n_token; i++)
        if (u->score[i] != (double)(float)u->score[i]) return MOTE_OK;
    u->token = mt_arena_push(arena, u->trie.n_unit * sizeof *u->token);
    if (!u->token) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", n_token);
    for (uint32_t i = 0; i < u->trie.n_unit; i++) {
        u->token[i] = u->trie.unit[i].id;
        if (u->token[i] < 0) continue;
        const float score = (float)u->score[u->token[i]];
        memcpy(&u->trie.unit[i].id, &score, sizeof score);
    }
    return MOTE_OK;
}

static void read_bytes(mt_unigram *u, const mt_vocab *v)
{
    memset(u->byte, 0xFF, sizeof u->byte);
    for (size_t i = 0; i < v->n_token; i++) {
        const int byte = mt_byte_piece(v->token[i]);
        if (byte >= 0 && (u->is_double || kind_of(v, i) == MT_TOKEN_BYTE || !v->kind))
            u->byte[byte] = (int32_t)i;
    }
}

mote_status mt_unigram_init(mt_unigram *u, const mt_unigram_spec *s, mt_arena *arena,
                            mote_error *err)
{
    const mt_vocab *v = s->vocab;
    *u = (mt_unigram){ .unk = v->unk, .use_bytes = s->use_byte_fallback,
                       .is_double = s->like == MT_UNIGRAM_LIKE_TOKENIZERS };
    MT_TRY(check(s, err));
    u->score = mt_arena_push(arena, v->n_token * sizeof *u->score);
    if (!u->score) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", v->n_token);
    MT_TRY(read_scores(u, s, err));
    read_bytes(u, v);
    mt_str *key = mt_get(arena->alloc, v->n_token * sizeof *key, _Alignof(mt_str));
    int32_t *id = mt_get(arena->alloc, v->n_token * sizeof *id, sizeof *id);
    mote_status status = read_pieces(u, v, key, id, arena, err);
    if (status == MOTE_OK) status = move_scores(u, v->n_token, arena, err);
    mt_put(arena->alloc, key, v->n_token * sizeof *key);
    mt_put(arena->alloc, id, v->n_token * sizeof *id);
    return status;
}

/* ---- encoding -------------------------------------------------------------------- */

/* The best way to a place: its sum, its last piece (a unit of the trie, or the token itself where
 * scores do not lie in the trie; -1: unknown) and where that begins. */
typedef struct node { double sum; int32_t piece; uint32_t from; } node;
#define NOWHERE UINT32_MAX

/* node[i] is the place base + i; places up to `far` have been reached or at least cleared. */
typedef struct search {
    const mt_unigram *u;
    const uint8_t *text;
    uint32_t n, base, far;
    node    *node;
    uint32_t n_node;
    mt_unigram_work *work;
    mt_cutter cutter;
    bool lacks_unknown;
} search;

/* Makes room for all places that pieces from `at` may reach; false: no memory. */
static bool make_room(search *s, uint32_t at)
{
    const size_t reach = MT_MIN((size_t)at + MT_MAX(s->u->trie.longest, 4), s->n) - s->base + 1;
    if (MT_LIKELY(reach <= s->n_node)) return true;
    const size_t n = MT_MIN(MT_MAX(MT_MAX(reach, (size_t)s->n_node * 2), FEWEST_NODES),
                            MT_MAX((size_t)s->n + 1, FEWEST_NODES));
    mt_room *room = &s->work->room, grown = { .alloc = room->alloc };
    node *p = mt_room_get(&grown, n * sizeof *p);
    if (!p) return false;
    if (s->node) memcpy(p, s->node, (s->far - s->base + 1) * sizeof *p);
    mt_room_free(room);
    *room = grown;
    s->node = p;
    s->n_node = (uint32_t)n;
    return true;
}

/* Writes the tokens up to `at`, which every way passes, and starts again there. */
static bool decide(search *s, uint32_t at)
{
    uint32_t to = at, next = at;
    while (to > s->base) {                       /* turn the way around */
        node *here = &s->node[to - s->base];
        const uint32_t from = here->from;
        here->from = next;
        next = to;
        to = from;
    }
    for (uint32_t from = s->base; from < at; ) {
        const node *here = &s->node[next - s->base];
        const uint32_t end = next;
        const int32_t known = here->piece >= 0 && s->u->token ? s->u->token[here->piece] : here->piece;
        const int32_t id = known < 0 ? s->u->unk : known;
        next = here->from;
        if (!mt_cutter_put(&s->cutter, id, from, end)) return false;
        from = end;
    }
    s->node[0].sum = s->node[at - s->base].sum;
    s->base = at;
    return true;
}

/* A way to a place; false: a better one is known. */
MT_INLINE bool offer(search *s, node *first, uint32_t from, uint32_t to, int32_t piece, double sum)
{
    while (s->far < to) s->node[++s->far - s->base].from = NOWHERE;
    node *here = first + (to - from);
    if (here->from != NOWHERE && !(sum > here->sum)) return false;
    *here = (node){ sum, piece, from };
    return true;
}

/* Offers all pieces that begin at a place; the length of the character there. */
MT_INLINE uint32_t extend(search *s, uint32_t at, bool has_units)
{
    const mt_unigram *u = s->u;
    const mt_trie_unit *unit = u->trie.unit;
    const uint8_t *text = s->text, *p = text + at, *end = text + s->n;
    node *first = &s->node[at - s->base];
    const double sum = first->sum;
    const uint32_t last = s->n;
    uint32_t code, next = 0, n = *p < 0x80 ? 1 : (uint32_t)mt_utf8_char(p, end, &code), to = at;
    bool has_char = false;
    n = n ? n : 1;
    while (to < last) {
        const uint8_t byte = text[to++];
        next = unit[next].link >> 9 ^ byte;
        const mt_trie_unit here = unit[next];
        if ((here.link & 0x1FF) != (0x100u | byte)) break;
        if (here.id == -1) continue;
        float score;                             /* in the place of the token */
        memcpy(&score, &here.id, sizeof score);
        const double added = sum + (has_units ? (double)score : u->score[here.id]);
        offer(s, first, at, to, has_units ? (int32_t)next : here.id, rounded(u, added));
        has_char = has_char || to - at == n;
    }
    s->work->steps += to - at;
    if (has_char) return n;
    if (offer(s, first, at, at + n, -1, rounded(u, sum + u->unk_score)) && u->unk < 0)
        s->lacks_unknown = true;
    return n;
}

static mote_status run(search *s, mote_error *err)
{
    bool has_memory = make_room(s, 0);
    if (has_memory) s->node[0] = (node){ 0 };
    for (uint32_t at = 0; has_memory && at < s->n && !s->lacks_unknown; ) {
        if (at == s->far && at > s->base) has_memory = decide(s, at);
        has_memory = has_memory && make_room(s, at);
        if (has_memory) at += s->u->token ? extend(s, at, true) : extend(s, at, false);
    }
    if (s->lacks_unknown)
        MT_FAIL(err, MOTE_EINVAL, "text has a character that no token stands for, and the vocabulary "
                "has no unknown token");
    if (has_memory && s->n) has_memory = decide(s, s->n);
    if (!has_memory || !mt_cutter_flush(&s->cutter))
        MT_FAIL(err, MOTE_ENOMEM, "no memory to encode a text of %u bytes", s->n);
    return MOTE_OK;
}

mote_status mt_unigram_encode(const mt_unigram *u, mt_str text, mt_unigram_work *w, mt_cuts *out,
                              mote_error *err)
{
    if (text.n > MT_CUTS_TEXT_MAX)
        MT_FAIL(err, MOTE_EINVAL, "text has more than the %d bytes that can be encoded at once",
                (int)MT_CUTS_TEXT_MAX);
    search s = { .u = u, .text = (const uint8_t *)text.p, .n = (uint32_t)text.n, .work = w,
                 .node = w->room.p, .n_node = (uint32_t)(w->room.bytes / sizeof(node)),
                 .cutter = { .out = out, .text = (const uint8_t *)text.p, .unk = u->unk,
                             .byte = u->use_bytes ? u->byte : NULL,
                             .whole = u->is_double ? &u->trie : NULL,
                             .unit_token = u->token } };
    return run(&s, err);
}

void mt_unigram_done(mt_unigram_work *w)
{
    mt_room_free(&w->room);
}
