/* SPDX-License-Identifier: MIT */
/* one_call.c - calls one product kernel once, for tools/instructions to count what it executes.
 *
 *   one_call LEVEL SLOT LAYOUT ROWS PANELS K
 *
 * Weights and activations are zeros, which kernels take as long over as anything else; every row
 * has its MT_TOP values out of int8, at the same places.  LEVEL is a name of mote_cpu_limit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/kernel.h"
#include "mote.h"

/* Untouched pages: setting up costs the same for any size. */
static void *zeros(size_t bytes)
{
    void *p = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) exit(1);
    return p;
}

int main(int argc, char **argv)
{
    mote_error err = {0};
    static mt_kern kern;
    if (argc != 7) return 2;
    const int rows = atoi(argv[4]);
    const int64_t panels = atoi(argv[5]), k = atoi(argv[6]), n_out = panels * MT_PANEL;
    if (mote_cpu_limit(argv[1], &err) != MOTE_OK) {
        fprintf(stderr, "one_call: %s\n", err.text);
        return 77;
    }
    mt_kern_build(&kern, mt_cpu_allowed());
    mt_layout lay = MT_LAY_COUNT;
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (strcmp(mt_layouts[i].name, argv[3]) == 0) lay = (mt_layout)i;
    }
    if (lay == MT_LAY_COUNT || rows < 1 || panels < 1 || k < 256 || k % 256) return 2;
    void (*f)(const mt_mm *) = strcmp(argv[2], "mm1") == 0 ? kern.mm1[lay] :
                               strcmp(argv[2], "mmn") == 0 ? kern.mmn[lay] :
                               strcmp(argv[2], "mmp") == 0 ? kern.mmp[lay] : kern.mmf[lay];
    const size_t n = (size_t)rows;
    int32_t *top = zeros(n * MT_TOP * sizeof *top);
    for (int i = 0; i < rows * MT_TOP; i++) top[i] = i % MT_TOP * 53;
    const mt_mm m = {
        .layout = lay, .w = zeros(mt_packed_bytes(lay, n_out, k)), .k = k, .n_out = n_out,
        .p1 = panels, .n_row = rows, .ldo = (size_t)n_out,
        .a = {.x = zeros(n * (size_t)k * sizeof(float)), .q = zeros(n * (size_t)k),
              .scale = zeros(n * (size_t)k / 8), .isum = zeros(n * (size_t)k / 4), .top = top,
              .top_x = zeros(n * MT_TOP * sizeof(float)), .ldx = (size_t)k, .ldq = (size_t)k,
              .ldg = (size_t)k / 32},
        .out = zeros(n * (size_t)n_out * sizeof(float)), .scratch = zeros(mt_mm_scratch(lay, k))};
    f(&m);
    return 0;
}
