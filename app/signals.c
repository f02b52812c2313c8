/* SPDX-License-Identifier: MIT */
/* signals.c - Ctrl-C and SIGTERM.
 *
 * The handler counts and cancels the session under way (an atomic store by contract of
 * mote_session_cancel); everything else happens where the count is looked at.  No SA_RESTART: a
 * read or poll that waits comes back with EINTR. */
#include "app.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int seen;
static _Atomic(mote_session *) guarded;

static void on_interrupt(int number)
{
    (void)number;
    /* nobody has looked twice: whatever holds us up, the person wants to leave */
    if (atomic_fetch_add(&seen, 1) >= 2) _exit(ST_INTERRUPTED);
    mote_session *s = atomic_load(&guarded);
    if (s) mote_session_cancel(s);
}

void signals_init(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_interrupt;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

int  signals_seen(void) { return atomic_load(&seen); }
void signals_clear(void) { atomic_store(&seen, 0); }
void signals_guard(mote_session *s) { atomic_store(&guarded, s); }
