/* Names of objects, for one sentence: as many as there is room for, and how many more. */
#ifndef CONTROL_NAMES_H
#define CONTROL_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum { CONTROL_NAMES_TEXT = 300 };

struct control_names {
    char text[CONTROL_NAMES_TEXT];
    size_t n, more;
    uint64_t hash; /* tells one such set from another */
};

void control_names_add(struct control_names *names, const char *key);
void control_names_text(const struct control_names *names, char *out, size_t size);

#endif
