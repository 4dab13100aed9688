/* Listening: what a worker accepts connections from, following the snapshot it runs on. */
#ifndef PROXY_ACCEPT_H
#define PROXY_ACCEPT_H

#include "proxy/worker.h"

/* Starts and stops accepting as the worker's newest config (or its draining) says. Loop's thread.
 */
void proxy_accept_follow(struct proxy_worker *w);

void proxy_accept_again(struct io_timer *t); /* fires of worker->accept_again */

/* A client connection of HTTP/1 (inbound.c): the descriptor is taken over. */
struct proxy_listener;
void proxy_h1_in_start(struct proxy_worker *w, struct proxy_listener *listener, int fd,
                       const union io_addr *peer);

#endif
