//! Memory that kernels read and write, and tensors as they lie in it: channels last.

use candle_core::{DType, Device, Tensor, Var};
use half::bf16;
use l0_rng::{Purpose, Stream};

/// The type of a kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32 = 0,
    Bf16 = 1,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::F32, Kind::Bf16];

impl Kind {
    /// What the nearest number of this type is.
    pub(crate) fn round(self, x: f32) -> f32 {
        if self == Self::F32 { x } else { bf16::from_f32(x).to_f32() }
    }

    /// A tensor of such numbers, in `f32`.
    pub(crate) fn rounded(self, t: &Tensor) -> Tensor {
        let there = if self == Self::F32 { DType::F32 } else { DType::BF16 };
        t.to_dtype(there).unwrap().to_dtype(DType::F32).unwrap()
    }

    /// How far a result may be from one in `f32`, relative to the largest number.
    pub(crate) fn tolerance(self) -> f32 {
        if self == Self::F32 { 1e-5 } else { 1e-2 }
    }
}

/// Numbers in memory. Numbers on both sides that are none show a kernel that reads or writes too far.
#[derive(Clone)]
pub(crate) enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<u16>),
}

const GUARDS: usize = 16;
const GUARD: f32 = f32::from_bits(0x7fc1_0000);

impl Numbers {
    pub(crate) fn of(kind: Kind, values: &[f32]) -> Self {
        let all = [&[GUARD; GUARDS], values, &[GUARD; GUARDS]].concat();
        match kind {
            Kind::F32 => Self::F32(all),
            Kind::Bf16 => Self::Bf16(all.into_iter().map(|x| bf16::from_f32(x).to_bits()).collect()),
        }
    }

    pub(crate) fn f32(values: &[f32]) -> Self {
        Self::of(Kind::F32, values)
    }

    /// Room for `n` numbers, none of which is one yet.
    pub(crate) fn unset(kind: Kind, n: usize) -> Self {
        Self::of(kind, &vec![f32::NAN; n])
    }

    pub(crate) fn at<T>(&self) -> *const T {
        match self {
            Self::F32(all) => all[GUARDS..].as_ptr().cast(),
            Self::Bf16(all) => all[GUARDS..].as_ptr().cast(),
        }
    }

    pub(crate) fn at_mut<T>(&mut self) -> *mut T {
        match self {
            Self::F32(all) => all[GUARDS..].as_mut_ptr().cast(),
            Self::Bf16(all) => all[GUARDS..].as_mut_ptr().cast(),
        }
    }

    /// The numbers in `f32`.
    pub(crate) fn values(&self) -> Vec<f32> {
        let all: Vec<f32> = match self {
            Self::F32(all) => all.clone(),
            Self::Bf16(all) => all.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect(),
        };
        let (before, rest) = all.split_at(GUARDS);
        let (values, after) = rest.split_at(rest.len() - GUARDS);
        let touched = before.iter().chain(after).any(|x| x.to_bits() != GUARD.to_bits());
        assert!(!touched, "a kernel wrote outside of its {} numbers", values.len());
        values.to_vec()
    }
}

/// The address of a list, or none.
pub(crate) fn at_or_null<T>(list: Option<&Vec<T>>) -> *const T {
    list.map_or(std::ptr::null(), |list| list.as_ptr())
}

/// Normal numbers; equal names and shapes give equal ones.
pub(crate) fn random(name: &str, dims: &[usize]) -> Tensor {
    let n = dims.iter().product();
    Tensor::from_vec(Stream::new(1, Purpose::Other, 0, 0, name).normals(n), dims, &Device::Cpu).unwrap()
}

pub(crate) fn variable(t: &Tensor) -> Var {
    Var::from_tensor(t).unwrap()
}

pub(crate) fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// (b, c, h, w) as it lies channels last, (b, h, w, c).
pub(crate) fn last(t: &Tensor) -> Vec<f32> {
    values(&t.permute((0, 2, 3, 1)).unwrap())
}

/// The gradients of `variables` where that of `ys` is `g`.
pub(crate) fn gradients<const N: usize>(ys: &Tensor, g: &Tensor, variables: [&Tensor; N]) -> [Tensor; N] {
    let grads = l0_ops::backward(&(ys * g).unwrap().sum_all().unwrap()).unwrap();
    variables.map(|variable| grads.get(variable).unwrap().unwrap())
}

/// Equal but for `tolerance` times the largest number.
#[track_caller]
pub(crate) fn close(what: &str, found: &Numbers, expected: &[f32], tolerance: f32) {
    let found = found.values();
    assert_eq!(found.len(), expected.len(), "{what}");
    let most = tolerance * expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= most;
        assert!(near, "{what}: found {found} at {i}, expected {expected} within {most}");
    }
}

/// Equal number by number, once `expected` is rounded to `kind`.
#[track_caller]
pub(crate) fn exact(what: &str, found: &Numbers, expected: &[f32], kind: Kind) {
    let expected: Vec<f32> = expected.iter().map(|&x| kind.round(x)).collect();
    assert_eq!(found.values(), expected, "{what}");
}
