#include "cli/cli.h"

#include "base/log.h"
#include "base/str.h"
#include "cli/args.h"
#include "cli/table.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef WATARI_VERSION
#define WATARI_VERSION "unknown"
#endif

static const struct cli_command commands[] = {
    {CLI_GROUP_RUN, "up", "-f FILE|DIR", "everything on one machine: API, controllers, proxy",
     cli_up},
    {CLI_GROUP_RUN, "control", "[-f FILE|DIR]", "the control plane alone: API, state, controllers",
     cli_control},
    {CLI_GROUP_RUN, "proxy", "[-f FILE|DIR]",
     "the data plane: serves the snapshots that control publishes", cli_proxy},
    {CLI_GROUP_LOOK, "get", "KIND [NAME…]", "shows objects", cli_get},
    {CLI_GROUP_LOOK, "describe", "KIND NAME…", "shows an object, its state and its events",
     cli_describe},
    {CLI_GROUP_LOOK, "events", "[--for KIND/NAME]", "shows what happened", cli_events},
    {CLI_GROUP_LOOK, "plan", "-f FILE|DIR", "shows what apply would change, and its effects",
     cli_plan},
    {CLI_GROUP_LOOK, "validate", "FILE|DIR…", "checks files; changes nothing", cli_validate},
    {CLI_GROUP_LOOK, "explain", "KIND[.FIELD…]", "says what a kind's fields mean", cli_explain},
    {CLI_GROUP_LOOK, "version", "", "prints the version", cli_version},
    {CLI_GROUP_CHANGE, "apply", "-f FILE|DIR", "creates and updates objects", cli_apply},
    {CLI_GROUP_CHANGE, "delete", "KIND NAME… | -f FILE", "deletes objects", cli_delete},
    {CLI_GROUP_CHANGE, "migrate", "VERB NAME", "watches and steers a migration", cli_migrate},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

int cli_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("watari " WATARI_VERSION);
    return CLI_OK;
}

static void print_command(FILE *to, const struct cli_command *c)
{
    int width = 22 + (int)(strlen(c->synopsis) - cli_text_width(c->synopsis));
    fprintf(to, "  %-10s %-*s %s\n", c->name, width, c->synopsis, c->help);
}

static int usage(FILE *to)
{
    static const char *const titles[CLI_GROUPS] = {"Run", "Look", "Change"};
    fprintf(to, "watari carries a running service from where it is to where it should be.\n\n"
                "usage: watari COMMAND …\n\n");
    for (int g = 0; g < CLI_GROUPS; g++) {
        fprintf(to, "%s\n", titles[g]);
        for (int i = 0; i < N_COMMANDS; i++)
            if ((int)commands[i].group == g)
                print_command(to, &commands[i]);
        fputc('\n', to);
    }
    fprintf(to, "`watari help COMMAND` tells more of one: examples and options.\n");
    return to == stderr ? CLI_USAGE : CLI_OK;
}

static int unknown(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (wt_str_distance(wt_str_z(commands[i].name), wt_str_z(name), 3) < 3) {
            fprintf(stderr, "watari: unknown command \"%s\"; did you mean \"%s\"?\n", name,
                    commands[i].name);
            return CLI_USAGE;
        }
    fprintf(stderr, "watari: unknown command \"%s\"\n", name);
    return usage(stderr);
}

static int run(const char *name, int argc, char **argv)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        wt_log_setup(commands[i].name, WT_LOG_INFO);
        return commands[i].run(argc, argv);
    }
    return unknown(name);
}

/* "help get", "help migrate promote": what `get --help` and `migrate promote --help` say. */
static int help(int argc, char **argv)
{
    char option[] = "--help";
    char *words[2] = {option, argc > 1 ? argv[1] : NULL};
    return argc ? run(argv[0], argc > 1 ? 2 : 1, words) : usage(stdout);
}

static int begin(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(0, NULL);
    return run(argv[1], argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int code = begin(argc, argv);
    cli_flush_stdout();
    return code;
}
