#include "cli/capacity.h"

#include "cli/object.h"

static void count_list(const json_t *endpoints, struct cli_side *s)
{
    const json_t *e;
    size_t i;
    double sum = 0, most = 0, least = 0;
    json_array_foreach(endpoints, i, e)
    {
        double weight = cli_at(e, "weight") ? cli_number_at(e, "weight") : 1;
        sum += weight;
        most = i == 0 || weight > most ? weight : most;
        least = i == 0 || weight < least ? weight : least;
    }
    s->hosts = (unsigned)json_array_size(endpoints);
    s->heaviest = sum > 0 ? most / sum : 0;
    s->even = most <= least;
}

struct cli_side cli_side_of(const json_t *backend)
{
    struct cli_side s = {.even = true};
    const json_t *endpoints = cli_at(backend, "spec.endpoints");
    if (json_array_size(endpoints)) {
        count_list(endpoints, &s);
        return s;
    }
    s.found = cli_at(backend, "spec.dns") ? "dns" : cli_at(backend, "spec.file") ? "file" : NULL;
    int64_t total = cli_int_at(backend, "status.total");
    s.hosts = total > 0 ? (unsigned)total : 0;
    s.heaviest = s.hosts ? 1.0 / s.hosts : 0;
    return s;
}

double cli_side_load(const struct cli_side *s, double percent)
{
    return percent * s->heaviest;
}

double cli_sides_times(const struct cli_sides *s, double percent)
{
    double today = cli_side_load(&s->old, 100);
    return today > 0 ? cli_side_load(&s->new, percent) / today : 0;
}

static void tell_side(const struct cli_side *s, const char *name, struct wt_buf *out)
{
    if (s->hosts)
        wt_buf_printf(out, "%u %s host%s", s->hosts, name, s->hosts == 1 ? "" : "s");
    else
        wt_buf_printf(out, "%s hosts not known", name);
    if (s->found)
        wt_buf_printf(out, " (%s%s: may change)", s->hosts ? "counted now; " : "", s->found);
    else if (!s->even)
        wt_buf_add_str(out, WT_STR(" (of different weights: the heaviest is told)"));
}

void cli_sides_tell(const struct cli_sides *s, struct wt_buf *out)
{
    char today[32];
    wt_buf_add_str(out, WT_STR("  capacity: "));
    tell_side(&s->old, "old", out);
    wt_buf_add_str(out, WT_STR(", "));
    tell_side(&s->new, "new", out);
    if (s->old.hosts)
        wt_buf_printf(out, "; an old host carries %s of all requests while no user has moved: 1 x",
                      cli_percent(cli_side_load(&s->old, 100), today));
    wt_buf_add_char(out, '\n');
}
