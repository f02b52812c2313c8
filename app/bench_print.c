/* SPDX-License-Identifier: MIT */
/* bench_print.c - a result as a table, as markdown, as CSV or as the JSON it is. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double bench_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

const char *bench_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

const char *bench_short_name(const json_t *result)
{
    const char *name = bench_text(result, "model"), *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

/* A cell for a number that may be missing. */
static void cell_number(grid *g, const char *fmt, double v)
{
    char shown[64] = "–";
    if (isfinite(v)) snprintf(shown, sizeof shown, fmt, v);
    grid_cell(g, "%s", shown);
}

static void put_rows(const json_t *result, bool markdown)
{
    json_t *row;
    size_t i;
    const json_t *rows = json_object_get(result, "rows");
    double coverage = 1;
    bool has_joules = false;
    json_array_foreach(rows, i, row) {
        coverage = fmin(coverage, bench_number(row, "coverage"));
        has_joules |= isfinite(bench_number(row, "joules_per_token"));
    }
    grid g = { .n_column = has_joules ? 7 : 6 };
    grid_cell(&g, "WORK");
    grid_cell(&g, "TOK/S");
    grid_cell(&g, coverage >= 0.95 ? "95 %% INTERVAL" : "RANGE");
    grid_cell(&g, "CPU ms/TOK");
    if (has_joules) grid_cell(&g, "J/TOK");
    grid_cell(&g, "LIMIT");
    grid_cell(&g, "OF LIMIT");
    json_array_foreach(rows, i, row) {
        const double limit = bench_number(row, "limit_tok_s");
        grid_cell(&g, "%s", bench_text(row, "name"));
        grid_cell(&g, "%.1f", bench_number(row, "tok_s"));
        grid_cell(&g, "%.1f – %.1f", bench_number(row, "tok_s_low"), bench_number(row, "tok_s_high"));
        cell_number(&g, "%.2f", 1e3 * bench_number(row, "cpu_s_per_token"));
        if (has_joules) cell_number(&g, "%.4f", bench_number(row, "joules_per_token"));
        if (isfinite(limit)) grid_cell(&g, "%.0f by %s", limit, bench_text(row, "limit"));
        else grid_cell(&g, "–");
        cell_number(&g, "%.0f %%", 100 * bench_number(row, "fraction"));
    }
    grid_print(&g, markdown);
    grid_free(&g);
}

/* "attn_q+attn_k+attn_v" may be long: the table ends at 96 columns. */
static void cell_name(grid *g, const char *name)
{
    enum { MOST = 32 };
    if (strlen(name) <= MOST) grid_cell(g, "%s", name);
    else grid_cell(g, "%.*s…", MOST - 1, name);
}

static void put_ops_of(const json_t *row, const char *phase, bool markdown)
{
    json_t *o;
    size_t i;
    double total = 0;
    bool any = false;
    const json_t *ops = json_object_get(row, "ops");
    grid g = { .n_column = 8 };
    static const char *const head[] = { "OP", "SHARE", "ms", "PREPARE", "WAIT", "GMAC/s", "GB/s", "OF LIMIT" };
    for (size_t k = 0; k < APP_COUNT(head); k++) grid_cell(&g, "%s", head[k]);
    json_array_foreach(ops, i, o) {
        if (strcmp(bench_text(o, "phase"), phase)) continue;
        any = true;
        total += bench_number(o, "ms");
        cell_name(&g, bench_text(o, "op"));
        grid_cell(&g, "%.1f %%", 100 * bench_number(o, "share"));
        grid_cell(&g, "%.3f", bench_number(o, "ms"));
        grid_cell(&g, "%.3f", bench_number(o, "prepare_ms"));
        grid_cell(&g, "%.3f", bench_number(o, "wait_ms"));
        cell_number(&g, "%.1f", bench_number(o, "gmac_s"));
        cell_number(&g, "%.1f", bench_number(o, "gb_s"));
        if (isfinite(bench_number(o, "fraction")))
            grid_cell(&g, "%.0f %% %s", 100 * bench_number(o, "fraction"), bench_text(o, "limit"));
        else
            grid_cell(&g, "–");
    }
    if (any) {
        printf("\n%s%s: %.2f ms %s\n%s", markdown ? "**" : "", bench_text(row, "name"), total,
               !strcmp(phase, "decode") ? "for one step of generation" : "for the prompt", markdown ? "**\n\n" : "");
        grid_print(&g, markdown);
    }
    grid_free(&g);
}

static void put_ops(const json_t *result, bool markdown)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        put_ops_of(row, "prompt", markdown);
        put_ops_of(row, "decode", markdown);
    }
}

static void put_fact(bool markdown, const char *label, const char *value, const char *how)
{
    if (markdown) printf("- %s: ", label);
    else printf("%-12s", label);
    if (markdown) printf("%s%s", value, *value && *how ? ", " : "");
    else if (*value) printf("%-16s", value);
    term_write(stdout, how, strlen(how), false);
    putchar('\n');
}

static void put_peak(const json_t *m, const char *name, bool markdown)
{
    char key[32], value[32];
    snprintf(key, sizeof key, "%s_gmac_s", name);
    const double v = bench_number(m, key);
    if (!isfinite(v)) return;
    snprintf(value, sizeof value, "%.0f GMAC/s", v);
    snprintf(key, sizeof key, "%s_how", name);
    put_fact(markdown, name, value, bench_text(m, key));
}

/* Whether the limits held still, in words; "" when they did. */
static void moved(const json_t *m, char *out, size_t cap)
{
    const double low = bench_number(m, "read_low"), high = bench_number(m, "read_high");
    const double before = bench_number(m, "int8_gmac_s"), after = bench_number(m, "int8_gmac_s_end");
    const double stolen = bench_number(m, "stolen");
    size_t n = 0;
    out[0] = 0;
    if (high > 1.1 * low) n = (size_t)snprintf(out, cap, "reading moved by %.0f %%", 100 * (high / low - 1));
    if (fabs(after / before - 1) > 0.03 && n < cap)
        n += (size_t)snprintf(out + n, cap - n, "%sint8 by %.0f %%", n ? ", " : "", 100 * (after / before - 1));
    if (stolen > 0.02 && n < cap)
        snprintf(out + n, cap - n, "%sother guests took %.0f %% of the time", n ? ", " : "", 100 * stolen);
}

static void put_machine(const json_t *m, bool markdown)
{
    char value[64], how[256];
    term_buf b;
    if (!json_is_object(m)) {
        put_fact(markdown, "limits", "", "could not be probed here");
        return;
    }
    put_peak(m, "int8", markdown);
    put_peak(m, "bf16", markdown);
    put_peak(m, "f32", markdown);
    snprintf(value, sizeof value, "%.1f GB/s", bench_number(m, "read_gb_s"));
    snprintf(how, sizeof how, "%s, %s; %.1f to %.1f in this run",
             term_bytes(&b, (uint64_t)bench_number(m, "read_bytes")), bench_text(m, "read_how"),
             bench_number(m, "read_low"), bench_number(m, "read_high"));
    put_fact(markdown, "read", value, how);
    snprintf(value, sizeof value, "%.0f ns", bench_number(m, "barrier_ns"));
    const char *before = bench_text(m, "placement"), *after = bench_text(m, "placement_end");
    snprintf(how, sizeof how, strcmp(before, after) ? "%s, %s at the end" : "%s", before, after);
    put_fact(markdown, "barrier", isfinite(bench_number(m, "barrier_ns")) ? value : "", how);
    moved(m, how, sizeof how);
    if (*how) put_fact(markdown, "unsteady", "", how);
}

static void put_text(const json_t *o, bool markdown, bool ops)
{
    char value[64], how[512];
    term_buf b1, b2;
    const json_t *energy = json_object_get(o, "energy");
    const double peak = bench_number(o, "peak_rss_bytes"), weights = bench_number(o, "weight_bytes");
    snprintf(how, sizeof how, "%s %s, %s parameters, mote %s", bench_short_name(o), bench_text(o, "quant"),
             term_count(&b1, (int64_t)bench_number(o, "parameters")), bench_text(o, "version"));
    term_write(stdout, how, strlen(how), false);
    snprintf(how, sizeof how, "%.0f thread%s on %s, %s", bench_number(o, "threads"),
             bench_number(o, "threads") > 1 ? "s" : "", bench_text(o, "cpu"), bench_text(o, "isa"));
    fputs(markdown ? "; " : "\n", stdout);
    term_write(stdout, how, strlen(how), false);
    fputs("\n\n", stdout);
    put_rows(o, markdown);
    if (ops) put_ops(o, markdown);
    putchar('\n');
    if (isfinite(bench_number(o, "first_token_s"))) {
        snprintf(value, sizeof value, "%.0f ms", 1e3 * bench_number(o, "first_token_s"));
        snprintf(how, sizeof how, "behind a prompt of %.0f", bench_number(o, "prompt_tokens"));
        put_fact(markdown, "first token", value, how);
    }
    snprintf(how, sizeof how, "at most, with %s of weights", term_bytes(&b2, (uint64_t)weights));
    put_fact(markdown, "memory", term_bytes(&b1, (uint64_t)peak), how);
    if (*bench_text(energy, "source")) snprintf(how, sizeof how, "%s", bench_text(energy, "source"));
    else snprintf(how, sizeof how, "not readable here (%s)", bench_text(energy, "why"));
    put_fact(markdown, "energy", "", how);
    put_machine(json_object_get(o, "machine"), markdown);
}

/* ---- CSV: a line per row, or per op of every row --------------------------------- */
typedef struct csv_column { const char *name; char from; } csv_column;   /* t top, m machine, r row, o op */

static const csv_column row_columns[] = {
    { "model", 't' }, { "quant", 't' }, { "cpu", 't' }, { "isa", 't' }, { "version", 't' }, { "threads", 't' },
    { "name", 'r' }, { "kind", 'r' }, { "prompt_tokens", 'r' }, { "new_tokens", 'r' }, { "depth", 'r' },
    { "sessions", 'r' }, { "tok_s", 'r' }, { "tok_s_low", 'r' }, { "tok_s_high", 'r' }, { "coverage", 'r' },
    { "limit", 'r' }, { "limit_tok_s", 'r' }, { "fraction", 'r' }, { "cpu_s_per_token", 'r' },
    { "joules_per_token", 'r' }, { "peak_rss_bytes", 'r' }, { "weight_bytes", 't' }, { "int8_gmac_s", 'm' },
    { "bf16_gmac_s", 'm' }, { "f32_gmac_s", 'm' }, { "read_gb_s", 'm' }, { "barrier_ns", 'm' },
};
static const csv_column op_columns[] = {
    { "model", 't' }, { "quant", 't' }, { "threads", 't' }, { "name", 'r' }, { "phase", 'o' }, { "op", 'o' },
    { "kind", 'o' }, { "share", 'o' }, { "ms", 'o' }, { "prepare_ms", 'o' }, { "wait_ms", 'o' }, { "gmac_s", 'o' },
    { "gb_s", 'o' }, { "limit", 'o' }, { "fraction", 'o' },
};

static void put_field(const json_t *v)
{
    if (json_is_integer(v)) printf("%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) printf("%.9g", json_real_value(v));
    if (!json_is_string(v)) return;
    putchar('"');
    for (const char *p = json_string_value(v); *p; p++) {
        if (*p == '"') putchar('"');
        putchar(*p);
    }
    putchar('"');
}

static void put_line(const csv_column *c, size_t n, const json_t *top, const json_t *row, const json_t *op)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *from = c[i].from == 't' ? top : c[i].from == 'r' ? row : c[i].from == 'o' ? op
                             : json_object_get(top, "machine");
        if (i) putchar(',');
        put_field(json_object_get(from, c[i].name));
    }
    putchar('\n');
}

static void put_csv(const json_t *result, bool ops)
{
    json_t *row, *op;
    size_t i, k;
    const csv_column *c = ops ? op_columns : row_columns;
    const size_t n = ops ? APP_COUNT(op_columns) : APP_COUNT(row_columns);
    for (size_t j = 0; j < n; j++) printf("%s%s", j ? "," : "", c[j].name);
    putchar('\n');
    json_array_foreach(json_object_get(result, "rows"), i, row) {
        if (!ops) put_line(c, n, result, row, NULL);
        else json_array_foreach(json_object_get(row, "ops"), k, op) put_line(c, n, result, row, op);
    }
}

int bench_print(const json_t *result, const char *format, bool ops)
{
    if (!strcmp(format, "csv")) {
        put_csv(result, ops);
    } else if (strcmp(format, "json")) {
        put_text(result, !strcmp(format, "markdown"), ops);
    } else {
        if (json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)))
            return term_error(ST_FAILED, "cannot write the result");
        putchar('\n');
    }
    return ST_DONE;
}
