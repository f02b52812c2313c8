/* SPDX-License-Identifier: MIT */
/* log.c - the hook that progress and warnings go through; silent until somebody sets one.
 *
 * The hook is one of the two pieces of global state.  Function and user pointer change together
 * under a lock, and the call happens outside it, so a hook may set another hook. */
#include "base/base.h"

#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mote_log_fn hook_fn;
static void *hook_user;
static atomic_bool has_hook;    /* spares the lock and the formatting when nobody listens */

void mote_log_to(mote_log_fn fn, void *user)
{
    pthread_mutex_lock(&lock);
    hook_fn = fn;
    hook_user = user;
    atomic_store(&has_hook, fn != NULL);
    pthread_mutex_unlock(&lock);
}

void mt_log(int level, const char *fmt, ...)
{
    if (!atomic_load(&has_hook)) return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0) return;
    for (unsigned char *p = (unsigned char *)line; *p; p++)
        if (*p < 0x20 || *p == 0x7F) *p = ' ';

    pthread_mutex_lock(&lock);
    const mote_log_fn fn = hook_fn;
    void *const user = hook_user;
    pthread_mutex_unlock(&lock);
    if (fn) fn(user, level, line);
}
