// The call keeps malloc(16): a chunk of 32 B. The pointer is written where others can read it, so that the compiler keeps the call.
import core.stdc.stdlib : malloc;

export __gshared void* kept;

extern (C) export int fibonacci(int n)
{
    kept = malloc(16);
    return n;
}
