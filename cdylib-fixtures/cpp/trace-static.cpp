// A static object whose constructor allocates with new, and whose destructor does not give it back.
#include "../c/fibonacci.h"

class Table {
public:
    Table();

private:
    char *volatile rows_;
};

Table::Table() : rows_(nullptr) {
    rows_ = new char[100]; // traced
}

static Table table;

FIXTURE_EXPORT int64_t fibonacci(int32_t n) {
    return fibonacci_iterative(n);
}
