//! Convolutions with all their settings, and transposed ones, against the sums that define them.

use candle_core::Tensor;
use l0_ops::{ConvSettings, Epilogue, TransposedSettings, portable};
use l0_rng::{Purpose, Stream};

use crate::support::{Array, assert_close, check, message, values};

#[derive(Debug, Clone, Copy)]
struct Case {
    b: usize,
    /// Of all groups.
    channels: (usize, usize),
    image: (usize, usize),
    kernel: (usize, usize),
    settings: ConvSettings,
    relu: bool,
}

fn settings(stride: (usize, usize), padding: [usize; 4], dilation: (usize, usize), groups: usize) -> ConvSettings {
    ConvSettings { stride, padding, dilation, groups }
}

impl Case {
    fn maps(&self) -> (usize, usize) {
        let ConvSettings { stride, padding: [top, left, bottom, right], dilation, .. } = self.settings;
        let of = |n: usize, k: usize, stride: usize, dilation: usize| (n - dilation * (k - 1) - 1) / stride + 1;
        let (h, w) = (self.image.0 + top + bottom, self.image.1 + left + right);
        (of(h, self.kernel.0, stride.0, dilation.0), of(w, self.kernel.1, stride.1, dilation.1))
    }

    /// Calls `f(index of xs, of the weight, of the maps)` for every product of the convolution.
    fn terms(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ConvSettings { stride, padding, dilation, groups } = self.settings;
        let ((ic, oc), (ih, iw), (kh, kw), (oh, ow)) = (self.channels, self.image, self.kernel, self.maps());
        let (ic_g, oc_g) = (ic / groups, oc / groups);
        for at in 0..self.b * oc * oh * ow {
            let (n, o, y, x) = (at / (oc * oh * ow), at / (oh * ow) % oc, at / ow % oh, at % ow);
            for k in 0..ic_g * kh * kw {
                let (i, u, v) = (o / oc_g * ic_g + k / (kh * kw), k / kw % kh, k % kw);
                let (row, column) = (y * stride.0 + u * dilation.0, x * stride.1 + v * dilation.1);
                if (padding[0]..padding[0] + ih).contains(&row) && (padding[1]..padding[1] + iw).contains(&column) {
                    let pixel = ((n * ic + i) * ih + row - padding[0]) * iw + column - padding[1];
                    f(pixel, o * ic_g * kh * kw + k, at);
                }
            }
        }
    }

    fn naive(&self, xs: &[Vec<f64>]) -> Vec<f64> {
        let (oc, (oh, ow)) = (self.channels.1, self.maps());
        let mut ys = vec![0.0; self.b * oc * oh * ow];
        self.terms(|pixel, weight, at| ys[at] += xs[0][pixel] * xs[1][weight]);
        add_bias(&mut ys, xs.get(2), oc, oh * ow);
        ys.iter().map(|&y| if self.relu { y.max(0.0) } else { y }).collect()
    }

    fn check(&self) {
        let ((ic, oc), (oh, ow)) = (self.channels, self.maps());
        let xs = Array::normal("xs", &[self.b, ic, self.image.0, self.image.1]);
        let weight = Array::normal("weight", &[oc, ic / self.settings.groups, self.kernel.0, self.kernel.1]);
        let biases = [None, Some(vec![oc]), (oh * ow > 1).then(|| vec![oc, oh, ow])];
        for (which, dims) in biases.into_iter().enumerate().filter(|(which, dims)| *which == 0 || dims.is_some()) {
            let case = Self { relu: which == 1, ..*self };
            let mut inputs = vec![xs.clone(), weight.clone()];
            inputs.extend(dims.map(|dims| Array::normal("bias", &dims)));
            let epilogue = Epilogue { relu: case.relu, ..Epilogue::NONE };
            check(
                &format!("{case:?} bias {which}"),
                &inputs,
                &|t| l0_ops::conv(&t[0], &t[1], t.get(2), &self.settings, epilogue),
                &|t| portable::conv(&t[0], &t[1], t.get(2), &self.settings, epilogue),
                &|xs| case.naive(xs),
            );
        }
    }
}

fn add_bias(ys: &mut [f64], bias: Option<&Vec<f64>>, channels: usize, plane: usize) {
    let Some(bias) = bias else { return };
    for (at, y) in ys.iter_mut().enumerate() {
        *y += bias[if bias.len() == channels { at / plane % channels } else { at % (channels * plane) }];
    }
}

fn case(b: usize, channels: (usize, usize), image: (usize, usize), kernel: (usize, usize), settings: ConvSettings) {
    Case { b, channels, image, kernel, settings, relu: false }.check();
}

#[test]
fn strides_dilations_and_padding_on_four_sides() {
    for b in [2, 5, 9] {
        case(b, (3, 5), (9, 8), (3, 2), settings((2, 1), [1, 0, 2, 1], (1, 2), 1));
        case(b, (2, 7), (8, 11), (3, 3), settings((1, 3), [0, 2, 1, 0], (2, 1), 1));
        case(b, (4, 3), (7, 6), (1, 1), settings((2, 2), [0, 1, 0, 0], (1, 1), 1));
        case(b, (3, 4), (10, 12), (3, 3), settings((2, 2), [3, 3, 3, 3], (3, 3), 1));
        case(b, (2, 3), (5, 6), (3, 3), settings((1_000_000_000, 40_000), [1; 4], (1, 1), 1)); // far beyond the image
        case(b, (2, 2), (5, 6), (3, 3), settings((40_000, 2), [1; 4], (1, 1), 2));
        case(b, (2, 3), (5, 6), (1, 1), settings((7, 9), [1; 4], (1, 1), 1)); // ends in the padding alone
    }
    case(9, (9, 8), (7, 8), (3, 3), settings((1, 1), [1, 0, 0, 1], (1, 1), 1)); // odd image, even maps
    case(9, (8, 9), (6, 8), (3, 3), settings((1, 1), [0, 1, 2, 1], (1, 1), 1)); // tiles of four outputs
}

#[test]
fn groups() {
    for b in [2, 9] {
        case(b, (6, 4), (6, 7), (3, 3), settings((1, 1), [1; 4], (1, 1), 2));
        case(b, (6, 9), (7, 6), (1, 1), settings((1, 1), [0; 4], (1, 1), 3));
        case(b, (8, 8), (9, 5), (3, 2), settings((2, 1), [1, 1, 0, 1], (1, 2), 4));
        case(b, (16, 18), (4, 6), (3, 3), settings((1, 1), [1; 4], (1, 1), 2)); // tiles of four outputs
    }
}

#[test]
fn depthwise() {
    for b in [1, 9] {
        case(b, (3, 3), (6, 7), (3, 3), settings((1, 1), [1; 4], (1, 1), 3));
        case(b, (5, 5), (7, 9), (3, 3), settings((2, 2), [1; 4], (1, 1), 5));
        case(b, (2, 6), (9, 8), (5, 3), settings((2, 1), [2, 0, 1, 3], (1, 2), 2)); // three maps of each channel
        case(b, (4, 4), (5, 4), (1, 1), settings((1, 1), [0; 4], (1, 1), 4));
        case(b, (2, 2), (11, 13), (3, 3), settings((3, 2), [4, 4, 4, 4], (2, 3), 2));
        case(b, (3, 3), (1, 1), (3, 3), settings((1, 1), [1; 4], (1, 1), 3));
        case(b, (2, 4), (5, 6), (3, 2), settings((1 << 40, 1 << 40), [1; 4], (1, 2), 2)); // far beyond the image
    }
    case(40, (20, 20), (14, 15), (3, 3), settings((1, 1), [1; 4], (1, 1), 20));
    case(40, (20, 20), (16, 15), (3, 3), settings((2, 2), [0, 0, 1, 1], (1, 1), 20));
}

#[test]
fn pooling_follows_groups_too() {
    let (xs, settings) =
        (Array::normal("xs", &[9, 6, 8, 7]).tensor(), ConvSettings { groups: 6, ..ConvSettings::square(1, 1) });
    let weight = Array::normal("weight", &[12, 1, 3, 3]).tensor();
    for groups in [2, 6] {
        let weight = weight.repeat((1, 6 / groups, 1, 1)).unwrap();
        let (settings, epilogue) = (ConvSettings { groups, ..settings }, Epilogue { relu: true, max_pool: 2 });
        let found = l0_ops::conv(&xs, &weight, None, &settings, epilogue).unwrap();
        let expected = portable::conv(&xs, &weight, None, &settings, epilogue).unwrap();
        let expected: Vec<f64> = values(&expected).into_iter().map(f64::from).collect();
        assert_close(&format!("{groups} groups"), &values(&found), &expected, 2e-5);
    }
}

#[test]
fn random_settings() {
    let mut random = Stream::new(5, Purpose::Other, 0, 0, "settings");
    for _ in 0..40 {
        let mut pick = |low: usize, high: usize| low + random.below(high - low + 1);
        let groups = [1, 1, 2, 3][pick(0, 3)];
        let kernel = (pick(1, 4), pick(1, 4));
        let dilation = (pick(1, 3), pick(1, 2));
        let depthwise = pick(0, 2) == 0;
        let channels = (groups * if depthwise { 1 } else { pick(1, 4) }, groups * pick(1, 5));
        let extent = ((kernel.0 - 1) * dilation.0 + 1, (kernel.1 - 1) * dilation.1 + 1);
        let case = Case {
            b: pick(1, 10),
            channels,
            image: (pick(extent.0, extent.0 + 5), pick(extent.1, extent.1 + 5)),
            kernel,
            settings: settings((pick(1, 3), pick(1, 3)), [(); 4].map(|()| pick(0, 3)), dilation, groups),
            relu: false,
        };
        case.check();
    }
}

#[derive(Debug, Clone, Copy)]
struct Transposed {
    b: usize,
    channels: (usize, usize),
    image: (usize, usize),
    kernel: (usize, usize),
    settings: TransposedSettings,
}

impl Transposed {
    fn result(&self) -> (usize, usize) {
        let TransposedSettings { stride, padding: [top, left, bottom, right], output_padding, dilation, .. } =
            self.settings;
        let of = |n: usize, k: usize, s: usize, d: usize, more: usize| (n - 1) * s + d * (k - 1) + 1 + more;
        let h = of(self.image.0, self.kernel.0, stride.0, dilation.0, output_padding.0);
        (h - top - bottom, of(self.image.1, self.kernel.1, stride.1, dilation.1, output_padding.1) - left - right)
    }

    fn naive(&self, xs: &[Vec<f64>]) -> Vec<f64> {
        let TransposedSettings { stride, padding, dilation, groups, .. } = self.settings;
        let ((ic, oc), (h, w), (kh, kw), (oh, ow)) = (self.channels, self.image, self.kernel, self.result());
        let (ic_g, oc_g) = (ic / groups, oc / groups);
        let mut ys = vec![0.0; self.b * oc * oh * ow];
        for at in 0..self.b * ic * h * w {
            let (n, i, y, x) = (at / (ic * h * w), at / (h * w) % ic, at / w % h, at % w);
            for k in 0..oc_g * kh * kw {
                let (o, u, v) = (i / ic_g * oc_g + k / (kh * kw), k / kw % kh, k % kw);
                let (row, column) = (y * stride.0 + u * dilation.0, x * stride.1 + v * dilation.1);
                if (padding[0]..padding[0] + oh).contains(&row) && (padding[1]..padding[1] + ow).contains(&column) {
                    let to = ((n * oc + o) * oh + row - padding[0]) * ow + column - padding[1];
                    ys[to] += xs[0][at] * xs[1][i * oc_g * kh * kw + k];
                }
            }
        }
        add_bias(&mut ys, xs.get(2), oc, oh * ow);
        ys
    }

    fn check(&self) {
        let ((ic, oc), (oh, ow)) = (self.channels, self.result());
        let groups = self.settings.groups;
        let operands = [
            Array::normal("xs", &[self.b, ic, self.image.0, self.image.1]),
            Array::normal("weight", &[ic, oc / groups, self.kernel.0, self.kernel.1]),
        ];
        for bias in [None, Some(vec![oc]), (oh * ow > 1).then(|| vec![oc, oh, ow])] {
            let name = format!("{self:?} bias {bias:?}");
            let inputs: Vec<Array> =
                operands.iter().cloned().chain(bias.map(|dims| Array::normal("bias", &dims))).collect();
            check(
                &name,
                &inputs,
                &|t| l0_ops::conv_transpose(&t[0], &t[1], t.get(2), &self.settings),
                &|t| portable::conv_transpose(&t[0], &t[1], t.get(2), &self.settings),
                &|xs| self.naive(xs),
            );
        }
    }
}

#[test]
fn transposed() {
    let settings = |stride, padding, output_padding, dilation, groups| TransposedSettings {
        stride,
        padding,
        output_padding,
        dilation,
        groups,
    };
    for b in [1, 2, 9] {
        for (channels, image, kernel, settings) in [
            ((1, 1), (1, 1), (2, 3), settings((1, 1), [0; 4], (0, 0), (1, 1), 1)),
            ((3, 5), (4, 5), (2, 2), settings((2, 2), [0; 4], (0, 0), (1, 1), 1)),
            ((4, 3), (5, 3), (3, 3), settings((2, 2), [1; 4], (1, 1), (1, 1), 1)),
            ((2, 3), (3, 4), (3, 2), settings((3, 1), [1, 0, 2, 1], (2, 0), (1, 2), 1)),
            ((4, 6), (4, 3), (3, 3), settings((2, 1), [1, 1, 0, 1], (1, 0), (2, 1), 2)),
            ((3, 3), (5, 4), (4, 4), settings((2, 2), [1; 4], (0, 0), (1, 1), 3)),
            ((9, 8), (6, 4), (3, 3), settings((1, 1), [1; 4], (0, 0), (1, 1), 1)),
            ((2, 3), (1, 1), (2, 3), settings((1 << 40, 1 << 40), [0; 4], (1, 0), (1, 1), 1)), // nothing to step to
            ((2, 4), (3, 1), (2, 3), settings((2, 1 << 40), [0; 4], (0, 1), (1, 2), 2)),
        ] {
            Transposed { b, channels, image, kernel, settings }.check();
        }
    }
}

#[test]
fn errors_name_what_was_found() {
    let tensor = |dims: &[usize]| Array::normal("x", dims).tensor();
    let xs = tensor(&[2, 6, 4, 5]);
    let conv =
        |weight: &[usize], s: ConvSettings| message(l0_ops::conv(&xs, &tensor(weight), None, &s, Epilogue::NONE));
    let plain = ConvSettings::square(1, 0);
    let text = conv(&[4, 2, 3, 3], ConvSettings { groups: 4, ..plain });
    assert!(text.contains("found 4 groups, expected a number that divides 6 input and 4 output channels"), "{text}");
    let text = conv(&[4, 6, 3, 3], ConvSettings { groups: 2, ..plain });
    assert!(text.contains("weight has shape [4, 6, 3, 3], expected [4, 3, 3, 3]"), "{text}");
    let text = conv(&[4, 6, 3, 3], ConvSettings { dilation: (2, 2), ..plain });
    assert!(text.contains("kernel of 3x3, dilation 2 and stride 1 on a padded image of 4x5"), "{text}");
    for hostile in [
        ConvSettings { dilation: (usize::MAX, 1), ..plain },
        ConvSettings { padding: [usize::MAX, 0, 1, 0], ..plain },
        ConvSettings { padding: [0, 1 << 60, 0, 0], ..plain },
        ConvSettings { stride: (1, 0), ..plain },
    ] {
        assert!(conv(&[4, 6, 3, 3], hostile).contains("conv2d: "), "{hostile:?}");
    }
    let plain =
        TransposedSettings { stride: (2, 2), padding: [0; 4], output_padding: (0, 0), dilation: (1, 1), groups: 1 };
    let transposed = |xs: &Tensor, weight: &[usize], s| {
        message(l0_ops::conv_transpose(xs, &tensor(weight), Some(&tensor(&[9])), &s))
    };
    let text = transposed(&xs, &[6, 4, 3, 3], plain);
    assert!(text.contains("conv_transpose: bias has shape [9], expected [4]"), "{text}");
    let text = transposed(&xs, &[5, 4, 3, 3], plain);
    assert!(text.contains("conv_transpose: weight has shape [5, 4, 3, 3], expected [6, 4, 3, 3]"), "{text}");
    for hostile in [
        TransposedSettings { padding: [9, 0, 9, 0], ..plain },
        TransposedSettings { stride: (1 << 62, 1), ..plain },
        TransposedSettings { output_padding: (0, usize::MAX), ..plain },
        TransposedSettings { groups: 0, ..plain },
    ] {
        assert!(transposed(&xs, &[6, 4, 3, 3], hostile).contains("conv_transpose: "), "{hostile:?}");
    }
}
