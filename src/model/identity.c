#include "model/identity.h"

#include "base/text.h"

#include <string.h>

enum {
    RAW = 16,     /* identity and signature */
    DECODED = 18, /* what 22 digits and two zeros stand for */
};
_Static_assert(MODEL_IDENTITY_TEXT == 22, "decode() fills up with two zeros");

static void put_le(uint8_t out[8], uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static void sign(const struct model_identity_keys *keys, const struct model_identity *id,
                 uint8_t out[8])
{
    put_le(out, wt_siphash(keys->sign, id->id, sizeof(id->id)));
}

struct model_identity_keys model_identity_keys_from(const uint8_t site_key[32])
{
    return (struct model_identity_keys){wt_hash_key_from(site_key),
                                        wt_hash_key_from(site_key + 16)};
}

struct model_identity model_identity_seeded(const struct model_identity_keys *keys,
                                            struct wt_str user_key)
{
    struct model_identity id;
    put_le(id.id, wt_hash_str(keys->seed, user_key));
    return id;
}

struct model_identity model_identity_random(const uint8_t random[MODEL_IDENTITY_BYTES])
{
    struct model_identity id;
    memcpy(id.id, random, sizeof(id.id));
    return id;
}

void model_identity_format(const struct model_identity_keys *keys, const struct model_identity *id,
                           char out[MODEL_IDENTITY_TEXT + 1])
{
    uint8_t raw[DECODED] = {0};
    memcpy(raw, id->id, sizeof(id->id));
    sign(keys, id, raw + sizeof(id->id));
    for (size_t i = 0; i < MODEL_IDENTITY_TEXT; i++) {
        size_t bit = i * 6, byte = bit / 8;
        unsigned two = (unsigned)raw[byte] << 8 | raw[byte + 1];
        out[i] = wt_base64_digits[two >> (10 - bit % 8) & 63];
    }
    out[MODEL_IDENTITY_TEXT] = 0;
}

/* Four digits are three bytes. False when one of them is no digit. */
static bool decode(const char text[MODEL_IDENTITY_TEXT], uint8_t raw[DECODED])
{
    unsigned char digits[MODEL_IDENTITY_TEXT + 2] = {[MODEL_IDENTITY_TEXT] = 'A', 'A'};
    memcpy(digits, text, MODEL_IDENTITY_TEXT);
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof digits / 4; i++) {
        unsigned four = 0;
        for (size_t k = 0; k < 4; k++) {
            unsigned digit = wt_base64_values[digits[4 * i + k]];
            seen |= digit;
            four = four << 6 | digit;
        }
        raw[3 * i] = (uint8_t)(four >> 16);
        raw[3 * i + 1] = (uint8_t)(four >> 8);
        raw[3 * i + 2] = (uint8_t)four;
    }
    return seen <= 63;
}

bool model_identity_parse(const struct model_identity_keys *keys, struct wt_str value,
                          struct model_identity *out_id)
{
    uint8_t raw[DECODED] WT_UNSET;
    if (value.len != MODEL_IDENTITY_TEXT || !decode(value.ptr, raw))
        return false;
    struct model_identity id = model_identity_random(raw);
    uint8_t want[8];
    uint8_t differs = raw[RAW]; /* 4 bits left over: must be zero, or one cookie has 16 forms */
    sign(keys, &id, want);
    for (int i = 0; i < 8; i++)
        differs |= want[i] ^ raw[MODEL_IDENTITY_BYTES + i];
    if (differs)
        return false;
    *out_id = id;
    return true;
}

struct model_identity model_identity_choose(const struct model_identity_keys *keys,
                                            struct wt_str cookie, struct wt_str user_key,
                                            bool stable, const uint8_t random[MODEL_IDENTITY_BYTES],
                                            bool *out_mint)
{
    struct model_identity id;
    *out_mint = false;
    if (stable && user_key.len > 0)
        return model_identity_seeded(keys, user_key);
    if (cookie.len > 0 && model_identity_parse(keys, cookie, &id))
        return id;
    *out_mint = true;
    return user_key.len > 0 ? model_identity_seeded(keys, user_key) : model_identity_random(random);
}
