/* How many connections each client has, over all workers: one client must not take what all of them
 * share (reliability item 41).
 *
 * A client is an IPv4 address, or an IPv6 /64: that much a single subscriber is given (RFC 6177),
 * so its addresses are no sign of many. The table is exact, has an entry per client that is
 * connected now, and is keyed with a secret, so that nobody can aim at one bucket.
 */
#ifndef PROXY_CLIENTS_H
#define PROXY_CLIENTS_H

#include "io/stream.h"

struct proxy_clients;

/* `each`: most connections of one client. NULL without memory or randomness. */
struct proxy_clients *proxy_clients_new(struct io_sys *sys, uint32_t each);
void proxy_clients_free(struct proxy_clients *c);

/* What an address counts as; 0: as nobody (a unix socket). IPv4 within IPv6 (::ffff:0:0/96, and
 * 64:ff9b::/96 of RFC 6052) counts as IPv4. */
uint64_t proxy_client_key(const union io_addr *peer);

/* One more: 0, WT_ELIMIT, or WT_ENOMEM; after 0 it has to leave. Any thread. NULL has no limit. */
int proxy_clients_enter(struct proxy_clients *c, uint64_t key) WT_NODISCARD;
void proxy_clients_leave(struct proxy_clients *c, uint64_t key);

uint32_t proxy_clients_count(struct proxy_clients *c, uint64_t key); /* for tests */
uint32_t proxy_clients_known(struct proxy_clients *c);               /* likewise */

#endif
