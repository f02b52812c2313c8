/* SPDX-License-Identifier: MIT */
/* fuzz_tokenizer_json.c - any tokenizer.json, and any text for it.
 *
 * The input is the file, perhaps with a text behind a NUL.  What is refused has a sentence; what
 * opens encodes the text within a limit: spans lie in the text, ids in the vocabulary, untrusted
 * text gives no special token, decoding works. */
#include <stdlib.h>
#include <string.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TEXT = 4096, MOST_TOKENS = 1 << 17 };

static void demand(bool holds)
{
    if (!holds) abort();
}

static void encode(const mt_tokenizer *t, mt_str text, bool is_trusted)
{
    static int32_t id[MOST_TOKENS];
    static mote_span span[MOST_TOKENS];
    const mt_segment seg[] = { { { text.p, text.n / 2 }, true }, { { text.p + text.n / 2, text.n - text.n / 2 }, is_trusted } };
    mote_error err = { MOTE_OK, "" };
    size_t n = 0;
    const mote_status st = mt_tokenizer_encode_spans(t, seg, 2, MOTE_TEXT_BOS | MOTE_TEXT_EOS, id, span, MOST_TOKENS, &n, &err);
    demand(st == MOTE_OK || (err.code == st && strlen(err.text) > 10));
    if (st != MOTE_OK) return;
    for (size_t i = 0; i < n; i++) {
        demand(span[i].from <= span[i].to && span[i].to <= text.n);
        demand(id[i] >= 0 && (size_t)id[i] < mt_tokenizer_vocab(t)->n_token);
    }
    mt_buf out;
    mt_buf_init(&out, NULL, 1 << 24);
    const mote_status back = mt_tokenizer_decode(t, id, n, MOTE_TEXT_SPECIAL, &out, &err);
    demand(back == MOTE_OK || strlen(err.text) > 10);
    mt_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char plain[] = "Hello w\xC3\xB6rld, 123  \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x98\x80 e\xCC\x81 <s>\n\xFF\xC3";
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    const size_t n_file = nul ? (size_t)(nul - data) : size;
    mt_str text = { plain, sizeof plain - 1 };
    if (nul) text = (mt_str){ (const char *)nul + 1, MT_MIN(size - n_file - 1, MOST_TEXT) };
    mt_tokenizer *t;
    mote_error err = { MOTE_OK, "" };
    const mt_tokenizer_files f = { .tokenizer = { (const char *)data, n_file } };
    const mote_status st = mt_tokenizer_open_json(&t, &f, NULL, &err);
    demand(st == MOTE_OK ? t != NULL : !t && err.code == st && strlen(err.text) > 10);
    if (!t) return 0;
    encode(t, text, true);
    encode(t, text, false);
    mt_tokenizer_close(t);
    return 0;
}
