//! Providers of OpenSSL, by its documentation as of 3.0 (<https://docs.openssl.org/3.0/man7/provider/>, `core.h`, `core_dispatch.h`): each
//! instance is a library context of its own, which the provider is loaded into, and libcrypto's `default` beside it, because most providers fetch
//! from that. Each algorithm that the provider offers is fetched. Digests, ciphers, MACs, KDFs and random generators are used. Of the
//! kinds of keys, as many are generated as it takes to use a key in each way that the provider offers: to sign, to exchange keys, to encrypt, to
//! encapsulate, to encode and to decode. Then the providers are unloaded and the context is freed, which ends the provider. An item is an
//! algorithm's number in the provider's list of one kind.
//!
//! The plugin's entry point is that of a built-in provider, whose name is the file's path, as the name of one is that `OSSL_PROVIDER_load`
//! opens by its path. That would open another file than the measured one where dlsoak measures copies. What differs: libcrypto holds
//! no reference of the file, and the core's parameter `module-filename` is null.
//!
//! A digest must succeed. Anything else may lack parameters: it fails where it has begun and can't go on, or where the way back doesn't lead to
//! what was there. Of ciphers, that is so for those of a plain mode, ECB to CTR. There is no detail.

use core::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use core::ptr::{null, null_mut};

use dlsoak_wire::interface::failed;

use super::{MOST_INSTANCES, Zeros, find, instances, path};

/// Numbers of the steps.
const LOAD: u16 = 1;
const FETCH: u16 = 3;
const DIGEST: u16 = 4;
const CIPHER: u16 = 5;
const MAC: u16 = 6;
const RAND: u16 = 8;
const SIGN: u16 = 10;
const EXCHANGE: u16 = 11;
const ENCRYPT: u16 = 12;
const ENCAPSULATE: u16 = 13;
const ENCODE: u16 = 14;

/// `OSSL_OP_KEYMGMT`.
const OF_KEYS: c_int = 10;
/// `EVP_MD_FLAG_XOF`, `EVP_CIPH_FLAG_AEAD_CIPHER`, `EVP_CIPH_CTR_MODE` and `EVP_CIPHER_CTX_FLAG_WRAP_ALLOW`.
const XOF: c_ulong = 2;
const AEAD: c_ulong = 0x20_0000;
const CTR: c_int = 5;
const WRAP_ALLOW: c_int = 1;
/// `EVP_PKEY_KEYPAIR`.
const KEY_PAIR: c_int = 0x87;
/// Types of parameters.
const UNSIGNED: c_uint = 2;
const UTF8: c_uint = 4;
const OCTETS: c_uint = 5;

/// Bytes for the results of what has no key of its own: a digest has 64 at most.
const ROOM: usize = 256;
/// What is digested, encrypted and signed.
const TEXT: &[u8; 64] = b"dlsoak digests, encrypts and signs these 64 bytes in each cycle.";
/// Keys, vectors and salts are the first bytes. Both halves differ, as XTS demands.
const SECRET: &[u8; 128] = &{
    let mut bytes = [0; 128];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

type Object = *mut c_void;
type New = unsafe extern "C" fn() -> Object;
type Of = unsafe extern "C" fn(Object) -> Object;
type Free = unsafe extern "C" fn(Object);
type Is = unsafe extern "C" fn(Object) -> c_int;
type Fetch = unsafe extern "C" fn(Object, *const c_char, *const c_char) -> Object;
type Query = unsafe extern "C" fn(Object, c_int, *mut c_int) -> *const Algorithm;
type DigestInit = unsafe extern "C" fn(Object, Object, *const Param) -> c_int;
type Init = unsafe extern "C" fn(Object, Object, *const u8, *const u8, *const Param) -> c_int;
type Update = unsafe extern "C" fn(Object, *mut u8, *mut c_int, *const u8, c_int) -> c_int;
type Final = unsafe extern "C" fn(Object, *mut u8, *mut c_int) -> c_int;
type Input = unsafe extern "C" fn(Object, *const u8, usize) -> c_int;
type Output = unsafe extern "C" fn(Object, *mut u8, *mut usize) -> c_int;
type Through = unsafe extern "C" fn(Object, *mut u8, *mut usize, *const u8, usize) -> c_int;
type Sign = unsafe extern "C" fn(
    Object,
    *mut Object,
    *const c_char,
    Object,
    *const c_char,
    Object,
    *const Param,
) -> c_int;
type With = unsafe extern "C" fn(Object, *const Param) -> c_int;

/// `OSSL_ALGORITHM`.
#[repr(C)]
struct Algorithm {
    /// Names that a colon separates.
    names: *const c_char,
    properties: *const c_char,
    functions: *const c_void,
    description: *const c_char,
}

/// `OSSL_PARAM`.
#[repr(C)]
struct Param {
    name: *const c_char,
    kind: c_uint,
    data: *const c_void,
    len: usize,
    returned: usize,
}

impl Param {
    const END: Self = Self { name: null(), kind: 0, data: null(), len: 0, returned: 0 };

    const fn text(name: &CStr, value: &CStr) -> Self {
        Self {
            name: name.as_ptr(),
            kind: UTF8,
            data: value.as_ptr().cast(),
            len: value.count_bytes(),
            returned: 0,
        }
    }

    const fn secret(name: &CStr) -> Self {
        Self { name: name.as_ptr(), kind: OCTETS, data: SECRET.as_ptr().cast(), len: 16, returned: 0 }
    }

    const fn number(name: &CStr, value: &u64) -> Self {
        Self {
            name: name.as_ptr(),
            kind: UNSIGNED,
            data: core::ptr::from_ref(value).cast(),
            len: size_of::<u64>(),
            returned: 0,
        }
    }
}

functions!(Openssl {
    OSSL_LIB_CTX_new: New,
    OSSL_LIB_CTX_free: Free,
    OSSL_PROVIDER_add_builtin: unsafe extern "C" fn(Object, *const c_char, *const c_void) -> c_int,
    OSSL_PROVIDER_load: unsafe extern "C" fn(Object, *const c_char) -> Object,
    OSSL_PROVIDER_unload: Is,
    OSSL_PROVIDER_query_operation: Query,
    OSSL_PROVIDER_unquery_operation: unsafe extern "C" fn(Object, c_int, *const Algorithm),
    ERR_clear_error: unsafe extern "C" fn(),
    EVP_MD_fetch: Fetch,
    EVP_MD_free: Free,
    EVP_CIPHER_fetch: Fetch,
    EVP_CIPHER_free: Free,
    EVP_MAC_fetch: Fetch,
    EVP_MAC_free: Free,
    EVP_KDF_fetch: Fetch,
    EVP_KDF_free: Free,
    EVP_RAND_fetch: Fetch,
    EVP_RAND_free: Free,
    EVP_KEYMGMT_fetch: Fetch,
    EVP_KEYMGMT_free: Free,
    EVP_KEYEXCH_fetch: Fetch,
    EVP_KEYEXCH_free: Free,
    EVP_SIGNATURE_fetch: Fetch,
    EVP_SIGNATURE_free: Free,
    EVP_ASYM_CIPHER_fetch: Fetch,
    EVP_ASYM_CIPHER_free: Free,
    EVP_KEM_fetch: Fetch,
    EVP_KEM_free: Free,
    OSSL_ENCODER_fetch: Fetch,
    OSSL_ENCODER_free: Free,
    OSSL_DECODER_fetch: Fetch,
    OSSL_DECODER_free: Free,
    OSSL_STORE_LOADER_fetch: Fetch,
    OSSL_STORE_LOADER_free: Free,
    EVP_MD_CTX_new: New,
    EVP_MD_CTX_free: Free,
    EVP_MD_get_flags: unsafe extern "C" fn(Object) -> c_ulong,
    EVP_DigestInit_ex2: DigestInit,
    EVP_DigestUpdate: Input,
    EVP_DigestFinal_ex: unsafe extern "C" fn(Object, *mut u8, *mut c_uint) -> c_int,
    EVP_DigestFinalXOF: unsafe extern "C" fn(Object, *mut u8, usize) -> c_int,
    EVP_CIPHER_CTX_new: New,
    EVP_CIPHER_CTX_free: Free,
    EVP_CIPHER_CTX_set_flags: unsafe extern "C" fn(Object, c_int),
    EVP_CIPHER_get_flags: unsafe extern "C" fn(Object) -> c_ulong,
    EVP_CIPHER_get_mode: Is,
    EVP_EncryptInit_ex2: Init,
    EVP_EncryptUpdate: Update,
    EVP_EncryptFinal_ex: Final,
    EVP_DecryptInit_ex2: Init,
    EVP_DecryptUpdate: Update,
    EVP_DecryptFinal_ex: Final,
    EVP_MAC_CTX_new: Of,
    EVP_MAC_CTX_free: Free,
    EVP_MAC_init: unsafe extern "C" fn(Object, *const u8, usize, *const Param) -> c_int,
    EVP_MAC_update: Input,
    EVP_MAC_final: unsafe extern "C" fn(Object, *mut u8, *mut usize, usize) -> c_int,
    EVP_KDF_CTX_new: Of,
    EVP_KDF_CTX_free: Free,
    EVP_KDF_derive: unsafe extern "C" fn(Object, *mut u8, usize, *const Param) -> c_int,
    EVP_RAND_CTX_new: unsafe extern "C" fn(Object, Object) -> Object,
    EVP_RAND_CTX_free: Free,
    EVP_RAND_instantiate:
        unsafe extern "C" fn(Object, c_uint, c_int, *const u8, usize, *const Param) -> c_int,
    EVP_RAND_generate: unsafe extern "C" fn(Object, *mut u8, usize, c_uint, c_int, *const u8, usize) -> c_int,
    EVP_RAND_uninstantiate: Is,
    EVP_PKEY_CTX_new_from_name: Fetch,
    EVP_PKEY_CTX_new_from_pkey: unsafe extern "C" fn(Object, Object, *const c_char) -> Object,
    EVP_PKEY_CTX_free: Free,
    EVP_PKEY_CTX_set_params: With,
    EVP_PKEY_keygen_init: Is,
    EVP_PKEY_generate: unsafe extern "C" fn(Object, *mut Object) -> c_int,
    EVP_PKEY_free: Free,
    EVP_DigestSignInit_ex: Sign,
    EVP_DigestSign: Through,
    EVP_DigestVerifyInit_ex: Sign,
    EVP_DigestVerify: unsafe extern "C" fn(Object, *const u8, usize, *const u8, usize) -> c_int,
    EVP_PKEY_derive_init: Is,
    EVP_PKEY_derive_set_peer: unsafe extern "C" fn(Object, Object) -> c_int,
    EVP_PKEY_derive: Output,
    EVP_PKEY_encrypt_init: Is,
    EVP_PKEY_encrypt: Through,
    EVP_PKEY_decrypt_init: Is,
    EVP_PKEY_decrypt: Through,
    EVP_PKEY_encapsulate_init: With,
    EVP_PKEY_encapsulate: unsafe extern "C" fn(Object, *mut u8, *mut usize, *mut u8, *mut usize) -> c_int,
    EVP_PKEY_decapsulate_init: With,
    EVP_PKEY_decapsulate: Through,
    OSSL_ENCODER_CTX_new_for_pkey:
        unsafe extern "C" fn(Object, c_int, *const c_char, *const c_char, *const c_char) -> Object,
    OSSL_ENCODER_CTX_free: Free,
    OSSL_ENCODER_to_data: unsafe extern "C" fn(Object, *mut *mut u8, *mut usize) -> c_int,
    OSSL_DECODER_CTX_new_for_pkey: unsafe extern "C" fn(
        *mut Object,
        *const c_char,
        *const c_char,
        *const c_char,
        c_int,
        Object,
        *const c_char,
    ) -> Object,
    OSSL_DECODER_CTX_free: Free,
    OSSL_DECODER_from_data: unsafe extern "C" fn(Object, *mut *const u8, *mut usize) -> c_int,
    CRYPTO_free: unsafe extern "C" fn(*mut u8, *const c_char, c_int),
});

/// What is done with an algorithm of one kind, or with a key: 1 where it succeeds, 0 where that can't be done without knowing more, and -1 where it
/// fails.
type Using = unsafe extern "C" fn(&Openssl, Object, Object) -> c_int;

impl Openssl {
    /// What providers offer, by the numbers of `OSSL_OP_*`, with what fetches an algorithm, frees it and uses it, and the number of that step. Keys
    /// are last, because how they are used depends on what else there is.
    const fn kinds(&self) -> [(c_int, Fetch, Free, Using, u16); 13] {
        [
            (1, self.EVP_MD_fetch, self.EVP_MD_free, openssl_digest, DIGEST),
            (2, self.EVP_CIPHER_fetch, self.EVP_CIPHER_free, openssl_cipher, CIPHER),
            (3, self.EVP_MAC_fetch, self.EVP_MAC_free, openssl_mac, MAC),
            (4, self.EVP_KDF_fetch, self.EVP_KDF_free, openssl_kdf, 0),
            (5, self.EVP_RAND_fetch, self.EVP_RAND_free, openssl_rand, RAND),
            (11, self.EVP_KEYEXCH_fetch, self.EVP_KEYEXCH_free, unused, 0),
            (12, self.EVP_SIGNATURE_fetch, self.EVP_SIGNATURE_free, unused, 0),
            (13, self.EVP_ASYM_CIPHER_fetch, self.EVP_ASYM_CIPHER_free, unused, 0),
            (14, self.EVP_KEM_fetch, self.EVP_KEM_free, unused, 0),
            (20, self.OSSL_ENCODER_fetch, self.OSSL_ENCODER_free, unused, 0),
            (21, self.OSSL_DECODER_fetch, self.OSSL_DECODER_free, unused, 0),
            (22, self.OSSL_STORE_LOADER_fetch, self.OSSL_STORE_LOADER_free, unused, 0),
            (OF_KEYS, self.EVP_KEYMGMT_fetch, self.EVP_KEYMGMT_free, unused, 0),
        ]
    }
}

/// How a key is used: the kind of algorithm that it takes, what uses it, and the number of that step. What is encoded is decoded.
const USES: [(c_int, Using, u16); 5] = [
    (11, openssl_exchange, EXCHANGE),
    (12, openssl_sign, SIGN),
    (13, openssl_encrypt, ENCRYPT),
    (14, openssl_encapsulate, ENCAPSULATE),
    (20, openssl_encode, ENCODE),
];

/// An instance.
#[derive(Clone, Copy)]
struct Life {
    context: Object,
    provider: Object,
    default: Object,
}

/// Begins libcrypto, which makes some things once. Returns 0 for success.
pub(super) fn begin() -> c_int {
    let Some(ssl) = Openssl::of(null_mut()) else { return 2 };
    // SAFETY: it is loaded, unloaded and freed once.
    unsafe {
        let context = (ssl.OSSL_LIB_CTX_new)();
        let default = (ssl.OSSL_PROVIDER_load)(context, c"default".as_ptr());
        let digest = (ssl.EVP_MD_fetch)(context, c"SHA256".as_ptr(), null());
        (ssl.EVP_MD_free)(digest);
        (ssl.OSSL_PROVIDER_unload)(default);
        (ssl.OSSL_LIB_CTX_free)(context);
        // The thread's list of errors is found by a key that libcrypto keeps.
        (ssl.ERR_clear_error)();
        if digest.is_null() { 3 } else { 0 }
    }
}

/// One cycle of a provider that is open.
///
/// # Safety
/// The handle is that of a provider of OpenSSL.
#[cfg_attr(dlsoak_program, unsafe(no_mangle))]
pub unsafe extern "C" fn dlsoak_openssl(handle: Object) -> c_int {
    let (Some(ssl), Some(init)) = (Openssl::of(null_mut()), find(handle, c"OSSL_provider_init")) else {
        return failed(LOAD, 0);
    };
    let mut lives = [Life { context: null_mut(), provider: null_mut(), default: null_mut() }; MOST_INSTANCES];
    let lives = lives.get_mut(..instances()).unwrap_or_default();
    let mut result = 0;
    // SAFETY: the calls are those of the documentation; what is made is freed once, in the other order, and freeing null does nothing.
    unsafe {
        for (number, life) in lives.iter_mut().enumerate() {
            life.context = (ssl.OSSL_LIB_CTX_new)();
            if life.context.is_null() {
                result = failed(LOAD, number);
                break;
            }
            (ssl.OSSL_PROVIDER_add_builtin)(life.context, path().as_ptr(), init);
            // The plugin is first, so that of two algorithms with the same name its own is preferred.
            life.provider = openssl_load(&ssl, life.context);
            life.default = (ssl.OSSL_PROVIDER_load)(life.context, c"default".as_ptr());
            if life.provider.is_null() || life.default.is_null() {
                result = failed(LOAD, number);
                break;
            }
        }
        if result == 0 {
            for life in lives.iter() {
                if let Err(step) = all(&ssl, *life) {
                    result = step;
                    break;
                }
            }
        }
        for life in lives.iter().filter(|life| !life.context.is_null()) {
            if !life.default.is_null() {
                (ssl.OSSL_PROVIDER_unload)(life.default);
            }
            if !life.provider.is_null() {
                openssl_unload(&ssl, life.provider);
            }
            openssl_free(&ssl, life.context);
        }
        (ssl.ERR_clear_error)();
    }
    result
}

/// Fetches and uses all algorithms.
unsafe fn all(ssl: &Openssl, life: Life) -> Result<(), c_int> {
    // A bit for each way to use a key that no key was used in; the first is that there is a key.
    let mut ways: u32 = 1;
    for (operation, fetch, free, using, step) in ssl.kinds() {
        let mut no_cache = 0;
        // SAFETY: the provider is loaded. Its list ends with a name that is null, and stays until it is given back.
        unsafe {
            let algorithms = openssl_query(ssl, life.provider, operation, &raw mut no_cache);
            let mut result = Ok(());
            for number in 0.. {
                let Some(algorithm) = algorithms.add(number).as_ref().filter(|found| !found.names.is_null())
                else {
                    break;
                };
                let name = Name::first(CStr::from_ptr(algorithm.names));
                let name = name.0.as_ptr().cast();
                let found = openssl_fetch(fetch, life.context, name, algorithm.properties);
                if found.is_null() {
                    result = Err(failed(FETCH, number));
                    break;
                }
                if using(ssl, life.context, found) < 0 {
                    result = Err(failed(step, number));
                }
                free(found);
                ways |= 1 << operation;
                if operation == OF_KEYS && result.is_ok() {
                    let used = key(ssl, life.context, name, algorithm.properties, &mut ways);
                    result = used.map_err(|step| failed(step, number));
                }
                if result.is_err() {
                    break;
                }
            }
            (ssl.OSSL_PROVIDER_unquery_operation)(life.provider, operation, algorithms);
            result?;
        }
    }
    Ok(())
}

/// The first name of an algorithm, which ends in NUL.
struct Name([u8; 128]);

impl Name {
    fn first(names: &CStr) -> Self {
        let mut name = [0; 128];
        let bytes = names.to_bytes().split(|byte| *byte == b':').next().unwrap_or_default();
        // The last byte stays 0.
        name.iter_mut().take(127).zip(bytes).for_each(|(to, byte)| *to = *byte);
        Self(name)
    }
}

/// Generates a key, and uses it in each way that no other was used in.
unsafe fn key(
    ssl: &Openssl,
    context: Object,
    name: *const c_char,
    properties: *const c_char,
    ways: &mut u32,
) -> Result<(), u16> {
    if *ways & USES.iter().fold(1, |all, (operation, ..)| all | 1 << operation) == 0 {
        return Ok(());
    }
    // SAFETY: the context lives, and the key is freed once.
    unsafe {
        let key = openssl_key(ssl, context, name, properties);
        if key.is_null() {
            return Ok(());
        }
        *ways &= !1;
        let mut result = Ok(());
        for (operation, using, step) in USES {
            if *ways & 1 << operation != 0 {
                match using(ssl, context, key) {
                    1 => *ways &= !(1 << operation),
                    0 => {}
                    _ => result = Err(step),
                }
            }
        }
        (ssl.EVP_PKEY_free)(key);
        result
    }
}

/// What is only fetched.
unsafe extern "C" fn unused(_ssl: &Openssl, _context: Object, _algorithm: Object) -> c_int {
    0
}

/// Whether a cipher has a plain mode, whose calls need nothing but a key and a vector.
unsafe fn is_plain(ssl: &Openssl, cipher: Object) -> bool {
    // SAFETY: the caller's.
    unsafe {
        (0..=CTR).contains(&(ssl.EVP_CIPHER_get_mode)(cipher))
            && (ssl.EVP_CIPHER_get_flags)(cipher) & AEAD == 0
    }
}

/// What is in memory of at least as many bytes.
unsafe fn bytes(of: &Zeros, len: usize) -> &[u8] {
    // SAFETY: the caller's.
    unsafe { core::slice::from_raw_parts(of.at.cast_const().cast(), len) }
}

/// -1 for what has begun and did not go on.
const fn begun(is_done: bool) -> c_int {
    if is_done { 1 } else { -1 }
}

step!(openssl_load(ssl: &Openssl, context: Object) -> Object { (ssl.OSSL_PROVIDER_load)(context, path().as_ptr()) });
step!(openssl_query(ssl: &Openssl, provider: Object, operation: c_int, no_cache: *mut c_int) -> *const Algorithm {
    (ssl.OSSL_PROVIDER_query_operation)(provider, operation, no_cache)
});
step!(openssl_fetch(fetch: Fetch, context: Object, name: *const c_char, properties: *const c_char) -> Object {
    fetch(context, name, properties)
});
step!(openssl_digest(ssl: &Openssl, _context: Object, digest: Object) -> c_int {
    let mut out = [0; ROOM];
    let context = (ssl.EVP_MD_CTX_new)();
    let is_done = (ssl.EVP_DigestInit_ex2)(context, digest, null()) == 1
        && (ssl.EVP_DigestUpdate)(context, TEXT.as_ptr(), TEXT.len()) == 1
        && if (ssl.EVP_MD_get_flags)(digest) & XOF == 0 {
            (ssl.EVP_DigestFinal_ex)(context, out.as_mut_ptr(), null_mut()) == 1
        } else {
            (ssl.EVP_DigestFinalXOF)(context, out.as_mut_ptr(), 32) == 1
        };
    (ssl.EVP_MD_CTX_free)(context);
    begun(is_done)
});
step!(openssl_cipher(ssl: &Openssl, _context: Object, cipher: Object) -> c_int {
    let (mut out, mut back) = ([0; ROOM], [0; ROOM]);
    let (mut len, mut more, mut lens) = (0, 0, (0, 0));
    let context = (ssl.EVP_CIPHER_CTX_new)();
    (ssl.EVP_CIPHER_CTX_set_flags)(context, WRAP_ALLOW);
    let key = SECRET.as_ptr();
    let has_begun = (ssl.EVP_EncryptInit_ex2)(context, cipher, key, key, null()) == 1;
    let is_done = has_begun
        && (ssl.EVP_EncryptUpdate)(context, out.as_mut_ptr(), &raw mut len, TEXT.as_ptr(), TEXT.len() as c_int) == 1
        && (ssl.EVP_EncryptFinal_ex)(context, out.as_mut_ptr().add(len as usize), &raw mut more) == 1
        && (ssl.EVP_DecryptInit_ex2)(context, cipher, key, key, null()) == 1
        && (ssl.EVP_DecryptUpdate)(context, back.as_mut_ptr(), &raw mut lens.0, out.as_ptr(), len + more) == 1
        && (ssl.EVP_DecryptFinal_ex)(context, back.as_mut_ptr().add(lens.0 as usize), &raw mut lens.1) == 1
        && back.get(..(lens.0 + lens.1) as usize) == Some(TEXT);
    (ssl.EVP_CIPHER_CTX_free)(context);
    if has_begun && is_plain(ssl, cipher) { begun(is_done) } else { 0 }
});
step!(openssl_mac(ssl: &Openssl, _context: Object, mac: Object) -> c_int {
    let params = [Param::text(c"digest", c"SHA256"), Param::text(c"cipher", c"AES-256-CBC"), Param::END];
    let (mut out, mut len) = ([0; ROOM], 0);
    let context = (ssl.EVP_MAC_CTX_new)(mac);
    // Some take 16 bytes of key, and no more.
    let has_begun = !context.is_null()
        && [32, 16].into_iter().any(|bytes| (ssl.EVP_MAC_init)(context, SECRET.as_ptr(), bytes, params.as_ptr()) == 1)
        && (ssl.EVP_MAC_update)(context, TEXT.as_ptr(), TEXT.len()) == 1;
    let is_done = has_begun && (ssl.EVP_MAC_final)(context, out.as_mut_ptr(), &raw mut len, ROOM) == 1;
    (ssl.EVP_MAC_CTX_free)(context);
    if has_begun { begun(is_done) } else { 0 }
});
step!(openssl_kdf(ssl: &Openssl, _context: Object, kdf: Object) -> c_int {
    let (few, one) = (16, 1);
    let params = [
        Param::text(c"digest", c"SHA256"),
        Param::text(c"cipher", c"AES-256-CBC"),
        Param::text(c"mac", c"HMAC"),
        Param::secret(c"key"),
        Param::secret(c"secret"),
        Param::secret(c"pass"),
        Param::secret(c"salt"),
        Param::secret(c"seed"),
        Param::secret(c"info"),
        Param::number(c"iter", &few),
        Param::number(c"n", &few),
        Param::number(c"r", &one),
        Param::number(c"p", &one),
        Param::END,
    ];
    let mut out = [0; ROOM];
    let context = (ssl.EVP_KDF_CTX_new)(kdf);
    let is_done = !context.is_null() && (ssl.EVP_KDF_derive)(context, out.as_mut_ptr(), 16, params.as_ptr()) == 1;
    (ssl.EVP_KDF_CTX_free)(context);
    c_int::from(is_done)
});
step!(openssl_rand(ssl: &Openssl, _context: Object, rand: Object) -> c_int {
    let params = [
        Param::text(c"digest", c"SHA256"),
        Param::text(c"cipher", c"AES-256-CTR"),
        Param::text(c"mac", c"HMAC"),
        Param::END,
    ];
    let mut out = [0; ROOM];
    let context = (ssl.EVP_RAND_CTX_new)(rand, null_mut());
    let has_begun = !context.is_null() && (ssl.EVP_RAND_instantiate)(context, 0, 0, null(), 0, params.as_ptr()) == 1;
    let is_done = has_begun
        && (ssl.EVP_RAND_generate)(context, out.as_mut_ptr(), 16, 0, 0, null(), 0) == 1
        && (ssl.EVP_RAND_uninstantiate)(context) == 1;
    (ssl.EVP_RAND_CTX_free)(context);
    if has_begun { begun(is_done) } else { 0 }
});
step!(openssl_key(ssl: &Openssl, context: Object, name: *const c_char, properties: *const c_char) -> Object {
    let params = [Param::text(c"group", c"P-256"), Param::END];
    let mut key = null_mut();
    let generator = (ssl.EVP_PKEY_CTX_new_from_name)(context, name, properties);
    if !generator.is_null() && (ssl.EVP_PKEY_keygen_init)(generator) == 1 {
        // Not all kinds of keys have groups.
        (ssl.EVP_PKEY_CTX_set_params)(generator, params.as_ptr());
        (ssl.EVP_PKEY_generate)(generator, &raw mut key);
    }
    (ssl.EVP_PKEY_CTX_free)(generator);
    key
});
step!(openssl_sign(ssl: &Openssl, context: Object, key: Object) -> c_int {
    let (signer, verifier) = ((ssl.EVP_MD_CTX_new)(), (ssl.EVP_MD_CTX_new)());
    let (mut len, mut result) = (0, 0);
    if (ssl.EVP_DigestSignInit_ex)(signer, null_mut(), null(), context, null(), key, null()) == 1
        && (ssl.EVP_DigestSign)(signer, null_mut(), &raw mut len, TEXT.as_ptr(), TEXT.len()) == 1
        && let Some(room) = Zeros::new(len)
        && (ssl.EVP_DigestSign)(signer, room.at.cast(), &raw mut len, TEXT.as_ptr(), TEXT.len()) == 1
        && (ssl.EVP_DigestVerifyInit_ex)(verifier, null_mut(), null(), context, null(), key, null()) == 1
    {
        result = begun((ssl.EVP_DigestVerify)(verifier, room.at.cast(), len, TEXT.as_ptr(), TEXT.len()) == 1);
    }
    (ssl.EVP_MD_CTX_free)(signer);
    (ssl.EVP_MD_CTX_free)(verifier);
    result
});
step!(openssl_exchange(ssl: &Openssl, context: Object, key: Object) -> c_int {
    let (mut len, mut result) = (0, 0);
    let user = (ssl.EVP_PKEY_CTX_new_from_pkey)(context, key, null());
    if !user.is_null()
        && (ssl.EVP_PKEY_derive_init)(user) == 1
        // The key is its own peer.
        && (ssl.EVP_PKEY_derive_set_peer)(user, key) == 1
        && (ssl.EVP_PKEY_derive)(user, null_mut(), &raw mut len) == 1
        && let Some(room) = Zeros::new(len)
    {
        result = begun((ssl.EVP_PKEY_derive)(user, room.at.cast(), &raw mut len) == 1);
    }
    (ssl.EVP_PKEY_CTX_free)(user);
    result
});
step!(openssl_encrypt(ssl: &Openssl, context: Object, key: Object) -> c_int {
    let (mut len, mut back_len, mut result) = (0, 0, 0);
    let user = (ssl.EVP_PKEY_CTX_new_from_pkey)(context, key, null());
    if !user.is_null()
        && (ssl.EVP_PKEY_encrypt_init)(user) == 1
        && (ssl.EVP_PKEY_encrypt)(user, null_mut(), &raw mut len, SECRET.as_ptr(), 16) == 1
        && let Some(room) = Zeros::new(len)
        && (ssl.EVP_PKEY_encrypt)(user, room.at.cast(), &raw mut len, SECRET.as_ptr(), 16) == 1
        && (ssl.EVP_PKEY_decrypt_init)(user) == 1
        && (ssl.EVP_PKEY_decrypt)(user, null_mut(), &raw mut back_len, room.at.cast(), len) == 1
        && let Some(back) = Zeros::new(back_len)
    {
        let is_done = (ssl.EVP_PKEY_decrypt)(user, back.at.cast(), &raw mut back_len, room.at.cast(), len) == 1;
        result = begun(is_done && SECRET.get(..16) == Some(bytes(&back, back_len)));
    }
    (ssl.EVP_PKEY_CTX_free)(user);
    result
});
step!(openssl_encapsulate(ssl: &Openssl, context: Object, key: Object) -> c_int {
    let (mut len, mut secret_len, mut back_len, mut result) = (0, 0, 0, 0);
    let user = (ssl.EVP_PKEY_CTX_new_from_pkey)(context, key, null());
    if !user.is_null()
        && (ssl.EVP_PKEY_encapsulate_init)(user, null()) == 1
        && (ssl.EVP_PKEY_encapsulate)(user, null_mut(), &raw mut len, null_mut(), &raw mut secret_len) == 1
        && let (Some(room), Some(secret)) = (Zeros::new(len), Zeros::new(secret_len))
        && (ssl.EVP_PKEY_encapsulate)(user, room.at.cast(), &raw mut len, secret.at.cast(), &raw mut secret_len) == 1
        && (ssl.EVP_PKEY_decapsulate_init)(user, null()) == 1
        && (ssl.EVP_PKEY_decapsulate)(user, null_mut(), &raw mut back_len, room.at.cast(), len) == 1
        && let Some(back) = Zeros::new(back_len)
    {
        let is_done = (ssl.EVP_PKEY_decapsulate)(user, back.at.cast(), &raw mut back_len, room.at.cast(), len) == 1;
        result = begun(is_done && bytes(&secret, secret_len) == bytes(&back, back_len));
    }
    (ssl.EVP_PKEY_CTX_free)(user);
    result
});
step!(openssl_encode(ssl: &Openssl, context: Object, key: Object) -> c_int {
    let (mut data, mut len, mut result) = (null_mut(), 0, 0);
    let encoder = (ssl.OSSL_ENCODER_CTX_new_for_pkey)(key, KEY_PAIR, c"DER".as_ptr(), null(), null());
    if !encoder.is_null() && (ssl.OSSL_ENCODER_to_data)(encoder, &raw mut data, &raw mut len) == 1 {
        openssl_decode(ssl, context, data, len);
        (ssl.CRYPTO_free)(data, c"".as_ptr(), 0);
        result = 1;
    }
    (ssl.OSSL_ENCODER_CTX_free)(encoder);
    result
});
step!(openssl_decode(ssl: &Openssl, context: Object, data: *const u8, len: usize) {
    let (mut key, mut data, mut len) = (null_mut(), data, len);
    let decoder =
        (ssl.OSSL_DECODER_CTX_new_for_pkey)(&raw mut key, c"DER".as_ptr(), null(), null(), 0, context, null());
    if !decoder.is_null() {
        (ssl.OSSL_DECODER_from_data)(decoder, &raw mut data, &raw mut len);
    }
    (ssl.OSSL_DECODER_CTX_free)(decoder);
    (ssl.EVP_PKEY_free)(key);
});
step!(openssl_unload(ssl: &Openssl, provider: Object) -> c_int { (ssl.OSSL_PROVIDER_unload)(provider) });
step!(openssl_free(ssl: &Openssl, context: Object) { (ssl.OSSL_LIB_CTX_free)(context) });
