/* SPDX-License-Identifier: MIT */
/* vocabulary.c - opens a tokenizer from a plain vocabulary: what GGUF files and bare lists carry.
 *
 * Such a vocabulary names its algorithm and, for byte-level BPE, its pre-tokenizer; everything else
 * about the way of a text follows from these names here. */
#include <string.h>

#include "text/pipe.h"

/* The mark that SentencePiece writes for a space. */
#define MARK "\xE2\x96\x81"

void mt_vocab_defaults(mt_vocab *v)
{
    const mt_pre *pre = mt_pre_find(v->pre);
    const bool is_spm = mt_str_is(v->model, "llama"), is_unigram = mt_str_is(v->model, "t5");
    v->ignore_merges = pre && pre->ignore_merges;
    v->add_bos = (pre && pre->add_bos) || is_spm || mt_str_is(v->model, "bert");
    v->add_bos = v->add_bos || mt_str_is(v->model, "gemma4");
    v->add_eos = (pre && pre->add_eos) || is_unigram || mt_str_is(v->model, "bert");
    v->add_space_prefix = is_spm || is_unigram;
    v->remove_extra_spaces = is_unigram;
    v->lowercase = true;
}

static mote_status no_room(mote_error *err) { MT_FAIL(err, MOTE_ENOMEM, "no memory for a tokenizer"); }

static mt_words_op *add_words(mt_tokenizer *t, mt_words_kind kind, mt_behavior behavior)
{
    if (!t->words) t->words = mt_arena_push_n(&t->arena, MT_WORDS_MOST, sizeof *t->words);
    if (!t->words) return NULL;
    t->words[t->n_words] = (mt_words_op){ .kind = kind, .behavior = behavior };
    return &t->words[t->n_words++];
}

/* Ids round a text: bos and eos, or an encoder's own. */
static void set_frame(mt_tokenizer *t)
{
    const mt_vocab *v = &t->vocab;
    const bool is_bert = mt_str_is(v->model, "bert");
    const int32_t first = is_bert && v->cls >= 0 ? v->cls : v->bos, last = is_bert && v->sep >= 0 ? v->sep : v->eos;
    if (v->add_bos && first >= 0) t->prefix[t->n_prefix++] = first;
    if (v->add_eos && last >= 0) t->suffix[t->n_suffix++] = last;
    t->has_one_bos = true;
}

/* A literal pattern, or one that is to be compiled; it is freed with the tokenizer. */
static bool add_pattern(mt_tokenizer *t, const char *literal, mt_pattern **out)
{
    mt_pattern *p = mt_arena_push_n(&t->arena, 1, sizeof *p);
    if (!p) return false;
    *p = (mt_pattern){ .text = mt_str_of(literal), .alloc = t->arena.alloc, .next = t->pattern };
    t->pattern = *out = p;
    return true;
}

static mote_status compile(mt_tokenizer *t, mt_pattern *p, const char *expression, const char *name, mote_error *err)
{
    mt_pattern *next = p->next;
    const mote_status status = mt_pattern_compile(p, mt_str_of(expression), name, t->arena.alloc, err);
    p->next = next;
    return status;
}

static mote_status open_bytes(mt_tokenizer *t, mt_recipe *r, mote_error *err)
{
    const mt_pre *pre = mt_pre_find(t->vocab.pre);
    if (!pre)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "pre-tokenizer '%.*s' is not supported",
                (int)MT_MIN(t->vocab.pre.n, 64), t->vocab.pre.p);
    t->model = MT_MODEL_BYTES;
    r->ignore_merges = t->vocab.ignore_merges || pre->ignore_merges;
    for (size_t i = 0; pre->expression && pre->expression[i]; i++) {
        mt_words_op *op = add_words(t, MT_WORDS_PATTERN, MT_ISOLATED);
        op = op && add_pattern(t, NULL, &op->pattern) ? op : NULL;
        if (!op) return no_room(err);
        MT_TRY(compile(t, op->pattern, pre->expression[i], pre->name, err));
    }
    if (pre->expression) return MOTE_OK;
    mt_words_op *op = add_words(t, MT_WORDS_SCAN, MT_ISOLATED);
    if (!op) return no_room(err);
    op->scan = pre->split;
    return MOTE_OK;
}

/* ---- BERT: pieces with the mark begin a word, those without go on ------------------- */

static mote_status respell(mt_tokenizer *t, mote_error *err)
{
    mt_vocab *v = &t->vocab;
    mt_str *token = mt_arena_push_n(&t->arena, MT_MAX(v->n_token, 1), sizeof *token);
    if (!token) return no_room(err);
    for (size_t i = 0; i < v->n_token; i++) {
        mt_str s = v->token[i];
        token[i] = s;
        if (v->kind && v->kind[i] != MT_TOKEN_NORMAL) continue;
        if (s.n >= 3 && memcmp(s.p, MARK, 3) == 0) {
            token[i] = (mt_str){ s.p + 3, s.n - 3 };
            continue;
        }
        char *with = mt_arena_push(&t->arena, s.n + 2);
        if (!with) return no_room(err);
        memcpy(with, "##", 2);
        if (s.n) memcpy(with + 2, s.p, s.n);
        token[i] = (mt_str){ with, s.n + 2 };
    }
    v->token = token;
    return MOTE_OK;
}

static mote_status open_bert(mt_tokenizer *t, mt_recipe *r, mote_error *err)
{
    MT_TRY(respell(t, err));
    t->norm = mt_arena_push_n(&t->arena, 1, sizeof *t->norm);
    t->decode = mt_arena_push_n(&t->arena, 1, sizeof *t->decode);
    mt_words_op *space = add_words(t, MT_WORDS_TRAIT, MT_REMOVED), *mark = add_words(t, MT_WORDS_TRAIT, MT_ISOLATED);
    if (!t->norm || !t->decode || !space || !mark) return no_room(err);
    t->norm[t->n_norm++] = (mt_norm){ .kind = MT_NORM_BERT, .cleans = true, .spaces_han = true,
                                      .strips_accents = t->vocab.lowercase, .lowers = t->vocab.lowercase };
    mt_norm_prepare(&t->norm[0]);
    space->trait = MT_IS_SPACE, mark->trait = MT_IS_PUNCT;
    t->decode[t->n_decode++] = (mt_decode){ .kind = MT_DECODE_WORDPIECE, .text = mt_str_of("##"), .cleans = true };
    t->model = MT_MODEL_WORDPIECE;
    *r = (mt_recipe){ .is_text = true, .prefix = mt_str_of("##"), .most_chars = 100 };
    return MOTE_OK;
}

/* ---- SentencePiece: spaces are marks, and may stand in front ------------------------- */

/* The steps of decoding: marks to spaces, byte tokens to bytes, and the space in front gone. */
static mote_status decode_marks(mt_tokenizer *t, mote_error *err)
{
    mt_decode *op = mt_arena_push_n(&t->arena, 4, sizeof *op);
    if (!op || !add_pattern(t, MARK, &op->pattern)) return no_room(err);
    op[0].kind = MT_DECODE_REPLACE, op[0].text = mt_str_of(" ");
    op[1].kind = MT_DECODE_BYTE_TOKENS;
    op[2].kind = MT_DECODE_FUSE;
    op[3] = (mt_decode){ .kind = MT_DECODE_STRIP, .text = mt_str_of(" "), .start = 1 };
    t->decode = op;
    t->n_decode = t->vocab.add_space_prefix ? 4 : 3;
    return MOTE_OK;
}

static bool has_bytes(const mt_vocab *v)
{
    size_t n = 0;
    for (size_t i = 0; v->kind && i < v->n_token; i++) n += v->kind[i] == MT_TOKEN_BYTE;
    return n >= 256;
}

/* SentencePiece's own normaliser, in one step. */
static mote_status normalise_all(mt_tokenizer *t, mt_norm *op, mote_error *err)
{
    const mt_vocab *v = &t->vocab;
    *op = (mt_norm){ .kind = MT_NORM_SPM, .spm = { .use_dummy_prefix = v->add_space_prefix,
                     .remove_extra_spaces = v->remove_extra_spaces, .escape_spaces = true } };
    t->n_norm = 1;
    return mt_charsmap_init(&op->spm.map, v->charsmap, err);
}

static mote_status open_marks(mt_tokenizer *t, mt_recipe *r, mt_model_kind model, mote_error *err)
{
    mt_norm *op = t->norm = mt_arena_push_n(&t->arena, 2, sizeof *t->norm);
    if (!op) return no_room(err);
    t->model = model;
    *r = (mt_recipe){ .is_text = true, .use_bytes = has_bytes(&t->vocab), .fuses_unk = true };
    if (t->vocab.charsmap.n || t->vocab.remove_extra_spaces) {
        MT_TRY(normalise_all(t, op, err));
        return decode_marks(t, err);
    }
    if (t->vocab.add_space_prefix) *op++ = (mt_norm){ .kind = MT_NORM_PREPEND, .text = mt_str_of(MARK) };
    *op = (mt_norm){ .kind = MT_NORM_REPLACE, .text = mt_str_of(MARK) };
    if (!add_pattern(t, " ", &op->pattern)) return no_room(err);
    t->n_norm = t->vocab.add_space_prefix ? 2 : 1;
    return decode_marks(t, err);
}

static mote_status open_unigram(mt_tokenizer *t, mt_recipe *r, mote_error *err)
{
    const mt_vocab *v = &t->vocab;
    mt_norm *op = t->norm = mt_arena_push_n(&t->arena, 1, sizeof *t->norm);
    if (!op) return no_room(err);
    MT_TRY(normalise_all(t, op, err));
    t->model = MT_MODEL_UNIGRAM;
    *r = (mt_recipe){ .is_text = true, .use_bytes = has_bytes(v), .is_like_sentencepiece = true };
    return decode_marks(t, err);
}

/* ---- opening --------------------------------------------------------------------------- */

static mote_status fill(mt_tokenizer *t, mote_error *err)
{
    mt_recipe r = { 0 };
    const mt_str model = t->vocab.model;
    if (mt_str_is(model, "gpt2")) MT_TRY(open_bytes(t, &r, err));
    else if (mt_str_is(model, "bert")) MT_TRY(open_bert(t, &r, err));
    else if (mt_str_is(model, "llama")) MT_TRY(open_marks(t, &r, MT_MODEL_SPM, err));
    else if (mt_str_is(model, "gemma4")) MT_TRY(open_marks(t, &r, MT_MODEL_BPE, err));
    else if (mt_str_is(model, "t5")) MT_TRY(open_unigram(t, &r, err));
    else if (mt_str_is(model, "rwkv")) t->model = MT_MODEL_RWKV, r.is_text = true;
    else
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tokenizer model '%.*s' is not supported",
                (int)MT_MIN(model.n, 64), model.n ? model.p : "");
    set_frame(t);
    return mt_tokenizer_assemble(t, &r, err);
}

mote_status mt_tokenizer_open(mt_tokenizer **out, const mt_vocab *v, const mote_alloc *alloc,
                              mote_error *err)
{
    *out = NULL;
    mt_tokenizer *t = mt_tokenizer_new(alloc, 4096, err);
    if (!t) return MOTE_ENOMEM;
    t->vocab = *v;
    const mote_status status = fill(t, err);
    if (status != MOTE_OK) {
        mt_tokenizer_close(t);
        return status;
    }
    *out = t;
    return MOTE_OK;
}
