#include "cli/args.h"

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option *by_name(const struct cli_option *options, unsigned n,
                                        struct wt_str name)
{
    for (unsigned i = 0; i < n; i++)
        if (wt_str_eq(wt_str_z(options[i].name), name))
            return &options[i];
    return NULL;
}

static const struct cli_option *by_letter(const struct cli_option *options, unsigned n, char letter)
{
    for (unsigned i = 0; i < n; i++)
        if (options[i].letter && options[i].letter == letter)
            return &options[i];
    return NULL;
}

static int unknown(const struct cli_option *options, unsigned n, struct wt_str name,
                   struct wt_err *err)
{
    for (unsigned i = 0; i < n; i++)
        if (wt_str_distance(wt_str_z(options[i].name), name, 3) < 3)
            return wt_fail(err, WT_EINVAL, "unknown option --%.*s; did you mean --%s?",
                           WT_ARG(name), options[i].name);
    return wt_fail(err, WT_EINVAL, "unknown option %s%.*s", name.len > 1 ? "--" : "-",
                   WT_ARG(name));
}

static int store_number(const struct cli_option *o, const char *value, struct wt_err *err)
{
    char *end;
    double number = strtod(value, &end);
    if (!*value || *end || !isfinite(number) || number < 0)
        return wt_fail(err, WT_EINVAL, "--%s takes a number of 0 or more, not \"%s\"", o->name,
                       value);
    *(double *)o->out = number;
    return 0;
}

static int store_duration(const struct cli_option *o, const char *value, struct wt_err *err)
{
    uint64_t seconds;
    int64_t ms;
    if (wt_str_u64(wt_str_z(value), &seconds) && seconds <= 86400)
        ms = (int64_t)seconds * 1000;
    else if (!wt_duration_parse(wt_str_z(value), &ms))
        return wt_fail(err, WT_EINVAL, "--%s takes a duration such as 10s or 1m30s, not \"%s\"",
                       o->name, value);
    *(int64_t *)o->out = ms;
    return 0;
}

static int store_bytes(const struct cli_option *o, const char *value, struct wt_err *err)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {
        {"", 1},         {"k", 1000},     {"M", 1000000},  {"G", 1000000000},
        {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30},
    };
    size_t digits = strspn(value, "0123456789");
    uint64_t n, bytes;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(value + digits, units[i].suffix) != 0 || !wt_str_u64(wt_str(value, digits), &n))
            continue;
        if (__builtin_mul_overflow(n, units[i].factor, &bytes))
            break;
        *(uint64_t *)o->out = bytes;
        return 0;
    }
    return wt_fail(err, WT_EINVAL, "--%s takes bytes such as 1000000 or 512Mi, not \"%s\"", o->name,
                   value);
}

int cli_args_store(const struct cli_option *o, const char *value, struct wt_err *err)
{
    uint64_t n;
    struct cli_texts *list = o->out;
    switch (o->kind) {
    case CLI_FLAG:
        if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return wt_fail(err, WT_EINVAL, "--%s takes true or false, not \"%s\"", o->name, value);
        *(bool *)o->out = !value || strcmp(value, "true") == 0;
        return 0;
    case CLI_TEXT:
        *(const char **)o->out = value;
        return 0;
    case CLI_TEXTS:
        if (list->n == CLI_TEXTS_MAX)
            return wt_fail(err, WT_EINVAL, "--%s: more than %d times", o->name, CLI_TEXTS_MAX);
        list->items[list->n++] = value;
        return 0;
    case CLI_COUNT:
        if (!wt_str_u64(wt_str_z(value), &n) || n > 1000000)
            return wt_fail(err, WT_EINVAL, "--%s takes a whole number up to 1000000, not \"%s\"",
                           o->name, value);
        *(unsigned *)o->out = (unsigned)n;
        return 0;
    case CLI_NUMBER:
        return store_number(o, value, err);
    case CLI_DURATION:
        return store_duration(o, value, err);
    case CLI_BYTES:
        return store_bytes(o, value, err);
    case CLI_WORD:
        *(const char **)o->out = value ? value : "";
        return 0;
    }
    return 0;
}

/* One option at argv[*at]; takes the next word too if it needs a value. */
static int parse_option(int argc, char **argv, int *at, const struct cli_option *options,
                        unsigned n, struct wt_err *err)
{
    const char *word = argv[*at];
    const char *value = NULL;
    const struct cli_option *o;
    if (word[1] == '-') {
        struct wt_str rest = wt_str_z(word + 2);
        struct wt_str name = wt_str_next(&rest, '=');
        value = rest.ptr;
        o = by_name(options, n, name);
        if (!o)
            return unknown(options, n, name, err);
    } else {
        o = by_letter(options, n, word[1]);
        if (!o)
            return unknown(options, n, wt_str(word + 1, 1), err);
        if (word[2]) /* -ofile, and as kubectl takes it, -o=file */
            value = word + 2 + (word[2] == '=' && word[3] != '\0');
        if (value && o->kind == CLI_FLAG && by_letter(options, n, word[2]))
            return wt_fail(err, WT_EINVAL, "write \"-%c -%s\" instead of \"%s\"", o->letter,
                           word + 2, word);
        if (value && (o->kind == CLI_FLAG || o->kind == CLI_WORD))
            return wt_fail(err, WT_EINVAL, "-%c takes no value (\"%s\")", o->letter, word);
    }
    if (!value && o->kind != CLI_FLAG && o->kind != CLI_WORD) {
        if (*at + 1 >= argc)
            return wt_fail(err, WT_EINVAL, "--%s needs a value: %s", o->name, o->value);
        value = argv[++*at];
    }
    return cli_args_store(o, value, err);
}

int cli_args_parse(int argc, char **argv, const struct cli_option *options, unsigned n_options,
                   struct cli_texts *operands, struct wt_err *err)
{
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        int r = 0;
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1]) {
            r = parse_option(argc, argv, &i, options, n_options, err);
        } else if (operands->n < CLI_TEXTS_MAX) {
            operands->items[operands->n++] = argv[i];
        } else {
            r = wt_fail(err, WT_EINVAL, "more than %d operands", CLI_TEXTS_MAX);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_hidden(const struct cli_usage *usage, const char *name)
{
    for (unsigned i = 0; usage->hidden[i]; i++)
        if (strcmp(usage->hidden[i], name) == 0)
            return true;
    return false;
}

void cli_args_help(const struct cli_usage *usage, const struct cli_option *options,
                   unsigned n_options)
{
    printf("usage: watari %s\n", usage->line);
    if (usage->about)
        printf("\n%s\n", usage->about);
    for (unsigned i = 0; usage->examples[i]; i++)
        printf("%s  watari %s\n", i ? "" : "\nExamples:\n", usage->examples[i]);
    puts("\nOptions:");
    for (unsigned i = 0; i < n_options; i++) {
        const struct cli_option *o = &options[i];
        if (is_hidden(usage, o->name))
            continue;
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s %s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                 o->value ? o->value : "");
        printf("  %-32s %s\n", left, o->help);
    }
}

int cli_fail(const char *command, const struct wt_err *err)
{
    fprintf(stderr, "watari %s: %s\n", command, err->msg);
    return err->code == WT_EINVAL ? CLI_USAGE : CLI_FAILED;
}

void cli_flush_stdout(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    fprintf(stderr, "watari: standard output cannot be written: %s\n", strerror(errno));
    _exit(CLI_FAILED);
}

int cli_args_wrong(const struct cli_usage *usage, const struct wt_err *err)
{
    fprintf(stderr, "watari %s: %s (see `watari %s --help`)\n", usage->command, err->msg,
            usage->command);
    return CLI_USAGE;
}

static bool wants_help(const struct cli_option *options, unsigned n)
{
    const struct cli_option *o = by_name(options, n, WT_STR("help"));
    return o && *(const bool *)o->out;
}

bool cli_args_begin(const struct cli_usage *usage, int argc, char **argv,
                    const struct cli_option *options, unsigned n_options,
                    struct cli_texts *operands, int *out_code)
{
    struct wt_err err;
    int r = cli_args_parse(argc, argv, options, n_options, operands, &err);
    if (wants_help(options, n_options)) {
        cli_args_help(usage, options, n_options);
        *out_code = CLI_OK;
        return false;
    }
    if (r < 0)
        *out_code = cli_args_wrong(usage, &err);
    return r == 0;
}
