/* SPDX-License-Identifier: MIT */
/* cmd_doctor.c - `mote doctor`: is everything here that mote needs.
 *
 * Each check is a line: what, how it stands, and whether that is well.  At the end a verdict and
 * one command, so that nobody has to draw conclusions from the list. */
#include "app.h"
#include "net.h"
#include "catalogue.h"
#include "store.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum verdict { WELL, WORSE, BAD } verdict;
typedef struct report {
    json_t *list;
    verdict worst;
    char command[512], why[256];         /* what to do about the worst */
    bool as_json;
} report;

static void check(report *r, verdict v, const char *what, const char *remedy, const char *fmt, ...)
    APP_PRINTF(5, 6);

/* remedy: what to do when it is not well; NULL: nothing can be done. */
static void check(report *r, verdict v, const char *what, const char *remedy, const char *fmt, ...)
{
    static const char *const word[] = { "ok", "note", "bad" };
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (r->as_json) {
        json_t *o = json_pack("{s:s, s:s, s:s}", "check", what, "state", word[v], "detail", line);
        if (o) json_array_append_new(r->list, o);
    } else {
        printf("%-5s %-10s ", word[v], what);
        term_write(stdout, line, strlen(line), false);
        putchar('\n');
    }
    if (v > r->worst || (v == r->worst && v != WELL && !*r->command)) {
        r->worst = v;
        snprintf(r->why, sizeof r->why, "%.250s", line);
        snprintf(r->command, sizeof r->command, "%s", remedy ? remedy : "");
    }
}

static void check_device(report *r)
{
    device d;
    term_buf b1, b2;
    const char *isa = mote_cpu_name();
    const bool fast = strstr(isa, "avx2") || strstr(isa, "neon");
    device_read(&d);
    check(r, fast ? WELL : WORSE, "processor", NULL, "%s, %s%s", d.name, isa,
          fast ? "" : ": no vector instructions that mote knows, so it will be slow");
    check(r, d.cores > 0 ? WELL : BAD, "cores", NULL, "%d this process may use", d.cores);
    const uint64_t want = 2 * catalogue_default()->bytes;
    check(r, d.memory_free >= want ? WELL : WORSE, "memory", NULL, "%s, %s free",
          term_bytes(&b1, d.memory), term_bytes(&b2, d.memory_free));
}

static void check_folder(report *r, const char *what, const char *path, uint64_t want)
{
    term_buf b;
    char probe[APP_PATH + 32];
    if (!store_make_quiet(path)) {
        check(r, BAD, what, "MOTE_HOME=FOLDER HF_HOME=FOLDER mote doctor", "%s cannot be made: %s", path,
              strerror(errno));
        return;
    }
    snprintf(probe, sizeof probe, "%s/.mote-%ld", path, (long)getpid());
    FILE *f = fopen(probe, "we");
    const bool wrote = f && fputs("mote", f) >= 0 && fflush(f) == 0;
    const int e = errno;
    if (f) fclose(f);
    unlink(probe);
    const uint64_t room = device_disk_free(path);
    if (!wrote)
        check(r, BAD, what, "MOTE_HOME=FOLDER HF_HOME=FOLDER mote doctor", "%s cannot be written: %s", path,
              strerror(e));
    else
        check(r, room >= want ? WELL : WORSE, what, "mote list", "%s, %s free", path, term_bytes(&b, room));
}

static void check_model(report *r)
{
    const catalogue_entry *e = catalogue_default();
    char path[APP_PATH], pull[600];
    model_ref ref;
    mote_model *m = NULL;
    mote_model_opts o;
    mote_error err = { 0 };
    if (ref_parse(&ref, e->name)) return;
    snprintf(pull, sizeof pull, "mote pull %s", e->name);
    if (!store_find(&ref, path)) {
        check(r, WORSE, "model", pull, "%s is not here yet", e->name);
        return;
    }
    mote_model_opts_init(&o);
    o.vocab_only = true;
    if (mote_model_open(&m, path, &o, &err)) {
        snprintf(pull, sizeof pull, "mote rm -y %s && mote pull %s", e->name, e->name);
        check(r, BAD, "model", pull, "%s", err.text);
        return;
    }
    check(r, WELL, "model", NULL, "%s at %s", e->name, path);
    mote_model_close(m);
}

static void check_tools(report *r)
{
    char module[APP_PATH];
    if (!MOTE_NET) check(r, WORSE, "network", NULL, "this mote was built without downloads");
    else if (!net_module(module)) check(r, WORSE, "network", "install mote again", "mote-net.so, which downloads, is missing");
    else check(r, WELL, "network", NULL, "https downloads by %s%s", module,
               getenv("HTTPS_PROXY") || getenv("https_proxy") ? ", through a proxy" : "");
    const char *kind = getenv("TERM");
    check(r, WELL, "terminal", NULL, "%s", kind && *kind ? kind : "none");
}

int cmd_doctor(const args *a)
{
    static const char *const verdicts[] = { "everything is well", "mote works here, with a remark",
                                            "something is wrong" };
    char home[APP_PATH], hub[APP_PATH];
    report r = { .as_json = args_has(a, OPT_JSON), .list = json_array() };
    check_device(&r);
    if (store_home(home, "") && store_hub(hub, "")) {
        check_folder(&r, "cache", home, 256u << 20);
        check_folder(&r, "models", hub, 256u << 20);
    } else {
        check(&r, BAD, "cache", "MOTE_HOME=FOLDER HF_HOME=FOLDER mote doctor",
              "neither HOME nor MOTE_HOME and HF_HOME are set");
    }
    check_model(&r);
    check_tools(&r);
    const char *next = *r.command ? r.command : "mote run";
    if (r.as_json) {
        json_t *o = json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "verdict", verdicts[r.worst], "command",
                              next, "checks", r.list);
        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
    } else {
        printf("\n%s%s", verdicts[r.worst], r.worst == WELL ? "" : ": ");
        if (r.worst != WELL) term_write(stdout, r.why, strlen(r.why), false);
        printf(".\nNext: %s\n", next);
    }
    json_decref(r.list);
    return r.worst == BAD ? ST_FAILED : ST_DONE;
}
