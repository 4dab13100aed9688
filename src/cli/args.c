#include "cli/args.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option *by_name(const struct cli_option *options, unsigned n, struct wt_str name)
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

static int unknown(const struct cli_option *options, unsigned n, struct wt_str name, struct wt_err *err)
{
    for (unsigned i = 0; i < n; i++)
        if (wt_str_distance(wt_str_z(options[i].name), name, 3) < 3)
            return wt_fail(err, WT_EINVAL, "unknown option --%.*s; did you mean --%s?", WT_ARG(name),
                           options[i].name);
    return wt_fail(err, WT_EINVAL, "unknown option %s%.*s", name.len > 1 ? "--" : "-", WT_ARG(name));
}

static int store(const struct cli_option *o, const char *value, struct wt_err *err)
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
    }
    return 0;
}

/* One option at argv[*at]; takes the next word too if it needs a value. */
static int parse_option(int argc, char **argv, int *at, const struct cli_option *options, unsigned n,
                        struct wt_err *err)
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
        if (word[2])
            value = word + 2;
        if (value && o->kind == CLI_FLAG)
            return wt_fail(err, WT_EINVAL, "-%c takes no value (\"%s\")", o->letter, word);
    }
    if (!value && o->kind != CLI_FLAG) {
        if (*at + 1 >= argc)
            return wt_fail(err, WT_EINVAL, "--%s needs a value: %s", o->name, o->value);
        value = argv[++*at];
    }
    return store(o, value, err);
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

void cli_args_help(const struct cli_option *options, unsigned n_options)
{
    for (unsigned i = 0; i < n_options; i++) {
        const struct cli_option *o = &options[i];
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s %s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->value ? o->value : "");
        printf("  %-32s %s\n", left, o->help);
    }
}
