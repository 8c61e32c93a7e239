//! Cross-entropy.

use candle_core::{Device, Tensor};

use crate::launch::SOME;
use crate::numbers::{Kind, Numbers, close, random, values, variable};

#[test]
fn losses_and_their_gradient() {
    let (batch, classes) = (13, 10);
    let logits = variable(&(random("logits", &[batch, classes]) * 30.0).unwrap());
    let labels: Vec<u32> = (0..batch as u32).map(|i| i * 7 % 10).collect();
    let loss = l0_ops::cross_entropy(&logits, &Tensor::new(labels.as_slice(), &Device::Cpu).unwrap()).unwrap();

    let (xs, mut losses) = (Numbers::f32(&values(&logits)), Numbers::unset(Kind::F32, batch));
    launch!(SOME, cross_entropy(losses.at_mut(), xs.at(), labels.as_ptr(), batch as i64, classes as i32));
    let mean = losses.values().iter().sum::<f32>() / batch as f32;
    close("loss", &Numbers::f32(&[mean]), &values(&loss), 1e-5);

    let (g, mut dx) = (Numbers::f32(&[1.5]), Numbers::unset(Kind::F32, batch * classes));
    launch!(SOME, cross_entropy_back(dx.at_mut(), xs.at(), labels.as_ptr(), g.at(), batch as i64, classes as i32));
    let grads = l0_ops::backward(&(loss * 1.5).unwrap()).unwrap();
    close("gradient", &dx, &values(&grads.get(&logits).unwrap().unwrap()), 1e-5);
}

#[test]
fn a_label_that_is_no_class_gives_not_a_number() {
    let (xs, labels, mut losses) = (Numbers::f32(&[1.0, 2.0, 3.0, 4.0]), [2, 1], Numbers::unset(Kind::F32, 2));
    launch!(SOME, cross_entropy(losses.at_mut(), xs.at(), labels.as_ptr(), 2, 2));
    assert_eq!(losses.values().iter().map(|loss| loss.is_nan()).collect::<Vec<_>>(), [true, false]);
}
