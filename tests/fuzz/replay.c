/* Runs a fuzz target once over every file of the directories given: the corpus as a test, under any
 * compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    static uint8_t bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    uint8_t *exact =
        malloc(n ? n : 1); /* its own piece, so that a sanitizer sees a read beyond it */
    if (!exact)
        return 0;
    for (size_t i = 0; i < n; i++)
        exact[i] = bytes[i];
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return 1;
}

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        for (struct dirent *e; d && (e = readdir(d));) {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
            n += e->d_name[0] != '.' && replay(path);
        }
        if (d)
            closedir(d);
    }
    printf("%d inputs\n", n);
    return n ? 0 : 1;
}
