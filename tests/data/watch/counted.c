/* A module whose constructor and destructor are counted by `threads.c`. */
extern int begun, ended;

__attribute__((constructor)) static void begin(void) { __atomic_fetch_add(&begun, 1, __ATOMIC_RELAXED); }

__attribute__((destructor)) static void end(void) { __atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED); }
