/* Listening: what a worker accepts connections from, following the snapshot it runs on. */
#ifndef PROXY_ACCEPT_H
#define PROXY_ACCEPT_H

#include "proxy/worker.h"

/* Starts and stops accepting as the worker's newest config (or its draining) says. Loop's thread.
 */
void proxy_accept_follow(struct proxy_worker *w);

void proxy_accept_again(struct io_timer *t); /* fires of worker->accept_again */

/* A client connection of HTTP/1 (h1_in.c): the descriptor is taken over, and the place among the
 * client's connections (proxy_clients_enter()). */
struct proxy_listener;
void proxy_h1_in_start(struct proxy_worker *w, struct proxy_listener *listener, int fd,
                       const union io_addr *peer);

/* Ends client connections that have been idle for a moment; looks at a bounded number, others the
 * next time. Loop's thread. */
void proxy_h1_in_shrink(struct proxy_worker *w);

#endif
