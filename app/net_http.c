/* SPDX-License-Identifier: MIT */
/* net_http.c - one HTTP request through libcurl.
 *
 * Redirects are followed by hand, at most five: each address is checked (https only, or http to
 * this very machine when we started there), and the token goes to the hub's own origin alone. */
#include "net.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REDIRECT_MAX = 5 };

typedef struct transfer {
    const net_request *q;
    net_reply *reply;
    bool begun, wanted;
} transfer;

const char *net_hub(void)
{
    const char *h = getenv("MOTE_HUB_URL");
    if (!h || !*h) h = getenv("HF_ENDPOINT");
    return h && *h ? h : "https://huggingface.co";
}

const char *net_host(const char *url, char out[256])
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    snprintf(out, 256, "%.*s", (int)strcspn(p, "/?#"), p);
    return out;
}

static bool is_final(long status) { return status == 200 || status == 206; }

static void copy_value(char *out, size_t cap, const char *value)
{
    const size_t n = strlen(value);
    out[0] = 0;
    if (n < cap) memcpy(out, value, n + 1);      /* half a value would be a wrong one */
}

static void read_header(net_reply *r, const char *name, const char *value)
{
    unsigned long long a, b, total;
    if (!strcasecmp(name, "etag")) copy_value(r->etag, sizeof r->etag, value);
    else if (!strcasecmp(name, "location")) copy_value(r->location, sizeof r->location, value);
    else if (!strcasecmp(name, "x-repo-commit")) copy_value(r->commit, sizeof r->commit, value);
    else if (!strcasecmp(name, "x-linked-etag"))
        copy_value(r->linked_etag, sizeof r->linked_etag, value);
    else if (!strcasecmp(name, "x-linked-size")) {
        r->linked_size = strtoull(value, NULL, 10);
        r->has_linked_size = true;
    } else if (!strcasecmp(name, "content-length")) {
        r->length = strtoull(value, NULL, 10);
        r->has_length = true;
    } else if (!strcasecmp(name, "content-range")) {
        if (sscanf(value, "bytes %llu-%llu/%llu", &a, &b, &total) == 3) {
            r->has_range = true;
            r->range_start = a;
            r->range_total = total;
        }
    } else if (!strcasecmp(name, "retry-after")) {
        r->retry_after = atoi(value);
    }
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
    transfer *t = user;
    char line[4096];
    n *= size;
    if (n >= sizeof line) return n;
    memcpy(line, p, n);
    line[n] = 0;
    line[strcspn(line, "\r\n")] = 0;
    if (!strncmp(line, "HTTP/", 5)) {
        const char *space = strchr(line, ' ');
        memset(t->reply, 0, sizeof *t->reply);
        t->reply->status = space ? strtol(space, NULL, 10) : 0;
        return n;
    }
    char *colon = strchr(line, ':');
    if (!colon) return n;
    *colon = 0;
    read_header(t->reply, line, colon + 1 + strspn(colon + 1, " \t"));
    return n;
}

static bool begin(transfer *t)
{
    if (t->begun) return t->wanted;
    t->begun = true;
    t->wanted = !t->q->begin || t->q->begin(t->q->user, t->reply);
    return t->wanted;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
    transfer *t = user;
    n *= size;
    if (!is_final(t->reply->status)) return n;           /* the text of an error page */
    if (!begin(t)) return 0;
    return t->q->sink(t->q->user, p, n) ? n : 0;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user, (void)a, (void)b, (void)c, (void)d;
    return signals_seen() ? 1 : 0;
}

/* The token, for the hub's origin and nobody else.  NULL: none. */
static struct curl_slist *headers_for(const char *url)
{
    const char *token = getenv("HF_TOKEN"), *hub = net_hub();
    char line[1024];
    const size_t n = strlen(hub);
    if (!token || !*token || strncmp(url, hub, n) || (url[n] != '/' && hub[n - 1] != '/'))
        return NULL;
    if (strlen(token) > 512 || strpbrk(token, "\r\n")) return NULL;
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    return curl_slist_append(NULL, line);
}

static void set_protocols(CURL *c)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static net_end end_of(CURLcode code, bool answered)
{
    switch (code) {
    case CURLE_OK: return NET_OK;
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK: return NET_STOPPED;
    default: return answered ? NET_BROKEN : NET_UNREACHABLE;
    }
}

static net_end one_request(const net_request *q, const char *url, transfer *t, char why[256])
{
    char error[CURL_ERROR_SIZE] = "", range[64], if_range[320], agent[64];
    CURL *c = curl_easy_init();
    struct curl_slist *headers = headers_for(url);
    if (!c) {
        snprintf(why, 256, "no memory");
        curl_slist_free_all(headers);
        return NET_UNREACHABLE;
    }
    snprintf(agent, sizeof agent, "mote/%u.%u", mote_version() >> 16, mote_version() >> 8 & 255);
    curl_easy_setopt(c, CURLOPT_URL, url);
    set_protocols(c);
    curl_easy_setopt(c, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)q->connect_seconds);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 30L);
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(c, CURLOPT_NOBODY, q->head_only ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    if (q->from) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)q->from);
        curl_easy_setopt(c, CURLOPT_RANGE, range);
        if (q->if_range && *q->if_range) {
            snprintf(if_range, sizeof if_range, "If-Range: %s", q->if_range);
            headers = curl_slist_append(headers, if_range);
        }
    }
    if (headers) curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    const CURLcode code = curl_easy_perform(c);
    if (code) snprintf(why, 256, "%s", *error ? error : curl_easy_strerror(code));
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    return end_of(code, t->reply->status != 0);
}

/* The address that a Location header means, seen from url.  false: not one that we follow. */
static bool follow(char url[2048], const char *location)
{
    const bool was_https = !strncmp(url, "https://", 8);
    char *joined = NULL;
    bool ok = false;
    CURLU *u = curl_url();
    if (u && !curl_url_set(u, CURLUPART_URL, url, 0) && !curl_url_set(u, CURLUPART_URL, location, 0)
        && !curl_url_get(u, CURLUPART_URL, &joined, 0) && strlen(joined) < 2048) {
        ok = ref_url_ok(joined) && (!was_https || !strncmp(joined, "https://", 8));
        strcpy(url, joined);    /* bounded above */
    }
    curl_free(joined);
    curl_url_cleanup(u);
    return ok;
}

net_end net_get(const net_request *q, net_reply *reply, char why[256])
{
    char url[2048], commit[128] = "", linked[256] = "", host[256];
    uint64_t linked_size = 0;
    bool has_linked_size = false;
    why[0] = 0;
    memset(reply, 0, sizeof *reply);
    if (strlen(q->url) >= sizeof url) {
        snprintf(why, 256, "the address has %zu bytes", strlen(q->url));
        return NET_REFUSED;
    }
    strcpy(url, q->url);        /* bounded above */
    for (int hop = 0; hop <= REDIRECT_MAX; hop++) {
        transfer t = { q, reply, false, false };
        const net_end end = one_request(q, url, &t, why);
        /* the hub says what a file is in the first answer, the one that redirects */
        if (reply->commit[0]) snprintf(commit, sizeof commit, "%s", reply->commit);
        if (reply->linked_etag[0]) snprintf(linked, sizeof linked, "%s", reply->linked_etag);
        if (reply->has_linked_size) { linked_size = reply->linked_size; has_linked_size = true; }
        const bool redirect = reply->status >= 300 && reply->status < 400 && reply->location[0];
        if (end != NET_OK || !redirect) {
            snprintf(reply->commit, sizeof reply->commit, "%s", commit);
            snprintf(reply->linked_etag, sizeof reply->linked_etag, "%s", linked);
            reply->linked_size = linked_size;
            reply->has_linked_size = has_linked_size;
            if (end == NET_OK && is_final(reply->status) && !begin(&t)) return NET_STOPPED;
            return end;
        }
        if (!follow(url, reply->location)) {
            snprintf(why, 256, "%.200s redirects to an address that is not https",
                     net_host(q->url, host));
            return NET_REFUSED;
        }
    }
    snprintf(why, 256, "%.200s redirects more than %d times", net_host(q->url, host), REDIRECT_MAX);
    return NET_REFUSED;
}
