//! Pure: computes figures per cycle from the blocks that a short and a long run of an instrument leave, and finds the stack that
//! requested most of them.

use std::collections::BTreeMap;

use dlsoak_agent::bare;

use super::Leaked;
use super::workspace::LOOP;
use crate::record::verification::{Chunks, Figure, Frame, Quantity};
use crate::record::{Trend, Unit};
use crate::sys::glibc;

/// Frames of a stack that are shown.
const FRAMES: usize = 4;
/// Fewer blocks than this may be one-time, so they prove nothing.
const FEW_BLOCKS: i64 = 4;

/// Blocks of one stack that the long run has beyond the short one: bytes, number, and bytes with headers (see [`in_chunks`]).
#[derive(Debug, Clone, Copy, Default)]
struct More {
    bytes: i64,
    blocks: i64,
    chunks: [i64; 3],
}

impl More {
    fn add(&mut self, sign: i64, leak: &Leaked, page: u64) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.bytes += sign * whole(leak.bytes);
        self.blocks += sign * whole(leak.blocks);
        for (sum, bytes) in self.chunks.iter_mut().zip(in_chunks(leak, page)) {
            *sum += sign * bytes;
        }
    }
}

/// What the long run has beyond the short one, by stack, without addresses and without the allocator's frames.
fn more(short: &[Leaked], long: &[Leaked]) -> BTreeMap<Vec<Frame>, More> {
    let page = procfs::page_size();
    let mut more: BTreeMap<Vec<Frame>, More> = BTreeMap::new();
    for (leaks, sign) in [(short, -1), (long, 1)] {
        for leak in leaks.iter().filter(|leak| !leak.stack.iter().any(is_control)) {
            let outside = leak.stack.iter().position(|frame| !is_allocator(frame)).unwrap_or(0);
            let frames = leak.stack.iter().skip(outside).cloned().collect();
            more.entry(frames).or_default().add(sign, leak, page);
        }
    }
    more
}

/// Growth of blocks from the short run to the long one. If the blocks of some stacks grow in number, only those count, because
/// cycles do not cause what else differs between two runs (one more thread, a longer name).
pub(super) fn blocks(quantity: Quantity, short: &[Leaked], long: &[Leaked], cycles: u64) -> Figure {
    let per_cycle = |amount: i64| amount as f64 / cycles.max(1) as f64;
    let more = more(short, long);
    let steady = more.values().any(|more| more.blocks >= FEW_BLOCKS && more.bytes > 0);
    let counted = more.values().filter(|more| !steady || more.blocks.abs() >= FEW_BLOCKS);
    let mut sum = More::default();
    for one in counted {
        sum.bytes += one.bytes;
        sum.blocks += one.blocks;
        for (sum, bytes) in sum.chunks.iter_mut().zip(one.chunks) {
            *sum += bytes;
        }
    }
    let trend = match (sum.bytes, sum.blocks) {
        (..=0, ..=0) => Trend::Flat,
        (1.., FEW_BLOCKS..) => Trend::Growing,
        _ => Trend::Unclear,
    };
    let [likely, least, most] = sum.chunks.map(per_cycle);
    Figure {
        quantity,
        unit: Unit::Bytes,
        per_cycle: per_cycle(sum.bytes),
        low: per_cycle(sum.bytes),
        high: per_cycle(sum.bytes),
        trend,
        detectable: per_cycle(FEW_BLOCKS),
        blocks_per_cycle: Some(per_cycle(sum.blocks)),
        chunks: Some(Chunks { likely, least, most }),
    }
}

/// Bytes that malloc reserves for the blocks of a record: if all have one size, at least, at most. For one block, all three are the same.
fn in_chunks(leak: &Leaked, page: u64) -> [i64; 3] {
    let size = leak.bytes.checked_div(leak.blocks).unwrap_or(0);
    let likely = glibc::chunk_size(size, page).saturating_mul(leak.blocks);
    let (least, most) =
        if leak.blocks == 1 { (likely, likely) } else { glibc::chunk_bounds(leak.bytes, leak.blocks, page) };
    [likely, least, most].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The stack that requested most of what grows.
pub(super) fn top(short: &[Leaked], long: &[Leaked]) -> Vec<Frame> {
    let grown = more(short, long).into_iter().filter(|(_, more)| more.bytes > 0 && more.blocks >= FEW_BLOCKS);
    let most = grown.max_by_key(|(_, more)| more.bytes);
    let stack = most.map(|(stack, _)| stack).unwrap_or_default();
    stack.into_iter().take_while(|frame| !is_loop(frame)).take(FRAMES).collect()
}

/// Frames of the loop, which are left out because the loop always calls the library.
fn is_loop(frame: &Frame) -> bool {
    frame.object.as_deref().is_some_and(|object| object.rsplit('/').next() == Some(LOOP))
        || frame.function.as_deref().is_some_and(|name| name.starts_with("dlsoak_loop"))
}

/// The function of the loop that leaks on purpose, outside the cycles.
fn is_control(frame: &Frame) -> bool {
    frame.function.as_deref() == Some(bare::CONTROLS_FUNCTION)
}

/// Functions of the instruments that replace malloc.
fn is_allocator(frame: &Frame) -> bool {
    let object = frame.object.as_deref().unwrap_or_default();
    let file = frame.file.as_deref().unwrap_or_default();
    let function = frame.function.as_deref().unwrap_or_default();
    object.contains("vgpreload_")
        || object.contains("liblsan")
        || file.contains("lsan_interceptors")
        || file.contains("vg_replace_malloc")
        || function.starts_with("__interceptor_")
}
