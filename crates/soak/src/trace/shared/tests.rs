//! Tests of the table that both sides share, on memory as a worker has it.

use std::collections::HashSet;

use super::*;
use dlsoak_wire::notes::Live;
use dlsoak_wire::notes::{DEPTH, Kind, LIBRARY, LIVE, Meta};

fn live(memory: &Memory, size: u64) -> Live {
    let place = memory.place(Meta::new(Kind::Heap, 1, size), 0, &[size]).unwrap();
    Live { place, stretch: 1, size }
}

fn alive(memory: &Memory) -> i64 {
    memory.places.iter().map(|place| place.count.load(Relaxed)).sum()
}

/// A table for all that is obtained, and one for little of it.
fn tables() -> [Shared; 2] {
    [0, 1].map(|groups| {
        let shared = Shared::create(None, Libc::Glibc).unwrap();
        shared.memory().only_groups.store(groups, Relaxed);
        shared
    })
}

#[test]
fn what_is_obtained_is_known_until_it_is_given_back() {
    for shared in &tables() {
        is_known_until_given_back(shared.memory());
    }
}

fn is_known_until_given_back(memory: &Memory) {
    let (small, large) = (live(memory, 32), live(memory, 4096));
    memory.born(Kind::Heap.key(0x1000), small);
    memory.born(Kind::Heap.key(0x2000), large);
    // The same value of another kind is another resource.
    memory.born(Kind::Fd.key(0x1000), large);
    assert_eq!(alive(memory), 3);
    assert_eq!(memory.gone(Kind::Heap.key(0x1000)), Some(small));
    assert_eq!(memory.gone(Kind::Heap.key(0x1000)), None);
    let place = &memory.places[large.place as usize];
    assert_eq!((place.count.load(Relaxed), place.bytes.load(Relaxed)), (2, 8192));
    // Given back unseen, and obtained again: one, not two.
    memory.born(Kind::Fd.key(0x1000), large);
    assert_eq!(place.count.load(Relaxed), 2);
    assert_eq!(memory.lost.load(Relaxed), 0);
}

#[test]
fn half_a_table_of_addresses_finds_room_and_is_found_again() {
    for shared in &tables() {
        let memory = shared.memory();
        let value = live(memory, 32);
        let keys = || (0..LIVE as u64 / 2).map(|i| Kind::Heap.key(0x5555_0000_0000 + i * 32));
        keys().for_each(|key| memory.born(key, value));
        assert_eq!((memory.lost.load(Relaxed), alive(memory)), (0, LIVE as i64 / 2));
        assert!(keys().all(|key| memory.gone(key) == Some(value)));
        assert_eq!(alive(memory), 0);
        assert!(memory.few.iter().all(|few| few.load(Relaxed) == 0));
    }
}

#[test]
fn a_full_table_loses_and_says_so() {
    let shared = Shared::create(None, Libc::Glibc).unwrap();
    let memory = shared.memory();
    let value = live(memory, 32);
    (0..LIVE as u64 + 100).for_each(|i| memory.born(Kind::Heap.key(16 + i * 16), value));
    let (lost, live) = (memory.lost.load(Relaxed), alive(memory));
    assert!(lost >= 100 && lost + live.cast_unsigned() == LIVE as u64 + 100, "{lost} {live}");
}

#[test]
fn threads_lose_nothing() {
    for shared in &tables() {
        loses_nothing(shared.memory());
    }
}

fn loses_nothing(memory: &Memory) {
    let kept: u64 = 500;
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            scope.spawn(move || {
                for round in 0..20_000_u64 {
                    let key = Kind::Heap.key((thread << 32) + round % 64 * 16 + 16);
                    let value = live(memory, 16 + round % 5 * 16);
                    memory.born(key, value);
                    assert_eq!(memory.gone(key), Some(value));
                    if round < kept {
                        memory.born(Kind::Heap.key((thread << 32) + (1 << 20) + round * 16), value);
                    }
                    memory.mapped((thread << 32) + 4096, Live { size: 8192, ..value });
                    assert!(memory.unmapped((thread << 32) + 4096, 8192).is_some());
                }
            });
        }
    });
    assert_eq!(alive(memory), 8 * kept.cast_signed());
    assert_eq!(memory.lost.load(Relaxed), 0);
    assert_eq!(memory.places.iter().filter(|p| p.hash.load(Relaxed) != 0).count(), 5);
}

#[test]
fn mappings_are_given_back_in_parts() {
    let shared = Shared::create(None, Libc::Glibc).unwrap();
    let memory = shared.memory();
    let value = Live { size: 16 * 4096, ..live(memory, 1) };
    let bytes = || memory.places[value.place as usize].bytes.load(Relaxed);
    memory.mapped(0x10000, value);
    // The middle, the end, the beginning.
    assert_eq!(memory.unmapped(0x14000, 4096), None);
    assert_eq!(bytes(), 15 * 4096);
    assert_eq!(memory.unmapped(0x1f000, 4096), None);
    assert_eq!(memory.unmapped(0x10000, 4096).map(|live| live.size), Some(4 * 4096));
    assert_eq!(bytes(), 13 * 4096);
    // Mapped over: what was there is gone.
    memory.mapped(0x15000, Live { size: 4096, ..value });
    assert_eq!(bytes(), 13 * 4096);
    memory.unmapped(0, 1 << 40);
    assert_eq!((bytes(), alive(memory)), (0, 0));
}

#[test]
fn places_and_files_are_known_again() {
    let shared = Shared::create(Some(Path::new("/tmp/x")), Libc::Glibc).unwrap();
    let memory = shared.memory();
    let meta = Meta::new(Kind::Heap, 3, 100);
    assert_eq!((meta.kind(), meta.phase()), (Some(Kind::Heap), 3));
    let numbers: HashSet<_> = (0..1000_u64).map(|i| memory.place(meta, 0, &[1, i]).unwrap()).collect();
    assert_eq!(numbers.len(), 1000);
    assert!((0..1000_u64).all(|i| numbers.contains(&memory.place(meta, 0, &[1, i]).unwrap())));
    let deep = [7; DEPTH + 10];
    let place = memory.place(meta, 0, &deep).unwrap();
    assert_eq!(memory.places[place as usize].depth.load(Relaxed) as usize, DEPTH);
    assert_eq!(memory.module(b"/tmp/x/3/liba.so"), Some(LIBRARY));
    assert_eq!(memory.module(b"/tmp/x/000000000042-liba.so"), Some(LIBRARY));
    let (a, b) = (memory.module(b"/usr/lib/a.so").unwrap(), memory.module(b"/tmp/xy").unwrap());
    assert!(a != b && a < LIBRARY && memory.module(b"/usr/lib/a.so") == Some(a));
    assert_eq!(memory.module(b""), memory.module(b""));
}
