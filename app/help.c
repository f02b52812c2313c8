/* SPDX-License-Identifier: MIT */
/* help.c - the overview, the help of each command and the version, made from the tables. */
#include "app.h"
#include "catalogue.h"
#include "store.h"

#include <histedit.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#if MOTE_NET
#include <curl/curlver.h>
#endif

static void version_number(char out[32])
{
    const uint32_t v = mote_version();
    snprintf(out, 32, "%u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
}

/* "This device: NAME, 4 cores (ISA), 7.9 GiB RAM, 6.1 GiB free, 14 GiB disk free." */
static void print_device(void)
{
    char home[APP_PATH];
    device d;
    term_buf total, free_now, disk;
    device_read(&d);
    const uint64_t room = store_home(home, "") ? device_disk_free(home) : 0;
    printf("This device: %s, %d core%s (%s), %s RAM, %s free, %s disk free.\n", d.name, d.cores,
           d.cores == 1 ? "" : "s", mote_cpu_name(), term_bytes(&total, d.memory),
           term_bytes(&free_now, d.memory_free), term_bytes(&disk, room));
}

void help_overview(void)
{
    char v[32];
    const char *name = catalogue_default()->name;
    version_number(v);
    printf("mote %s – small language models on this device\n\n"
           "  mote run                     talk to %s (downloads it the first time)\n"
           "  mote run MODEL \"PROMPT\"      one answer\n"
           "  mote list                    the models on this machine\n"
           "  mote help                    all commands\n\n", v, name);
    print_device();
}

/* "  -t, --threads N" and the help at column 27, folded at 96 columns. */
static void print_option(const option *o)
{
    char left[64];
    const char *value = o->value ? o->value : "";
    if (o->letter) snprintf(left, sizeof left, "-%c, --%s %s", o->letter, o->name, value);
    else snprintf(left, sizeof left, "    --%s %s", o->name, value);
    printf("  %-29s ", left);
    const char *p = o->help;
    for (size_t room = 64; *p;) {
        size_t n = strlen(p);
        if (n > room) {
            n = room;
            while (n && p[n] != ' ') n--;
            if (!n) n = room;
        }
        printf("%.*s\n", (int)n, p);
        p += n;
        while (*p == ' ') p++;
        if (*p) printf("%32s", "");
    }
}

void help_command(const command *c)
{
    printf("mote %s%s%s – %s\n\n", c->name, *c->usage ? " " : "", c->usage, c->summary);
    if (*c->about) printf("%s\n", c->about);
    puts("Options:");
    for (int i = 0; i < n_options; i++)
        if (options[i].commands & c->bit) print_option(&options[i]);
    if (strstr(c->usage, "MODEL"))
        puts("\nMODEL: a name from `mote list` or the catalogue, hf:OWNER/NAME[:FILE], pypi:PACKAGE,\n"
             "an https address, a file or a folder.");
}

static void help_all(void)
{
    puts("mote COMMAND [ARGUMENTS] [OPTIONS]\n");
    for (int i = 0; i < n_commands; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].usage);
        printf("  %-26s %s\n", left, commands[i].summary);
    }
    puts("\nmote help COMMAND tells more. MODEL: a name from `mote list` or the catalogue,\n"
         "hf:OWNER/NAME[:FILE], pypi:PACKAGE, an https address, a file or a folder.\n"
         "\n"
         "Catalogue:");
    for (int i = 0; i < catalogue_count(); i++) {
        const catalogue_entry *e = catalogue_at(i);
        term_buf b;
        printf("  %-26s %s, %s, %s, licence %s\n", e->name, e->title, e->quant,
               term_bytes(&b, e->bytes), e->licence);
    }
    puts("\n"
         "Exit status: 0 done, 1 failed, 2 usage, 3 model not found, 4 does not fit, 5 network,\n"
         "6 file damaged, 130 interrupted.\n"
         "\n"
         "~/.config/mote/config sets options for good: lines of \"name = value\", under [run] for\n"
         "one command. Environment: MOTE_HOME (models and state of mote), MOTE_CONFIG, MOTE_MODELS\n"
         "(folders with model files), HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT or MOTE_HUB_URL,\n"
         "MOTE_PIP (the pip to use), MOTE_NO_CACHE (keep no packed weights), HTTPS_PROXY, NO_COLOR.");
}

int cmd_help(const args *a)
{
    if (!a->n_rest) {
        help_all();
        return ST_DONE;
    }
    const command *c = command_find(a->rest[0]);
    if (!c) {
        const char *near_by = command_nearest(a->rest[0]);
        term_error(ST_USAGE, "there is no command \"%s\"", a->rest[0]);
        term_try("mote help%s%s", near_by ? " " : "", near_by ? near_by : "");
        return ST_USAGE;
    }
    help_command(c);
    return ST_DONE;
}

int cmd_version(const args *a)
{
    char v[32], editline[32], net[64] = "none";
    version_number(v);
    snprintf(editline, sizeof editline, "%d.%d", LIBEDIT_MAJOR, LIBEDIT_MINOR);
#if MOTE_NET
    snprintf(net, sizeof net, "curl %s", LIBCURL_VERSION);
#endif
    if (args_has(a, OPT_JSON)) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "version", v, "build",
                              mote_version_text(), "cpu", mote_cpu_name(), "network", net,
                              "jansson", JANSSON_VERSION, "sqlite", sqlite3_libversion(), "zlib",
                              zlibVersion(), "libedit", editline);
        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
        return ST_DONE;
    }
    printf("mote %s\nprocessor  %s\nlibraries  jansson %s, sqlite %s, zlib %s, libedit %s\n"
           "network    %s\n", mote_version_text(), mote_cpu_name(), JANSSON_VERSION,
           sqlite3_libversion(), zlibVersion(), editline, net);
    return ST_DONE;
}
