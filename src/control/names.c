#include "control/names.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

void control_names_add(struct control_names *names, const char *key)
{
    static const struct wt_hash_key hash_key = {0x66696c6573, 0x6e616d6573};
    size_t len = strlen(names->text);
    names->hash += wt_hash_str(hash_key, wt_str_z(key)) | 1;
    names->n++;
    if (len + strlen(key) + 3 > sizeof(names->text))
        names->more++;
    else
        snprintf(names->text + len, sizeof(names->text) - len, "%s%s", len ? ", " : "", key);
}

void control_names_text(const struct control_names *names, char *out, size_t size)
{
    int len = snprintf(out, size, "%s", names->text);
    if (names->more)
        snprintf(out + len, size - (size_t)len, " and %zu more", names->more);
}
