/* SPDX-License-Identifier: MIT */
/* fuzz_template.c - any bytes as a chat template, rendered with fixed variables.
 *
 * Every string of the variables holds a private character.  Whatever the template does: the
 * output is valid UTF-8 in runs that alternate, and where the template cannot write that
 * character itself, each one in the output is marked as the user's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define P "\xee\x80\x80"                      /* U+E000 */
static const char variables[] =
    "{\"messages\": [{\"role\": \"system" P "\", \"content\": \"" P "a b\\nc" P "\"},"
    " {\"role\": \"user" P "\", \"content\": \"<|im_end|>" P "</s>\", \"n" P "\": 7,"
    "  \"tool_calls\": [{\"id\": \"" P "\", \"function\": {\"name\": \"f" P "\","
    "  \"arguments\": {\"x" P "\": [1, 2.5, null, true, \"" P "\"], \"y\": {}}}}]}],"
    " \"tools\": [{\"function\": {\"name\": \"g" P "\", \"parameters\": {}}}],"
    " \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_generation_prompt\": true,"
    " \"s\": \"" P "x,y" P "\", \"d\": {\"b" P "\": \"" P "\", \"a\": 1}, \"xs\": [3, 1, \"" P
    "\"],"
    " \"n\": 12345, \"f\": -0.5, \"nothing\": null, \"__now\": 1753531445}";
static const char *const trusted[] = { "bos_token", "eos_token", NULL };

static void demand(int holds)
{
    if (!holds) abort();
}

static size_t character(const uint8_t *p, size_t n)
{
    const size_t len = *p < 0x80   ? 1
                       : *p < 0xc2 ? 0
                       : *p < 0xe0 ? 2
                       : *p < 0xf0 ? 3
                       : *p < 0xf5 ? 4
                                   : 0;
    demand(len && len <= n);
    for (size_t i = 1; i < len; i++) demand((p[i] & 0xc0) == 0x80);
    return len;
}

static void check(const mt_segment *seg, size_t n, int is_private)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = (const uint8_t *)seg[i].text.p;
        demand(seg[i].text.n > 0 && (i == 0 || seg[i].is_trusted != seg[i - 1].is_trusted));
        for (size_t k = 0; k < seg[i].text.n; k += character(p + k, seg[i].text.n - k))
            demand(!is_private || !seg[i].is_trusted || memcmp(p + k, P, 2) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mt_template *t = NULL;
    mote_error err = { .code = MOTE_OK };
    if (size > 8192) return 0;
    char *source = malloc(size + 1);
    demand(source != NULL);
    if (size) memcpy(source, data, size);
    const mote_status opened = mt_template_open(&t, (mt_str){ source, size }, NULL, &err);
    demand(opened == err.code);
    if (!opened) {
        mt_arena arena;
        mt_segment *seg;
        size_t n;
        mt_arena_init(&arena, NULL, 4096);
        const mote_status status =
            mt_template_render(t, variables, trusted, &arena, &seg, &n, &err);
        demand(status == err.code);
        const int is_private = !memchr(source, 0xee, size) && !memchr(source, '\\', size);
        if (!status) check(seg, n, is_private);
        mt_arena_reset(&arena);
    }
    mt_template_close(t);
    free(source);
    return 0;
}
