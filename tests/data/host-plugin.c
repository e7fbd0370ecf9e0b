/* A plugin of host-program.c, which does one thing or another as it is loaded. */
#include <pthread.h>
#include <stdlib.h>

extern int host_loads;
extern char host_table[3000];
extern _Thread_local int host_thread;
int host_log(const char *text);
int host_chosen(const char *text);

/* What a host would call. A soak without calls finds the host's function, and does not run it. */
int plugin_run(void) { return host_log("run"); }

#ifdef ON_THREAD
static void *on_thread(void *text) { return host_log(text) ? text : NULL; }
#endif

__attribute__((constructor)) static void plugin_init(void) {
#ifdef LEAKS
    static void *volatile kept;
    kept = malloc(100);
#endif
#ifdef READS
    /* In a stand-in for the host, its variables are zero. */
    for (size_t at = 0; at < sizeof host_table; at++)
        if (host_table[at] != 0) abort();
#endif
#ifdef CALLS
    /* The host's variables outlive the plugin, so that they count its loads. */
    if (++host_loads == CALLS) host_log("loaded");
#endif
#ifdef ON_THREAD
    pthread_t thread;
    pthread_create(&thread, NULL, on_thread, "thread");
    pthread_join(thread, NULL);
#endif
#ifdef THREAD_LOCAL
    host_thread++;
#endif
#ifdef CHOSEN
    host_chosen("loaded");
#endif
}

#ifdef CALLS_AT_CLOSE
__attribute__((destructor)) static void plugin_exit(void) { host_log("bye"); }
#endif
