/* SPDX-License-Identifier: MIT */
/* main.c - finds the command, reads configuration and arguments, runs it.
 *
 * The locale is set for characters only: numbers stay with a decimal point whatever the user's
 * language.  Containers often have no locale at all, so C.UTF-8 is the second choice. */
#include "app.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

static void set_locale(void)
{
    if (setlocale(LC_CTYPE, "") && !strcmp(nl_langinfo(CODESET), "UTF-8")) return;
    setlocale(LC_CTYPE, "C.UTF-8");
}

static int unknown_command(const char *name)
{
    const char *near_by = command_nearest(name);
    term_error(ST_USAGE, "there is no command \"%s\"", name);
    if (near_by) term_try("mote %s   or: mote help", near_by);
    else term_try("mote help");
    return ST_USAGE;
}

/* A result that could not be written must not look like success. */
static int close_stdout(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    if (status) return status;
    return term_error(ST_FAILED, "cannot write the result: %s", strerror(errno));
}

static void on_log(void *user, int level, const char *line)
{
    (void)user;
    if (level <= 1) term_note("%s", line);
    else if (term.verbose) term_say("", "%s", line);
}

static int run_command(const command *c, int argc, char **argv)
{
    static args a;              /* static: the settings of a run stay reachable to its end */
    a.cmd = c;
    int st = config_read(&a);
    if (!st) st = args_parse(&a, argc, argv);
    if (st) return st;
    if (args_has(&a, OPT_HELP)) {
        help_command(c);
        return ST_DONE;
    }
    term_setup(args_has(&a, OPT_QUIET), args_has(&a, OPT_VERBOSE), args_text(&a, OPT_PROGRESS, NULL));
    mote_log_to(on_log, NULL);
    if (args_has(&a, OPT_CPU)) {
        mote_error err = { 0 };
        const mote_status code = mote_cpu_limit(args_text(&a, OPT_CPU, ""), &err);
        if (code) {
            st = term_mote_error(code, &err);
            term_try("mote version   (shows what this processor has)");
            return st;
        }
    }
    return c->run(&a);
}

int main(int argc, char **argv)
{
    set_locale();
    term_init();
    signals_init();
    if (argc < 2) {
        help_overview();
        return close_stdout(ST_DONE);
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) name = "version";
    const command *c = command_find(name);
    if (!c) return unknown_command(name);
    return close_stdout(run_command(c, argc - 2, argv + 2));
}
