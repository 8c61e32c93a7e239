//! What does not belong to a network is refused with the names of both.
#![allow(missing_docs)]

mod common;

use candle_core::{Device, Tensor};
use l0_net::Mask::{PerExample, Shared};
use l0_net::{Builder, ClosedChannels, Masks, Net};

#[test]
fn masks_that_do_not_fit_are_refused() {
    let chain = |units: usize| {
        let mut b = Builder::features("xs", 3);
        b.linear("fc", units).closed_channels(ClosedChannels::Zero).batch_norm("bn").relu().linear("out", 2);
        b.build().unwrap()
    };
    let net = chain(4);
    let ones = |dims: &[usize]| Tensor::ones(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
    let message = |result: l0_net::Result<()>| result.unwrap_err().to_string();
    let mut masks = Masks::none(&net);
    let mut set = |space, mask| masks.set(&net, space, mask);
    assert_eq!(message(set(1, Shared(ones(&[5])))), "\"mask of fc\" has shape [5], expected [4]");
    let error = "mask of \"fc\": has shape [4], expected [batch, 4], a row for each example";
    assert_eq!(message(set(1, PerExample(ones(&[4])))), error);
    assert_eq!(message(set(7, Shared(ones(&[4])))), "there is no space \"7\"; there is xs, fc, out");
    set(1, PerExample(ones(&[2, 4]))).unwrap();
    let error = "mask of \"fc\": the space is masked already; a space takes one mask";
    assert_eq!(message(set(1, Shared(ones(&[4])))), error);

    let forward = |net: &Net, batch: usize| {
        let weights = common::random_params(net, 1).detached();
        net.forward(&weights, &ones(&[batch, 3]), &masks, l0_net::Mode::Eval).map(drop)
    };
    assert_eq!(message(forward(&net, 3)), "\"mask of fc\" has shape [2, 4], expected [3, 4]");
    let error = message(forward(&net, 2));
    assert!(error.contains("mask of \"fc\": differs between examples") && error.contains("\"bn\""), "{error}");
    let other = "mask of \"fc\": is for 4 units, expected 6; these masks are of another network";
    assert_eq!(message(forward(&chain(6), 2)), other);
    let weights = common::random_params(&chain(6), 1).detached();
    assert_eq!(message(chain(6).compact(&weights, &masks).map(drop)), other);
    let mut short = Builder::features("xs", 3);
    short.linear("fc", 4);
    let error = message(forward(&short.build().unwrap(), 2));
    assert_eq!(error, "found 3 spaces of masks, expected 2, those of the network");
}

#[test]
fn a_mask_that_varies_is_noticed_behind_a_flattening() {
    let mut b = Builder::image("xs", 1, 4, 4);
    b.conv2d("conv", 3, 3).flatten("flat").closed_channels(ClosedChannels::Zero).batch_norm("bn").linear("out", 2);
    let net = b.build().unwrap();
    let ones = |dims: &[usize]| Tensor::ones(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
    let weights = common::random_params(&net, 1).detached();
    let forward = |mask| {
        let mut masks = Masks::none(&net);
        masks.set(&net, 1, mask).unwrap();
        net.forward(&weights, &ones(&[2, 1, 4, 4]), &masks, l0_net::Mode::Eval)
    };
    let error = forward(PerExample(ones(&[2, 3]))).unwrap_err().to_string();
    assert!(error.contains("differs between examples") && error.contains("\"bn\""), "{error}");
    assert!(forward(Shared(ones(&[3]))).is_ok());
}

#[test]
fn a_chain_ends_with_the_layer_added_last() {
    let mut b = Builder::features("xs", 3);
    b.linear("fc", 4);
    let hidden = b.tip();
    b.linear("out", 2).at(hidden);
    let error = b.build().unwrap_err().to_string();
    assert!(error.starts_with("node \"fc\": is where the chain stands, but \"out\" was added last"), "{error}");
    assert!(b.relu().build().is_ok());
}

#[test]
fn parameters_of_one_name_are_told_apart_from_nodes() {
    let one = || ("a.weight".to_string(), Tensor::ones(1, candle_core::DType::F32, &Device::Cpu).unwrap());
    let error = l0_net::Weights::new(vec![one(), one()]).unwrap_err().to_string();
    assert_eq!(error, "two parameters are named \"a.weight\"; names are their keys and must differ");
}
