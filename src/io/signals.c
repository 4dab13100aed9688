#include "io/signals.h"

#include "base/log.h"
#include "io/loop.h"
#include "io/sys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

static sigset_t taken(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    return set;
}

void io_signals_block(void)
{
    sigset_t set = taken();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int io_signals_open(struct io_stream *s, struct wt_err *err)
{
    sigset_t set = taken();
    io_stream_init(s);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return wt_fail(err, WT_EIO, "signals: %s", strerror(errno));
    int r = io_stream_open(s, fd);
    return r < 0 ? wt_fail(err, r, "signals: %s", wt_code_text(r)) : 0;
}

int io_signals_wait(struct io_stream *s, int64_t deadline_ms)
{
    struct io_sys *sys = io_sys_here();
    for (;;) {
        struct signalfd_siginfo info;
        int r = io_wait(s, IO_IN, deadline_ms);
        if (r < 0)
            return r;
        if (sys->read(sys, s->fd, &info, sizeof info) != (ssize_t)sizeof info)
            s->ready &= (uint8_t)~IO_IN;
        else if (info.ssi_signo != SIGUSR2)
            return (int)info.ssi_signo;
        else
            wt_log(WT_LOG_WARN, "SIGUSR2: in-place upgrade is not there yet; restart with SIGTERM, "
                                "which lets requests end, and a new start");
    }
}
