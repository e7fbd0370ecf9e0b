// A library that stays for a reason of its own (-z nodelete), and calls what its user defines: so its user stays with it, unless a host
// keeps it.
int hook(void) { return 0; }

int kept(void) { return hook(); }
