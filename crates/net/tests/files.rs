//! A file gives back the network it was written from, or a message that says what is wrong with it; never a panic.
#![allow(missing_docs)]

mod common;

use candle_core::{DType, Device, Tensor};
use common::*;
use l0_files::{Sha256, sha256};
use l0_net::{Card, Error, Existing, FileProblem, GatedModel, Masks, Mode, Model, Params, Role, Weights};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn model(seed: u64) -> Model {
    let net = random_net(seed);
    let params = random_params(&net, seed);
    let (masks, _) = random_masks(&net, seed, 0.6, false);
    net.compact(&params.detached(), &masks).unwrap()
}

fn card() -> Card {
    let outcome = [("epochs".to_string(), json!(200)), ("test error".to_string(), json!(0.9))].into();
    Card { estimator: Some("mean".into()), data: Some("sha256:12".into()), outcome, ..Card::default() }
}

fn same(a: &Weights, b: &Weights) {
    let flat = |w: &Weights| -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let all = w.iter().map(|(n, t)| (n.into(), t.dims().into(), t.flatten_all().unwrap().to_vec1().unwrap()));
        all.collect()
    };
    assert_eq!(flat(a), flat(b));
}

#[test]
fn reloaded_networks_are_the_same() {
    for seed in 0..40 {
        let model = model(seed);
        let bytes = model.to_bytes(&card()).unwrap();
        let (loaded, read) = Model::from_bytes(&bytes, &Device::Cpu).unwrap();
        assert_eq!((&loaded.net, &loaded.kept, read), (&model.net, &model.kept, card()));
        same(&loaded.weights, &model.weights);
        let xs = random_input(&model.net, seed, 3);
        assert_eq!(difference(&model.forward(&xs).unwrap(), &loaded.forward(&xs).unwrap()), 0.0);
        assert_eq!(loaded.to_bytes(&card()).unwrap(), bytes, "equal contents make equal files");
        assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok());
    }
}

#[test]
fn a_gated_network_keeps_its_gates_and_can_be_compacted_again() -> Any {
    let net = random_net(1);
    let mut params: Params = random_params(&net, 1);
    params.insert("conv0.log_alpha", Role::Mask, &Tensor::new(&[0.5f32, -1.0], &Device::Cpu)?)?;
    let gates = json!([{ "layer": "conv0", "side": "output", "lambda": 0.1 }]);
    let gated = GatedModel { net: net.clone(), weights: params.detached(), gates };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gated.safetensors");
    gated.save(&path, &card(), Existing::Keep)?;
    let (loaded, _) = GatedModel::load(&path, &Device::Cpu)?;
    assert_eq!((loaded.gates, loaded.net), (gated.gates, gated.net));
    same(&loaded.weights, &gated.weights);
    let (masks, _) = random_masks(&net, 1, 0.5, true);
    let xs = random_input(&net, 1, 2);
    let gated = net.forward(&params.detached(), &xs, &masks, Mode::Eval)?.ys;
    assert!(difference(&gated, &net.compact(&loaded.weights, &masks)?.forward(&xs)?) < 1e-5);
    // Each kind says what it is when it is taken for the other.
    let problem = Model::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(problem.contains("holds a gated network, expected a plain network"), "{problem}");
    assert_eq!(l0_net::read_card(&path)?.0, l0_net::Kind::Gated);
    Ok(())
}

#[test]
fn a_file_is_never_overwritten_unless_asked_nor_left_half_written() -> Any {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    model(1).save(&path, &card(), Existing::Keep)?;
    let first = std::fs::read(&path)?;
    assert!(matches!(model(2).save(&path, &card(), Existing::Keep), Err(Error::Exists(_))));
    assert_eq!(std::fs::read(&path)?, first);
    model(2).save(&path, &card(), Existing::Replace)?;
    assert_ne!(std::fs::read(&path)?, first);
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "no temporary file is left");
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    let nowhere = message(model(1).save(folder.path().join("no/such/file"), &card(), Existing::Keep));
    assert!(nowhere.contains("no/such/file: cannot be written: No such file"), "{nowhere}");
    let inside = message(model(1).save(path.join("file"), &card(), Existing::Keep));
    assert!(inside.contains("model.safetensors/file: cannot be written: Not a directory"), "{inside}");
    let over = message(model(1).save(folder.path(), &card(), Existing::Replace));
    assert!(over.contains("cannot be written: Is a directory"), "{over}");
    let as_file = message(Model::load(folder.path(), &Device::Cpu).map(drop));
    assert!(as_file.contains("cannot be read: Is a directory"), "{as_file}");
    let sparse = folder.path().join("sparse");
    std::fs::File::create(&sparse)?.set_len(1 << 40)?;
    assert!(Model::load(&sparse, &Device::Cpu).unwrap_err().to_string().contains("at most"));
    let none = message(Model::load(folder.path().join("none"), &Device::Cpu).map(drop));
    assert!(none.contains("none: cannot be read: No such file"), "{none}");
    Ok(())
}

/// A file as its header and its tensors.
fn parts(bytes: &[u8]) -> (Value, Vec<u8>) {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + n]).unwrap(), bytes[8 + n..].to_vec())
}

fn joined(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat()
}

/// The file as another program may save it: its tensors in the order of their names, or the other way round, its header
/// padded with spaces.
fn saved_again(bytes: &[u8], backwards: bool) -> Vec<u8> {
    let (mut header, data) = parts(bytes);
    let mut moved = Vec::new();
    let mut infos: Vec<&mut Value> = header
        .as_object_mut()
        .unwrap()
        .iter_mut()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(_, info)| info)
        .collect();
    if backwards {
        infos.reverse();
    }
    for info in infos {
        let offset = |i: usize| info["data_offsets"][i].as_u64().unwrap() as usize;
        let values = &data[offset(0)..offset(1)];
        info["data_offsets"] = json!([moved.len(), moved.len() + values.len()]);
        moved.extend_from_slice(values);
    }
    let header = format!("{header}{}", " ".repeat(13)).into_bytes();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), &moved].concat()
}

#[test]
fn a_file_that_was_saved_again_is_the_same_unless_a_bit_changed() -> Any {
    for backwards in [false, true] {
        for seed in 0..10 {
            let bytes = model(seed).to_bytes(&card())?;
            let mut again = saved_again(&bytes, backwards);
            let (loaded, read) = Model::from_bytes(&again, &Device::Cpu)?;
            assert_eq!(loaded.to_bytes(&read)?, bytes);
            *again.last_mut().unwrap() ^= 1;
            let problem = Model::from_bytes(&again, &Device::Cpu).unwrap_err().to_string();
            assert!(problem.contains("damaged or changed"), "{problem}");
        }
        let net = random_net(1);
        let mut params: Params = random_params(&net, 1);
        for (name, value) in [("conv0.log_alpha", 0.5f32), ("input.log_alpha", 1.0), ("extra", 2.0)] {
            params.insert(name, Role::Mask, &Tensor::new(&[value], &Device::Cpu)?)?;
        }
        let bytes = GatedModel { net, weights: params.detached(), gates: json!([]) }.to_bytes(&card())?;
        let (loaded, read) = GatedModel::from_bytes(&saved_again(&bytes, backwards), &Device::Cpu)?;
        assert_eq!(loaded.to_bytes(&read)?, bytes);
    }
    Ok(())
}

/// Until now the digest of a gated network followed the order of the file, with the gates as they were placed.
#[test]
fn files_with_gates_in_another_order_are_still_read() -> Any {
    let net = small().net;
    let mut params = random_params(&net, 1);
    for name in ["out.log_alpha", "fc1.log_alpha"] {
        params.insert(name, Role::Mask, &Tensor::new(&[0.5f32], &Device::Cpu)?)?;
    }
    let gated = GatedModel { net, weights: params.detached(), gates: json!([]) };
    let (mut header, data) = parts(&saved_again(&gated.to_bytes(&card())?, true));
    header["__metadata__"]["sha256"] = json!(digest_as_it_lies(&header, &data));
    let (loaded, _) = GatedModel::from_bytes(&joined(&header, &data), &Device::Cpu)?;
    assert_eq!(loaded.to_bytes(&card())?, gated.to_bytes(&card())?);
    Ok(())
}

/// The digest of a file's metadata and of its tensors in the order in which they lie.
fn digest_as_it_lies(header: &Value, data: &[u8]) -> String {
    let mut sum = Sha256::new();
    let mut add = |bytes: &[u8]| {
        sum.update(&(bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    };
    let metadata = header["__metadata__"].as_object().unwrap();
    let entries: BTreeMap<&String, &Value> = metadata.iter().filter(|(key, _)| *key != "sha256").collect();
    for (key, value) in entries {
        add(key.as_bytes());
        add(value.as_str().unwrap().as_bytes());
    }
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let offset = |info: &Value, i: usize| info["data_offsets"][i].as_u64().unwrap() as usize;
    let placed: BTreeMap<usize, (&String, &Value)> =
        tensors.map(|(name, info)| (offset(info, 0), (name, info))).collect();
    for (start, (name, info)) in placed {
        add(name.as_bytes());
        let shape: Vec<u64> = info["shape"].as_array().unwrap().iter().map(|dim| dim.as_u64().unwrap()).collect();
        add(format!("{shape:?}").as_bytes());
        add(&data[start..offset(info, 1)]);
    }
    sum.hex()
}

/// What reading says of a file whose header and tensors were edited.
fn refused(edit: impl FnOnce(&mut Value, &mut Vec<u8>)) -> FileProblem {
    let (mut header, mut data) = parts(&small().to_bytes(&card()).unwrap());
    edit(&mut header, &mut data);
    match Model::from_bytes(&joined(&header, &data), &Device::Cpu) {
        Err(Error::File { problem, .. }) => *problem,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// Two layers whose tensors are fc1.weight (3, 4), fc1.bias (3), out.weight (2, 3) and out.bias (2), in this order.
fn small() -> Model {
    let mut b = l0_net::Builder::features("input", 4);
    b.linear("fc1", 3).relu().linear("out", 2);
    let net = b.build().unwrap();
    let weights = random_params(&net, 1).detached();
    Model::new(net, weights).unwrap()
}

fn edit_net(header: &mut Value, edit: impl FnOnce(&mut Value)) {
    let mut net: Value = serde_json::from_str(header["__metadata__"]["net"].as_str().unwrap()).unwrap();
    edit(&mut net);
    header["__metadata__"]["net"] = Value::String(net.to_string());
}

#[test]
fn refusals_name_the_tensor_and_both_shapes() {
    let said = |problem: FileProblem, expected: &str| {
        let problem = problem.to_string();
        assert!(problem.contains(expected), "expected {expected:?} in {problem:?}");
    };
    said(
        refused(|h, _| h["fc1.weight"]["shape"] = json!([4, 3])),
        r#"tensor "fc1.weight" has shape [4, 3], expected [3, 4]"#,
    );
    said(refused(|h, _| h["out.weight"]["dtype"] = json!("I32")), r#"tensor "out.weight" has dtype I32, expected F32"#);
    let missing = |h: &mut Value, d: &mut Vec<u8>| {
        let removed = h.as_object_mut().unwrap().remove("out.bias").unwrap();
        d.truncate(removed["data_offsets"][0].as_u64().unwrap() as usize);
    };
    said(refused(missing), r#"lacks the tensor "out.bias" of shape [2]"#);
    let extra = |h: &mut Value, d: &mut Vec<u8>| {
        h["more"] = json!({ "dtype": "F32", "shape": [1], "data_offsets": [d.len(), d.len() + 4] });
        d.extend([0; 4]);
    };
    said(refused(extra), r#"tensor "more" of shape [1] that its description does not ask for; known are fc1.bias"#);
    said(refused(|_, d| d[5] ^= 1), "sha256");
    said(refused(|h, _| h["__metadata__"]["card"] = json!("{}")), "sha256");
    said(refused(|_, d| d.truncate(20)), "has ");
    said(refused(|_, d| d.push(0)), "cut off or damaged");
    said(refused(|h, _| h["__metadata__"]["version"] = json!("2")), r#"format version "2", this program reads 1"#);
    said(refused(|h, _| h["__metadata__"] = json!({ "format": "pt" })), r#"its format is "pt", expected "l0-net""#);
    said(refused(|h, _| _ = h.as_object_mut().unwrap().remove("__metadata__")), "no entry \"format\"");
    said(refused(|h, _| h["__metadata__"]["kind"] = json!("zoo")), "neither model nor checkpoint");
    said(refused(|h, _| h["fc1.bias"]["data_offsets"] = json!([0, 1u64 << 40])), "header is wrong");
}

/// Descriptions that ask for more than any machine has, in files of a few hundred bytes.
#[test]
fn absurd_descriptions_are_refused_before_room_is_made() {
    let wide = |n: u64| refused(move |h, _| edit_net(h, |net| net[1]["layer"]["out"] = json!(n)));
    assert!(matches!(wide(1 << 22), FileProblem::Shape { .. }));
    assert!(matches!(wide(1_000_000_000), FileProblem::Entry { key: "net", .. }));
    assert!(matches!(wide(u64::MAX), FileProblem::Entry { key: "net", .. }));
    let conv = |conv: Value| {
        refused(move |h, _| {
            edit_net(h, |net| {
                net[0]["layer"]["shape"] = json!([4, 5, 5]);
                net[1]["layer"] = conv;
            })
        })
    };
    let layer = |out: u64, kernel: u64, stride: u64, padding: u64| {
        let bias = true;
        json!({ "type": "conv2d", "out": out, "kernel": kernel, "stride": stride, "padding": padding, "bias": bias })
    };
    let max = u64::MAX;
    for absurd in [layer(max, 3, 1, 1), layer(1, max, 1, max - 1), layer(1, 3, 0, 1), layer(1, 3, 1, max / 2)] {
        assert!(matches!(conv(absurd), FileProblem::Entry { key: "net", .. }));
    }
    assert!(matches!(conv(layer(1, 3, max, 1)), FileProblem::Entry { .. } | FileProblem::Shape { .. }));
    let shape = |shape: Value| refused(move |h, _| edit_net(h, |net| net[0]["layer"]["shape"] = shape));
    for absurd in [json!([max]), json!([max, 2, 2]), json!([0]), json!([]), json!([1, 2])] {
        assert!(matches!(shape(absurd), FileProblem::Entry { key: "net", .. }));
    }
    let pool = |side: u64| {
        let ceil = json!({ "type": "max_pool2d", "size": side, "ceil": true });
        refused(move |h, _| {
            edit_net(h, |net| {
                net[0]["layer"]["shape"] = json!([4, 5, 5]);
                net[1]["layer"] = ceil;
            })
        })
    };
    [100_000, 1 << 31]
        .into_iter()
        .for_each(|side| assert!(matches!(pool(side), FileProblem::Entry { key: "net", .. })));
    let wide = refused(|h, _| edit_net(h, |net| net[0]["layer"]["shape"] = json!([1 << 28])));
    assert!(matches!(wide, FileProblem::Entry { key: "net", .. }));
    let deep = "[".repeat(100_000);
    assert!(matches!(refused(|h, _| h["__metadata__"]["net"] = json!(deep)), FileProblem::Entry { .. }));
    let mut huge = small().to_bytes(&card()).unwrap();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Model::from_bytes(&huge, &Device::Cpu).unwrap_err().to_string().contains("at most 16777216"));
    huge[..8].copy_from_slice(&(10u64 << 20).to_le_bytes());
    assert!(Model::from_bytes(&huge, &Device::Cpu).unwrap_err().to_string().contains("cut off"));
}

#[test]
fn kept_units_must_be_indices() -> Any {
    let kept = vec![l0_net::Kept { layer: "fc1".into(), of: 3, units: Some(vec![1, 1]) }];
    let bytes = Model { kept, ..small() }.to_bytes(&card())?;
    let problem = Model::from_bytes(&bytes, &Device::Cpu).unwrap_err().to_string();
    assert!(problem.contains("\"fc1\" are not ascending indices below 3"), "{problem}");
    Ok(())
}

#[test]
fn values_of_another_type_are_not_written() -> Any {
    let model = small();
    let doubles = model.weights.iter().map(|(_, t)| t.to_dtype(DType::F64)).collect::<Result<_, _>>()?;
    let model = Model { weights: model.weights.with(doubles)?, ..model };
    assert!(model.to_bytes(&card()).unwrap_err().to_string().contains("F64"));
    Ok(())
}

/// What one would take for the contents of a file: everything that its digest covers.
fn contents(bytes: &[u8]) -> Option<String> {
    let (model, card) = Model::from_bytes(bytes, &Device::Cpu).ok()?;
    Some(sha256(&model.to_bytes(&card).ok()?))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_refused_or_unchanged(
        seed in 0u64..6,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let original = model(seed).to_bytes(&card()).unwrap();
        let mut bytes = original.clone();
        flips.iter().for_each(|(at, xor)| bytes[at.index(original.len())] ^= xor);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(original.len()));
        }
        // White space, or the order of keys, may change without changing what the file says.
        if let Some(read) = contents(&bytes) {
            prop_assert_eq!(Some(read), contents(&original));
        }
    }

    #[test]
    fn headers_are_the_first_to_be_hit(seed in 0u64..6, at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let original = model(seed).to_bytes(&card()).unwrap();
        let header = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
        let mut bytes = original.clone();
        bytes[at.index(header)] = with;
        if let Some(read) = contents(&bytes) {
            prop_assert_eq!(Some(read), contents(&original));
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), honest in any::<bool>()) {
        let mut bytes = bytes;
        if honest && bytes.len() > 8 {
            let n = bytes.len() as u64 - 8;
            bytes[..8].copy_from_slice(&n.to_le_bytes());
        }
        prop_assert!(Model::from_bytes(&bytes, &Device::Cpu).is_err());
        prop_assert!(GatedModel::from_bytes(&bytes, &Device::Cpu).is_err());
    }

    #[test]
    fn gated_is_compact_is_reloaded(seed in any::<u64>(), share in 0f32..=1.0, all in any::<bool>()) {
        let net = random_net(seed);
        let params = random_params(&net, seed);
        let (masks, _) = random_masks(&net, seed, share, all);
        let xs = random_input(&net, seed, 3);
        let gated = net.forward(&params.detached(), &xs, &masks, Mode::Eval).unwrap().ys;
        let model = net.compact(&params.weights(), &masks).unwrap();
        let (loaded, _) = Model::from_bytes(&model.to_bytes(&card()).unwrap(), &Device::Cpu).unwrap();
        prop_assert!(difference(&gated, &loaded.forward(&xs).unwrap()) < 1e-5);
        let again = loaded.net.compact(&loaded.weights, &Masks::none(&loaded.net)).unwrap();
        prop_assert_eq!(again.net, loaded.net);
    }
}
