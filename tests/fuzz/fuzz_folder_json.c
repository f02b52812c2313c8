/* SPDX-License-Identifier: MIT */
/* fuzz_folder_json.c - any bytes as config.json, and as the index of a folder's shards. */
#include "base/json_pull.h"
#include "fuzz/source_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read by the pull reader in two ways: both agree, and raw values are whole. */
static void read_json(const uint8_t *data, size_t size)
{
    mt_pull j, again;
    mt_str raw = { NULL, 0 };
    mt_pull_init(&j, (mt_str){ (const char *)data, size }, "input", MT_PULL_MAX_DEPTH, NULL, NULL);
    again = j;
    mt_pull_skip(&j);
    const bool has_raw = mt_pull_raw(&again, &raw);
    if (has_raw != (j.status == MOTE_OK) || mt_pull_end(&j) != mt_pull_end(&again)) abort();
    look(raw.p, has_raw ? raw.n : 0);
}

static void read_config(const uint8_t *data, size_t size)
{
    fail_alloc fa;
    mt_gather g;
    mt_source s = { .path = "input" };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 4096);
    mt_gather_init(&g, &s, &err);
    mote_status status = mt_config_read(&g, (mt_str){ (const char *)data, size }, "config.json", "");
    if (status == MOTE_OK) status = mt_gather_end(&g);
    mt_gather_close(&g);
    look_at_source(&s, status, &err, &fa, size);
    mt_arena_reset(&s.arena);
    fail_alloc_check(&fa);
}

static void read_index(const uint8_t *data, size_t size)
{
    fail_alloc fa;
    mt_gather g;
    mt_source s = { .path = "/nowhere" };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 4096);
    mt_gather_init(&g, &s, &err);
    const mote_status status = mt_index_read(&g, (mt_str){ (const char *)data, size }, "/nowhere", "index.json");
    if (status == MOTE_OK || err.code != status || strlen(err.text) < 10) abort();      /* no file is there */
    if (status == MOTE_ENOMEM || fa.peak > 8 * size + (64 << 20)) abort();
    mt_gather_close(&g);
    mt_arena_reset(&s.arena);
    fail_alloc_check(&fa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_json(data, size);
    read_config(data, size);
    read_index(data, size);
    return 0;
}
