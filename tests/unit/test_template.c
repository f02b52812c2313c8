/* SPDX-License-Identifier: MIT */
/* test_template.c - chat templates against goldens of jinja2 (tests/golden/make_templates.py), and
 * what jinja2 does not have: provenance, budgets, failing allocations.
 *
 * Templates of published models are read from MOTE_TEST_DATA/templates and skipped, loudly, when
 * that folder is absent; everything else needs only the repository. */
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "text/text.h"
#include "unit/fail_alloc.h"

static int n_bad;                             /* of the golden being compared */

static const char *env(const char *name, const char *other)
{
    const char *v = getenv(name);
    return v ? v : other;
}

static json_t *load_golden(const char *name)
{
    char path[4096];
    json_error_t why;
    (void)snprintf(path, sizeof path, "%s/tests/golden/%s", env("MOTE_SOURCE", "."), name);
    json_t *golden = json_load_file(path, JSON_ALLOW_NUL, &why);
    if (!golden) fail_msg("%s: %s", path, why.text);
    return golden;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

/* ---- one template -------------------------------------------------------------- */
typedef struct result {
    mote_status opened, status;
    mote_error  err;
    mt_arena    arena;
    mt_segment *seg;
    size_t      n;
} result;

static const char *const bos_trusted[] = { "bos_token", "eos_token", NULL };

static void run(result *r, const char *source, const char *json, const mote_alloc *alloc)
{
    mt_template *t = NULL;
    memset(r, 0, sizeof *r);
    mt_arena_init(&r->arena, alloc, 4096);
    r->opened = mt_template_open(&t, mt_str_of(source), alloc, &r->err);
    r->status = r->opened;
    if (!r->opened)
        r->status = mt_template_render(t, json, bos_trusted, &r->arena, &r->seg, &r->n, &r->err);
    if (r->status) assert_int_equal(r->err.code, r->status);
    mt_template_close(t);
}

static size_t length(const result *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        assert_true(r->seg[i].text.n > 0);
        if (i) assert_true(r->seg[i].is_trusted != r->seg[i - 1].is_trusted);
        n += r->seg[i].text.n;
    }
    return n;
}

static bool is_text(const result *r, const char *p, size_t n)
{
    if (length(r) != n) return false;
    for (size_t i = 0; i < r->n; p += r->seg[i++].text.n)
        if (memcmp(r->seg[i].text.p, p, r->seg[i].text.n) != 0) return false;
    return true;
}

static bool one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0) return true;
    return false;
}

/* Did mote fail the way the error class of the reference says? */
static bool same_error(const result *r, const char *class, const char *message)
{
    static const char *const at_open[] = { "TemplateSyntaxError", "TemplateAssertionError",
                                           "SyntaxError", NULL };
    if (one_of(class, at_open))
        return (r->opened == MOTE_EFORMAT || r->opened == MOTE_EUNSUPPORTED) &&
               strncmp(r->err.text, "template line ", 14) == 0;
    if (r->opened) return false;
    if (strcmp(class, "RecursionError") == 0) return r->status == MOTE_EFULL;
    if (strcmp(class, "TemplateError") == 0)
        return r->status == MOTE_EINVAL && strncmp(r->err.text, message, sizeof r->err.text - 1) == 0;
    if (strcmp(class, "UndefinedError") == 0 && strncmp(message, "'", 1) == 0)
        return r->status == MOTE_EINVAL && strstr(r->err.text, message);
    return r->status == MOTE_EINVAL || r->status == MOTE_EUNSUPPORTED;
}

static void compare(const char *what, const char *source, const char *json, const json_t *want)
{
    result r;
    run(&r, source, json, NULL);
    bool good;
    if (json_is_string(want))
        good = !r.status && is_text(&r, json_string_value(want), json_string_length(want));
    else
        good = same_error(&r, json_string_value(json_array_get(want, 0)),
                          json_string_value(json_array_get(want, 1)));
    if (!good && n_bad++ < 40) {
        char *expected = json_dumps(want, JSON_ENCODE_ANY);
        print_error("%s: %s\n  expected %.600s\n  found    %s", what, source, expected,
                    r.status ? r.err.text : "");
        for (size_t i = 0; !r.status && i < r.n; i++)
            print_error("%.*s", (int)MT_MIN(r.seg[i].text.n, (size_t)600), r.seg[i].text.p);
        print_error("|\n");
        free(expected);
    }
    mt_arena_reset(&r.arena);
}

/* ---- goldens --------------------------------------------------------------------- */
static void compare_list(const char *key)
{
    json_t *golden = load_golden("template_snippets.json");
    const json_t *vars = json_object_get(golden, "variables"), *list = json_object_get(golden, key);
    assert_true(json_array_size(list) >= 300);
    n_bad = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const size_t which = (size_t)json_integer_value(json_array_get(item, 1));
        compare(key, json_string_value(json_array_get(item, 0)),
                json_string_value(json_array_get(vars, which)), json_array_get(item, 2));
    }
    json_decref(golden);
    assert_int_equal(n_bad, 0);
}

static void test_snippets(void **state)
{
    (void)state;
    compare_list("snippets");
}

static void test_random_expressions(void **state)
{
    (void)state;
    compare_list("random");
}

/* The published templates, or NULL for one that is not here. */
static char *read_template(const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/templates/%s", env("MOTE_TEST_DATA", "../shared/data"), name);
    return read_file(path);
}

static void test_published_templates(void **state)
{
    (void)state;
    json_t *golden = load_golden("templates.json");
    json_t *talks = json_object_get(golden, "conversations"), *want;
    const char *name;
    size_t n_skipped = 0;
    n_bad = 0;
    json_object_foreach(json_object_get(golden, "renders"), name, want) {
        char *source = read_template(name);
        assert_true(json_array_size(want) >= 12);
        n_skipped += !source;
        for (size_t i = 0; source && i < json_array_size(want); i++) {
            char what[200];
            const json_t *talk = json_array_get(talks, i);
            (void)snprintf(what, sizeof what, "%s on %s", name,
                           json_string_value(json_array_get(talk, 0)));
            const int before = n_bad;
            compare(what, source, json_string_value(json_array_get(talk, 1)),
                    json_array_get(want, i));
            if (n_bad > before) n_bad += 40;  /* one whole template shown is enough */
        }
        free(source);
    }
    json_decref(golden);
    if (n_skipped) print_message("SKIPPED: %zu templates are not in MOTE_TEST_DATA\n", n_skipped);
    assert_int_equal(n_bad, 0);
    if (n_skipped) skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snippets),
        cmocka_unit_test(test_random_expressions),
        cmocka_unit_test(test_published_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
