//! What is computed to fill a tile changes nothing.

use candle_core::DType;
use l0_rng::{Purpose, Stream};

use super::*;
use crate::{Builder, ClosedChannels, Mode, Net, Output, Params};

/// Two convolutions; `closed` says what the normalisation between them makes of a closed channel.
fn net(closed: ClosedChannels) -> Net {
    let mut b = Builder::image("image", 3, 6, 5);
    b.closed_channels(closed).conv2d_same("conv1", 40, 3, 1).batch_norm("bn").relu();
    b.conv2d_same("conv2", 4, 3, 1).global_avg_pool().linear("fc", 3);
    b.build().unwrap()
}

/// The output, then all gradients, then the running statistics that the pass teaches.
fn trained(net: &Net, params: &Params, masks: &Masks) -> Vec<Tensor> {
    let (noise, device) = (|name: &str| Stream::new(1, Purpose::Dropout, 0, 0, name), Device::Cpu);
    let xs = Stream::new(1, Purpose::Other, 0, 0, "images").normals(4 * 90);
    let xs = Tensor::from_vec(xs, (4, 3, 6, 5), &device).unwrap();
    let Output { ys, statistics } = net.forward(&params.weights(), &xs, masks, Mode::Train(&noise)).unwrap();
    let labels = Tensor::new(&[0u32, 1, 2, 1], &device).unwrap();
    let grads = l0_ops::backward(&l0_ops::cross_entropy(&ys, &labels).unwrap()).unwrap();
    let taught = Params::init(net, 1, &device).unwrap();
    taught.learn(&statistics).unwrap();
    let grads = params.iter().filter_map(|param| grads.get(param.var.as_tensor()).unwrap());
    std::iter::once(ys).chain(grads).chain(taught.iter().map(|param| param.var.as_detached_tensor())).collect()
}

#[test]
fn closed_units_that_fill_a_tile_change_nothing() {
    for closed in [ClosedChannels::Zero, ClosedChannels::Constant] {
        let net = net(closed);
        let params = Params::init(&net, 1, &Device::Cpu).unwrap();
        let z: Vec<f32> = (0..40).map(|unit| if unit % 4 == 1 { 0.5 } else { 0.0 }).collect();
        let mut masks = Masks::none(&net);
        let space = net.space(net.find("conv1").unwrap());
        masks.set(&net, space, Mask::Shared(Tensor::new(z, &Device::Cpu).unwrap())).unwrap();
        let expected = trained(&net, &params, &masks);
        masks.fill_tiles();
        assert_eq!((0..40).filter(|&unit| masks.is_open(space, unit)).count(), TILE);
        assert_eq!(masks.fillers(space).iter().filter(|&&fills| fills).count(), TILE - 10);
        let found = trained(&net, &params, &masks);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            let worst = (found - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            let worst = worst.to_dtype(DType::F32).unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 2e-6, "{closed:?}: {worst} in {:?}", expected.dims());
        }
    }
}
