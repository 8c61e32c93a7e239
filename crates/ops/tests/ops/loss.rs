use crate::support::{Array, check, message};
use candle_core::{Device, Tensor};
use l0_ops::portable;

fn case(b: usize, classes: usize, shift: f32) {
    let mut logits = Array::normal("logits", &[b, classes]);
    logits.data.iter_mut().for_each(|x| *x = 5.0 * *x + shift);
    let labels: Vec<u32> = (0..b).map(|n| (n * 7 % classes) as u32).collect();
    let tensor = Tensor::new(labels.as_slice(), &Device::Cpu).unwrap();
    check(
        &format!("cross_entropy {b}x{classes}"),
        &[logits],
        &|t| l0_ops::cross_entropy(&t[0], &tensor),
        &|t| portable::cross_entropy(&t[0], &tensor),
        &|xs| {
            let losses = xs[0].chunks(classes).zip(&labels).map(|(row, &label)| {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.iter().map(|x| (x - largest).exp()).sum::<f64>().ln() + largest - row[label as usize]
            });
            vec![losses.sum::<f64>() / b as f64]
        },
    );
}

#[test]
fn cross_entropy() {
    case(1, 1, 0.0);
    case(1, 2, 0.0);
    case(7, 10, 0.0);
    case(100, 10, 50.0);
    case(3, 33, -200.0);
}

#[test]
fn bad_labels_are_an_error() {
    let logits = Array::normal("x", &[2, 3]).tensor();
    let labels = |v: &[u32]| Tensor::new(v, &Device::Cpu).unwrap();
    let text = message(l0_ops::cross_entropy(&logits, &labels(&[0, 3])));
    assert!(text.contains("found label 3, expected labels below 3"), "{text}");
    let text = message(l0_ops::cross_entropy(&logits, &labels(&[0])));
    assert!(text.contains("labels has shape [1], expected [2]"), "{text}");
}
