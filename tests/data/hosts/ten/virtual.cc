// A class with virtual functions and a dynamic cast.
#include <memory>

struct Shape {
    virtual ~Shape() = default;
    virtual int area() const = 0;
};
struct Square : Shape {
    int side;
    explicit Square(int side) : side(side) {}
    int area() const override { return side * side; }
};

extern "C" int run(int count) {
    std::unique_ptr<Shape> shape = std::make_unique<Square>(count);
    return dynamic_cast<Square *>(shape.get()) ? shape->area() : 0;
}
