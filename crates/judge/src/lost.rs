//! Whether what grows on the heap is lost: nothing in the process points to it, so nobody can use it or free it, and no cache holds it,
//! however large.

use dlsoak_record::{LostGrowth, Measured, Metric, Reached, UnloadState, is_runtime};

use super::growth::{Answer, Evidence};

/// Growth is lost if nothing points to this part of it. A stale word on a stack may seem to point to the rest.
const PART: f64 = 0.9;
/// By how much the bytes of a chunk, which growth of the heap counts, exceed those of its block that may be used, at most.
const HEADER: f64 = 16.0;

/// Growth of the heap that is proven and lost.
pub(super) fn growth(soak: &Measured, evidence: &[Evidence]) -> Option<LostGrowth> {
    let lost = soak.lost.as_ref()?;
    let proven = evidence.iter().find(|e| e.growth.metric == Metric::Heap && e.answer == Answer::Leak)?;
    let cycles = lost.cycles.checked_sub(lost.from).filter(|cycles| *cycles > 0)? as f64;
    let grown = |of: fn(&Reached) -> u64| of(&lost.after).cast_signed() - of(&lost.before).cast_signed();
    let (all, lost_bytes) = (grown(|at| at.bytes) as f64, grown(|at| at.lost_bytes) as f64);
    let lost_blocks = grown(|at| at.lost_blocks);
    let most = (lost_bytes + HEADER * lost_blocks as f64) / cycles;
    // Nearly all that grew here, by the same measure, and nearly all that grew in the soak.
    let is_lost = lost_bytes / cycles > proven.bounds.leak_above
        && lost_bytes >= PART * all
        && most >= PART * proven.growth.per_cycle;
    is_lost.then(|| LostGrowth {
        cycles: lost.cycles,
        from: lost.from,
        blocks: grown(|at| at.blocks),
        lost_blocks,
        stays: stays(soak),
    })
}

/// Whether something other than what each host of C or C++ has is there when the library is gone, which may hold a cache of any size: the
/// library itself, what it brought, or what the host had before the first open. What a runtime keeps is small, so that [`super::look`] allows
/// for it by size.
pub(super) fn stays(soak: &Measured) -> bool {
    soak.unload.state != UnloadState::Unloaded
        || !soak.unload.objects_left.is_empty()
        || !soak.worker.objects.iter().all(|object| is_runtime(object))
}

#[cfg(test)]
mod tests {
    use dlsoak_record::{Code, Lost, sample};

    use super::*;
    use crate::{Look, judge, look};

    /// A soak whose heap grows by 32 B per cycle while something stays, and 64 cycles in which living blocks grew by this much.
    fn soak(blocks: u64, bytes: u64, lost_blocks: u64, lost_bytes: u64) -> Measured {
        let all = sample::run(2).soaks;
        let mut soak = all.into_iter().find(|soak| soak.name == "c-leak-constructor").unwrap().measured;
        soak.unload.objects_left = vec!["libstays.so".to_owned()];
        let before = Reached { blocks: 100, bytes: 5_000, lost_blocks: 3, lost_bytes: 200 };
        let after = Reached {
            blocks: before.blocks + blocks,
            bytes: before.bytes + bytes,
            lost_blocks: before.lost_blocks + lost_blocks,
            lost_bytes: before.lost_bytes + lost_bytes,
        };
        soak.lost = Some(Lost { cycles: 128, from: 64, before, after });
        soak
    }

    #[test]
    fn what_the_host_holds_may_hold_a_cache_and_its_c_library_only_a_small_store() {
        let of = |objects: &[&str]| {
            let mut soak = soak(64, 1024, 0, 0);
            soak.unload.objects_left.clear();
            soak.worker.objects = objects.iter().map(|object| (*object).to_owned()).collect();
            look(&soak, &soak.asked.limits(), crate::schedule::LEAK_LOOKS)
        };
        assert_eq!(of(&["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]), Look::Leak);
        assert_eq!(of(&["/lib/libstdc++.so.6", "/lib/libm.so.6", "/lib/libgcc_s.so.1"]), Look::Leak);
        assert_eq!(of(&["/lib/libc.so.6", "/opt/host/libcache.so"]), Look::LeakOrCache);
    }

    #[test]
    fn what_is_held_where_nothing_stays_may_be_a_cache_of_one_mebibyte() {
        let of = |found: Option<Lost>, bytes: f64| {
            let mut soak = Measured { lost: found, ..soak(64, 1024, 0, 0) };
            soak.unload.objects_left.clear();
            let scale = bytes / (32.0 * soak.cycles.completed as f64);
            let first = soak.checkpoints.rows[0].clone();
            for row in &mut soak.checkpoints.rows {
                let all = row.iter_mut().zip(&first).skip(1);
                all.for_each(|(now, first)| *now = first + ((*now - first) as f64 * scale) as i64);
            }
            look(&soak, &soak.asked.limits(), crate::schedule::LEAK_LOOKS)
        };
        let held = || soak(64, 1024, 0, 0).lost;
        assert_eq!(of(held(), 1e6), Look::LeakOrCache);
        assert_eq!(of(held(), 1.1e6), Look::Leak);
        // Nobody looked.
        assert_eq!(of(None, 1e6), Look::Leak);
    }

    #[test]
    fn a_leak_is_certain_once_nothing_points_to_it() {
        for (soak, decides) in [
            // Blocks of 16 B, in chunks of 32 B.
            (soak(64, 1024, 64, 1024), true),
            // Three of them are seen by a stale word.
            (soak(64, 1024, 61, 976), true),
            // All of it is held, or half, or a part that is not lost grows beside.
            (soak(64, 1024, 0, 0), false),
            (soak(64, 1024, 32, 512), false),
            (soak(128, 4096, 64, 1024), false),
            // Less is lost than the soak grows by.
            (soak(32, 512, 32, 512), false),
            (Measured { lost: None, ..soak(64, 1024, 64, 1024) }, false),
        ] {
            let limits = soak.asked.limits();
            let expected = if decides { Look::Leak } else { Look::LeakOrCache };
            assert_eq!(look(&soak, &limits, 0), expected, "{:?}", soak.lost);
            let found = judge(&soak, &limits).findings;
            assert_eq!(found.iter().any(|found| found.code == Code::Lost), decides, "{:?}", soak.lost);
        }
    }
}
