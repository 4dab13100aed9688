/* Which resource a URL path means. Pure. */
#ifndef CONTROL_API_PATH_H
#define CONTROL_API_PATH_H

#include "model/kind.h"

enum control_path_form {
    CONTROL_PATH_NONE,   /* not of the API */
    CONTROL_PATH_CORE,   /* /api */
    CONTROL_PATH_GROUPS, /* /apis */
    CONTROL_PATH_GROUP,  /* /apis/GROUP */
    CONTROL_PATH_KINDS,  /* /apis/GROUP/VERSION, /api/v1 */
    CONTROL_PATH_LIST,   /* …/PLURAL, …/namespaces/NS/PLURAL */
    CONTROL_PATH_OBJECT,
    CONTROL_PATH_STATUS,
};

struct control_path {
    enum control_path_form form;
    char group[254], version[64];
    char namespace[64]; /* "": all */
    char name[254];
    const struct model_kind *kind; /* of LIST, OBJECT, STATUS */
};

void control_path_parse(struct wt_str path, struct control_path *out);

#endif
