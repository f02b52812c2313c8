/* SPDX-License-Identifier: MIT */
/* test_json_pull.c - the pull reader: every construct of RFC 8259 read, what is not JSON refused, values
 * equal to jansson's over random texts, bookmarks, limits, failing memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json_pull.h"
#include "unit/fail_alloc.h"

/* The text in exactly sized heap memory, so that a sanitizer sees one byte too far. */
static mt_str exact(const char *text, size_t n)
{
    char *p = malloc(n ? n : 1);
    assert_non_null(p);
    if (n) memcpy(p, text, n);
    return (mt_str){ p, n };
}

static mote_status skip_text(const char *p, size_t n, int depth, mote_error *err)
{
    const mt_str text = exact(p, n);
    mt_pull j;
    mt_pull_init(&j, text, "text", depth, NULL, err);
    mt_pull_skip(&j);
    const mote_status status = mt_pull_end(&j);
    free((void *)(uintptr_t)text.p);
    return status;
}

/* ---- what is JSON ------------------------------------------------------------- */

static const char *const good[] = {
    "0", "-0", "1.5", "1e5", "1E+5", "1e-5", "-12.25e-2", "true", "false", "null", "\"\"", "[]", "{}", " [ ] ",
    "{ \"a\" : [ 1 , { \"b\" : null } , \"\\u0041\\n\\\"\\\\\\/\\b\\f\\r\\t\" ] }", "[[],{},[[]]]",
    "\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80 \xC3\xA9 \xE2\x82\xAC \x7F\"", "[1,2,3]\n", "\"\\u0000\"",
};

static const char *const bad[] = {
    "", " ", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "nul", "True", "tru", "truex", "[1,]", "[,1]", "[1 2]",
    "[1", "[", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{\"a\" 1}", "{1:2}", "[1}", "{\"a\":1]",
    "\"", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\ud83d\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"", "\"\n\"",
    "\"\x01\"", "\"\x80\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xE2\x82\"", "\"\xFF\"",
    "1 2", "[] []", "NaN", "Infinity", "-Infinity", "'a'", "[1]//", "\xEF\xBB\xBF[]", "\"\\", "\"\\u",
};

static void test_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(good); i++) {
        mote_error err = { 0 };
        if (skip_text(good[i], strlen(good[i]), 8, &err) != MOTE_OK) fail_msg("%s: %s", good[i], err.text);
    }
    for (size_t i = 0; i < MT_COUNT(bad); i++) {
        mote_error err = { 0 };
        if (skip_text(bad[i], strlen(bad[i]), 8, &err) != MOTE_EFORMAT) fail_msg("taken: %s", bad[i]);
        assert_true(strlen(err.text) > 10);
    }
    const char zero[] = "\"a\0b\"";
    assert_int_equal(skip_text(zero, sizeof zero - 1, 8, NULL), MOTE_EFORMAT);
}

/* Every prefix of a text is refused, and nothing is read behind it. */
static void test_truncated(void **state)
{
    (void)state;
    const char text[] = "{\"a\": [1.5e3, true, null, \"x\\u00e9\\ud83d\\ude00\xE2\x82\xAC\"], \"b\": {\"c\": -7}}";
    for (size_t n = 0; n < sizeof text - 1; n++) assert_int_equal(skip_text(text, n, 8, NULL), MOTE_EFORMAT);
    assert_int_equal(skip_text(text, sizeof text - 1, 8, NULL), MOTE_OK);
}

static void test_depth(void **state)
{
    (void)state;
    char text[200];
    for (int depth = 1; depth <= MT_PULL_MAX_DEPTH; depth++) {
        memset(text, '[', 100), memset(text + 100, ']', 100);
        const char *nested = text + 100 - depth;
        assert_int_equal(skip_text(nested, 2 * (size_t)depth, depth, NULL), MOTE_OK);
        if (depth > 1) assert_int_equal(skip_text(nested, 2 * (size_t)depth, depth - 1, NULL), MOTE_EFORMAT);
    }
    assert_int_equal(skip_text(text, 200, 1000, NULL), MOTE_EFORMAT);      /* the hard limit */
}

/* ---- values --------------------------------------------------------------------- */

static void test_values(void **state)
{
    (void)state;
    const char text[] = "{\"i\": -9223372036854775808, \"j\": 9223372036854775807, \"k\": 9223372036854775808,"
                        " \"f\": 1e-05, \"s\": \"plain\", \"e\": \"a\\n\\u00e9\\ud83d\\ude00\", \"t\": true,"
                        " \"n\": null, \"a\": [1, [2.5], {}], \"z\": 0}";
    mt_pull j;
    mt_arena arena;
    mt_str key, s = { 0 }, raw = { 0 };
    int64_t whole;
    mt_pull_num num;
    bool truth = false;
    int seen = 0;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 0);
    mt_pull_init(&j, (mt_str){ text, sizeof text - 1 }, "text", 8, &arena, &err);
    assert_true(mt_pull_object(&j));
    while (mt_pull_key(&j, &key)) {
        seen++;
        switch (key.p[0]) {
        case 'i': assert_true(mt_pull_int(&j, &whole)), assert_true(whole == INT64_MIN); break;
        case 'j': assert_true(mt_pull_int(&j, &whole)), assert_true(whole == INT64_MAX); break;
        case 'k':
            assert_true(mt_pull_number(&j, &num));
            assert_false(num.is_int);
            assert_true(num.f == 9223372036854775808.0);
            break;
        case 'f': assert_true(mt_pull_number(&j, &num)), assert_true(!num.is_int && num.f == 1e-05); break;
        case 's':
            assert_true(mt_pull_str(&j, &s) && mt_str_is(s, "plain"));
            assert_true(s.p > text && s.p < text + sizeof text);            /* a view */
            break;
        case 'e': assert_true(mt_pull_str(&j, &s) && mt_str_is(s, "a\n\xC3\xA9\xF0\x9F\x98\x80")); break;
        case 't': assert_true(mt_pull_bool(&j, &truth) && truth); break;
        case 'n': assert_int_equal(mt_pull_peek(&j), MT_PULL_NULL), assert_true(mt_pull_null(&j)); break;
        case 'a': assert_true(mt_pull_raw(&j, &raw) && mt_str_is(raw, "[1, [2.5], {}]")); break;
        case 'z': assert_true(mt_pull_int(&j, &whole) && whole == 0); break;
        default: fail();
        }
    }
    assert_int_equal(mt_pull_end(&j), MOTE_OK);
    assert_int_equal(seen, 10);
    mt_arena_reset(&arena);
}

static void test_infinity(void **state)
{
    (void)state;
    const char text[] = "[NaN, Infinity, -Infinity, -1]";
    mt_pull j;
    double f[4];
    for (int pass = 0; pass < 2; pass++) {
        mt_pull_init(&j, mt_str_of(text), "text", 8, NULL, NULL);
        j.takes_infinity = pass == 1;
        mt_pull_array(&j);
        for (int i = 0; mt_pull_item(&j); i++) (void)(mt_pull_f64(&j, &f[i]));
        assert_int_equal(mt_pull_end(&j), pass ? MOTE_OK : MOTE_EFORMAT);
    }
    assert_true(isnan(f[0]) && isinf(f[1]) && f[1] > 0 && isinf(f[2]) && f[2] < 0 && f[3] < 0);
}

/* Sentences name the text, the key, what was expected and found. */
static void test_sentences(void **state)
{
    (void)state;
    mt_pull j;
    mt_str key, s;
    int64_t n = 5;
    mote_error err = { 0 };
    mt_pull_init(&j, mt_str_of("{\"size\": \"big\", \"other\": 1}"), "config.json", 8, NULL, &err);
    mt_pull_object(&j);
    while (mt_pull_key(&j, &key)) mt_pull_int(&j, &n);
    assert_int_equal(mt_pull_end(&j), MOTE_EFORMAT);
    assert_int_equal(n, 5);
    assert_string_equal(err.text, "config.json: size: expected a number, found a string at byte 9");
    mt_pull_init(&j, mt_str_of("{\"a\": 1.5}"), "x", 8, NULL, &err);
    mt_pull_object(&j);
    while (mt_pull_key(&j, &key)) mt_pull_int(&j, &n);
    assert_string_equal(err.text, "x: a: expected a 64-bit integer, found 1.5 at byte 9");
    mt_pull_init(&j, mt_str_of("[\"\\n\"]"), "x", 8, NULL, &err);           /* no arena for it */
    mt_pull_array(&j);
    while (mt_pull_item(&j)) mt_pull_str(&j, &s);
    assert_int_equal(mt_pull_end(&j), MOTE_EFORMAT);
}

/* A copy of the reader reads again. */
static void test_bookmark(void **state)
{
    (void)state;
    mt_pull j;
    int64_t n, sum = 0;
    int count = 0;
    mt_pull_init(&j, mt_str_of("[4, 5, 6]"), "text", 8, NULL, NULL);
    mt_pull_array(&j);
    const mt_pull mark = j;
    while (mt_pull_item(&j)) count++, mt_pull_skip(&j);
    assert_int_equal(mt_pull_end(&j), MOTE_OK);
    j = mark;
    while (mt_pull_item(&j))
        if (mt_pull_int(&j, &n)) sum += n;
    assert_int_equal(mt_pull_end(&j), MOTE_OK);
    assert_true(count == 3 && sum == 15);
}

/* ---- against jansson -------------------------------------------------------------- */

static uint64_t seed = 7;
static uint32_t random_below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static json_t *random_value(int depth)
{
    char text[64];
    const uint32_t kind = random_below(depth > 4 ? 5 : 7);
    json_t *v;
    switch (kind) {
    case 0: return json_integer((json_int_t)(seed ^ seed << 31) >> random_below(63));
    case 1: return json_real(((double)random_below(1u << 30) - 1e8) * pow(10, (double)random_below(40) - 20));
    case 2: return random_below(2) ? json_true() : json_false();
    case 3: return json_null();
    case 4: {
        size_t n = 0;
        while (n < 40 && random_below(12)) {
            static const char *const piece[] = { "a", "\"", "\\", "\n", "\xC3\xA9", "\xE2\x82\xAC",
                                                 "\xF0\x9F\x98\x80", "\x01", "/" };
            const char *p = piece[random_below(MT_COUNT(piece))];
            memcpy(text + n, p, strlen(p));
            n += strlen(p);
        }
        return json_stringn(text, n);
    }
    case 5:
        v = json_array();
        for (uint32_t n = random_below(5); n > 0; n--) json_array_append_new(v, random_value(depth + 1));
        return v;
    default:
        v = json_object();
        for (uint32_t n = random_below(5); n > 0; n--) {
            snprintf(text, sizeof text, "k\xC3\xA9%u\t", random_below(1000));
            json_object_set_new(v, text, random_value(depth + 1));
        }
        return v;
    }
}

static void compare(mt_pull *j, const json_t *v)
{
    mt_str s;
    mt_pull_num num;
    bool truth;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        size_t n = 0;
        assert_true(mt_pull_object(j));
        while (mt_pull_key(j, &s)) {
            const json_t *value = json_object_getn(v, s.p, s.n);
            assert_non_null(value);
            compare(j, value);
            n++;
        }
        assert_int_equal(n, json_object_size(v));
        break;
    }
    case JSON_ARRAY: {
        size_t n = 0;
        assert_true(mt_pull_array(j));
        while (mt_pull_item(j)) compare(j, json_array_get(v, n++));
        assert_int_equal(n, json_array_size(v));
        break;
    }
    case JSON_STRING:
        assert_true(mt_pull_str(j, &s));
        assert_true(s.n == json_string_length(v) && memcmp(s.p, json_string_value(v), s.n) == 0);
        break;
    case JSON_INTEGER: assert_true(mt_pull_number(j, &num) && num.is_int && num.i == json_integer_value(v)); break;
    case JSON_REAL:
        assert_true(mt_pull_number(j, &num) && !num.is_int);
        assert_memory_equal(&num.f, &(double){ json_real_value(v) }, sizeof num.f);
        break;
    case JSON_TRUE: case JSON_FALSE: assert_true(mt_pull_bool(j, &truth) && truth == json_is_true(v)); break;
    case JSON_NULL: assert_true(mt_pull_null(j)); break;
    }
}

static void test_jansson(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        json_t *v = random_value(0);
        const size_t form[] = { JSON_COMPACT, JSON_INDENT(3), JSON_ENSURE_ASCII, JSON_INDENT(1) | JSON_ENSURE_ASCII };
        char *text = json_dumps(v, JSON_ENCODE_ANY | form[i % 4]);
        assert_non_null(text);
        mt_pull j;
        mt_arena arena;
        mote_error err = { 0 };
        mt_arena_init(&arena, NULL, 0);
        mt_pull_init(&j, mt_str_of(text), "text", 16, &arena, &err);
        compare(&j, v);
        if (mt_pull_end(&j) != MOTE_OK) fail_msg("%s: %s", text, err.text);
        assert_int_equal(skip_text(text, strlen(text), 16, NULL), MOTE_OK);
        mt_arena_reset(&arena);
        free(text);
        json_decref(v);
    }
}

/* Random damage: jansson and the reader agree on what is JSON. */
static void test_jansson_damage(void **state)
{
    (void)state;
    int good_ones = 0;
    for (int i = 0; i < 20000; i++) {
        json_t *v = random_value(2);
        char *text = json_dumps(v, JSON_ENCODE_ANY | (i % 2 ? JSON_ENSURE_ASCII : 0));
        const size_t n = strlen(text);
        static const char letters[] = "{}[]\",:0123456789.eE+-tfn\\u \n\x80\xC3\x01";
        for (uint32_t k = random_below(3); k > 0 && n; k--)
            text[random_below((uint32_t)n)] = letters[random_below(sizeof letters - 1)];
        json_error_t where;
        json_t *again = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
        /* jansson's own limits */
        const bool overflows = !again && (strstr(where.text, "overflow") || strstr(where.text, "too big"));
        const mote_status status = skip_text(text, n, 64, NULL);
        if (!overflows && (status == MOTE_OK) != (again != NULL))
            fail_msg("%s: jansson says %s", text, again ? "good" : where.text);
        good_ones += again != NULL;
        json_decref(again);
        free(text);
        json_decref(v);
    }
    assert_true(good_ones > 5000 && good_ones < 19000);
}

static void test_no_memory(void **state)
{
    (void)state;
    const char text[] = "[\"a\\n\", \"b\\t\"]";
    for (size_t n = 1;; n++) {
        fail_alloc fa;
        mt_arena arena;
        mt_pull j;
        mt_str s;
        mote_error err = { 0 };
        mt_arena_init(&arena, fail_alloc_init(&fa, n, false), 0);
        mt_pull_init(&j, mt_str_of(text), "text", 8, &arena, &err);
        mt_pull_array(&j);
        while (mt_pull_item(&j)) mt_pull_str(&j, &s);
        const mote_status status = mt_pull_end(&j);
        mt_arena_reset(&arena);
        fail_alloc_check(&fa);
        if (fa.calls < n) {
            assert_int_equal(status, MOTE_OK);
            break;
        }
        assert_int_equal(status, MOTE_ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_depth),          cmocka_unit_test(test_values),
        cmocka_unit_test(test_infinity),       cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_bookmark),       cmocka_unit_test(test_jansson),
        cmocka_unit_test(test_jansson_damage), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
