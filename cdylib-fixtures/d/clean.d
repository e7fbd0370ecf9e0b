// Does nothing wrong, and does without D's runtime (-betterC).
extern (C) export int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
