#include "cli/table.h"

#include "model/errors.h"

#include <string.h>

void cli_table_init(struct cli_table *t)
{
    *t = (struct cli_table){.cells = wt_buf_make(CLI_TABLE_MAX_BYTES)};
}

void cli_table_done(struct cli_table *t)
{
    wt_buf_done(&t->cells);
}

unsigned cli_text_width(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void cli_table_cell(struct cli_table *t, const char *text)
{
    size_t at = t->cells.len;
    if (t->column == CLI_COLUMNS_MAX || wt_buf_add(&t->cells, text, strlen(text) + 1) < 0)
        return;
    model_disarm(t->cells.ptr + at);
    unsigned width = cli_text_width(t->cells.ptr + at);
    if (width > t->width[t->column])
        t->width[t->column] = width;
    t->column++;
}

void cli_table_end_row(struct cli_table *t)
{
    wt_buf_add_char(&t->cells, '\n');
    t->column = 0;
}

/* A terminal is no place for spaces at the end of a line. */
static void trim(struct wt_buf *out, size_t from)
{
    while (out->len > from && out->ptr[out->len - 1] == ' ')
        out->len--;
}

int cli_table_write(struct cli_table *t, struct wt_buf *out)
{
    const char *at = t->cells.ptr, *end = at + t->cells.len;
    unsigned column = 0;
    size_t line = out->len;
    while (at < end) {
        if (*at == '\n') {
            trim(out, line);
            wt_buf_add_char(out, '\n');
            line = out->len;
            column = 0;
            at++;
            continue;
        }
        unsigned width = cli_text_width(at), pad = t->width[column] + 3 - width;
        wt_buf_printf(out, "%s%*s", at, (int)pad, "");
        at += strlen(at) + 1;
        column++;
    }
    t->cells.len = 0;
    return t->cells.error ? t->cells.error : wt_buf_error(out);
}
