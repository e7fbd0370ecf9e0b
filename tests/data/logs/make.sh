#!/bin/bash
# Makes the failing logs of this directory: real runs of real tools on a few lines of source that are wrong in one way each.
#
#   tests/data/logs/make.sh [DIRECTORY]      writes them to DIRECTORY, else beside itself
#
# Needs gcc, gcc -m32 (libc6-dev-i386), aarch64-linux-gnu-gcc, musl-gcc, clang, ld.gold, ld.lld, mold, go, rustc, cargo,
# pkg-config, make and python3. What differs from one machine to the next is replaced: the directory by /build, the home by
# /home/user. A tool of another version words some lines otherwise; the committed files are of gcc 12.2, binutils 2.40,
# clang and lld 14, mold 1.10, Go 1.26, rustc 1.95, glibc 2.36.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-$here}" && cd "${1:-$here}" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export LC_ALL=C.UTF-8 GOCACHE=$dir/gocache GOFLAGS=-mod=mod GOTOOLCHAIN=local GO111MODULE=on CARGO_TERM_COLOR=never
unset PKG_CONFIG_PATH CARGO_TARGET_DIR RUSTFLAGS

# Runs a command as a build would, echoing it, and goes on when it fails. `bash -c`, so that what the shell says is there too.
step() {
    echo "+ $*"
    bash -c "$*"
    local code=$?
    [ $code = 0 ] || echo "exit status $code"
}

# Keeps what a group of steps says, without this machine's own paths.
keep() {
    local name=$1
    shift
    "$@" 2>&1 | sed -e "s#$dir#/build#g" -e "s#$HOME#/home/user#g" -e 's#/build/gocache#/home/user/.cache/go-build#g' \
        -e 's#/tmp/\(cc\|go-build\|rustc\)[A-Za-z0-9]*#/tmp/\1XXXXXX#g' -e 's#rustc-[A-Za-z0-9]*/#rustc-XXXXXX/#g' \
        -e 's#/tmp/[a-z]*-[0-9a-f]\{6\}\.o#/tmp/clang-XXXXXX.o#g' -e 's#go-link-[0-9]*#go-link-XXXXXX#g' \
        -e 's#/build/rustc[A-Za-z0-9]*/#/build/rustcXXXXXX/#g' -e "s#(\([0-9]*\)) panicked#(1) panicked#" \
        -e 's#build-id=0x[0-9a-f]*#build-id=0x0#' >"$out/$name.log"
}

sources() {
    cat >undefined.c <<'C'
#include <math.h>
#include <stdio.h>
int absent(int);
int main(int n, char **a) { printf("%f %d\n", cos(n + 0.5), absent(n)); return 0; }
C
    echo 'int twice(int n) { return 2 * n; }' >one.c
    echo 'int twice(int n) { return n + n; } int main(void) { return twice(1); }' >two.c
    echo 'int counter; int next(void) { return ++counter; }' >data.c
    echo 'int counter; __thread int each; int next(void) { return ++counter + ++each; }' >nopic.c
    echo '#include <missing/nothing.h>' >header.c
    echo '__attribute__((visibility("hidden"))) int secret(void) { return 1; }' >hidden.c
    echo 'int secret(void); int main(void) { return secret(); }' >asks.c
    echo '#include <zlib.h>
int main(void) { return 0; }' >zlib.c
    echo 'double cos(double); double twice(double x) { return cos(x); }' >indirect.c
    echo 'double cos(double); double twice(double); int main(int n, char **a) { return (int)(twice(n) + cos(n)); }' >direct.c
    echo '#include <vector>
int main() { std::vector<int> v; v.push_back(1); throw v; }' >cpp.cc
    printf 'all: prog\nprog: undefined.c\n\tgcc -o prog undefined.c\n' >Makefile
    cat >opens.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
int main(int n, char **a) {
    for (int i = 1; i < n; i++) {
        void *h = dlopen(a[i], RTLD_NOW);
        if (!h) { printf("dlopen failed: %s\n", dlerror()); continue; }
        if (!dlsym(h, "plugin_init")) printf("dlsym failed: %s\n", dlerror());
    }
    return 0;
}
C
    echo '__thread char big[65536] __attribute__((tls_model("initial-exec"))); char *at(void) { return big; }' >tls.c
}

bfd() {
    step gcc --version '|' head -1
    step gcc -o prog undefined.c
    step gcc -o prog asks.c -lnothere -lalsonot
    step gcc -c one.c two.c
    step gcc -o prog one.o two.o
    step gcc -fno-pic -mcmodel=small -c nopic.c
    step gcc -shared -o libnopic.so nopic.o
    step gcc -fno-pic -c data.c
    step gcc -shared -o libdata.so data.o
    step gcc -c hidden.c asks.c
    echo 'int secret(void); int calls(void) { return secret(); }' >calls.c
    echo 'int calls(void); int secret(void); int main(void) { return calls() + secret(); }' >plain.c
    step gcc -shared -fPIC -o libcalls.so calls.c
    step gcc -o prog plain.c hidden.o libcalls.so
    echo '__attribute__((visibility("hidden"))) int secret(void); int main(void) { return secret(); }' >hides.c
    step gcc -o prog hides.c
    step gcc -shared -o libhidden.so -fPIC hidden.c
    step gcc -o prog asks.o libhidden.so
    step gcc -c header.c
    step gcc -shared -fPIC -o libindirect.so indirect.c -lm
    step gcc -c direct.c
    step gcc -o prog direct.o -L. -lindirect -Wl,--no-copy-dt-needed-entries
    step aarch64-linux-gnu-gcc -c -o foreign.o one.c
    step gcc -o prog two.o foreign.o
    step gcc -m32 -shared -fPIC -nostdlib -o lib32.so one.c
    step gcc -o prog asks.c -L. -l32
    step gcc -o prog cpp.cc
    step gcc -o prog -Wl,--version-script=/build/none.map -shared -fPIC one.c
    echo 'not an object' >text.o
    step gcc -o prog two.o text.o
    step gcc -o prog two.c -fuse-ld=nolinker
    step make
}

gold() {
    step ld.gold --version '|' head -1
    step gcc -fuse-ld=gold -o prog undefined.c
    step gcc -fuse-ld=gold -o prog asks.c -lnothere
    step gcc -fuse-ld=gold -o prog one.o two.o
    step gcc -fuse-ld=gold -shared -o libnopic.so nopic.o
    step gcc -fuse-ld=gold -o prog asks.o libhidden.so
    step gcc -fuse-ld=gold -o prog two.o foreign.o
}

lld() {
    step clang --version '|' head -1
    step clang -fuse-ld=lld -o prog undefined.c
    step clang -fuse-ld=lld -o prog asks.c -lnothere
    step clang -fuse-ld=lld -o prog one.o two.o
    step clang -fuse-ld=lld -shared -o libnopic.so nopic.o
    step clang -fuse-ld=lld -o prog asks.o libhidden.so
    step clang -fuse-ld=lld -o prog two.o foreign.o
    step clang -c header.c
    step clang -fuse-ld=none -o prog two.c
    step clang -fuse-ld=lld -o prog two.o text.o
}

mold() {
    step mold --version
    step ld.mold -o prog undefined.o one.o
    step gcc -B/usr/libexec/mold -o prog undefined.c
    step gcc -B/usr/libexec/mold -o prog asks.c -lnothere
    step gcc -B/usr/libexec/mold -o prog one.o two.o
    step gcc -B/usr/libexec/mold -shared -o libnopic.so nopic.o
    step gcc -B/usr/libexec/mold -o prog two.o foreign.o
}

go_package() {
    mkdir -p "go/$1"
    printf 'module example.com/%s\n\ngo 1.21\n' "$1" >"go/$1/go.mod"
    cat >"go/$1/main.go"
}

go_tools() {
    go_package kind <<'GO'
package main

// #include <stdlib.h>
import "C"

func main() { C.no_such_function(1); var x C.no_such_type; _ = x }
GO
    go_package undefined <<'GO'
package main

// int absent(int);
// #cgo LDFLAGS: -lnothere
import "C"

func main() { C.absent(1) }
GO
    go_package link <<'GO'
package main

// int absent(int);
import "C"

func main() { C.absent(1) }
GO
    go_package header <<'GO'
package main

// #include <missing/nothing.h>
import "C"

func main() { C.absent(1) }
GO
    go_package pkgconfig <<'GO'
package main

// #cgo pkg-config: nothere
import "C"

func main() {}
GO
    go_package pointer <<'GO'
package main

// struct box { void *inside; };
// static void take(struct box *b) {}
import "C"
import "unsafe"

func main() { n := new(int); C.take(&C.struct_box{unsafe.Pointer(n)}) ; b := &C.struct_box{inside: unsafe.Pointer(new(int))}; C.take(b) }
GO
    go_package onlycgo <<'GO'
package main

import "example.com/onlycgo/inner"

func main() { inner.F() }
GO
    mkdir -p go/onlycgo/inner
    printf 'package inner\n\nimport "C"\n\nfunc F() {}\n' >go/onlycgo/inner/inner.go
    go_package flags <<'GO'
package main

// #cgo CFLAGS: -fplugin=evil.so
import "C"

func main() {}
GO
    go_package library <<'GO'
package main

import "C"

//export Twice
func Twice(n int) int { return 2 * n }

func main() {}
GO
    step go version
    for name in kind undefined link header pkgconfig flags; do step "cd go/$name && go build -o prog ."; done
    step "cd go/pointer && go build -o prog . && ./prog"
    step "cd go/library && CC=no-such-gcc go build -buildmode=c-shared -o liblibrary.so ."
    step "cd go/library && CGO_ENABLED=0 go build -buildmode=c-shared -o liblibrary.so ."
    step "cd go/onlycgo && CGO_ENABLED=0 go build -o prog ."
    step "cd go/library && CGO_ENABLED=1 GOARCH=arm64 go build -buildmode=c-shared -o liblibrary.so ."
    step "cd go/library && GOARCH=arm64 go build -buildmode=c-shared -o liblibrary.so ."
    step "cd go/library && go build -buildmode=plugin -o p.so -ldflags=-linkmode=internal ."
    mkdir -p goroot
    step "cd go/library && GOROOT=$dir/goroot go build ."
}

rust() {
    cat >link.rs <<'RS'
unsafe extern "C" { fn absent(n: i32) -> i32; }
fn main() { println!("{}", unsafe { absent(1) }); }
RS
    cat >library.rs <<'RS'
#[link(name = "nothere")]
unsafe extern "C" { fn absent(n: i32) -> i32; }
#[unsafe(no_mangle)]
pub extern "C" fn twice(n: i32) -> i32 { unsafe { absent(2 * n) } }
RS
    echo 'fn main() {}' >plain.rs
    step rustc --version
    step rustc --edition 2024 link.rs
    step rustc --edition 2024 --crate-type cdylib library.rs
    step rustc -C linker=no-such-cc plain.rs
    step rustc --target riscv64gc-unknown-linux-gnu plain.rs
    step rustc --target x86_64-unknown-linux-musl --crate-type cdylib library.rs
    step rustc --target no-such-target plain.rs
    step "rustc --target aarch64-unknown-linux-gnu plain.rs 2>&1 | grep -v '\.rlib('"
    mkdir -p crate/src
    printf '[package]\nname = "sys"\nversion = "0.1.0"\nedition = "2021"\nbuild = "build.rs"\n' >crate/Cargo.toml
    echo 'fn main() { let out = std::process::Command::new("pkg-config").args(["--libs", "--cflags", "nothere"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr)); }' >crate/build.rs
    echo 'pub fn f() {}' >crate/src/lib.rs
    step "cd crate && cargo build --offline"
}

loader() {
    step gcc -o opens opens.c
    step gcc -shared -fPIC -o libplugin.so one.c
    step gcc -shared -fPIC -o libtls.so tls.c
    step gcc -shared -fPIC -o libneeds.so asks.c
    step gcc -shared -fPIC -o libhelper.so one.c
    step gcc -shared -fPIC -Wl,--no-as-needed -o libwants.so asks.c -L. -lhelper
    rm libhelper.so
    printf '' >libempty.so
    echo '/* GNU ld script, such as a -dev package has in the place of a library */ INPUT(-lplugin)' >libscript.so
    head -c 20 libplugin.so >libshort.so
    aarch64-linux-gnu-gcc -shared -fPIC -nostdlib -o libarm.so one.c
    gcc -pie -o pie two.c
    # A version that no glibc has: the name in the file, and its hash in .gnu.version_r, which the loader compares first.
    gcc -shared -fPIC -o libnewer.so undefined.c
    python3 - <<'PY'
import struct
def h(s):
    v = 0
    for c in s.encode():
        v = (v << 4) + c
        g = v & 0xf0000000
        v = (v ^ (g >> 24)) & ~g & 0xffffffff
    return v
d = open("libnewer.so", "rb").read()
d = d.replace(b"GLIBC_2.2.5", b"GLIBC_2.988").replace(struct.pack("<I", h("GLIBC_2.2.5")), struct.pack("<I", h("GLIBC_2.988")))
open("libnewer.so", "wb").write(d)
PY
    step ./opens ./libnothere.so ./libplugin.so ./libtls.so ./libneeds.so ./libwants.so ./libempty.so ./libscript.so ./libshort.so \
        ./lib32.so ./libarm.so ./pie ./libnewer.so
    echo 'int secret(void) { return 3; }' >secret.c
    gcc -shared -fPIC -o libsecret.so secret.c
    gcc -o user asks.c -L. -lsecret -Wl,-rpath,.
    gcc -shared -fPIC -o libsecret.so one.c
    step ./user
    rm libsecret.so
    step ./user
    cp lib32.so libsecret.so
    step LD_LIBRARY_PATH=. ./user
    step LD_PRELOAD=./libnothere.so /bin/true
    aarch64-linux-gnu-gcc -o armprog two.c
    # By path and without a loader for it: what the shell says.
    step ./armprog
    step "python3 -c 'import os; os.execv(\"./armprog\", [\"./armprog\"])' 2>&1 | tail -1"
    step "python3 -c 'import ctypes; ctypes.CDLL(\"libnothere.so.4\")' 2>&1 | tail -1"
    step "ls nowhere; ./prog-that-is-not-there"
    gcc -o noloader two.c -Wl,--dynamic-linker=/lib/ld-none.so.1
    step ./noloader
}

musl_loader() {
    musl-gcc -o opens-musl opens.c
    step ./opens-musl ./libnothere.so ./libnewer.so ./libtls.so ./libneeds.so ./libempty.so
}

pkgconfig() {
    printf 'Name: broken\nDescription: needs another\nVersion: 1.0\nRequires: alsonot >= 2\n' >broken.pc
    step pkg-config --version
    step pkg-config --cflags --libs nothere
    step PKG_CONFIG_PATH=. pkg-config --libs broken
    step "PKG_CONFIG_PATH=. pkg-config --libs 'broken >= 3'"
    step pkg-config-that-is-not-there --libs zlib
}

sources
keep gcc-bfd bfd
keep gold gold
keep clang-lld lld
keep mold mold
keep go go_tools
keep rust rust
keep loader loader
keep musl-loader musl_loader
keep pkg-config pkgconfig
