/* A provider of OpenSSL with one algorithm of each kind, all of which do next to nothing: each has the name DLSOAK. FIXTURE says what it does
 * wrong: leak-STEP, fail-STEP or crash-STEP, and fail-fetch gives a digest without functions. It declares what it uses of OpenSSL 3.0. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

struct function { int number; void (*function)(void); };
struct algorithm { const char *names, *properties; const struct function *functions; const char *description; };
struct param { const char *name; unsigned type; void *data; size_t size, returned; };
typedef int callback(const struct param *, void *);
#define F(number, function) {number, (void (*)(void))function}
#define END {0, NULL}

STEP(load)
STEP(query)
STEP(digest_new)
STEP(digest)
STEP(digest_free)
STEP(cipher)
STEP(mac)
STEP(kdf)
STEP(rand)
STEP(key)
STEP(key_free)
STEP(sign)
STEP(exchange)
STEP(encrypt)
STEP(encapsulate)
STEP(encode)
STEP(decode)
STEP(teardown)

static int (*read_from)(void *from, void *data, size_t size, size_t *got);
static int (*write_to)(void *to, const void *data, size_t size, size_t *written);

/* A number of any size, as the host asks for it. */
static void say(struct param *params, const char *name, uint64_t value)
{
    for (; params->name != NULL; params++)
        if (strcmp(params->name, name) == 0 && params->size <= sizeof value) {
            memcpy(params->data, &value, params->size);
            params->returned = params->size;
        }
}

/* What all kinds have alike: a context, which is made and freed, and takes any parameters. */
static void *new_context(void *provider) { (void)provider; return malloc(16); }
static void free_context(void *context) { free(context); }
static int begin(void) { return 1; }

static int fill(unsigned char *out, size_t *size, size_t room)
{
    if (out != NULL && room < 16)
        return 0;
    if (out != NULL)
        memset(out, 7, 16);
    *size = 16;
    return 1;
}

static void *digest_new(void *provider)
{
    wrong_digest_new();
    return new_context(provider);
}
static int digest_update(void *context, const unsigned char *in, size_t size)
{
    (void)context, (void)in, (void)size;
    return !wrong_digest();
}
static int digest_final(void *context, unsigned char *out, size_t *size, size_t room)
{
    (void)context;
    return fill(out, size, room);
}
static void digest_free(void *context)
{
    wrong_digest_free();
    free(context);
}
static int digest_params(struct param *params)
{
    say(params, "size", 16);
    say(params, "blocksize", 64);
    say(params, "xof", 0);
    say(params, "algid-absent", 0);
    return 1;
}
static const struct function digest[] = {
    F(1, digest_new), F(2, begin), F(3, digest_update), F(4, digest_final), F(6, digest_free), F(8, digest_params), END,
};
static const struct function nothing[] = {END};

static int cipher_update(void *context, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
    (void)context;
    if (wrong_cipher() || room < in_size)
        return 0;
    memcpy(out, in, in_size);
    *size = in_size;
    return 1;
}
static int cipher_final(void *context, unsigned char *out, size_t *size)
{
    (void)context, (void)out;
    *size = 0;
    return 1;
}
static int cipher_params(struct param *params)
{
    say(params, "blocksize", 1);
    say(params, "keylen", 16);
    say(params, "ivlen", 16);
    return 1;
}
static const struct function cipher[] = {
    F(1, new_context), F(2, begin), F(3, begin), F(4, cipher_update), F(5, cipher_final), F(7, free_context), F(9, cipher_params), END,
};

static int mac_final(void *context, unsigned char *out, size_t *size, size_t room)
{
    (void)context;
    return !wrong_mac() && fill(out, size, room);
}
static const struct function mac[] = {F(1, new_context), F(3, free_context), F(4, begin), F(5, begin), F(6, mac_final), END};

static int kdf_derive(void *context, unsigned char *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
    return !wrong_kdf();
}
static const struct function kdf[] = {F(1, new_context), F(3, free_context), F(5, kdf_derive), END};

static int rand_generate(void *context, unsigned char *out, size_t size)
{
    (void)context;
    memset(out, 7, size);
    return !wrong_rand();
}
static int rand_params(void *context, struct param *params)
{
    (void)context;
    say(params, "max_request", 4096);
    return 1;
}
static const struct function rand_[] = {
    F(1, new_context), F(2, free_context), F(3, begin), F(4, begin), F(5, rand_generate), F(15, rand_params), END,
};

static void *key_generate(void *context)
{
    (void)context;
    return wrong_key() ? NULL : malloc(16);
}
/* What is decoded is the key itself, by its address. */
static void *key_load(void **reference, size_t size)
{
    (void)size;
    void *key = *reference;
    *reference = NULL;
    return key;
}
static void key_free(void *key)
{
    wrong_key_free();
    free(key);
}
static const struct function keys[] = {
    F(2, new_context), F(6, key_generate), F(7, free_context), F(8, key_load), F(10, key_free), F(21, begin), END,
};

static int exchange_derive(void *context, unsigned char *out, size_t *size, size_t room)
{
    (void)context;
    return (out == NULL || !wrong_exchange()) && fill(out, size, room);
}
static const struct function exchange[] = {F(1, new_context), F(2, begin), F(3, exchange_derive), F(4, begin), F(5, free_context), END};

static int sign(void *context, unsigned char *out, size_t *size, size_t room)
{
    (void)context;
    return fill(out, size, room);
}
static int verify(void)
{
    return !wrong_sign();
}
static const struct function signature[] = {
    F(1, new_context), F(8, begin), F(11, sign), F(12, begin), F(15, verify), F(16, free_context), END,
};

static int encrypt(void *context, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
    (void)context;
    if (out != NULL && room >= in_size)
        memcpy(out, in, in_size);
    *size = in_size;
    return 1;
}
static int decrypt(void *context, unsigned char *out, size_t *size, size_t room, const unsigned char *in, size_t in_size)
{
    if (out == NULL || !wrong_encrypt())
        return encrypt(context, out, size, room, in, in_size);
    return 0;
}
static const struct function asym_cipher[] = {
    F(1, new_context), F(2, begin), F(3, encrypt), F(4, begin), F(5, decrypt), F(6, free_context), END,
};

static int encapsulate(void *context, unsigned char *out, size_t *size, unsigned char *secret, size_t *secret_size)
{
    (void)context;
    return fill(out, size, 16) && fill(secret, secret_size, 16);
}
static int decapsulate(void *context, unsigned char *out, size_t *size)
{
    (void)context;
    return (out == NULL || !wrong_encapsulate()) && fill(out, size, 16);
}
static const struct function kem[] = {
    F(1, new_context), F(2, begin), F(3, encapsulate), F(4, begin), F(5, decapsulate), F(6, free_context), END,
};

static int encode(void *context, void *to)
{
    size_t written;
    (void)context;
    return !wrong_encode() && write_to(to, "dlsoak", 6, &written);
}
static const struct function encoder[] = {F(1, new_context), F(2, free_context), F(11, encode), END};

static int decode(void *context, void *from, int selection, callback *with, void *data)
{
    char text[6];
    size_t got;
    int type = 2;
    (void)context, (void)selection;
    if (wrong_decode() || !read_from(from, text, sizeof text, &got) || got != sizeof text || memcmp(text, "dlsoak", 6) != 0)
        return 1;
    void *key = malloc(16);
    struct param params[] = {
        {"type", 1, &type, sizeof type, 0}, {"data-type", 4, "DLSOAK", 6, 0}, {"reference", 5, &key, sizeof key, 0}, {NULL, 0, NULL, 0, 0},
    };
    int is = with(params, data);
    free(key);
    return is;
}
static const struct function decoder[] = {F(1, new_context), F(2, free_context), F(11, decode), END};

#define OF(functions, more) {{"DLSOAK:dlsoak-" #functions, "provider=dlsoak" more, functions, "does nothing"}, {NULL, NULL, NULL, NULL}}

static const struct algorithm *query(void *provider, int operation, int *no_cache)
{
    static const struct algorithm kinds[][2] = {
        [1] = OF(digest, ""), [2] = OF(cipher, ""), [3] = OF(mac, ""), [4] = OF(kdf, ""), [5] = OF(rand_, ""), [10] = OF(keys, ""),
        [11] = OF(exchange, ""), [12] = OF(signature, ""), [13] = OF(asym_cipher, ""), [14] = OF(kem, ""),
        [20] = OF(encoder, ",output=der"), [21] = OF(decoder, ",input=der"),
    };
    static const struct algorithm empty[2] = OF(nothing, "");
    (void)provider;
    *no_cache = 0;
    if (operation == 1) {
        wrong_query();
        if (wanted("fail-fetch"))
            return empty;
    }
    return operation >= 1 && operation <= 21 && kinds[operation]->names != NULL ? kinds[operation] : NULL;
}

static void teardown(void *provider)
{
    wrong_teardown();
    free(provider);
}

static const struct function provider[] = {F(1024, teardown), F(1027, query), END};

int OSSL_provider_init(const void *core, const struct function *in, const struct function **out, void **context)
{
    (void)core;
    if (wrong_load())
        return 0;
    for (; in->number != 0; in++)
        if (in->number == 42)
            read_from = (int (*)(void *, void *, size_t, size_t *))in->function;
        else if (in->number == 43)
            write_to = (int (*)(void *, const void *, size_t, size_t *))in->function;
    *context = malloc(16);
    *out = provider;
    return 1;
}
