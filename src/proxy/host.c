#include "proxy/host.h"

#include <stdlib.h>

struct proxy_host *proxy_host_new(const union io_addr *addr, uint32_t weight, unsigned n_workers)
{
    struct proxy_host *h;
    size_t size = sizeof *h + n_workers * sizeof h->lanes[0];
    /* Lanes must not share cache lines between workers. */
    h = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!h)
        return NULL;
    memset(h, 0, size);
    atomic_init(&h->refs, 1);
    atomic_init(&h->healthy, true);
    atomic_init(&h->answered_ms, INT64_MIN / 2);
    atomic_init(&h->surplus_ms, INT64_MIN / 2);
    h->addr = *addr;
    h->weight = weight;
    h->text = wt_str_z(io_addr_format(addr, h->text_bytes));
    h->n_lanes = n_workers;
    for (unsigned i = 0; i < n_workers; i++) {
        wt_list_init(&h->lanes[i].idle);
        h->lanes[i].idle_limit_ms = IO_NEVER;
    }
    return h;
}

struct proxy_host *proxy_host_ref(struct proxy_host *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void proxy_host_unref(struct proxy_host *h)
{
    if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
        free(h);
}
