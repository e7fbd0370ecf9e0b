// Starts D's runtime when it is loaded and ends it when it is unloaded, as druntime asks for. What stays is the runtime's own.
import core.runtime : rt_init, rt_term;

pragma(crt_constructor) extern (C) void begin()
{
    rt_init();
}

pragma(crt_destructor) extern (C) void end()
{
    rt_term();
}

extern (C) export int fibonacci(int n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}
