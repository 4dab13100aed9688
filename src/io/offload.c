/* Work that blocks goes to a few helper threads shared by all loops; the fiber waits for its end.
 */
#include "io/internal.h"

#include <pthread.h>

enum { HELPERS = 4 };

struct job {
    struct io_task done; /* posted back to the loop */
    struct job *next;
    void (*work)(void *arg);
    void *arg;
    struct io_loop *loop;
    struct io_fiber *fiber;
    bool finished;
};

/* Each kind of work has threads of its own: names that nobody answers must not keep a verdict from
 * the disk. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **last;
    int started; /* threads */
};

static struct queue disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &disk.first,
                            0};
static struct queue slow = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &slow.first,
                            0};

static void finish(struct io_task *task)
{
    struct job *j = WT_CONTAINER(task, struct job, done);
    j->finished = true;
    io_unpark(j->fiber);
}

static void *helper(void *arg)
{
    struct queue *q = arg;
    for (;;) {
        pthread_mutex_lock(&q->lock);
        while (!q->first)
            pthread_cond_wait(&q->more, &q->lock);
        struct job *j = q->first;
        q->first = j->next;
        if (!q->first)
            q->last = &q->first;
        pthread_mutex_unlock(&q->lock);
        j->work(j->arg);
        io_loop_post(j->loop, &j->done);
    }
    return NULL;
}

/* Under the lock. Without any helper thread the work must run in place. */
static bool have_helpers(struct queue *q)
{
    for (; q->started < HELPERS; q->started++) {
        pthread_t t;
        if (pthread_create(&t, NULL, helper, q) != 0)
            break;
        pthread_detach(t);
    }
    return q->started > 0;
}

static bool enqueue(struct queue *q, struct job *j)
{
    pthread_mutex_lock(&q->lock);
    bool ok = have_helpers(q);
    if (ok) {
        *q->last = j;
        q->last = &j->next;
        pthread_cond_signal(&q->more);
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

static void offload(struct queue *q, void (*work)(void *arg), void *arg)
{
    struct job j = {.done.run = finish, .work = work, .arg = arg, .loop = io_loop_current};
    j.fiber = io_self();
    if (!j.fiber || j.loop->sys->single_threaded || !enqueue(q, &j)) {
        work(arg);
        return;
    }
    /* The job lives on this stack: wait for its end even when cancelled. */
    while (!j.finished)
        io_park_shielded();
}

void io_offload(void (*work)(void *arg), void *arg)
{
    offload(&disk, work, arg);
}

void io_offload_slow(void (*work)(void *arg), void *arg)
{
    offload(&slow, work, arg);
}
