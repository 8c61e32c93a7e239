//! Images from bytes: gathered, moved, mirrored and normalised in one pass, on the device that holds the bytes.

use candle_core::{DType, Device, Result, Tensor, bail};

/// Where an image of a batch comes from and lands: rows and columns that move in are raw black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Which image it is.
    pub index: u32,
    /// Row of the image that becomes the first row; negative or past the end means black.
    pub down: i32,
    /// Column that becomes the first column, before mirroring.
    pub right: i32,
    /// Whether the cropped image is then mirrored left to right.
    pub flip: bool,
}

/// A batch of images, (b, c, h, w) of `dtype`, of bytes (n, c, h, w) on a GPU: `(pixel - mean) / std` for each channel.
///
/// # Errors
/// If the bytes are not on a GPU or not (n, c, h, w) of u8, an index is not below n, means and standard deviations are not one
/// for each channel, or the type is neither F32 nor BF16.
pub fn images(bytes: &Tensor, placed: &[Placed], mean: &[f32], std: &[f32], dtype: DType) -> Result<Tensor> {
    let (n, c, _, _) = bytes.dims4()?;
    if bytes.dtype() != DType::U8 {
        bail!("images: bytes are {:?}, expected U8", bytes.dtype())
    }
    if mean.len() != c || std.len() != c {
        bail!("images: found {} means and {} standard deviations, expected {c} of each", mean.len(), std.len())
    }
    if let Some(placed) = placed.iter().find(|placed| placed.index as usize >= n) {
        bail!("images: found image {}, expected images below {n}", placed.index)
    }
    if !matches!(dtype, DType::F32 | DType::BF16) {
        bail!("images: the type is {dtype:?}, expected F32 or BF16")
    }
    on_device(bytes, placed, mean, std, dtype)
}

#[cfg(feature = "cuda")]
fn on_device(bytes: &Tensor, placed: &[Placed], mean: &[f32], std: &[f32], dtype: DType) -> Result<Tensor> {
    let Device::Cuda(_) = bytes.device() else { bail!("images: the bytes are not on a GPU") };
    let on = bytes.device();
    let indices: Vec<u32> = placed.iter().map(|placed| placed.index).collect();
    let places = placed.iter().flat_map(|placed| [placed.down as u32, placed.right as u32, u32::from(placed.flip)]);
    let places = Tensor::new(places.collect::<Vec<u32>>(), on)?;
    let (mean, std) = (Tensor::new(mean, on)?, Tensor::new(std, on)?);
    crate::cuda::images(bytes, &Tensor::new(indices, on)?, Some(&places), (&mean, &std), dtype)
}

#[cfg(not(feature = "cuda"))]
fn on_device(bytes: &Tensor, _: &[Placed], _: &[f32], _: &[f32], _: DType) -> Result<Tensor> {
    let Device::Cpu = bytes.device() else { bail!("images: the device is not one that this program was built for") };
    bail!("images: the bytes are not on a GPU")
}
