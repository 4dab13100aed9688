#include "proxy/route_table.h"

#include "base/mem.h"

#define SLOTS_FIRST 64

int proxy_route_table_init(struct proxy_route_table *t)
{
    *t = (struct proxy_route_table){.mask = SLOTS_FIRST - 1};
    t->slots = wt_calloc(SLOTS_FIRST, sizeof *t->slots);
    return t->slots ? 0 : WT_ENOMEM;
}

void proxy_route_table_done(struct proxy_route_table *t)
{
    wt_free(t->slots);
    *t = (struct proxy_route_table){0};
}

static void place(struct proxy_route_slot *slots, uint32_t mask, struct proxy_route_slot slot)
{
    uint32_t at = slot.hash & mask;
    while (slots[at].number)
        at = (at + 1) & mask;
    slots[at] = slot;
}

static int grow(struct proxy_route_table *t)
{
    uint32_t n = (t->mask + 1) * 2;
    if (n > UINT32_C(1) << 28)
        return WT_ELIMIT;
    struct proxy_route_slot *slots = wt_calloc(n, sizeof *slots);
    if (!slots)
        return WT_ENOMEM;
    for (uint32_t i = 0; i <= t->mask; i++) {
        if (t->slots[i].number)
            place(slots, n - 1, t->slots[i]);
    }
    wt_free(t->slots);
    t->slots = slots;
    t->mask = n - 1;
    return 0;
}

int proxy_route_table_add(struct proxy_route_table *t, uint64_t hash, uint32_t number)
{
    int r = (t->used + 1) * 2 > t->mask + 1 ? grow(t) : 0;
    if (r < 0)
        return r;
    place(t->slots, t->mask, (struct proxy_route_slot){(uint32_t)(hash >> 32), number + 1});
    t->used++;
    return 0;
}
