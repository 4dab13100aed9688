/* Names to addresses: blocking, for a helper thread (io_offload). */
#ifndef PROXY_RESOLVE_H
#define PROXY_RESOLVE_H

#include "base/err.h"
#include "io/stream.h"

enum { PROXY_RESOLVERS_MAX = 3, PROXY_RESOLVED_MAX = 4096 };

/* Zeroed at first; `addrs` is the owner's to wt_free(). */
struct proxy_resolved {
    union io_addr *addrs;
    unsigned n, cap;
    int64_t ttl_ms; /* the shortest of the answer, if it is known; else INT64_MAX */
};

/* WT_ELIMIT beyond PROXY_RESOLVED_MAX. */
int proxy_resolved_add(struct proxy_resolved *r, const union io_addr *addr, struct wt_err *err);

/* In order, each once; so that two answers with the same addresses are the same bytes. */
void proxy_resolved_sort(struct proxy_resolved *r);

/* "10.0.0.1:80", "[::1]:80", "::1:80"; no name. Port 0 is one. */
int proxy_resolve_literal(struct wt_str text, union io_addr *out, struct wt_err *err);

/* All A and AAAA records of a name, each with `port`: from the system's resolver (hosts file
 * included), or from the given name servers alone. Takes 10 s at most. An error when there is no
 * answer or the name does not exist; a name without addresses is n = 0. */
int proxy_resolve(const char *name, uint16_t port, const union io_addr *servers, unsigned n_servers,
                  struct proxy_resolved *out, struct wt_err *err);

#endif
