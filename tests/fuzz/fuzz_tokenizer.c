/* SPDX-License-Identifier: MIT */
/* fuzz_tokenizer.c - any text, and any vocabulary.
 *
 * The first byte chooses.  Text: the rest, cut into segments, goes through each splitter on a
 * vocabulary that has every byte; the ids must give the text back, untrusted text must give no
 * control token, and cutting must not matter where trust does not change.  Vocabulary: the lines
 * of the input are tokens, kinds and merges; what opens must encode without loss of memory. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 16, N_TOKEN = 512 };

static const char *const pres[] = { "gpt2", "smollm", "llama-bpe", "qwen2" };

static void demand(int holds)
{
    if (!holds) abort();
}

/* ---- any text ---------------------------------------------------------------------- */

static const char *const joins[][2] = { { "a", "a" }, { "aa", "aa" }, { "h", "e" }, { "l", "l" }, { "he", "ll" },
    { "a", "b" }, { "b", "a" }, { "ab", "ab" }, { "1", "2" }, { "'", "s" }, { ".", "." }, { "..", "." } };

static mt_tokenizer *tokenizer_of(size_t which)
{
    static mt_tokenizer *open[MT_COUNT(pres)];
    static char pool[N_TOKEN][16];
    static mt_str token[N_TOKEN], merge[MT_COUNT(joins)];
    static int32_t kind[N_TOKEN];
    if (open[which]) return open[which];
    mt_vocab v = { .model = mt_str_of("gpt2"), .pre = mt_str_of(pres[which]), .token = token, .kind = kind,
        .merge = merge, .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1 };
    for (unsigned b = 0; b < 256; b++) {
        unsigned code = b;
        if (b <= 0x20) code = 256 + b;
        else if (b >= 0x7F && b <= 0xA0) code = 256 + 33 + b - 0x7F;
        else if (b == 0xAD) code = 256 + 67;
        size_t n = 0;
        if (code >= 0x80) pool[b][n++] = (char)(0xC0 | code >> 6);
        pool[b][n++] = (char)(code < 0x80 ? code : 0x80 | (code & 0x3F));
        token[b] = (mt_str){ pool[b], n };
        kind[b] = MT_TOKEN_NORMAL;
    }
    v.n_token = 256;
    for (size_t i = 0; i < MT_COUNT(joins); i++) {
        char *p = pool[v.n_token];
        const size_t a = strlen(joins[i][0]), b = strlen(joins[i][1]);
        memcpy(p, joins[i][0], a);
        memcpy(p + a, joins[i][1], b);
        token[v.n_token] = (mt_str){ p, a + b };
        kind[v.n_token++] = MT_TOKEN_NORMAL;
        char *m = pool[N_TOKEN - 1 - i];
        memcpy(m, joins[i][0], a);
        m[a] = ' ';
        memcpy(m + a + 1, joins[i][1], b);
        merge[v.n_merge++] = (mt_str){ m, a + b + 1 };
    }
    static const char *const specials[] = { "<s>", "<|im_end|>", "<x>", "<x>y", "  ", "    ", "\xC3\xB8" };
    for (size_t i = 0; i < MT_COUNT(specials); i++) {
        token[v.n_token] = mt_str_of(specials[i]);
        kind[v.n_token++] = i < 4 ? MT_TOKEN_CONTROL : MT_TOKEN_USER;
    }
    demand(mt_tokenizer_open(&open[which], &v, NULL, NULL) == MOTE_OK);
    return open[which];
}

static size_t encode(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg, int32_t *id, size_t cap)
{
    size_t n = 0;
    demand(mt_tokenizer_encode(t, seg, n_seg, 0, id, cap, &n, NULL) == MOTE_OK);
    demand(n <= cap);
    return n;
}

static void check_text(const mt_tokenizer *t, const char *p, size_t n, size_t cut, bool a, bool b)
{
    static int32_t id[MOST + 2], again[MOST + 2];
    const mt_segment seg[] = { { { p, cut }, a }, { { p + cut, n - cut }, b } };
    const size_t n_id = encode(t, seg, 2, id, n + 2);
    size_t at = 0;
    for (size_t i = 0; i < n_id; i++) {
        size_t len;
        bool is_special;
        const char *bytes = mt_tokenizer_bytes(t, id[i], &len, &is_special);
        demand(bytes && len && len <= n - at && memcmp(bytes, p + at, len) == 0);
        demand(!is_special || (at < cut ? a && (at + len <= cut || b) : b));
        at += len;
    }
    demand(at == n);
    if (a == b) {
        const mt_segment whole = { { p, n }, a };
        demand(encode(t, &whole, 1, again, n_id) == n_id);     /* exactly enough room */
        demand(memcmp(id, again, n_id * sizeof *id) == 0);
    }
    demand(mt_utf8_whole(p, n) + 3 >= n && mt_utf8_whole(p, n) <= n);
}

/* ---- any vocabulary ------------------------------------------------------------------ */

static void check_vocabulary(const char *p, size_t n)
{
    static mt_str token[MOST], merge[MOST];
    static int32_t kind[MOST], id[MOST + 2];
    mt_vocab v = { .model = mt_str_of("gpt2"), .pre = mt_str_of(pres[n % 4]), .token = token, .kind = kind,
        .merge = merge, .bos = -1, .eos = (int32_t)(n % 7) - 1, .eot = -1, .unk = -1, .pad = -1 };
    for (size_t from = 0, to; from < n; from = to + 1) {
        const char *stop = memchr(p + from, '\n', n - from);
        to = stop ? (size_t)(stop - p) : n;
        if (memchr(p + from, ' ', to - from)) {
            merge[v.n_merge++] = (mt_str){ p + from, to - from };
        } else {
            kind[v.n_token] = to > from ? p[from] & 7 : 0;
            token[v.n_token++] = (mt_str){ p + from, to - from };
        }
    }
    mt_tokenizer *t;
    if (mt_tokenizer_open(&t, &v, NULL, NULL) != MOTE_OK) return;
    for (int trusted = 0; trusted < 2; trusted++) {
        const mt_segment seg = { { p, n }, trusted };
        const size_t n_id = encode(t, &seg, 1, id, n + 2);
        for (size_t i = 0; i < n_id; i++) {
            size_t len;
            bool is_special;
            demand(mt_tokenizer_bytes(t, id[i], &len, &is_special) != NULL);
            demand(trusted || !is_special);
        }
    }
    for (size_t i = 0; i < v.n_token; i++) demand(mt_tokenizer_find(t, token[i]) <= (int32_t)i);
    mt_tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MOST) return 0;
    const char *p = (const char *)data + 2;
    const size_t n = size - 2;
    if (data[0] & 0x80) check_vocabulary(p, n);
    else check_text(tokenizer_of(data[0] & 3), p, n, n * data[1] / 255, data[0] & 4, data[0] & 8);
    return 0;
}
