#include "proxy/logger.h"

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
    int fd;
    char *path; /* NULL: standard output */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct lane_node *first, **last; /* to be written */
    struct lane_node *spare;
    unsigned n_queued, n_spare;
    bool stop, reopen;
    _Atomic uint64_t write_errors;
};

static struct lane_node *node_of(char *bytes)
{
    return (struct lane_node *)(void *)(bytes - offsetof(struct lane_node, bytes));
}

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

/* A full disk loses this lane and no more: the next one tries again. */
static void write_lane(struct proxy_logger *l, const struct lane_node *n)
{
    for (size_t at = 0; at < n->len;) {
        ssize_t put = write(l->fd, n->bytes + at, n->len - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            atomic_fetch_add(&l->write_errors, 1);
            return;
        }
        at += (size_t)put;
    }
}

static void reopen(struct proxy_logger *l)
{
    int fd = l->path ? open_file(l->path) : -1;
    if (fd < 0)
        return; /* the old file is better than none */
    close(l->fd);
    l->fd = fd;
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
            reopen(l);
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

int proxy_logger_new(const char *path, struct proxy_logger **out, struct wt_err *err)
{
    struct proxy_logger *l = wt_calloc(1, sizeof *l);
    if (!l)
        return wt_fail(err, WT_ENOMEM, "access log: out of memory");
    bool file = path && strcmp(path, "-") != 0;
    l->path = file ? wt_str_dup(wt_str_z(path)) : NULL;
    l->fd = file ? open_file(path) : dup(STDOUT_FILENO);
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    int e = l->fd < 0 ? errno : pthread_create(&l->thread, NULL, writer, l);
    if (e) {
        if (l->fd >= 0)
            close(l->fd);
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
    close(l->fd);
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
