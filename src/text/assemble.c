/* SPDX-License-Identifier: MIT */
/* assemble.c - builds the tables of a tokenizer from what an opener read, and answers about tokens.
 *
 * All the work that depends on the vocabulary alone is done here; afterwards the tokenizer is
 * shared by threads without locks. */
#include <string.h>

#include "text/pipe.h"

/* Tokens that end a turn or a text under the names models publish.  Files do not always mark them
 * as control tokens; those whose spelling nobody writes by accident are taken for one anyway. */
#define NAME(text) { text, sizeof text - 1 }
static const struct { mt_str name; bool is_sure; } end_table[] = {
    { NAME("<|endoftext|>"), true }, { NAME("<|end_of_text|>"), true }, { NAME("<|im_end|>"), true },
    { NAME("<|eot_id|>"), true }, { NAME("<|eom_id|>"), true }, { NAME("<|end|>"), true },
    { NAME("<|end_of_turn|>"), true }, { NAME("<|return|>"), true }, { NAME("<|call|>"), true },
    { NAME("<|eot|>"), true }, { NAME("<|eom|>"), true }, { NAME("<|END_OF_TURN_TOKEN|>"), true },
    { NAME("<end_of_turn>"), true }, { NAME("<turn|>"), true }, { NAME("<end_of_utterance>"), true },
    { NAME("<｜end▁of▁sentence｜>"), true }, { NAME("<EOT>"), false }, { NAME("</s>"), false },
    { NAME("<eos>"), false },
};

bool mt_is_end_name(mt_str name, bool *is_sure)
{
    if (name.n < 2 || *name.p != '<') return false;
    for (size_t i = 0; i < MT_COUNT(end_table); i++) {
        const mt_str end = end_table[i].name;    /* asked of every token: most differ here */
        if (name.n != end.n || name.p[1] != end.p[1] || !mt_str_eq(name, end)) continue;
        *is_sure = end_table[i].is_sure;
        return true;
    }
    return false;
}

mt_tokenizer *mt_tokenizer_new(const mote_alloc *alloc, size_t block_bytes, mote_error *err)
{
    mt_tokenizer *t = mt_get(alloc, sizeof *t, MT_ALIGN);
    if (!t) {
        mt_fail(err, MOTE_ENOMEM, "no memory for a tokenizer");
        return NULL;
    }
    memset(t, 0, sizeof *t);
    mt_arena_init(&t->arena, alloc, block_bytes);
    return t;
}

void mt_tokenizer_close(mt_tokenizer *t)
{
    if (!t) return;
    const mote_alloc *alloc = t->arena.alloc;
    for (mt_pattern *p = t->pattern; p; p = p->next) mt_pattern_free(p);
    mt_arena_reset(&t->arena);
    mt_put(alloc, t, sizeof *t);
}

/* ---- tables -------------------------------------------------------------------------- */

static mote_status check_id(const char *name, int32_t id, size_t n_token, mote_error *err)
{
    if (id >= -1 && (id < 0 || (size_t)id < n_token)) return MOTE_OK;
    MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %s token is %d, expected -1 or less than %zu", name,
            (int)id, n_token);
}

static mote_status check_vocab(const mt_vocab *v, mote_error *err)
{
    if (v->n_token == 0 || v->n_token > MT_TOKENS_MAX)
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %zu tokens, expected 1 to %d", v->n_token, (int)MT_TOKENS_MAX);
    MT_TRY(check_id("bos", v->bos, v->n_token, err));
    MT_TRY(check_id("eos", v->eos, v->n_token, err));
    MT_TRY(check_id("eot", v->eot, v->n_token, err));
    MT_TRY(check_id("unknown", v->unk, v->n_token, err));
    MT_TRY(check_id("class", v->cls, v->n_token, err));
    MT_TRY(check_id("separator", v->sep, v->n_token, err));
    MT_TRY(check_id("mask", v->mask, v->n_token, err));
    return check_id("padding", v->pad, v->n_token, err);
}

/* Roles without those of added tokens: from the kinds, where the file has them. */
static mt_role role_of(const mt_vocab *v, size_t id)
{
    const int32_t kind = v->kind ? v->kind[id] : MT_TOKEN_NORMAL;
    const bool is_named = (int64_t)id == v->bos || (int64_t)id == v->eos || (int64_t)id == v->eot;
    bool is_sure;
    if (kind == MT_TOKEN_CONTROL || kind == MT_TOKEN_UNKNOWN || (!v->kind && is_named)) return MT_ROLE_CONTROL;
    if (mt_is_end_name(v->token[id], &is_sure) && (is_sure || kind == MT_TOKEN_USER)) return MT_ROLE_CONTROL;
    return kind == MT_TOKEN_USER ? MT_ROLE_USER : MT_ROLE_ORDINARY;
}

/* A file's own added tokens say all; without them the kinds do. */
static void give_roles(mt_tokenizer *t, const mt_recipe *r)
{
    bool is_sure;
    for (size_t id = 0; id < t->vocab.n_token; id++)
        t->role[id] = (uint8_t)(r->added ? MT_ROLE_ORDINARY : role_of(&t->vocab, id));
    for (size_t i = 0; i < r->n_added; i++) {
        const mt_added *a = &r->added[i];
        const bool is_end = mt_is_end_name(a->text, &is_sure) && is_sure;
        const mt_role role = (a->flags & MT_ADDED_SPECIAL) || is_end ? MT_ROLE_CONTROL
                           : a->is_in_model ? MT_ROLE_BOTH : MT_ROLE_USER;
        t->role[a->id] = (uint8_t)role;
    }
}

/* The text of an added token as the normaliser leaves it. */
static mote_status normalise(mt_tokenizer *t, mt_str text, mt_str *out, mote_error *err)
{
    mt_norm_work w;
    mt_view v = { (const uint8_t *)text.p, text.n, NULL, 0 };
    mt_norm_work_init(&w, t->arena.alloc, false);
    mote_status status = mt_norm_run(t->norm, t->n_norm, t->traits, &w, &v, err);
    if (status == MOTE_OK) {
        char *copy = mt_arena_string(&t->arena, (mt_str){ (const char *)v.p, v.n });
        *out = (mt_str){ copy, v.n };
        if (!copy) status = mt_fail(err, MOTE_ENOMEM, "no memory for the added tokens");
    }
    mt_norm_work_free(&w);
    return status;
}

static mote_status list_special(mt_tokenizer *t, const mt_recipe *r, mote_error *err)
{
    const mt_vocab *v = &t->vocab;
    size_t n = r->n_added;
    for (size_t id = 0; !r->added && id < v->n_token; id++) n += t->role[id] >= MT_ROLE_USER;
    t->special = mt_arena_push_n(&t->arena, MT_MAX(n, 1), sizeof *t->special);
    if (!t->special) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu added tokens", n);
    for (size_t i = 0; i < r->n_added; i++)
        t->special[t->n_special++] = (mt_special){ r->added[i].text, (uint32_t)r->added[i].id };
    for (size_t id = 0; !r->added && id < v->n_token; id++)
        if (t->role[id] >= MT_ROLE_USER) t->special[t->n_special++] = (mt_special){ v->token[id], (uint32_t)id };
    return MOTE_OK;
}

/* Two tries: added tokens found as written, and those found in normalised text. */
static mote_status build_specials(mt_tokenizer *t, const mt_recipe *r, mote_error *err)
{
    size_t n_raw = 0, n_normal = 0;
    mt_str *decoded = NULL;
    MT_TRY(list_special(t, r, err));
    mt_special *raw = mt_arena_push_n(&t->arena, t->n_special + 1, sizeof *raw);
    mt_special *normal = mt_arena_push_n(&t->arena, r->n_added + 1, sizeof *normal);
    uint8_t *flag = r->n_added ? mt_arena_push_zero(&t->arena, t->vocab.n_token) : NULL;
    if (!raw || !normal || (r->n_added && !flag)) MT_FAIL(err, MOTE_ENOMEM, "no memory for the added tokens");
    for (size_t i = 0; i < t->n_special; i++) {
        const mt_added *a = r->added ? &r->added[i] : NULL;
        mt_special s = t->special[i];
        if (a) flag[a->id] = a->flags & (MT_ADDED_LSTRIP | MT_ADDED_RSTRIP | MT_ADDED_SINGLE_WORD);
        if (!a || !(a->flags & MT_ADDED_NORMALIZED)) {
            raw[n_raw++] = s;
            continue;
        }
        MT_TRY(normalise(t, a->text, &s.text, err));
        normal[n_normal++] = s;
        if (!mt_str_eq(s.text, a->text) && !decoded) {
            decoded = mt_arena_push_n(&t->arena, t->vocab.n_token, sizeof *decoded);
            if (!decoded) MT_FAIL(err, MOTE_ENOMEM, "no memory for the added tokens");
            memcpy(decoded, t->vocab.token, t->vocab.n_token * sizeof *decoded);
        }
        if (decoded && !mt_str_eq(s.text, a->text)) decoded[a->id] = s.text;
    }
    t->flag = flag;
    t->decoded = decoded ? decoded : t->vocab.token;
    MT_TRY(mt_specials_init(&t->raw, raw, n_raw, t->role, &t->arena, err));
    return mt_specials_init(&t->normal, normal, n_normal, t->role, &t->arena, err);
}

/* The unigram model finds whatever it is given: a control token is never a piece of ordinary text. */
static mote_status build_unigram(mt_tokenizer *t, const mt_recipe *r, mote_error *err)
{
    mt_vocab v = t->vocab;
    mt_str *token = mt_arena_push_n(&t->arena, v.n_token, sizeof *token);
    if (!token) MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", v.n_token);
    for (size_t id = 0; id < v.n_token; id++)
        token[id] = t->role[id] == MT_ROLE_CONTROL || t->role[id] == MT_ROLE_USER ? (mt_str){ "", 0 } : v.token[id];
    v.token = token;
    const mt_unigram_spec spec = { &v, r->score, r->is_like_sentencepiece ? MT_UNIGRAM_LIKE_SENTENCEPIECE
                                   : MT_UNIGRAM_LIKE_TOKENIZERS, r->use_bytes };
    return mt_unigram_init(&t->as.unigram, &spec, &t->arena, err);
}

static mote_status build_model(mt_tokenizer *t, const mt_recipe *r, mote_error *err)
{
    const mt_vocab *v = &t->vocab;
    const mt_bpe_spec bpe = { r->ignore_merges, r->is_strict, r->prefix };
    switch (t->model) {
    case MT_MODEL_BYTES: return mt_bpe_init(&t->as.bytes, &t->pieces, v, &bpe, &t->arena, err);
    case MT_MODEL_BPE:
        MT_TRY(mt_bpe_init(&t->as.bpe.bpe, &t->pieces, v, &bpe, &t->arena, err));
        t->as.bpe.prefix = r->prefix, t->as.bpe.suffix = r->suffix;
        t->as.bpe.unk = v->unk;
        t->as.bpe.use_bytes = r->use_bytes, t->as.bpe.fuses_unk = r->fuses_unk;
        mt_bpe_text_prepare(&t->as.bpe);
        return MOTE_OK;
    case MT_MODEL_WORDPIECE:
        return mt_wordpiece_init(&t->as.wordpiece, &t->pieces, r->prefix, v->unk, r->most_chars, &t->arena, err);
    case MT_MODEL_WORDLEVEL:
        t->as.wordlevel.unk = v->unk;
        return MOTE_OK;
    case MT_MODEL_UNIGRAM: return build_unigram(t, r, err);
    case MT_MODEL_SPM: return mt_spm_init(&t->as.spm, v, r->use_bytes, &t->arena, err);
    case MT_MODEL_RWKV: return mt_rwkv_init(&t->as.rwkv, v, &t->arena, err);
    }
    return MOTE_OK;
}

/* ---- what tokens show ------------------------------------------------------------------ */

/* One token in the middle of a text, by the steps that look at it alone. */
static size_t show(const mt_tokenizer *t, size_t id, uint8_t *to)
{
    mt_str s = t->decoded[id];
    const int byte = mt_byte_token(s);
    size_t n = 0;
    bool has_bytes = false, is_word = false;
    mt_str space = { NULL, 0 }, suffix = { NULL, 0 };
    for (size_t i = 0; i < t->n_decode; i++) {
        const mt_decode *op = &t->decode[i];
        if (op->kind == MT_DECODE_BYTE_TOKENS) has_bytes = true;
        if (op->kind == MT_DECODE_BYTES && t->role[id] < MT_ROLE_USER) {
            const size_t n_byte = mt_piece_decode(s, to);
            if (n_byte != SIZE_MAX) return n_byte;
        }
        if (op->kind == MT_DECODE_METASPACE || (op->kind == MT_DECODE_REPLACE && !op->pattern->code && mt_str_is(op->text, " ")))
            space = op->kind == MT_DECODE_METASPACE ? op->text : op->pattern->text;
        if (op->kind == MT_DECODE_SUFFIX) suffix = op->text, space = op->text;
        if (op->kind == MT_DECODE_WORDPIECE) is_word = true, suffix = op->text;
    }
    if (t->role[id] >= MT_ROLE_USER) {           /* as it stands */
        if (s.n) memcpy(to, s.p, s.n);
        return s.n;
    }
    if (has_bytes && byte >= 0) {
        to[0] = (uint8_t)byte;
        return 1;
    }
    if (is_word && s.n >= suffix.n && memcmp(s.p, suffix.p, suffix.n) == 0) s.p += suffix.n, s.n -= suffix.n;
    else if (is_word || t->joins_by_space) to[n++] = ' ';
    while (s.n) {
        const char *at = space.n ? memmem(s.p, s.n, space.p, space.n) : NULL;
        const size_t part = at ? (size_t)(at - s.p) : s.n;
        memcpy(to + n, s.p, part);
        n += part;
        if (!at) break;
        to[n++] = ' ';
        s.p += part + space.n, s.n -= part + space.n;
    }
    return n;
}

/* pieces has the bytes of a byte alphabet; what others show is written out once. */
static mote_status build_shown(mt_tokenizer *t, mote_error *err)
{
    size_t total = 0;
    if (!t->pieces.is_text || (t->n_decode == 0 && !t->joins_by_space)) return MOTE_OK;
    for (size_t id = 0; id < t->vocab.n_token; id++)
        if (!mt_add_ok(total, t->decoded[id].n + 1, &total) || total > UINT32_MAX)
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: tokens have more than 4 GiB together");
    t->shown = mt_arena_push(&t->arena, total);
    t->shown_at = mt_arena_push(&t->arena, (t->vocab.n_token + 1) * sizeof *t->shown_at);
    if (!t->shown || !t->shown_at) MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", t->vocab.n_token);
    uint32_t at = 0;
    for (size_t id = 0; id < t->vocab.n_token; id++) {
        t->shown_at[id] = at;
        at += (uint32_t)show(t, id, (uint8_t *)t->shown + at);
    }
    t->shown_at[t->vocab.n_token] = at;
    return MOTE_OK;
}

void mt_tokenizer_add_end(mt_tokenizer *t, int32_t id)
{
    if (id < 0 || (size_t)id >= t->vocab.n_token || t->n_end == MT_MOST_ENDS || mt_tokenizer_ends(t, id)) return;
    t->end[t->n_end++] = id;
}

static void find_ends(mt_tokenizer *t)
{
    bool is_sure;
    mt_tokenizer_add_end(t, t->vocab.eos);
    mt_tokenizer_add_end(t, t->vocab.eot);
    for (size_t i = 0; i < t->n_special; i++)
        if (t->role[t->special[i].id] == MT_ROLE_CONTROL && mt_is_end_name(t->special[i].text, &is_sure))
            mt_tokenizer_add_end(t, (int32_t)t->special[i].id);
}

static bool needs_traits(const mt_tokenizer *t)
{
    bool needs = t->n_norm > 0 || t->trims;
    for (size_t i = 0; i < t->n_words; i++) needs = needs || t->words[i].kind != MT_WORDS_SCAN;
    return needs;
}

mote_status mt_tokenizer_assemble(mt_tokenizer *t, const mt_recipe *r, mote_error *err)
{
    MT_TRY(check_vocab(&t->vocab, err));
    bool has_flags = needs_traits(t);
    for (size_t i = 0; i < r->n_added; i++) has_flags = has_flags || (r->added[i].flags & 7);
    t->role = mt_arena_push(&t->arena, t->vocab.n_token);
    t->traits = has_flags ? mt_arena_push(&t->arena, sizeof *t->traits) : NULL;
    if (!t->role || (has_flags && !t->traits))
        MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", t->vocab.n_token);
    mt_chars_init(&t->chars);
    if (t->traits) mt_traits_init(t->traits);
    give_roles(t, r);
    MT_TRY(mt_pieces_init(&t->pieces, &t->vocab, t->role, r->is_text, &t->arena, err));
    MT_TRY(build_specials(t, r, err));
    MT_TRY(build_model(t, r, err));
    MT_TRY(build_shown(t, err));
    find_ends(t);
    return MOTE_OK;
}

/* ---- asking ------------------------------------------------------------------------------- */

const mt_vocab *mt_tokenizer_vocab(const mt_tokenizer *t) { return &t->vocab; }
bool mt_tokenizer_chat_has_bos(const mt_tokenizer *t) { return t->has_one_bos; }

bool mt_tokenizer_drops_space(const mt_tokenizer *t)
{
    bool drops = t->joins_by_space;
    for (size_t i = 0; i < t->n_decode; i++) {
        const mt_decode *op = &t->decode[i];
        drops |= op->kind == MT_DECODE_WORDPIECE || (op->kind == MT_DECODE_METASPACE && op->drops_first) ||
                 (op->kind == MT_DECODE_STRIP && op->start > 0 && mt_str_is(op->text, " "));
    }
    return drops;
}

const char *mt_tokenizer_bytes(const mt_tokenizer *t, int32_t id, size_t *len, bool *is_special)
{
    if (id < 0 || (size_t)id >= t->pieces.n) return NULL;
    mt_str s = mt_pieces_bytes(&t->pieces, (size_t)id);
    if (t->shown) s = (mt_str){ t->shown + t->shown_at[id], t->shown_at[id + 1] - t->shown_at[id] };
    if (len) *len = s.n;
    if (is_special) *is_special = t->role[id] == MT_ROLE_CONTROL;
    return s.p;
}

int32_t mt_tokenizer_find(const mt_tokenizer *t, mt_str piece)
{
    uint8_t decoded[1024];
    for (size_t i = 0; piece.n && i < t->n_special; i++)
        if (mt_str_eq(t->special[i].text, piece)) return (int32_t)t->special[i].id;
    if (piece.n > sizeof decoded) return -1;
    if (t->pieces.is_text) return mt_pieces_find(&t->pieces, (const uint8_t *)piece.p, piece.n);
    const size_t n = mt_piece_decode(piece, decoded);
    if (n != SIZE_MAX) return mt_pieces_find(&t->pieces, decoded, n);
    for (size_t raw = 0; raw < t->pieces.n; raw++)
        if (t->role[raw] == MT_ROLE_RAW && mt_str_eq(mt_pieces_bytes(&t->pieces, raw), piece))
            return (int32_t)raw;
    return -1;
}

bool mt_tokenizer_ends(const mt_tokenizer *t, int32_t id)
{
    for (size_t i = 0; i < t->n_end; i++)
        if (t->end[i] == id) return true;
    return false;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* The list that the decoding steps begin with: tokens as stored, added ones as they stand. */
static mote_status list_tokens(const mt_tokenizer *t, const int32_t *id, size_t n, unsigned flags, mt_list *l,
                               mote_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || (size_t)id[i] >= t->vocab.n_token)
            MT_FAIL(err, MOTE_EINVAL, "detokenize: token %d at position %zu is not in the vocabulary", (int)id[i], i);
        const uint8_t role = t->role[id[i]];
        const mt_str s = t->decoded[id[i]];
        if (role == MT_ROLE_CONTROL && !(flags & MOTE_TEXT_SPECIAL)) continue;
        const bool wants_space = t->joins_by_space && l->n;
        const bool is_word = role == MT_ROLE_ORDINARY || role == MT_ROLE_BOTH;
        const bool is_raw = !is_word && s.p == t->vocab.token[id[i]].p;      /* and not normalised */
        if ((wants_space && !mt_list_add(l, " ", 1, true)) || !mt_list_add(l, s.p, s.n, is_raw))
            MT_FAIL(err, MOTE_ENOMEM, "detokenize: no memory for %zu tokens", n);
    }
    return MOTE_OK;
}

static mote_status decode_bytes(const mt_tokenizer *t, const int32_t *id, size_t n, unsigned flags, mt_buf *out,
                                mote_error *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        bool is_special;
        const char *p = mt_tokenizer_bytes(t, id[i], &len, &is_special);
        if (!p) MT_FAIL(err, MOTE_EINVAL, "detokenize: token %d at position %zu is not in the vocabulary", (int)id[i], i);
        if (is_special && !(flags & MOTE_TEXT_SPECIAL)) continue;
        if (!mt_buf_put(out, p, len)) MT_FAIL(err, MOTE_ENOMEM, "detokenize: no memory for %zu tokens", n);
    }
    return MOTE_OK;
}

mote_status mt_tokenizer_decode(const mt_tokenizer *t, const int32_t *id, size_t n, unsigned flags, mt_buf *out,
                                mote_error *err)
{
    const bool is_plain = t->n_decode == 0 || (t->model == MT_MODEL_BYTES && t->n_decode == 1 && t->decode[0].kind == MT_DECODE_BYTES);
    if (is_plain && !t->joins_by_space && t->decoded == t->vocab.token) return decode_bytes(t, id, n, flags, out, err);
    mt_list l = { .alloc = t->arena.alloc }, spare = { .alloc = t->arena.alloc };
    mote_status status = list_tokens(t, id, n, flags, &l, err);
    if (status == MOTE_OK) status = mt_decode_run(t->decode, t->n_decode, &l, &spare, err);
    if (status == MOTE_OK && !mt_buf_put(out, l.p, l.n_byte))
        status = mt_fail(err, MOTE_ENOMEM, "detokenize: no memory for %zu tokens", n);
    mt_list_free(&l);
    mt_list_free(&spare);
    return status;
}
