/* Where `watari up` keeps things, and whose they are.
 *
 *   STATE/control/   control's: its database
 *   STATE/proxy/     the proxy's: last good snapshot, verdicts, the site's key
 *   RUN/api.sock     control's API; for root, control and the proxy
 *   RUN/supervisor.sock  for the proxy
 *   RUN/children     which processes run, for the next supervisor; ours
 *   RUN/up.lock      one supervisor at a time; ours
 *
 * STATE and RUN belong to the supervisor: who can be taken over must not be able to say to root
 * which process to end or which file to give away.
 */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include "base/err.h"
#include "cli/users.h"

enum { CLI_PLACE_BYTES = 240 };

struct cli_places {
    char state[200], run[200];
    char control_state[CLI_PLACE_BYTES], proxy_state[CLI_PLACE_BYTES], api_socket[CLI_PLACE_BYTES],
        supervisor_socket[CLI_PLACE_BYTES], notes[CLI_PLACE_BYTES], temp[CLI_PLACE_BYTES + 16];
};

/* Names them; `state_dir` may be NULL. */
void cli_places_init(struct cli_places *p, const char *state_dir);

/* STATE and RUN made, and the lock taken: WT_EEXIST while another supervisor has it. Held until the
 * process ends. */
int cli_places_lock(const struct cli_places *p, struct wt_err *err) WT_NODISCARD;

/* The children's directories, with what is in them, become theirs. */
int cli_places_give(const struct cli_places *p, const struct cli_users *users,
                    struct wt_err *err) WT_NODISCARD;

/* The access log exists and can be written by the proxy; anything but a plain file is left as it
 * is. */
void cli_places_give_log(const char *path, const struct cli_users *users);

#endif
