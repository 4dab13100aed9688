#include "io/sandbox.h"

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Landlock (Documentation/userspace-api/landlock.rst) ----
 * Written out, because the headers at hand may be older than the kernel that the program meets. */

enum { SYS_LANDLOCK_CREATE = 444, SYS_LANDLOCK_ADD = 445, SYS_LANDLOCK_RESTRICT = 446 };

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,     /* ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */

    SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,

    /* All but reading, which stays free. */
    HANDLED = FS_EXECUTE | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_CHAR |
              FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_MAKE_FIFO | FS_MAKE_BLOCK |
              FS_MAKE_SYM | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV,
    OWN_DIR = FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |
              FS_MAKE_SOCK | FS_REFER | FS_TRUNCATE,
    LOG_DIR = FS_WRITE_FILE | FS_MAKE_REG,
    OWN_FILE = FS_WRITE_FILE | FS_TRUNCATE,
};

struct landlock_ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct landlock_beneath {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

struct ruleset {
    int fd;
    int abi;
    uint64_t handled;
};

static uint64_t handled_by(int abi)
{
    static const struct {
        int abi;
        uint64_t right;
    } later[] = {{2, FS_REFER}, {3, FS_TRUNCATE}, {5, FS_IOCTL_DEV}};
    uint64_t all = HANDLED;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (abi < later[i].abi)
            all &= ~later[i].right;
    return all;
}

/* `abi` 0 without Landlock: not in the kernel, or not switched on there. */
static int open_ruleset(struct ruleset *out, struct wt_err *err)
{
    *out = (struct ruleset){.fd = -1};
    int abi = (int)syscall(SYS_LANDLOCK_CREATE, NULL, 0, 1 /* asks for the version */);
    if (abi < 1)
        return 0;
    struct landlock_ruleset rules = {.handled_fs = handled_by(abi),
                                     .scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL};
    size_t size = abi >= 6   ? sizeof rules
                  : abi >= 4 ? offsetof(struct landlock_ruleset, scoped)
                             : offsetof(struct landlock_ruleset, handled_net);
    int fd = (int)syscall(SYS_LANDLOCK_CREATE, &rules, size, 0);
    if (fd < 0)
        return wt_fail(err, wt_code_from_errno(errno), "Landlock: %s", strerror(errno));
    *out = (struct ruleset){fd, abi, rules.handled_fs};
    return 0;
}

/* Rights of directories mean nothing to a file, and the kernel refuses them there. */
static int allow(const struct ruleset *rules, const char *path, uint64_t in_dir, uint64_t in_file,
                 struct wt_err *err)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return wt_fail(err, wt_code_from_errno(e), "%s: %s", path, strerror(e));
    }
    struct landlock_beneath rule = {(S_ISDIR(st.st_mode) ? in_dir : in_file) & rules->handled, fd};
    long r = syscall(SYS_LANDLOCK_ADD, rules->fd, 1 /* path beneath */, &rule, 0);
    int e = errno;
    close(fd);
    return r < 0 ? wt_fail(err, wt_code_from_errno(e), "Landlock: %s: %s", path, strerror(e)) : 0;
}

/* Rotation puts a new file in place of the old one, so the right is its directory's; but of a pipe
 * or a terminal it is its own. */
static int allow_log(const struct ruleset *rules, const char *path, struct wt_err *err)
{
    struct stat st;
    char dir[4096];
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return allow(rules, path, 0, OWN_FILE, err);
    const char *slash = strrchr(path, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return allow(rules, dir, LOG_DIR, OWN_FILE, err);
}

static int fill_ruleset(const struct ruleset *rules, const struct io_sandbox *s, struct wt_err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && s->dirs && s->dirs[i]; i++)
        r = allow(rules, s->dirs[i], OWN_DIR, OWN_FILE, err);
    if (r == 0 && s->log)
        r = allow_log(rules, s->log, err);
    if (r == 0 && access("/dev/null", F_OK) == 0) /* libraries take it to be writable */
        r = allow(rules, "/dev/null", 0, OWN_FILE, err);
    return r;
}

/* ---- seccomp ----
 * A list of what is denied, not of what is allowed: the C library and the kernel get new calls all
 * the time, and a service must not break with an upgrade. Denied means EPERM, which every caller
 * can meet, not death. */

static const char *const denied[] = {
    /* other programs, other processes */
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "kcmp",
    /* the tree of files: what is seen where */
    "mount",
    "umount",
    "umount2",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "open_by_handle_at", /* with CAP_DAC_READ_SEARCH it opens any file of the disk (CVE-2014-3519)
                          */
    "mknod",
    "mknodat",
    "quotactl",
    "quotactl_fd",
    "fanotify_init",
    /* the machine */
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "iopl",
    "ioperm",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "vhangup",
    "lookup_dcookie",
    "nfsservctl",
    "uselib",
    "_sysctl",
    /* parts of the kernel that were ways out of sandboxes before, and that nothing here uses */
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "modify_ldt",
    "personality",
};

static int deny_calls(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof denied / sizeof denied[0]; i++) {
        int call = seccomp_syscall_resolve_name(denied[i]);
        if (call >= 0) /* otherwise this architecture or this library does not know it */
            r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    return r;
}

/* New namespaces are got by clone() too. What clone3() is asked for lies in memory, where a filter
 * does not look: it "does not exist", and C libraries fall back to clone(). */
static int deny_namespaces(scmp_filter_ctx filter)
{
    static const uint64_t flags[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,   CLONE_NEWNET,
                                     CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof flags / sizeof flags[0]; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    int clone3 = seccomp_syscall_resolve_name("clone3");
    if (r == 0 && clone3 >= 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), clone3, 0);
    return r;
}

static int fill_filter(scmp_filter_ctx filter)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Older kernels slow such processes down for the sake of untrusted code (SSBD); none runs here.
     */
    if (r == 0)
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    if (r == 0)
        r = deny_calls(filter);
    if (r == 0)
        r = deny_namespaces(filter);
    return r;
}

/* 1 when in force, 0 when the kernel has none. */
static int load_filter(struct wt_err *err)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
        return 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return wt_fail(err, WT_ENOMEM, "seccomp: out of memory");
    int r = fill_filter(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r < 0 ? wt_fail(err, wt_code_from_errno(-r), "seccomp: %s", strerror(-r)) : 1;
}

/* ---- capabilities ---- */

/* What is neither permitted nor inheritable is not ambient either (capabilities(7)). */
int io_capability_drop(unsigned capability, struct wt_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    long r = syscall(SYS_capget, &head, data);
    data[0].effective &= ~(UINT32_C(1) << capability);
    data[0].permitted &= ~(UINT32_C(1) << capability);
    data[0].inheritable &= ~(UINT32_C(1) << capability);
    if (r == 0)
        r = syscall(SYS_capset, &head, data);
    return r < 0 ? wt_fail(err, wt_code_from_errno(errno), "give up capability %u: %s", capability,
                           strerror(errno))
                 : 0;
}

/* ---- all together ---- */

static void set_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a core_pattern with a pipe knows no limit */
}

static int restrict_self(const struct ruleset *rules, struct wt_err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return wt_fail(err, wt_code_from_errno(errno), "no_new_privs: %s", strerror(errno));
    if (rules->abi && syscall(SYS_LANDLOCK_RESTRICT, rules->fd, 0) < 0)
        return wt_fail(err, wt_code_from_errno(errno), "Landlock: %s", strerror(errno));
    return 0;
}

int io_sandbox_enter(const struct io_sandbox *sandbox, struct wt_err *err)
{
    struct ruleset rules;
    int r = open_ruleset(&rules, err);
    if (r == 0 && rules.abi)
        r = fill_ruleset(&rules, sandbox, err);
    if (r == 0) {
        set_limits();
        r = restrict_self(&rules, err);
    }
    if (rules.fd >= 0)
        close(rules.fd);
    if (r == 0)
        r = load_filter(err);
    if (r < 0)
        return wt_wrap(err, r, "sandbox");
    char abi[40] = "no Landlock in this kernel";
    if (rules.abi)
        snprintf(abi, sizeof abi, "Landlock (ABI %d)", rules.abi);
    wt_log(rules.abi && r ? WT_LOG_INFO : WT_LOG_WARN, "sandbox: %s, %s", abi,
           r ? "seccomp" : "no seccomp in this kernel");
    return 0;
}
