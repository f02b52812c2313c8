/* SPDX-License-Identifier: MIT */
/* probe_main.c - build/probe: the machine's limits as one JSON object, for scripts.
 *
 *   probe [--threads N] [--bytes N] [--seconds S]      S: of each measurement */
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_rate(const char *name, const char *unit, const probe_rate *r)
{
    if (r->median <= 0) {
        printf("  \"%s_%s\": null, \"%s_best\": null, \"%s_how\": null,\n", name, unit, name, name);
        return;
    }
    printf("  \"%s_%s\": %.2f, \"%s_best\": %.2f, \"%s_how\": \"%s\",\n", name, unit, r->median, name,
           r->best, name, r->how);
}

/* A number of at least `least` behind an option; the program ends when it is none. */
static double number(const char *option, const char *text, double least)
{
    char *end = NULL;
    const double v = text ? strtod(text, &end) : 0;
    if (text && end != text && !*end && v >= least && v <= 1e15) return v;
    fprintf(stderr, "probe: %s wants a number of at least %g, not \"%s\"\n", option, least, text ? text : "");
    exit(2);
}

int main(int argc, char **argv)
{
    int threads = 0;
    size_t bytes = (size_t)256 << 20;
    double seconds = 0.25;
    for (int i = 1; i < argc; i += 2) {
        if (!strcmp(argv[i], "--threads")) threads = (int)number(argv[i], argv[i + 1], 1);
        else if (!strcmp(argv[i], "--bytes")) bytes = (size_t)number(argv[i], argv[i + 1], 65536);
        else if (!strcmp(argv[i], "--seconds")) seconds = number(argv[i], argv[i + 1], 0);
        else {
            fprintf(stderr, "usage: probe [--threads N] [--bytes N] [--seconds S]\n");
            return 2;
        }
    }
    probe_report r;
    memset(&r, 0, sizeof r);
    probe *p = probe_open(threads, bytes);
    if (!p || probe_run(p, PROBE_ALL, seconds, &r)) {
        fprintf(stderr, "probe: no memory for %zu bytes and %d threads\n", bytes, threads);
        return 1;
    }
    probe_close(p);
    printf("{ \"threads\": %d, \"bytes\": %zu, \"seconds\": %g,\n", r.threads, r.bytes, seconds);
    put_rate("int8", "gmac_s", &r.int8);
    put_rate("f32", "gmac_s", &r.f32);
    put_rate("bf16", "gmac_s", &r.bf16);
    put_rate("read", "gb_s", &r.read);
    if (r.barrier_ns > 0) printf("  \"barrier_ns\": %.1f,", r.barrier_ns);
    else printf("  \"barrier_ns\": null,");
    printf(" \"placement\": \"%s\" }\n", r.placement);
    return 0;
}
