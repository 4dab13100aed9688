#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(char *out, size_t cap, const char *fmt, va_list ap)
{
    static const char cut[] = "…";
    int n = vsnprintf(out, cap, fmt, ap);
    if (n >= 0 && (size_t)n >= cap && cap > sizeof cut)
        memcpy(out + cap - sizeof cut, cut, sizeof cut);
}

int wt_fail(struct wt_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    put(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}

int wt_wrap(struct wt_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char inner[sizeof err->msg];
    memcpy(inner, err->msg, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    put(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->msg);
    snprintf(err->msg + n, sizeof err->msg - n, ": %s", inner);
    err->code = code;
    return code;
}

static const char *const texts[] = {
    [-WT_OK] = "ok",
    [-WT_EINVAL] = "wrong input",
    [-WT_ENOMEM] = "out of memory",
    [-WT_ENOENT] = "not found",
    [-WT_EEXIST] = "exists already",
    [-WT_ECONFLICT] = "changed by somebody else",
    [-WT_ETIMEOUT] = "deadline passed",
    [-WT_ECANCELED] = "cancelled",
    [-WT_EOF] = "end of stream",
    [-WT_ERESET] = "connection broken by the peer",
    [-WT_EREFUSED] = "connection refused",
    [-WT_EPROTO] = "protocol error",
    [-WT_ELIMIT] = "limit reached",
    [-WT_EIO] = "input/output error",
    [-WT_EAGAIN] = "not now",
    [-WT_EDENIED] = "not allowed",
};

const char *wt_code_text(int code)
{
    if (code > 0 || -code >= (int)(sizeof texts / sizeof texts[0]))
        return "unknown error";
    return texts[-code];
}

static const struct {
    int errnum;
    int code;
} errnos[] = {
    {ENOMEM, WT_ENOMEM},        {ENOENT, WT_ENOENT},         {EEXIST, WT_EEXIST},
    {ETIMEDOUT, WT_ETIMEOUT},   {ECONNRESET, WT_ERESET},     {EPIPE, WT_ERESET},
    {ECONNABORTED, WT_ERESET},  {ECONNREFUSED, WT_EREFUSED}, {EHOSTUNREACH, WT_EREFUSED},
    {ENETUNREACH, WT_EREFUSED}, {EMFILE, WT_ELIMIT},         {ENFILE, WT_ELIMIT},
    {ENOBUFS, WT_ENOMEM},       {EAGAIN, WT_EAGAIN},         {EACCES, WT_EDENIED},
    {EPERM, WT_EDENIED},        {EINVAL, WT_EINVAL},         {ENOTDIR, WT_ENOENT},
};

int wt_code_from_errno(int errnum)
{
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        if (errnos[i].errnum == errnum)
            return errnos[i].code;
    return WT_EIO;
}
