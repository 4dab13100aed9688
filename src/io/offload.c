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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;
static int started; /* under lock */

static void finish(struct io_task *task)
{
    struct job *j = WT_CONTAINER(task, struct job, done);
    j->finished = true;
    io_unpark(j->fiber);
}

static void *helper(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (!first)
            pthread_cond_wait(&more, &lock);
        struct job *j = first;
        first = j->next;
        if (!first)
            last = &first;
        pthread_mutex_unlock(&lock);
        j->work(j->arg);
        io_loop_post(j->loop, &j->done);
    }
    return NULL;
}

/* Under the lock. Without any helper thread the work must run in place. */
static bool have_helpers(void)
{
    for (; started < HELPERS; started++) {
        pthread_t t;
        if (pthread_create(&t, NULL, helper, NULL) != 0)
            break;
        pthread_detach(t);
    }
    return started > 0;
}

static bool enqueue(struct job *j)
{
    pthread_mutex_lock(&lock);
    bool ok = have_helpers();
    if (ok) {
        *last = j;
        last = &j->next;
        pthread_cond_signal(&more);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

void io_offload(void (*work)(void *arg), void *arg)
{
    struct job j = {.done.run = finish, .work = work, .arg = arg, .loop = io_loop_current};
    j.fiber = io_self();
    if (!j.fiber || j.loop->sys->single_threaded || !enqueue(&j)) {
        work(arg);
        return;
    }
    /* The job lives on this stack: wait for its end even when cancelled. */
    while (!j.finished)
        io_park_shielded();
}
