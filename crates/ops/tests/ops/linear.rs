use crate::support::{Array, check, message};
use l0_ops::portable;

fn naive(xs: &[Vec<f64>], b: usize, i: usize, o: usize, relu: bool) -> Vec<f64> {
    let mut ys = Vec::new();
    for n in 0..b {
        for out in 0..o {
            let bias = xs.get(2).map_or(0.0, |bias| bias[out]);
            let y = bias + (0..i).map(|k| xs[0][n * i + k] * xs[1][out * i + k]).sum::<f64>();
            ys.push(if relu { y.max(0.0) } else { y });
        }
    }
    ys
}

fn case(b: usize, i: usize, o: usize, relu: bool, bias: bool) {
    let mut inputs = vec![Array::normal("xs", &[b, i]), Array::normal("weight", &[o, i])];
    inputs.extend(bias.then(|| Array::normal("bias", &[o])));
    let op = if relu { l0_ops::linear_relu } else { l0_ops::linear };
    let other = if relu { portable::linear_relu } else { portable::linear };
    let name = format!("linear {b}x{i}->{o} relu {relu} bias {bias}");
    check(&name, &inputs, &|t| op(&t[0], &t[1], t.get(2)), &|t| other(&t[0], &t[1], t.get(2)), &|xs| {
        naive(xs, b, i, o, relu)
    });
}

#[test]
fn small_and_odd() {
    for (b, i, o) in [(1, 1, 1), (1, 5, 3), (3, 1, 2), (2, 7, 1), (7, 33, 17), (5, 3, 40)] {
        for (relu, bias) in [(false, false), (true, false), (false, true), (true, true)] {
            case(b, i, o, relu, bias);
        }
    }
}

#[test]
fn as_the_networks_use_it() {
    case(100, 219, 214, true, true);
    case(100, 300, 100, true, true);
    case(100, 65, 25, false, true);
    case(400, 64, 40, true, true);
}

#[test]
fn zero_units() {
    for (b, i, o) in [(3, 0, 2), (3, 2, 0), (0, 2, 2)] {
        let (xs, weight) = (Array::normal("x", &[b, i]), Array::normal("w", &[o, i]));
        let ys = l0_ops::linear(&xs.tensor(), &weight.tensor(), Some(&Array::normal("b", &[o]).tensor())).unwrap();
        assert_eq!(ys.dims(), [b, o]);
    }
    let bias = Array::normal("b", &[2]);
    let ys = l0_ops::linear(
        &Array::normal("x", &[1, 0]).tensor(),
        &Array::normal("w", &[2, 0]).tensor(),
        Some(&bias.tensor()),
    );
    assert_eq!(ys.unwrap().to_vec2::<f32>().unwrap()[0], bias.data);
}

#[test]
fn errors_name_both_shapes() {
    let (xs, weight) = (Array::normal("x", &[2, 3]).tensor(), Array::normal("w", &[4, 5]).tensor());
    let text = message(l0_ops::linear(&xs, &weight, None));
    assert!(text.contains("linear: weight has shape [4, 5], expected [4, 3]"), "{text}");
}
