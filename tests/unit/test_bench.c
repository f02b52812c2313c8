/* SPDX-License-Identifier: MIT */
/* test_bench.c - the statistics of `mote bench` and its energy meter, on made-up machines.
 *
 * Intervals are compared with published tables (Conover; Mann and Whitney) and with how often they
 * hold the truth on drawn samples; the meter reads folders that look like Linux's /sys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench_stats.h"
#include "energy.h"

static bool near(double a, double b) { return fabs(a - b) <= 1e-9 * fabs(b) + 1e-12; }
#define NEAR(a, b) assert_true(near(a, b))

/* ---- statistics -------------------------------------------------------------- */
static void test_median(void **state)
{
    (void)state;
    NEAR(stats_median((double[]){ 3 }, 1), 3);
    NEAR(stats_median((double[]){ 9, 1, 5 }, 3), 5);
    NEAR(stats_median((double[]){ 9, 1, 5, 7 }, 4), 6);
    NEAR(stats_median(NULL, 0), 0);
}

/* Coverage of [x(k), x(n+1-k)]: 1 - 2 P(B(n, 1/2) < k), as the tables of the sign test give it. */
static void test_interval(void **state)
{
    (void)state;
    static const struct { int n, low, high; double coverage; } known[] = {
        { 1, 1, 1, 0 }, { 2, 1, 2, 0.5 }, { 5, 1, 5, 0.9375 }, { 6, 1, 6, 0.96875 }, { 8, 1, 8, 0.9921875 },
        { 9, 2, 8, 0.9609375 }, { 12, 3, 10, 0.96142578125 }, { 15, 4, 12, 0.96484375 },
        { 20, 6, 15, 0.958610534668 },
    };
    double v[20];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        for (int k = 0; k < known[i].n; k++) v[k] = known[i].n - k;     /* backwards */
        const stats_interval r = stats_of(v, known[i].n);
        NEAR(r.low, known[i].low);
        NEAR(r.high, known[i].high);
        NEAR(r.mid, (known[i].n + 1) / 2.0);
        assert_true(fabs(r.coverage - known[i].coverage) < 1e-9);
    }
}

/* Critical values of U at 5 %, two-sided, from Mann and Whitney's table. */
static void test_ratio_against_the_table(void **state)
{
    (void)state;
    static const struct { int na, nb, u; } known[] = {
        { 4, 4, 0 }, { 5, 5, 2 }, { 6, 6, 5 }, { 5, 8, 6 }, { 7, 7, 8 }, { 8, 8, 13 }, { 9, 9, 17 },
        { 10, 10, 23 }, { 12, 9, 26 }, { 15, 15, 64 }, { 20, 20, 127 },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double a[20], b[20], q[400];
        const int na = known[i].na, nb = known[i].nb, n = na * nb, u = known[i].u;
        /* all quotients differ, so that the place of the bound can be read from its value */
        for (int k = 0; k < na; k++) a[k] = exp(-k);
        for (int k = 0; k < nb; k++) b[k] = exp(k * 0.01);
        for (int k = 0; k < n; k++) q[k] = b[k % nb] / a[k / nb];
        const stats_interval r = stats_ratio(a, na, b, nb);
        int below = 0, above = 0;
        for (int k = 0; k < n; k++) {
            below += q[k] < r.low;
            above += q[k] > r.high;
        }
        assert_int_equal(below, u);
        assert_int_equal(above, u);
        assert_true(r.coverage >= 0.95);
    }
}

static double draw(uint64_t *state)      /* xorshift64*, in (0, 1) */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return ((double)(*state * 0x2545f4914f6cdd1dull >> 11) + 0.5) / 9007199254740992.0;
}

/* A skewed distribution, like a machine with neighbours: its median is 1 + 0.2 ln 2. */
static double speed(uint64_t *state) { return 1 - 0.2 * log(draw(state)); }

static void test_coverage(void **state)
{
    (void)state;
    enum { DRAWS = 4000, RUNS = 9 };
    uint64_t seed = 12345;
    int in_median = 0, in_ratio = 0, in_many = 0;
    double a[30], b[30];
    for (int i = 0; i < DRAWS; i++) {
        for (int k = 0; k < 30; k++) a[k] = speed(&seed), b[k] = 1.3 * speed(&seed);
        const stats_interval m = stats_of(a, RUNS), r = stats_ratio(a, RUNS, b, RUNS), many = stats_ratio(a, 30, b, 30);
        in_median += m.low <= 1 + 0.2 * log(2) && m.high >= 1 + 0.2 * log(2);
        in_ratio += r.low <= 1.3 && r.high >= 1.3;
        in_many += many.low <= 1.3 && many.high >= 1.3;
    }
    print_message("seed 12345: median %.3f, quotient %.3f, of 30 runs %.3f\n", (double)in_median / DRAWS,
                  (double)in_ratio / DRAWS, (double)in_many / DRAWS);
    assert_in_range(in_median, (int)(0.945 * DRAWS), (int)(0.977 * DRAWS));
    assert_in_range(in_ratio, (int)(0.94 * DRAWS), (int)(0.97 * DRAWS));
    assert_in_range(in_many, (int)(0.935 * DRAWS), (int)(0.965 * DRAWS));
}

static void test_verdict(void **state)
{
    (void)state;
    static const struct { stats_interval r; stats_verdict want; } known[] = {
        { { 0.99, 1.00, 1.01, 0.96 }, STATS_SAME },  { { 1.002, 1.004, 1.006, 0.96 }, STATS_SAME },
        { { 0.98, 1.005, 1.029, 0.96 }, STATS_SAME }, { { 1.01, 1.02, 1.03, 0.96 }, STATS_FASTER },
        { { 1.20, 1.50, 1.80, 0.95 }, STATS_FASTER }, { { 0.80, 0.90, 0.99, 0.99 }, STATS_SLOWER },
        { { 0.90, 1.00, 1.10, 0.96 }, STATS_NOISY },  { { 1.50, 1.60, 1.70, 0.90 }, STATS_FEW },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(stats_judge(&known[i].r), known[i].want);
}

/* ---- energy ---------------------------------------------------------------------- */
static char sys[64];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", sys, path);
    for (char *p = full + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(full, 0700);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_sys(void **state)
{
    (void)state;
    snprintf(sys, sizeof sys, "/tmp/mote-sys-XXXXXX");
    return mkdtemp(sys) ? 0 : -1;
}

static int drop_sys(void **state)
{
    char line[128];
    (void)state;
    snprintf(line, sizeof line, "rm -rf '%s'", sys);
    return system(line);
}

static void test_rapl(void **state)
{
    energy_meter e;
    double j = -1;
    (void)state;
    put("class/powercap/intel-rapl/enabled", "1\n");
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    put("class/powercap/intel-rapl:0/max_energy_range_uj", "10000000\n");
    put("class/powercap/intel-rapl:0/energy_uj", "9000000\n");
    put("class/powercap/intel-rapl:0:0/name", "core\n");
    put("class/powercap/intel-rapl:0:0/energy_uj", "77\n");
    put("class/powercap/intel-rapl:0:1/name", "dram\n");
    put("class/powercap/intel-rapl:0:1/energy_uj", "100\n");
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_RAPL);
    assert_string_equal(e.source, "RAPL package-0, dram");
    energy_start(&e, 1);
    put("class/powercap/intel-rapl:0/energy_uj", "1000000\n");       /* started over */
    put("class/powercap/intel-rapl:0:1/energy_uj", "500100\n");
    assert_true(energy_stop(&e, 2, &j));
    NEAR(j, 2.5);
    energy_start(&e, 3);        /* a counter that stands still is no zero */
    assert_false(energy_stop(&e, 4, &j));
    assert_non_null(strstr(e.why, "does not move"));
    unlink(e.counter[0].path);
    energy_start(&e, 5);
    assert_false(energy_stop(&e, 6, &j));
}

static void test_rapl_of_root(void **state)
{
    energy_meter e;
    (void)state;
    put("class/powercap/intel-rapl:0/name", "package-0\n");
    char path[256];
    snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:0/energy_uj", sys);
    assert_int_equal(mkdir(path, 0), 0);         /* unreadable to root as well */
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_NONE);
    assert_non_null(strstr(e.why, "energy_uj: "));
}

static void test_hwmon(void **state)
{
    energy_meter e;
    double j;
    (void)state;
    put("class/hwmon/hwmon0/temp1_input", "40000\n");
    put("class/hwmon/hwmon1/energy1_input", "5000000\n");
    put("class/hwmon/hwmon1/energy1_label", "Ecore000\n");
    put("class/hwmon/hwmon1/energy2_input", "7000000\n");
    put("class/hwmon/hwmon1/energy2_label", "Esocket0\n");
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_HWMON);
    assert_string_equal(e.source, "hwmon Esocket0");
    energy_start(&e, 0);
    put("class/hwmon/hwmon1/energy2_input", "7250000\n");
    assert_true(energy_stop(&e, 1, &j));
    NEAR(j, 0.25);
}

static void test_battery(void **state)
{
    energy_meter e;
    double j;
    (void)state;
    put("class/power_supply/AC/type", "Mains\n");
    put("class/power_supply/BAT0/type", "Battery\n");
    put("class/power_supply/BAT0/status", "Charging\n");
    put("class/power_supply/BAT0/current_now", "1000000\n");
    put("class/power_supply/BAT0/voltage_now", "12000000\n");
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_NONE);
    assert_non_null(strstr(e.why, "does not discharge"));
    put("class/power_supply/BAT0/status", "Discharging\n");
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_BATTERY);
    energy_start(&e, 10);
    put("class/power_supply/BAT0/current_now", "-2000000\n");
    assert_true(energy_stop(&e, 13, &j));
    NEAR(j, 54);                /* 18 W for 3 s */
}

static void test_no_energy(void **state)
{
    energy_meter e;
    double j = 5;
    (void)state;
    energy_open(&e, sys);
    assert_int_equal(e.kind, ENERGY_NONE);
    assert_string_equal(e.why, "no RAPL, no energy sensor, no battery");
    energy_start(&e, 0);
    assert_false(energy_stop(&e, 1, &j));
    NEAR(j, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_ratio_against_the_table),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_verdict),
        cmocka_unit_test_setup_teardown(test_rapl, make_sys, drop_sys),
        cmocka_unit_test_setup_teardown(test_rapl_of_root, make_sys, drop_sys),
        cmocka_unit_test_setup_teardown(test_hwmon, make_sys, drop_sys),
        cmocka_unit_test_setup_teardown(test_battery, make_sys, drop_sys),
        cmocka_unit_test_setup_teardown(test_no_energy, make_sys, drop_sys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
