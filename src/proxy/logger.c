#include "proxy/logger.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct lane_node {
    struct lane_node *next;
    size_t len;
    char bytes[PROXY_LOG_LANE_BYTES];
};

struct proxy_logger {
    struct io_sys *sys;
    int fd;
    char *path; /* NULL: standard output */
    bool torn;  /* the file ends within a line */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct lane_node *first, **last; /* to be written */
    struct lane_node *spare;
    unsigned n_queued, n_spare;
    bool stop, reopen;
    _Atomic uint64_t write_errors, lines_lost;
};

static struct lane_node *node_of(char *bytes)
{
    return (struct lane_node *)(void *)(bytes - offsetof(struct lane_node, bytes));
}

static int open_file(struct io_sys *sys, const char *path)
{
    return sys->open(sys, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

/* How many of the bytes are in the file then. */
static size_t write_all(struct proxy_logger *l, struct wt_str bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        ssize_t put = l->sys->write(l->sys, l->fd, bytes.ptr + at, bytes.len - at);
        if (put == -EINTR)
            continue;
        if (put <= 0)
            break;
        at += (size_t)put;
        l->torn = bytes.ptr[at - 1] != '\n';
    }
    return at;
}

/* A full disk loses this lane and no more: the next one tries again, on a line of its own. */
static void write_lane(struct proxy_logger *l, const struct lane_node *n)
{
    size_t at = 0;
    if (!l->torn || write_all(l, WT_STR("\n")) == 1)
        at = write_all(l, wt_str(n->bytes, n->len));
    if (at == n->len)
        return;
    uint64_t lost = 0;
    for (; at < n->len; at++)
        lost += n->bytes[at] == '\n';
    atomic_fetch_add(&l->write_errors, 1); /* first: no line is lost without one */
    atomic_fetch_add(&l->lines_lost, lost);
}

static void reopen(struct proxy_logger *l)
{
    if (!l->path)
        return;
    int fd = open_file(l->sys, l->path);
    if (fd < 0) { /* the old file is better than none */
        wt_log(WT_LOG_ERROR, "access log %s cannot be opened anew (%s): the old file is kept",
               l->path, strerror(-fd));
        return;
    }
    l->sys->close(l->sys, l->fd);
    l->fd = fd;
    l->torn = false;
}

static void close_file(struct proxy_logger *l)
{
    if (l->path && l->fd >= 0)
        l->sys->close(l->sys, l->fd);
}

static void *writer(void *arg)
{
    struct proxy_logger *l = arg;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->first && !l->stop && !l->reopen)
            pthread_cond_wait(&l->more, &l->lock);
        if (l->reopen) {
            l->reopen = false;
            pthread_mutex_unlock(&l->lock);
            reopen(l);
            pthread_mutex_lock(&l->lock);
        }
        struct lane_node *n = l->first;
        if (!n && l->stop)
            break;
        if (!n)
            continue;
        l->first = n->next;
        if (!l->first)
            l->last = &l->first;
        l->n_queued--;
        pthread_mutex_unlock(&l->lock);
        write_lane(l, n);
        pthread_mutex_lock(&l->lock);
        n->next = l->spare;
        l->spare = n;
        l->n_spare++;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

int proxy_logger_new(struct io_sys *sys, const char *path, struct proxy_logger **out,
                     struct wt_err *err)
{
    struct proxy_logger *l = wt_calloc(1, sizeof *l);
    if (!l)
        return wt_fail(err, WT_ENOMEM, "access log: out of memory");
    bool file = path && strcmp(path, "-") != 0;
    l->sys = sys;
    l->path = file ? wt_str_dup(wt_str_z(path)) : NULL;
    l->fd = file ? l->path ? open_file(sys, path) : -ENOMEM : STDOUT_FILENO;
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    int e = l->fd < 0 ? -l->fd : pthread_create(&l->thread, NULL, writer, l);
    if (e) {
        close_file(l);
        wt_free(l->path);
        wt_free(l);
        return wt_fail(err, wt_code_from_errno(e), "access log %s: %s", file ? path : "(stdout)",
                       strerror(e));
    }
    *out = l;
    return 0;
}

static void free_nodes(struct lane_node *n)
{
    while (n) {
        struct lane_node *next = n->next;
        wt_free(n);
        n = next;
    }
}

void proxy_logger_free(struct proxy_logger *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    free_nodes(l->spare);
    close_file(l);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    wt_free(l->path);
    wt_free(l);
}

void proxy_logger_reopen(struct proxy_logger *l)
{
    pthread_mutex_lock(&l->lock);
    l->reopen = true;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

static char *lane_new(struct proxy_logger *l)
{
    struct lane_node *n = NULL;
    pthread_mutex_lock(&l->lock);
    bool behind = l->n_queued >= PROXY_LOG_LANES_QUEUED;
    if (!behind && l->spare) {
        n = l->spare;
        l->spare = n->next;
        l->n_spare--;
    }
    pthread_mutex_unlock(&l->lock);
    if (!n && !behind)
        n = wt_malloc(sizeof *n);
    return n ? n->bytes : NULL;
}

void proxy_log_flush(struct proxy_logger *l, struct proxy_log_lane *lane)
{
    if (!lane->ptr || !lane->len)
        return;
    struct lane_node *n = node_of(lane->ptr);
    n->len = lane->len;
    n->next = NULL;
    *lane = (struct proxy_log_lane){0};
    pthread_mutex_lock(&l->lock);
    *l->last = n;
    l->last = &n->next;
    l->n_queued++;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

char *proxy_log_room(struct proxy_logger *l, struct proxy_log_lane *lane, size_t n)
{
    if (lane->ptr && n > PROXY_LOG_LANE_BYTES - lane->len)
        proxy_log_flush(l, lane);
    if (!lane->ptr)
        *lane = (struct proxy_log_lane){lane_new(l), 0};
    return lane->ptr && n <= PROXY_LOG_LANE_BYTES ? lane->ptr + lane->len : NULL;
}

uint64_t proxy_logger_write_errors(const struct proxy_logger *l)
{
    return atomic_load(&l->write_errors);
}

uint64_t proxy_logger_lines_lost(const struct proxy_logger *l)
{
    return atomic_load(&l->lines_lost);
}
