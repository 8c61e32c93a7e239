//! Which sets of gates a network can have, and which not.
#![allow(missing_docs)]

use l0::{Lambda, Network, Placement, Side};
use l0_net::{Builder, Net};

fn net() -> Net {
    let mut b = Builder::image("image", 1, 4, 4);
    b.conv2d("conv1", 2, 1).relu().conv2d("conv2", 3, 1).relu().flatten("features").linear("fc", 2);
    b.build().unwrap()
}

fn gated(placements: &[(&str, Side)]) -> Result<Network, l0_net::Error> {
    let placement = |&(layer, side): &(&str, Side)| Placement {
        layer: layer.into(),
        side,
        droprate_init: 0.5,
        lambda: Lambda::PerWeight(0.1),
        weight_decay: 0.0,
    };
    Network::new(net(), &placements.iter().map(placement).collect::<Vec<_>>())
}

#[test]
fn every_space_and_every_layer_has_one_set() {
    let network = gated(&[("conv1", Side::Output), ("conv2", Side::Output), ("fc", Side::Input)]).unwrap();
    let params = network.init(1, &candle_core::Device::Cpu).unwrap();
    assert_eq!(network.gated_units(), [2, 3, 48]);
    assert_eq!(params.get("fc.log_alpha").unwrap().var.dims(), [48]);

    let error = gated(&[("conv2", Side::Input), ("conv2", Side::Output)]).unwrap_err().to_string();
    let expected = "node \"conv2\": has gates on its input already; a layer holds one set, \"conv2.log_alpha\"; gate its \
                    output units as those of the layer next to it";
    assert_eq!(error, expected);
    let error = gated(&[("conv1", Side::Output), ("conv2", Side::Input)]).unwrap_err().to_string();
    let expected = "node \"conv2\": its gates are on the units of \"conv1\", which \"conv1\" gates already";
    assert_eq!(error, expected);
    assert!(gated(&[("features", Side::Output)]).is_err());
}
