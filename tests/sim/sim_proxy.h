/* What the files of the simulated worker share: the world, and what they tell each other of it. */
#ifndef SIM_PROXY_H
#define SIM_PROXY_H

#include "../unit/proxy_rig_help.h"

#include "base/hash.h"
#include "io/sys_sim.h"

enum { SEEDS = 48, CLIENTS = 6, CALLS = 7, REQUESTS = CLIENTS * CALLS, HOSTS = 2, ERAS = 20 };

enum { GET, HEAD, PUT, POST, METHODS };

struct request {
    int method;
    unsigned user;
    int64_t sent_ns;      /* 0: not yet */
    uint64_t old_refused; /* connects to the old side that had failed by then */
    unsigned n_seen;      /* by origins, heads that were whole */
};

/* A span of time in which something held. */
struct era {
    int64_t from_ns, until_ns; /* INT64_MAX: still */
    uint64_t version;
    int64_t epoch;
    const struct model_slots *slots;
};

struct world;

struct origin {
    struct world *w;
    enum proxy_side side;
    union io_addr addr;
    struct io_stream stream;
    struct io_fiber *fiber;
    bool stopping, closed;
};

struct world {
    uint64_t seed;
    bool calm;
    struct io_sim *sim;
    struct rig rig;
    struct wt_rng rng; /* of the director and the origins */
    struct origin origins[PROXY_SIDES * HOSTS];
    struct request requests[REQUESTS];
    struct era eras[ERAS], dead[PROXY_SIDES][ERAS];
    unsigned n_eras, n_dead[PROXY_SIDES];
    int64_t epoch, verdict_epoch, verdict_ns;
    unsigned n_clients, n_conns; /* that run; the origins' connections */
    struct io_cond left;
    unsigned n_right, n_errors, n_wrong, n_aborted;
    unsigned n_swaps, n_verdicts;
};

struct client {
    struct world *w;
    struct wt_rng rng;
    unsigned next, end; /* requests */
    struct mini m;
    bool old_version; /* HTTP/1.0 on this connection */
};

/* Seen over all seeds, to know that the stories are rich enough. */
struct totals {
    unsigned seen[PROXY_SIDES], repeated, swaps, verdicts, broken;
};
extern struct totals total;

extern const char *const methods[METHODS];

static inline bool chance(struct wt_rng *rng, unsigned percent)
{
    return wt_rng_below(rng, 100) < percent;
}

/* Bodies follow from seeds, so both ends know them. */
void fill(struct wt_buf *out, uint64_t from, size_t n);
void answer_body(const struct world *w, unsigned id, struct wt_buf *out);
uint64_t digest(struct wt_str s);

/* What must not be: said, and the seed is bad. */
void wrong(struct world *w, unsigned id, const char *what);

/* An origin of that side saw the request: may it? */
void saw(struct world *w, unsigned id, enum proxy_side side);

/* Connects to the old side that have failed so far. */
uint64_t refused_by_old(const struct world *w);

void run_origin(void *arg); /* struct origin, until `stopping` */
void run_client(void *arg); /* struct client, until its requests are spent */

#endif
