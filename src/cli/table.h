/* Aligned columns for terminals. Rows may be written as they come (watches): widths only grow. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/buf.h"

enum { CLI_COLUMNS_MAX = 16, CLI_TABLE_MAX_BYTES = 64 << 20 };

struct cli_table {
    struct wt_buf cells; /* terminated texts, one after the other; a row ends with a '\n' */
    unsigned width[CLI_COLUMNS_MAX];
    unsigned column;
};

void cli_table_init(struct cli_table *t);
void cli_table_done(struct cli_table *t);

/* Control characters and broken UTF-8 become '?': cells come from the network and go to a terminal.
 */
void cli_table_cell(struct cli_table *t, const char *text);
void cli_table_end_row(struct cli_table *t);

/* Writes the rows that were not written yet, and forgets them. */
int cli_table_write(struct cli_table *t, struct wt_buf *out);

/* Characters of UTF-8 text: bytes that do not continue one. */
unsigned cli_text_width(const char *text);

#endif
