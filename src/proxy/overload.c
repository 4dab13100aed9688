#include "proxy/overload.h"

#include "base/log.h"
#include "proxy/internal.h"

#include <inttypes.h>
#include <malloc.h>
#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_purge_allocator(void); /* gcc has no header for it */
#endif

enum {
    LOOK_MS = 200,
    TRIM_MS = 1000,
    RESERVE_PERCENT = 2, /* of the limit: for what is under way */
    LEAST_PART = 64 << 10,
};

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

uint64_t proxy_overload_used(uint64_t measured_bytes, uint64_t promised_bytes, uint64_t limit_bytes)
{
    uint64_t reserve = limit_bytes / 100 * RESERVE_PERCENT;
    return measured_bytes + (promised_bytes > reserve ? promised_bytes - reserve : 0);
}

uint64_t proxy_overload_part(enum proxy_overload now, uint64_t used_bytes, uint64_t limit_bytes,
                             unsigned n_workers)
{
    uint64_t least = limit_bytes >> 10 > LEAST_PART ? limit_bytes >> 10 : LEAST_PART;
    uint64_t mark = limit_bytes / 100 * marks[PROXY_OVERLOAD_REFUSE].from_percent;
    uint64_t part = used_bytes < mark ? (mark - used_bytes) / n_workers : 0;
    if (now >= PROXY_OVERLOAD_REFUSE) /* nothing is admitted: nobody need look for it */
        return UINT64_MAX;
    return part > least ? part : least;
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
           "memory: %" PRIu64 " MiB of %" PRIu64 " MiB (%u %%): %s", w->used_bytes >> 20,
           w->memory.limit_bytes >> 20, percent_of(w->used_bytes, w->memory.limit_bytes),
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

static uint64_t promised_bytes(const struct proxy *p)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->shared.n_workers; i++)
        sum += __atomic_load_n(&p->workers[i].promised_bytes, __ATOMIC_RELAXED);
    return sum;
}

/* Measures, and says what follows. With the mutex. */
static enum proxy_overload measure(struct proxy *p, enum proxy_overload least)
{
    struct proxy_watermark *w = &p->watermark;
    enum proxy_overload now = (enum proxy_overload)atomic_load(&p->shared.overload), next = now;
    if (io_memory_read(&w->memory, &w->use) < 0) {
        w->failed_reads++; /* the level stays: nothing is known that would change it */
        return now;
    }
    uint64_t limit = w->memory.limit_bytes;
    w->used_bytes = proxy_overload_used(w->use.used_bytes, promised_bytes(p), limit);
    next = proxy_overload_next(now, w->used_bytes, limit);
    if (next < least)
        next = least;
    atomic_store(&p->shared.part_bytes,
                 proxy_overload_part(next, w->used_bytes, limit, p->shared.n_workers));
    if (next != now) {
        atomic_store(&p->shared.overload, next); /* workers see it within their housekeeping */
        tell(w, next);
    }
    return next;
}

static void look(struct io_timer *timer)
{
    struct proxy_watermark *w = WT_CONTAINER(timer, struct proxy_watermark, timer);
    struct proxy *p = WT_CONTAINER(w, struct proxy, watermark);
    pthread_mutex_lock(&w->mutex);
    enum proxy_overload level = measure(p, PROXY_OVERLOAD_NONE);
    pthread_mutex_unlock(&w->mutex);
    if (level >= PROXY_OVERLOAD_SHRINK)
        shrink(w);
    io_timer_set(timer, io_now_ms() + LOOK_MS);
}

/* Only raises the level: to end it is the timer's, so that it cannot flap faster than that. Who
 * finds somebody else looking goes by what that one finds. */
void proxy_watermark_look(void *proxy)
{
    struct proxy *p = proxy;
    if (pthread_mutex_trylock(&p->watermark.mutex) != 0)
        return;
    measure(p, (enum proxy_overload)atomic_load(&p->shared.overload));
    pthread_mutex_unlock(&p->watermark.mutex);
}

void proxy_watermark_start(struct proxy *p)
{
    struct proxy_watermark *w = &p->watermark;
    io_memory_init(&w->memory, p->sys, p->options->memory_limit_bytes);
    io_timer_init(&w->timer, look);
    atomic_store(&p->shared.part_bytes, UINT64_MAX);
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
    pthread_mutex_lock(&w->mutex);
    if (w->memory.limit_bytes)
        level = measure(p, level);
    else
        (void)io_memory_read(&w->memory, &w->use);
    uint64_t rss_bytes = w->use.rss_bytes, failed_reads = w->failed_reads;
    uint64_t percent = percent_of(w->used_bytes, w->memory.limit_bytes);
    pthread_mutex_unlock(&w->mutex);
    uint64_t shrinks = level >= PROXY_OVERLOAD_SHRINK, refuses = level >= PROXY_OVERLOAD_REFUSE;
#define MONITOR "overload.envoy.resource_monitors.fixed_heap."
#define ACTION "overload.envoy.overload_actions."
    const struct {
        const char *name, *help;
        bool counter;
        uint64_t value;
    } rows[] = {
        {"server.memory_physical_size", "Resident memory in bytes.", false, rss_bytes},
        {"watari.memory_limit_bytes", "What it may have; 0: no limit.", false,
         w->memory.limit_bytes},
        {MONITOR "pressure", "Memory in per cent of the limit, with what is promised.", false,
         percent},
        {MONITOR "failed_updates", "Times the use of memory could not be read.", true,
         failed_reads},
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
