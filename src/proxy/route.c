#include "proxy/route_piece.h"

#include "base/mem.h"
#include "model/attach.h"
#include "proxy/route_table.h"

#include <stdlib.h>

#define HOST_BYTES_MAX 253
#define NAMES_BYTES_MAX (256u << 20)

/* Names in a scope (a socket's listeners, a listener's hosts): "a.example" is exact, ".example"
 * stands for all below,
 * "" for all. `up` is the next less specific name that covers this one in the same scope. */
struct host {
    uint64_t hash;
    struct wt_str name;
    uint32_t scope;
    uint32_t up;
    uint32_t value;                 /* of a socket's name: the listener */
    uint32_t prefix_max, exact_max; /* longest paths */
    uint64_t prefix_lens;           /* bit n: there is a prefix of a length n modulo 64 */
};

struct hosts {
    struct host *rows;
    uint32_t n, cap;
    struct proxy_route_table table;
    struct host_scope {
        uint32_t all;           /* the host "", or PROXY_NO_INDEX */
        uint32_t wildcard_max;  /* longest ".example" */
        uint64_t wildcard_lens; /* as prefix_lens */
    } * scopes;
};

/* A path under a host, with its candidates. `up` is the longest prefix under the same host that
 * covers it. */
struct node {
    uint64_t hash;
    struct wt_str path;
    uint32_t host;
    uint32_t up;
    uint32_t first, n; /* candidates */
    bool exact;
};

/* All that the usual match needs of a condition lies here: what a request touches of one route
 * among thousands is in no cache, and each piece is on a page of its own. */
struct candidate {
    const struct proxy_route_piece *piece;
    const struct proxy_route_cond *cond;
    uint32_t node;
    uint32_t rule;
    uint32_t targets; /* of the rule's first ref */
    uint8_t method;   /* as the condition's */
    bool bare;        /* it asks for neither header fields nor parameters */
};

struct proxy_routes {
    struct hosts sockets, listeners;
    struct node *nodes;
    struct candidate *candidates;
    struct proxy_rule *rules; /* of all pieces, copied to lie side by side */
    uint32_t *targets;
    struct proxy_route_piece **pieces;
    uint16_t *ports;             /* by listener */
    struct wt_str *names;        /* by listener: its hostname as model_attach_host() gives it */
    struct wt_arena names_arena; /* of hosts and paths, to lie side by side */
    struct proxy_route_table node_table;
    uint32_t n_nodes, cap_nodes, n_candidates, cap_candidates, n_pieces, n_sockets;
};

/* ---- vectors ---- */

/* Room for one more; the array may move. */
static bool room(void *array_ptr, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    uint32_t more = *cap ? *cap * 2 : 64;
    void *old;
    memcpy(&old, array_ptr, sizeof old);
    void *ptr = wt_realloc(old, more * size);
    if (!ptr)
        return false;
    memcpy(array_ptr, &ptr, sizeof ptr);
    *cap = more;
    return true;
}

static uint64_t length_bit(size_t len)
{
    return UINT64_C(1) << (len & 63);
}

/* ---- hosts ---- */

static uint64_t host_hash(uint32_t scope, struct wt_str name)
{
    return proxy_route_hash(scope + UINT64_C(0x51ed270b35a1c4d7), name.ptr, name.len);
}

static uint32_t host_find(const struct hosts *h, uint32_t scope, struct wt_str name)
{
    uint64_t hash = host_hash(scope, name);
    uint32_t at = proxy_route_table_first(&h->table, hash), n;
    while ((n = proxy_route_table_next(&h->table, hash, &at)) != PROXY_NO_INDEX) {
        if (h->rows[n].scope == scope && wt_str_eq(h->rows[n].name, name))
            return n;
    }
    return PROXY_NO_INDEX;
}

/* Finds or adds; PROXY_NO_INDEX without memory. */
static uint32_t host_put(struct hosts *h, uint32_t scope, struct wt_str name, uint32_t value,
                         struct wt_arena *names)
{
    uint32_t n = host_find(h, scope, name);
    if (n != PROXY_NO_INDEX)
        return n;
    uint64_t hash = host_hash(scope, name);
    name = wt_arena_str(names, name);
    if (!name.ptr || !room(&h->rows, h->n, &h->cap, sizeof *h->rows) ||
        proxy_route_table_add(&h->table, hash, h->n) < 0)
        return PROXY_NO_INDEX;
    h->rows[h->n] = (struct host){
        .hash = hash, .name = name, .scope = scope, .up = PROXY_NO_INDEX, .value = value};
    struct host_scope *s = &h->scopes[scope];
    if (!name.len)
        s->all = h->n;
    if (name.len && name.ptr[0] == '.') {
        s->wildcard_lens |= length_bit(name.len);
        s->wildcard_max = name.len > s->wildcard_max ? (uint32_t)name.len : s->wildcard_max;
    }
    return h->n++;
}

/* The most specific wildcard that covers `name`, looking from its byte `from` on. */
static uint32_t host_above(const struct hosts *h, uint32_t scope, struct wt_str name, size_t from)
{
    const struct host_scope *s = &h->scopes[scope];
    for (size_t i = from; s->wildcard_lens && i < name.len; i++) {
        size_t len = name.len - i;
        if (name.ptr[i] != '.' || len > s->wildcard_max || !(s->wildcard_lens & length_bit(len)))
            continue;
        uint32_t n = host_find(h, scope, wt_str_sub(name, i, name.len));
        if (n != PROXY_NO_INDEX)
            return n;
    }
    return s->all;
}

/* The most specific host for a request. */
static uint32_t host_match(const struct hosts *h, uint32_t scope, struct wt_str name)
{
    bool usual = name.len && name.ptr[0] != '.'; /* ".example" would find the wildcard's row */
    uint32_t n = usual ? host_find(h, scope, name) : PROXY_NO_INDEX;
    return n != PROXY_NO_INDEX ? n : host_above(h, scope, name, 1);
}

static void hosts_link(struct hosts *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->rows[i].name.len)
            h->rows[i].up = host_above(h, h->rows[i].scope, h->rows[i].name, 1);
    }
}

static int hosts_init(struct hosts *h, size_t n_scopes)
{
    h->scopes = wt_calloc(n_scopes ? n_scopes : 1, sizeof *h->scopes);
    if (!h->scopes)
        return WT_ENOMEM;
    for (size_t i = 0; i < n_scopes; i++)
        h->scopes[i].all = PROXY_NO_INDEX;
    return proxy_route_table_init(&h->table);
}

static void hosts_done(struct hosts *h)
{
    wt_free(h->rows);
    wt_free(h->scopes);
    proxy_route_table_done(&h->table);
}

/* ---- paths ---- */

static uint64_t node_hash(uint64_t chain, bool exact)
{
    return proxy_route_mix(chain ^ (exact ? UINT64_C(0x589965cc75374cc3) : 0),
                           UINT64_C(0x1d8e4e27c47d124f));
}

/* End of the path element that begins at the slash `from`. */
static size_t element_end(struct wt_str path, size_t from)
{
    const char *slash = memchr(path.ptr + from + 1, '/', path.len - from - 1);
    return slash ? (size_t)(slash - path.ptr) : path.len;
}

static uint64_t chain_next(uint64_t chain, struct wt_str path, size_t from, size_t to)
{
    return proxy_route_hash(chain, path.ptr + from, to - from);
}

static uint64_t path_chain(uint64_t seed, struct wt_str path)
{
    uint64_t chain = seed;
    for (size_t at = 0; at < path.len;) {
        size_t end = element_end(path, at);
        chain = chain_next(chain, path, at, end);
        at = end;
    }
    return chain;
}

static uint32_t node_find(const struct proxy_routes *r, uint64_t hash, uint32_t host, bool exact,
                          struct wt_str path)
{
    uint32_t at = proxy_route_table_first(&r->node_table, hash), n;
    while ((n = proxy_route_table_next(&r->node_table, hash, &at)) != PROXY_NO_INDEX) {
        const struct node *node = &r->nodes[n];
        if (node->hash == hash && node->host == host && node->exact == exact &&
            wt_str_eq(node->path, path))
            return n;
    }
    return PROXY_NO_INDEX;
}

static uint32_t node_put(struct proxy_routes *r, uint32_t host, bool exact, struct wt_str path)
{
    struct host *h = &r->listeners.rows[host];
    uint64_t hash = node_hash(path_chain(h->hash, path), exact);
    uint32_t n = node_find(r, hash, host, exact, path);
    if (n != PROXY_NO_INDEX)
        return n;
    path = wt_arena_str(&r->names_arena, path);
    if (!path.ptr || !room(&r->nodes, r->n_nodes, &r->cap_nodes, sizeof *r->nodes) ||
        proxy_route_table_add(&r->node_table, hash, r->n_nodes) < 0)
        return PROXY_NO_INDEX;
    r->nodes[r->n_nodes] = (struct node){
        .hash = hash, .path = path, .host = host, .up = PROXY_NO_INDEX, .exact = exact};
    uint32_t *longest = exact ? &h->exact_max : &h->prefix_max;
    if (path.len > *longest)
        *longest = (uint32_t)path.len;
    if (!exact)
        h->prefix_lens |= length_bit(path.len);
    return r->n_nodes++;
}

enum search {
    SEARCH_ALL,      /* the exact path, else the longest prefix */
    SEARCH_PREFIXES, /* the longest prefix, the whole path among them */
    SEARCH_SHORTER,  /* the longest prefix that is shorter than the path */
};

/* The node to begin with for `path` under a host. The nodes that come after it hang on `up`. */
static uint32_t node_match(const struct proxy_routes *r, uint32_t host, struct wt_str path,
                           enum search search)
{
    const struct host *h = &r->listeners.rows[host];
    uint32_t found = PROXY_NO_INDEX;
    uint64_t chain = h->hash;
    size_t at = 0;
    bool slashed = path.len && path.ptr[0] == '/';
    bool exact = search == SEARCH_ALL && path.len <= h->exact_max;
    size_t limit = exact ? path.len : h->prefix_max;
    for (;;) {
        bool whole = at == path.len;
        bool wanted = !whole || search != SEARCH_SHORTER;
        if (wanted && at <= h->prefix_max && (h->prefix_lens & length_bit(at))) {
            struct wt_str prefix = wt_str(path.ptr, at);
            uint32_t n = node_find(r, node_hash(chain, false), host, false, prefix);
            found = n != PROXY_NO_INDEX ? n : found;
        }
        if (whole || !slashed)
            break;
        size_t end = element_end(path, at);
        if (end > limit)
            break;
        chain = chain_next(chain, path, at, end);
        at = end;
    }
    if (!exact || at != path.len)
        return found;
    uint32_t n = node_find(r, node_hash(chain, true), host, true, path);
    return n != PROXY_NO_INDEX ? n : found;
}

/* An exact "/a/b" goes on with the prefixes "/a/b", "/a" and "/"; a prefix with shorter ones. */
static void nodes_link(struct proxy_routes *r)
{
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        struct node *n = &r->nodes[i];
        n->up = node_match(r, n->host, n->path, n->exact ? SEARCH_PREFIXES : SEARCH_SHORTER);
    }
}

/* ---- building ---- */

static bool parent_fits(const struct proxy_route_piece *p, const struct proxy_route_listener *l)
{
    bool same = wt_str_eq(p->namespace_, l->gateway_namespace);
    if (l->from == PROXY_ROUTES_NONE || (l->from == PROXY_ROUTES_SAME && !same))
        return false;
    for (uint32_t i = 0; i < p->n_parents; i++) {
        const struct proxy_route_parent *parent = &p->parents[i];
        if (wt_str_eq(parent->name, l->gateway_name) &&
            wt_str_eq(parent->namespace_, l->gateway_namespace) &&
            (!parent->section.len || wt_str_eq(parent->section, l->name)) &&
            (!parent->port || parent->port == l->port))
            return true;
    }
    return false;
}

/* Where the parts of a piece begin in the arrays of all. */
struct offsets {
    uint32_t rules, targets;
};

static struct candidate make_candidate(const struct proxy_route_piece *p,
                                       const struct proxy_route_cond *cond, uint32_t node,
                                       const struct offsets *at)
{
    return (struct candidate){
        .piece = p,
        .cond = cond,
        .node = node,
        .rule = at->rules + cond->rule,
        .targets = at->targets + p->rules[cond->rule].first_ref,
        .method = (uint8_t)cond->method,
        .bare = !cond->n_headers && !cond->n_queries,
    };
}

static int add_conds(struct proxy_routes *r, const struct proxy_route_piece *p, uint32_t host,
                     const struct offsets *at)
{
    for (uint32_t i = 0; i < p->n_conds; i++) {
        const struct proxy_route_cond *cond = &p->conds[i];
        uint32_t node = node_put(r, host, cond->exact, cond->path);
        if (node == PROXY_NO_INDEX ||
            !room(&r->candidates, r->n_candidates, &r->cap_candidates, sizeof *r->candidates))
            return WT_ENOMEM;
        r->nodes[node].n++;
        r->candidates[r->n_candidates++] = make_candidate(p, cond, node, at);
    }
    return 0;
}

/* The hosts of one route at one listener; *out_n is 0 where none overlap. */
static uint32_t overlaps(const struct proxy_route_piece *p, struct wt_str listener,
                         struct wt_str *out, uint32_t max)
{
    uint32_t n = 0;
    if (!p->n_hostnames)
        out[n++] = listener;
    for (uint32_t i = 0; i < p->n_hostnames && n < max; i++) {
        struct wt_str name;
        if (!model_attach_overlap(model_attach_host(p->hostnames[i]), listener, &name))
            continue;
        bool twice = false;
        for (uint32_t k = 0; k < n; k++)
            twice |= wt_str_eq(out[k], name);
        if (!twice)
            out[n++] = name;
    }
    return n;
}

enum { HOSTNAMES_MAX = 32 };

static int attach(struct proxy_routes *r, const struct proxy_routes_input *in, uint32_t piece,
                  const struct offsets *at)
{
    const struct proxy_route_piece *p = in->pieces[piece];
    for (uint32_t l = 0; l < in->n_listeners; l++) {
        if (!parent_fits(p, &in->listeners[l]))
            continue;
        struct wt_str names[HOSTNAMES_MAX];
        uint32_t n = overlaps(p, r->names[l], names, HOSTNAMES_MAX);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t host = host_put(&r->listeners, l, names[i], 0, &r->names_arena);
            int err = host == PROXY_NO_INDEX ? WT_ENOMEM : add_conds(r, p, host, at);
            if (err < 0)
                return err;
        }
    }
    return 0;
}

/* Copies the rules and resolves their refs; *at moves on to the next piece. */
static void add_rules(struct proxy_routes *r, const struct proxy_routes_input *in,
                      const struct proxy_route_piece *p, struct offsets *at)
{
    for (uint32_t i = 0; i < p->n_rules; i++) {
        const struct proxy_rule *rule = &p->rules[i];
        r->rules[at->rules++] = *rule;
        for (uint32_t k = 0; k < rule->n_refs; k++) {
            bool ask = in->resolve && !rule->refs[k].foreign;
            r->targets[at->targets++] =
                ask ? in->resolve(in->ctx, rule, &rule->refs[k]) : PROXY_TARGET_NONE;
        }
    }
}

/* Precedence of the Gateway API among matches of the same path: see HTTPRouteRule.matches. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    const int64_t keys[][2] = {
        /* larger first */
        {y->cond->path_chars, x->cond->path_chars},
        {y->cond->method != HTTP_METHOD_OTHER, x->cond->method != HTTP_METHOD_OTHER},
        {y->cond->n_headers, x->cond->n_headers},
        {y->cond->n_queries, x->cond->n_queries},
        /* smaller first */
        {x->piece->created_ms, y->piece->created_ms},
        {wt_str_cmp(x->piece->key, y->piece->key), 0},
        {x->cond->rule, y->cond->rule},
        {x->cond->index, y->cond->index},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    }
    return 0;
}

/* Groups the candidates by node and puts each group in order. */
static int group(struct proxy_routes *r)
{
    struct candidate *sorted = wt_calloc(r->n_candidates + 1, sizeof *sorted);
    if (!sorted)
        return WT_ENOMEM;
    uint32_t first = 0;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        r->nodes[i].first = first;
        first += r->nodes[i].n;
        r->nodes[i].n = 0;
    }
    for (uint32_t i = 0; i < r->n_candidates; i++) {
        struct node *node = &r->nodes[r->candidates[i].node];
        sorted[node->first + node->n++] = r->candidates[i];
    }
    wt_free(r->candidates);
    r->candidates = sorted;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        if (r->nodes[i].n > 1)
            qsort(sorted + r->nodes[i].first, r->nodes[i].n, sizeof *sorted, compare);
    }
    return 0;
}

/* A copy that lives as long as the index, in lower case. */
static int listener_name(struct proxy_routes *r, struct wt_str hostname, struct wt_str *out)
{
    struct wt_str name = wt_arena_str(&r->names_arena, model_attach_host(hostname));
    if (!name.ptr)
        return WT_ENOMEM;
    char *bytes = (char *)(uintptr_t)name.ptr;
    for (size_t i = 0; i < name.len; i++)
        bytes[i] = (char)wt_lower((unsigned char)bytes[i]);
    *out = name;
    return 0;
}

static int add_listeners(struct proxy_routes *r, const struct proxy_routes_input *in)
{
    for (uint32_t l = 0; l < in->n_listeners; l++) {
        const struct proxy_route_listener *listener = &in->listeners[l];
        r->ports[l] = listener->kept_port ? listener->kept_port : listener->port;
        if (listener_name(r, listener->hostname, &r->names[l]) < 0)
            return WT_ENOMEM;
        for (uint32_t i = 0; i < listener->n_sockets; i++) {
            /* Of two listeners for the same host on one socket the first stays; the status of the
             * other one says Conflicted (control/status_observe.c). */
            uint32_t socket = listener->sockets[i];
            if (socket >= in->n_sockets)
                return WT_EINVAL;
            if (host_put(&r->sockets, socket, r->names[l], l, &r->names_arena) == PROXY_NO_INDEX)
                return WT_ENOMEM;
        }
    }
    return 0;
}

static int alloc(struct proxy_routes *r, const struct proxy_routes_input *in)
{
    size_t n_refs = 0, n_rules = 0;
    for (size_t i = 0; i < in->n_pieces; i++) {
        n_refs += in->pieces[i]->n_refs;
        n_rules += in->pieces[i]->n_rules;
    }
    if (hosts_init(&r->sockets, in->n_sockets) < 0 ||
        hosts_init(&r->listeners, in->n_listeners) < 0 ||
        proxy_route_table_init(&r->node_table) < 0)
        return WT_ENOMEM;
    r->rules = wt_calloc(n_rules + 1, sizeof *r->rules);
    r->targets = wt_calloc(n_refs + 1, sizeof *r->targets);
    r->pieces = wt_calloc(in->n_pieces + 1, sizeof(void *));
    r->ports = wt_calloc(in->n_listeners + 1, sizeof *r->ports);
    r->names = wt_calloc(in->n_listeners + 1, sizeof *r->names);
    bool all = r->rules && r->targets && r->pieces && r->ports && r->names;
    return all ? 0 : WT_ENOMEM;
}

static int build(struct proxy_routes *r, const struct proxy_routes_input *in)
{
    int err = alloc(r, in);
    r->n_sockets = in->n_sockets;
    r->names_arena = wt_arena_make(NAMES_BYTES_MAX);
    err = err < 0 ? err : add_listeners(r, in);
    struct offsets at = {0, 0};
    for (uint32_t i = 0; i < in->n_pieces && err == 0; i++) {
        r->pieces[i] = proxy_route_piece_ref(in->pieces[i]);
        r->n_pieces++;
        err = attach(r, in, i, &at);
        if (err == 0)
            add_rules(r, in, in->pieces[i], &at);
    }
    if (err < 0)
        return err;
    hosts_link(&r->sockets);
    hosts_link(&r->listeners);
    nodes_link(r);
    return group(r);
}

int proxy_routes_build(const struct proxy_routes_input *in, struct proxy_routes **out,
                       struct wt_err *err)
{
    struct proxy_routes *r = wt_calloc(1, sizeof *r);
    if (!r)
        return wt_fail(err, WT_ENOMEM, "routes: no memory");
    int code = build(r, in);
    if (code < 0) {
        proxy_routes_free(r);
        return wt_fail(err, code, "routes: %s", wt_code_text(code));
    }
    *out = r;
    return 0;
}

void proxy_routes_free(struct proxy_routes *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n_pieces; i++)
        proxy_route_piece_unref(r->pieces[i]);
    hosts_done(&r->sockets);
    hosts_done(&r->listeners);
    proxy_route_table_done(&r->node_table);
    wt_free(r->nodes);
    wt_free(r->candidates);
    wt_free(r->rules);
    wt_free(r->targets);
    wt_free(r->pieces);
    wt_free(r->ports);
    wt_free(r->names);
    wt_arena_done(&r->names_arena);
    wt_free(r);
}

/* ---- matching ---- */

/* Fields of one name are one value, joined by commas (RFC 9110 §5.3); compared without joining
 * them. */
static bool header_is(const struct http_head *h, const struct proxy_want *want)
{
    struct wt_str rest = want->value;
    bool any = false;
    for (unsigned i = 0; i < h->n_fields; i++) {
        const struct http_field *f = &h->fields[i];
        if (f->id != want->id ||
            (want->id == HTTP_FIELD_OTHER && !wt_str_eq_nocase(f->name, want->name)))
            continue;
        if (any && !(rest.len && rest.ptr[0] == ','))
            return false;
        rest = wt_str_sub(rest, any ? 1 : 0, rest.len);
        any = true;
        if (!wt_str_starts(rest, f->value))
            return false;
        rest = wt_str_sub(rest, f->value.len, rest.len);
    }
    return any && rest.len == 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    int low = wt_lower((unsigned char)c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Compares a part of a query with plain text, undoing %XX and "+" on the way. */
static bool query_is(struct wt_str raw, struct wt_str plain)
{
    size_t k = 0;
    for (size_t i = 0; i < raw.len; i++, k++) {
        char c = raw.ptr[i] == '+' ? ' ' : raw.ptr[i];
        if (c == '%' && i + 2 < raw.len) {
            int high = hex_value(raw.ptr[i + 1]), low = hex_value(raw.ptr[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        if (k >= plain.len || plain.ptr[k] != c)
            return false;
    }
    return k == plain.len;
}

/* A parameter that comes twice: the first one counts, as the Gateway API recommends. */
static bool query_has(struct wt_str query, const struct proxy_want *want)
{
    while (query.len) {
        struct wt_str value = wt_str_next(&query, '&');
        struct wt_str name = wt_str_next(&value, '=');
        if (query_is(name, want->name))
            return query_is(value.ptr ? value : WT_STR(""), want->value);
    }
    return false;
}

static bool wants_hold(const struct proxy_route_cond *c, const struct http_head *h)
{
    for (uint32_t i = 0; i < c->n_headers; i++) {
        if (!header_is(h, &c->headers[i]))
            return false;
    }
    for (uint32_t i = 0; i < c->n_queries; i++) {
        if (!query_has(h->has_query ? h->query : WT_STR(""), &c->queries[i]))
            return false;
    }
    return true;
}

static bool candidate_holds(const struct candidate *c, const struct http_head *h)
{
    if (c->method != HTTP_METHOD_OTHER && c->method != h->method)
        return false;
    return c->bare || wants_hold(c->cond, h);
}

/* The host of an authority in lower case, without port and without the dot at its end, in `out`. */
static struct wt_str host_of(struct wt_str authority, char out[HOST_BYTES_MAX])
{
    size_t n = authority.len;
    if (n && authority.ptr[0] == '[')
        n = wt_str_find(authority, ']') + 1;
    else
        n = wt_str_find(authority, ':');
    n = n > authority.len ? authority.len : n;
    if (n && authority.ptr[n - 1] == '.')
        n--;
    if (n > HOST_BYTES_MAX)
        n = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)wt_lower((unsigned char)authority.ptr[i]);
    return wt_str(out, n);
}

static const struct candidate *match_host(const struct proxy_routes *r, uint32_t host,
                                          const struct http_head *h)
{
    struct wt_str path = h->path.len ? h->path : WT_STR("/");
    for (uint32_t n = node_match(r, host, path, SEARCH_ALL); n != PROXY_NO_INDEX;
         n = r->nodes[n].up) {
        const struct candidate *c = &r->candidates[r->nodes[n].first];
        for (uint32_t i = 0; i < r->nodes[n].n; i++, c++) {
            if (candidate_holds(c, h))
                return c;
        }
    }
    return NULL;
}

bool proxy_route_match(const struct proxy_routes *r, uint32_t socket,
                       const struct http_head *request, struct proxy_match *out)
{
    char bytes[HOST_BYTES_MAX] WT_UNSET;
    if (socket >= r->n_sockets)
        return false;
    struct wt_str host = host_of(request->authority, bytes);
    uint32_t at = host_match(&r->sockets, socket, host);
    if (at == PROXY_NO_INDEX)
        return false;
    uint32_t listener = r->sockets.rows[at].value;
    at = host_match(&r->listeners, listener, host);
    for (; at != PROXY_NO_INDEX; at = r->listeners.rows[at].up) {
        const struct candidate *c = match_host(r, at, request);
        if (!c)
            continue;
        *out = (struct proxy_match){r->rules + c->rule, r->targets + c->targets,
                                    (uint32_t)r->nodes[c->node].path.len, listener,
                                    r->ports[listener]};
        return true;
    }
    return false;
}

void proxy_route_listener_init(struct proxy_route_listener *out,
                               const struct model_gateway *gateway,
                               const struct model_gateway_listener *listener)
{
    static const enum proxy_route_from froms[] = {
        [MODEL_FROM_ALL] = PROXY_ROUTES_ALL,
        [MODEL_FROM_SAME] = PROXY_ROUTES_SAME,
        [MODEL_FROM_SELECTOR] = PROXY_ROUTES_NONE,
        [MODEL_FROM_NOBODY] = PROXY_ROUTES_NONE,
    };
    *out = (struct proxy_route_listener){
        .gateway_namespace = gateway->metadata->namespace,
        .gateway_name = gateway->metadata->name,
        .name = listener->name,
        .hostname = listener->hostname,
        .port = (uint16_t)listener->port,
        .from = froms[model_attach_from(listener)],
    };
}
