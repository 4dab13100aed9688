#include "cli/cli.h"
#include "cli/migrate.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REFRESH_MS = 1000, OUT_MAX = 1 << 20 };

struct screen {
    bool redraws;
    unsigned rows, columns, drawn; /* lines on the screen */
    char version[32];              /* resourceVersion printed last, without redrawing */
};

static void measure(struct screen *s)
{
    struct winsize size = {0};
    s->rows = 24;
    s->columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 3 && size.ws_col > 20) {
        s->rows = size.ws_row;
        s->columns = size.ws_col;
    }
}

/* One line cut to the width of the screen, so that it takes one row; escape sequences take no room.
 */
static void add_cut(struct wt_buf *out, struct wt_str line, unsigned columns)
{
    unsigned used = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == '\033') {
            size_t end = i;
            while (end < line.len && line.ptr[end] != 'm')
                end++;
            wt_buf_add_str(out, wt_str_sub(line, i, end + 1));
            i = end;
            continue;
        }
        used += ((unsigned char)line.ptr[i] & 0xc0) != 0x80;
        if (used < columns)
            wt_buf_add_char(out, line.ptr[i]);
    }
    wt_buf_add_char(out, '\n');
}

static void redraw(struct screen *s, struct wt_buf *text)
{
    wt_autobuf struct wt_buf out = wt_buf_make(OUT_MAX);
    struct wt_str rest = wt_buf_str(text);
    if (s->drawn)
        wt_buf_printf(&out, "\033[%uA\r\033[J", s->drawn);
    s->drawn = 0;
    while (rest.len && s->drawn + 1 < s->rows) {
        add_cut(&out, wt_str_next(&rest, '\n'), s->columns);
        s->drawn++;
    }
    cli_flush(&out);
}

/* Without a screen only what changed is printed again. */
static void print_change(struct screen *s, const json_t *doc, struct wt_buf *text)
{
    const char *version = cli_text_at(doc, "metadata.resourceVersion");
    if (strcmp(s->version, version) == 0)
        return;
    if (*s->version)
        puts("");
    snprintf(s->version, sizeof(s->version), "%s", version);
    cli_flush(text);
}

static void draw(struct screen *s, const json_t *doc, const struct cli_window *window)
{
    wt_autobuf struct wt_buf text = wt_buf_make(OUT_MAX);
    if (s->redraws)
        measure(s);
    const struct cli_tree_style style = {
        .colors = s->redraws || cli_is_terminal(),
        .utf8 = cli_is_utf8(),
        .steps_max = s->redraws ? (s->rows > 18 ? s->rows - 12 : 6) : 0,
        .window = window,
    };
    cli_migration_tree(doc, &style, io_wall_ms(), &text);
    if (s->redraws)
        redraw(s, &text);
    else
        print_change(s, doc, &text);
}

static bool is_over(const json_t *doc)
{
    return strcmp(cli_text_at(doc, "status.phase"), "Completed") == 0;
}

int cli_migrate_status(const struct cli_client *c, const char *name, bool watch)
{
    struct wt_err err;
    struct screen screen = {.redraws = watch && cli_is_terminal()};
    struct cli_window window = {0};
    bool any = false, told = false, over = false;
    int r;
    do {
        json_t *doc = NULL;
        r = cli_fetch(c, model_kind_migration, c->namespace, name, &doc, &err);
        if (r == 0) {
            cli_window_add(&window, doc, io_now_ms());
            draw(&screen, doc, &window);
            over = is_over(doc);
            any = true;
            told = false;
        } else if (any && r != WT_ENOENT && !told) {
            /* Control may be starting again; the proxies go on meanwhile. */
            fprintf(stderr, "watari migrate status: %s (tries again)\n", err.msg);
            screen.drawn = 0;
            told = true;
        }
        json_decref(doc);
        if (any && r != WT_ENOENT)
            r = 0;
    } while (watch && r == 0 && !over && cli_sleep_ms(REFRESH_MS) == 0);
    return r < 0 ? cli_fail("migrate status", &err) : CLI_OK;
}

int cli_migrate_status_all(const struct cli_client *c)
{
    struct wt_err err;
    json_t *list = NULL, *doc;
    size_t i;
    int r = cli_list(c, model_kind_migration, NULL, &list, &err);
    if (r < 0)
        return cli_fail("migrate status", &err);
    json_array_foreach(cli_at(list, "items"), i, doc)
    {
        struct screen screen = {0};
        const struct cli_window none = {0};
        if (i)
            puts("");
        draw(&screen, doc, &none);
    }
    if (!json_array_size(cli_at(list, "items")))
        fprintf(stderr, "no Migrations found\n");
    json_decref(list);
    return CLI_OK;
}
