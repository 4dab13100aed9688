/* The load of the benchmarks: an HTTP/1.1 client on one core, in one of three modes.
 *
 * Closed loop (no --rate): every connection sends its next request when the answer is in: the most
 * a proxy can do. Open loop (--rate): requests are due at times drawn in advance (Poisson arrivals,
 * the same for every peer), whether or not earlier ones are answered, and latency counts from the
 * moment a request was due. Measuring from the moment it was sent would leave out just the waiting
 * that a slow proxy causes (coordinated omission). Hold (--hold): connections that each got one
 * answer stay idle.
 *
 * Standard output, so that a watcher can read other counters at the same moments:
 *     start                 the measured seconds begin (hold: all connections are idle)
 *     end DONE              they end; DONE answers came in between
 *     {…}                   the figures, as JSON
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "client.h"
#include "hist.h"
#include "tool.h"

enum load_phase { LOAD_WARM, LOAD_MEASURE, LOAD_DRAIN };

static const int64_t drain_ns = TOOL_NS_PER_S;
static const int64_t expire_every_ns = 250 * TOOL_NS_PER_MS;
static const int64_t step_max_ns = 10 * TOOL_NS_PER_MS;

struct load {
    struct client_opts opts;
    struct client *client;
    enum load_phase phase;
    double rate;
    bool hold;
    int64_t warm_ns, measure_ns;
    int64_t start_ns, end_ns; /* of the measured seconds */
    int64_t due_ns;           /* open loop: when the next request is due */
    int64_t expire_ns;
    uint64_t random;
    uint64_t answered; /* hold: connections that had their answer */
    uint64_t in_window;
    struct hist latency;
};

static double uniform_next(struct load *load)
{
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    return (double)((load->random * 0x2545F4914F6CDD1DULL) >> 11) * 0x1p-53;
}

/* Sends what is due, while connections are idle; what waits keeps the time at which it was due. */
static void due_send(struct load *load, int64_t now_ns)
{
    while (load->due_ns <= now_ns && (load->phase != LOAD_DRAIN || load->due_ns < load->end_ns)) {
        if (!client_send_any(load->client, load->due_ns))
            return;
        load->due_ns += (int64_t)(-log1p(-uniform_next(load)) * TOOL_NS_PER_S / load->rate);
    }
}

static void next_send(struct load *load, uint32_t index, int64_t now_ns)
{
    if (load->rate > 0)
        due_send(load, now_ns);
    else if (load->phase != LOAD_DRAIN)
        client_send(load->client, index, now_ns);
}

static void on_opened(void *arg, uint32_t index, int64_t now_ns)
{
    next_send(arg, index, now_ns);
}

static void on_answered(void *arg, uint32_t index, int64_t intended_ns, int64_t now_ns)
{
    struct load *load = arg;
    load->answered++;
    if (load->hold)
        return;
    load->in_window += load->phase == LOAD_MEASURE;
    bool counts = load->rate > 0 ? intended_ns >= load->start_ns && intended_ns < load->end_ns
                                 : load->phase == LOAD_MEASURE;
    if (counts && load->phase != LOAD_WARM)
        hist_add(&load->latency, now_ns - intended_ns);
    next_send(load, index, now_ns);
}

static void step(struct load *load, int64_t now_ns, int64_t until_ns)
{
    if (load->rate > 0)
        due_send(load, now_ns);
    client_open(load->client, now_ns);
    if (now_ns >= load->expire_ns) {
        client_expire(load->client, now_ns);
        load->expire_ns = now_ns + expire_every_ns;
    }
    int64_t wait_ns = until_ns - now_ns < step_max_ns ? until_ns - now_ns : step_max_ns;
    if (load->rate > 0 && load->due_ns > now_ns && load->due_ns - now_ns < wait_ns)
        wait_ns = load->due_ns - now_ns;
    client_wait(load->client, wait_ns);
}

static void run_until(struct load *load, int64_t until_ns)
{
    int64_t now_ns;
    while (!tool_stopped() && (now_ns = tool_now_ns()) < until_ns)
        step(load, now_ns, until_ns);
}

/* Requests that were due in the measured seconds and are not answered; 0 in a closed loop. */
static uint64_t unanswered_count(struct load *load)
{
    uint64_t count = load->rate > 0 ? client_busy_count(load->client) : 0;
    while (load->rate > 0 && load->due_ns < load->end_ns) {
        count++;
        load->due_ns += (int64_t)(-log1p(-uniform_next(load)) * TOOL_NS_PER_S / load->rate);
    }
    return count;
}

static void figures_print(struct load *load, uint64_t unanswered)
{
    static const struct {
        const char *name;
        double quantile;
    } quantiles[] = {{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    struct client_stats *stats = client_stats(load->client);
    double seconds = (double)(load->end_ns - load->start_ns) / TOOL_NS_PER_S;
    uint64_t errors = unanswered;
    printf("{\"requests\": %llu, \"seconds\": %.3f, \"rate\": %.1f, \"offered\": %.1f",
           (unsigned long long)load->in_window, seconds,
           seconds > 0 ? (double)load->in_window / seconds : 0, load->rate);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
        printf(", \"%s\": %.1f", quantiles[i].name,
               (double)hist_quantile_ns(&load->latency, quantiles[i].quantile) / 1000);
    printf(", \"max_us\": %.1f, \"mean_us\": %.1f, \"errors_by\": {",
           (double)load->latency.max_ns / 1000, hist_mean_ns(&load->latency) / 1000);
    for (enum client_error e = 0; e < CLIENT_ERRORS; e++) {
        printf("\"%s\": %llu, ", client_error_name(e), (unsigned long long)stats->errors[e]);
        errors += stats->errors[e];
    }
    printf("\"unanswered\": %llu}, \"errors\": %llu, \"reopened\": %llu, \"open\": %u}\n",
           (unsigned long long)unanswered, (unsigned long long)errors,
           (unsigned long long)stats->reopened, client_open_count(load->client));
}

static void load_run(struct load *load)
{
    load->due_ns = tool_now_ns();
    load->start_ns = load->due_ns + load->warm_ns;
    load->end_ns = load->start_ns + load->measure_ns;
    run_until(load, load->start_ns);
    *client_stats(load->client) = (struct client_stats){0};
    load->phase = LOAD_MEASURE;
    puts("start");
    fflush(stdout);
    run_until(load, load->end_ns);
    load->phase = LOAD_DRAIN;
    printf("end %llu\n", (unsigned long long)load->in_window);
    fflush(stdout);
    int64_t give_up_ns = load->end_ns + drain_ns;
    while (load->rate > 0 && tool_now_ns() < give_up_ns && !tool_stopped() &&
           (client_busy_count(load->client) > 0 || load->due_ns < load->end_ns))
        step(load, tool_now_ns(), give_up_ns);
    figures_print(load, unanswered_count(load));
}

/* Opens all, then waits to be told to end; `open` in the figures says how many are still there. */
static void load_hold(struct load *load)
{
    int64_t give_up_ns = tool_now_ns() + load->warm_ns;
    while (!tool_stopped() && tool_now_ns() < give_up_ns && load->answered < load->opts.connections)
        step(load, tool_now_ns(), give_up_ns);
    puts("start");
    fflush(stdout);
    load->start_ns = tool_now_ns();
    int64_t until_ns = load->start_ns + load->measure_ns;
    while (!tool_stopped() && tool_now_ns() < until_ns)
        client_wait(load->client, 100 * TOOL_NS_PER_MS);
    load->end_ns = tool_now_ns();
    load->in_window = load->answered;
    printf("end %llu\n", (unsigned long long)load->answered);
    figures_print(load, 0);
}

static noreturn void usage(const char *program)
{
    tool_die(2,
             "usage: %s --to ADDRESS:PORT [--connections N] [--seconds S] [--warm S] [--rate N]\n"
             "    [--hold] [--host NAME] [--path PATH] [--targets N] [--cookies] [--status CODE]\n"
             "    [--size BYTES] [--timeout S] [--seed N]",
             program);
}

static bool option_read(struct load *load, int option, const char *text)
{
    struct client_opts *opts = &load->opts;
    switch (option) {
    case 'a':
        opts->addr = tool_addr_parse(text);
        return true;
    case 'n':
        opts->connections = (uint32_t)tool_number_parse("--connections", text, 1, 1000000);
        return true;
    case 's':
        load->measure_ns = (int64_t)(tool_number_parse("--seconds", text, 0, 3600) * TOOL_NS_PER_S);
        return true;
    case 'w':
        load->warm_ns = (int64_t)(tool_number_parse("--warm", text, 0, 3600) * TOOL_NS_PER_S);
        return true;
    case 'r':
        load->rate = tool_number_parse("--rate", text, 1, 10000000);
        return true;
    case 'H':
        load->hold = true;
        return true;
    case 'h':
        opts->host = text;
        return true;
    case 'p':
        opts->path = text;
        return true;
    case 't':
        opts->targets = (uint32_t)tool_number_parse("--targets", text, 1, 100000);
        return true;
    case 'c':
        opts->cookies = true;
        return true;
    case 'x':
        opts->status = (int)tool_number_parse("--status", text, 100, 599);
        return true;
    case 'b':
        opts->body_bytes = (uint64_t)tool_number_parse("--size", text, 0, 1 << 30);
        return true;
    case 'o':
        opts->timeout_ns =
            (int64_t)(tool_number_parse("--timeout", text, 0.001, 600) * TOOL_NS_PER_S);
        return true;
    case 'd':
        opts->seed = (uint64_t)tool_number_parse("--seed", text, 0, 1e15);
        return true;
    default:
        return false;
    }
}

static void options_read(struct load *load, int argc, char **argv)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 'a'},
        {"connections", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 's'},
        {"warm", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"hold", no_argument, NULL, 'H'},
        {"host", required_argument, NULL, 'h'},
        {"path", required_argument, NULL, 'p'},
        {"targets", required_argument, NULL, 't'},
        {"cookies", no_argument, NULL, 'c'},
        {"status", required_argument, NULL, 'x'},
        {"size", required_argument, NULL, 'b'},
        {"timeout", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!option_read(load, option, optarg))
            usage(argv[0]);
    if (load->opts.addr.sin_port == 0 || optind != argc)
        usage(argv[0]);
    load->opts.under_way_max = load->hold ? 64 : 0;
    load->random = load->opts.seed | 1;
}

int main(int argc, char **argv)
{
    static struct load load = {
        .warm_ns = TOOL_NS_PER_S / 2,
        .measure_ns = 3 * TOOL_NS_PER_S,
        .opts = {.connections = 64,
                 .host = "bench.test",
                 .path = "/bench",
                 .targets = 1,
                 .status = 200,
                 .body_bytes = 14,
                 .timeout_ns = 5 * TOOL_NS_PER_S,
                 .seed = 0x5EED,
                 .opened = on_opened,
                 .answered = on_answered,
                 .arg = &load},
    };
    options_read(&load, argc, argv);
    tool_signals_init();
    tool_files_lift();
    /* The default slack of 50 us would be read as latency of whoever is measured. */
    prctl(PR_SET_TIMERSLACK, 1);
    load.client = client_new(&load.opts);
    if (load.hold)
        load_hold(&load);
    else
        load_run(&load);
    client_free(load.client);
    return 0;
}
