#include "cli/holder.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LISTEN = 0x0a, LINE_BYTES = 512 };

/* An address as proc_net_tcp(5) writes it: words of 32 bits, each in the machine's order. */
static void hex_of(const union io_addr *a, char out[33])
{
    uint32_t words[4];
    size_t n = a->sa.sa_family == AF_INET ? 1 : 4;
    if (n == 1)
        memcpy(words, &a->in.sin_addr, 4);
    else
        memcpy(words, &a->in6.sin6_addr, 16);
    for (size_t i = 0; i < n; i++)
        snprintf(out + 8 * i, 9, "%08X", words[i]);
}

static bool is_any(const char *hex)
{
    return hex[strspn(hex, "0")] == '\0';
}

/* The inode of a listening socket that leaves no room for `addr`; 0. */
static unsigned long inode_in(const char *table, const union io_addr *addr)
{
    char line[LINE_BYTES], hex[33], ours[33];
    unsigned long inode, found = 0;
    unsigned port, state;
    FILE *f = fopen(table, "re");
    hex_of(addr, ours);
    while (f && !found && fgets(line, sizeof line, f))
        if (sscanf(line, " %*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %2x %*x:%*x %*x:%*x %*x %*u %*u %lu",
                   hex, &port, &state, &inode) == 4 &&
            port == io_addr_port(addr) && state == LISTEN &&
            (is_any(hex) || is_any(ours) || strcmp(hex, ours) == 0))
            found = inode;
    if (f)
        fclose(f);
    return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[300], target[64], wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    for (const struct dirent *e; dir && !found && (e = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

static void name_of(const char *pid, char out[32])
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    FILE *f = fopen(path, "re");
    if (!f || !fgets(out, 32, f))
        snprintf(out, 32, "?");
    if (f)
        fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

const char *cli_holder(const union io_addr *addr, char out[CLI_HOLDER_BYTES])
{
    char name[32];
    uint64_t pid;
    *out = '\0';
    if (addr->sa.sa_family != AF_INET && addr->sa.sa_family != AF_INET6)
        return out;
    unsigned long inode = inode_in("/proc/net/tcp", addr);
    if (!inode) /* one on [::] takes IPv4 as well */
        inode = inode_in("/proc/net/tcp6", addr);
    DIR *proc = inode ? opendir("/proc") : NULL;
    for (const struct dirent *e; proc && !*out && (e = readdir(proc));) {
        if (!wt_str_u64(wt_str_z(e->d_name), &pid) || !has_socket(e->d_name, inode))
            continue;
        name_of(e->d_name, name);
        snprintf(out, CLI_HOLDER_BYTES, " by %s (pid %llu)", name, (unsigned long long)pid);
    }
    if (proc)
        closedir(proc);
    return out;
}
