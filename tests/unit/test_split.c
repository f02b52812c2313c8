/* SPDX-License-Identifier: MIT */
/* test_split.c - the hand-written pre-tokenizers against PCRE2 running the published patterns.
 *
 * PCRE2 is the oracle here and nowhere else.  Its \s also takes U+180E, which lost White_Space
 * in Unicode 6.3, and its tables are of another Unicode version than utf8proc's: the random texts
 * are made of characters on which all versions agree. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/split.h"
#include "text/text.h"

#define GPT2_PATTERN \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CL100K_PATTERN(digits) \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct { mt_split_kind kind; const char *first, *pattern; } kinds[] = {
    { MT_SPLIT_GPT2, NULL, GPT2_PATTERN },
    { MT_SPLIT_DIGITS_GPT2, "\\p{N}", GPT2_PATTERN },
    { MT_SPLIT_CL100K_3, NULL, CL100K_PATTERN("\\p{N}{1,3}") },
    { MT_SPLIT_CL100K_1, NULL, CL100K_PATTERN("\\p{N}") },
};

static const char *const atoms[] = {
    "a", "B", "z", "s", "t", "S", "T", "RE", "re", "ve", "m", "ll", "LL", "lL", "d", "'", "'", "'s",
    " ", " ", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1C", "\x00", "\x7F",
    "0", "7", "42", "1234567", "\xC2\xB2", "\xC2\xBD", "\xD9\xA3", "\xE2\x85\xA7", "\xF0\x9D\x9F\x98",
    ".", ",", "!", "-", "_", "#", "<|im_end|>", "\xC2\xA0", "\xC2\x85", "\xE2\x80\x83", "\xE2\x80\xA8",
    "\xE2\x80\xAF", "\xE3\x80\x80", "\xE1\x9A\x80", "\xE2\x80\x8B", "\xEF\xBB\xBF", "\xC5\xBF", "'\xC5\xBF",
    "\xC3\xA9", "\xC3\x9F", "\xCC\x81", "\xCE\xB1", "\xD0\xAF", "\xD7\xA9", "\xD9\x85", "\xE0\xA4\xB9",
    "\xE0\xA4\xBF", "\xE0\xB9\x84", "\xE4\xB8\xAD", "\xE3\x81\x82", "\xED\x95\x9C", "\xEA\x80\x80",
    "\xF0\x9F\xA6\x99", "\xE2\x80\x8D", "\xF0\x9F\x87\xA9", "\xE2\x9D\xA4\xEF\xB8\x8F", "\xF0\xA0\x80\x80",
    "\xEF\xBF\xBD", "\xF3\xA0\x81\x81", "\xF4\x8F\xBF\xBF",
};

static mt_chars chars;
static uint64_t state;

static unsigned roll(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

/* A random text of whole atoms; the NUL atom has one byte. */
static size_t random_text(char *out, size_t cap)
{
    size_t n = 0;
    for (unsigned k = roll(30); k; k--) {
        const char *atom = atoms[roll(MT_COUNT(atoms))];
        const size_t len = *atom ? strlen(atom) : 1;
        for (unsigned again = roll(8) ? 1 : 1 + roll(5); again && n + len <= cap; again--, n += len)
            memcpy(out + n, atom, len);
    }
    return n;
}

static pcre2_code *compile(const char *pattern)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    assert_non_null(re);
    return re;
}

/* Ends of the words of text[0, n), each plus base; what no alternative matches is a word. */
static size_t match_all(pcre2_code *re, const char *text, size_t n, size_t base, size_t *end)
{
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    size_t count = 0, at = 0;
    while (at < n) {
        const int rc = pcre2_match(re, (PCRE2_SPTR)text, n, at, 0, m, NULL);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m);
        assert_true(rc >= 1 || rc == PCRE2_ERROR_NOMATCH);
        if (rc < 1 || o[0] > at) end[count++] = base + (rc < 1 ? n : o[0]);
        if (rc < 1) break;
        assert_true(o[1] > o[0]);
        end[count++] = base + o[1];
        at = o[1];
    }
    pcre2_match_data_free(m);
    return count;
}

static size_t oracle(size_t kind, pcre2_code *first, pcre2_code *re, const char *text, size_t n,
                     size_t *end)
{
    if (!kinds[kind].first) return match_all(re, text, n, 0, end);
    size_t piece[512], count = 0, from = 0;
    const size_t n_piece = match_all(first, text, n, 0, piece);
    for (size_t i = 0; i < n_piece; from = piece[i++])
        count += match_all(re, text + from, piece[i] - from, from, end + count);
    return count;
}

static size_t split(mt_split_kind kind, const char *text, size_t n, size_t *end)
{
    mt_splitter s = { &chars, kind, (const uint8_t *)text, (const uint8_t *)text + n, 0 };
    size_t count = 0;
    while (s.at < s.end) {
        assert_true(mt_split_next(&s).n > 0);
        end[count++] = (size_t)(s.at - (const uint8_t *)text);
    }
    assert_true(s.work <= 3 * n + 3);
    return count;
}

static void expect_same(size_t kind, unsigned seed, const char *text, size_t n, const size_t *want,
                        size_t n_want, const size_t *got, size_t n_got)
{
    if (n_want == n_got && memcmp(want, got, n_want * sizeof *want) == 0) return;
    print_error("splitter %zu, seed %u: expected %zu words, found %zu\n", kind, seed, n_want, n_got);
    for (size_t i = 0; i < n; i++) print_error("%02X ", (uint8_t)text[i]);
    print_error("\nexpected ends:");
    for (size_t i = 0; i < n_want; i++) print_error(" %zu", want[i]);
    print_error("\nfound ends:   ");
    for (size_t i = 0; i < n_got; i++) print_error(" %zu", got[i]);
    print_error("\n");
    fail();
}

static void test_like_pcre2(void **unused)
{
    (void)unused;
    char text[512];
    size_t want[512], got[512];
    for (size_t kind = 0; kind < MT_COUNT(kinds); kind++) {
        pcre2_code *first = kinds[kind].first ? compile(kinds[kind].first) : NULL;
        pcre2_code *re = compile(kinds[kind].pattern);
        for (unsigned seed = 1; seed <= 20000; seed++) {
            state = seed;
            const size_t n = random_text(text, sizeof text);
            const size_t n_want = oracle(kind, first, re, text, n, want);
            expect_same(kind, seed, text, n, want, n_want, got,
                        split(kinds[kind].kind, text, n, got));
        }
        pcre2_code_free(re);
        pcre2_code_free(first);
    }
}

/* Every character of the planes in use alone between two letters, against PCRE2's own tables:
 * the kinds may differ only where the Unicode versions do, which is a few thousand new letters. */
static void test_kinds(void **unused)
{
    (void)unused;
    pcre2_code *re = compile("(\\p{L})|(\\p{N})|((?!\\x{180E})\\s)|(.)");
    pcre2_match_data *m = pcre2_match_data_create(5, NULL);
    size_t n_differ = 0;
    for (uint32_t code = 0x80; code < 0x30000; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        uint8_t p[4];
        size_t n = 0;
        if (code < 0x800) p[n++] = (uint8_t)(0xC0 | code >> 6);
        else if (code < 0x10000) p[n++] = (uint8_t)(0xE0 | code >> 12);
        else p[n++] = (uint8_t)(0xF0 | code >> 18), p[n++] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        if (code >= 0x800) p[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        p[n++] = (uint8_t)(0x80 | (code & 0x3F));
        size_t len;
        const unsigned kind = mt_char_kind(&chars, p, p + n, &len);
        assert_int_equal(len, n);
        const int group = pcre2_match(re, p, n, 0, 0, m, NULL) - 1;
        const unsigned want = group == 1 ? MT_CHAR_LETTER : group == 2 ? MT_CHAR_NUMBER
                            : group == 3 ? MT_CHAR_SPACE : MT_CHAR_OTHER;
        n_differ += kind != want;
        /* White space has not changed since 6.3. */
        assert_int_equal(kind == MT_CHAR_SPACE, want == MT_CHAR_SPACE);
        if (code < 0x800 && code != 0x560 && code != 0x588) assert_int_equal(kind, want);
    }
    assert_true(n_differ < 6000);
    pcre2_match_data_free(m);
    pcre2_code_free(re);
}

/* Malformed text splits where its repaired form (U+FFFD for each stray byte) splits. */
static void test_malformed(void **unused)
{
    (void)unused;
    static const char *const stray[] = { "\x80", "\xBF", "\xC0", "\xC1\x81", "\xC3", "\xE2\x82", "\xED\xA0\x80",
        "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5", "\xFF", "\xE0\x80\x80", "\xF0\x80\x80\x80" };
    for (unsigned seed = 1; seed <= 20000; seed++) {
        char bad[256], good[1024];
        size_t from[257] = { 0 }, n = 0, n_good = 0, want[1024], got[256];
        state = seed;
        for (unsigned k = roll(20); k; k--) {
            const char *atom = roll(3) ? atoms[1 + roll(MT_COUNT(atoms) - 1)]
                                       : stray[roll(MT_COUNT(stray))];
            const size_t len = *atom ? strlen(atom) : 1;
            if (n + len > sizeof bad) break;
            memcpy(bad + n, atom, len);
            n += len;
        }
        for (size_t at = 0; at < n; ) {
            uint32_t code;
            const size_t len = mt_utf8_char((uint8_t *)bad + at, (uint8_t *)bad + n, &code);
            memcpy(good + n_good, len ? bad + at : "\xEF\xBF\xBD", len ? len : 3);
            n_good += len ? len : 3;
            at += len ? len : 1;
            from[at] = n_good;
        }
        for (size_t kind = 0; kind < MT_COUNT(kinds); kind++) {
            const size_t n_want = split(kinds[kind].kind, good, n_good, want);
            const size_t n_got = split(kinds[kind].kind, bad, n, got);
            size_t mapped[256];
            for (size_t i = 0; i < n_got; i++) mapped[i] = from[got[i]];
            expect_same(kind, seed, bad, n, want, n_want, mapped, n_got);
        }
    }
}

/* Twelve classes of endless text: the bytes looked at stay below three times the text. */
static void test_linear(void **unused)
{
    (void)unused;
    static const char *const unit[] = { "a", " ", "\n", "7", "!", "'", "\xE4\xB8\xAD", "\xE3\x80\x80", "\xFF",
        " \n", "  a", "'s" };
    const size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t u = 0; u < MT_COUNT(unit); u++) {
        const size_t len = strlen(unit[u]), whole = n / len * len;
        for (size_t i = 0; i < whole; i += len) memcpy(text + i, unit[u], len);
        for (size_t kind = 0; kind < MT_COUNT(kinds); kind++) {
            mt_splitter s = { &chars, kinds[kind].kind, (uint8_t *)text, (uint8_t *)text + whole, 0 };
            while (s.at < s.end) mt_split_next(&s);
            assert_true(s.work <= 3 * whole + 3);
        }
    }
    free(text);
}

/* Every cut of every sequence: what is kept back is the start of a character and nothing else. */
static void test_utf8_whole(void **unused)
{
    (void)unused;
    static const struct { const char *text; size_t whole; } row[] = {
        { "", 0 }, { "abc", 3 }, { "ab\xC3", 2 }, { "ab\xC3\xA9", 4 }, { "\xE2", 0 }, { "\xE2\x82", 0 },
        { "\xE2\x82\xAC", 3 }, { "x\xF0\x9F\xA6", 1 }, { "x\xF0\x9F", 1 }, { "x\xF0", 1 },
        { "x\xF0\x9F\xA6\x99", 5 }, { "\x80", 1 }, { "\xC0", 1 }, { "\xF5", 1 }, { "\xE0\x80", 2 },
        { "\xED\xA0", 2 }, { "\xED\x9F", 0 }, { "\xF4\x90", 2 }, { "\xF4\x8F", 0 }, { "\xF0\x8F", 2 },
        { "\xF0\x9F\x41", 3 }, { "\xE2\x41", 2 }, { "a\xBF\xBF\xBF", 4 }, { "\xC3\xC3", 1 },
    };
    for (size_t i = 0; i < MT_COUNT(row); i++)
        assert_int_equal(mt_utf8_whole(row[i].text, strlen(row[i].text)), row[i].whole);
    /* A stream in random pieces shows every byte, and never a cut character. */
    for (unsigned seed = 1; seed <= 2000; seed++) {
        char text[512], held[8 + 16];
        size_t n_held = 0, shown = 0;
        state = seed;
        const size_t n = random_text(text, sizeof text);
        for (size_t at = 0; at < n; ) {
            size_t take = 1 + roll(9);
            take = MT_MIN(take, n - at);
            memcpy(held + n_held, text + at, take);
            n_held += take;
            at += take;
            const size_t whole = mt_utf8_whole(held, n_held);
            assert_true(n_held - whole <= 3);
            assert_memory_equal(held, text + shown, whole);
            for (size_t i = 0; i < whole; ) {
                uint32_t code;
                const size_t len = mt_utf8_char((uint8_t *)held + i, (uint8_t *)held + whole, &code);
                assert_true(len > 0);
                i += len;
            }
            memmove(held, held + whole, n_held - whole);
            n_held -= whole;
            shown += whole;
        }
        assert_int_equal(shown, n);
    }
}

static int set_up(void **unused)
{
    (void)unused;
    mt_chars_init(&chars);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_pcre2),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_utf8_whole),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
