/* What a confined process can and cannot do, tried out in a process of its own per row. */
#include "io/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], own[96], outside[96], logs[96], log_file[128];

static int result(long r)
{
    return r < 0 ? errno : 0;
}

static int write_to(const char *dir, const char *name, int flags)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
    int e = fd < 0 ? errno : result(write(fd, "x", 1));
    if (fd >= 0)
        close(fd);
    return e;
}

static int create_own(void)
{
    return write_to(own, "new", O_CREAT | O_TRUNC);
}

static int replace_own(void)
{
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/kept.new", own);
    snprintf(to, sizeof to, "%s/kept", own);
    int e = write_to(own, "kept.new", O_CREAT | O_EXCL);
    return e ? e : result(rename(from, to));
}

static int remove_own(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kept", own);
    return result(unlink(path));
}

static int create_outside(void)
{
    return write_to(outside, "new", O_CREAT);
}

static int write_outside(void)
{
    return write_to(outside, "kept", 0);
}

static int truncate_outside(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kept", outside);
    return result(truncate(path, 0));
}

static int remove_outside(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kept", outside);
    return result(unlink(path));
}

static int make_dir_outside(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/dir", outside);
    return result(mkdir(path, 0700));
}

static int read_outside(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/kept", outside);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int e = result(fd);
    if (fd >= 0)
        close(fd);
    return e;
}

static int append_log(void)
{
    return write_to(logs, "access.log", O_APPEND);
}

static int create_log(void)
{
    return write_to(logs, "after-rotation.log", O_APPEND | O_CREAT);
}

static int remove_log(void)
{
    return result(unlink(log_file));
}

static int exec(void)
{
    char *const argv[] = {"true", NULL};
    execve("/bin/true", argv, NULL);
    return errno;
}

static int exec_at(void)
{
    char *const argv[] = {"true", NULL};
    return result(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0));
}

static int trace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int mount_something(void)
{
    return result(mount("none", outside, "tmpfs", 0, NULL));
}

static int leave(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int clone_3(void)
{
    return result(syscall(435 /* clone3 */, NULL, 0));
}

static int bpf(void)
{
    return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int gain_privileges(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

static int dump(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    return limit.rlim_max == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? EPERM : 0;
}

static int open_many(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur == limit.rlim_max ? 0 : EPERM;
}

static void *thread_of(void *out)
{
    *(int *)out = create_outside();
    return NULL;
}

/* Started after; confined like the first one. */
static int start_thread(void)
{
    pthread_t t;
    int e = 0, started = pthread_create(&t, NULL, thread_of, &e);
    if (started)
        return started;
    pthread_join(t, NULL);
    return e;
}

static int fork_one(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int use_null(void)
{
    return write_to("/dev", "null", 0);
}

static const struct row {
    const char *what;
    int (*run)(void);
    int expected;
    bool landlock; /* only where the kernel has it */
} rows[] = {
    {"create in its directory", create_own, 0, false},
    {"replace a file in its directory", replace_own, 0, false},
    {"remove in its directory", remove_own, 0, false},
    {"create outside", create_outside, EACCES, true},
    {"write outside", write_outside, EACCES, true},
    {"truncate outside", truncate_outside, EACCES, true},
    {"remove outside", remove_outside, EACCES, true},
    {"make a directory outside", make_dir_outside, EACCES, true},
    {"read outside", read_outside, 0, false},
    {"append to the log", append_log, 0, false},
    {"make a log after rotation", create_log, 0, false},
    {"remove the log", remove_log, EACCES, true},
    {"write to /dev/null", use_null, 0, false},
    {"execve", exec, EPERM, false},
    {"execveat", exec_at, EPERM, false},
    {"ptrace", trace, EPERM, false},
    {"mount", mount_something, EPERM, false},
    {"unshare", leave, EPERM, false},
    {"clone into a user namespace", clone_user, EPERM, false},
    {"clone3", clone_3, ENOSYS, false},
    {"bpf", bpf, EPERM, false},
    {"new privileges", gain_privileges, EPERM, false},
    {"core dumps", dump, EPERM, false},
    {"as many descriptors as allowed", open_many, 0, false},
    {"a thread writes outside", start_thread, EACCES, true},
    {"fork", fork_one, 0, false},
};

static int enter(void)
{
    const char *const dirs[] = {own, NULL};
    struct wt_err err;
    int r = io_sandbox_enter(&(struct io_sandbox){.dirs = dirs, .log = log_file}, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    return r;
}

/* The errno of the row, in a confined process of its own; 255 when it could not be confined. */
static int outcome(const struct row *row)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(enter() < 0 ? 255 : row->run());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_rows(void **state)
{
    bool landlock = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1) >= 3; /* with truncate */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = outcome(&rows[i]);
        if (rows[i].landlock && !landlock)
            continue;
        if (got != rows[i].expected)
            fail_msg("%s: %s, expected %s", rows[i].what, strerror(got),
                     strerror(rows[i].expected));
    }
}

static void test_missing_directory(void **state)
{
    const char *const dirs[] = {"/nonexistent/state", NULL};
    struct wt_err err;
    if (syscall(444, NULL, 0, 1) < 1)
        skip();
    assert_int_equal(io_sandbox_enter(&(struct io_sandbox){.dirs = dirs}, &err), WT_ENOENT);
    assert_string_equal(err.msg, "sandbox: /nonexistent/state: No such file or directory");
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
}

static int setup(void **state)
{
    snprintf(root, sizeof root, "/tmp/watari-sandbox-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(own, sizeof own, "%s/own", root);
    snprintf(outside, sizeof outside, "%s/outside", root);
    snprintf(logs, sizeof logs, "%s/logs", root);
    snprintf(log_file, sizeof log_file, "%s/access.log", logs);
    const char *const dirs[] = {own, outside, logs};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(mkdir(dirs[i], 0700), 0);
    return write_to(outside, "kept", O_CREAT) || write_to(logs, "access.log", O_CREAT) ||
           write_to(own, "kept", O_CREAT);
}

static int teardown(void **state)
{
    static const char *const names[] = {"own/new",
                                        "own/kept",
                                        "own/kept.new",
                                        "own",
                                        "outside/kept",
                                        "outside/new",
                                        "outside/dir",
                                        "outside",
                                        "logs/access.log",
                                        "logs/after-rotation.log",
                                        "logs",
                                        ""};
    char path[160];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_missing_directory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
