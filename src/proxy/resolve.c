#include "proxy/resolve.h"

#include "base/mem.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>

enum { ANSWER_BYTES = 8 << 10, TIMEOUT_S = 2, TRIES = 2 };

int proxy_resolved_add(struct proxy_resolved *r, const union io_addr *addr, struct wt_err *err)
{
    if (r->n == PROXY_RESOLVED_MAX)
        return wt_fail(err, WT_ELIMIT, "more than %d addresses", PROXY_RESOLVED_MAX);
    if (r->n == r->cap) {
        unsigned cap = r->cap ? r->cap * 2 : 16;
        union io_addr *all = wt_realloc(r->addrs, cap * sizeof *all);
        if (!all)
            return wt_fail(err, WT_ENOMEM, "out of memory");
        r->addrs = all;
        r->cap = cap;
    }
    /* Bytes behind the address proper take part in comparisons. */
    memset(&r->addrs[r->n], 0, sizeof *r->addrs);
    memcpy(&r->addrs[r->n++], addr, io_addr_len(addr));
    return 0;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(union io_addr));
}

void proxy_resolved_sort(struct proxy_resolved *r)
{
    unsigned kept = 0;
    if (r->n)
        qsort(r->addrs, r->n, sizeof *r->addrs, compare);
    for (unsigned i = 0; i < r->n; i++)
        if (kept == 0 || compare(&r->addrs[kept - 1], &r->addrs[i]) != 0)
            r->addrs[kept++] = r->addrs[i];
    r->n = kept;
}

int proxy_resolve_literal(struct wt_str text, union io_addr *out, struct wt_err *err)
{
    uint64_t port;
    union io_addr addr = {0};
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    struct wt_str host = wt_str_sub(text, 0, colon ? colon - 1 : 0);
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = wt_str_sub(host, 1, host.len - 1);
    if (!host.len || host.ptr[0] == '/' || !wt_str_u64(wt_str_sub(text, colon, text.len), &port) ||
        port > 65535 || io_addr_parse(host, (uint16_t)port, &addr, NULL) < 0)
        return wt_fail(err, WT_EINVAL, "\"%.*s\" is not ADDRESS:PORT", WT_ARG(text));
    *out = addr;
    return 0;
}

/* ---- the system's resolver ---- */

static int ask_system(const char *name, uint16_t port, struct proxy_resolved *out,
                      struct wt_err *err)
{
    struct addrinfo *list = NULL, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int e = getaddrinfo(name, NULL, &hints, &list), r = 0;
    if (e != 0)
        return wt_fail(err, e == EAI_NONAME || e == EAI_NODATA ? WT_ENOENT : WT_EIO, "%s",
                       gai_strerror(e));
    for (const struct addrinfo *i = list; r == 0 && i; i = i->ai_next) {
        union io_addr a = {0};
        if (i->ai_family == AF_INET) {
            memcpy(&a.in, i->ai_addr, sizeof a.in);
            a.in.sin_port = htons(port);
        } else if (i->ai_family == AF_INET6) {
            memcpy(&a.in6, i->ai_addr, sizeof a.in6);
            a.in6.sin6_port = htons(port);
        } else {
            continue;
        }
        r = proxy_resolved_add(out, &a, err);
    }
    freeaddrinfo(list);
    return r;
}

/* ---- given name servers ---- */

/* glibc keeps an IPv6 server in its extension, behind an IPv4 entry without a family; res_nclose()
 * frees it. */
static int set_server(struct __res_state *state, unsigned i, const union io_addr *server)
{
    memset(&state->nsaddr_list[i], 0, sizeof state->nsaddr_list[i]);
    if (server->sa.sa_family != AF_INET6) {
        state->nsaddr_list[i] = server->in;
        return 0;
    }
    if (!state->_u._ext.nsaddrs[i])
        state->_u._ext.nsaddrs[i] = malloc(sizeof *state->_u._ext.nsaddrs[i]);
    if (!state->_u._ext.nsaddrs[i])
        return WT_ENOMEM;
    *state->_u._ext.nsaddrs[i] = server->in6;
    return 0;
}

static int open_resolver(struct __res_state *state, const union io_addr *servers, unsigned n,
                         struct wt_err *err)
{
    if (res_ninit(state) != 0)
        return wt_fail(err, WT_EIO, "the resolver cannot be set up");
    state->nscount = (int)n;
    for (unsigned i = 0; i < n; i++) {
        if (set_server(state, i, &servers[i]) < 0) {
            res_nclose(state);
            return wt_fail(err, WT_ENOMEM, "out of memory");
        }
    }
    state->retrans = TIMEOUT_S;
    state->retry = TRIES;
    /* The name is taken as it stands: no search list, no hosts file. */
    state->options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
    return 0;
}

static int read_record(ns_msg *msg, int i, uint16_t port, struct proxy_resolved *out,
                       struct wt_err *err)
{
    ns_rr rr;
    union io_addr a = {0};
    if (ns_parserr(msg, ns_s_an, i, &rr) < 0)
        return wt_fail(err, WT_EPROTO, "the name server's answer is not understood");
    int64_t ttl_ms = (int64_t)ns_rr_ttl(rr) * 1000;
    if (ns_rr_type(rr) == ns_t_a && ns_rr_rdlen(rr) == 4) {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
        memcpy(&a.in.sin_addr, ns_rr_rdata(rr), 4);
    } else if (ns_rr_type(rr) == ns_t_aaaa && ns_rr_rdlen(rr) == 16) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        memcpy(&a.in6.sin6_addr, ns_rr_rdata(rr), 16);
    } else {
        return 0; /* an alias on the way, a signature */
    }
    if (ttl_ms < out->ttl_ms)
        out->ttl_ms = ttl_ms;
    return proxy_resolved_add(out, &a, err);
}

/* 0 also when the name has no such records. */
static int ask_type(struct __res_state *state, const char *name, int type, uint16_t port,
                    struct proxy_resolved *out, struct wt_err *err)
{
    unsigned char answer[ANSWER_BYTES];
    ns_msg msg;
    int len = res_nquery(state, name, ns_c_in, type, answer, sizeof answer);
    if (len < 0 && state->res_h_errno == NO_DATA)
        return 0;
    if (len < 0)
        return state->res_h_errno == HOST_NOT_FOUND
                   ? wt_fail(err, WT_ENOENT, "the name does not exist")
                   : wt_fail(err, WT_EIO, "no answer from the name servers");
    if (len > (int)sizeof answer || ns_initparse(answer, len, &msg) < 0)
        return wt_fail(err, WT_EPROTO, "the name server's answer is not understood");
    int r = 0;
    for (int i = 0; r == 0 && i < ns_msg_count(msg, ns_s_an); i++)
        r = read_record(&msg, i, port, out, err);
    return r;
}

static int ask_servers(const char *name, uint16_t port, const union io_addr *servers, unsigned n,
                       struct proxy_resolved *out, struct wt_err *err)
{
    struct __res_state *state = wt_calloc(1, sizeof *state);
    if (!state)
        return wt_fail(err, WT_ENOMEM, "out of memory");
    int r = open_resolver(state, servers, n, err);
    if (r == 0) {
        /* Half an answer is none: without one family its hosts would seem to have gone. */
        r = ask_type(state, name, ns_t_a, port, out, err);
        if (r == 0)
            r = ask_type(state, name, ns_t_aaaa, port, out, err);
        res_nclose(state);
    }
    wt_free(state);
    return r;
}

int proxy_resolve(const char *name, uint16_t port, const union io_addr *servers, unsigned n_servers,
                  struct proxy_resolved *out, struct wt_err *err)
{
    return n_servers ? ask_servers(name, port, servers, n_servers, out, err)
                     : ask_system(name, port, out, err);
}
