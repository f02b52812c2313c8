/* SPDX-License-Identifier: MIT */
/* check.h - the harness of the kernel check program.
 *
 * A case proves one slot of the kernel table at one level: it draws inputs from a seeded
 * generator, calls the slot and the reference, and states facts.  Buffers end at a page that
 * cannot be read and begin after canaries, so reading or writing too far is found. */
#ifndef MT_CHECK_H
#define MT_CHECK_H

#include "kernel/kernel.h"

typedef struct ck_case {
    const char *slot;
    void (*run)(void);          /* all passes */
    void (*bench)(void);        /* NULL: nothing to time */
    size_t at, bytes; /* the slot's pointers in mt_kern: unchanged means proved below */
} ck_case;
#define CK_SLOT(member) offsetof(mt_kern, member), sizeof(((mt_kern *)0)->member)

extern const ck_case ck_pack_cases[], ck_mm_cases[], ck_vec_cases[], ck_attend_cases[];

/* What runs now. */
extern const mt_kern *ck_kern, *ck_ref;         /* the level under test; the reference */
extern bool ck_quick;

/* Random numbers of the current case. */
uint64_t ck_bits(void);
int      ck_int(int lo, int hi);                /* both included */
float    ck_float(float lo, float hi);
float    ck_nasty(void);                        /* huge, tiny, zero, either sign */

/* Memory for one shape; ck_shape frees what the shape before got.  The usable bytes end `slack`
 * bytes (canaries) before an unreadable page; p is aligned when bytes + slack is. */
void *ck_mem(size_t bytes, size_t slack);
/* The same, copied and then read-only. */
const void *ck_const(const void *from, size_t bytes, size_t slack);
void *ck_plain(size_t bytes);                   /* 64-byte aligned, no guard */

void ck_shape(const char *fmt, ...) MT_PRINTF(1, 2); /* names what follows */
void ck_that(bool ok, const char *fmt, ...) MT_PRINTF(2, 3);
void ck_init_emulated_avxvnni(mt_kern *t);
void ck_init_emulated_k_avxvnni(mt_kern *t);
/* Says that part of this slot cannot be proven on this machine. */
void ck_skip(const char *what);
void ck_same(const char *what, const float *got, const float *expected,
             size_t n);                         /* NaN = NaN */
void ck_canaries(void);                         /* nothing wrote outside its buffer */

/* Prints the rate of work(arg): best of several runs, in units per second / 1e9. */
void ck_rate(const char *name, double units, const char *unit, void (*work)(const void *),
             const void *arg);

/* Distance of f from the exact value in units of the last place of the exact value's float. */
double ck_ulp(float f, double exact);

#endif
