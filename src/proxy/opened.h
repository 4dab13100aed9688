/* Where the listeners of Gateways are served: what was opened, what could not be, and what stays
 * open for it. A listener that moves to an address which cannot be had keeps the one it was served
 * at, with the new routes, until the new one is open: make before break. */
#ifndef PROXY_OPENED_H
#define PROXY_OPENED_H

#include "proxy/config.h"

/* "Gateway default/web, listener http": how a listener is known from config to config, and in logs.
 */
struct proxy_opened_name {
    char text[640];
};
struct proxy_opened_name proxy_opened_name(const struct proxy_route_listener *l);

/* The number of the socket among those of the config, which takes the reference; WT_ENOMEM. */
int64_t proxy_opened_add(struct proxy_config *c, struct proxy_listener *l);

/* The listener is served at this socket of the config. WT_ENOMEM. */
int proxy_opened_note(struct proxy_config *c, const char *what, uint32_t socket, bool kept);

/* The listener has not got this address: written down, and said once. WT_ENOMEM. `before` may be
 * NULL here and below. */
int proxy_opened_miss(struct proxy_config *c, const struct proxy_config *before, const char *what,
                      const union io_addr *addr, const char *why);

/* Once all listeners have been tried: takes over what this one was served at in `before`, if it
 * misses an address now, but for what would stand in the way of any that is missed (a wildcard and
 * an address with the same port exclude each other). `out` has room for before->n_served numbers of
 * sockets. How many there are, or WT_ENOMEM. */
int proxy_opened_keep(struct proxy_config *c, const struct proxy_config *before, const char *what,
                      uint32_t *out);

/* For the report to control: [{"listener": "Gateway …", "address": "0.0.0.0:80"}]; NULL: nothing is
 * kept, or no memory. */
json_t *proxy_opened_kept_json(const struct proxy_config *c);

void proxy_opened_done(struct proxy_config *c);

#endif
