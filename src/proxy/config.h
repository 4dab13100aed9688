/* A config: a snapshot made ready for serving. Immutable, refcounted by its users on all threads;
 * one of these is one pointer per worker. What did not change between two snapshots is the same
 * object in both. */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include "base/map.h"
#include "model/snapshot.h"
#include "proxy/alias.h"
#include "proxy/backend.h"
#include "proxy/left_out.h"
#include "proxy/route.h"
#include "proxy/share.h"

/* A listening address, with the sockets of its life; shared by configs that have it. */
struct proxy_listener {
    atomic_uint refs;
    union io_addr addr;
    char text[IO_ADDR_TEXT]; /* "0.0.0.0:8080" */
    uint16_t port;
    struct io_sys *sys; /* whose descriptor it is */
    int fd;
    struct proxy_stats_entry *stats;
};

struct proxy_listener *proxy_listener_ref(struct proxy_listener *l);
void proxy_listener_unref(struct proxy_listener *l); /* the last one closes the socket */

/* An address of a Gateway's listener that could not be had; tried again until it can (listen.c). */
struct proxy_unopened {
    union io_addr addr;
    char *what; /* "Gateway default/web, listener http" */
    char *why;  /* "listen on 0.0.0.0:80: Address already in use" */
};

/* A socket that a Gateway's listener is served at (opened.h). */
struct proxy_served_at {
    char *what;      /* as above */
    uint32_t socket; /* in proxy_config.listeners */
    bool kept;       /* its address is another by now, which cannot be had yet */
};

/* Where a rule's backendRef leads. */
struct proxy_target {
    struct proxy_backend *backend;            /* NULL: there is no such backend (500) */
    struct proxy_migration *migration;        /* NULL: none covers it */
    struct proxy_backend *sides[PROXY_SIDES]; /* of the migration; NULL: there is no such backend */
};

/* Whether there is a migration and both its sides. */
static inline bool proxy_target_whole(const struct proxy_target *t)
{
    return t->sides[PROXY_SIDE_OLD] && t->sides[PROXY_SIDE_NEW];
}

/* A document that is in force as it is: nothing is compiled of it alone. */
struct proxy_document {
    json_t *doc;
    uint64_t version;
};

struct proxy_config {
    atomic_uint refs;
    uint64_t version;
    struct proxy_routes *routes;
    struct proxy_listener **listeners; /* routes know them by index */
    uint32_t n_listeners;
    struct proxy_unopened *unopened;
    uint32_t n_unopened;
    struct proxy_served_at *served;
    uint32_t n_served;
    struct proxy_backend **backends;
    uint32_t n_backends;
    struct proxy_migration **migrations;
    uint32_t n_migrations;
    struct proxy_target *targets; /* a rule's refs know them by index */
    uint32_t n_targets;
    struct proxy_aliases aliases;     /* of all routes and migrations */
    struct proxy_left_outs left_outs; /* what of the snapshot is not in force */
    struct wt_map pieces;             /* key -> struct proxy_route_piece, for the next build */
    struct wt_map documents; /* key -> struct proxy_document, of Gateways and policies; likewise */
    struct wt_map by_name;   /* "namespace/name" -> struct proxy_backend */
};

struct proxy_config *proxy_config_ref(struct proxy_config *c);
void proxy_config_unref(struct proxy_config *c);

/* The hosts of backends that are discovered (DNS, file): asked for by name; the builder takes
 * references. */
struct proxy_found_hosts {
    const union io_addr *addrs;
    unsigned n;
    uint64_t version; /* rises when the set changes */
};

/* What a build needs beside the snapshot. */
struct proxy_build {
    struct io_sys *sys;
    unsigned n_workers;
    struct proxy_stats *stats;
    int64_t now_ms;
    /* A listening socket for this address, or an error: from the supervisor, or opened here. */
    int (*listen)(void *ctx, const union io_addr *addr, struct wt_err *err);
    /* Hosts of a discovered backend; n = 0 when nothing is known yet. */
    void (*found)(void *found_ctx, struct wt_str backend, const struct model_backend *view,
                  struct proxy_found_hosts *out);
    void *found_ctx;
    /* What runs under a migration's uid; made at first sight. */
    struct proxy_live *(*live)(void *ctx, const struct proxy_migration *m);
    void *ctx;
};

/* Builds the config of `snapshot`, taking over from `before` (NULL at first) whatever did not
 * change. A part that cannot be served (a listener's address in use) is left out with a warning;
 * nothing that was served before is dropped for it. An object that cannot be taken stays as it was
 * before; one that was not there before is left out, and routes to it answer 500. */
int proxy_config_build(const struct model_snapshot *snapshot, struct proxy_config *before,
                       const struct proxy_build *build, struct proxy_config **out,
                       struct wt_err *err) WT_NODISCARD;

#endif
