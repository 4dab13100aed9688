/* A simulated system: one thread, virtual time, everything by a seed. Same seed, same program: the
 * same trace.
 *
 * Sockets live in memory; bytes travel with latency and arrive in random pieces, buffers are small,
 * connections are refused and reset by chance. poll_wait() is edge-triggered and moves time to the
 * next event, so hours pass in moments. Files live in memory too: what was not synced may be lost,
 * torn or kept in a crash.
 *
 * A program that waits for ever while nothing is under way is stuck: that ends the test with a
 * message.
 */
#ifndef IO_SYS_SIM_H
#define IO_SYS_SIM_H

#include "base/err.h"
#include "io/sys.h"

struct io_sim_options {
    uint64_t seed;
    int64_t latency_min_us, latency_max_us; /* one way; both 0: 100 to 2000 */
    uint32_t buffer_bytes;                  /* under way and unread, per direction; 0: 4096 */
    unsigned split_percent;                 /* how often what was sent arrives in pieces */
    unsigned refuse_permille;               /* of connects */
    unsigned reset_permille;                /* of sends */
};

struct io_sim;

int io_sim_new(const struct io_sim_options *options, struct io_sim **out) WT_NODISCARD;
void io_sim_free(struct io_sim *sim);

struct io_sys *io_sim_sys(struct io_sim *sim);

/* A hash of every call with its result, its bytes and its time. */
uint64_t io_sim_trace(const struct io_sim *sim);

unsigned io_sim_open_fds(const struct io_sim *sim); /* for leak checks */
/* The machine loses power: descriptors are gone; of each file and directory what was synced is
 * there, of the rest a random part. Then the program starts anew on the same sys. */
void io_sim_crash(struct io_sim *sim);

#endif
