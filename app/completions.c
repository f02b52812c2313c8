/* SPDX-License-Identifier: MIT */
/* completions.c - completion scripts for bash, zsh and fish, made from the tables.
 *
 * The scripts ask `mote completions models` for model names while the user types, so that what
 * is installed comes first and needs no new script. */
#include "app.h"
#include "catalogue.h"
#include "store.h"

#include <string.h>

static void put_words(const char *words)
{
    for (const char *p = words; *p; p++) putchar(*p == '|' ? ' ' : *p);
}

static bool takes_model(const command *c) { return strstr(c->usage, "MODEL") != NULL; }

static void bash(void)
{
    puts("# bash completion for mote; made by: mote completions bash\n"
         "_mote() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
         "    local cmd=${COMP_WORDS[1]} options= words= files=\n"
         "    COMPREPLY=()\n"
         "    if ((COMP_CWORD == 1)); then");
    printf("        COMPREPLY=($(compgen -W \"");
    for (int i = 0; i < n_commands; i++) printf("%s%s", i ? " " : "", commands[i].name);
    puts("\" -- \"$cur\"))\n        return\n    fi\n    case $cmd in");
    for (int i = 0; i < n_commands; i++) {
        printf("    %s) options=\"", commands[i].name);
        for (int j = 0; j < n_options; j++)
            if (options[j].commands & commands[i].bit) printf("--%s ", options[j].name);
        printf("\"");
        if (takes_model(&commands[i]))
            printf("; ((COMP_CWORD == 2)) && words=$(mote completions models 2>/dev/null) files=1");
        if (commands[i].bit == IN_HELP) {
            printf("; words=\"");
            for (int j = 0; j < n_commands; j++) printf("%s ", commands[j].name);
            printf("\"");
        }
        if (commands[i].bit == IN_COMPLETIONS) printf("; words=\"bash zsh fish\"");
        puts(" ;;");
    }
    puts("    esac\n    case $cmd$prev in");
    for (int i = 0; i < n_commands; i++)
        for (int j = 0; j < n_options; j++) {
            const option *o = &options[j];
            if (!(o->commands & commands[i].bit) || o->kind == KIND_FLAG) continue;
            printf("    %s--%s", commands[i].name, o->name);
            if (o->letter) printf("|%s-%c", commands[i].name, o->letter);
            if (o->kind == KIND_WORD) {
                printf(") COMPREPLY=($(compgen -W \"");
                put_words(o->words);
                puts("\" -- \"$cur\")); return ;;");
            } else if (o->kind == KIND_FILE) {
                puts(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
            } else {
                puts(") return ;;");
            }
        }
    puts("    esac\n"
         "    if [[ $cur == -* ]]; then\n"
         "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
         "    else\n"
         "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "        [[ $files ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
         "    fi\n"
         "    if declare -F __ltrim_colon_completions > /dev/null; then\n"
         "        __ltrim_colon_completions \"$cur\"\n"
         "    fi\n"
         "}\n"
         "complete -F _mote mote");
}

/* Text inside '...' of a zsh _arguments spec: quotes, brackets and colons are special there. */
static void put_zsh(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'') fputs("'\\''", stdout);
        else if (strchr("[]:\\", *s)) printf("\\%c", *s);
        else putchar(*s);
    }
}

static void zsh_option(const option *o)
{
    const char *star = o->kind == KIND_LIST ? "*" : "";
    if (o->letter && !*star) printf("            '(-%c --%s)'{-%c,--%s}'[", o->letter, o->name,
                                    o->letter, o->name);
    else printf("            '%s--%s[", star, o->name);
    put_zsh(o->help);
    putchar(']');
    if (o->kind != KIND_FLAG) {
        printf(":");
        put_zsh(o->value);
        printf(":");
        if (o->kind == KIND_FILE) printf("_files");
        if (o->kind == KIND_WORD) {
            putchar('(');
            put_words(o->words);
            putchar(')');
        }
    }
    puts("' \\");
}

static void zsh(void)
{
    puts("#compdef mote\n"
         "# zsh completion for mote; made by: mote completions zsh\n"
         "_mote_models() {\n"
         "    local -a names\n"
         "    names=(${(f)\"$(mote completions models 2>/dev/null)\"})\n"
         "    compadd -a names\n"
         "    _files\n"
         "}\n"
         "_mote() {\n"
         "    local -a names\n"
         "    if ((CURRENT == 2)); then\n"
         "        names=(");
    for (int i = 0; i < n_commands; i++) {
        printf("            '%s:", commands[i].name);
        put_zsh(commands[i].summary);
        puts("'");
    }
    puts("        )\n"
         "        _describe command names\n"
         "        return\n"
         "    fi\n"
         "    local cmd=$words[2]\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $cmd in");
    for (int i = 0; i < n_commands; i++) {
        printf("    %s)\n        _arguments -s \\\n", commands[i].name);
        for (int j = 0; j < n_options; j++)
            if (options[j].commands & commands[i].bit) zsh_option(&options[j]);
        if (takes_model(&commands[i])) printf("            '1:model:_mote_models'");
        else if (commands[i].bit == IN_COMPLETIONS) printf("            '1:shell:(bash zsh fish)'");
        else if (commands[i].bit == IN_HELP) {
            printf("            '1:command:(");
            for (int j = 0; j < n_commands; j++) printf("%s ", commands[j].name);
            printf(")'");
        } else printf("            ':: :'");
        puts(" ;;");
    }
    puts("    esac\n}\n_mote \"$@\"");
}

static void put_fish(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\') putchar('\\');
        putchar(*s);
    }
}

static void fish(void)
{
    puts("# fish completion for mote; made by: mote completions fish\ncomplete -c mote -f");
    for (int i = 0; i < n_commands; i++) {
        printf("complete -c mote -n __fish_use_subcommand -a %s -d '", commands[i].name);
        put_fish(commands[i].summary);
        puts("'");
        if (takes_model(&commands[i]))
            printf("complete -c mote -n '__fish_seen_subcommand_from %s' -F"
                   " -a '(mote completions models 2>/dev/null)'\n", commands[i].name);
        for (int j = 0; j < n_options; j++) {
            const option *o = &options[j];
            if (!(o->commands & commands[i].bit)) continue;
            printf("complete -c mote -n '__fish_seen_subcommand_from %s' -l %s", commands[i].name,
                   o->name);
            if (o->letter) printf(" -s %c", o->letter);
            if (o->kind == KIND_FILE) printf(" -r -F");
            else if (o->kind != KIND_FLAG) printf(" -x");
            if (o->kind == KIND_WORD) {
                printf(" -a '");
                put_words(o->words);
                putchar('\'');
            }
            printf(" -d '");
            put_fish(o->help);
            puts("'");
        }
    }
    puts("complete -c mote -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'");
}

static bool print_name(void *user, const store_item *item)
{
    (void)user;
    term_write(stdout, item->name, strlen(item->name), false);
    putchar('\n');
    return true;
}

int cmd_completions(const args *a)
{
    const char *shell = a->rest[0];
    if (!strcmp(shell, "bash")) bash();
    else if (!strcmp(shell, "zsh")) zsh();
    else if (!strcmp(shell, "fish")) fish();
    else if (!strcmp(shell, "models")) {
        model_ref ref;
        char path[APP_PATH];
        store_each(print_name, NULL);
        for (int i = 0; i < catalogue_count(); i++)      /* those not yet installed */
            if (ref_parse(&ref, catalogue_at(i)->name) == ST_DONE && !store_find(&ref, path))
                puts(catalogue_at(i)->name);
    } else {
        term_error(ST_USAGE, "no completions for \"%s\"", shell);
        term_try("mote completions bash   (or zsh, fish)");
        return ST_USAGE;
    }
    return ST_DONE;
}
