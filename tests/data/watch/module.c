/* A module that uses `shared.c`. It says that it does, and with ENDS it says when it no longer does. With TLS it has a destructor for the
   end of the thread, which keeps it loaded. */
extern int users;

#ifdef TLS
extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

static void at_exit(void *nothing) { (void)nothing; }
#endif

__attribute__((constructor)) static void begin(void) {
    users++;
#ifdef TLS
    __cxa_thread_atexit_impl(at_exit, 0, &__dso_handle);
#endif
}

#ifdef ENDS
__attribute__((destructor)) static void end(void) { users--; }
#endif
