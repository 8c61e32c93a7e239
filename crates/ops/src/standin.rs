#![allow(missing_docs)]
use crate::Epilogue;
use candle_core::{Result, Tensor, bail};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSettings {
    pub stride: (usize, usize),
    pub padding: [usize; 4],
    pub dilation: (usize, usize),
    pub groups: usize,
}
pub fn conv(xs: &Tensor, w: &Tensor, b: Option<&Tensor>, s: &ConvSettings, e: Epilogue) -> Result<Tensor> {
    if s.groups != 1 || s.dilation != (1, 1) {
        bail!("standin")
    }
    crate::conv2d_epilogue(xs, w, b, s.stride.0, s.padding[0], e)
}
pub struct TransposedSettings {
    pub stride: (usize, usize),
    pub padding: [usize; 4],
    pub output_padding: (usize, usize),
    pub dilation: (usize, usize),
    pub groups: usize,
}
pub fn conv_transpose(_: &Tensor, _: &Tensor, _: Option<&Tensor>, _: &TransposedSettings) -> Result<Tensor> {
    bail!("standin")
}
pub struct Window {
    pub size: (usize, usize),
    pub stride: (usize, usize),
    pub padding: [usize; 4],
    pub ceil: bool,
}
impl Window {
    pub fn output(&self, h: usize, w: usize) -> Option<(usize, usize)> {
        let side = |n: usize, k: usize, s: usize, p: usize| (n + p).checked_sub(k)?.checked_div(s).map(|n| n + 1);
        Some((
            side(h, self.size.0, self.stride.0, self.padding[0] + self.padding[2])?,
            side(w, self.size.1, self.stride.1, self.padding[1] + self.padding[3])?,
        ))
    }
}
pub fn max_pool(xs: &Tensor, w: &Window) -> Result<Tensor> {
    xs.max_pool2d_with_stride(w.size, w.stride)
}
pub fn avg_pool_window(xs: &Tensor, w: &Window, _: bool) -> Result<Tensor> {
    xs.avg_pool2d_with_stride(w.size, w.stride)
}
pub fn global_max_pool(_: &Tensor) -> Result<Tensor> {
    bail!("standin")
}
