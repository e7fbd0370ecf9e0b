//! What stands below the table for soaks that were asked more: what instances cost that stay, and how calling patterns
//! compare.

use dlsoak_record::{
    InstanceCost, Instances, Member, Metric, Mode, Order, Outcome, OutcomeKind, Pattern, Soak, UnloadState,
};

use super::super::{units, words};
use super::wrap;

/// The cost of an instance, in a sentence.
pub(in super::super) fn instances(mode: Mode, instances: &Instances) -> String {
    let what = match mode {
        Mode::Namespace => "namespaces",
        Mode::Reopen | Mode::Copies => "copies",
    };
    let cost = |cost: &InstanceCost| {
        let (amount, name) = (cost.per_instance, cost.metric.name());
        match cost.metric {
            Metric::Mappings | Metric::Threads | Metric::Fds => format!("{} {name}", units::number(amount)),
            _ => format!("{} of {name}", units::bytes(amount)),
        }
    };
    let costs: Vec<String> =
        instances.cost.iter().filter(|cost| cost.per_instance.abs() >= 0.01).map(cost).collect();
    format!("{} {what} stay; each costs {}", units::count(instances.live), costs.join(", "))
}

/// What became of several libraries in one process, in a sentence.
pub(in super::super) fn together(soak: &Soak) -> String {
    let order = match soak.asked.order.unwrap_or_default() {
        Order::Given => "in the given order".to_owned(),
        shuffle @ Order::Shuffle { .. } => format!("in another order in each cycle ({shuffle})"),
    };
    let stays = |member: &&Member| member.state == UnloadState::Pinned;
    let left: Vec<&str> = soak.together.iter().filter(stays).map(Member::name).collect();
    let state = match (soak.outcome.kind, left.as_slice()) {
        (OutcomeKind::Completed | OutcomeKind::Interrupted, []) => "; all are unloaded".to_owned(),
        (_, []) => String::new(),
        (_, [one]) => format!("; {one} stays"),
        (_, several) => format!("; {} stay", words::listed(several)),
    };
    units::printable(&format!("{} libraries in one process, {order}{state}", soak.together.len()))
}

/// One line for each calling pattern, in columns.
pub(super) fn patterns(soak: &Soak) -> String {
    let mut out = format!("{}, by the thread that calls:\n", units::printable(&soak.name));
    let header =
        ["called from", "cycles", "end", "unload", "loads/cycle", "heap B/cycle", "cycle p50", "verdict"];
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(soak.judged.patterns.iter().map(line));
    let widths: Vec<usize> = (0..header.len())
        .map(|column| lines.iter().map(|line| units::columns(&line[column])).max().unwrap_or(0))
        .collect();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    out
}

fn line(pattern: &Pattern) -> [String; 8] {
    let unknown = || "-".to_owned();
    [
        pattern.call_from.to_string(),
        units::count(pattern.cycles),
        pattern.end.to_string(),
        pattern.state.to_string(),
        units::number(pattern.loads_per_cycle),
        pattern.heap_per_cycle.map_or_else(unknown, units::number),
        pattern.cycle_p50_ns.map_or_else(unknown, |p50| units::nanos(p50 as f64)),
        pattern.verdict.to_string(),
    ]
}

/// Lines of the first stack that are shown where no more are asked for.
const STACK_LINES: usize = 14;

/// Whether a soak came to an end that its library brought about.
pub(super) fn ended(kind: OutcomeKind) -> bool {
    !matches!(kind, OutcomeKind::Completed | OutcomeKind::Interrupted)
}

/// The fault and the stacks; only the first stack where not all are asked for.
pub(super) fn end(out: &mut String, outcome: &Outcome, width: u16, verbose: bool) {
    if let Some(fault) = &outcome.fault {
        let access = words::access_word(fault.access);
        let address = fault.address.as_deref().unwrap_or("an unknown address");
        let place = fault.place.as_ref().map(|place| format!(" ({})", words::at_address(place)));
        let place = place.unwrap_or_default();
        let text = format!("{access} at {address}{place}, instruction at {}", fault.instruction);
        wrap(out, "  fault: ", "    ", &text, width);
    }
    let stacks = words::stacks(outcome);
    let (shown, lines) = if verbose { (stacks.len(), usize::MAX) } else { (1, STACK_LINES) };
    let mut left_out = 0;
    for stack in stacks.iter().take(shown) {
        for line in stack.iter().take(lines) {
            out.push_str(&format!("      {}\n", units::printable(line)));
        }
        left_out += stack.len().saturating_sub(lines);
    }
    let threads = stacks.len().saturating_sub(shown);
    if left_out + threads > 0 {
        let frames = if left_out > 0 { format!("{left_out} frames more") } else { String::new() };
        let others = if threads > 0 { format!("{threads} threads more") } else { String::new() };
        let both: Vec<String> = [frames, others].into_iter().filter(|part| !part.is_empty()).collect();
        out.push_str(&format!("      ({} in record.json, or with -v)\n", both.join(" and ")));
    }
}
