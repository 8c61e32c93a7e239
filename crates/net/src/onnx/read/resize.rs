//! Larger images, by whole factors.

use super::constant::Constant;
use super::draft::{Chain, Outcome};
use super::moving::axis;
use super::operator::Operator;
use super::wire::Reason;
use crate::Pair;
use crate::layers::{Upsample, UpsampleMode};

/// Upsample, and Resize to a multiple.
pub(super) fn resize(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let (input, [c, h, w]) = op.image()?;
    let factor = factors(op, [c, h, w])?;
    let old = op.kind == "Upsample" || op.opset < 11;
    let rule = Rule {
        coordinates: op.text("coordinate_transformation_mode")?.unwrap_or(if old {
            "asymmetric"
        } else {
            "half_pixel"
        }),
        rounding: op.text("nearest_mode")?.unwrap_or(if old { "floor" } else { "round_prefer_floor" }),
    };
    op.ignore(&["cubic_coeff_a", "exclude_outside", "extrapolation_value"]);
    if op.flag("antialias")? || op.text("keep_aspect_ratio_policy")?.is_some_and(|policy| policy != "stretch") {
        return Err("antialias or keep_aspect_ratio_policy".into());
    }
    let mode = op.text("mode")?.unwrap_or("nearest");
    if rule.coordinates == "tf_crop_and_resize" {
        return Err("the coordinates tf_crop_and_resize".into());
    }
    if factor == Pair::ONE {
        return Ok(Chain::pass(input).into());
    }
    let mode = match mode {
        "nearest" => {
            rule.nearest(h, factor.h).and_then(|()| rule.nearest(w, factor.w)).map(|()| UpsampleMode::Nearest)?
        }
        "linear" | "bilinear" => rule.linear()?,
        other => return Err(format!("the mode {other:?}, expected \"nearest\" or \"linear\"")),
    };
    Ok(Chain::plain(vec![input], Upsample { factor, mode }).into())
}

/// How a position of the result is found in the image.
struct Rule<'a> {
    coordinates: &'a str,
    rounding: &'a str,
}

/// The whole factors (h, w) by which an image (c, h, w) grows.
fn factors(op: &Operator<'_>, dims: [usize; 3]) -> Result<Pair, Reason> {
    let scales = match op.floats("scales")? {
        Some(scales) => Some(scales.to_vec()),
        None => {
            let scales = op.constant(if op.opset < 11 { 1 } else { 2 }, "scales")?.filter(|scales| scales.len() > 0);
            scales.map(|scales| scales.as_floats().map(<[f32]>::to_vec)).transpose()?
        }
    };
    let axes = match op.ints("axes")? {
        Some(axes) => axes.iter().map(|&a| axis(a, 4)).collect::<Result<Vec<_>, _>>()?,
        None => (0..4).collect(),
    };
    let mut factors = [1.0, 1.0, 1.0, 1.0];
    let sizes = op.constant(3, "sizes")?.map(Constant::as_ints).transpose()?;
    let found = scales.as_ref().map_or_else(|| sizes.map_or(0, <[_]>::len), Vec::len);
    if found != axes.len() {
        return Err(format!("{found} scales or sizes for {} axes", axes.len()));
    }
    for (i, &axis) in axes.iter().enumerate() {
        factors[axis] = match (&scales, sizes) {
            (Some(scales), _) => f64::from(scales[i]),
            (None, Some(sizes)) if axis == 0 && op.is_batch(sizes[i]) => 1.0,
            (None, Some(sizes)) if axis > 0 => sizes[i].known()? as f64 / dims[axis - 1] as f64,
            _ => f64::NAN,
        };
    }
    match factors {
        [1.0, 1.0, h, w] if [h, w].iter().all(|&f| f >= 1.0 && f.fract() == 0.0 && f < 65_536.0) => {
            Ok(Pair { h: h as usize, w: w as usize })
        }
        _ => Err(format!("the scales {factors:?}, expected whole factors of rows and columns")),
    }
}

impl Rule<'_> {
    /// Whether `n` positions grown by `factor` each repeat `factor` times.
    fn nearest(&self, n: usize, factor: usize) -> Result<(), Reason> {
        if n.saturating_mul(factor) > 1 << 16 {
            return Err(format!("{n} positions times {factor}"));
        }
        let (from, to, f) = (n as f64, (n * factor) as f64, factor as f64);
        let place = |i: f64| match self.coordinates {
            "asymmetric" => Some(i / f),
            "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => Some((i + 0.5) / f - 0.5),
            "align_corners" => Some(i * (from - 1.0) / (to - 1.0)),
            _ => None,
        };
        let round = |x: f64| match self.rounding {
            "floor" => Some(x.floor()),
            "ceil" => Some(x.ceil()),
            "round_prefer_floor" => Some((x - 0.5).ceil()),
            "round_prefer_ceil" => Some((x + 0.5).floor()),
            _ => None,
        };
        let same = |i: usize| {
            let found = place(i as f64).and_then(round).map(|at| at.clamp(0.0, from - 1.0));
            found == Some((i / factor) as f64)
        };
        match factor == 1 || (0..n * factor).all(same) {
            true => Ok(()),
            false => Err(format!(
                "nearest positions by {:?} and {:?}, expected such as repeat each row and column equally often",
                self.coordinates, self.rounding
            )),
        }
    }

    fn linear(&self) -> Result<UpsampleMode, Reason> {
        match self.coordinates {
            "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => {
                Ok(UpsampleMode::Bilinear { align_corners: false })
            }
            "align_corners" => Ok(UpsampleMode::Bilinear { align_corners: true }),
            other => Err(format!("linear positions by {other:?}, expected \"half_pixel\" or \"align_corners\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_repeat_equally_are_told_from_those_that_do_not() {
        let same = |coordinates, rounding, factor| Rule { coordinates, rounding }.nearest(5, factor).is_ok();
        assert!(same("asymmetric", "floor", 2) && same("asymmetric", "floor", 3));
        assert!(same("half_pixel", "round_prefer_floor", 2) && same("half_pixel", "round_prefer_ceil", 3));
        assert!(!same("asymmetric", "ceil", 2) && !same("half_pixel", "floor", 2));
        assert!(same("asymmetric", "round_prefer_floor", 2) && !same("asymmetric", "round_prefer_floor", 3));
        assert!(!same("tf_crop_and_resize", "floor", 2) && !same("align_corners", "floor", 2));
    }
}
