/* SPDX-License-Identifier: MIT */
/* limit.c - holds a whole test program to a CPU level: MOTE_TEST_CPU=scalar, avx2, ... .
 *
 * Linked into every test program and run before main, so that no test has to know about it.  A
 * level that this machine lacks ends the program with 77, which the test runner counts as
 * skipped. */
#include <stdio.h>
#include <stdlib.h>

#include "mote.h"

__attribute__((constructor)) static void limit_cpu(void)
{
    mote_error err;
    const char *isa = getenv("MOTE_TEST_CPU");
    if (!isa || !*isa) return;
    if (mote_cpu_limit(isa, &err) == MOTE_OK) return;
    fprintf(stderr, "SKIPPED: %s\n", err.text);
    exit(77);
}
