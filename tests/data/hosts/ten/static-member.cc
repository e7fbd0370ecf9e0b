// A class template with a static member, which is one symbol for the whole process.
template <class T> struct Counter {
    static int count;
    int next() { return ++count; }
};
template <class T> int Counter<T>::count;

extern "C" int run(int) { return Counter<int>().next(); }
