/* What the benchmark's three programs share: addresses, sockets, the clock, giving up.
 *
 * These programs are measuring tools, not parts of the product: they use libc alone, so that a
 * fault or a slow path in our own rooms cannot hide in the figures. A tool that cannot go on says
 * one sentence on standard error and exits: 2 for wrong usage, 1 for the rest.
 */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define TOOL_NS_PER_S 1000000000LL
#define TOOL_NS_PER_MS 1000000LL

/* CLOCK_MONOTONIC. */
int64_t tool_now_ns(void);

noreturn void tool_die(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "127.0.0.1:8080"; dies with exit code 2 on anything else. */
struct sockaddr_in tool_addr_parse(const char *text);

/* A number between min and max; dies with exit code 2, naming the option. */
double tool_number_parse(const char *option, const char *text, double min, double max);

/* A non-blocking listening socket; dies where the address is taken. */
int tool_listen(const struct sockaddr_in *addr);

/* Starts a non-blocking connect without Nagle's delay. `source` may be NULL. -1 and errno. */
int tool_connect(const struct sockaddr_in *addr, const struct sockaddr_in *source);

/* Lifts the soft limit of descriptors to the hard one and returns it. */
uint64_t tool_files_lift(void);

/* SIGPIPE is ignored; SIGTERM and SIGINT make this return true from then on. */
void tool_signals_init(void);
bool tool_stopped(void);

#endif
