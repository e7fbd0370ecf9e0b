// A host in C++ whose threads use plugins through a pool; a lease is given back when it goes out of scope.
//
//     cargo build --release -p dlsoak-pool
//     c++ -std=c++17 -Icrates/pool/include examples/pool/host.cpp -o host target/release/libdlsoak_pool.a -pthread -ldl -lm
//     ./host PLUGIN THREADS GETS
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dlsoak_pool.h"

namespace {

struct EndPool {
    void operator()(dlsoak_pool *pool) const { dlsoak_pool_free(pool); }
};
struct GiveBack {
    void operator()(dlsoak_library *library) const { dlsoak_pool_release(library); }
};
using Pool = std::unique_ptr<dlsoak_pool, EndPool>;
using Lease = std::unique_ptr<dlsoak_library, GiveBack>;

Lease lease(const Pool &pool, const std::string &path) {
    char error[256];
    Lease library(dlsoak_pool_get(pool.get(), path.c_str(), error, sizeof error));
    if (!library) throw std::runtime_error(error);
    return library;
}

std::int64_t visit(const Pool &pool, const std::string &path) {
    const Lease library = lease(pool, path);
    void *address = dlsoak_pool_symbol(library.get(), "fibonacci");
    return reinterpret_cast<std::int64_t (*)(std::int32_t)>(address)(20);
}

} // namespace

int main(int count, char **arguments) {
    if (count != 4) {
        std::cerr << "usage: host PLUGIN THREADS GETS\n";
        return 2;
    }
    const std::string plugin = arguments[1];
    const int threads = std::atoi(arguments[2]);
    const long gets = std::atol(arguments[3]) / threads;
    const Pool pool(dlsoak_pool_new(0));
    try {
        lease(pool, plugin);
    } catch (const std::exception &error) {
        std::cerr << "host: " << error.what() << '\n';
        return 1;
    }
    std::vector<std::thread> all;
    std::vector<std::int64_t> sums(static_cast<std::size_t>(threads));
    for (std::int64_t &sum : sums) {
        all.emplace_back([&pool, &plugin, &sum, gets] {
            for (long n = 0; n < gets; n++) sum += visit(pool, plugin);
        });
    }
    for (std::thread &thread : all) thread.join();
    for (const std::int64_t sum : sums) {
        if (sum != 6765 * gets) return 1;
    }
    std::cout << gets * threads << " gets, " << dlsoak_pool_loads(lease(pool, plugin).get()) << " loads\n";
    return 0;
}
