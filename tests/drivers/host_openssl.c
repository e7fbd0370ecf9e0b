/* A bare host of OpenSSL's providers, the second witness of the driver `openssl`: host_openssl PROVIDER CYCLES [strict]. It loads the provider by
 * its path, as applications do, and does with each algorithm what the driver does, for one instance. Where it is strict, an algorithm that can't be
 * used is a step that fails; real providers have some that demand other input. SAY in the environment has it say what succeeds. It includes
 * OpenSSL's headers: cc host_openssl.c -lcrypto */
#include "host.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>
#include <openssl/store.h>

/* The driver's steps, numbered from 1. */
static const char *const steps[] = {"load", "query", "fetch", "digest", "cipher", "mac", "kdf", "rand", "key", "sign", "exchange", "encrypt",
    "encapsulate", "encode", "decode"};

static unsigned char text[65] = "dlsoak digests, encrypts and signs these 64 bytes in each cycle.", secret[128], out[1 << 17], back[1 << 17];
static OSSL_LIB_CTX *context;
static const char *path;
static int strict, failed;

static int say(const char *what, const char *name, int is)
{
    if (getenv("SAY"))
        fprintf(stderr, "%s %s: %s\n", what, name, is ? "done" : "not done");
    for (int step = 0; !is && strict && failed == 0 && step < (int)(sizeof steps / sizeof *steps); step++)
        if (strcmp(what, steps[step]) == 0)
            failed = step + 1;
    return is;
}

static int use_digest(EVP_MD *digest)
{
    EVP_MD_CTX *use = EVP_MD_CTX_new();
    int is = EVP_DigestInit_ex2(use, digest, NULL) && EVP_DigestUpdate(use, text, 64)
        && (EVP_MD_get_flags(digest) & EVP_MD_FLAG_XOF ? EVP_DigestFinalXOF(use, out, 32) : EVP_DigestFinal_ex(use, out, NULL));
    EVP_MD_CTX_free(use);
    return is;
}

static int use_cipher(EVP_CIPHER *cipher)
{
    int len = 0, more = 0, back_len = 0, back_more = 0;
    EVP_CIPHER_CTX *use = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX_set_flags(use, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    int is = EVP_EncryptInit_ex2(use, cipher, secret, secret, NULL) == 1 && EVP_EncryptUpdate(use, out, &len, text, 64) == 1
        && EVP_EncryptFinal_ex(use, out + len, &more) == 1 && EVP_DecryptInit_ex2(use, cipher, secret, secret, NULL) == 1
        && EVP_DecryptUpdate(use, back, &back_len, out, len + more) == 1 && EVP_DecryptFinal_ex(use, back + back_len, &back_more) == 1
        && back_len + back_more == 64 && memcmp(back, text, 64) == 0;
    EVP_CIPHER_CTX_free(use);
    return is;
}

static int use_mac(EVP_MAC *mac)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_utf8_string("cipher", "AES-256-CBC", 0), OSSL_PARAM_END,
    };
    size_t len;
    EVP_MAC_CTX *use = EVP_MAC_CTX_new(mac);
    int is = use && (EVP_MAC_init(use, secret, 32, params) || EVP_MAC_init(use, secret, 16, params)) && EVP_MAC_update(use, text, 64)
        && EVP_MAC_final(use, out, &len, 256);
    EVP_MAC_CTX_free(use);
    return is;
}

static int use_kdf(EVP_KDF *kdf)
{
    uint64_t few = 16, one = 1;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_utf8_string("cipher", "AES-256-CBC", 0),
        OSSL_PARAM_construct_utf8_string("mac", "HMAC", 0), OSSL_PARAM_construct_octet_string("key", secret, 16),
        OSSL_PARAM_construct_octet_string("secret", secret, 16), OSSL_PARAM_construct_octet_string("pass", secret, 16),
        OSSL_PARAM_construct_octet_string("salt", secret, 16), OSSL_PARAM_construct_octet_string("seed", secret, 16),
        OSSL_PARAM_construct_octet_string("info", secret, 16), OSSL_PARAM_construct_uint64("iter", &few),
        OSSL_PARAM_construct_uint64("n", &few), OSSL_PARAM_construct_uint64("r", &one), OSSL_PARAM_construct_uint64("p", &one), OSSL_PARAM_END,
    };
    EVP_KDF_CTX *use = EVP_KDF_CTX_new(kdf);
    int is = use && EVP_KDF_derive(use, out, 16, params) == 1;
    EVP_KDF_CTX_free(use);
    return is;
}

static int use_rand(EVP_RAND *rand)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", "SHA256", 0), OSSL_PARAM_construct_utf8_string("cipher", "AES-256-CTR", 0),
        OSSL_PARAM_construct_utf8_string("mac", "HMAC", 0), OSSL_PARAM_END,
    };
    EVP_RAND_CTX *use = EVP_RAND_CTX_new(rand, NULL);
    int is = use && EVP_RAND_instantiate(use, 0, 0, NULL, 0, params) && EVP_RAND_generate(use, out, 16, 0, 0, NULL, 0)
        && EVP_RAND_uninstantiate(use);
    EVP_RAND_CTX_free(use);
    return is;
}

static int use_sign(EVP_PKEY *key)
{
    size_t len = sizeof out;
    EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
    int is = EVP_DigestSignInit_ex(sign, NULL, NULL, context, NULL, key, NULL) == 1 && EVP_DigestSign(sign, NULL, &len, text, 64) == 1
        && EVP_DigestSign(sign, out, &len, text, 64) == 1 && EVP_DigestVerifyInit_ex(verify, NULL, NULL, context, NULL, key, NULL) == 1
        && EVP_DigestVerify(verify, out, len, text, 64) == 1;
    EVP_MD_CTX_free(sign);
    EVP_MD_CTX_free(verify);
    return is;
}

static int use_key(EVP_PKEY *key, int operation)
{
    size_t len = sizeof out, back_len = sizeof back, secret_len = sizeof secret;
    static unsigned char shared[1 << 16];
    int is = 0;
    EVP_PKEY_CTX *use = EVP_PKEY_CTX_new_from_pkey(context, key, NULL);
    if (use && operation == OSSL_OP_KEYEXCH)
        is = EVP_PKEY_derive_init(use) == 1 && EVP_PKEY_derive_set_peer(use, key) == 1 && EVP_PKEY_derive(use, NULL, &len) == 1
            && EVP_PKEY_derive(use, out, &len) == 1;
    if (use && operation == OSSL_OP_ASYM_CIPHER)
        is = EVP_PKEY_encrypt_init(use) == 1 && EVP_PKEY_encrypt(use, NULL, &len, secret, 16) == 1 && EVP_PKEY_encrypt(use, out, &len, secret, 16) == 1
            && EVP_PKEY_decrypt_init(use) == 1 && EVP_PKEY_decrypt(use, NULL, &back_len, out, len) == 1
            && EVP_PKEY_decrypt(use, back, &back_len, out, len) == 1;
    if (use && operation == OSSL_OP_KEM)
        is = EVP_PKEY_encapsulate_init(use, NULL) == 1 && EVP_PKEY_encapsulate(use, NULL, &len, NULL, &secret_len) == 1
            && EVP_PKEY_encapsulate(use, out, &len, shared, &secret_len) == 1 && EVP_PKEY_decapsulate_init(use, NULL) == 1
            && EVP_PKEY_decapsulate(use, NULL, &back_len, out, len) == 1 && EVP_PKEY_decapsulate(use, back, &back_len, out, len) == 1;
    EVP_PKEY_CTX_free(use);
    return is;
}

static int use_encoder(EVP_PKEY *key)
{
    unsigned char *data = NULL;
    size_t len = 0;
    EVP_PKEY *again = NULL;
    OSSL_ENCODER_CTX *encode = OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_KEYPAIR, "DER", NULL, NULL);
    int is = encode && OSSL_ENCODER_to_data(encode, &data, &len);
    if (is) {
        const unsigned char *at = data;
        OSSL_DECODER_CTX *decode = OSSL_DECODER_CTX_new_for_pkey(&again, "DER", NULL, NULL, 0, context, NULL);
        say("decode", "of the key", decode && OSSL_DECODER_from_data(decode, &at, &len));
        OSSL_DECODER_CTX_free(decode);
        EVP_PKEY_free(again);
        OPENSSL_free(data);
    }
    OSSL_ENCODER_CTX_free(encode);
    return is;
}

static void use_keys(const char *name, const char *properties, unsigned *ways)
{
    static const int all[] = {OSSL_OP_KEYEXCH, OSSL_OP_SIGNATURE, OSSL_OP_ASYM_CIPHER, OSSL_OP_KEM, OSSL_OP_ENCODER};
    unsigned mask = 1;
    for (int i = 0; i < 5; i++)
        mask |= 1u << all[i];
    if (!(*ways & mask))
        return;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("group", "P-256", 0), OSSL_PARAM_END};
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *generate = EVP_PKEY_CTX_new_from_name(context, name, properties);
    if (generate && EVP_PKEY_keygen_init(generate) == 1) {
        EVP_PKEY_CTX_set_params(generate, params);
        EVP_PKEY_generate(generate, &key);
    }
    EVP_PKEY_CTX_free(generate);
    if (!say("key", name, key != NULL))
        return;
    *ways &= ~1u;
    for (int i = 0; i < 5; i++)
        if (*ways & 1u << all[i]) {
            int is = all[i] == OSSL_OP_SIGNATURE ? use_sign(key) : all[i] == OSSL_OP_ENCODER ? use_encoder(key) : use_key(key, all[i]);
            if (say(i == 0 ? "exchange" : i == 1 ? "sign" : i == 2 ? "encrypt" : i == 3 ? "encapsulate" : "encode", name, is))
                *ways &= ~(1u << all[i]);
        }
    EVP_PKEY_free(key);
}

#define USE(kind, use) { kind *found = kind##_fetch(context, name, all->property_definition); \
    if (found == NULL) return fprintf(stderr, "fetch %s\n", name), 3; \
    use; kind##_free(found); break; }

static int cycle(void *file)
{
    (void)file;
    failed = 0;
    static const int kinds[] = {1, 2, 3, 4, 5, 11, 12, 13, 14, 20, 21, 22, 10};
    unsigned ways = 1;
    context = OSSL_LIB_CTX_new();
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(context, path), *more = OSSL_PROVIDER_load(context, "default");
    if (provider == NULL || more == NULL)
        return 1;
    for (int i = 0; i < 13; i++) {
        int no_cache = 0;
        const OSSL_ALGORITHM *first = OSSL_PROVIDER_query_operation(provider, kinds[i], &no_cache), *all = first;
        for (; all != NULL && all->algorithm_names != NULL; all++) {
            char name[128] = "";
            strncpy(name, all->algorithm_names, 127);
            name[strcspn(name, ":")] = 0;
            ways |= 1u << kinds[i];
            switch (kinds[i]) {
            case OSSL_OP_DIGEST: USE(EVP_MD, say("digest", name, use_digest(found)))
            case OSSL_OP_CIPHER: USE(EVP_CIPHER, say("cipher", name, use_cipher(found)))
            case OSSL_OP_MAC: USE(EVP_MAC, say("mac", name, use_mac(found)))
            case OSSL_OP_KDF: USE(EVP_KDF, say("kdf", name, use_kdf(found)))
            case OSSL_OP_RAND: USE(EVP_RAND, say("rand", name, use_rand(found)))
            case OSSL_OP_KEYEXCH: USE(EVP_KEYEXCH, )
            case OSSL_OP_SIGNATURE: USE(EVP_SIGNATURE, )
            case OSSL_OP_ASYM_CIPHER: USE(EVP_ASYM_CIPHER, )
            case OSSL_OP_KEM: USE(EVP_KEM, )
            case OSSL_OP_ENCODER: USE(OSSL_ENCODER, )
            case OSSL_OP_DECODER: USE(OSSL_DECODER, )
            case OSSL_OP_STORE: USE(OSSL_STORE_LOADER, )
            case OSSL_OP_KEYMGMT: USE(EVP_KEYMGMT, use_keys(name, all->property_definition, &ways))
            }
        }
        OSSL_PROVIDER_unquery_operation(provider, kinds[i], first);
    }
    OSSL_PROVIDER_unload(more);
    OSSL_PROVIDER_unload(provider);
    OSSL_LIB_CTX_free(context);
    ERR_clear_error();
    return failed;
}

int main(int count, char **arguments)
{
    for (int i = 0; i < 128; i++)
        secret[i] = (unsigned char)i;
    path = count > 1 ? realpath(arguments[1], NULL) : NULL;
    strict = count > 3 && strcmp(arguments[3], "strict") == 0;
    return soak(count, arguments, cycle);
}
