// A plugin whose call runs on the threads of OpenMP's pool, which live on.
int test(int count) {
    int sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < count; i++) sum += i;
    return sum;
}
