/* SPDX-License-Identifier: MIT */
/* side.c - one model's side file: found by key, mapped, proved at first use, written behind the
 * first answer.
 *
 * The file's name is its key: SHA-256 of the header, tensor table and 64 blocks of 4 KiB of each of
 * the model's files, of their sizes and times, of the settings beside them, of the layouts in use and
 * of the format's version.  Another model, or
 * another mote, asks for another name; the folder keeps one file for each model, so what an older
 * state of the same model left is removed when the new one is written. */
#include "plan/side.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    N_SAMPLE = 64, SAMPLE = 4096,    /* blocks of the model that the key looks at */
    PIECE = 1 << 20,                 /* summed by one thread at a time */
    WRITE = 4 << 20,                 /* whole large pages, so that the page cache keeps them as such */
    SECTION_ALIGN = 2 << 20
};
static const size_t reserve = (size_t)1 << 30;  /* left free on the disk */

/* Seconds.  Writing slows a pass that runs beside it, even from the lowest priority: the kernel's own
 * threads do part of it.  So it waits for a pause, or for closing, but not for ever. */
static const double pause_wanted = 0.25, pause_awaited = 30;

typedef enum phase { SUM_ITEMS, WRITE_SECTION, PUBLISH, FINISHED } phase;

struct mt_side {
    const mote_alloc *alloc;
    mt_arena arena;
    mt_side_opts o;
    mt_side_head head;
    const char *folder, *path, *temp;
    bool has_warned;                 /* one line for each model is enough */
    /* first use */
    pthread_mutex_t lock;
    atomic_bool is_proved;
    /* writing */
    pthread_t thread;
    atomic_bool has_thread;
    bool keeps_newer;                /* a file that appeared meanwhile is as good */
    atomic_bool is_closing;
    _Atomic double last_pass;        /* mt_now when it began */
    pthread_cond_t wake;             /* with lock: is_closing */
    phase phase;
    size_t at;                       /* row to sum, or byte to write */
    mt_draft draft;
    uint8_t *head_bytes;             /* n_head of them: room for the printed head */
    size_t n_head;
};

/* ---- names -------------------------------------------------------------------- */

static void add_number(mt_sha256 *h, uint64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> (8 * i));
    mt_sha256_add(h, bytes, sizeof bytes);
}

/* The 64 blocks lie evenly over the data; a small model is taken whole. */
static mote_status add_samples(mt_sha256 *h, const mt_side_part *part, const mt_file *f, mote_error *err)
{
    uint8_t block[SAMPLE];
    const size_t data = part->bytes - part->data_at;
    const bool is_small = data <= (size_t)N_SAMPLE * SAMPLE;
    const size_t n = is_small ? (data + SAMPLE - 1) / SAMPLE : N_SAMPLE;
    for (size_t i = 0; i < n; i++) {
        const size_t at = is_small ? i * SAMPLE : (data - SAMPLE) / (N_SAMPLE - 1) * i;
        const size_t take = MT_MIN(data - at, (size_t)SAMPLE);
        MT_TRY(mt_file_read(f, part->data_at + at, block, take, err));
        mt_sha256_add(h, block, take);
    }
    return MOTE_OK;
}

/* A hub's cache names files by links, and the time of a link says nothing of the file. */
static mote_status open_part(mt_side *s, mt_file *f, const char *path, mote_error *err)
{
    const mt_arena_mark mark = mt_arena_mark_get(&s->arena);
    const char *real = mt_path_real(&s->arena, path);
    const mote_status st = real ? mt_file_open(f, real, err)
                           : mt_fail(err, MOTE_EIO, "%s: its path cannot be told", mt_path_end(path));
    mt_arena_rewind(&s->arena, mark);
    return st;
}

static mote_status add_part(mt_side *s, mt_sha256 *h, const mt_side_part *part, mote_error *err)
{
    mt_file f;
    MT_TRY(open_part(s, &f, part->path, err));
    mote_status st = MOTE_OK;
    if (f.size != part->bytes)
        st = mt_fail(err, MOTE_EIO, "%s has %zu bytes now, %zu when it was opened", mt_path_end(part->path), f.size,
                     part->bytes);
    add_number(h, f.size);
    add_number(h, (uint64_t)f.mtime);
    add_number(h, part->head_bytes);
    mt_sha256_add(h, part->head, part->head_bytes);
    if (st == MOTE_OK) st = add_samples(h, part, &f, err);
    mt_file_close(&f);
    return st;
}

static mote_status find_key(mt_side *s, mote_error *err)
{
    static const char purpose[] = "mote packed weights";
    const mt_side_opts *o = &s->o;
    mt_sha256 h;
    mt_sha256_init(&h);
    mt_sha256_add(&h, purpose, sizeof purpose);
    add_number(&h, MT_SIDE_VERSION);
    add_number(&h, o->layouts);
    add_number(&h, o->settings.n);
    if (o->settings.n) mt_sha256_add(&h, o->settings.p, o->settings.n);
    add_number(&h, o->n_part);
    for (size_t i = 0; i < o->n_part; i++) MT_TRY(add_part(s, &h, &o->part[i], err));
    mt_sha256_end(&h, s->head.key);
    return MOTE_OK;
}

static char *join(mt_side *s, const char *name, const char *ending)
{
    const size_t n = strlen(s->folder) + strlen(name) + strlen(ending) + 2;
    char *path = mt_arena_push(&s->arena, n);
    if (path) snprintf(path, n, "%s/%s%s", s->folder, name, ending);
    return path;
}

static mote_status find_names(mt_side *s, mote_error *err)
{
    char name[33];
    if (!mt_folder_make(s->o.folder)) MT_FAIL(err, MOTE_EIO, "%s: cannot make the folder", mt_path_end(s->o.folder));
    s->folder = mt_path_real(&s->arena, s->o.folder);
    s->head.source = mt_str_of(mt_path_real(&s->arena, s->o.source));
    if (!s->folder || !s->head.source.n || s->head.source.n > MT_SIDE_MAX_PATH)
        MT_FAIL(err, MOTE_EIO, "%s: its path cannot be told", mt_path_end(s->o.source));
    MT_TRY(find_key(s, err));
    for (int i = 0; i < 16; i++) snprintf(name + 2 * i, 3, "%02x", s->head.key[i]);
    s->path = join(s, name, MT_SIDE_ENDING);
    s->temp = join(s, name, MT_SIDE_DRAFT);
    if (!s->path || !s->temp) MT_FAIL(err, MOTE_ENOMEM, "no memory for names");
    return MOTE_OK;
}

static void warn(mt_side *s, const char *then, const mote_error *why)
{
    mt_log(s->has_warned ? 3 : 1, "packed weights %s%s: %s", then, s->path ? mt_path_end(s->path) : "", why->text);
    s->has_warned = true;
}

mt_side *mt_side_open(const mt_side_opts *o, const mote_alloc *alloc)
{
    mote_error why = { 0 };
    mt_side *s = mt_get(alloc, sizeof *s, MT_ALIGN);
    if (!s) return NULL;
    memset(s, 0, sizeof *s);
    s->alloc = alloc, s->o = *o, s->phase = FINISHED, s->draft.fd = -1;
    s->head.section_at = mt_pad(mt_side_head_bytes(o->n_row, MT_SIDE_MAX_PATH), SECTION_ALIGN);
    s->head.section_bytes = o->bytes, s->head.n_row = (uint32_t)o->n_row;
    mt_arena_init(&s->arena, alloc, 1 << 12);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    const bool is_named = o->n_row <= MT_SIDE_MAX_ROW && find_names(s, &why) == MOTE_OK;
    s->o.part = NULL, s->o.n_part = 0, s->o.settings = (mt_str){ NULL, 0 };
    if (is_named) return s;
    warn(s, "are not kept", &why);
    mt_side_close(s);
    return NULL;
}

/* ---- mapping -------------------------------------------------------------------- */

/* The table must be the one this net lays out; then only the sums are news. */
static mote_status check_table(const mt_side *s, const mt_side_head *h, mote_error *err)
{
    if (memcmp(h->key, s->head.key, sizeof h->key) != 0) MT_FAIL(err, MOTE_EFORMAT, "made from another model");
    bool same = h->n_row == s->head.n_row && h->section_bytes == s->head.section_bytes;
    for (size_t i = 0; same && i < h->n_row; i++) {
        mt_side_row r = mt_side_row_at(h, i);
        s->o.row[i].crc = r.crc;
        same = memcmp(&r, &s->o.row[i], sizeof r) == 0;
    }
    if (!same) MT_FAIL(err, MOTE_EFORMAT, "another layout of the weights");
    return MOTE_OK;
}

static mote_status try_map(mt_side *s, bool *is_absent, mote_error *err)
{
    mt_file f;
    mt_side_head h;
    mote_status st = mt_file_open(&f, s->path, err);
    *is_absent = st != MOTE_OK && f.is_absent;
    if (st != MOTE_OK) return st;
    const mt_arena_mark mark = mt_arena_mark_get(&s->arena);
    st = mt_side_read(&f, &s->arena, &h, err);
    if (st == MOTE_OK) st = check_table(s, &h, err);
    if (st == MOTE_OK) st = mt_file_map(&f, (size_t)h.section_at, s->o.pages, s->o.bytes, err);
    mt_arena_rewind(&s->arena, mark);
    mt_file_close(&f);
    return st;
}

bool mt_side_map(mt_side *s)
{
    mote_error why = { 0 };
    bool is_absent;
    if (try_map(s, &is_absent, &why) == MOTE_OK) return true;
    atomic_store(&s->is_proved, true);
    s->keeps_newer = is_absent;
    if (!is_absent) warn(s, "are made again, not taken from ", &why);
    return false;
}

/* ---- the first use ---------------------------------------------------------------- */

typedef struct proof {
    const mt_side *side;
    uint32_t *sum;                   /* by piece */
    atomic_size_t next;              /* piece nobody has taken */
    atomic_bool is_unreadable;
} proof;

static size_t pieces_of(const mt_side_row *r) { return (size_t)((r->bytes + PIECE - 1) / PIECE); }
static size_t piece_bytes(const mt_side_row *r, size_t i) { return MT_MIN((size_t)r->bytes - i * PIECE, (size_t)PIECE); }

static void sum_pieces(void *arg, int ith, int nth)
{
    (void)ith;
    (void)nth;
    proof *p = arg;
    const mt_side_opts *o = &p->side->o;
    size_t row = 0, first = 0;       /* first: piece of row */
    for (;;) {
        const size_t at = atomic_fetch_add(&p->next, 1);
        while (row < o->n_row && at - first >= pieces_of(&o->row[row])) first += pieces_of(&o->row[row++]);
        if (row == o->n_row || atomic_load(&p->is_unreadable)) return;
        const mt_side_row *r = &o->row[row];
        const uint8_t *bytes = o->pages + r->offset + (at - first) * PIECE;
        const size_t n = piece_bytes(r, at - first);
        if (mt_pages_touch(bytes, n)) p->sum[at] = mt_crc32c(0, bytes, n);
        else atomic_store(&p->is_unreadable, true);
    }
}

static mote_status check_items(const mt_side *s, mt_pool *pool, mote_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->o.n_row; i++) n += pieces_of(&s->o.row[i]);
    proof p = { .side = s, .sum = mt_get(s->alloc, n * sizeof *p.sum, MT_ALIGN) };
    if (!p.sum) MT_FAIL(err, MOTE_ENOMEM, "no memory to prove them");
    mt_pool_run(pool, sum_pieces, &p);
    mote_status st = MOTE_OK;
    if (atomic_load(&p.is_unreadable)) st = mt_fail(err, MOTE_EIO, "a part cannot be read");
    for (size_t i = 0, piece = 0; st == MOTE_OK && i < s->o.n_row; i++) {
        const mt_side_row *r = &s->o.row[i];
        uint32_t sum = 0;
        for (size_t k = 0; k < pieces_of(r); k++) sum = mt_crc32c_join(sum, p.sum[piece++], piece_bytes(r, k));
        if (sum != r->crc) st = mt_fail(err, MOTE_EFORMAT, "the checksum of weight %zu is wrong", i);
    }
    mt_put(s->alloc, p.sum, n * sizeof *p.sum);
    return st;
}

mote_status mt_side_prove(mt_side *s, mt_pool *pool, void (*pack)(void *arg), void *arg, mote_error *err)
{
    if (atomic_load_explicit(&s->has_thread, memory_order_relaxed))
        atomic_store_explicit(&s->last_pass, mt_now(), memory_order_relaxed);
    if (MT_LIKELY(atomic_load_explicit(&s->is_proved, memory_order_acquire))) return MOTE_OK;
    mote_error why = { 0 };
    mote_status st = MOTE_OK;
    pthread_mutex_lock(&s->lock);
    if (!atomic_load(&s->is_proved) && check_items(s, pool, &why) != MOTE_OK) {
        warn(s, "are made again, not taken from ", &why);
        if (mt_pages_renew(s->o.pages, s->o.bytes)) {
            mt_pages_huge(s->o.pages, s->o.bytes);
            pack(arg);
            mt_side_write(s);
        } else {
            st = mt_fail(err, MOTE_ENOMEM, "weights: no memory for %zu packed bytes", s->o.bytes);
        }
    }
    atomic_store_explicit(&s->is_proved, st == MOTE_OK, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* ---- writing ---------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && strcmp(name + n - m, ending) == 0;
}

static bool is_of_this_model(mt_side *s, const char *path)
{
    mt_side_head h;
    mt_file f;
    if (mt_file_open(&f, path, NULL) != MOTE_OK) return false;
    const bool is = mt_side_read(&f, &s->arena, &h, NULL) == MOTE_OK && mt_str_eq(h.source, s->head.source);
    mt_file_close(&f);
    return is;
}

/* What the folder holds besides: drafts that a crash left, and older states of this model. */
static void sweep(void *user, const char *name)
{
    mt_side *s = user;
    const mt_arena_mark mark = mt_arena_mark_get(&s->arena);
    const char *path = join(s, name, "");
    if (path && ends_with(name, MT_SIDE_DRAFT) && strcmp(path, s->temp) != 0) mt_draft_sweep(path);
    if (path && ends_with(name, MT_SIDE_ENDING) && strcmp(path, s->path) != 0 && is_of_this_model(s, path))
        mt_file_remove(path);
    mt_arena_rewind(&s->arena, mark);
}

static mote_status begin(mt_side *s, mote_error *err)
{
    mt_file newer;
    mt_folder_each(s->folder, sweep, s);
    MT_TRY(mt_draft_open(&s->draft, s->path, s->temp, (size_t)s->head.section_at + s->o.bytes, reserve, err));
    if (s->keeps_newer && mt_file_open(&newer, s->path, NULL) == MOTE_OK) {
        mt_file_close(&newer);
        MT_FAIL(err, MOTE_ECANCELLED, "just written");
    }
    s->n_head = mt_side_head_bytes(s->o.n_row, s->head.source.n);
    s->head_bytes = mt_arena_push(&s->arena, s->n_head);
    if (!s->head_bytes) MT_FAIL(err, MOTE_ENOMEM, "no memory for a head of %zu bytes", s->n_head);
    return MOTE_OK;
}

static mote_status publish(mt_side *s, mote_error *err)
{
    mt_side_print(&s->head, s->o.row, s->head_bytes);
    MT_TRY(mt_draft_write(&s->draft, 0, s->head_bytes, s->n_head, err));
    return mt_draft_publish(&s->draft, err);
}

/* A small part of the work, so that closing need not wait for a thread that gets no time.  Nothing
 * here asks the caller's allocator: it need not be one for several threads. */
static mote_status advance(mt_side *s, mote_error *err)
{
    switch (s->phase) {
    case SUM_ITEMS:
        if (s->at < s->o.n_row) {
            mt_side_row *r = &s->o.row[s->at++];
            r->crc = mt_crc32c(0, s->o.pages + r->offset, (size_t)r->bytes);
            break;
        }
        s->at = 0;
        s->phase = WRITE_SECTION;
        break;
    case WRITE_SECTION: {
        const size_t n = MT_MIN(s->o.bytes - s->at, (size_t)WRITE);
        MT_TRY(mt_draft_write(&s->draft, (size_t)s->head.section_at + s->at, s->o.pages + s->at, n, err));
        s->at += n;
        if (s->at == s->o.bytes) s->phase = PUBLISH;
        break;
    }
    case PUBLISH:
        MT_TRY(publish(s, err));
        s->phase = FINISHED;
        break;
    case FINISHED:
        break;
    }
    return MOTE_OK;
}

static void give_up(mt_side *s, mote_status st, const mote_error *why)
{
    s->phase = FINISHED;
    mt_draft_close(&s->draft);
    if (st == MOTE_ECANCELLED) mt_log(3, "packed weights: %s", why->text);
    else warn(s, "are not kept in ", why);
}

static void work(mt_side *s, bool until_closing)
{
    mote_error why = { 0 };
    while (s->phase != FINISHED && !(until_closing && atomic_load(&s->is_closing))) {
        const mote_status st = advance(s, &why);
        if (st != MOTE_OK) give_up(s, st, &why);
    }
}

/* Until the model rests or is closed. */
static void await_pause(mt_side *s)
{
    const double start = mt_now();
    pthread_mutex_lock(&s->lock);
    for (double now = start; !atomic_load(&s->is_closing) && now - start < pause_awaited; now = mt_now()) {
        const double rest = pause_wanted - (now - atomic_load_explicit(&s->last_pass, memory_order_relaxed));
        if (rest <= 0) break;
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        const double until = (double)t.tv_nsec * 1e-9 + rest;
        t.tv_sec += (time_t)until;
        t.tv_nsec = (long)((until - (double)(time_t)until) * 1e9);
        pthread_cond_timedwait(&s->wake, &s->lock, &t);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *write_behind(void *arg)
{
    await_pause(arg);
#ifdef SCHED_IDLE
    /* time that nobody else wants: the answers under way do not slow down */
    const struct sched_param none = { 0 };
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
#endif
    work(arg, true);
    return NULL;
}

void mt_side_write(mt_side *s)
{
    sigset_t all, before;
    mote_error why = { 0 };
    const mote_status st = begin(s, &why);
    if (st != MOTE_OK) {
        give_up(s, st, &why);
        return;
    }
    s->phase = SUM_ITEMS, s->at = 0;
    atomic_store(&s->last_pass, mt_now());
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&s->has_thread, pthread_create(&s->thread, NULL, write_behind, s) == 0);    /* else closing writes */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void mt_side_close(mt_side *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->is_closing, true);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (atomic_load(&s->has_thread)) pthread_join(s->thread, NULL);
    work(s, false);
    mt_draft_close(&s->draft);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    mt_arena_reset(&s->arena);
    mt_put(s->alloc, s, sizeof *s);
}
