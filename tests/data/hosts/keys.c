// A library that makes a thread-specific key by each load and deletes none.
#include <pthread.h>

#ifdef KEYS
__attribute__((constructor)) static void begin(void) {
    pthread_key_t key;
    pthread_key_create(&key, 0);
}
#endif
int NAME(void) { return 1; }
