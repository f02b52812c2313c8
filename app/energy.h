/* SPDX-License-Identifier: MIT */
/* energy.h - joules that a piece of work took, where the machine tells. */
#ifndef ENERGY_H
#define ENERGY_H

#include <stdbool.h>
#include <stdint.h>

enum { ENERGY_COUNTERS = 16, ENERGY_PATH = 512 };

typedef enum energy_kind { ENERGY_NONE, ENERGY_RAPL, ENERGY_HWMON, ENERGY_BATTERY } energy_kind;

typedef struct energy_counter {
    char path[ENERGY_PATH];
    uint64_t last, range;       /* microjoules; range 0: never starts over */
} energy_counter;

typedef struct energy_meter {
    energy_kind kind;
    char source[128];           /* "RAPL package-0, dram"; "" when there is none */
    char why[256];              /* kind NONE: why not */
    energy_counter counter[ENERGY_COUNTERS];
    int n_counter;
    double joules;              /* since energy_start; the battery's: by energy_stop */
    double started, watts;      /* the battery's last reading */
} energy_meter;

void energy_open(energy_meter *e, const char *sys);      /* sys: "/sys" */
/* Work stands between start and stop, both with the time in seconds.  Counters start over after
 * minutes, so a piece of work should not last longer than that. */
void energy_start(energy_meter *e, double now);
/* False: not readable, or nothing moved.  Never says 0. */
bool energy_stop(energy_meter *e, double now, double *joules);

#endif
