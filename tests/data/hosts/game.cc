// A plugin of a game. Its score is one object in the process, as each variable of an inline function is: the symbol is STB_GNU_UNIQUE, so
// the loader never unloads the build that came first.
inline int &score() {
    static int points = 0;
    return points;
}

extern "C" int version() { return VERSION; }
extern "C" int play(int points) { return score() += points; }
