#!/bin/bash
# Makes clean.log.gz: what real builds that succeed say, in which `dlsoak explain` must find nothing.
#
#   tests/data/logs/clean.sh ZLIB MUSL [FILE]      source trees of zlib and musl; writes FILE, else clean.log.gz beside itself
#
# It holds the builds and tests of zlib, musl (make with all commands shown), a project of this script's own whose files,
# messages and tests are named like errors, a part of Go's standard library (go build -x), the names of Go's tests on
# dynamic linking, and this repository (cargo check -v, and the names of its tests). The directory is replaced by /build, the
# home by /home/user.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
zlib=$(cd "$1" && pwd)
musl=$(cd "$2" && pwd)
out=${3:-$here/clean.log.gz}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export LC_ALL=C.UTF-8 GOTOOLCHAIN=local CARGO_TERM_COLOR=never
unset PKG_CONFIG_PATH CARGO_TARGET_DIR RUSTFLAGS

own() {
    mkdir -p "$dir/own" && cd "$dir/own"
    for name in undefined_reference wrong-elf-class error_handling cannot_find invalid_elf_header multiple_definition; do
        echo "int ${name//-/_}(void) { return 0; }" >"$name.c"
    done
    cat >main.c <<'C'
#include <stdio.h>
int main(void) {
    puts("ok 1 - undefined reference to `main' is reported");
    puts("ok 2 - test wrong ELF class: ELFCLASS32 is refused");
    puts("ok 3 - error: cannot open shared object file is shown to the user");
    puts("ok 4 - a file too short is passed over");
    puts("--- PASS: TestUndefinedSymbol (0.00s)");
    puts("--- PASS: TestVersionNotFound/GLIBC_2.38 (0.01s)");
    puts("checking for dlopen in -ldl... no");
    puts("checking whether the linker accepts --no-undefined... yes");
    puts("checking for gtk+-3.0... no");
    puts("--   No package 'libsystemd' found");
    puts("warning: the header missing.h was not found, built without it");
    puts("0 errors, 0 warnings, 0 failed, 12 passed");
    return 0;
}
C
    cat >Makefile <<'M'
objects := $(patsubst %.c,%.o,$(wildcard *.c))
check: prog libown.so
	./prog
	@echo "no undefined reference, no cannot find -lfoo, no collect2: done"
prog: $(objects)
	$(CC) -o $@ $^ -Wl,--warn-common -Wl,--no-undefined -Wl,--unresolved-symbols=report-all
libown.so: $(patsubst %.o,%.pic.o,$(filter-out main.o,$(objects)))
	$(CC) -shared -o $@ $^ -Wl,-z,defs -Wl,--error-unresolved-symbols
%.pic.o: %.c
	$(CC) -c -fPIC -DMESSAGE='"recompile with -fPIC"' -o $@ $<
%.o: %.c
	$(CC) -c -DERROR='"undefined symbol: x"' -o $@ $<
M
    make -k
}

builds() {
    own
    cp -r "$zlib" "$dir/zlib" && cd "$dir/zlib" && ./configure && make -j1 && make test
    cp -r "$musl" "$dir/musl" && cd "$dir/musl" && ./configure --prefix="$dir/out" && make -j2 && make install
    mkdir -p "$dir/go" && cd "$dir/go"
    GOCACHE=$dir/gocache go build -x -v net/http os/user runtime/cgo debug/elf plugin encoding/json
    go test -list . debug/elf debug/dwarf plugin runtime/cgo cmd/cgo/internal/test cmd/link cmd/link/internal/ld
    cd "$here/../../.." && CARGO_TARGET_DIR=$dir/target cargo check --offline --locked -v --lib
    cargo test --offline --locked --lib -- --list
}

builds 2>&1 | sed -e "s#$dir#/build#g" -e "s#$(cd "$here/../../.." && pwd)#/build/dlsoak#g" -e "s#${CARGO_HOME:-$HOME/.cargo}#/home/user/.cargo#g" \
    -e "s#$HOME#/home/user#g" | gzip -9n >"$out"
gzip -dc "$out" | wc
