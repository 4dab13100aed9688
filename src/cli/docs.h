/* Documents from the files of a command line. */
#ifndef CLI_DOCS_H
#define CLI_DOCS_H

#include "cli/args.h"
#include "model/check.h"
#include "model/yaml.h"

enum { CLI_FILES_MAX = 50000 };

struct cli_docs {
    struct model_docs *files;
    unsigned n_files;
    struct model_errors errors; /* of the checks; warnings too */
    unsigned n_alone;           /* warnings of documents alone; those of all together follow */
};

/* Reads each file, and each *.yaml, *.yml, *.json of each directory (sorted by name; "-" is
 * standard input), and checks all documents, alone and against each other. WT_EINVAL when something
 * is wrong, or there is no object at all: the sentences are in `errors`, or in `err` when a file
 * could not be read or parsed. */
int cli_docs_read(const struct cli_texts *paths, struct cli_docs *out, struct wt_err *err);
void cli_docs_done(struct cli_docs *d);

/* Prints errors and warnings to standard error, one a line; fields that are warned of in the same
 * words share one. */
void cli_docs_complain(const struct cli_docs *d);

/* The same without what the documents name and do not hold: a server may have it (cli/beside.h). */
void cli_docs_complain_alone(const struct cli_docs *d);

/* Warnings [from, to) that tell of a file. */
void cli_docs_print_warnings(const struct model_errors *e, unsigned from, unsigned to);

/* for (each document) visit(ctx, doc); stops at a negative result and returns it. */
int cli_docs_each(const struct cli_docs *d, int (*visit)(void *ctx, const struct model_doc *doc),
                  void *ctx);

#endif
