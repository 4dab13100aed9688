/* An intrusive doubly linked ring. A node is initialised before use and may be removed twice. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct wt_list {
    struct wt_list *prev, *next;
};

#define WT_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void wt_list_init(struct wt_list *l)
{
    l->prev = l->next = l;
}

static inline bool wt_list_empty(const struct wt_list *l)
{
    return l->next == l;
}

static inline void wt_list_add_tail(struct wt_list *ring, struct wt_list *node)
{
    node->prev = ring->prev;
    node->next = ring;
    ring->prev->next = node;
    ring->prev = node;
}

static inline void wt_list_add_head(struct wt_list *ring, struct wt_list *node)
{
    wt_list_add_tail(ring->next, node);
}

static inline void wt_list_remove(struct wt_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    wt_list_init(node);
}

#endif
