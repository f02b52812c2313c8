/* SPDX-License-Identifier: MIT */
/* tokenizer.c - encoding: the way of a text through the parts of pipe.h.
 *
 * Segments are put together (added tokens must be seen across them, trust is kept as ranges), added
 * tokens cut the text, what lies between is normalised, cut into words and given to the model.
 * Byte-level BPE behind one scanner, which most models have, goes a short way of its own. */
#include <string.h>

#include "text/pipe.h"

enum { TEXT_MAX = 16 << 20 };

typedef struct encoder {
    const mt_tokenizer *t;
    const uint8_t *text;         /* the segments' concatenation */
    size_t  n_text;
    void   *joined;              /* memory behind text, NULL when one segment holds it all */
    const mt_segment *seg;       /* trust: the run of segments of equal trust around a place */
    size_t  n_seg, next_seg, range_end;
    bool    is_trusted, has_mixed_trust;
    mt_ids  ids;
    size_t  n_other, n_front;    /* ids of texts before; those and what stands in front of this one's own */
    bool    first_is_bos, last_is_eos;           /* as special tokens of the text itself */
    mt_bpe_work bytes;
    mt_norm_work norm;
    mt_words words;
    mt_cuts cuts;
    union { mt_bpe_text_work bpe; mt_unigram_work unigram; mt_spm_work spm; } model;
    mote_error *err;
} encoder;

static mote_status no_memory(const encoder *e)
{
    MT_FAIL(e->err, MOTE_ENOMEM, "no memory to encode a text of %zu bytes", e->n_text);
}

/* ---- segments ------------------------------------------------------------------------- */

static mote_status join_segments(encoder *e)
{
    size_t filled = 0;
    for (size_t i = 0; i < e->n_seg; i++) {
        const mt_str s = e->seg[i].text;
        if (!mt_add_ok(e->n_text, s.n, &e->n_text) || e->n_text > TEXT_MAX)
            MT_FAIL(e->err, MOTE_EINVAL, "text has more than the %d bytes that can be encoded at once",
                    (int)TEXT_MAX);
        if (s.n) filled++, e->text = (const uint8_t *)s.p;
        if (s.n && !e->seg[i].is_trusted) e->has_mixed_trust = true;
    }
    if (filled < 2) return MOTE_OK;
    uint8_t *to = e->joined = mt_get(e->ids.alloc, e->n_text, 1);
    if (!to) return no_memory(e);
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

/* Do all bytes of a span come from trusted segments? */
static bool is_span_trusted(const encoder *e, mote_span s)
{
    size_t at = 0;
    if (!e->has_mixed_trust) return true;
    for (size_t i = 0; i < e->n_seg; at += e->seg[i++].text.n) {
        const bool meets = at < s.to && at + e->seg[i].text.n > s.from;
        if (meets && !e->seg[i].is_trusted) return false;
    }
    return true;
}

/* ---- ids and spans ------------------------------------------------------------------------ */

static bool is_blank(const mt_traits *traits, const uint8_t *p, const uint8_t *end, size_t *len)
{
    const uint32_t code = mt_utf8_next(p, end, len);
    return code == 0x120 || (mt_traits_of(traits, code) & MT_IS_SPACE);
}

/* Takes white space that the token's text has at its ends out of the span, as far as the span goes;
 * counted in characters, as the reference does. */
static mote_span trim(const encoder *e, mt_str token, mote_span s)
{
    const uint8_t *p = (const uint8_t *)token.p, *end = p + token.n;
    size_t n_lead = 0, n_trail = 0, len;
    for (const uint8_t *q = p; q < end && is_blank(e->t->traits, q, end, &len); q += len) n_lead++;
    for (const uint8_t *q = end; q > p; q -= len, n_trail++) {
        mt_utf8_last(p, q, &len);
        size_t own;
        if (!is_blank(e->t->traits, q - len, end, &own)) break;
    }
    const bool is_first = e->ids.n == e->n_front || s.from == 0;
    if (is_first && e->t->trims_but_prefix && n_lead == 1) n_lead = 0;
    for (; n_lead > 0 && s.from < s.to; n_lead--) {
        mt_utf8_next(e->text + s.from, e->text + s.to, &len);
        s.from += (uint32_t)len;
    }
    for (; n_trail > 0 && s.to > s.from; n_trail--) {
        mt_utf8_last(e->text + s.from, e->text + s.to, &len);
        s.to -= (uint32_t)len;
    }
    return s;
}

/* Appends a token that stands for [from, to) of a view. */
static bool put_token(encoder *e, int32_t id, const mt_view *v, size_t from, size_t to, mt_str token)
{
    if (e->ids.n == e->ids.cap && !mt_ids_reserve(&e->ids, 1)) return false;
    if (e->ids.has_span) {
        to = MT_MIN(to, v->n), from = MT_MIN(from, to);
        mote_span s = from < to ? mt_view_span(v, from, to) : (mote_span){ v->origin + (uint32_t)from, v->origin + (uint32_t)from };
        e->ids.span[e->ids.n] = e->t->trims ? trim(e, token, s) : s;
    }
    e->ids.p[e->ids.n++] = id;
    return true;
}

/* ---- words to tokens ------------------------------------------------------------------------- */

/* The spans of the byte-level tokens from `start` on, which spell the word. */
static void span_bytes(encoder *e, const mt_view *word, size_t start)
{
    size_t at = 0;
    const size_t n = e->ids.n;
    for (e->ids.n = start; e->ids.n < n; ) {     /* put back one by one, as trimming counts them */
        const int32_t id = e->ids.p[e->ids.n];
        const size_t len = mt_pieces_bytes(&e->t->pieces, (size_t)id).n;
        put_token(e, id, word, at, at + len, e->t->vocab.token[id]);
        at += len;
    }
}

static bool bytes_word(encoder *e, const mt_view *word)
{
    const size_t start = e->ids.n;
    if (!mt_bpe_word(&e->t->as.bytes, (mt_str){ (const char *)word->p, word->n }, &e->bytes, &e->ids)) return false;
    if (e->ids.has_span) span_bytes(e, word, start);
    return true;
}

static mote_status cut_word(encoder *e, mt_str word)
{
    const mt_tokenizer *t = e->t;
    bool ok = true;
    switch (t->model) {
    case MT_MODEL_BYTES:     break;
    case MT_MODEL_BPE:       ok = mt_bpe_text_word(&t->as.bpe, word, &e->model.bpe, &e->cuts); break;
    case MT_MODEL_WORDPIECE: ok = mt_wordpiece_word(&t->as.wordpiece, word, &e->cuts); break;
    case MT_MODEL_UNIGRAM:   return mt_unigram_encode(&t->as.unigram, word, &e->model.unigram, &e->cuts, e->err);
    case MT_MODEL_SPM:       ok = mt_spm_encode(&t->as.spm, word, &e->model.spm, &e->cuts); break;
    case MT_MODEL_RWKV:      ok = mt_rwkv_encode(&t->as.rwkv, word, &e->cuts, NULL); break;
    case MT_MODEL_WORDLEVEL: {
        const int32_t id = mt_pieces_find(&t->pieces, (const uint8_t *)word.p, word.n);
        ok = mt_cuts_put(&e->cuts, id < 0 ? t->as.wordlevel.unk : id, 0, word.n);
    }
    }
    return ok ? MOTE_OK : no_memory(e);
}

/* The reference spells a row of unknown characters as one: its byte tokens all stand for all of it. */
static void join_unknown(encoder *e, mt_str word)
{
    const int32_t *byte = e->t->as.unigram.byte;
    for (size_t i = 0, end; i < e->cuts.n; i = end + (end == i)) {
        for (end = i; end < e->cuts.n; end++) {
            const mt_cut c = e->cuts.p[end];
            if (c.to != c.from + 1 || c.id != byte[(uint8_t)word.p[c.from]]) break;
        }
        for (size_t k = i, to = end > i ? e->cuts.p[end - 1].to : 0, from = e->cuts.p[i].from; k < end; k++)
            e->cuts.p[k].from = (uint32_t)from, e->cuts.p[k].to = (uint32_t)to;
    }
}

static mote_status put_word(encoder *e, const mt_view *word)
{
    if (e->t->model == MT_MODEL_BYTES) return bytes_word(e, word) ? MOTE_OK : no_memory(e);
    e->cuts.n = 0;
    const mt_str text = { (const char *)word->p, word->n };
    MT_TRY(cut_word(e, text));
    if (e->ids.has_span && e->t->model == MT_MODEL_UNIGRAM && e->t->as.unigram.use_bytes) join_unknown(e, text);
    for (size_t i = 0; i < e->cuts.n; i++) {
        const mt_cut c = e->cuts.p[i];
        if (c.id < 0) MT_FAIL(e->err, MOTE_EINVAL, "the text needs an unknown token, which the vocabulary lacks");
        /* the unigram model calls an unknown token by its text, others by its name */
        const bool is_itself = e->t->model == MT_MODEL_UNIGRAM && c.id == e->t->as.unigram.unk;
        const mt_str name = is_itself ? (mt_str){ text.p + c.from, c.to - c.from } : e->t->vocab.token[c.id];
        if (!put_token(e, c.id, word, c.from, c.to, name)) return no_memory(e);
    }
    return MOTE_OK;
}

/* Text without added tokens, normalised. */
static mote_status put_words(encoder *e, mt_view text)
{
    const mt_tokenizer *t = e->t;
    mt_view word;
    if (t->model == MT_MODEL_BYTES && t->n_words == 1 && t->words[0].kind == MT_WORDS_SCAN) {
        mt_splitter s = { &t->chars, t->words[0].scan, text.p, text.p + text.n, 0 };
        while (s.at < s.end) {
            const size_t from = (size_t)(s.at - text.p);
            const mt_str w = mt_split_next(&s);
            if (!e->ids.has_span) {
                if (!mt_bpe_word(&t->as.bytes, w, &e->bytes, &e->ids)) return no_memory(e);
                continue;
            }
            word = mt_view_part(&text, from, from + w.n);
            if (!bytes_word(e, &word)) return no_memory(e);
        }
        return MOTE_OK;
    }
    mt_words_start(&e->words, text);
    for (;;) {
        MT_TRY(mt_words_next(&e->words, &word, e->err));
        if (word.n == 0) return MOTE_OK;
        MT_TRY(put_word(e, &word));
    }
}

/* ---- added tokens ------------------------------------------------------------------------------- */

static unsigned trait_at(const mt_traits *traits, const uint8_t *p, const uint8_t *end, size_t *len)
{
    return mt_traits_of(traits, mt_utf8_next(p, end, len));
}

static unsigned trait_before(const mt_traits *traits, const uint8_t *start, const uint8_t *p, size_t *len)
{
    return mt_traits_of(traits, mt_utf8_last(start, p, len));
}

/* Widens or refuses the match [*from, *to) as its token's flags want; text before `done` is taken.  As in
 * the reference, white space that a token takes behind itself may still be a token of its own. */
static bool suits(const mt_tokenizer *t, unsigned flag, const mt_view *v, size_t done, size_t *from, size_t *to)
{
    const uint8_t *p = v->p, *end = p + v->n;
    size_t len;
    if (!flag) return true;
    if (flag & MT_ADDED_SINGLE_WORD) {
        if (*from > 0 && (trait_before(t->traits, p, p + *from, &len) & MT_IS_WORD)) return false;
        if (*to < v->n && (trait_at(t->traits, p + *to, end, &len) & MT_IS_WORD)) return false;
    }
    if (flag & MT_ADDED_LSTRIP) {
        size_t start = *from;
        while (start > done && (trait_before(t->traits, p + done, p + start, &len) & MT_IS_SPACE)) start -= len;
        *from = MT_MIN(MT_MAX(start, done), *to);
    }
    if ((flag & MT_ADDED_RSTRIP) && *to < done) *to = done;      /* all white space, as seen before */
    if (flag & MT_ADDED_RSTRIP)
        while (*to < v->n && (trait_at(t->traits, p + *to, end, &len) & MT_IS_SPACE)) *to += len;
    return true;
}

static mote_status put_added(encoder *e, int32_t id, const mt_view *v, size_t from, size_t to)
{
    const mt_str text = { (const char *)v->p + from, to - from };
    return put_token(e, id, v, from, to, text) ? MOTE_OK : no_memory(e);
}

/* Normalised text: added tokens are looked for once more. */
static mote_status put_normal(encoder *e, mt_view v)
{
    const mt_tokenizer *t = e->t;
    const mt_specials *s = &t->normal;
    size_t plain = 0, at = 0, len;
    while (s->roles && at < v.n) {
        while (at < v.n && !s->first[v.p[at]]) at++;
        if (at == v.n) break;
        const int32_t id = mt_specials_match(s, v.p + at, v.p + v.n, v.p + v.n, &len);
        size_t from = at, to = id < 0 ? at + 1 : at + len;
        const bool is_control = id >= 0 && t->role[id] == MT_ROLE_CONTROL;
        at = id < 0 ? at + 1 : at + len;
        if (id < 0 || (is_control && !is_span_trusted(e, mt_view_span(&v, from, to)))) continue;
        if (!suits(t, t->flag ? t->flag[id] : 0, &v, plain, &from, &to)) continue;
        if (plain < from) MT_TRY(put_words(e, mt_view_part(&v, plain, from)));
        MT_TRY(put_added(e, id, &v, from, to));
        plain = to;
    }
    return plain < v.n ? put_words(e, mt_view_part(&v, plain, v.n)) : MOTE_OK;
}

static mote_status put_plain(encoder *e, size_t from, size_t to)
{
    const mt_tokenizer *t = e->t;
    mt_view v = { e->text + from, to - from, NULL, (uint32_t)from };
    if (from >= to) return MOTE_OK;
    if (t->n_norm) MT_TRY(mt_norm_run(t->norm, t->n_norm, t->traits, &e->norm, &v, e->err));
    return put_normal(e, v);
}

/* The place of the next byte that may begin a special token here, or the end of the range. */
static size_t skip_plain(const encoder *e, size_t at, unsigned roles)
{
    const uint8_t *first = e->t->raw.first;
    if (!(e->t->raw.roles & roles)) return e->range_end;
    while (at < e->range_end && !(first[e->text[at]] & roles)) at++;
    return at;
}

static mote_status put_text(encoder *e)
{
    const mt_tokenizer *t = e->t;
    const mt_view whole = { e->text, e->n_text, NULL, 0 };
    size_t plain = 0, at = 0;                    /* text[plain, at) has no special token */
    while (at < e->n_text) {
        while (at >= e->range_end) next_range(e);
        const unsigned roles = 1u << MT_ROLE_USER | 1u << MT_ROLE_BOTH | (e->is_trusted ? 1u << MT_ROLE_CONTROL : 0u);
        at = skip_plain(e, at, roles);
        if (at == e->range_end) continue;
        size_t len;
        const uint8_t *p = e->text + at, *end = e->text + e->n_text;
        const uint8_t *trusted_end = e->is_trusted ? e->text + e->range_end : p;
        const int32_t id = mt_specials_match(&t->raw, p, end, trusted_end, &len);
        if (id < 0) {
            at++;
            continue;
        }
        size_t from = at, to = at + len;
        const bool is_first = at == 0;
        at = to;
        if (!suits(t, t->flag ? t->flag[id] : 0, &whole, plain, &from, &to)) continue;
        MT_TRY(put_plain(e, plain, from));
        if (is_first) e->first_is_bos = id == t->vocab.bos;
        MT_TRY(put_added(e, id, &whole, from, to));
        e->last_is_eos = at == e->n_text && id == t->vocab.eos;
        plain = to;
    }
    return put_plain(e, plain, e->n_text);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static bool put_frame(encoder *e, const int32_t *id, size_t n)
{
    if (!mt_ids_reserve(&e->ids, n)) return false;
    for (size_t i = 0; i < n; i++) {
        if (e->ids.has_span) e->ids.span[e->ids.n] = (mote_span){ 0, 0 };
        e->ids.p[e->ids.n++] = id[i];
    }
    return true;
}

static mote_status encode_all(encoder *e, unsigned flags)
{
    const mt_tokenizer *t = e->t;
    const bool wants_bos = (flags & MOTE_TEXT_BOS) && t->n_prefix, wants_eos = (flags & MOTE_TEXT_EOS) && t->n_suffix;
    /* The place of bos is kept; it is given up when the text turns out to begin with one. */
    if (!mt_ids_reserve(&e->ids, 1) || (wants_bos && !put_frame(e, t->prefix, t->n_prefix))) return no_memory(e);
    e->n_front = e->ids.n;
    MT_TRY(put_text(e));
    if (wants_bos && t->has_one_bos && e->first_is_bos) {
        const size_t n_own = e->ids.n - e->n_front;
        memmove(e->ids.p + e->n_other, e->ids.p + e->n_front, n_own * sizeof *e->ids.p);
        if (e->ids.has_span) memmove(e->ids.span + e->n_other, e->ids.span + e->n_front, n_own * sizeof *e->ids.span);
        e->ids.n = e->n_other + n_own;
    }
    if (wants_eos && !(t->has_one_bos && e->last_is_eos) && !put_frame(e, t->suffix, t->n_suffix)) return no_memory(e);
    return MOTE_OK;
}

/* Must places be kept while normalising?  When somebody wants them, or something depends on them. */
static bool tracks(const encoder *e)
{
    const mt_tokenizer *t = e->t;
    if (e->ids.has_span) return true;
    if (e->has_mixed_trust && (t->normal.roles & 1u << MT_ROLE_CONTROL) && t->n_norm) return true;
    for (size_t i = 0; i < t->n_words; i++)
        if (t->words[i].kind == MT_WORDS_METASPACE && t->words[i].scheme == MT_SCHEME_FIRST) return t->n_norm || i;
    return false;
}

static void init_work(encoder *e)
{
    const mt_tokenizer *t = e->t;
    const mote_alloc *alloc = t->arena.alloc;
    const bool keeps = tracks(e);
    e->bytes.alloc = e->cuts.alloc = alloc;
    mt_norm_work_init(&e->norm, alloc, keeps);
    mt_words_init(&e->words, t->words, t->n_words, &t->chars, t->traits, alloc, keeps);
    memset(&e->model, 0, sizeof e->model);
    switch (t->model) {
    case MT_MODEL_BPE:     e->model.bpe.bpe.alloc = e->model.bpe.len.alloc = alloc; break;
    case MT_MODEL_UNIGRAM: e->model.unigram.room.alloc = alloc; break;
    case MT_MODEL_SPM:     e->model.spm.room.alloc = e->model.spm.undo.alloc = alloc; break;
    case MT_MODEL_BYTES: case MT_MODEL_WORDPIECE: case MT_MODEL_WORDLEVEL: case MT_MODEL_RWKV: break;
    }
}

static void free_work(encoder *e)
{
    mt_bpe_done(&e->bytes);
    mt_norm_work_free(&e->norm);
    mt_words_free(&e->words);
    mt_cuts_free(&e->cuts);
    switch (e->t->model) {
    case MT_MODEL_BPE:     mt_bpe_text_done(&e->model.bpe); break;
    case MT_MODEL_UNIGRAM: mt_unigram_done(&e->model.unigram); break;
    case MT_MODEL_SPM:     mt_spm_done(&e->model.spm); break;
    case MT_MODEL_BYTES: case MT_MODEL_WORDPIECE: case MT_MODEL_WORDLEVEL: case MT_MODEL_RWKV: break;
    }
}

/* Encodes into e->ids, behind what is there. */
static mote_status run(encoder *e, unsigned flags)
{
    e->n_other = e->ids.n;
    init_work(e);
    const mote_status status = encode_all(e, flags);
    free_work(e);
    return status;
}

static mote_status hand_over(const encoder *e, int32_t *out, mote_span *span, size_t cap, size_t *n)
{
    *n = e->ids.n;
    if (e->ids.n > cap)
        MT_FAIL(e->err, MOTE_EFULL, "text has %zu tokens, the buffer has room for %zu", e->ids.n, cap);
    if (e->ids.is_lent || !e->ids.n) return MOTE_OK;
    memcpy(out, e->ids.p, e->ids.n * sizeof *out);
    if (span) memcpy(span, e->ids.span, e->ids.n * sizeof *span);
    return MOTE_OK;
}

mote_status mt_tokenizer_encode_spans(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg, unsigned flags,
                                      int32_t *out, mote_span *span, size_t cap, size_t *n, mote_error *err)
{
    encoder e = { .t = t, .text = (const uint8_t *)"", .seg = seg, .n_seg = n_seg, .err = err,
                  .ids.alloc = t->arena.alloc, .ids.has_span = span != NULL };
    mote_status status = join_segments(&e);
    /* No byte-level token stands for less than a byte of text, apart from those round it: with room
     * for that many the ids go straight to the caller, else their number must be known first. */
    if (out && t->model == MT_MODEL_BYTES && !t->n_norm && t->n_words == 1 &&
        cap >= e.n_text + t->n_prefix + t->n_suffix + 1) {
        e.ids.p = out, e.ids.span = span;
        e.ids.cap = cap;
        e.ids.is_lent = true;
    }
    if (status == MOTE_OK) status = run(&e, flags);
    if (status == MOTE_OK) status = hand_over(&e, out, span, cap, n);
    mt_ids_free(&e.ids);
    mt_put(t->arena.alloc, e.joined, e.n_text);
    return status;
}

mote_status mt_tokenizer_append(const mt_tokenizer *t, mt_segment text, unsigned flags, mt_ids *ids, mote_error *err)
{
    encoder e = { .t = t, .text = (const uint8_t *)"", .seg = &text, .n_seg = 1, .err = err, .ids = *ids };
    MT_TRY(join_segments(&e));                   /* one is not copied */
    const mote_status status = run(&e, flags);
    *ids = e.ids;
    return status;
}

mote_status mt_tokenizer_encode(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg,
                                unsigned flags, int32_t *out, size_t cap, size_t *n, mote_error *err)
{
    return mt_tokenizer_encode_spans(t, seg, n_seg, flags, out, NULL, cap, n, err);
}
