//! Updates of parameters in place, each in one pass over memory.
//!
//! On the CPU in `f32` a kernel runs; elsewhere the new values are composed of Candle's operations and copied over the
//! old ones. Every number depends on its own operands alone, so threads cannot change a result; but for [`novograd`],
//! which is composed everywhere, for parameters as small as gates, and takes a mean in one order, and for
//! [`muon_each`].

mod muon;
mod novograd;
mod place;
pub(crate) mod rules;

use candle_core::{Result, Tensor, bail};
use l0_lanes::at_best;

use crate::cpu::{data, serves};
use crate::parallel::each;

use self::place::{check, decayed, in_place, put};
use self::rules::correction;

pub use self::muon::muon_each;
pub use self::novograd::{novograd, novograd_each};
pub use self::place::Item;
pub use self::rules::{Adam, Muon, Sgd};

/// Numbers a piece holds: 64 KiB of each operand.
const PIECE: usize = 16 * 1024;

/// `param`, `first` and `second` moment in place; all of the parameter's shape.
///
/// # Errors
/// If shapes differ, a tensor is not contiguous, two of them share memory, or the step is 0.
pub fn adam(param: &Tensor, grad: &Tensor, first: &Tensor, second: &Tensor, adam: &Adam) -> Result<()> {
    if adam.step == 0 {
        bail!("adam: step is 0, expected 1 or more")
    }
    let step_size = adam.learning_rate / correction(adam.beta1, adam.step);
    let root = correction(adam.beta2, adam.step).sqrt();
    check("adam", param, &[("grad", grad), ("first moment", first), ("second moment", second)])?;
    if !serves(&[param, grad, first, second]) {
        let g = decayed(param, grad, adam.weight_decay)?;
        put(first, &((first.detach() * adam.beta1)? + (&g * (1.0 - adam.beta1))?)?)?;
        put(second, &((second.detach() * adam.beta2)? + (g.sqr()? * (1.0 - adam.beta2))?)?)?;
        let change = (first.detach() / ((second.detach().sqrt()? / root)? + adam.eps)?)?;
        return put(param, &(param.detach() - (change * step_size)?)?);
    }
    let of = AdamStep {
        betas: [adam.beta1 as f32, adam.beta2 as f32],
        rests: [(1.0 - adam.beta1) as f32, (1.0 - adam.beta2) as f32],
        decay: adam.weight_decay as f32,
        size: step_size as f32,
        inverse_root: (1.0 / root) as f32,
        eps: adam.eps as f32,
    };
    let (grad, layout) = grad.storage_and_layout();
    let grad = data(&grad, layout)?;
    in_place(param, |p| {
        in_place(first, |m| {
            in_place(second, |v| {
                let params = p.chunks_mut(PIECE).zip(m.chunks_mut(PIECE));
                let items = params.zip(v.chunks_mut(PIECE)).zip(grad.chunks(PIECE)).collect();
                each(items, |(((p, m), v), g)| adam_step(&of, p, m, v, g));
            })
        })?
    })?
}

/// `param` and `velocity` in place; all of the parameter's shape. Without momentum too: the velocity is then the last
/// gradient, and takes part in nothing.
///
/// # Errors
/// If shapes differ, a tensor is not contiguous or two of them share memory.
pub fn sgd(param: &Tensor, grad: &Tensor, velocity: &Tensor, sgd: &Sgd) -> Result<()> {
    check("sgd", param, &[("grad", grad), ("velocity", velocity)])?;
    if !serves(&[param, grad, velocity]) {
        let g = decayed(param, grad, sgd.weight_decay)?;
        put(velocity, &((velocity.detach() * sgd.momentum)? + &g)?)?;
        let ahead = if sgd.nesterov { (g + (velocity.detach() * sgd.momentum)?)? } else { velocity.detach() };
        return put(param, &(param.detach() - (ahead * sgd.learning_rate)?)?);
    }
    let (grad, layout) = grad.storage_and_layout();
    let grad = data(&grad, layout)?;
    in_place(param, |p| {
        in_place(velocity, |u| {
            let items = p.chunks_mut(PIECE).zip(u.chunks_mut(PIECE)).zip(grad.chunks(PIECE)).collect();
            each(items, |((p, u), g)| sgd_step(sgd, p, u, g));
        })
    })?
}

/// `average += weight * (param - average)` in place: a moving average with `weight = 1 - decay`.
///
/// # Errors
/// If shapes differ, a tensor is not contiguous or both share memory.
pub fn lerp(average: &Tensor, param: &Tensor, weight: f64) -> Result<()> {
    check("lerp", average, &[("param", param)])?;
    if !serves(&[average, param]) {
        let new = (average.detach() + ((param.detach() - average.detach())? * weight)?)?;
        return put(average, &new);
    }
    let (param, layout) = param.storage_and_layout();
    let (param, weight) = (data(&param, layout)?, weight as f32);
    in_place(average, |average| {
        let items = average.chunks_mut(PIECE).zip(param.chunks(PIECE)).collect();
        each(items, |(average, param): (&mut [f32], &[f32])| lerp_step(weight, average, param));
    })
}

/// The numbers of a step of Adam.
struct AdamStep {
    betas: [f32; 2],
    rests: [f32; 2],
    decay: f32,
    size: f32,
    inverse_root: f32,
    eps: f32,
}

at_best! {
    fn adam_step(of: &AdamStep, p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        let &AdamStep { betas: [b1, b2], rests: [c1, c2], decay, size, inverse_root, eps } = of;
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = decay.mul_add(*p, g);
            *m = b1.mul_add(*m, c1 * g);
            *v = b2.mul_add(*v, c2 * g * g);
            *p -= size * *m / v.sqrt().mul_add(inverse_root, eps);
        }
    }

    fn sgd_step(sgd: &Sgd, p: &mut [f32], u: &mut [f32], g: &[f32]) {
        let (rate, momentum) = (sgd.learning_rate as f32, sgd.momentum as f32);
        let (decay, nesterov) = (sgd.weight_decay as f32, sgd.nesterov);
        for ((p, u), &g) in p.iter_mut().zip(u).zip(g) {
            let g = decay.mul_add(*p, g);
            *u = momentum.mul_add(*u, g);
            *p -= rate * if nesterov { momentum.mul_add(*u, g) } else { *u };
        }
    }

    fn lerp_step(weight: f32, average: &mut [f32], param: &[f32]) {
        average.iter_mut().zip(param).for_each(|(a, p)| *a = weight.mul_add(p - *a, *a));
    }
}

/// [`adam`] of each; on a GPU all at once.
///
/// # Errors
/// As [`adam`], or if an item has not two moments.
pub fn adam_each(items: &[Item], rule: &Adam) -> Result<()> {
    #[cfg(feature = "cuda")]
    let items = &on_gpu::adam(items, rule)?;
    items.iter().try_for_each(|item| {
        let [first, second] = item.moments else { bail!("adam: found {} moments, expected 2", item.moments.len()) };
        let rule = Adam { weight_decay: item.weight_decay, ..*rule };
        adam(item.param, &item.grad_or_zeros()?, first, second, &rule)
    })
}

/// [`sgd`] of each; on a GPU all at once.
///
/// # Errors
/// As [`sgd`], or if an item has not one velocity.
pub fn sgd_each(items: &[Item], rule: &Sgd) -> Result<()> {
    #[cfg(feature = "cuda")]
    let items = &on_gpu::sgd(items, rule)?;
    items.iter().try_for_each(|item| {
        let [velocity] = item.moments else { bail!("sgd: found {} velocities, expected 1", item.moments.len()) };
        let rule = Sgd { weight_decay: item.weight_decay, ..*rule };
        sgd(item.param, &item.grad_or_zeros()?, velocity, &rule)
    })
}

/// [`lerp`] of each average towards its parameter; on a GPU all at once.
///
/// # Errors
/// As [`lerp`].
pub fn lerp_each(pairs: &[(&Tensor, &Tensor)], weight: f64) -> Result<()> {
    #[cfg(feature = "cuda")]
    let pairs = &on_gpu::lerp(pairs, weight)?;
    pairs.iter().try_for_each(|(average, param)| lerp(average, param, weight))
}

/// Whole tables of updates on a GPU; what is not there is handed back.
#[cfg(feature = "cuda")]
mod on_gpu {
    use candle_core::{Result, Tensor};

    use super::{Adam, Item, Sgd, check};
    use crate::cuda::{self, update};

    /// Items on the GPU, checked, and the others.
    fn parted<'a>(op: &str, moments: usize, items: &[Item<'a>]) -> Result<(Vec<Item<'a>>, Vec<Item<'a>>)> {
        let there = |item: &Item| {
            let others: Vec<&Tensor> = item.grad.into_iter().chain(item.moments).collect();
            cuda::serves(item.param, &[&[item.param], &others[..]].concat())
        };
        let (here, others): (Vec<Item>, Vec<Item>) =
            items.iter().partition(|item| item.moments.len() == moments && there(item));
        for item in &here {
            let state = item.moments.iter().map(|moment| ("a moment", moment));
            check(op, item.param, &item.grad.map(|grad| ("grad", grad)).into_iter().chain(state).collect::<Vec<_>>())?;
        }
        Ok((here, others))
    }

    fn table<'a>(items: &[Item<'a>]) -> (Vec<update::Row<'a>>, Vec<f32>) {
        let row = |item: &Item<'a>| [Some(item.param), item.grad, item.moments.first(), item.moments.get(1)];
        (items.iter().map(row).collect(), items.iter().map(|item| item.weight_decay as f32).collect())
    }

    pub(super) fn adam<'a>(items: &[Item<'a>], rule: &Adam) -> Result<Vec<Item<'a>>> {
        let (here, others) = parted("adam", 2, items)?;
        let (rows, decays) = table(&here);
        update::each("adam", &rows, &decays, &update::adam(rule))?;
        Ok(others)
    }

    pub(super) fn sgd<'a>(items: &[Item<'a>], rule: &Sgd) -> Result<Vec<Item<'a>>> {
        let (here, others) = parted("sgd", 1, items)?;
        let (rows, decays) = table(&here);
        update::each("sgd", &rows, &decays, &update::sgd(rule))?;
        Ok(others)
    }

    pub(super) fn lerp<'a>(pairs: &[(&'a Tensor, &'a Tensor)], weight: f64) -> Result<Vec<(&'a Tensor, &'a Tensor)>> {
        type Pairs<'a> = Vec<(&'a Tensor, &'a Tensor)>;
        let (here, others): (Pairs, Pairs) = pairs.iter().partition(|(a, p)| cuda::serves(a, &[a, p]));
        here.iter().try_for_each(|(average, param)| check("lerp", average, &[("param", param)]))?;
        let rows: Vec<update::Row> = here.iter().map(|&(a, p)| [Some(a), Some(p), None, None]).collect();
        update::each("lerp", &rows, &vec![0.0; rows.len()], &update::lerp(weight))?;
        Ok(others)
    }
}

/// `param` held to [low, high] in place; not a number stays so.
///
/// # Errors
/// If the bounds are not in order or the tensor is not contiguous.
pub fn clamp(param: &Tensor, low: f64, high: f64) -> Result<()> {
    if low.is_nan() || high.is_nan() || low > high {
        bail!("clamp: bounds are {low} and {high}, expected low <= high")
    }
    check("clamp", param, &[])?;
    #[cfg(feature = "cuda")]
    if crate::cuda::serves(param, &[param]) {
        return crate::cuda::update::clamp(param, low, high);
    }
    if !serves(&[param]) {
        return put(param, &param.detach().clamp(low, high)?);
    }
    in_place(param, |p| p.iter_mut().for_each(|p| *p = p.clamp(low as f32, high as f32)))
}
