/* SPDX-License-Identifier: MIT */
/* tokenizer.c - text to tokens: special tokens, then words, then merges.
 *
 * The way of a text: segments are put together (specials.h must see across them, trust is kept
 * as ranges), special tokens cut it, split.h cuts what lies between into words, bpe.h merges each
 * word.  Open does all the work that depends on the vocabulary alone; afterwards the tokenizer is
 * shared by threads without locks.  Only byte-level BPE is here so far. */
#include "text/text.h"

#include <string.h>

#include "text/bpe.h"
#include "text/specials.h"
#include "text/split.h"

enum {
    TEXT_MAX = 16 << 20,
    MOST_ENDS = 32
};

struct mt_tokenizer {
    mt_arena     arena;
    const mt_pre *pre;
    mt_pieces    pieces;
    mt_specials  specials;
    mt_bpe       bpe;
    mt_chars     chars;
    int32_t      bos, eos;
    bool         add_bos, add_eos;
    size_t       n_end;
    int32_t      end[MOST_ENDS + 2];             /* names below, eos, eot */
};

/* Tokens that end a turn or a text under the names models publish.  Files do not always mark them
 * as control tokens; those whose spelling nobody writes by accident are taken for one anyway. */
static const struct { const char *name; bool is_sure; } end_table[] = {
    { "<|endoftext|>", true },   { "<|end_of_text|>", true },  { "<|im_end|>", true },
    { "<|eot_id|>", true },      { "<|eom_id|>", true },       { "<|end|>", true },
    { "<|end_of_turn|>", true }, { "<|return|>", true },       { "<|call|>", true },
    { "<|eot|>", true },         { "<|eom|>", true },          { "<|END_OF_TURN_TOKEN|>", true },
    { "<end_of_turn>", true },   { "<turn|>", true },          { "<end_of_utterance>", true },
    { "<｜end▁of▁sentence｜>", true }, { "<EOT>", false },       { "</s>", false },
    { "<eos>", false },
};
_Static_assert(MT_COUNT(end_table) <= MOST_ENDS, "every name needs a place");

/* ---- opening -------------------------------------------------------------------------- */

static mote_status check_id(const char *name, int32_t id, size_t n_token, mote_error *err)
{
    if (id >= -1 && (id < 0 || (size_t)id < n_token)) return MOTE_OK;
    MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %s token is %d, expected -1 or less than %zu", name,
            (int)id, n_token);
}

static mote_status check_vocab(const mt_vocab *v, const mt_pre **pre, mote_error *err)
{
    if (!mt_str_is(v->model, "gpt2"))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tokenizer model '%.*s' is not supported, only gpt2 "
                "(byte-level BPE)", (int)MT_MIN(v->model.n, 64), v->model.n ? v->model.p : "");
    *pre = mt_pre_find(v->pre);
    if (!*pre)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "pre-tokenizer '%.*s' is not supported",
                (int)MT_MIN(v->pre.n, 64), v->pre.p);
    if (v->n_token == 0 || v->n_token > MT_TOKENS_MAX)
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %zu tokens, expected 1 to %d", v->n_token,
                (int)MT_TOKENS_MAX);
    MT_TRY(check_id("bos", v->bos, v->n_token, err));
    MT_TRY(check_id("eos", v->eos, v->n_token, err));
    MT_TRY(check_id("eot", v->eot, v->n_token, err));
    MT_TRY(check_id("unknown", v->unk, v->n_token, err));
    return check_id("padding", v->pad, v->n_token, err);
}

static mt_role role_of(const mt_vocab *v, size_t id)
{
    const int32_t kind = v->kind ? v->kind[id] : MT_TOKEN_NORMAL;
    const bool is_named = (int64_t)id == v->bos || (int64_t)id == v->eos || (int64_t)id == v->eot;
    if (kind == MT_TOKEN_CONTROL || kind == MT_TOKEN_UNKNOWN || (!v->kind && is_named))
        return MT_ROLE_CONTROL;
    if (v->token[id].n && v->token[id].p[0] == '<')
        for (size_t i = 0; i < MT_COUNT(end_table); i++)
            if ((end_table[i].is_sure || kind == MT_TOKEN_USER) &&
                mt_str_is(v->token[id], end_table[i].name)) return MT_ROLE_CONTROL;
    return kind == MT_TOKEN_USER ? MT_ROLE_USER : MT_ROLE_ORDINARY;
}

static void find_ends(mt_tokenizer *t, const mt_vocab *v)
{
    if (v->eos >= 0) t->end[t->n_end++] = v->eos;
    if (v->eot >= 0) t->end[t->n_end++] = v->eot;
    for (size_t i = 0; i < MT_COUNT(end_table); i++) {
        const int32_t id = mt_specials_find(&t->specials, mt_str_of(end_table[i].name));
        if (id >= 0 && t->pieces.role[id] == MT_ROLE_CONTROL) t->end[t->n_end++] = id;
    }
}

static mote_status fill(mt_tokenizer *t, const mt_vocab *v, mote_error *err)
{
    MT_TRY(check_vocab(v, &t->pre, err));
    uint8_t *role = mt_arena_push(&t->arena, v->n_token);
    if (!role) MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", v->n_token);
    for (size_t id = 0; id < v->n_token; id++) role[id] = (uint8_t)role_of(v, id);
    MT_TRY(mt_pieces_init(&t->pieces, v, role, &t->arena, err));
    MT_TRY(mt_specials_init(&t->specials, &t->pieces, &t->arena, err));
    MT_TRY(mt_bpe_init(&t->bpe, &t->pieces, v, v->ignore_merges || t->pre->ignore_merges,
                       &t->arena, err));
    mt_chars_init(&t->chars);
    t->bos = v->bos;
    t->eos = v->eos;
    t->add_bos = v->add_bos;
    t->add_eos = v->add_eos;
    find_ends(t, v);
    return MOTE_OK;
}

void mt_vocab_defaults(mt_vocab *v)
{
    const mt_pre *pre = mt_pre_find(v->pre);
    v->ignore_merges = pre && pre->ignore_merges;
    v->add_bos = pre && pre->add_bos;
    v->add_eos = false;
}

mote_status mt_tokenizer_open(mt_tokenizer **out, const mt_vocab *v, const mote_alloc *alloc,
                              mote_error *err)
{
    mt_tokenizer *t = mt_get(alloc, sizeof *t, MT_ALIGN);
    *out = NULL;
    if (!t) MT_FAIL(err, MOTE_ENOMEM, "no memory for a tokenizer");
    memset(t, 0, sizeof *t);
    mt_arena_init(&t->arena, alloc, 4096);
    const mote_status status = fill(t, v, err);
    if (status != MOTE_OK) {
        mt_tokenizer_close(t);
        return status;
    }
    *out = t;
    return MOTE_OK;
}

void mt_tokenizer_close(mt_tokenizer *t)
{
    if (!t) return;
    const mote_alloc *alloc = t->arena.alloc;
    mt_arena_reset(&t->arena);
    mt_put(alloc, t, sizeof *t);
}

/* ---- encoding --------------------------------------------------------------------------- */

typedef struct encoder {
    const mt_tokenizer *t;
    const uint8_t *text;         /* the segments' concatenation */
    size_t  n_text;
    void   *joined;              /* memory behind text, NULL when one segment holds it all */
    const mt_segment *seg;       /* trust: the run of segments of equal trust around a place */
    size_t  n_seg, next_seg, range_end;
    bool    is_trusted;
    mt_ids  ids;
    mt_bpe_work work;
    bool    first_is_bos, last_is_eos;           /* as special tokens of the text itself */
} encoder;

static mote_status join_segments(encoder *e, mote_error *err)
{
    size_t filled = 0;
    for (size_t i = 0; i < e->n_seg; i++) {
        const mt_str s = e->seg[i].text;
        if (!mt_add_ok(e->n_text, s.n, &e->n_text) || e->n_text > TEXT_MAX)
            MT_FAIL(err, MOTE_EINVAL, "text has more than the %d bytes that can be encoded at once",
                    (int)TEXT_MAX);
        if (s.n) filled++, e->text = (const uint8_t *)s.p;
    }
    if (filled < 2) return MOTE_OK;
    uint8_t *to = e->joined = mt_get(e->ids.alloc, e->n_text, 1);
    if (!to) MT_FAIL(err, MOTE_ENOMEM, "no memory for a text of %zu bytes", e->n_text);
    e->text = to;
    for (size_t i = 0; i < e->n_seg; i++) {
        if (e->seg[i].text.n) memcpy(to, e->seg[i].text.p, e->seg[i].text.n);
        to += e->seg[i].text.n;
    }
    return MOTE_OK;
}

/* Moves on to the next run of segments of equal trust; range_end is where it ends. */
static void next_range(encoder *e)
{
    bool is_first = true;
    for (; e->next_seg < e->n_seg; e->next_seg++) {
        const mt_segment *s = &e->seg[e->next_seg];
        if (s->text.n == 0) continue;
        if (is_first) e->is_trusted = s->is_trusted;
        if (s->is_trusted != e->is_trusted) break;
        is_first = false;
        e->range_end += s->text.n;
    }
}

static bool encode_words(encoder *e, size_t from, size_t to)
{
    mt_splitter s = { &e->t->chars, e->t->pre->split, e->text + from, e->text + to, 0 };
    while (s.at < s.end)
        if (!mt_bpe_word(&e->t->bpe, mt_split_next(&s), &e->work, &e->ids)) return false;
    return true;
}

/* The place of the next byte that may begin a special token here, or the end of the range. */
static size_t skip_plain(const encoder *e, size_t at, unsigned roles)
{
    const uint8_t *first = e->t->specials.first;
    if (!(e->t->specials.roles & roles)) return e->range_end;
    while (at < e->range_end && !(first[e->text[at]] & roles)) at++;
    return at;
}

static bool encode_text(encoder *e)
{
    const mt_tokenizer *t = e->t;
    size_t plain = 0, at = 0;                    /* text[plain, at) has no special token */
    while (at < e->n_text) {
        while (at >= e->range_end) next_range(e);
        const unsigned roles = 1u << MT_ROLE_USER | (e->is_trusted ? 1u << MT_ROLE_CONTROL : 0u);
        at = skip_plain(e, at, roles);
        if (at == e->range_end) continue;
        size_t len;
        const uint8_t *p = e->text + at, *end = e->text + e->n_text;
        const uint8_t *trusted_end = e->is_trusted ? e->text + e->range_end : p;
        const int32_t id = mt_specials_match(&t->specials, p, end, trusted_end, &len);
        if (id < 0) {
            at++;
            continue;
        }
        if (!encode_words(e, plain, at) || !mt_ids_reserve(&e->ids, 1)) return false;
        if (at == 0) e->first_is_bos = id == t->bos;
        at += len;
        plain = at;
        e->last_is_eos = at == e->n_text && id == t->eos;
        e->ids.p[e->ids.n++] = id;
    }
    return encode_words(e, plain, e->n_text);
}

static mote_status encode_all(encoder *e, unsigned flags, mote_error *err)
{
    const mt_tokenizer *t = e->t;
    const bool wants_bos = (flags & MOTE_TEXT_BOS) && t->add_bos && t->bos >= 0;
    const bool wants_eos = (flags & MOTE_TEXT_EOS) && t->add_eos && t->eos >= 0;
    /* The place of bos is kept; it is given up when the text turns out to begin with one. */
    bool has_memory = mt_ids_reserve(&e->ids, 1);
    if (has_memory && wants_bos) e->ids.p[e->ids.n++] = t->bos;
    has_memory = has_memory && encode_text(e) && mt_ids_reserve(&e->ids, 1);
    if (!has_memory)
        MT_FAIL(err, MOTE_ENOMEM, "no memory to encode a text of %zu bytes", e->n_text);
    if (wants_bos && e->first_is_bos)
        memmove(e->ids.p, e->ids.p + 1, --e->ids.n * sizeof *e->ids.p);
    if (wants_eos && !e->last_is_eos) e->ids.p[e->ids.n++] = t->eos;
    return MOTE_OK;
}

mote_status mt_tokenizer_encode(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg,
                                unsigned flags, int32_t *out, size_t cap, size_t *n, mote_error *err)
{
    const mote_alloc *alloc = t->arena.alloc;
    encoder e = { .t = t, .text = (const uint8_t *)"", .seg = seg, .n_seg = n_seg,
                  .ids.alloc = alloc, .work.alloc = alloc };
    mote_status status = join_segments(&e, err);
    /* No token stands for less than a byte of text, apart from bos and eos: with room for that
     * many the ids go straight to the caller, else their number must be known first. */
    if (out && cap >= e.n_text + 2) {
        e.ids.p = out;
        e.ids.cap = cap;
        e.ids.is_lent = true;
    }
    if (status == MOTE_OK) status = encode_all(&e, flags, err);
    if (status == MOTE_OK) {
        *n = e.ids.n;
        if (e.ids.n > cap)
            status = mt_fail(err, MOTE_EFULL, "text has %zu tokens, the buffer has room for %zu",
                             e.ids.n, cap);
        else if (!e.ids.is_lent && e.ids.n)
            memcpy(out, e.ids.p, e.ids.n * sizeof *out);
    }
    if (!e.ids.is_lent) mt_put(alloc, e.ids.p, e.ids.cap * sizeof *e.ids.p);
    mt_put(alloc, e.joined, e.n_text);
    mt_bpe_done(&e.work);
    return status;
}

/* ---- tokens ------------------------------------------------------------------------------- */

const char *mt_tokenizer_bytes(const mt_tokenizer *t, int32_t id, size_t *len, bool *is_special)
{
    if (id < 0 || (size_t)id >= t->pieces.n) return NULL;
    const mt_str s = mt_pieces_bytes(&t->pieces, (size_t)id);
    if (len) *len = s.n;
    if (is_special) *is_special = t->pieces.role[id] == MT_ROLE_CONTROL;
    return s.p;
}

int32_t mt_tokenizer_find(const mt_tokenizer *t, mt_str piece)
{
    uint8_t decoded[1024];
    int32_t id = piece.n ? mt_specials_find(&t->specials, piece) : -1;
    if (id >= 0 || piece.n > sizeof decoded) return id;
    const size_t n = mt_piece_decode(piece, decoded);
    if (n != SIZE_MAX) return mt_pieces_find(&t->pieces, decoded, n);
    for (size_t raw = 0; raw < t->pieces.n; raw++)
        if (t->pieces.role[raw] == MT_ROLE_RAW && mt_str_eq(mt_pieces_bytes(&t->pieces, raw), piece))
            return (int32_t)raw;
    return -1;
}

bool mt_tokenizer_ends(const mt_tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->n_end; i++)
        if (t->end[i] == id) return true;
    return false;
}
