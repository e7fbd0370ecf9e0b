//! What malloc has from the kernel and nobody uses. It is reported and never judged: free memory is no leak, however much of it there is.

use dlsoak_record::{Column, HeldFree, Measured, Metric};

/// Growth that is worth a line: this many bytes, and this part of the heap. The end of malloc's arena, up to 132 KiB of it, comes and goes
/// with each load, so the least of each half is compared: that moved by 36 KiB at most in libraries whose heap does not fragment. The arena
/// of a thread that starts late adds 132 KiB, as in Go.
const MATERIAL: u64 = 256 * 1024;
const MATERIAL_SHARE: f64 = 0.1;

/// What malloc holds free, where that has grown; `None` where it has not, or is not known.
pub(super) fn held(soak: &Measured) -> Option<HeldFree> {
    let points = &soak.checkpoints;
    let [cycle, malloc, heap] =
        [Column::Cycle, Column::Malloc, Column::Metric(Metric::Heap)].map(|column| points.position(column));
    let (cycle, malloc, heap) = (cycle?, malloc?, heap?);
    let at = |row: &Vec<i64>| {
        let (malloc, heap) = (*row.get(malloc)?, *row.get(heap)?);
        // Blocks that are mapped alone are counted with the rest of their pages on one side only.
        Some((*row.get(cycle)?, u64::try_from(malloc.saturating_sub(heap)).unwrap_or(0), heap))
    };
    let rows: Vec<(i64, u64, i64)> = points.rows.iter().filter_map(at).collect();
    let (last, end, heap) = *rows.last()?;
    let middle = rows.partition_point(|(cycle, ..)| *cycle <= last / 2);
    let (before, after) = rows.split_at(middle);
    let least = |rows: &[(i64, u64, i64)]| rows.iter().map(|(_, free, _)| *free).min();
    let held =
        HeldFree { halfway: before.last()?.1, end, least_before: least(before)?, least_after: least(after)? };
    let material = MATERIAL.max((heap.max(0) as f64 * MATERIAL_SHARE) as u64);
    (held.least_after > held.least_before.saturating_add(material)).then_some(held)
}

#[cfg(test)]
mod tests {
    use dlsoak_record::Checkpoints;

    use super::*;

    /// Nine checkpoints of a heap of 100 kB with this much free.
    fn with(free: [i64; 9]) -> Measured {
        let columns = vec![Column::Cycle, Column::Metric(Metric::Heap), Column::Malloc];
        let row = |(at, free): (i64, i64)| vec![1_000 * at, 100_000, 100_000 + free];
        let rows = (0..).zip(free).map(row).collect();
        Measured {
            checkpoints: Checkpoints { columns, rows, before_first_open: None },
            ..Measured::default()
        }
    }

    #[test]
    fn what_fragments_is_reported_and_the_end_of_the_arena_is_not() {
        let grows = with([0, 1, 2, 3, 4, 5, 6, 7, 8].map(|k| 60_000 * k));
        let expected = HeldFree { halfway: 240_000, end: 480_000, least_before: 0, least_after: 300_000 };
        assert_eq!(held(&grows), Some(expected));
        let comes_and_goes =
            with([2_864, 135_000, 3_000, 130_000, 40_000, 135_000, 39_792, 120_000, 130_000]);
        assert_eq!(held(&comes_and_goes), None);
        let one_arena = with([0, 0, 0, 0, 0, 135_168, 135_168, 135_168, 135_168].map(|k| 805_456 + k));
        assert_eq!(held(&one_arena), None);
        // Of a large heap, a little.
        let mut large = with([0, 1, 2, 3, 4, 5, 6, 7, 8].map(|k| 60_000 * k));
        for row in &mut large.checkpoints.rows {
            row[1] += 10_000_000;
            row[2] += 10_000_000;
        }
        assert_eq!(held(&large), None);
        // More in use than malloc has from the kernel, and nothing known.
        assert_eq!(held(&with([-4_096; 9])), None);
        assert_eq!(held(&Measured::default()), None);
    }
}
