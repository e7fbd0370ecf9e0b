// A library without `answer`.
int other(void) { return 1; }
