/* Descriptors over a unix socket. A stream socket may merge a note without a descriptor with one
 * that has one, so each note carries its length, and the descriptor travels with the first byte of
 * that length. */
#include "io/process.h"

#include <errno.h>
#include <unistd.h>

struct note_head {
    uint16_t length;
    uint8_t has_fd;
    uint8_t magic;
};

enum { NOTE_MAGIC = 0x57 };

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(8 * sizeof(int))]; /* room for more than we take, to see and close them */
};

static ssize_t send_first(struct io_stream *s, const struct note_head *head, int fd,
                          int64_t deadline_ms)
{
    union control control = {0};
    struct iovec iov = {(void *)head, sizeof *head};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof fd);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    while (s->fd >= 0) {
        ssize_t put = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        if (put >= 0)
            return put;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return wt_code_from_errno(errno);
        s->ready &= (uint8_t)~IO_OUT;
        int r = io_wait(s, IO_OUT, deadline_ms);
        if (r < 0)
            return r;
    }
    return WT_ECANCELED;
}

int io_send_fd(struct io_stream *s, int fd, struct wt_str note, int64_t deadline_ms)
{
    if (note.len > IO_NOTE_BYTES)
        return WT_EINVAL;
    struct note_head head = {(uint16_t)note.len, fd >= 0, NOTE_MAGIC};
    ssize_t put = send_first(s, &head, fd, deadline_ms);
    if (put < 0)
        return (int)put;
    struct iovec rest[2] = {
        {(char *)&head + put, sizeof head - (size_t)put},
        {(void *)note.ptr, note.len},
    };
    return io_write_all(s, rest, 2, deadline_ms);
}

/* Takes the one descriptor; closes what else came. */
static int take_fd(struct msghdr *msg, int *fd)
{
    int r = msg->msg_flags & MSG_CTRUNC ? WT_EPROTO : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            if (*fd < 0) {
                *fd = got;
                continue;
            }
            close(got);
            r = WT_EPROTO;
        }
    }
    return r;
}

static ssize_t recv_some(struct io_stream *s, void *out, size_t n, int *fd, int64_t deadline_ms)
{
    for (;;) {
        int r = io_wait(s, IO_IN, deadline_ms);
        if (r < 0)
            return r;
        union control control;
        struct iovec iov = {out, n};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
        ssize_t got = recvmsg(s->fd, &msg, MSG_CMSG_CLOEXEC);
        if (got > 0) {
            r = take_fd(&msg, fd);
            return r < 0 ? r : got;
        }
        if (got == 0)
            return WT_EOF;
        if (errno == EAGAIN)
            s->ready &= (uint8_t)~IO_IN;
        else if (errno != EINTR)
            return wt_code_from_errno(errno);
    }
}

static int recv_all(struct io_stream *s, void *out, size_t n, int *fd, int64_t deadline_ms)
{
    for (size_t have = 0; have < n;) {
        ssize_t got = recv_some(s, (char *)out + have, n - have, fd, deadline_ms);
        if (got == WT_EOF && have > 0)
            return WT_EPROTO;
        if (got < 0)
            return (int)got;
        have += (size_t)got;
    }
    return 0;
}

ssize_t io_recv_fd(struct io_stream *s, int *out_fd, char *note, size_t cap, int64_t deadline_ms)
{
    struct note_head head;
    int fd = -1;
    int r = recv_all(s, &head, sizeof head, &fd, deadline_ms);
    if (r == 0 && (head.magic != NOTE_MAGIC || head.length > IO_NOTE_BYTES))
        r = WT_EPROTO;
    if (r == 0 && head.length > cap)
        r = WT_ELIMIT;
    if (r == 0) {
        r = recv_all(s, note, head.length, &fd, deadline_ms);
        r = r == WT_EOF ? WT_EPROTO : r; /* an orderly end is one between notes */
    }
    if (r == 0 && head.has_fd != (fd >= 0))
        r = WT_EPROTO;
    if (r < 0) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    *out_fd = fd;
    return head.length;
}
