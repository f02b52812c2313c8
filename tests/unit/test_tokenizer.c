/* SPDX-License-Identifier: MIT */
/* test_tokenizer.c - the byte-level BPE tokenizer against a merging loop too simple to be wrong, and
 * against what hostile texts, vocabularies and allocators may do.
 *
 * The vocabularies are made here: 256 bytes, some merges, some special tokens.  Published ones:
 * test_vocabularies.c. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/bpe.h"
#include "text/text.h"

enum { SLOTS = 1024 };

static uint64_t state;

static unsigned roll(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

/* ---- a vocabulary made here -------------------------------------------------------- */

typedef struct tiny {
    mt_vocab v;
    mt_str  token[SLOTS], merge[SLOTS];
    int32_t kind[SLOTS];
    size_t  used;
    char    pool[65536];
} tiny;

static mt_str keep(tiny *t, const char *p, size_t n)
{
    assert_true(t->used + n <= sizeof t->pool);
    if (n) memcpy(t->pool + t->used, p, n);
    t->used += n;
    return (mt_str){ t->pool + t->used - n, n };
}

/* Bytes as a vocabulary file writes them. */
static mt_str spell(tiny *t, const char *p, size_t n)
{
    char out[512];
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t b = (uint8_t)p[i];
        uint32_t code = b;
        if (b <= 0x20) code = 256u + b;
        else if (b >= 0x7F && b <= 0xA0) code = 256u + 33 + b - 0x7F;
        else if (b == 0xAD) code = 256 + 67;
        assert_true(to + 2 <= sizeof out);
        if (code < 0x80) out[to++] = (char)code;
        else {
            out[to++] = (char)(0xC0 | code >> 6);
            out[to++] = (char)(0x80 | (code & 0x3F));
        }
    }
    return keep(t, out, to);
}

static int32_t add_stored(tiny *t, mt_str stored, int32_t kind)
{
    assert_true(t->v.n_token < SLOTS);
    t->token[t->v.n_token] = stored;
    t->kind[t->v.n_token] = kind;
    return (int32_t)t->v.n_token++;
}

static int32_t add_special(tiny *t, const char *text, int32_t kind)
{
    return add_stored(t, keep(t, text, strlen(text)), kind);
}

static void add_merge(tiny *t, mt_str left, mt_str right)
{
    char both[512];
    const size_t n = left.n + right.n + 1;
    assert_true(n <= sizeof both && t->v.n_merge < SLOTS);
    memcpy(both, left.p, left.n);
    both[left.n] = ' ';
    memcpy(both + left.n + 1, right.p, right.n);
    t->merge[t->v.n_merge++] = keep(t, both, n);
}

/* Adds the token left+right and the merge that makes it. */
static int32_t add_join(tiny *t, const char *left, const char *right)
{
    char both[256];
    snprintf(both, sizeof both, "%s%s", left, right);
    add_merge(t, spell(t, left, strlen(left)), spell(t, right, strlen(right)));
    return add_stored(t, spell(t, both, strlen(both)), MT_TOKEN_NORMAL);
}

/* All bytes but those in `without`; a byte's id is its place. */
static tiny *tiny_new(const char *pre, const char *without)
{
    tiny *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->v = (mt_vocab){ .model = mt_str_of("gpt2"), .pre = mt_str_of(pre), .token = t->token,
        .kind = t->kind, .merge = t->merge, .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1 };
    for (int b = 0; b < 256; b++) {
        const char c = (char)b;
        if (!memchr(without, b, strlen(without))) add_stored(t, spell(t, &c, 1), MT_TOKEN_NORMAL);
    }
    return t;
}

static mt_tokenizer *open_ok(const mt_vocab *v)
{
    mt_tokenizer *t = NULL;
    mote_error err = { 0 };
    if (mt_tokenizer_open(&t, v, NULL, &err)) fail_msg("open: %s", err.text);
    return t;
}

static size_t encode(const mt_tokenizer *t, const char *p, size_t n, bool trusted, unsigned flags,
                     int32_t *out, size_t cap)
{
    const mt_segment seg = { { p, n }, trusted };
    mote_error err = { 0 };
    size_t got = 0;
    if (mt_tokenizer_encode(t, &seg, 1, flags, out, cap, &got, &err)) fail_msg("%s", err.text);
    return got;
}

static size_t decode(const mt_tokenizer *t, const int32_t *id, size_t n, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *p = mt_tokenizer_bytes(t, id[i], &len, NULL);
        assert_non_null(p);
        memcpy(out + at, p, len);
        at += len;
    }
    return at;
}

static void expect_ids(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want)
{
    if (n_got == n_want && memcmp(got, want, n_want * sizeof *want) == 0) return;
    print_error("expected:");
    for (size_t i = 0; i < n_want; i++) print_error(" %d", (int)want[i]);
    print_error("\nfound:   ");
    for (size_t i = 0; i < n_got; i++) print_error(" %d", (int)got[i]);
    print_error("\n");
    fail();
}
#define EXPECT_IDS(got, n, ...)                                     \
    do {                                                            \
        const int32_t want_[] = { __VA_ARGS__ };                    \
        expect_ids((got), (n), want_, MT_COUNT(want_));             \
    } while (0)

/* ---- merging ----------------------------------------------------------------------- */

static void test_basics(void **unused)
{
    (void)unused;
    int32_t id[64];
    tiny *v = tiny_new("gpt2", "");
    const int32_t he = add_join(v, "h", "e"), ll = add_join(v, "l", "l"), hell = add_join(v, "he", "ll");
    const int32_t hello = add_join(v, "hell", "o"), sw = add_join(v, " ", "w");
    mt_tokenizer *t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "hello world", 11, false, 0, id, 64), hello, sw, 'o', 'r', 'l', 'd');
    EXPECT_IDS(id, encode(t, "he'll", 5, false, 0, id, 64), he, '\'', ll);
    EXPECT_IDS(id, encode(t, "hellhe", 6, false, 0, id, 64), hell, he);
    assert_int_equal(encode(t, "", 0, true, 0, id, 64), 0);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("hello")), hello);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("\xC4\xA0w")), sw);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("hel")), -1);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("")), -1);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("\xE4\xB8\xAD")), -1);
    size_t len;
    bool is_special = true;
    assert_memory_equal(mt_tokenizer_bytes(t, sw, &len, &is_special), " w", 2);
    assert_int_equal(len, 2);
    assert_false(is_special);
    assert_null(mt_tokenizer_bytes(t, -1, &len, NULL));
    assert_null(mt_tokenizer_bytes(t, (int32_t)v->v.n_token, &len, NULL));
    for (int b = 0; b < 256; b++) {
        const char *p = mt_tokenizer_bytes(t, b, &len, NULL);
        assert_true(len == 1 && (uint8_t)*p == b);
    }
    mt_tokenizer_close(t);
    mt_tokenizer_close(NULL);
    free(v);
}

/* A word that is a token but that merges do not make: only ignore_merges takes it whole. */
static void test_ignore_merges(void **unused)
{
    (void)unused;
    int32_t id[64];
    tiny *v = tiny_new("gpt2", "");
    const int32_t ab = add_join(v, "a", "b");
    const int32_t abc = add_stored(v, spell(v, "abc", 3), MT_TOKEN_NORMAL);
    mt_tokenizer *t = open_ok(&v->v);
    for (int again = 0; again < 3; again++)       /* the second time it is remembered */
        EXPECT_IDS(id, encode(t, "abc", 3, false, 0, id, 64), ab, 'c');
    mt_tokenizer_close(t);
    v->v.pre = mt_str_of("llama-bpe");
    t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "abc", 3, false, 0, id, 64), abc);
    EXPECT_IDS(id, encode(t, "abcabc", 6, false, 0, id, 64), ab, 'c', ab, 'c');
    mt_tokenizer_close(t);
    mt_vocab_defaults(&v->v);
    assert_true(v->v.ignore_merges && v->v.add_bos && !v->v.add_eos);
    v->v.pre = mt_str_of("smollm");
    mt_vocab_defaults(&v->v);
    assert_true(!v->v.ignore_merges && !v->v.add_bos);
    free(v);
}

/* rank[left][right] and joined[rank] for the oracle; 0xFFFF: no merge. */
typedef struct oracle { uint16_t rank[SLOTS][SLOTS], joined[SLOTS]; } oracle;

static size_t merge_simply(const oracle *o, int32_t *id, size_t n)
{
    for (;;) {
        size_t best = 0;
        unsigned rank = 0xFFFF;
        for (size_t i = 0; i + 1 < n; i++)
            if (o->rank[id[i]][id[i + 1]] < rank) rank = o->rank[id[i]][id[i + 1]], best = i;
        if (rank == 0xFFFF) return n;
        id[best] = o->joined[rank];
        memmove(id + best + 1, id + best + 2, (n - best - 2) * sizeof *id);
        n--;
    }
}

/* Random merges in random order over three letters; the same pair and the same result may come
 * twice, and a merge may come before those that make its halves. */
static void random_merges(tiny *v, oracle *o)
{
    struct { char text[16]; int32_t id; } part[400] = { { "a", 'a' }, { "b", 'b' }, { "c", 'c' } };
    struct { int32_t l, r, to; } made[400];
    size_t n_part = 3;
    unsigned n_made = 0;
    memset(o, 0xFF, sizeof *o);
    while (n_made < 200) {
        const unsigned l = roll((unsigned)n_part), r = roll((unsigned)n_part);
        char both[32];
        const int n = snprintf(both, sizeof both, "%s%s", part[l].text, part[r].text);
        if (n > 12) continue;
        size_t at = 0;
        while (at < n_part && strcmp(part[at].text, both)) at++;
        if (at == n_part) {
            strcpy(part[n_part].text, both);
            part[n_part++].id = add_stored(v, spell(v, both, (size_t)n), MT_TOKEN_NORMAL);
        }
        made[n_made].l = part[l].id;
        made[n_made].r = part[r].id;
        made[n_made++].to = part[at].id;
    }
    for (unsigned i = n_made; i-- > 1; ) {
        const unsigned j = roll(i + 1);
        const int32_t l = made[i].l, r = made[i].r, to = made[i].to;
        made[i] = made[j];
        made[j].l = l, made[j].r = r, made[j].to = to;
    }
    for (unsigned i = 0; i < n_made; i++) {
        add_merge(v, v->token[made[i].l], v->token[made[i].r]);
        uint16_t *rank = &o->rank[made[i].l][made[i].r];
        if (*rank == 0xFFFF) *rank = (uint16_t)i;
        o->joined[i] = (uint16_t)made[i].to;
    }
}

static void test_merging(void **unused)
{
    (void)unused;
    oracle *o = malloc(sizeof *o);
    assert_non_null(o);
    for (unsigned seed = 1; seed <= 30; seed++) {
        state = seed;
        tiny *v = tiny_new("gpt2", "");
        random_merges(v, o);
        mt_tokenizer *t = open_ok(&v->v);
        for (int k = 0; k < 200; k++) {
            char word[300];
            int32_t want[300], got[302];
            const size_t n = 1 + roll(k % 4 ? 60 : 300);
            const unsigned letters = 1 + roll(3);
            for (size_t i = 0; i < n; i++) {
                word[i] = (char)('a' + roll(letters));
                want[i] = word[i];
            }
            const size_t n_got = encode(t, word, n, false, 0, got, k % 2 ? 302 : n);
            expect_ids(got, n_got, want, merge_simply(o, want, n));
        }
        mt_tokenizer_close(t);
        free(v);
    }
    free(o);
}

static void test_round_trip(void **unused)
{
    (void)unused;
    static const char *const pres[] = { "gpt2", "smollm", "llama-bpe", "qwen2" };
    oracle *o = malloc(sizeof *o);
    assert_non_null(o);
    for (unsigned seed = 1; seed <= 400; seed++) {
        state = seed;
        tiny *v = tiny_new(pres[seed % 4], "");
        random_merges(v, o);
        mt_tokenizer *t = open_ok(&v->v);
        for (int k = 0; k < 5; k++) {
            char text[400], back[400];
            int32_t id[402];
            size_t n = roll(400);
            for (size_t i = 0; i < n; i++) text[i] = roll(2) ? (char)roll(256) : "abc \n'1"[roll(7)];
            const size_t n_id = encode(t, text, n, false, 0, id, 402);
            assert_int_equal(decode(t, id, n_id, back), n);
            assert_memory_equal(text, back, n);
        }
        mt_tokenizer_close(t);
        free(v);
    }
    free(o);
}

/* SmolLM2 has no token for some bytes: they vanish, and nothing else does. */
static void test_missing_bytes(void **unused)
{
    (void)unused;
    int32_t id[64];
    char back[64];
    tiny *v = tiny_new("gpt2", "\x04\xF1");
    mt_tokenizer *t = open_ok(&v->v);
    size_t n = encode(t, "a\x04" "b\xF1", 4, false, 0, id, 64);
    assert_int_equal(decode(t, id, n, back), 2);
    assert_memory_equal(back, "ab", 2);
    memset(back, 4, sizeof back);
    assert_int_equal(encode(t, back, sizeof back, false, 0, id, 64), 0);
    mt_tokenizer_close(t);
    free(v);
}

/* ---- special tokens ------------------------------------------------------------------ */

typedef struct specials { int32_t bos, end, x, xy, run2, run4, hello; } specials;

static tiny *tiny_special(specials *s, const char *pre)
{
    tiny *v = tiny_new(pre, "");
    add_join(v, "h", "e");
    add_join(v, "l", "l");
    add_join(v, "he", "ll");
    s->hello = add_join(v, "hell", "o");
    s->bos = add_special(v, "<s>", MT_TOKEN_CONTROL);
    s->end = add_special(v, "<|im_end|>", MT_TOKEN_CONTROL);
    s->x = add_special(v, "<x>", MT_TOKEN_CONTROL);
    s->xy = add_special(v, "<x>y", MT_TOKEN_CONTROL);
    s->run2 = add_special(v, "  ", MT_TOKEN_USER);
    s->run4 = add_special(v, "    ", MT_TOKEN_USER);
    v->v.bos = s->bos;
    v->v.eos = s->end;
    return v;
}

static size_t encode_all(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg, unsigned flags,
                         int32_t *id, size_t cap)
{
    size_t n = 0;
    mote_error err = { 0 };
    if (mt_tokenizer_encode(t, seg, n_seg, flags, id, cap, &n, &err)) fail_msg("%s", err.text);
    return n;
}
#define SEG(text, trusted) { { "" text, sizeof(text) - 1 }, trusted }
#define EXPECT_SEGS(list, ...)                                                        \
    do {                                                                              \
        const mt_segment seg_[] = { __VA_ARGS__ };                                    \
        const int32_t want_[] = list;                                                 \
        expect_ids(id, encode_all(t, seg_, MT_COUNT(seg_), 0, id, 64), want_, MT_COUNT(want_)); \
    } while (0)
#define IDS(...) { __VA_ARGS__ }

static void test_trust(void **unused)
{
    (void)unused;
    specials s;
    int32_t id[64];
    tiny *v = tiny_special(&s, "gpt2");
    mt_tokenizer *t = open_ok(&v->v);
    EXPECT_SEGS(IDS(s.x, s.hello, s.end), SEG("<x>hello<|im_end|>", true));
    EXPECT_SEGS(IDS('<', 'x', '>', s.hello), SEG("<x>hello", false));
    EXPECT_SEGS(IDS(s.xy, 'y', s.x), SEG("<x>yy<x>", true));          /* the longest wins */
    EXPECT_SEGS(IDS(s.x, 'y'), SEG("<x>", true), SEG("y", false));    /* but not across trust */
    EXPECT_SEGS(IDS('<', 'x', '>'), SEG("<", true), SEG("x", false), SEG(">", true));
    EXPECT_SEGS(IDS('<', 'x', '>'), SEG("<x", false), SEG(">", true));
    EXPECT_SEGS(IDS(s.x), SEG("<x", true), SEG("", false), SEG(">", true));
    EXPECT_SEGS(IDS(s.hello), SEG("he", true), SEG("l", false), SEG("lo", true));
    EXPECT_SEGS(IDS(s.end, s.hello, s.end, 'a'), SEG("<|im_end|>", true), SEG("hello", false),
                SEG("<|im_end|>a", true));
    /* User-defined tokens count everywhere, also across segments; the longest first. */
    EXPECT_SEGS(IDS('a', s.run4, s.run2, 'b'), SEG("a   ", false), SEG("   b", true));
    EXPECT_SEGS(IDS('a', s.run2, ' ', '<', 'x', '>'), SEG("a   ", true), SEG("<x>", false));
    EXPECT_SEGS(IDS('a', s.run2, s.x), SEG("a ", false), SEG(" <x>", true));
    bool is_special;
    size_t len;
    assert_memory_equal(mt_tokenizer_bytes(t, s.end, &len, &is_special), "<|im_end|>", 10);
    assert_true(is_special && len == 10);
    assert_non_null(mt_tokenizer_bytes(t, s.run2, &len, &is_special));
    assert_false(is_special);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("<x>")), s.x);
    mt_tokenizer_close(t);
    free(v);
}

/* Every special token of every vocabulary we know, in text from a user, in all cuts. */
static void test_no_injection(void **unused)
{
    (void)unused;
    static const char *const names[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "</s>",
        "<s>", "<unk>", "[INST]", "<|begin_of_text|>", "<｜end▁of▁sentence｜>", "<end_of_turn>", "<|" };
    int32_t id[256];
    char text[512];
    size_t n = 0;
    tiny *v = tiny_new("llama-bpe", "");
    for (size_t i = 0; i < MT_COUNT(names); i++) {
        add_special(v, names[i], i % 3 ? MT_TOKEN_CONTROL : MT_TOKEN_UNKNOWN);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i % 2 ? " " : "", names[i]);
    }
    /* A merge that would make one. */
    const int32_t angle = add_join(v, "<", "s");
    add_merge(v, spell(v, "<s", 2), spell(v, ">", 1));
    mt_tokenizer *t = open_ok(&v->v);
    size_t n_id = encode(t, text, n, true, 0, id, 256), n_special = 0;
    for (size_t i = 0; i < n_id; i++) n_special += id[i] >= 256 && id[i] != angle;
    assert_int_equal(n_special, MT_COUNT(names));
    for (size_t cut = 0; cut <= n; cut++) {
        const mt_segment seg[] = { { { text, cut }, false }, { { text + cut, n - cut }, false } };
        n_id = encode_all(t, seg, 2, 0, id, 256);
        for (size_t i = 0; i < n_id; i++) assert_true(id[i] < 256 || id[i] == angle);
    }
    mt_tokenizer_close(t);
    free(v);
}

static void test_bos_eos(void **unused)
{
    (void)unused;
    const unsigned both = MOTE_TEXT_BOS | MOTE_TEXT_EOS;
    specials s;
    int32_t id[64];
    tiny *v = tiny_special(&s, "gpt2");
    mt_tokenizer *t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "a", 1, true, both, id, 64), 'a');       /* the vocabulary wants none */
    mt_tokenizer_close(t);
    v->v.add_bos = v->v.add_eos = true;
    t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "a", 1, true, both, id, 64), s.bos, 'a', s.end);
    EXPECT_IDS(id, encode(t, "a", 1, true, MOTE_TEXT_EOS, id, 64), 'a', s.end);
    EXPECT_IDS(id, encode(t, "a", 1, true, 0, id, 64), 'a');
    EXPECT_IDS(id, encode(t, "", 0, true, both, id, 64), s.bos, s.end);
    EXPECT_IDS(id, encode(t, "<s>a<|im_end|>", 14, true, both, id, 64), s.bos, 'a', s.end);
    EXPECT_IDS(id, encode(t, "<s>", 3, false, both, id, 64), s.bos, '<', 's', '>', s.end);
    EXPECT_IDS(id, encode(t, "a<s>", 4, true, both, id, 64), s.bos, 'a', s.bos, s.end);
    EXPECT_IDS(id, encode(t, "<|im_end|>a", 11, true, both, id, 64), s.bos, s.end, 'a', s.end);
    /* The sizing rule at every capacity: the full count, and nothing half written. */
    for (size_t cap = 0; cap < 5; cap++) {
        const mt_segment seg = SEG("abc", true);
        size_t n = 0;
        mote_error err = { 0 };
        memset(id, 0x55, sizeof id);
        const mote_status status = mt_tokenizer_encode(t, &seg, 1, both, cap ? id : NULL, cap, &n, &err);
        assert_int_equal(status, MOTE_EFULL);
        assert_int_equal(err.code, MOTE_EFULL);
        assert_int_equal(n, 5);
        for (size_t i = 0; i < 64; i++) assert_int_equal(id[i], 0x55555555);
    }
    EXPECT_IDS(id, encode(t, "abc", 3, true, both, id, 5), s.bos, 'a', 'b', 'c', s.end);
    mt_tokenizer_close(t);
    free(v);
}

static void test_ends(void **unused)
{
    (void)unused;
    tiny *v = tiny_new("gpt2", "");
    const int32_t eos = 65, eot = 66;
    const int32_t im_end = add_special(v, "<|im_end|>", MT_TOKEN_CONTROL);
    const int32_t eot_id = add_special(v, "<|eot_id|>", MT_TOKEN_NORMAL);  /* files get it wrong */
    const int32_t turn = add_special(v, "<end_of_turn>", MT_TOKEN_USER);
    const int32_t strike = add_special(v, "</s>", MT_TOKEN_NORMAL);        /* may be HTML */
    const int32_t start = add_special(v, "<|im_start|>", MT_TOKEN_CONTROL);
    v->v.eos = eos;
    v->v.eot = eot;
    mt_tokenizer *t = open_ok(&v->v);
    assert_true(mt_tokenizer_ends(t, eos) && mt_tokenizer_ends(t, eot));
    assert_true(mt_tokenizer_ends(t, im_end) && mt_tokenizer_ends(t, eot_id));
    assert_true(mt_tokenizer_ends(t, turn));
    assert_false(mt_tokenizer_ends(t, strike) || mt_tokenizer_ends(t, start));
    assert_false(mt_tokenizer_ends(t, 67) || mt_tokenizer_ends(t, -1));
    int32_t id[64];
    assert_int_equal(encode(t, "<|eot_id|>", 10, false, 0, id, 64), 10);
    assert_int_equal(encode(t, "<end_of_turn>", 13, false, 0, id, 64), 13);
    mt_tokenizer_close(t);
    free(v);
}

/* ---- bounds ---------------------------------------------------------------------------- */

static size_t log2_of(size_t n)
{
    size_t k = 0;
    while (n >>= 1) k++;
    return k;
}

/* Long words: heap moves and look-ups grow as n log n. */
static void test_steps(void **unused)
{
    (void)unused;
    tiny *v = tiny_new("gpt2", "");
    char a[64] = "a";
    for (size_t n = 1; n < 32; n *= 2) {         /* aa, aaaa, ... 32 of them */
        add_join(v, a, a);
        memset(a, 'a', 2 * n);
    }
    add_join(v, "b", "a");
    add_join(v, "a", "b");
    mt_arena arena;
    mt_pieces pieces;
    mt_bpe bpe;
    mt_arena_init(&arena, NULL, 4096);
    uint8_t *role = mt_arena_push_zero(&arena, v->v.n_token);
    assert_int_equal(mt_pieces_init(&pieces, &v->v, role, false, &arena, NULL), MOTE_OK);
    assert_int_equal(mt_bpe_init(&bpe, &pieces, &v->v, &(mt_bpe_spec){ 0 }, &arena, NULL), MOTE_OK);
    for (size_t n = 1000; n <= 256000; n *= 4)
        for (int kind = 0; kind < 4; kind++) {
            char *word = malloc(n);
            assert_non_null(word);
            for (size_t i = 0; i < n; i++)
                word[i] = kind == 0 ? 'a' : kind == 1 ? "ab"[i % 2] : (char)('a' + roll(kind));
            mt_ids ids = { 0 };
            mt_bpe_work work = { 0 };
            assert_true(mt_bpe_word(&bpe, (mt_str){ word, n }, &work, &ids));
            assert_true(work.steps <= 4 * n * log2_of(n));
            mt_bpe_done(&work);
            mt_put(NULL, ids.p, ids.cap * sizeof *ids.p);
            free(word);
        }
    mt_arena_reset(&arena);
    free(v);
}

static void test_limits(void **unused)
{
    (void)unused;
    const size_t most = 16 << 20;
    size_t n = 99;
    mote_error err = { 0 };
    tiny *v = tiny_new("qwen2", "");
    mt_tokenizer *t = open_ok(&v->v);
    char *text = malloc(most + 1);
    assert_non_null(text);
    memset(text, '7', most + 1);                 /* one word each: no heap */
    const mt_segment seg[] = { { { text, most }, true }, { { text, 1 }, false } };
    assert_int_equal(mt_tokenizer_encode(t, seg, 2, 0, NULL, 0, &n, &err), MOTE_EINVAL);
    assert_int_equal(n, 99);
    const mt_segment whole = { { text, most + 1 }, false };
    assert_int_equal(mt_tokenizer_encode(t, &whole, 1, 0, NULL, 0, &n, &err), MOTE_EINVAL);
    assert_int_equal(mt_tokenizer_encode(t, seg, 1, 0, NULL, 0, &n, &err), MOTE_EFULL);
    assert_int_equal(n, most);
    free(text);
    mt_tokenizer_close(t);
    free(v);
}

/* A long text of every kind on a stack of 256 KiB. */
static void *encode_on_small_stack(void *arg)
{
    const mt_tokenizer *t = arg;
    static const char *const unit[] = { "a", "a b ", "\n", " ", "<x", "\xE4\xB8\xAD", "\xFF", "1" };
    const size_t n = 300000;
    for (size_t u = 0; u < MT_COUNT(unit); u++) {
        char *text = malloc(n);
        size_t got = 0, len = strlen(unit[u]);
        if (!text) return NULL;
        for (size_t i = 0; i < n; i++) text[i] = unit[u][i % len];
        const mt_segment seg = { { text, n }, true };
        const mote_status status = mt_tokenizer_encode(t, &seg, 1, 0, NULL, 0, &got, NULL);
        free(text);
        if (status != MOTE_EFULL || got == 0) return NULL;
    }
    return arg;
}

static void test_small_stack(void **unused)
{
    (void)unused;
    specials s;
    tiny *v = tiny_special(&s, "gpt2");
    add_join(v, "a", "a");
    mt_tokenizer *t = open_ok(&v->v);
    pthread_attr_t attr;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 256 << 10), 0);
    assert_int_equal(pthread_create(&thread, &attr, encode_on_small_stack, t), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, t);
    pthread_attr_destroy(&attr);
    mt_tokenizer_close(t);
    free(v);
}

/* Threads share a tokenizer that has not seen a word yet. */
static void *encode_again(void *arg)
{
    int32_t id[64];
    const mt_segment seg = SEG("hello hell he hello <x> hello", true);
    size_t n = 0;
    for (int i = 0; i < 2000; i++)
        if (mt_tokenizer_encode(arg, &seg, 1, 0, id, 64, &n, NULL)) return NULL;
    return n == 11 ? arg : NULL;
}

static void test_threads(void **unused)
{
    (void)unused;
    specials s;
    tiny *v = tiny_special(&s, "qwen2");
    mt_tokenizer *t = open_ok(&v->v);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, encode_again, t), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_ptr_equal(result, t);
    }
    mt_tokenizer_close(t);
    free(v);
}

/* ---- hostile vocabularies, failing memory ------------------------------------------------ */

static void expect_refused(const mt_vocab *v, mote_status want, const char *word)
{
    mt_tokenizer *t = (mt_tokenizer *)&t;
    mote_error err = { 0 };
    assert_int_equal(mt_tokenizer_open(&t, v, NULL, &err), want);
    assert_int_equal(err.code, want);
    assert_null(t);
    if (!strstr(err.text, word)) fail_msg("'%s' does not name '%s'", err.text, word);
}

static void test_refused(void **unused)
{
    (void)unused;
    static const char *const models[] = { "plamo2", "GPT2", "gpt", "" };
    tiny *v = tiny_new("gpt2", "");
    for (size_t i = 0; i < MT_COUNT(models); i++) {
        v->v.model = mt_str_of(models[i]);
        expect_refused(&v->v, MOTE_EUNSUPPORTED, models[i]);
    }
    v->v.model = mt_str_of("gpt2");
    v->v.pre = mt_str_of("kimi-k2");
    expect_refused(&v->v, MOTE_EUNSUPPORTED, "kimi-k2");
    v->v.pre = (mt_str){ NULL, 0 };
    mt_tokenizer_close(open_ok(&v->v));
    int32_t *const ids[] = { &v->v.bos, &v->v.eos, &v->v.eot, &v->v.unk, &v->v.pad };
    static const char *const names[] = { "bos", "eos", "eot", "unknown", "padding" };
    for (size_t i = 0; i < MT_COUNT(ids); i++) {
        *ids[i] = 256;
        expect_refused(&v->v, MOTE_EFORMAT, names[i]);
        *ids[i] = -2;
        expect_refused(&v->v, MOTE_EFORMAT, names[i]);
        *ids[i] = -1;
    }
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    add_stored(v, keep(v, long_text, sizeof long_text), MT_TOKEN_USER);
    expect_refused(&v->v, MOTE_EUNSUPPORTED, "300 bytes");
    v->v.n_token = 0;
    expect_refused(&v->v, MOTE_EFORMAT, "0 tokens");
    v->v.n_token = ((size_t)1 << 21) + 1;
    expect_refused(&v->v, MOTE_EFORMAT, "2097153");
    free(v);
}

/* What a file may hold without being refused: it must not matter. */
static void test_odd_vocabulary(void **unused)
{
    (void)unused;
    int32_t id[64];
    char back[64];
    tiny *v = tiny_new("gpt2", "");
    static const char *const merges[] = { "", " ", "  ", "a", "a ", " a", "a  b", "a b c", "zz a", "a zz", "a b",
        "\xFF a", "a \xC4", "\xE4\xB8\xAD a", "x y", "x y", "a\tb" };
    for (size_t i = 0; i < MT_COUNT(merges); i++)
        v->merge[v->v.n_merge++] = mt_str_of(merges[i]);
    const int32_t xy = add_stored(v, mt_str_of("xy"), 77);            /* no such kind */
    add_stored(v, mt_str_of("xy"), MT_TOKEN_NORMAL);                  /* a twin */
    add_stored(v, mt_str_of(""), MT_TOKEN_NORMAL);
    add_stored(v, mt_str_of(""), MT_TOKEN_CONTROL);
    const int32_t raw = add_stored(v, mt_str_of("\xE4\xB8\xAD"), MT_TOKEN_NORMAL);
    add_stored(v, (mt_str){ "a\0b", 3 }, MT_TOKEN_NORMAL);
    add_stored(v, mt_str_of("\xC4"), MT_TOKEN_NORMAL);
    const int32_t c1 = add_special(v, "<c>", MT_TOKEN_CONTROL);
    add_special(v, "<c>", MT_TOKEN_USER);
    mt_tokenizer *t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "xyab<c>", 7, true, 0, id, 64), xy, 'a', 'b', c1);
    EXPECT_IDS(id, encode(t, "\xE4\xB8\xAD", 3, true, 0, id, 64), 0xE4, 0xB8, 0xAD);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("\xE4\xB8\xAD")), raw);
    assert_int_equal(mt_tokenizer_find(t, mt_str_of("xy")), xy);
    assert_int_equal(decode(t, &raw, 1, back), 3);
    mt_tokenizer_close(t);
    v->v.kind = NULL;                            /* an old file: all normal */
    v->v.eos = c1;
    t = open_ok(&v->v);
    EXPECT_IDS(id, encode(t, "<c>", 3, true, 0, id, 64), c1);
    EXPECT_IDS(id, encode(t, "<c>", 3, false, 0, id, 64), '<', 'c', '>');
    mt_tokenizer_close(t);
    free(v);
}

typedef struct meter { long left; bool for_good; size_t live; } meter;

static void *meter_get(void *user, size_t bytes, size_t align)
{
    meter *m = user;
    if (m->left == 0) {
        if (!m->for_good) m->left = -1;
        return NULL;
    }
    if (m->left > 0) m->left--;
    void *p = mt_get(NULL, bytes, align);
    if (p) m->live += bytes;
    return p;
}

static void meter_put(void *user, void *p, size_t bytes)
{
    ((meter *)user)->live -= p ? bytes : 0;
    mt_put(NULL, p, bytes);
}

/* Open, encode (several segments, a long word, a buffer too small to lend) with the n-th
 * allocation failing, once and for good, until everything succeeds. */
static void test_failing_memory(void **unused)
{
    (void)unused;
    specials s;
    tiny *v = tiny_special(&s, "gpt2");
    char word[200];
    memset(word, 'a', sizeof word);
    const mt_segment seg[] = { { { "<x>", 3 }, true }, { { word, sizeof word }, false } };
    for (int for_good = 0; for_good < 2; for_good++) {
        bool done = false;
        long fails = 0;
        for (long nth = 0; !done; nth++) {
            meter m = { nth, for_good, 0 };
            const mote_alloc alloc = { meter_get, meter_put, &m };
            mt_tokenizer *t = NULL;
            int32_t id[202];
            size_t n = 0;
            mote_error err = { 0 };
            mote_status status = mt_tokenizer_open(&t, &v->v, &alloc, &err);
            if (status == MOTE_OK)
                status = mt_tokenizer_encode(t, seg, 2, 0, id, 202, &n, &err);
            done = status == MOTE_OK;
            if (!done) {
                fails++;
                assert_int_equal(status, MOTE_ENOMEM);
                assert_int_equal(err.code, MOTE_ENOMEM);
                assert_true(err.text[0] != 0);
            } else {
                assert_int_equal(n, 201);
            }
            mt_tokenizer_close(t);
            assert_int_equal(m.live, 0);
        }
        assert_true(fails >= 8);
    }
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_merging),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_missing_bytes), cmocka_unit_test(test_trust),
        cmocka_unit_test(test_no_injection),  cmocka_unit_test(test_bos_eos),
        cmocka_unit_test(test_ends),          cmocka_unit_test(test_steps),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_small_stack),
        cmocka_unit_test(test_threads),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_odd_vocabulary), cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
