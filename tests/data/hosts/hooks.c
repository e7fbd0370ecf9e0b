// A plugin that defines `hook`, which the library that it needs is bound to when it comes with the plugin.
int kept(void);

int hook(void) { return 1; }

int hooks(void) { return kept(); }
