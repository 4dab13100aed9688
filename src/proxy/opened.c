#include "proxy/opened.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

struct proxy_opened_name proxy_opened_name(const struct proxy_route_listener *l)
{
    struct proxy_opened_name n;
    snprintf(n.text, sizeof n.text, "Gateway %.*s/%.*s, listener %.*s",
             WT_ARG(l->gateway_namespace), WT_ARG(l->gateway_name), WT_ARG(l->name));
    return n;
}

int64_t proxy_opened_add(struct proxy_config *c, struct proxy_listener *l)
{
    struct proxy_listener **all =
        wt_realloc(c->listeners, (c->n_listeners + 1) * sizeof(struct proxy_listener *));
    if (!all) {
        proxy_listener_unref(l);
        return WT_ENOMEM;
    }
    c->listeners = all;
    c->listeners[c->n_listeners] = l;
    return c->n_listeners++;
}

int proxy_opened_note(struct proxy_config *c, const char *what, uint32_t socket, bool kept)
{
    struct proxy_served_at *all = wt_realloc(c->served, (c->n_served + 1) * sizeof *all);
    char *copy = wt_str_dup(wt_str_z(what));
    if (all)
        c->served = all;
    if (!all || !copy) {
        wt_free(copy);
        return WT_ENOMEM;
    }
    c->served[c->n_served++] = (struct proxy_served_at){copy, socket, kept};
    return 0;
}

static bool was_missed(const struct proxy_config *c, const struct proxy_unopened *u)
{
    for (uint32_t i = 0; c && i < c->n_unopened; i++)
        if (strcmp(c->unopened[i].what, u->what) == 0 && strcmp(c->unopened[i].why, u->why) == 0)
            return true;
    return false;
}

int proxy_opened_miss(struct proxy_config *c, const struct proxy_config *before, const char *what,
                      const union io_addr *addr, const char *why)
{
    struct proxy_unopened *all = wt_realloc(c->unopened, (c->n_unopened + 1) * sizeof *all);
    if (!all)
        return WT_ENOMEM;
    c->unopened = all;
    struct proxy_unopened u = {*addr, wt_str_dup(wt_str_z(what)), wt_str_dup(wt_str_z(why))};
    c->unopened[c->n_unopened++] = u;
    if (!u.what || !u.why)
        return WT_ENOMEM;
    if (!was_missed(before, &u))
        wt_log(WT_LOG_ERROR, "%s is not served: %s", u.what, u.why);
    return 0;
}

/* ---- what stays ---- */

static bool is_any(const union io_addr *a)
{
    char text[IO_ADDR_TEXT];
    io_addr_format_host(a, text);
    return strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0;
}

static bool misses(const struct proxy_config *c, const char *what)
{
    for (uint32_t i = 0; i < c->n_unopened; i++)
        if (strcmp(c->unopened[i].what, what) == 0)
            return true;
    return false;
}

/* It would never be had: we have it ourselves. */
static bool in_the_way(const struct proxy_config *c, const struct proxy_listener *l)
{
    for (uint32_t i = 0; i < c->n_unopened; i++) {
        const union io_addr *wanted = &c->unopened[i].addr;
        if (io_addr_port(wanted) == l->port && (is_any(wanted) || is_any(&l->addr)))
            return true;
    }
    return false;
}

static bool is_served_at(const struct proxy_config *c, const char *what,
                         const struct proxy_listener *l)
{
    for (uint32_t i = 0; i < c->n_served; i++)
        if (c->listeners[c->served[i].socket] == l && strcmp(c->served[i].what, what) == 0)
            return true;
    return false;
}

static int64_t socket_of(struct proxy_config *c, struct proxy_listener *l)
{
    for (uint32_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i] == l)
            return i;
    return proxy_opened_add(c, proxy_listener_ref(l));
}

int proxy_opened_keep(struct proxy_config *c, const struct proxy_config *before, const char *what,
                      uint32_t *out)
{
    int n = 0;
    if (!before || !misses(c, what))
        return 0;
    for (uint32_t i = 0; i < before->n_served; i++) {
        const struct proxy_served_at *s = &before->served[i];
        struct proxy_listener *l = before->listeners[s->socket];
        if (strcmp(s->what, what) != 0 || is_served_at(c, what, l) || in_the_way(c, l))
            continue;
        int64_t socket = socket_of(c, l);
        if (socket < 0 || proxy_opened_note(c, what, (uint32_t)socket, true) < 0)
            return WT_ENOMEM;
        if (!s->kept)
            wt_log(WT_LOG_WARN, "%s stays served at %s until it can move", what, l->text);
        out[n++] = (uint32_t)socket;
    }
    return n;
}

json_t *proxy_opened_kept_json(const struct proxy_config *c)
{
    json_t *out = NULL;
    for (uint32_t i = 0; i < c->n_served; i++) {
        const struct proxy_served_at *s = &c->served[i];
        if (s->kept && !out)
            out = json_array();
        if (s->kept)
            json_array_append_new(out, json_pack("{s:s, s:s}", "listener", s->what, "address",
                                                 c->listeners[s->socket]->text));
    }
    return out;
}

void proxy_opened_done(struct proxy_config *c)
{
    for (uint32_t i = 0; i < c->n_unopened; i++) {
        wt_free(c->unopened[i].what);
        wt_free(c->unopened[i].why);
    }
    for (uint32_t i = 0; i < c->n_served; i++)
        wt_free(c->served[i].what);
    wt_free(c->unopened);
    wt_free(c->served);
}
