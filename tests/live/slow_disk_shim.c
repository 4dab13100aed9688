/* Loaded in front of the C library by test_many.py: whoever has something brought to the disk waits
 * as long as for a slow one, while the file SLOW_DISK_FILE is there. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int slowly(const char *name, int fd)
{
    const char *path = getenv("SLOW_DISK_FILE");
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (path && access(path, F_OK) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    return real(fd);
}

int fsync(int fd)
{
    return slowly("fsync", fd);
}

int fdatasync(int fd)
{
    return slowly("fdatasync", fd);
}
