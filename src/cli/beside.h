/* What documents name, looked for among them and on the server. */
#ifndef CLI_BESIDE_H
#define CLI_BESIDE_H

#include "cli/client.h"
#include "cli/docs.h"

/* Prints a warning for each object that a document names and neither the documents nor the server
 * hold. A server that cannot say what it holds is not complained of here. */
void cli_complain_beside(const struct cli_client *c, const struct cli_docs *d);

#endif
