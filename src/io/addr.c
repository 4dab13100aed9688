#include "io/stream.h"

#include <arpa/inet.h>
#include <stdio.h>

socklen_t io_addr_len(const union io_addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return sizeof a->in;
    case AF_INET6:
        return sizeof a->in6;
    case AF_UNIX:
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a->un.sun_path) + 1);
    default:
        return sizeof a->storage;
    }
}

int io_addr_parse(struct wt_str host, uint16_t port, union io_addr *out, struct wt_err *err)
{
    union io_addr a = {0};
    char text[sizeof a.un.sun_path];
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = wt_str_sub(host, 1, host.len - 1);
    if (host.len == 0 || host.len >= sizeof text)
        return wt_fail(err, WT_EINVAL, "\"%.*s\" is not an address", WT_ARG(host));
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (text[0] == '/') {
        a.un.sun_family = AF_UNIX;
        memcpy(a.un.sun_path, text, host.len + 1);
    } else if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
        a.in.sin_family = AF_INET;
        a.in.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
    } else {
        return wt_fail(err, WT_EINVAL, "\"%s\" is not an IPv4 or IPv6 address", text);
    }
    *out = a;
    return 0;
}

uint16_t io_addr_port(const union io_addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

/* Without the port. */
char *io_addr_format_host(const union io_addr *a, char out[IO_ADDR_TEXT])
{
    const char *r = NULL;
    if (a->sa.sa_family == AF_INET)
        r = inet_ntop(AF_INET, &a->in.sin_addr, out, IO_ADDR_TEXT);
    else if (a->sa.sa_family == AF_INET6)
        r = inet_ntop(AF_INET6, &a->in6.sin6_addr, out, IO_ADDR_TEXT);
    else if (a->sa.sa_family == AF_UNIX)
        r = (snprintf(out, IO_ADDR_TEXT, "%s", a->un.sun_path), out);
    if (!r)
        snprintf(out, IO_ADDR_TEXT, "-");
    return out;
}

char *io_addr_format(const union io_addr *a, char out[IO_ADDR_TEXT])
{
    char host[IO_ADDR_TEXT];
    io_addr_format_host(a, host);
    if (a->sa.sa_family == AF_INET6)
        snprintf(out, IO_ADDR_TEXT, "[%.*s]:%u", INET6_ADDRSTRLEN, host, io_addr_port(a));
    else if (a->sa.sa_family == AF_INET)
        snprintf(out, IO_ADDR_TEXT, "%.*s:%u", INET_ADDRSTRLEN, host, io_addr_port(a));
    else
        memcpy(out, host, sizeof host);
    return out;
}
