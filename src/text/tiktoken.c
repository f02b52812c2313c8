/* SPDX-License-Identifier: MIT */
/* tiktoken.c - reading rank files, and finding the two parts of each token.
 *
 * A token's parts are found by merging its bytes as tiktoken would, with the ranks below its own.
 * This is quadratic in the token's length, so the whole is given a budget that honest files use
 * less than a hundredth of. */
#include "text/tiktoken.h"

#include <string.h>

#include "text/pieces.h"

enum {
    MOST_RANKS = MT_TOKENS_MAX,
    LONGEST = 1000,              /* bytes of a token, as bpe.h has it for the sides of a merge */
    NOT_A_DIGIT = 64
};
static const uint64_t BUDGET = (uint64_t)1 << 31;            /* steps of merging, all tokens together */

/* ---- lines --------------------------------------------------------------------------- */

static unsigned value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z') return (unsigned)(c - 'a' + 26);
    if (c >= '0' && c <= '9') return (unsigned)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : NOT_A_DIGIT;
}

/* Decodes base64, padded to fours, into out (at least n / 4 * 3 bytes); SIZE_MAX: it is not. */
static size_t decode64(const char *p, size_t n, uint8_t *out)
{
    uint8_t *to = out;
    if (n == 0 || n % 4) return SIZE_MAX;
    for (size_t i = 0; i < n; i += 4) {
        const unsigned n_pad = i + 4 < n ? 0 : p[n - 1] != '=' ? 0 : p[n - 2] != '=' ? 1 : 2;
        uint32_t word = 0;
        for (unsigned k = 0; k < 4; k++) {
            const unsigned v = k >= 4 - n_pad ? 0 : value_of(p[i + k]);
            if (v == NOT_A_DIGIT) return SIZE_MAX;
            word = word << 6 | v;
        }
        if (n_pad && word & (n_pad == 1 ? 0xFFu : 0xFFFFu)) return SIZE_MAX;
        *to++ = (uint8_t)(word >> 16);
        if (n_pad < 2) *to++ = (uint8_t)(word >> 8);
        if (n_pad < 1) *to++ = (uint8_t)word;
    }
    return (size_t)(to - out);
}

typedef struct line { const char *p; size_t n, number; } line;

/* The next line that is not empty, without its end; l->p NULL at first. */
static bool next_line(mt_str file, size_t *at, line *l)
{
    while (*at < file.n) {
        const char *p = file.p + *at, *stop = memchr(p, '\n', file.n - *at);
        l->p = p;
        l->n = stop ? (size_t)(stop - p) : file.n - *at;
        l->number++;
        *at += l->n + 1;
        if (l->n && p[l->n - 1] == '\r') l->n--;
        if (l->n) return true;
    }
    return false;
}

/* Divides "base64 rank"; false: no rank. */
static bool read_rank(const line *l, size_t *n_text, uint32_t *rank)
{
    const char *space = memchr(l->p, ' ', l->n);
    if (!space) return false;
    *n_text = (size_t)(space - l->p);
    const size_t n = l->n - *n_text - 1;
    if (n == 0 || n > 9) return false;
    *rank = 0;
    for (size_t i = 0; i < n; i++) {
        if (space[1 + i] < '0' || space[1 + i] > '9') return false;
        *rank = *rank * 10 + (uint32_t)(space[1 + i] - '0');
    }
    return true;
}

/* ---- the printable alphabet ---------------------------------------------------------------- */

/* The character a byte is stored as; its length. */
static size_t put_byte(uint8_t byte, char *out)
{
    uint32_t code = byte;
    if (byte <= 0x20) code = 0x100u + byte;
    else if (byte >= 0x7F && byte <= 0xA0) code = 0x100u + 33 + byte - 0x7F;
    else if (byte == 0xAD) code = 0x100u + 67;
    if (code < 0x80) {
        *out = (char)code;
        return 1;
    }
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
}

static mt_str put_bytes(const uint8_t *p, size_t n, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) at += put_byte(p[i], out + at);
    return (mt_str){ out, at };
}

/* ---- the vocabulary ------------------------------------------------------------------------- */

typedef struct reader {
    mt_str  *token;              /* (n) in the alphabet */
    int32_t *kind;               /* (n) */
    mt_str  *merge;              /* (n) */
    size_t   n, n_merge;
    char    *room;               /* for the strings */
    mt_pieces pieces;
    uint64_t steps;
} reader;

static mote_status count_ranks(mt_str file, size_t *n, mote_error *err)
{
    line l = { 0 };
    *n = 0;
    for (size_t at = 0; next_line(file, &at, &l); ) {
        size_t n_text;
        uint32_t rank;
        if (!read_rank(&l, &n_text, &rank) || rank >= MOST_RANKS)
            MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: line %zu: expected a token in base64, a space and "
                    "a rank below %d", l.number, (int)MOST_RANKS);
        *n = MT_MAX(*n, (size_t)rank + 1);
    }
    if (*n == 0) MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: no line in %zu bytes", file.n);
    return MOTE_OK;
}

static mote_status read_tokens(reader *r, mt_str file, mote_error *err)
{
    uint8_t bytes[LONGEST + 2];
    line l = { 0 };
    for (size_t at = 0; next_line(file, &at, &l); ) {
        size_t n_text = 0;
        uint32_t rank = 0;
        read_rank(&l, &n_text, &rank);           /* count_ranks has seen that it can be read */
        const size_t n = n_text / 4 * 3 <= sizeof bytes ? decode64(l.p, n_text, bytes) : LONGEST + 1;
        if (n == SIZE_MAX)
            MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: line %zu: the token is not in base64", l.number);
        if (n > LONGEST)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "tiktoken file: line %zu: the token has more than %d bytes",
                    l.number, (int)LONGEST);
        if (r->token[rank].n)
            MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: line %zu: rank %u was there before", l.number, rank);
        r->token[rank] = put_bytes(bytes, n, r->room);
        r->room += r->token[rank].n;
        r->kind[rank] = MT_TOKEN_NORMAL;
    }
    return MOTE_OK;
}

/* Merges the bytes of a token by the ranks below its own.  at[0, *n]: where the parts begin. */
static void merge_below(reader *r, uint32_t rank, const uint8_t *p, uint32_t *at, size_t *n)
{
    uint32_t pair[LONGEST];
    for (size_t i = 0; i <= *n; i++) at[i] = (uint32_t)i;
    for (size_t i = 0; i + 1 < *n; i++) pair[i] = (uint32_t)mt_pieces_find(&r->pieces, p + i, 2);
    while (*n > 2) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < *n; i++)
            if (pair[i] < pair[best]) best = i;
        r->steps += *n;
        if (pair[best] >= rank) return;          /* -1, no token, is the greatest */
        --*n;
        memmove(at + best + 1, at + best + 2, (*n - best) * sizeof *at);
        if (best + 1 < *n) memmove(pair + best, pair + best + 1, (*n - best - 1) * sizeof *pair);
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < *n; i++)
            pair[i] = (uint32_t)mt_pieces_find(&r->pieces, p + at[i], at[i + 2] - at[i]);
    }
}

/* Writes the merge of a token that has two parts; others are reached as whole words only. */
static void add_merge(reader *r, uint32_t rank)
{
    uint32_t at[LONGEST + 1];
    const mt_str s = mt_pieces_bytes(&r->pieces, rank);
    const uint8_t *p = (const uint8_t *)s.p;
    size_t n = s.n;
    if (n < 2) return;
    merge_below(r, rank, p, at, &n);
    if (n != 2) return;
    const mt_str left = put_bytes(p, at[1], r->room);
    r->room[left.n] = ' ';
    const mt_str right = put_bytes(p + at[1], s.n - at[1], r->room + left.n + 1);
    r->merge[r->n_merge++] = (mt_str){ left.p, left.n + 1 + right.n };
    r->room += left.n + 1 + right.n;
}

static mote_status read_merges(reader *r, mt_arena *arena, mote_error *err)
{
    const mt_vocab v = { .n_token = r->n, .token = r->token };
    uint8_t *role = mt_arena_push_zero(arena, r->n);         /* MT_ROLE_ORDINARY */
    if (!role) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", r->n);
    MT_TRY(mt_pieces_init(&r->pieces, &v, role, false, arena, err));
    if (r->pieces.n_twin)
        MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: %zu tokens are there twice", r->pieces.n_twin);
    for (uint32_t rank = 0; rank < r->n; rank++) {
        add_merge(r, rank);
        if (r->steps > BUDGET)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "tiktoken file: tokens up to rank %u need more than %llu steps "
                    "to take apart", rank, (unsigned long long)BUDGET);
    }
    return MOTE_OK;
}

mote_status mt_tiktoken_read(mt_vocab *v, mt_str file, mt_arena *arena, mote_error *err)
{
    reader r = { 0 };
    size_t room;
    MT_TRY(count_ranks(file, &r.n, err));
    /* A token of b bytes has at least 4 b / 3 in the file, and takes at most 2 b as a token and
     * 2 b + 1 as a merge. */
    if (!mt_mul_ok(file.n, 4, &room)) MT_FAIL(err, MOTE_EFORMAT, "tiktoken file: %zu bytes", file.n);
    r.token = mt_arena_push_n(arena, r.n, sizeof *r.token);
    r.kind = mt_arena_push(arena, r.n * sizeof *r.kind);
    r.merge = mt_arena_push(arena, r.n * sizeof *r.merge);
    r.room = mt_arena_push(arena, room);
    if (!r.token || !r.kind || !r.merge || !r.room)
        MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", r.n);
    for (size_t i = 0; i < r.n; i++) r.kind[i] = MT_TOKEN_UNUSED;
    MT_TRY(read_tokens(&r, file, err));
    mt_arena scratch;
    mt_arena_init(&scratch, arena->alloc, 4096);
    const mote_status status = read_merges(&r, &scratch, err);
    mt_arena_reset(&scratch);
    *v = (mt_vocab){ .model = mt_str_of("gpt2"), .n_token = r.n, .token = r.token, .kind = r.kind,
                     .n_merge = r.n_merge, .merge = r.merge, .bos = -1, .eos = -1, .eot = -1,
                     .unk = -1, .pad = -1, .ignore_merges = true };
    return status;
}
