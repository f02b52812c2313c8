/* SPDX-License-Identifier: MIT */
/* bench_compare.c - two result files: is the second faster, and is that mote or the machine?
 *
 * Rows of the same work are compared by the quotients of all pairs of runs.  Where the probe that
 * limits a row surely moved by more than 5 % although machine and threads are the same (another
 * state of a shared host, a hotter chip), the verdict is about speed relative to that probe, with
 * the probe's own interval, and says so.  Within one file repetitions follow each other closely, so two files of the same program
 * minutes apart may still differ a little more than their intervals say. */
#include "bench.h"
#include "bench_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MACHINE_MOVED = 0.05;

static int no_result(const char *path, const char *why)
{
    const int st = term_error(ST_DAMAGED, "%s is no result of mote bench: %s", path, why);
    term_try("mote bench MODEL --json > %s", path);
    return st;
}

/* Every row has what a comparison reads; whatever else is in the file does not matter. */
static const char *check_rows(const json_t *rows)
{
    json_t *row, *run;
    size_t i, k;
    if (!json_is_array(rows)) return "it has no rows";
    json_array_foreach(rows, i, row) {
        const json_t *runs = json_object_get(row, "runs");
        if (!*bench_text(row, "name")) return "a row has no name";
        if (!json_is_array(runs) || !json_array_size(runs) || json_array_size(runs) > 1000) return "a row has no runs";
        json_array_foreach(runs, k, run)
            if (!(json_number_value(run) > 0)) return "a run has no speed";
    }
    return NULL;
}

int bench_load(const char *path, json_t **out)
{
    enum { MOST = 16 << 20 };
    text t = { 0 };
    json_error_t e;
    int st = text_read_file(&t, path, MOST);
    if (st) return st;
    *out = json_loadb(t.p, t.n, JSON_REJECT_DUPLICATES, &e);
    text_free(&t);
    if (!*out) return no_result(path, e.text);
    const char *why = bench_number(*out, "schema") == 1 ? check_rows(json_object_get(*out, "rows")) : "its schema is not 1";
    if (!why) return ST_DONE;
    json_decref(*out);
    *out = NULL;
    return no_result(path, why);
}

/* Quotients of two arrays of numbers; 0s when one is missing. */
static stats_interval ratio_of(const json_t *before, const json_t *after)
{
    const json_t *side[2] = { before, after };
    stats_interval r = { 0 };
    double *v[2];
    int n[2];
    for (int k = 0; k < 2; k++) {
        n[k] = (int)json_array_size(side[k]);
        v[k] = malloc(((size_t)n[k] + 1) * sizeof **v);
        for (int i = 0; v[k] && i < n[k]; i++) v[k][i] = json_number_value(json_array_get(side[k], (size_t)i));
    }
    if (v[0] && v[1]) r = stats_ratio(v[0], n[0], v[1], n[1]);
    free(v[0]);
    free(v[1]);
    return r;
}

static const char *const work_keys[] = { "kind", "prompt_tokens", "new_tokens", "depth", "sessions" };

static const json_t *same_work(const json_t *rows, const json_t *row)
{
    json_t *r;
    size_t i;
    json_array_foreach(rows, i, r) {
        bool same = true;
        for (size_t k = 0; k < APP_COUNT(work_keys); k++)
            same &= json_equal(json_object_get(r, work_keys[k]), json_object_get(row, work_keys[k])) == 1;
        if (same) return r;
    }
    return NULL;
}

/* How much faster the probes are that limit this row; mid 0: not known, or another setup. */
static stats_interval machine_ratio(const json_t *before, const json_t *after, const json_t *row)
{
    static const char *const same[] = { "cpu", "threads" };
    char key[32];
    stats_interval r = { 0 }, reading = { 1, 1, 1, 1 };
    const json_t *a = json_object_get(before, "machine"), *b = json_object_get(after, "machine");
    for (size_t i = 0; i < APP_COUNT(same); i++)
        if (!json_equal(json_object_get(before, same[i]), json_object_get(after, same[i]))) return r;
    snprintf(key, sizeof key, "%.16s_gmac_s", bench_text(row, "arithmetic"));
    const double share = bench_number(row, "arithmetic_share");
    const double arithmetic = share > 0 ? bench_number(b, key) / bench_number(a, key) : 1;
    if (share < 1) reading = ratio_of(json_object_get(a, "read_samples"), json_object_get(b, "read_samples"));
    if (!(arithmetic > 0) || !(reading.low > 0) || !isfinite(share)) return r;
    r.low = 1 / (share / arithmetic + (1 - share) / reading.low);
    r.mid = 1 / (share / arithmetic + (1 - share) / reading.mid);
    r.high = 1 / (share / arithmetic + (1 - share) / reading.high);
    return r;
}

static int compare_row(const json_t *before, const json_t *after, const stats_interval *host, json_t *rows)
{
    const stats_interval r = ratio_of(json_object_get(before, "runs"), json_object_get(after, "runs"));
    if (!(r.mid > 0)) return term_error(ST_NO_FIT, "no memory for the comparison");
    const bool moved = host->mid > 0 && fabs(host->mid - 1) > MACHINE_MOVED && (host->low > 1 || host->high < 1);
    stats_interval judged = r;
    if (moved) judged.low /= host->high, judged.mid /= host->mid, judged.high /= host->low;
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:s}", "name", bench_text(after, "name"), "before",
                          bench_number(before, "tok_s"), "after", bench_number(after, "tok_s"), "ratio", r.mid,
                          "ratio_low", r.low, "ratio_high", r.high, "coverage", r.coverage, "machine_moved", moved,
                          "verdict", stats_word(stats_judge(&judged)));
    if (!o || json_array_append_new(rows, o)) return term_error(ST_NO_FIT, "no memory for the comparison");
    json_object_set_new(o, "machine_ratio", host->mid > 0 ? json_real(host->mid) : json_null());
    json_object_set_new(o, "ratio_per_probe", host->mid > 0 ? json_real(r.mid / host->mid) : json_null());
    return ST_DONE;
}

/* What describes a file: enough to see what was compared with what. */
static json_t *side(const json_t *result)
{
    static const char *const keys[] = { "model", "quant", "cpu", "isa", "version", "threads", "machine" };
    json_t *o = json_object();
    for (size_t i = 0; i < APP_COUNT(keys); i++)
        if (json_object_get(result, keys[i])) json_object_set(o, keys[i], json_object_get(result, keys[i]));
    return o;
}

int bench_compare(const json_t *before, const json_t *after, json_t **out)
{
    json_t *row, *rows = json_array();
    size_t i;
    int st = ST_DONE;
    json_array_foreach(json_object_get(after, "rows"), i, row) {
        const json_t *old = same_work(json_object_get(before, "rows"), row);
        const stats_interval host = machine_ratio(before, after, row);
        if (!st && old) st = compare_row(old, row, &host, rows);
    }
    if (!st && !json_array_size(rows)) st = term_error(ST_FAILED, "the two results have no work in common");
    *out = st ? NULL : json_pack("{s:i, s:o, s:o, s:O}", "schema", 1, "before", side(before), "after", side(after),
                                 "rows", rows);
    json_decref(rows);
    return st || *out ? st : term_error(ST_NO_FIT, "no memory for the comparison");
}

/* ---- printing ------------------------------------------------------------------------ */
static void say_side(const char *label, const json_t *s)
{
    char line[512];
    snprintf(line, sizeof line, "%-8s%.40s %s, %.0f thread%s, mote %s", label, bench_short_name(s),
             bench_text(s, "quant"), bench_number(s, "threads"), bench_number(s, "threads") > 1 ? "s" : "",
             bench_text(s, "version"));
    term_write(stdout, line, strlen(line), false);
    putchar('\n');
}

/* The limits that both files have, below the rows. */
static void put_probes(grid *g, const json_t *a, const json_t *b)
{
    static const struct { const char *key, *label; } limit[] = {
        { "int8_gmac_s", "int8 probe, GMAC/s" }, { "read_gb_s", "read probe, GB/s" }, { "barrier_ns", "barrier, ns" },
    };
    for (size_t i = 0; i < APP_COUNT(limit); i++) {
        const double x = bench_number(a, limit[i].key), y = bench_number(b, limit[i].key);
        if (!(x > 0) || !(y > 0)) continue;
        grid_cell(g, "%s", limit[i].label);
        grid_cell(g, "%.1f", x);
        grid_cell(g, "%.1f", y);
        grid_cell(g, "%.3f", y / x);
        for (int k = 4; k < g->n_column; k++) grid_cell(g, "%s", "");
    }
}

static void note_differences(const json_t *a, const json_t *b)
{
    static const char *const keys[] = { "model", "quant", "threads", "cpu", "isa" };
    for (size_t i = 0; i < APP_COUNT(keys); i++)
        if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
            term_note("the two results differ in %s, too", keys[i]);
}

static void put_rows(const json_t *comparison, bool markdown, bool *moved)
{
    json_t *row;
    size_t i;
    double coverage = 1;
    static const char *const head[] = { "WORK", "BEFORE", "AFTER", "RATIO", "95 % INTERVAL", "PER PROBE", "VERDICT" };
    grid g = { .n_column = (int)APP_COUNT(head) };
    json_array_foreach(json_object_get(comparison, "rows"), i, row)
        coverage = fmin(coverage, bench_number(row, "coverage"));
    for (size_t k = 0; k < APP_COUNT(head); k++) grid_cell(&g, "%s", k == 4 && coverage < 0.95 ? "RANGE" : head[k]);
    json_array_foreach(json_object_get(comparison, "rows"), i, row) {
        const double per_probe = bench_number(row, "ratio_per_probe");
        const bool star = json_is_true(json_object_get(row, "machine_moved"));
        *moved |= star;
        grid_cell(&g, "%s", bench_text(row, "name"));
        grid_cell(&g, "%.1f", bench_number(row, "before"));
        grid_cell(&g, "%.1f", bench_number(row, "after"));
        grid_cell(&g, "%.3f", bench_number(row, "ratio"));
        grid_cell(&g, "%.3f – %.3f", bench_number(row, "ratio_low"), bench_number(row, "ratio_high"));
        if (isfinite(per_probe)) grid_cell(&g, "%.3f", per_probe);
        else grid_cell(&g, "–");
        grid_cell(&g, "%s%s", bench_text(row, "verdict"), star ? " *" : "");
    }
    put_probes(&g, json_object_get(json_object_get(comparison, "before"), "machine"),
               json_object_get(json_object_get(comparison, "after"), "machine"));
    grid_print(&g, markdown);
    grid_free(&g);
}

static void put_csv(const json_t *comparison)
{
    json_t *row;
    size_t i;
    puts("name,before,after,ratio,ratio_low,ratio_high,coverage,ratio_per_probe,machine_moved,verdict");
    json_array_foreach(json_object_get(comparison, "rows"), i, row) {
        const double per_probe = bench_number(row, "ratio_per_probe");
        printf("\"%s\",%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,", bench_text(row, "name"), bench_number(row, "before"),
               bench_number(row, "after"), bench_number(row, "ratio"), bench_number(row, "ratio_low"),
               bench_number(row, "ratio_high"), bench_number(row, "coverage"));
        if (isfinite(per_probe)) printf("%.9g", per_probe);
        printf(",%s,\"%s\"\n", json_is_true(json_object_get(row, "machine_moved")) ? "true" : "false",
               bench_text(row, "verdict"));
    }
}

int bench_print_comparison(const json_t *comparison, const char *format)
{
    const json_t *a = json_object_get(comparison, "before"), *b = json_object_get(comparison, "after");
    const bool markdown = !strcmp(format, "markdown");
    bool moved = false;
    if (!strcmp(format, "json")) {
        if (json_dumpf(comparison, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)))
            return term_error(ST_FAILED, "cannot write the result");
        putchar('\n');
        return ST_DONE;
    }
    note_differences(a, b);
    if (!strcmp(format, "csv")) {
        put_csv(comparison);
        return ST_DONE;
    }
    say_side(markdown ? "Before:" : "before", a);
    if (markdown) putchar('\n');
    say_side(markdown ? "After:" : "after", b);
    if (markdown) putchar('\n');
    if (!markdown) putchar('\n');
    put_rows(comparison, markdown, &moved);
    if (moved) puts("\n* the machine itself moved by more than 5 %: judged relative to its probe (PER PROBE)");
    return ST_DONE;
}
