#include "base/mem.h"
#include "io/fiber.h"
#include "io/sys_sim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Runs `test` in a fiber; on virtual time unless `real`. */
static void in_loop(void (*test)(void *arg), bool real)
{
    struct io_sim *sim;
    struct io_sim_options options = {.seed = 1};
    struct io_loop *loop;
    assert_int_equal(io_sim_new(&options, &sim), 0);
    assert_int_equal(io_loop_new(real ? io_sys_real() : io_sim_sys(sim), &loop, NULL), 0);
    assert_int_equal(io_spawn_on(loop, IO_STACK_DEEP, test, NULL, NULL), 0);
    io_loop_run(loop, true);
    struct io_loop_stats stats;
    io_loop_get_stats(loop, &stats);
    assert_int_equal(stats.fibers_live, 0);
    io_loop_free(loop);
    assert_int_equal(io_sim_open_fds(sim), 0);
    io_sim_free(sim);
}

static struct io_cond cond;
static int seen, results[8];

static void sleeper(void *arg)
{
    results[0] = io_sleep_until(io_now_ms() + 1000);
    results[1] = io_sleep_until(io_now_ms() + 1000);
    results[2] = io_park(IO_NEVER);
    results[3] = io_canceled();
}

static void sleep_and_cancel(void *arg)
{
    struct io_fiber *f;
    int64_t start = io_now_ms();
    assert_int_equal(io_sleep_until(start + 5000), 0);
    assert_true(io_now_ms() >= start + 5000 && io_now_ms() <= start + 5001);
    assert_int_equal(io_spawn(IO_STACK_FLOW, sleeper, NULL, &f), 0);
    io_sleep_until(io_now_ms() + 1500);
    io_cancel(f);
    io_join(f);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], WT_ECANCELED);
    assert_int_equal(results[2], WT_ECANCELED);
    assert_int_equal(results[3], 1);
}

static void waiter(void *arg)
{
    results[(intptr_t)arg] = io_cond_wait(&cond, io_now_ms() + 100 * (int64_t)(intptr_t)arg);
    seen++;
}

static void conditions(void *arg)
{
    struct io_fiber *f[6];
    io_cond_init(&cond);
    seen = 0;
    for (intptr_t i = 0; i < 6; i++)
        assert_int_equal(io_spawn(IO_STACK_FLOW, waiter, (void *)i, &f[i]), 0);
    io_sleep_until(io_now_ms() + 250);
    io_cancel(f[5]);
    io_cond_broadcast(&cond);
    for (int i = 0; i < 6; i++)
        io_join(f[i]);
    assert_int_equal(seen, 6);
    static const int want[] = {WT_ETIMEOUT, WT_ETIMEOUT, WT_ETIMEOUT, 0, 0, 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(results[i], want[i]);
    assert_true(wt_list_empty(&cond.waiters));
}

static void unpark_before_park(void *arg)
{
    io_unpark(io_self());
    assert_int_equal(io_park(IO_NEVER), 0);
    assert_int_equal(io_park(io_now_ms() + 5), WT_ETIMEOUT);
    assert_int_equal(io_park(io_now_ms() - 5),
                     WT_ETIMEOUT); /* a deadline in the past passes at once */
}

static void counter(void *arg)
{
    for (int i = 0; i < 10; i++) {
        ++*(int *)arg;
        io_yield();
    }
}

static void many(void *arg)
{
    static int counts[300];
    for (int i = 0; i < 300; i++)
        assert_int_equal(io_spawn(IO_STACK_FLOW, counter, &counts[i], NULL), 0);
    io_sleep_until(io_now_ms() + 10);
    for (int i = 0; i < 300; i++)
        assert_int_equal(counts[i], 10);
}

static pthread_t worker;

static char order[16];

static void gatherer(void *arg)
{
    order[seen++] = (char)('a' + (intptr_t)arg);
    io_gather();
    order[seen++] = (char)('A' + (intptr_t)arg);
    if (arg)
        return;
    io_gather();
    order[seen++] = '.';
}

/* All do their first part before one goes on, in the order in which they came; the last one has
 * nobody to wait for. A cancelled one goes on too. */
static void gathered(void *arg)
{
    struct io_fiber *fibers[3];
    int64_t start = io_now_ns();
    seen = 0;
    for (intptr_t i = 0; i < 3; i++)
        assert_int_equal(io_spawn(IO_STACK_FLOW, gatherer, (void *)i, &fibers[i]), 0);
    io_cancel(fibers[1]);
    for (int i = 0; i < 3; i++)
        io_join(fibers[i]);
    assert_string_equal(order, "abcCAB.");
    assert_true(io_now_ns() == start); /* within the turn */
    io_gather();                       /* alone: nothing */
}

static void work(void *arg)
{
    worker = pthread_self();
    *(int *)arg = 42;
}

static void offloaded(void *arg)
{
    int *done = arg;
    int value = 0;
    io_offload(work, &value);
    *done = value;
}

static int offload_done;

static void offload_of_canceled(void *arg)
{
    struct io_fiber *f;
    assert_int_equal(io_spawn(IO_STACK_FLOW, offloaded, &offload_done, &f), 0);
    io_cancel(f);
    io_join(f);
    assert_int_equal(offload_done, 42);
    assert_false(pthread_equal(worker, pthread_self()));
    for (int i = 0; i < 50; i++) {
        int value = 0;
        io_offload(work, &value);
        assert_int_equal(value, 42);
    }
}

static void offload_in_place(void *arg)
{
    int value = 0;
    io_offload(work, &value);
    assert_int_equal(value, 42);
    assert_true(pthread_equal(worker, pthread_self()));
}

static bool refuse_all(void *ctx, size_t size)
{
    return true;
}

static void no_memory(void *arg)
{
    wt_mem_set_fault(refuse_all, NULL);
    int r = io_spawn(IO_STACK_FLOW, counter, NULL, NULL);
    wt_mem_set_fault(NULL, NULL);
    assert_int_equal(r, WT_ENOMEM);
}

#define IN_LOOP(name, real)                                                                        \
    static void in_##name(void **state)                                                            \
    {                                                                                              \
        in_loop(name, real);                                                                       \
    }
IN_LOOP(sleep_and_cancel, false)
IN_LOOP(conditions, false)
IN_LOOP(unpark_before_park, false)
IN_LOOP(many, false)
IN_LOOP(gathered, false)
IN_LOOP(no_memory, false)
IN_LOOP(offload_in_place, false)
IN_LOOP(offload_of_canceled, true)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_sleep_and_cancel),   cmocka_unit_test(in_conditions),
        cmocka_unit_test(in_unpark_before_park), cmocka_unit_test(in_many),
        cmocka_unit_test(in_no_memory),          cmocka_unit_test(in_offload_in_place),
        cmocka_unit_test(in_gathered),           cmocka_unit_test(in_offload_of_canceled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
