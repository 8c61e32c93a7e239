//! Words beside points, none upon another.

use super::svg::Anchor;
use super::text;

/// Left, top, right and bottom, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Room {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Room {
    pub(super) fn around((x, y): (f64, f64), half: f64) -> Self {
        Self { left: x - half, top: y - half, right: x + half, bottom: y + half }
    }

    fn meets(&self, other: &Self) -> bool {
        let apart = self.right <= other.left || other.right <= self.left;
        !(apart || self.bottom <= other.top || other.bottom <= self.top)
    }

    fn holds(&self, other: &Self) -> bool {
        let across = self.left <= other.left && other.right <= self.right;
        across && self.top <= other.top && other.bottom <= self.bottom
    }
}

/// Where a label stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    /// Where its base line is held.
    pub(super) at: (f64, f64),
    /// The part that is held: the one next to the point, so that a wider font grows away from it.
    pub(super) anchor: Anchor,
    /// The end of a line from its point, where it stands too far off to be its own.
    pub(super) leader: Option<(f64, f64)>,
}

/// Finds room for labels, one after the other.
#[derive(Debug)]
pub(super) struct Placer {
    within: Room,
    taken: Vec<Room>,
}

/// Directions in the order of liking: right, left, up, down, then the corners.
const DIRECTIONS: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)];

/// Distances from the point, near ones first.
const DISTANCES: [f64; 8] = [8.0, 14.0, 21.0, 30.0, 41.0, 54.0, 70.0, 90.0];

impl Placer {
    pub(super) fn new(within: Room) -> Self {
        Self { within, taken: Vec::new() }
    }

    /// Keeps a room free of labels.
    pub(super) fn take(&mut self, room: Room) {
        self.taken.push(room);
    }

    /// A place for a label near a point; `None` if there is none in reach.
    pub(super) fn place(&mut self, point: (f64, f64), label: &str, size: f64) -> Option<Placed> {
        let candidates = DISTANCES.into_iter().flat_map(|distance| DIRECTIONS.map(|way| (distance, way)));
        let (width, height) = (text::width(label, size), size * 1.15);
        for (distance, way) in candidates {
            let room = beside(point, (way.0 * distance, way.1 * distance), width, height);
            if self.within.holds(&room) && !self.taken.iter().any(|taken| taken.meets(&room)) {
                self.take(room);
                let leader = (distance > 15.0).then(|| nearest(&room, point));
                let (x, anchor) = held(&room, way.0);
                return Some(Placed { at: (x, room.bottom - 0.25 * size), anchor, leader });
            }
        }
        None
    }
}

/// The room of a text that begins, ends or is centred at an offset from the point.
fn beside((x, y): (f64, f64), (dx, dy): (f64, f64), width: f64, height: f64) -> Room {
    let left = match dx {
        dx if dx > 0.0 => x + dx,
        dx if dx < 0.0 => x + dx - width,
        _ => x - width / 2.0,
    };
    let top = match dy {
        dy if dy > 0.0 => y + dy,
        dy if dy < 0.0 => y + dy - height,
        _ => y - height / 2.0,
    };
    Room { left, top, right: left + width, bottom: top + height }
}

fn held(room: &Room, direction: f64) -> (f64, Anchor) {
    match direction {
        dx if dx > 0.0 => (room.left, Anchor::Start),
        dx if dx < 0.0 => (room.right, Anchor::End),
        _ => ((room.left + room.right) / 2.0, Anchor::Middle),
    }
}

fn nearest(room: &Room, (x, y): (f64, f64)) -> (f64, f64) {
    (x.clamp(room.left, room.right), y.clamp(room.top, room.bottom))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placer() -> Placer {
        Placer::new(Room { left: 0.0, top: 0.0, right: 300.0, bottom: 200.0 })
    }

    #[test]
    fn a_lone_label_stands_at_the_right() {
        let placed = placer().place((50.0, 50.0), "label", 10.0).unwrap();
        assert!(placed.at.0 == 58.0 && placed.leader.is_none());
    }

    #[test]
    fn a_label_at_the_edge_turns_inward() {
        let placed = placer().place((295.0, 50.0), "label", 10.0).unwrap();
        assert!(placed.at.0 < 290.0 && placed.anchor == Anchor::End);
    }

    #[test]
    fn labels_of_one_point_do_not_meet() {
        let mut placer = placer();
        for _ in 0..20 {
            placer.place((150.0, 100.0), "a label", 10.0).unwrap();
        }
        let rooms = &placer.taken;
        let meets = |i: usize| rooms[..i].iter().any(|room| room.meets(&rooms[i]));
        assert!((0..rooms.len()).all(|i| !meets(i)));
    }

    #[test]
    fn where_there_is_no_room_there_is_no_label() {
        assert_eq!(placer().place((150.0, 100.0), &"long ".repeat(99), 10.0), None);
    }
}
