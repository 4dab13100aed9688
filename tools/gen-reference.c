/* gen-reference DIR: writes the reference page of every kind to DIR/KIND.md. */
#include "model/explain.h"

#include <stdio.h>

static int write_page(const char *dir, const struct model_kind *kind)
{
    char path[1024];
    wt_autobuf struct wt_buf page = wt_buf_make(1 << 20);
    if (model_reference(kind, &page) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/%s.md", dir, kind->name);
    FILE *f = fopen(path, "we");
    if (!f) {
        perror(path);
        return -1;
    }
    size_t n = fwrite(page.ptr, 1, page.len, f);
    return fclose(f) == 0 && n == page.len ? 0 : -1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gen-reference DIR\n");
        return 2;
    }
    for (unsigned i = 0; i < model_kinds_len; i++) {
        if (write_page(argv[1], &model_kinds[i]) < 0)
            return 1;
    }
    return 0;
}
