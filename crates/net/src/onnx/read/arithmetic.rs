//! Arithmetic of constants: what exporters compute from shapes, and from values that they could have stored.

use super::constant::{Constant, Data, Int};
use super::moving::Room;
use super::problem::not_computed;
use super::wire::Reason;

/// The dimensions over which both tensors spread.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Reason> {
    let rank = a.len().max(b.len());
    let at = |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis]);
    let dim = |axis| match (at(a, axis), at(b, axis)) {
        (1, dim) | (dim, 1) => Ok(dim),
        (a, b) if a == b => Ok(a),
        _ => Err(format!("shapes {a:?} and {b:?} that do not spread over each other")),
    };
    (0..rank).map(dim).collect()
}

/// An operator of two numbers, entry by entry.
pub(super) fn binary(kind: &str, a: &Constant, b: &Constant, room: &Room) -> Result<Constant, Reason> {
    let dims = broadcast(a.dims(), b.dims())?;
    room.take(&dims)?;
    let (a, b) = (a.expanded(&dims, room)?, b.expanded(&dims, room)?);
    let data = match (a.data(), b.data()) {
        (Data::Floats(a), Data::Floats(b)) => {
            let of = float_of(kind)?;
            let values = a.iter().zip(b).map(|(&a, &b)| of(a, b));
            if kind == "Equal" { truths(values) } else { Data::Floats(values.collect()) }
        }
        (Data::Ints(a), Data::Ints(b)) => {
            Data::Ints(a.iter().zip(b).map(|(&a, &b)| int(kind, a, b)).collect::<Result<_, _>>()?)
        }
        _ => return Err("a whole number and a float".into()),
    };
    Constant::new(dims, data, "")
}

fn truths(values: impl Iterator<Item = f32>) -> Data {
    Data::Ints(values.map(|value| Int::Known(value as i64)).collect())
}

fn float_of(kind: &str) -> Result<fn(f32, f32) -> f32, Reason> {
    Ok(match kind {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Min" => f32::min,
        "Max" => f32::max,
        "Equal" => |a, b| if a == b { 1.0 } else { 0.0 },
        _ => return Err(not_computed("floats")),
    })
}

fn int(kind: &str, a: Int, b: Int) -> Result<Int, Reason> {
    let (Int::Known(x), Int::Known(y)) = (a, b) else { return Ok(of_batch(kind, a, b)) };
    let found = match kind {
        "Add" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        "Div" => x.checked_div(y),
        "Mod" => x.checked_rem_euclid(y).filter(|_| y > 0),
        "Min" => Some(x.min(y)),
        "Max" => Some(x.max(y)),
        "Equal" => Some((x == y).into()),
        _ => return Err(not_computed("whole numbers")),
    };
    found.map(Int::Known).ok_or_else(|| format!("{kind} of {x} and {y}, which is no number"))
}

/// What stays the size of the batch, and what nobody can tell.
fn of_batch(kind: &str, a: Int, b: Int) -> Int {
    match (kind, a, b) {
        ("Mul" | "Div", Int::Batch, Int::Known(1)) | ("Mul", Int::Known(1), Int::Batch) => Int::Batch,
        ("Add" | "Sub", Int::Batch, Int::Known(0)) | ("Add", Int::Known(0), Int::Batch) => Int::Batch,
        ("Equal", Int::Batch, Int::Known(..0)) | ("Equal", Int::Known(..0), Int::Batch) => Int::Known(0),
        ("Equal", Int::Batch, Int::Batch) => Int::Known(1),
        _ => Int::Unknown,
    }
}

/// An operator of one number, entry by entry.
pub(super) fn unary(kind: &str, xs: &Constant, room: &Room) -> Result<Constant, Reason> {
    room.take(xs.dims())?;
    let data = match xs.data() {
        Data::Floats(values) => {
            let of: fn(f32) -> f32 = match kind {
                "Neg" => |x| -x,
                "Abs" => f32::abs,
                "Floor" => f32::floor,
                "Ceil" => f32::ceil,
                "Round" => f32::round_ties_even,
                "Sqrt" => f32::sqrt,
                "Reciprocal" => f32::recip,
                "Exp" => f32::exp,
                "Log" => f32::ln,
                _ => return Err(not_computed("floats")),
            };
            Data::Floats(values.iter().map(|&x| of(x)).collect())
        }
        Data::Ints(values) => {
            let of = |int: &Int| match (kind, *int) {
                ("Neg", Int::Known(x)) => Ok(x.checked_neg().map_or(Int::Unknown, Int::Known)),
                ("Abs", Int::Known(x)) => Ok(x.checked_abs().map_or(Int::Unknown, Int::Known)),
                ("Not", Int::Known(x)) => Ok(Int::Known((x == 0).into())),
                ("Neg" | "Not", _) => Ok(Int::Unknown),
                ("Abs", int) => Ok(int),
                _ => Err(not_computed("whole numbers")),
            };
            Data::Ints(values.iter().map(of).collect::<Result<_, _>>()?)
        }
    };
    Constant::new(xs.dims().to_vec(), data, xs.name())
}

/// The values as another type, given by its code.
pub(super) fn cast(xs: &Constant, kind: i64, room: &Room) -> Result<Constant, Reason> {
    let data = match (xs.data(), super::constant::is_float(kind)) {
        (Data::Floats(_), true) => return Ok(xs.of_kind(kind)),
        (Data::Ints(_), false) if kind != 9 => return Ok(xs.of_kind(kind)),
        (Data::Ints(values), false) => Data::Ints(values.iter().map(|&int| truth(int)).collect()),
        (Data::Ints(_), true) => Data::Floats(xs.known()?.into_iter().map(|int| int as f32).collect()),
        (Data::Floats(values), false) => {
            Data::Ints(values.iter().map(|&x| rounded(x, kind)).collect::<Result<_, _>>()?)
        }
    };
    room.take(xs.dims())?;
    Ok(Constant::new(xs.dims().to_vec(), data, xs.name())?.of_kind(kind))
}

fn truth(int: Int) -> Int {
    match int {
        Int::Known(value) => Int::Known((value != 0).into()),
        Int::Batch => Int::Known(1),
        Int::Unknown => Int::Unknown,
    }
}

/// A float cut to a whole number, or its truth.
fn rounded(x: f32, kind: i64) -> Result<Int, Reason> {
    match kind {
        9 => Ok(Int::Known((x != 0.0).into())),
        _ if x.abs() < 9.2e18 => Ok(Int::Known(x as i64)),
        _ => Err(format!("{x} as a whole number")),
    }
}

/// A sum of some kind of floats along axes, which become 1.
pub(super) fn reduced(kind: &str, xs: &Constant, axes: &[usize], room: &Room) -> Result<Constant, Reason> {
    let dims: Vec<usize> = xs.dims().iter().enumerate().map(|(i, &n)| if axes.contains(&i) { 1 } else { n }).collect();
    let mut sums = vec![0f64; room.take(&dims)?];
    let values = xs.as_floats()?;
    let square = kind == "ReduceL2" || kind == "ReduceSumSquare";
    let mut at = vec![0; dims.len()];
    for &x in values {
        let place = at.iter().zip(&dims).fold(0, |place, (&i, &n)| place * n + if n == 1 { 0 } else { i });
        let x = f64::from(x);
        sums[place] += if square { x * x } else { x };
        // The index of the next value: the last axis that is not at its end goes on, those behind it start again.
        for (i, &n) in at.iter_mut().zip(xs.dims()).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    let terms = values.len().checked_div(sums.len()).unwrap_or(0) as f64;
    let made = |sum: f64| match kind {
        "ReduceL2" => sum.sqrt(),
        "ReduceMean" => sum / terms,
        _ => sum,
    };
    Constant::floats(dims, sums.into_iter().map(|sum| made(sum) as f32).collect(), "")
}

/// The numbers from `start` on, `step` apart, below `end`.
pub(super) fn range(start: i64, end: i64, step: i64, room: &Room) -> Result<Constant, Reason> {
    let length = i128::from(end) - i128::from(start);
    let count = match step {
        0 => return Err("a step of 0".into()),
        1.. => length.max(0).unsigned_abs().div_ceil(u128::from(step.unsigned_abs())),
        _ => (-length).max(0).unsigned_abs().div_ceil(u128::from(step.unsigned_abs())),
    };
    let count = usize::try_from(count).map_err(|_| "a range of more numbers than can be counted")?;
    room.take(&[count])?;
    Constant::ints(vec![count], (0..count as i64).map(|i| Int::Known(start + i * step)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[Int]) -> Constant {
        Constant::ints(vec![values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn the_size_of_the_batch_is_moved_but_not_computed_with() {
        let room = Room::new(1000);
        let of = |kind, a: Int, b: Int| binary(kind, &ints(&[a]), &ints(&[b]), &room).unwrap();
        assert_eq!(of("Mul", Int::Batch, Int::Known(1)), ints(&[Int::Batch]));
        assert_eq!(of("Mul", Int::Batch, Int::Known(2)), ints(&[Int::Unknown]));
        assert_eq!(of("Div", Int::Known(1), Int::Batch), ints(&[Int::Unknown]));
        assert_eq!(of("Equal", Int::Batch, Int::Known(-1)), ints(&[Int::Known(0)]));
        assert_eq!(of("Equal", Int::Batch, Int::Known(1)), ints(&[Int::Unknown]));
        assert!(cast(&ints(&[Int::Batch]), 1, &room).unwrap_err().contains("size of the batch"));
    }

    #[test]
    fn numbers_that_overflow_are_refused() {
        let room = Room::new(1000);
        let of = |kind, a, b| binary(kind, &ints(&[Int::Known(a)]), &ints(&[Int::Known(b)]), &room);
        for (kind, a, b) in
            [("Mul", i64::MAX, 2), ("Div", 1, 0), ("Div", i64::MIN, -1), ("Mod", 1, 0), ("Sub", i64::MIN, 1)]
        {
            assert!(of(kind, a, b).unwrap_err().contains("no number"), "{kind}");
        }
        assert!(range(i64::MIN, i64::MAX, 1, &room).unwrap_err().contains("than"));
        assert_eq!(range(5, 0, -2, &room).unwrap(), ints(&[5, 3, 1].map(Int::Known)));
        let huge = Constant::floats(vec![1], vec![1e30], "").unwrap();
        let nan = Constant::floats(vec![1], vec![f32::NAN], "").unwrap();
        assert!(cast(&huge, 7, &room).is_err() && cast(&nan, 7, &room).is_err());
    }

    #[test]
    fn tensors_spread_over_each_other() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert!(broadcast(&[2], &[3]).is_err());
        let room = Room::new(1000);
        let row = Constant::floats(vec![3], vec![1.0, 2.0, 3.0], "").unwrap();
        let column = Constant::floats(vec![2, 1], vec![10.0, 20.0], "").unwrap();
        let sum = binary("Add", &row, &column, &room).unwrap();
        assert_eq!((sum.dims(), sum.as_floats().unwrap()), (&[2, 3][..], &[11.0, 12.0, 13.0, 21.0, 22.0, 23.0][..]));
    }
}
