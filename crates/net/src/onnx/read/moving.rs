//! Constants in other arrangements: what operators do that move values and compute nothing.

use std::cell::Cell;

use super::constant::{Constant, Data, Int, size};
use super::wire::Reason;

/// How many values may yet be made out of constants, so that no small file asks for a large memory.
#[derive(Debug)]
pub(super) struct Room(Cell<usize>);

impl Room {
    pub(super) fn new(values: usize) -> Self {
        Self(Cell::new(values))
    }

    /// Takes room for a tensor of these dimensions; its number of values.
    pub(super) fn take(&self, dims: &[usize]) -> Result<usize, Reason> {
        let size = size(dims)?;
        match self.0.get().checked_sub(size) {
            Some(left) => self.0.set(left),
            None => return Err(format!("a shape {dims:?}, more values than the file justifies")),
        }
        Ok(size)
    }
}

/// An axis as an index; negative ones count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Reason> {
    let from_end = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = from_end.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("axis {axis} of a tensor of {rank} dimensions"))
}

/// Axes as indices, each once.
pub(super) fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, Reason> {
    let mut found = axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    if found.len() == axes.len() { Ok(found) } else { Err(format!("an axis twice in {axes:?}")) }
}

/// Steps between neighbours along each axis.
fn strides(dims: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis] as i64;
    }
    strides
}

/// A part of an axis: `count` entries from `start` on, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: usize,
    pub(super) step: i64,
    pub(super) count: usize,
}

impl Range {
    /// ONNX's rule: negative positions count from the end, and positions beyond an end are moved to it.
    pub(super) fn new(start: i64, end: i64, step: i64, dim: usize) -> Result<Self, Reason> {
        let n = i64::try_from(dim).map_err(|_| "a dimension of 2^63 or more")?;
        let from_end = |at: i64| if at < 0 { at.saturating_add(n) } else { at };
        let (start, end) = (from_end(start), from_end(end));
        let (start, length) = match step {
            0 => return Err("a step of 0".into()),
            1.. => (start.clamp(0, n), end.clamp(0, n) - start.clamp(0, n)),
            _ => (start.clamp(-1, n - 1), start.clamp(-1, n - 1) - end.clamp(-1, n - 1)),
        };
        let count = length.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize;
        Ok(Self { start: start.max(0) as usize, step: if count > 1 { step } else { 1 }, count })
    }

    /// Whether it is the whole axis, in its order.
    pub(super) fn is_all(&self, dim: usize) -> bool {
        self.count == dim && (self.step == 1 || dim == 1)
    }
}

impl Constant {
    /// The tensor of `dims` whose entry (i, j, ...) is that at `start + i strides[0] + j strides[1] + ...`.
    fn strided(&self, dims: Vec<usize>, start: i64, strides: &[i64], room: &Room) -> Result<Self, Reason> {
        let size = room.take(&dims)?;
        let mut at = vec![0; dims.len()];
        let mut place = start;
        let places = (0..size).map(|_| {
            let here = place;
            for axis in (0..dims.len()).rev() {
                (at[axis], place) = (at[axis] + 1, place + strides[axis]);
                if at[axis] < dims[axis] {
                    break;
                }
                place -= strides[axis] * at[axis] as i64;
                at[axis] = 0;
            }
            here as usize
        });
        self.picked(dims.clone(), places)
    }

    pub(super) fn transposed(&self, perm: &[usize], room: &Room) -> Result<Self, Reason> {
        let from = strides(self.dims());
        let dims = perm.iter().map(|&axis| self.dims()[axis]).collect();
        self.strided(dims, 0, &perm.iter().map(|&axis| from[axis]).collect::<Vec<_>>(), room)
    }

    /// Repeats the tensor along missing axes and those of one entry.
    pub(super) fn expanded(&self, dims: &[usize], room: &Room) -> Result<Self, Reason> {
        if self.dims() == dims {
            return Ok(self.clone());
        }
        let lead = dims.len().checked_sub(self.dims().len()).ok_or_else(|| self.no_spread(dims))?;
        let mut steps = vec![0; lead];
        for (axis, stride) in strides(self.dims()).into_iter().enumerate() {
            match self.dims()[axis] {
                1 => steps.push(0),
                dim if dim == dims[lead + axis] => steps.push(stride),
                _ => return Err(self.no_spread(dims)),
            }
        }
        self.strided(dims.to_vec(), 0, &steps, room)
    }

    fn no_spread(&self, dims: &[usize]) -> Reason {
        format!("a shape {:?} that does not spread over {dims:?}", self.dims())
    }

    pub(super) fn sliced(&self, axis: usize, range: Range, room: &Room) -> Result<Self, Reason> {
        let mut steps = strides(self.dims());
        let start = range.start as i64 * steps[axis];
        steps[axis] *= range.step; // no longer than the axis, or 1
        let mut dims = self.dims().to_vec();
        dims[axis] = range.count;
        self.strided(dims, start, &steps, room)
    }

    /// The entries `indices` of an axis, which the dimensions of `indices` replace.
    pub(super) fn gathered(&self, axis: usize, indices: &Self, room: &Room) -> Result<Self, Reason> {
        let (outer, rest) = self.dims().split_at(axis);
        let (dim, inner) = (rest[0], &rest[1..]);
        let wanted = indices.known()?.into_iter().map(|index| super::moving::axis(index, dim));
        let wanted = wanted.collect::<Result<Vec<_>, _>>().map_err(|_| format!("an index beyond {dim} entries"))?;
        let dims = [outer, indices.dims(), inner].concat();
        room.take(&dims)?;
        let inner = size(inner)?;
        let places = (0..size(outer)?).flat_map(|o| wanted.iter().map(move |&index| (o * dim + index) * inner));
        self.picked(dims, places.flat_map(|start| start..start + inner))
    }

    /// Tensors one after another along an axis.
    pub(super) fn concat(parts: &[Self], axis: usize, room: &Room) -> Result<Self, Reason> {
        let first = parts.first().ok_or("nothing to put together")?;
        let fits = |part: &&Self| {
            let (a, b) = (part.dims(), first.dims());
            a.len() == b.len() && (0..a.len()).all(|i| i == axis || a[i] == b[i])
        };
        if !parts.iter().all(|part| fits(&part)) {
            let found: Vec<_> = parts.iter().map(Self::dims).collect();
            return Err(format!("shapes {found:?} that differ beside axis {axis}"));
        }
        let mut dims = first.dims().to_vec();
        dims[axis] = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.dims()[axis]));
        room.take(&dims)?;
        let outer = size(&dims[..axis])?;
        let data = match first.data() {
            Data::Floats(_) => Data::Floats(joined(parts, outer, Self::as_floats)?),
            Data::Ints(_) => Data::Ints(joined(parts, outer, Self::as_ints)?),
        };
        Self::new(dims, data, "")
    }

    /// 0, 1, 2, ...: where numbers are that stay where they are.
    pub(super) fn count(n: usize) -> Vec<Int> {
        (0..n as i64).map(Int::Known).collect()
    }

    /// Whether an index leaves everything where it is.
    pub(super) fn is_counting(&self) -> bool {
        self.as_ints().is_ok_and(|ints| ints.iter().zip(0..).all(|(&int, at)| int == Int::Known(at)))
    }

    /// The index that leaves `n` numbers where they are.
    pub(super) fn counting(n: usize, room: &Room) -> Result<Self, Reason> {
        room.take(&[n])?;
        Self::ints(vec![n], Self::count(n))
    }
}

fn joined<'a, T: Copy + 'a>(
    parts: &'a [Constant],
    outer: usize,
    values: impl Fn(&'a Constant) -> Result<&'a [T], Reason>,
) -> Result<Vec<T>, Reason> {
    let parts = parts.iter().map(values).collect::<Result<Vec<_>, _>>()?;
    let row = |row: usize| {
        parts.iter().flat_map(move |part| {
            let length = part.len() / outer.max(1);
            &part[row * length..(row + 1) * length]
        })
    };
    Ok((0..outer).flat_map(row).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(dims: &[usize], values: &[i64]) -> Constant {
        Constant::ints(dims.to_vec(), values.iter().map(|&value| Int::Known(value)).collect()).unwrap()
    }

    fn two_by_three() -> Constant {
        ints(&[2, 3], &[0, 1, 2, 3, 4, 5])
    }

    #[test]
    fn values_are_moved_as_onnx_says() {
        let (room, xs) = (Room::new(1000), two_by_three());
        assert_eq!(xs.transposed(&[1, 0], &room).unwrap(), ints(&[3, 2], &[0, 3, 1, 4, 2, 5]));
        let row = ints(&[1, 3], &[7, 8, 9]).expanded(&[2, 2, 3], &room).unwrap();
        assert_eq!(row, ints(&[2, 2, 3], &[7, 8, 9, 7, 8, 9, 7, 8, 9, 7, 8, 9]));
        let back = Range::new(-1, i64::MIN + 1, -2, 3).unwrap();
        assert_eq!(xs.sliced(1, back, &room).unwrap(), ints(&[2, 2], &[2, 0, 5, 3]));
        let some = ints(&[2], &[2, -3]);
        assert_eq!(xs.gathered(1, &some, &room).unwrap(), ints(&[2, 2], &[2, 0, 5, 3]));
        assert_eq!(xs.gathered(0, &ints(&[], &[1]), &room).unwrap(), ints(&[3], &[3, 4, 5]));
        let twice = Constant::concat(&[xs.clone(), ints(&[2, 1], &[8, 9])], 1, &room).unwrap();
        assert_eq!(twice, ints(&[2, 4], &[0, 1, 2, 8, 3, 4, 5, 9]));
    }

    #[test]
    fn ranges_are_moved_into_the_axis() {
        let range = |start, end, step| Range::new(start, end, step, 5).unwrap();
        assert_eq!(range(0, i64::MAX, 2), Range { start: 0, step: 2, count: 3 });
        assert_eq!(range(-2, 9, 1), Range { start: 3, step: 1, count: 2 });
        assert_eq!(range(4, -6, -1), Range { start: 4, step: -1, count: 5 });
        assert_eq!(range(i64::MIN, i64::MIN, 1).count, 0);
        assert_eq!(range(3, 1, 1).count, 0);
        assert_eq!(range(0, 5, i64::MIN).count, 0);
        assert!(Range::new(0, 5, 0, 5).is_err());
    }

    #[test]
    fn nothing_is_made_beyond_the_room() {
        let reason = two_by_three().expanded(&[1 << 40, 2, 3], &Room::new(1000)).unwrap_err();
        assert!(reason.contains("more values than the file justifies"), "{reason}");
        assert!(two_by_three().gathered(0, &ints(&[1], &[2]), &Room::new(9)).unwrap_err().contains("beyond 2"));
        assert!(two_by_three().expanded(&[2, 4], &Room::new(9)).unwrap_err().contains("does not spread"));
    }
}
