/* Who a user is to the slot table: a signed cookie that the proxy mints.
 *
 * The cookie carries 8 bytes of identity and 8 bytes of SipHash over them under the site's key, in
 * base64url: 22 characters. The identity comes from the configured key (session cookie, header,
 * claim, client address) on first sight, and from random bytes where there is none. From then on
 * the cookie rules, so that a login or a new session id never moves a user. A key declared `stable`
 * (an account id) overrides it.
 *
 * The signature keeps a client from choosing its slot. 64 bits are enough: a forgery wins a slot,
 * no data, and can only be tried online. Everything here is pure.
 */
#ifndef MODEL_IDENTITY_H
#define MODEL_IDENTITY_H

#include "base/hash.h"

#define MODEL_IDENTITY_COOKIE "watari_id"

enum {
    MODEL_IDENTITY_BYTES = 8,
    MODEL_IDENTITY_TEXT = 22, /* characters of the cookie's value, without the terminator */
};

struct model_identity {
    uint8_t id[MODEL_IDENTITY_BYTES];
};

/* Two keys from the 32 bytes of the site: one signs, one turns a user key into an identity. */
struct model_identity_keys {
    struct wt_hash_key sign, seed;
};

struct model_identity_keys model_identity_keys_from(const uint8_t site_key[32]);

/* From a user key (never empty: an empty key is no key). The same key gives the same identity. */
struct model_identity model_identity_seeded(const struct model_identity_keys *keys,
                                            struct wt_str user_key);

/* From 8 random bytes of a generator fit for secrets. */
struct model_identity model_identity_random(const uint8_t random[MODEL_IDENTITY_BYTES]);

/* Writes the cookie's value, terminated. */
void model_identity_format(const struct model_identity_keys *keys, const struct model_identity *id,
                           char out[MODEL_IDENTITY_TEXT + 1]);

/* False when the value is not one of ours; the time taken does not depend on the signature's bytes.
 */
bool model_identity_parse(const struct model_identity_keys *keys, struct wt_str value,
                          struct model_identity *out_id);

static inline struct wt_str model_identity_str(const struct model_identity *id)
{
    return wt_str((const char *)id->id, sizeof(id->id));
}

/* The rule of precedence in one place. `cookie` and `user_key` may be {NULL, 0}; `random` is used
 * when both fail. *out_mint says whether the answer should set the cookie (never for a stable key).
 */
struct model_identity model_identity_choose(const struct model_identity_keys *keys,
                                            struct wt_str cookie, struct wt_str user_key,
                                            bool stable, const uint8_t random[MODEL_IDENTITY_BYTES],
                                            bool *out_mint);

#endif
