//! The names beside a plot. They are kept apart: moved along one axis no further than they must, in their order.

use plotters::style::RGBColor;

use super::super::Error;
use super::canvas::{Anchor, Canvas, Frame, LABEL};
use super::palette::{Shape, faint};

/// Between two names.
pub(super) const GAP: f64 = 16.5;
/// Room for the line that leads to a name.
pub(super) const LEADER: f64 = 34.0;

/// The name of a line.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) color: RGBColor,
    pub(super) shape: Option<Shape>,
    /// Where its line ends.
    pub(super) end: (f64, f64),
}

/// Draws names at the right of a plot, each led to from the end of its line, and nothing in the last `free` pixels. Returns how far down they
/// reach.
pub(super) fn draw(canvas: &Canvas<'_>, frame: &Frame, names: &[Name], free: f64) -> Result<f64, Error> {
    let wanted: Vec<f64> = names.iter().map(|name| name.end.1).collect();
    let places = spread(&wanted, GAP, frame.top + 6.0, frame.bottom - 2.0 - free);
    let column = frame.right + LEADER;
    for (Name { text, color, shape, end }, y) in names.iter().zip(&places) {
        let path = [*end, (frame.right + 3.0, end.1), (column - 16.0, *y), (column - 10.0, *y)];
        canvas.line(&path, faint(*color, 0.55), 1.0)?;
        if let Some(shape) = shape {
            canvas.marker((column - 8.5, *y), *shape, 4.0, *color)?;
        }
        canvas.text(text, (column, y + 4.5), Anchor::Start, LABEL)?;
    }
    Ok(places.into_iter().fold(0.0, f64::max))
}

/// Places for labels that would like to be at `wanted`, at least `gap` apart and, where there is room, between
/// `low` and `high`. The result is in the order given.
fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    // Groups of labels that touch, each placed around the mean of what its members want.
    struct Group {
        sum: f64,
        members: Vec<usize>,
    }
    impl Group {
        fn start(&self, gap: f64, low: f64, high: f64) -> f64 {
            let n = self.members.len() as f64;
            let centred = self.sum / n - gap * (n - 1.0) / 2.0;
            centred.min(high - gap * (n - 1.0)).max(low)
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for index in order {
        let mut group = Group { sum: wanted[index], members: vec![index] };
        while let Some(above) = groups.last() {
            let end = above.start(gap, low, high) + gap * above.members.len() as f64;
            if end <= group.start(gap, low, high) + 1e-9 {
                break;
            }
            let Some(mut merged) = groups.pop() else { break };
            merged.sum += group.sum;
            merged.members.append(&mut group.members);
            group = merged;
        }
        groups.push(group);
    }
    let mut places = vec![0.0; wanted.len()];
    for group in &groups {
        let start = group.start(gap, low, high);
        for (i, &member) in group.members.iter().enumerate() {
            places[member] = start + gap * i as f64;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_room_stay_where_they_are() {
        assert_eq!(spread(&[10.0, 50.0, 30.0], 15.0, 0.0, 100.0), [10.0, 50.0, 30.0]);
    }

    #[test]
    fn labels_that_touch_are_moved_apart_around_their_middle() {
        assert_eq!(spread(&[50.0, 50.0, 50.0], 10.0, 0.0, 100.0), [40.0, 50.0, 60.0]);
        assert_eq!(spread(&[0.0, 0.0], 10.0, 0.0, 100.0), [0.0, 10.0]);
        assert_eq!(spread(&[100.0, 100.0], 10.0, 0.0, 100.0), [90.0, 100.0]);
    }

    #[test]
    fn any_labels_keep_their_gap() {
        let wanted: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 23)).collect();
        let mut places = spread(&wanted, 9.0, 0.0, 400.0);
        places.sort_by(f64::total_cmp);
        assert!(places.windows(2).all(|w| w[1] - w[0] > 8.99), "{places:?}");
        assert!(spread(&[], 1.0, 0.0, 1.0).is_empty());
    }
}
