/* Who listens on an address that we could not have. */
#ifndef CLI_HOLDER_H
#define CLI_HOLDER_H

#include "io/stream.h"

enum { CLI_HOLDER_BYTES = 64 };

/* " by nginx (pid 12)", for the end of a sentence; "" where /proc does not tell (another user's
 * process, for who is not root). Reads all of /proc: for failures only. */
const char *cli_holder(const union io_addr *addr, char out[CLI_HOLDER_BYTES]);

#endif
