//! Constants that differ only near the edges of an image.
//!
//! A zero-padded convolution of a constant channel is constant inside and something else at each kind of edge: a 3x3
//! one has at most nine distinct values whatever the size of the image, a chain of them a few more.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::bias::added;
use super::facts::Declared;
use super::{Rules, Work};
use crate::forward::{At, Flow};
use crate::onnx::Graph;
use crate::{Place, Result, Shape, Unit};

/// Adds constants per unit that differ between positions only near the edges of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Border {
    /// How far the edges reach.
    pub margins: Margins,
}

impl Rules for Border {
    fn kind(&self) -> &'static str {
        "border"
    }

    fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs[0] {
            Shape::Image(_, h, w) if self.margins.fit(h, w) => Ok(inputs[0]),
            found => {
                let expected = format!("an image larger than its margins {:?}", self.margins);
                Err(super::wrong(self, &expected, found))
            }
        }
    }

    fn parameters(&self, inputs: &[Shape], _: Shape) -> Vec<Declared> {
        let (rows, columns) = self.margins.dims();
        vec![Declared::bias(vec![inputs[0].units(), rows, columns])]
    }

    fn unit(&self, unit: Unit, _: bool) -> Unit {
        if unit == Unit::Computed { unit } else { Unit::Pattern }
    }

    fn work(&self, _: &[Shape], output: Shape) -> Option<Work> {
        let (rows, columns) = self.margins.dims();
        Some(Work::unit(rows * columns, output.positions()))
    }

    fn bias(&self) -> Option<bool> {
        Some(true)
    }

    fn forward(&self, at: &mut At, inputs: &[&Flow]) -> Result<Flow> {
        let dims = at.input_shape(0).dims();
        let bias = self.margins.expand(at.value("bias")?, dims[1], dims[2])?;
        added(at, inputs[0], &bias)
    }

    fn to_onnx(&self, graph: &mut Graph, place: &Place, inputs: &[String]) -> Result<String> {
        let (name, dims) = (place.name, place.inputs[0].dims());
        let (rows, columns) = self.margins.places(dims[1], dims[2]);
        let values = graph.per_unit(place, "bias")?;
        let values = graph.gather(&format!("{name}.of_rows"), "rows", values, &rows, 2);
        let map = graph.gather(&format!("{name}.map"), "columns", values, &columns, 3);
        Ok(graph.operator("Add", name, &[inputs[0].clone(), map], &[]))
    }
}

/// How many rows and columns at the edges have values of their own; all between them share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Margins {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Margins {
    /// Distinct rows and columns.
    pub fn dims(&self) -> (usize, usize) {
        (self.top + 1 + self.bottom, self.left + 1 + self.right)
    }

    /// Whether an image of `h` rows and `w` columns has something between the margins.
    pub fn fit(&self, h: usize, w: usize) -> bool {
        let inside = |before: usize, after: usize, n: usize| before.checked_add(after).is_some_and(|edges| edges < n);
        inside(self.top, self.bottom, h) && inside(self.left, self.right, w)
    }

    /// For each of `h` rows and each of `w` columns, its place among the distinct ones.
    pub fn places(&self, h: usize, w: usize) -> (Vec<u32>, Vec<u32>) {
        let places = |before: usize, after: usize, n: usize| {
            let place = |i: usize| i.min(before) + (i + after + 1).saturating_sub(n);
            (0..n).map(|i| place(i) as u32).collect()
        };
        (places(self.top, self.bottom, h), places(self.left, self.right, w))
    }

    /// Distinct values, (n, rows, columns), at every position: (n, h, w).
    ///
    /// # Errors
    /// If they are not as many as [`Margins::dims`] says.
    pub fn expand(&self, values: &Tensor, h: usize, w: usize) -> Result<Tensor> {
        let (rows, columns) = self.places(h, w);
        let index = |places: Vec<u32>| Tensor::new(places, values.device());
        Ok(values.contiguous()?.index_select(&index(rows)?, 1)?.index_select(&index(columns)?, 2)?)
    }

    /// The margins of constants (n, h, w) without any rounding, in one pass: `h` and `w` may be whatever a file says.
    pub(crate) fn exact(values: &[f32], [h, w]: [usize; 2]) -> Self {
        let units = || values.chunks(h * w);
        let (top, bottom) = around_longest(h, |y| units().all(|unit| unit[y * w..][..w] == unit[(y - 1) * w..][..w]));
        let (left, right) = around_longest(w, |x| values.chunks(w).all(|row| row[x] == row[x - 1]));
        Self { top, bottom, left, right }
    }

    /// The margins of constants (n, h, w), and the distinct values among them; none where that would save nothing.
    pub(crate) fn of(map: &Tensor) -> Result<Option<(Self, Tensor)>> {
        let (_, h, w) = map.dims3()?;
        let values = map.to_dtype(DType::F32)?.to_vec3::<f32>()?;
        // Each unit by its own size: beside a large one the differences of a small one are no rounding.
        let largest = |unit: &Vec<Vec<f32>>| unit.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
        let units: Vec<_> = values.iter().map(|unit| (unit, ROUNDING * largest(unit))).collect();
        let close = |a: f32, b: f32, tolerance: f32| (a - b).abs() <= tolerance;
        let alike = |(a, b): (&f32, &f32), tolerance: f32| close(*a, *b, tolerance);
        let (top, bottom) = edges(h, |a, b| {
            units.iter().all(|(unit, most)| unit[a].iter().zip(&unit[b]).all(|pair| alike(pair, *most)))
        });
        let (left, right) =
            edges(w, |a, b| units.iter().all(|(unit, most)| unit.iter().all(|row| close(row[a], row[b], *most))));
        let margins = Self { top, bottom, left, right };
        let (rows, columns) = margins.dims();
        if rows * columns == h * w {
            return Ok(None);
        }
        let distinct = |before: usize, n: usize, size: usize| {
            let from = |i: usize| if i <= before { i } else { size - n + i } as u32;
            Tensor::new((0..n).map(from).collect::<Vec<_>>(), map.device())
        };
        let map = map.contiguous()?.index_select(&distinct(top, rows, h)?, 1)?;
        Ok(Some((margins, map.index_select(&distinct(left, columns, w)?, 2)?)))
    }
}

/// Positions of the inside differ by the order in which a kernel sums, in units of the largest value of their unit.
const ROUNDING: f32 = 1e-6;

/// How many of `n` lines come before and after the longest run of equal ones.
fn edges(n: usize, equal: impl Fn(usize, usize) -> bool) -> (usize, usize) {
    // A line is one with itself even where it holds what is no number, and equal to nothing.
    let run = |start: usize| 1 + (start + 1..n).take_while(|&at| equal(start, at)).count();
    let (start, length) = (0..n).map(|start| (start, run(start))).fold((0, 0), |a, b| if b.1 > a.1 { b } else { a });
    (start, n - start - length)
}

/// How many of `n` lines come before and after the longest run of lines each of which is `as_before`.
fn around_longest(n: usize, as_before: impl Fn(usize) -> bool) -> (usize, usize) {
    let (mut start, mut longest) = (0, (0, 0));
    for at in 0..n {
        start = if at > 0 && as_before(at) { start } else { at };
        longest = if at + 1 - start > longest.1 { (start, at + 1 - start) } else { longest };
    }
    (longest.0, n - longest.0 - longest.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn places_of_rows_and_columns() {
        let margins = Margins { top: 1, bottom: 2, left: 0, right: 1 };
        assert_eq!(margins.places(6, 3), (vec![0, 1, 1, 1, 2, 3], vec![0, 0, 1]));
        assert_eq!(margins.dims(), (4, 2));
        assert!(margins.fit(4, 2) && !margins.fit(3, 2) && !margins.fit(4, 1));
        assert!(!Margins { top: usize::MAX, ..margins }.fit(4, 2));
    }

    #[test]
    fn a_map_is_its_distinct_values() {
        let margins = Margins { top: 1, bottom: 1, left: 2, right: 0 };
        let values = Tensor::arange(0f32, 18.0, &Device::Cpu).unwrap().reshape((2, 3, 3)).unwrap();
        let map = margins.expand(&values, 8, 7).unwrap();
        assert_eq!(map.dims(), [2, 8, 7]);
        let (found, distinct) = Margins::of(&map).unwrap().unwrap();
        assert_eq!(found, margins);
        let flat = map.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(Margins::exact(&flat, [8, 7]), margins);
        assert_eq!(Margins::exact(&[1.0, 2.0, 3.0, 4.0], [2, 2]).dims(), (2, 2), "nothing to save");
        assert_eq!(distinct.to_vec3::<f32>().unwrap(), values.to_vec3::<f32>().unwrap());
        assert!(Margins::of(&values).unwrap().is_none(), "nothing to save");
        let beside = Tensor::full(1e6f32, (1, 8, 7), &Device::Cpu).unwrap();
        assert_eq!(Margins::of(&Tensor::cat(&[&map, &beside], 0).unwrap()).unwrap().unwrap().0, margins);
        let none = Tensor::full(f32::NAN, (2, 3, 3), &Device::Cpu).unwrap();
        assert!(Margins::of(&none).unwrap().is_none(), "what is no number equals nothing");
    }
}
