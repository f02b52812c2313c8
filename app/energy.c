/* SPDX-License-Identifier: MIT */
/* energy.c - joules from what Linux exports: RAPL counters, hwmon energy sensors, the battery.
 *
 * In this order, because that is the order of trust: RAPL counts the processor's packages (and
 * memory) in microjoules, hwmon likewise under another name, and a battery tells the power of the
 * whole machine every few seconds.  What cannot be read is said with its reason: virtual machines
 * have none of them, and RAPL belongs to root since it was used to spy. */
#include "energy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* First line of sys/a/b, without its end. */
static bool read_line(const char *folder, const char *name, char *out, size_t cap)
{
    char path[ENERGY_PATH + 64];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path) return false;
    FILE *f = fopen(path, "re");
    if (!f) return false;
    const bool ok = fgets(out, (int)cap, f) != NULL;
    fclose(f);
    if (ok) out[strcspn(out, "\n")] = 0;
    return ok;
}

static bool read_count(const char *path, uint64_t *out)
{
    char line[64], *end;
    FILE *f = fopen(path, "re");
    if (!f) return false;
    errno = 0;
    const bool ok = fgets(line, sizeof line, f) != NULL;
    const int e = errno;
    fclose(f);
    errno = e ? e : EIO;
    if (!ok) return false;
    *out = strtoull(line, &end, 10);
    return end != line;
}

/* Whether a folder's entry is one to look at; entries come in the order of their names. */
static int visible(const struct dirent *d) { return d->d_name[0] != '.'; }

static void name_source(energy_meter *e, const char *kind, const char *what)
{
    const size_t n = strlen(e->source);
    snprintf(e->source + n, sizeof e->source - n, "%s%s", n ? ", " : kind, what);
}

/* Adds a counter that can be read now; otherwise says why not. */
static bool add_counter(energy_meter *e, const char *folder, const char *file, uint64_t range)
{
    if (e->n_counter == ENERGY_COUNTERS) return false;
    energy_counter *c = &e->counter[e->n_counter];
    const int n = snprintf(c->path, sizeof c->path, "%s/%s", folder, file);
    if (n < 0 || (size_t)n >= sizeof c->path) return false;
    c->range = range;
    if (read_count(c->path, &c->last)) {
        e->n_counter++;
        return true;
    }
    snprintf(e->why, sizeof e->why, "%.180s: %s", c->path, strerror(errno));
    return false;
}

/* Packages, and memory where it has a counter of its own; cores are part of their package. */
static bool open_rapl(energy_meter *e, const char *sys)
{
    char top[ENERGY_PATH], zone[ENERGY_PATH + 64], name[32], range[32];
    struct dirent **list = NULL;
    snprintf(top, sizeof top, "%.400s/class/powercap", sys);
    const int n = scandir(top, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(zone, sizeof zone, "%s/%.60s", top, list[i]->d_name);
        free(list[i]);
        if (!read_line(zone, "name", name, sizeof name)) continue;
        if (strncmp(name, "package", 7) && strcmp(name, "dram")) continue;
        const uint64_t most = read_line(zone, "max_energy_range_uj", range, sizeof range)
                                  ? strtoull(range, NULL, 10) : 0;
        if (add_counter(e, zone, "energy_uj", most)) name_source(e, "RAPL ", name);
    }
    free(list);
    e->kind = e->n_counter ? ENERGY_RAPL : ENERGY_NONE;
    return e->n_counter > 0;
}

/* Sockets where the sensors name them (their cores would count twice), else all. */
static int add_sensors(energy_meter *e, const char *chip, bool sockets_only)
{
    struct dirent **list = NULL;
    char label_file[64], label[64];
    int added = 0, index, used;
    const int n = scandir(chip, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        const char *file = list[i]->d_name;
        used = 0;
        if (sscanf(file, "energy%d_input%n", &index, &used) == 1 && used && !file[used]) {
            snprintf(label_file, sizeof label_file, "energy%d_label", index);
            if (!read_line(chip, label_file, label, sizeof label)) snprintf(label, sizeof label, "%.40s", file);
            const bool is_socket = strstr(label, "socket") || strstr(label, "package");
            if (is_socket == sockets_only && add_counter(e, chip, file, 0)) {
                name_source(e, "hwmon ", label);
                added++;
            }
        }
        free(list[i]);
    }
    free(list);
    return added;
}

static bool open_hwmon(energy_meter *e, const char *sys)
{
    char top[ENERGY_PATH], chip[ENERGY_PATH + 64];
    struct dirent **list = NULL;
    snprintf(top, sizeof top, "%.400s/class/hwmon", sys);
    const int n = scandir(top, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(chip, sizeof chip, "%s/%.60s", top, list[i]->d_name);
        free(list[i]);
        if (!add_sensors(e, chip, true)) add_sensors(e, chip, false);
    }
    free(list);
    e->kind = e->n_counter ? ENERGY_HWMON : ENERGY_NONE;
    return e->n_counter > 0;
}

static bool number_of(const char *folder, const char *name, double *out)
{
    char line[64], *end;
    if (!read_line(folder, name, line, sizeof line)) return false;
    *out = strtod(line, &end);
    return end != line;
}

/* Watts that flow out of a battery; some tell current and voltage instead. */
static bool battery_watts(const char *folder, double *watts)
{
    char status[32];
    double a, v;
    if (!read_line(folder, "status", status, sizeof status) || strcmp(status, "Discharging")) return false;
    if (number_of(folder, "power_now", watts)) *watts *= 1e-6;
    else if (number_of(folder, "current_now", &a) && number_of(folder, "voltage_now", &v)) *watts = a * v * 1e-12;
    else return false;
    if (*watts < 0) *watts = -*watts;           /* some drivers count outwards as negative */
    return *watts > 0;
}

static bool open_battery(energy_meter *e, const char *sys, bool *is_charging)
{
    char top[ENERGY_PATH], folder[ENERGY_PATH + 64], type[32];
    struct dirent **list = NULL;
    snprintf(top, sizeof top, "%.400s/class/power_supply", sys);
    const int n = scandir(top, &list, visible, alphasort);
    for (int i = 0; i < n; i++) {
        snprintf(folder, sizeof folder, "%s/%.60s", top, list[i]->d_name);
        const bool is_battery = read_line(folder, "type", type, sizeof type) && !strcmp(type, "Battery");
        if (is_battery && e->kind == ENERGY_NONE && strlen(folder) < ENERGY_PATH) {
            if (battery_watts(folder, &e->watts)) {
                strcpy(e->counter[0].path, folder);          /* same size */
                name_source(e, "battery ", list[i]->d_name);
                e->kind = ENERGY_BATTERY;
            } else {
                *is_charging = true;
            }
        }
        free(list[i]);
    }
    free(list);
    return e->kind == ENERGY_BATTERY;
}

void energy_open(energy_meter *e, const char *sys)
{
    bool is_charging = false;
    memset(e, 0, sizeof *e);
    if (open_rapl(e, sys) || open_hwmon(e, sys) || open_battery(e, sys, &is_charging)) return;
    if (e->why[0]) return;
    snprintf(e->why, sizeof e->why, "no RAPL, no energy sensor, %s",
             is_charging ? "the battery does not discharge" : "no battery");
}

static void give_up(energy_meter *e, const char *path)
{
    snprintf(e->why, sizeof e->why, "%.180s: %s", path, strerror(errno));
    e->kind = ENERGY_NONE;
}

void energy_start(energy_meter *e, double now)
{
    e->joules = 0;
    e->started = now;
    if (e->kind == ENERGY_BATTERY) {
        if (!battery_watts(e->counter[0].path, &e->watts)) {
            snprintf(e->why, sizeof e->why, "the battery stopped discharging");
            e->kind = ENERGY_NONE;
        }
        return;
    }
    for (int i = 0; e->kind != ENERGY_NONE && i < e->n_counter; i++)
        if (!read_count(e->counter[i].path, &e->counter[i].last)) give_up(e, e->counter[i].path);
}

bool energy_stop(energy_meter *e, double now, double *joules)
{
    double watts;
    if (e->kind == ENERGY_BATTERY) {
        if (battery_watts(e->counter[0].path, &watts)) e->joules = (e->watts + watts) / 2 * (now - e->started);
    } else if (e->kind != ENERGY_NONE) {
        for (int i = 0; i < e->n_counter; i++) {
            energy_counter *c = &e->counter[i];
            uint64_t count;
            if (!read_count(c->path, &count)) {
                give_up(e, c->path);
                return false;
            }
            const uint64_t moved = count >= c->last ? count - c->last
                                   : c->range ? count + c->range - c->last : 0;
            e->joules += (double)moved * 1e-6;
            c->last = count;
        }
    }
    if (e->kind == ENERGY_NONE || !(e->joules > 0)) {
        if (!e->why[0]) snprintf(e->why, sizeof e->why, "%.100s does not move", e->source);
        return false;
    }
    *joules = e->joules;
    return true;
}
