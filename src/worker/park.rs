//! Orders, and the quiet points between them: every thread runs to its target and parks; the last one to arrive
//! writes down what only this process can see, and reports.

use std::ffi::CString;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::cycle::ThreadPlan;
use super::{allocations, exit_handlers, presence, tls_destructors, trace};
use crate::channel::{Channel, Phase, Slot, State, write_bytes};
use crate::sys::{futex, glibc, state};

/// Carries out orders on this thread until told to end. `files` are those that all threads open.
pub(super) fn serve(channel: &Channel, thread: usize, mut plan: ThreadPlan, files: &[CString]) {
    let header = channel.header();
    let Some(slot) = channel.slots().get(thread) else { return };
    let _announced = trace::Announced::new(slot);
    let ring = channel.ring(thread);
    let mut carried_out = 0;
    let mut sound = true;
    loop {
        let order = next_order(channel, carried_out);
        if header.exit.load(Acquire) != 0 {
            return;
        }
        let now = glibc::monotonic_ns();
        let _ = header.started_ns.compare_exchange(0, now, Relaxed, Relaxed);
        if sound && let Err(failure) = plan.run(slot, ring, header) {
            sound = false;
            let message = failure.to_string();
            let len = write_bytes(channel.error(thread), message.as_bytes());
            slot.error_len.store(u32::try_from(len).unwrap_or(0), Release);
            header.failed.fetch_add(1, AcqRel);
        } else if sound {
            slot.phase.store(Phase::Between as u32, Relaxed);
        }
        observe_thread(slot);
        header.beside_ns.fetch_add(plan.take_beside_ns(), Relaxed);
        let arrived = header.arrived.fetch_add(1, AcqRel) as usize + 1;
        if arrived == channel.slots().len() {
            let active = glibc::monotonic_ns().saturating_sub(header.started_ns.swap(0, Relaxed));
            // The threads work side by side, so what each spent beside its cycles is a share of the time.
            let beside = header.beside_ns.swap(0, Relaxed) / channel.slots().len() as u64;
            header.active_ns.fetch_add(active.saturating_sub(beside), Relaxed);
            observe(channel);
            presence::look(header, files);
            header.arrived.store(0, Relaxed);
            header.done.store(order, Release);
            futex::wake_all(&header.done);
        }
        carried_out = order;
    }
}

fn next_order(channel: &Channel, carried_out: u32) -> u32 {
    let word = &channel.header().order;
    loop {
        let order = word.load(Acquire);
        if order != carried_out {
            return order;
        }
        futex::wait(word, order, None);
    }
}

/// Writes what only this process can see to the channel. All other threads are parked.
fn observe(channel: &Channel) {
    let header = channel.header();
    let room = channel.objects();
    let (mut adds, mut subs, mut used, mut truncated) = (0, 0, 0, 0);
    glibc::for_each_object(&mut |object| {
        (adds, subs) = (object.adds, object.subs);
        let needed = object.name.len() + 1;
        if room.len() - used < needed {
            truncated = 1;
            return;
        }
        // Names end in NUL, as in C: no path contains one.
        used += write_bytes(&room[used..], object.name);
        used += write_bytes(&room[used..], &[0]);
    });
    header.objects_len.store(u32::try_from(used).unwrap_or(0), Relaxed);
    header.objects_truncated.store(truncated, Relaxed);
    header.adds.store(adds, Relaxed);
    header.subs.store(subs, Relaxed);
    header.allocations.store(allocations::count(), Relaxed);
    tls_destructors::write_down(&header.pending);
    let heap = glibc::heap_in_use();
    header.heap.store(heap.used, Relaxed);
    header.state.malloc_mapped.store(heap.mapped, Relaxed);
    observe_state(&header.state);
}

/// Writes the state that each thread has of its own.
fn observe_thread(slot: &Slot) {
    slot.thread.store(state::thread_id(), Relaxed);
    slot.float_control.store(state::float_control(), Relaxed);
    slot.x87_control.store(state::x87_control(), Relaxed);
    slot.locale.store(state::thread_locale(), Relaxed);
}

/// Writes the state that the process has once.
fn observe_state(to: &State) {
    for (number, signal) in to.signals.iter().enumerate() {
        let action = state::signal_action(number + 1);
        signal.handler.store(action.handler, Relaxed);
        signal.flags.store(action.flags, Relaxed);
    }
    for (timer, left) in to.interval_timers.iter().zip(state::interval_timers()) {
        timer.store(left, Relaxed);
    }
    to.keys_in_use.store(state::keys_in_use(), Relaxed);
    let places = state::places();
    to.environ.store(places.environ, Relaxed);
    to.locale.store(places.locale, Relaxed);
    to.streams.store(places.streams, Relaxed);
    for (stream, address) in to.standard_streams.iter().zip(places.standard_streams) {
        stream.store(address, Relaxed);
    }
    to.exit_handlers_count.store(exit_handlers::write_down(&to.exit_handlers), Relaxed);
    to.written.store(1, Relaxed);
}
