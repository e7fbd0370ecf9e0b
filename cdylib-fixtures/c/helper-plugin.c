/* A plugin: it does nothing but need the library that opens it. */
__attribute__((visibility("default"))) int helper_plugin(void) {
    return 1;
}
