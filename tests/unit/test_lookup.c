/* SPDX-License-Identifier: MIT */
/* test_lookup.c - the tables that find repetitions, against a search through the whole text; and the
 * decision to guess, against a machine whose times and answers the test makes up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/guess.h"

enum { N_TEXT = 3000 };

static uint32_t seed;
static uint32_t next_random(void) { return (seed = seed * 1664525u + 1013904223u) >> 8; }

/* Words of a small vocabulary, with stretches copied from before. */
static void fill_text(mote_token *t, int n, uint32_t from, int n_vocab)
{
    seed = from;
    for (int i = 0; i < n;) {
        if (i > 20 && next_random() % 8 == 0) {
            const int at = (int)(next_random() % (uint32_t)i), len = 2 + (int)(next_random() % 30);
            for (int j = 0; j < len && i < n; j++, i++) t[i] = t[at + j];
        } else t[i++] = (mote_token)(next_random() % (uint32_t)n_vocab);
    }
}

static int agreement(const mote_token *t, int at, int n)
{
    int same = 0;
    while (same < at && same < MT_LOOKUP_LONGEST && t[at - 1 - same] == t[n - 1 - same]) same++;
    return same;
}

/* The longest agreement of 2 tokens or more anywhere before the end. */
static int longest(const mote_token *t, int n)
{
    int best = 0;
    for (int at = 2; at < n; at++) {
        const int same = agreement(t, at, n);
        if (same > best) best = same;
    }
    return best >= 2 ? best : 0;
}

/* The longest run with a table of its own that is no longer than this. */
static int run_within(int len) { return len >= 8 ? 8 : len >= 5 ? 5 : len; }

static mt_lookup open_lookup(void **memory, int n_ctx)
{
    mt_lookup l;
    *memory = malloc(mt_lookup_bytes(n_ctx));
    assert_non_null(*memory);
    mt_lookup_init(&l, *memory, n_ctx);
    return l;
}

static void finds_what_is_there(void **state)
{
    (void)state;
    static mote_token t[N_TEXT];
    static const int vocab[] = {3, 20, 400};
    for (size_t v = 0; v < MT_COUNT(vocab); v++) {
        void *memory;
        mt_lookup l = open_lookup(&memory, N_TEXT);
        fill_text(t, N_TEXT, 5 + (uint32_t)v, vocab[v]);
        int there = 0, found = 0, best = 0;
        for (int n = 1; n <= N_TEXT; n++) {
            int len;
            const int at = mt_lookup_find(&l, t, n, &len);
            const int want = longest(t, n);
            there += want > 0, found += at > 0, best += at > 0 && len >= run_within(want);
            assert_true(at >= 0 && at < n);
            if (at > 0) assert_int_equal(len, agreement(t, at, n));
            else assert_int_equal(len, 0);
            assert_true(at == 0 || len >= 2);
        }
        print_message("%d words: %d repetitions, %d found, %d as long as tables tell\n", vocab[v], there, found, best);
        assert_true(there > N_TEXT / 4);
        assert_true(found >= there * 98 / 100);      /* entries may displace each other */
        assert_true(best >= there * 90 / 100);
        free(memory);
    }
}

/* A table that was filled with another text, or by nobody, never lies. */
static void stale_entries_are_harmless(void **state)
{
    (void)state;
    static mote_token t[N_TEXT], other[N_TEXT];
    void *memory;
    mt_lookup l = open_lookup(&memory, N_TEXT);
    fill_text(t, N_TEXT, 1, 9), fill_text(other, N_TEXT, 2, 9);
    int len;
    for (int round = 0; round < 200; round++) {
        const int keep = (int)(next_random() % 400), n = keep + 1 + (int)(next_random() % 400);
        mt_lookup_keep(&l, keep);
        memcpy(t + keep, other + next_random() % 2000, (size_t)(n - keep) * sizeof *t);
        const int at = mt_lookup_find(&l, t, n, &len);
        assert_true(at >= 0 && at < n);
        if (at > 0) assert_int_equal(len, agreement(t, at, n));
    }
    memset(memory, 0x77, mt_lookup_bytes(N_TEXT));
    assert_int_equal(mt_lookup_find(&l, t, 1, &len), 0);
    memset(memory, 0xff, mt_lookup_bytes(N_TEXT));
    mt_lookup_keep(&l, 0);
    assert_true(mt_lookup_find(&l, t, 500, &len) < 500);
    free(memory);
}

/* ---- the decision ----------------------------------------------------------------------------------- */

/* Writes a text on a made-up machine: a pass of 1 + k rows takes `ratio[k]`; truth is the text that the
 * model would write whatever is guessed.  Returns passes' worth of time per token. */
static double run_machine(const mote_token *truth, int n_prompt, int n, const double ratio[MT_GUESS_MAX + 1],
                          double noise, int *drafted, int *accepted)
{
    static mote_token t[N_TEXT + MT_GUESS_MAX];
    mt_guess_cost cost;
    mt_guess g;
    void *memory = malloc(mt_guess_bytes(N_TEXT));
    assert_non_null(memory);
    mt_guess_cost_init(&cost);
    mt_guess_init(&g, &cost, memory, N_TEXT);
    mt_guess_start(&g);
    memcpy(t, truth, (size_t)n_prompt * sizeof *t);
    double time = 0;
    *drafted = *accepted = 0;
    int have = n_prompt;
    mt_guess_check(&g, truth[have]);
    t[have] = truth[have], have++;                       /* chosen, not yet run */
    while (have < n) {
        const int k = mt_guess_draft(&g, t, have, n - have);
        assert_true(k >= 0 && k <= MT_GUESS_MAX && k <= n - have);
        const double took = ratio[k] * (1 + noise * ((double)(next_random() % 2000) / 1000 - 1));
        time += took;
        mt_guess_timed(&g, k, 0.004 * took);
        *drafted += k;
        for (int i = 0; have < n; i++) {
            const bool is_right = i < k && t[have] == truth[have];
            mt_guess_check(&g, truth[have]);
            t[have] = truth[have], have++;
            if (!is_right) break;
            ++*accepted;
        }
    }
    free(memory);
    return time / (n - n_prompt - 1);
}

static const double cheap[MT_GUESS_MAX + 1] = {
    1, 1.1, 1.2, 1.26, 1.6, 1.7, 1.8, 2.0, 2.2, 2.4, 2.6, 2.7, 2.9, 3.1, 3.2, 3.3};
static const double dear[MT_GUESS_MAX + 1] = {
    1, 1.9, 2.8, 3.7, 4.6, 5.5, 6.4, 7.3, 8.2, 9.1, 10, 11, 12, 13, 14, 15};

static void repetitions_are_used(void **state)
{
    (void)state;
    static mote_token t[N_TEXT];
    int drafted, accepted;
    fill_text(t, 400, 3, 30000);
    for (int i = 400; i < 1200; i++) t[i] = t[i - 300];
    const double copy = run_machine(t, 400, 700, cheap, 0.05, &drafted, &accepted);
    print_message("a copy: %.3f of plain, %d of %d\n", copy, accepted, drafted);
    assert_true(copy < 0.33);
    for (int i = 400; i < 1200; i++) t[i] = t[i - 6];
    const double loop = run_machine(t, 400, 700, cheap, 0.05, &drafted, &accepted);
    print_message("a loop: %.3f of plain, %d of %d\n", loop, accepted, drafted);
    assert_true(loop < 0.3);
}

/* Wherever guesses fail, and whatever they cost, little is lost: also in short answers. */
static void losing_stops_it(void **state)
{
    (void)state;
    static mote_token t[N_TEXT];
    static const int length[] = {128, 256, 2000};
    int drafted, accepted;
    double worst = 0;
    for (uint32_t s = 0; s < 20; s++)
        for (size_t l = 0; l < MT_COUNT(length); l++) {
            seed = 77 + s;
            /* pairs come back all the time and never go on alike */
            for (int i = 0; i < N_TEXT; i++) t[i] = i % 3 == 2 ? 1000 + i : (mote_token)(next_random() % 3 + (i % 3 ? 10 : 0));
            double lost = run_machine(t, 300, 300 + length[l], cheap, 0.1, &drafted, &accepted);
            worst = MT_MAX(worst, lost);
            /* good guesses, on a machine where they cost more than they give */
            for (int i = 300; i < N_TEXT; i++) t[i] = t[i - 100];
            lost = run_machine(t, 300, 300 + length[l], dear, 0.1, &drafted, &accepted);
            worst = MT_MAX(worst, lost);
            fill_text(t, N_TEXT, 900 + s, 12);           /* much to find, little of it right */
            lost = run_machine(t, 300, 300 + length[l], cheap, 0.1, &drafted, &accepted);
            worst = MT_MAX(worst, lost);
        }
    print_message("worst: %.4f of plain\n", worst);
    assert_true(worst <= 1.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_there),
        cmocka_unit_test(stale_entries_are_harmless),
        cmocka_unit_test(repetitions_are_used),
        cmocka_unit_test(losing_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
