/* A module that uses `shared.c`. It says that it does, and with ENDS it says when it no longer does. */
extern int users;

__attribute__((constructor)) static void begin(void) { users++; }

#ifdef ENDS
__attribute__((destructor)) static void end(void) { users--; }
#endif
