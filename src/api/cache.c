/* SPDX-License-Identifier: MIT */
/* cache.c - what a cache_dir holds, for programs that show or remove it. */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "plan/side.h"

typedef struct listing {
    const char *folder;
    mote_cache_fn fn;
    void *user;
    bool has_stopped, has_failed;
} listing;

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

static bool show(listing *l, const char *name, mt_arena *a)
{
    const size_t n = strlen(l->folder) + strlen(name) + 2;
    mote_cache_item item = { 0 };
    mt_side_head head;
    mt_file f;
    char *path = mt_arena_push(a, n);
    if (!path) return false;
    snprintf(path, n, "%s/%s", l->folder, name);
    if (mt_file_open(&f, path, NULL) != MOTE_OK) return true;
    item.path = path, item.bytes = f.size;
    /* a draft, or a damaged file, does not tell whose it is */
    if (mt_side_read(&f, a, &head, NULL) == MOTE_OK) item.model = mt_arena_string(a, head.source);
    mt_file_close(&f);
    l->has_stopped = !l->fn(l->user, &item);
    return true;
}

static void on_name(void *user, const char *name)
{
    listing *l = user;
    if (l->has_stopped || l->has_failed || !(ends_with(name, MT_SIDE_ENDING) || ends_with(name, MT_SIDE_DRAFT))) return;
    mt_arena a;
    mt_arena_init(&a, NULL, 1 << 12);
    l->has_failed = !show(l, name, &a);
    mt_arena_reset(&a);
}

mote_status mote_cache_each(const char *cache_dir, mote_cache_fn fn, void *user, mote_error *err)
{
    if (!cache_dir || !fn) MT_FAIL(err, MOTE_EINVAL, "cache: folder and function must not be NULL");
    listing l = { cache_dir, fn, user, false, false };
    mt_folder_each(cache_dir, on_name, &l);
    if (l.has_failed) MT_FAIL(err, MOTE_ENOMEM, "cache: no memory to list %s", mt_path_end(cache_dir));
    return MOTE_OK;
}
