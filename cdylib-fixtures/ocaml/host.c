// Starts OCaml when the library is loaded, and ends it with -DSHUTDOWN when it is unloaded.
#include <caml/callback.h>
#include <caml/mlvalues.h>

__attribute__((constructor)) static void begin(void) {
    char *argv[] = {"ocaml", 0};
    caml_startup_pooled(argv);
}

#ifdef SHUTDOWN
__attribute__((destructor)) static void end(void) {
    caml_shutdown();
}
#endif

int fibonacci(int n) {
    return Int_val(caml_callback(*caml_named_value("fibonacci"), Val_int(n)));
}
