#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static volatile sig_atomic_t stopped;

int64_t tool_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * TOOL_NS_PER_S + ts.tv_nsec;
}

void tool_die(int exit_code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(exit_code);
}

struct sockaddr_in tool_addr_parse(const char *text)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strrchr(text, ':');
    size_t host_len = colon ? (size_t)(colon - text) : 0;
    if (!colon || host_len == 0 || host_len >= sizeof(host))
        tool_die(2, "%s: expected ADDRESS:PORT with an IPv4 address", text);
    memcpy(host, text, host_len);
    if (inet_pton(AF_INET, host, &addr.sin_addr) != 1)
        tool_die(2, "%s: %s is no IPv4 address", text, host);
    addr.sin_port = htons((uint16_t)tool_number_parse(text, colon + 1, 0, 65535));
    return addr;
}

double tool_number_parse(const char *option, const char *text, double min, double max)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < min || value > max)
        tool_die(2, "%s: %s is not a number between %g and %g", option, text, min, max);
    return value;
}

int tool_listen(const struct sockaddr_in *addr)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        tool_die(1, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(fd, 4096) < 0)
        tool_die(1, "listen on port %d: %s", ntohs(addr->sin_port), strerror(errno));
    return fd;
}

int tool_connect(const struct sockaddr_in *addr, const struct sockaddr_in *source)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* The port is chosen at connect time: 28,000 ports per pair of addresses, not per source. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    bool bound = !source || bind(fd, (const struct sockaddr *)source, sizeof(*source)) == 0;
    if (bound &&
        (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EINPROGRESS))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

uint64_t tool_files_lift(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static void stop(int signum)
{
    stopped = 1;
}

void tool_signals_init(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction end = {.sa_handler = stop};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
}

bool tool_stopped(void)
{
    return stopped != 0;
}
