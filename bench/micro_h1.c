/* Nanoseconds per message for the HTTP/1 codec alone, one thread, everything in the cache: the
 * least of several rounds, which is what the code costs when nobody disturbs it.
 *
 * micro-h1 [ROUNDS]: prints one line per case. "relay" is all that the proxy asks of src/http for
 * one exchange without bodies, in the proxy's order.
 */
#include "http/forwarded.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ITERATIONS = 500, ROUNDS = 400, ARENA_BYTES = 64 * 1024, LENT_BYTES = 4096 };

static const struct wt_str small = WT_STR_INIT("GET /api/v1/items/42?full=1 HTTP/1.1\r\n"
                                               "Host: shop.example.com\r\n"
                                               "User-Agent: curl/7.88.1\r\n"
                                               "Accept: */*\r\n"
                                               "Accept-Encoding: gzip\r\n"
                                               "X-Tenant: blue\r\n"
                                               "Cookie: sid=4f1c2d7a9e\r\n"
                                               "Authorization: Bearer 0a1b2c3d\r\n\r\n");

static const struct wt_str browser = WT_STR_INIT(
    "GET /shop/list/shoes.html?page=2&sort=price HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "Connection: keep-alive\r\n"
    "sec-ch-ua: \"Chromium\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/118.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: sid=4f1c2d7a9e; theme=dark\r\n\r\n");

static const struct wt_str answer = WT_STR_INIT("HTTP/1.1 200 OK\r\n"
                                                "Server: origin/1.0\r\n"
                                                "Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
                                                "Content-Type: application/json\r\n"
                                                "Content-Length: 1024\r\n"
                                                "Cache-Control: max-age=60\r\n"
                                                "Connection: keep-alive\r\n\r\n");

struct bench {
    struct wt_str in;
    struct wt_arena arena;
    struct wt_buf out, back;
    struct http_head head, sent, response;
};

static char lent[LENT_BYTES] __attribute__((aligned(16)));

static void must(int r)
{
    if (r < 0) {
        fprintf(stderr, "micro-h1: %s\n", wt_code_text(r));
        exit(1);
    }
}

static void fresh(struct bench *b)
{
    wt_arena_done(&b->arena);
    wt_arena_lend(&b->arena, lent, sizeof lent);
}

static void parse_request(struct bench *b)
{
    size_t used;
    enum http_h1_fault fault;
    http_head_init(&b->head, &b->arena);
    must(http_h1_parse_request(b->in, 0, &http_h1_default_limits, &b->head, &used, &fault));
}

static void parse_response(struct bench *b)
{
    size_t used;
    enum http_h1_fault fault;
    http_head_init(&b->response, &b->arena);
    must(http_h1_parse_response(answer, 0, HTTP_METHOD_GET, &http_h1_default_limits, &b->response,
                                &used, &fault));
}

static void write_request(struct bench *b)
{
    b->out.len = 0;
    must(http_h1_write_request(&b->head, &b->out));
}

static void write_response(struct bench *b)
{
    b->back.len = 0;
    must(http_h1_write_response(&b->response, &b->back));
}

static void copy(struct bench *b)
{
    must(http_head_copy(&b->sent, &b->head, &b->arena));
}

/* What the proxy changes on a request that it sends on (src/proxy/serve.c). */
static void rewrite(struct bench *b)
{
    copy(b);
    http_strip_hop_by_hop(&b->sent);
    http_head_remove(&b->sent, HTTP_FIELD_EXPECT);
    http_head_remove(&b->sent, HTTP_FIELD_UPGRADE);
    http_strip_forwarding(&b->sent);
    must(http_forwarded_add(&b->sent, WT_STR("192.0.2.17"), WT_STR("http")));
    must(http_head_set_id(&b->sent, HTTP_FIELD_X_REQUEST_ID,
                          WT_STR("0b9d6f42-6c0e-4b6e-9a2e-0d6f5b1c7a3e")));
    must(http_head_set_id(&b->sent, HTTP_FIELD_TRACEPARENT,
                          WT_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")));
}

static void rewrite_alone(struct bench *b)
{
    fresh(b);
    rewrite(b);
}

/* All after the request's head was read; parsing that is a line of its own. */
static void relay(struct bench *b)
{
    fresh(b);
    rewrite(b);
    b->out.len = 0;
    must(http_h1_write_request(&b->sent, &b->out));
    parse_response(b);
    http_strip_hop_by_hop(&b->response);
    write_response(b);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void measure(const char *what, struct bench *b, void (*step)(struct bench *), int rounds)
{
    double best = 0;
    for (int round = 0; round < rounds; round++) {
        int64_t start = now_ns();
        for (int i = 0; i < ITERATIONS; i++) {
            step(b);
            __asm__ volatile("" ::: "memory");
        }
        double ns = (double)(now_ns() - start) / ITERATIONS;
        if (round == 0 || ns < best)
            best = ns;
    }
    printf("%-34s %8.1f ns\n", what, best);
}

static void measure_message(const char *name, struct wt_str in, int rounds)
{
    static const struct {
        const char *what;
        void (*step)(struct bench *);
    } cases[] = {
        {"request head, parse", parse_request},
        {"request head, write", write_request},
        {"head, copy", copy},
        {"request, copy and rewrite", rewrite_alone},
        {"response head, parse", parse_response},
        {"response head, write", write_response},
        {"relay, all after the parse", relay},
    };
    static struct bench b;
    b = (struct bench){.in = in, .out = wt_buf_make(16384), .back = wt_buf_make(16384)};
    b.arena = wt_arena_make(ARENA_BYTES);
    printf("%s: request %zu bytes, response %zu bytes\n", name, in.len, answer.len);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        measure(cases[i].what, &b, cases[i].step, rounds);
    wt_arena_done(&b.arena);
    wt_buf_done(&b.out);
    wt_buf_done(&b.back);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    if (rounds < 1) {
        fprintf(stderr, "usage: micro-h1 [ROUNDS]\n");
        return 2;
    }
    measure_message("small", small, rounds);
    measure_message("browser", browser, rounds);
    return 0;
}
