#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "watari";
static atomic_int log_most = WT_LOG_INFO;

void wt_log_setup(const char *program, enum wt_log_level most)
{
    log_program = program;
    atomic_store(&log_most, most);
}

void wt_log_set_level(enum wt_log_level most)
{
    atomic_store(&log_most, most);
}

enum wt_log_level wt_log_get_level(void)
{
    return (enum wt_log_level)atomic_load(&log_most);
}

void wt_log(enum wt_log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if ((int)level > atomic_load_explicit(&log_most, memory_order_relaxed))
        return;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    char line[1024], when[32];
    wt_time_format((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000, true, when);
    int n = snprintf(line, sizeof line, "%s %s %s: ", when, names[level], log_program);
    va_list ap;
    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    if ((size_t)n >= sizeof line)
        n = sizeof line - 1;
    /* One event, one line: whatever a peer sent must not forge another (CVE-2024-45808). */
    for (int i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = ' ';
    line[n] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)n + 1);
    (void)ignored;
}
