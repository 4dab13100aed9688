/* Command lines: a table of options per command, parsed as kubectl users expect (-f X, -fX, --name
 * X, --name=X, options and operands in any order, `--` ends options). */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include "base/err.h"

#include <stdbool.h>

enum cli_option_kind {
    CLI_FLAG,     /* bool */
    CLI_TEXT,     /* const char * */
    CLI_TEXTS,    /* struct cli_texts: may be given several times */
    CLI_COUNT,    /* unsigned */
    CLI_NUMBER,   /* double, 0 or more */
    CLI_DURATION, /* int64_t, ms: "10s"; plain digits are seconds */
    CLI_BYTES,    /* uint64_t: "1000000", "512Mi", "1G" (Kubernetes' suffixes) */
    CLI_WORD, /* const char *: as CLI_TEXT, but its value may be left out ("") and stands after =
                 only */
};

enum { CLI_TEXTS_MAX = 32 };

struct cli_texts {
    const char *items[CLI_TEXTS_MAX];
    unsigned n;
};

struct cli_option {
    char letter; /* 0: none */
    const char *name;
    enum cli_option_kind kind;
    void *out;
    const char *value, *help; /* "DIR", "where state is kept" */
};

/* Fills the options' outputs and the operands. WT_EINVAL with "did you mean" for an unknown option.
 */
int cli_args_parse(int argc, char **argv, const struct cli_option *options, unsigned n_options,
                   struct cli_texts *operands, struct wt_err *err);

/* One value into its option's output; WT_EINVAL with the option's name. */
int cli_args_store(const struct cli_option *o, const char *value, struct wt_err *err);

struct cli_usage {
    const char *command; /* "get" */
    const char *line;    /* "get KIND [NAME…]" */
    const char *about;   /* a sentence or more below it; NULL: none */
    /* Command lines without the "watari " in front; NULL after the last. */
    const char *examples[6];
    /* Options of the table that are not of this command; NULL after the last. */
    const char *hidden[6];
};

/* What --help says. */
void cli_args_help(const struct cli_usage *usage, const struct cli_option *options,
                   unsigned n_options);

/* The first lines of most commands: parses, and itself answers --help (the flag option named so
 * must be in the table) and wrong usage. True to go on; else *out_code is the exit code. */
bool cli_args_begin(const struct cli_usage *usage, int argc, char **argv,
                    const struct cli_option *options, unsigned n_options,
                    struct cli_texts *operands, int *out_code);

/* Standard output, written out. Where nobody reads it any more (`| head`) the program ends as
 * others do, by SIGPIPE; where it cannot be written, with a sentence: half an answer is no answer.
 */
void cli_flush_stdout(void);

/* "watari NAME: sentence (see `watari NAME --help`)" to standard error; CLI_USAGE. */
int cli_args_wrong(const struct cli_usage *usage, const struct wt_err *err);

#endif
