use crate::support::{Array, check, message};
use l0_ops::{Epilogue, portable};
use l0_rng::{Purpose, Stream};

#[derive(Debug, Clone, Copy)]
struct Case {
    b: usize,
    channels: (usize, usize),
    image: (usize, usize),
    kernel: (usize, usize),
    stride: usize,
    padding: usize,
    relu: bool,
    pool: usize,
}

impl Case {
    fn maps(&self) -> (usize, usize) {
        let of = |n: usize, k: usize| (n + 2 * self.padding - k) / self.stride + 1;
        (of(self.image.0, self.kernel.0), of(self.image.1, self.kernel.1))
    }

    fn map(&self, xs: &[Vec<f64>], n: usize, o: usize) -> Vec<f64> {
        let ((ic, oc), (ih, iw), (kh, kw)) = (self.channels, self.image, self.kernel);
        let (oh, ow) = self.maps();
        let bias = |at: usize| xs.get(2).map_or(0.0, |b| if b.len() > oc { b[o * oh * ow + at] } else { b[o] });
        let mut map: Vec<f64> = (0..oh * ow).map(bias).collect();
        for (at, a) in map.iter_mut().enumerate() {
            for k in 0..ic * kh * kw {
                let (i, u, v) = (k / (kh * kw), k / kw % kh, k % kw);
                let (y, x) = (at / ow * self.stride + u, at % ow * self.stride + v);
                if (self.padding..ih + self.padding).contains(&y) && (self.padding..iw + self.padding).contains(&x) {
                    let pixel = ((n * ic + i) * ih + y - self.padding) * iw + x - self.padding;
                    *a += xs[0][pixel] * xs[1][o * ic * kh * kw + k];
                }
            }
            *a = if self.relu { a.max(0.0) } else { *a };
        }
        map
    }

    fn naive(&self, xs: &[Vec<f64>]) -> Vec<f64> {
        let (_, ow) = self.maps();
        let mut ys = Vec::new();
        for n in 0..self.b {
            for o in 0..self.channels.1 {
                ys.extend(crate::pool::max_pool(&self.map(xs, n, o), ow, self.pool));
            }
        }
        ys
    }

    fn check(&self, bias: bool) {
        let (oc, (oh, ow)) = (self.channels.1, self.maps());
        self.check_bias(bias.then(|| Array::normal("bias", &[oc])));
        if bias && oh * ow > 1 {
            self.check_bias(Some(Array::normal("bias", &[oc, oh, ow])));
        }
    }

    fn check_bias(&self, bias: Option<Array>) {
        let (ic, oc) = self.channels;
        let mut inputs = vec![
            Array::normal("xs", &[self.b, ic, self.image.0, self.image.1]),
            Array::normal("weight", &[oc, ic, self.kernel.0, self.kernel.1]),
        ];
        let name = format!("{self:?} bias {:?}", bias.as_ref().map(|b| &b.dims));
        inputs.extend(bias);
        let epilogue = Epilogue { relu: self.relu, max_pool: self.pool };
        let op = |t: &[candle_core::Tensor]| {
            l0_ops::conv2d_epilogue(&t[0], &t[1], t.get(2), self.stride, self.padding, epilogue)
        };
        let other = |t: &[candle_core::Tensor]| {
            portable::conv2d_epilogue(&t[0], &t[1], t.get(2), self.stride, self.padding, epilogue)
        };
        check(&name, &inputs, &op, &other, &|xs| self.naive(xs));
    }
}

fn case(b: usize, channels: (usize, usize), image: (usize, usize), k: usize, stride: usize, padding: usize) {
    let case = Case { b, channels, image, kernel: (k, k), stride, padding, relu: false, pool: 1 };
    case.check(false);
    Case { relu: true, ..case }.check(true);
    let (oh, ow) = case.maps();
    if oh >= 2 && ow >= 2 {
        Case { relu: true, pool: 2, ..case }.check(true);
        Case { relu: false, pool: 2, ..case }.check(true);
    }
}

#[test]
fn kernels_of_one() {
    case(1, (1, 1), (1, 1), 1, 1, 0);
    case(3, (5, 7), (4, 6), 1, 1, 0);
    case(9, (7, 3), (5, 4), 1, 2, 0);
    case(2, (2, 2), (3, 3), 1, 1, 1);
}

#[test]
fn kernels_of_three() {
    case(1, (1, 1), (3, 3), 3, 1, 0);
    case(7, (3, 9), (6, 5), 3, 1, 1);
    case(9, (9, 5), (7, 8), 3, 2, 1);
    case(2, (4, 6), (8, 7), 3, 2, 0);
    case(16, (6, 13), (5, 9), 3, 1, 2);
    case(17, (16, 16), (8, 8), 3, 1, 1);
    case(17, (33, 6), (6, 6), 3, 2, 1);
    case(5, (40, 33), (9, 7), 3, 1, 1);
}

/// Wide enough, and even in height and width: computed tile by tile.
#[test]
fn tiles_of_four_outputs() {
    case(8, (8, 8), (2, 2), 3, 1, 1);
    case(9, (11, 8), (4, 6), 3, 1, 0);
    case(5, (8, 13), (4, 4), 3, 1, 2);
    case(10, (16, 20), (18, 22), 3, 1, 1);
    case(8, (70, 40), (4, 4), 3, 1, 1);
}

/// Sides that four divides, and tiles enough: fewer multiplications yet.
#[test]
fn tiles_of_sixteen_outputs() {
    case(8, (8, 8), (8, 8), 3, 1, 1);
    case(9, (11, 8), (4, 16), 3, 1, 1);
    case(5, (8, 13), (8, 12), 3, 1, 3);
    case(19, (8, 20), (8, 8), 3, 1, 1);
}

#[test]
fn kernels_of_five() {
    case(1, (1, 2), (5, 5), 5, 1, 0);
    case(20, (1, 5), (12, 10), 5, 1, 0);
    case(11, (9, 18), (12, 12), 5, 1, 0);
    case(4, (3, 4), (9, 11), 5, 2, 2);
    case(33, (3, 2), (7, 6), 5, 1, 2);
}

#[test]
fn other_kernels_and_windows() {
    let case =
        Case { b: 9, channels: (3, 5), image: (9, 10), kernel: (3, 2), stride: 1, padding: 1, relu: true, pool: 3 };
    case.check(true);
    Case { b: 2, ..case }.check(false);
    Case { stride: 3, pool: 1, ..case }.check(true);
    Case { kernel: (1, 5), padding: 2, pool: 1, ..case }.check(true);
}

#[test]
fn random_geometries() {
    let mut random = Stream::new(3, Purpose::Other, 0, 0, "geometry");
    for _ in 0..60 {
        let mut pick = |low: usize, high: usize| low + random.below(high - low + 1);
        let (k, stride, padding) = ([1, 3, 5][pick(0, 2)], pick(1, 2), pick(0, 2));
        let image = (pick(k, k + 6), pick(k, k + 6));
        let case = Case {
            b: pick(1, 19),
            channels: (pick(1, 12), pick(1, 20)),
            image,
            kernel: (k, k),
            stride,
            padding,
            relu: pick(0, 1) == 1,
            pool: 1,
        };
        let (oh, ow) = case.maps();
        Case { pool: pick(1, 2).min(oh).min(ow), ..case }.check(pick(0, 1) == 1);
    }
}

#[test]
fn a_large_batch() {
    let case =
        Case { b: 100, channels: (4, 6), image: (12, 12), kernel: (5, 5), stride: 1, padding: 0, relu: true, pool: 2 };
    case.check(true);
}

#[test]
fn errors_name_both_shapes() {
    let xs = Array::normal("x", &[2, 3, 4, 4]).tensor();
    let weight = |dims: &[usize]| Array::normal("w", dims).tensor();
    let text = message(l0_ops::conv2d(&xs, &weight(&[5, 2, 3, 3]), None, 1, 0));
    assert!(text.contains("conv2d: weight has shape [5, 2, 3, 3], expected [5, 3, 3, 3]"), "{text}");
    let text = message(l0_ops::conv2d(&xs, &weight(&[5, 3, 7, 7]), None, 1, 1));
    assert!(text.contains("kernel of 7x7") && text.contains("image of 6x6"), "{text}");
    let text = message(l0_ops::conv2d(&xs, &weight(&[5, 3, 3, 3]), None, 0, 1));
    assert!(text.contains("stride 0"), "{text}");
    let text = message(l0_ops::conv2d(&xs, &weight(&[5, 3, 3, 3]), Some(&weight(&[4])), 1, 1));
    assert!(text.contains("bias has shape [4], expected [5]"), "{text}");
}
