//! Batches of images from bytes.

use candle_core::Device;
use l0_data::{Normalise, Placement, Split};
use l0_rng::{Purpose, Stream};

use crate::launch::SOME;
use crate::numbers::{KINDS, Numbers, exact, last};

const MEAN: [f32; 3] = [125.3, 123.0, 113.9];
const STD: [f32; 3] = [63.0, 62.1, 66.7];
const SHAPE: (usize, usize, usize) = (3, 5, 4);

/// The second, third and first of four images, again and again, at every crop with padding 3 and both ways round.
fn placements() -> (Vec<u32>, Vec<Placement>) {
    let at = |i: isize| Placement { down: i / 7 % 7 - 3, right: i % 7 - 3, flip: i / 49 == 1 };
    ((0..98).map(|i| (i + 1) % 3).collect(), (0..98).map(at).collect())
}

#[test]
fn images_are_gathered_moved_mirrored_and_normalised() {
    let bytes = Stream::new(1, Purpose::Other, 0, 0, "bytes").uniforms(4 * 60);
    let bytes: Vec<u8> = bytes.iter().map(|x| (x * 255.0) as u8).collect();
    let split = Split::new(bytes.clone(), vec![0; 4], SHAPE, 1).unwrap();
    let normalise = Normalise::new(MEAN.to_vec(), STD.to_vec()).unwrap();
    let (indices, placed) = placements();
    let numbers = placed.iter().flat_map(|p| [p.down as i32, p.right as i32, i32::from(p.flip)]);
    let numbers: Vec<i32> = numbers.collect();
    for (placed, places) in [(Some(placed.as_slice()), numbers.as_ptr()), (None, std::ptr::null())] {
        let expected = split.batch(&indices, &normalise, placed, &Device::Cpu).unwrap().images;
        for kind in KINDS {
            let mut ys = Numbers::unset(kind, expected.elem_count());
            let (bytes, indices, batch) = (bytes.as_ptr(), indices.as_ptr(), indices.len() as i64);
            let (mean, std) = (MEAN.as_ptr(), STD.as_ptr());
            launch!(SOME, images(ys.at_mut(), kind as i32, bytes, indices, places, mean, std, batch, 3, 5, 4));
            exact("images", &ys, &last(&expected), kind);
        }
    }
}
