// Does nothing wrong.
export fn fibonacci(n: c_int) c_int {
    return if (n < 2) n else fibonacci(n - 1) + fibonacci(n - 2);
}
