#include "cli/cli.h"

#include "base/log.h"
#include "base/str.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef WATARI_VERSION
#define WATARI_VERSION "unknown"
#endif

static const struct cli_command commands[] = {
    {"up", "-f FILE|DIR", "everything on one machine: API, controllers, proxy", cli_up},
    {"proxy", "[-f FILE|DIR]", "the data plane: serves the snapshots that control publishes", cli_proxy},
    {"validate", "FILE|DIR…", "checks files; changes nothing", cli_validate},
    {"explain", "KIND[.FIELD…]", "says what a kind's fields mean", cli_explain},
    {"version", "", "prints the version", cli_version},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

int cli_fail(const char *command, const struct wt_err *err)
{
    fprintf(stderr, "watari %s: %s\n", command, err->msg);
    return err->code == WT_EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cli_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("watari " WATARI_VERSION);
    return CLI_OK;
}

static int usage(FILE *to)
{
    fprintf(to, "watari carries a running service from where it is to where it should be.\n\n"
                "usage: watari COMMAND …\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %-22s %s\n", commands[i].name, commands[i].synopsis, commands[i].help);
    fprintf(to, "\n`watari COMMAND --help` shows its options.\n");
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

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0)
        return cli_version(0, NULL);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        wt_log_setup(commands[i].name, WT_LOG_INFO);
        return commands[i].run(argc - 2, argv + 2);
    }
    return unknown(argv[1]);
}
