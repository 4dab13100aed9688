#include "proxy/overload.h"

#include "base/log.h"
#include "proxy/internal.h"

#include <inttypes.h>
#include <malloc.h>
#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_purge_allocator(void); /* gcc has no header for it */
#endif

enum { LOOK_MS = 200, TRIM_MS = 1000 };

/* ---- levels ---- */

static const struct {
    unsigned from_percent, until_percent;
} marks[] = {
    [PROXY_OVERLOAD_SHRINK] = {95, 92},
    [PROXY_OVERLOAD_REFUSE] = {98, 95},
};

static unsigned percent_of(uint64_t used, uint64_t limit)
{
    double percent = limit ? 100.0 * (double)used / (double)limit : 0;
    return percent > 1000 ? 1000 : (unsigned)percent;
}

enum proxy_overload proxy_overload_next(enum proxy_overload now, uint64_t used_bytes,
                                        uint64_t limit_bytes)
{
    unsigned percent = percent_of(used_bytes, limit_bytes);
    for (enum proxy_overload level = PROXY_OVERLOAD_REFUSE; level > PROXY_OVERLOAD_NONE; level--)
        if (percent >= (now >= level ? marks[level].until_percent : marks[level].from_percent))
            return level;
    return PROXY_OVERLOAD_NONE;
}

/* ---- the watch ---- */

static void tell(const struct proxy_watermark *w, enum proxy_overload level)
{
    static const char *const what[] = {
        [PROXY_OVERLOAD_NONE] = "enough again",
        [PROXY_OVERLOAD_SHRINK] = "idle connections are closed",
        [PROXY_OVERLOAD_REFUSE] = "new requests get 503, new connections are closed",
    };
    wt_log(level ? WT_LOG_WARN : WT_LOG_INFO,
           "memory: %" PRIu64 " MiB of %" PRIu64 " MiB (%u %%): %s", w->use.used_bytes >> 20,
           w->memory.limit_bytes >> 20, percent_of(w->use.used_bytes, w->memory.limit_bytes),
           what[level]);
}

static void trim(void *arg)
{
    (void)arg;
#if defined(__SANITIZE_ADDRESS__) /* it has an allocator of its own */
    __sanitizer_purge_allocator();
#endif
    malloc_trim(0);
}

/* Long enough to be felt where the heap is large: not on the loop. */
static void trim_fiber(void *arg)
{
    struct proxy_watermark *w = arg;
    io_offload(trim, NULL);
    w->shrinks++;
    w->trimming = false;
}

static void shrink(struct proxy_watermark *w)
{
    if (w->trimming || io_now_ms() - w->trimmed_ms < TRIM_MS)
        return;
    w->trimmed_ms = io_now_ms();
    w->trimming = io_spawn(IO_STACK_FLOW, trim_fiber, w, NULL) == 0;
}

static void look(struct io_timer *timer)
{
    struct proxy_watermark *w = WT_CONTAINER(timer, struct proxy_watermark, timer);
    struct proxy *p = WT_CONTAINER(w, struct proxy, watermark);
    enum proxy_overload now = (enum proxy_overload)atomic_load(&p->shared.overload), next = now;
    if (io_memory_read(&w->memory, &w->use) < 0)
        w->failed_reads++; /* the level stays: nothing is known that would change it */
    else
        next = proxy_overload_next(now, w->use.used_bytes, w->memory.limit_bytes);
    if (next != now) {
        atomic_store(&p->shared.overload, next); /* workers see it within their housekeeping */
        tell(w, next);
    }
    if (next >= PROXY_OVERLOAD_SHRINK)
        shrink(w);
    io_timer_set(timer, io_now_ms() + LOOK_MS);
}

void proxy_watermark_start(struct proxy *p)
{
    struct proxy_watermark *w = &p->watermark;
    io_memory_init(&w->memory, p->sys, p->options->memory_limit_bytes);
    io_timer_init(&w->timer, look);
    if (!w->memory.limit_bytes)
        return;
    wt_log(WT_LOG_INFO, "memory: at most %" PRIu64 " MiB, %s", w->memory.limit_bytes >> 20,
           w->memory.usage_path[0] ? "the limit of the cgroup" : "as --memory-limit says");
    look(&w->timer);
}

/* ---- statistics ---- */

void proxy_watermark_each(struct proxy *p,
                          void (*visit)(void *ctx, const char *name, bool counter, const char *help,
                                        uint64_t value),
                          void *ctx)
{
    struct proxy_watermark *w = &p->watermark;
    enum proxy_overload level = (enum proxy_overload)atomic_load(&p->shared.overload);
    if (!w->memory.limit_bytes)
        (void)io_memory_read(&w->memory, &w->use);
    uint64_t shrinks = level >= PROXY_OVERLOAD_SHRINK, refuses = level >= PROXY_OVERLOAD_REFUSE;
#define MONITOR "overload.envoy.resource_monitors.fixed_heap."
#define ACTION "overload.envoy.overload_actions."
    const struct {
        const char *name, *help;
        bool counter;
        uint64_t value;
    } rows[] = {
        {"server.memory_physical_size", "Resident memory in bytes.", false, w->use.rss_bytes},
        {"watari.memory_limit_bytes", "What it may have; 0: no limit.", false,
         w->memory.limit_bytes},
        {MONITOR "pressure", "Memory in per cent of the limit.", false,
         percent_of(w->use.used_bytes, w->memory.limit_bytes)},
        {MONITOR "failed_updates", "Times the use of memory could not be read.", true,
         w->failed_reads},
        {ACTION "shrink_heap.active", "1 while idle connections and spare buffers are given up.",
         false, shrinks},
        {ACTION "shrink_heap.shrink_count", "Times free memory was given back to the system.", true,
         w->shrinks},
        {ACTION "disable_http_keepalive.active", "1 while answers end their connections.", false,
         shrinks},
        {ACTION "stop_accepting_requests.active", "1 while new requests get 503.", false, refuses},
        {ACTION "reject_incoming_connections.active", "1 while new connections are closed.", false,
         refuses},
    };
#undef MONITOR
#undef ACTION
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        visit(ctx, rows[i].name, rows[i].counter, rows[i].help, rows[i].value);
}
