/* The columns in which `watari get` shows each kind. */
#ifndef CLI_COLUMNS_H
#define CLI_COLUMNS_H

#include "cli/table.h"
#include "model/kind.h"

struct cli_columns {
    const struct model_kind *kind;
    bool wide, with_namespace;
    bool with_kind; /* names as "backend/old" */
};

void cli_columns_header(const struct cli_columns *c, struct cli_table *t);
void cli_columns_row(const struct cli_columns *c, const json_t *doc, int64_t wall_ms,
                     struct cli_table *t);

#endif
