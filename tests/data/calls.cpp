// Overloads, a member function and a name of its own, for calls with C++ names.
namespace audio {

int go(int x) {
    return x;
}

double go(double x) {
    return -x;
}

int go(int x, const char *) {
    return x + 1;
}

struct Player {
    int volume;
    int play(int note);
};

int Player::play(int note) {
    return note + volume;
}

Player *make() {
    return new Player{3};
}

void drop(Player *player) {
    delete player;
}

} // namespace audio

int plain(int x) {
    return x;
}
