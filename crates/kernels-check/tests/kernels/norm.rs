//! Batch normalisation, and sums over rows.

use candle_core::{Tensor, Var};
use l0_ops::{After, Running, Selection};

use crate::launch::SOME;
use crate::numbers::{KINDS, Kind, Numbers, at_or_null, close, exact, gradients, last, random, values, variable};

/// 105 rows in chunks of 16: the last is incomplete, so is the last group of most numbers of channels.
const EXTENT: [usize; 3] = [3, 5, 7];
const ROWS: usize = 105;
const CHUNK: usize = 16;
const BLOCKS: usize = 7;
const CHANNELS: [usize; 4] = [3, 8, 20, 16];
const EPS: f32 = 1e-5;

/// What `column_sums` adds up, numbered as in the kernels.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Statistics = 0,
    Gradients = 1,
    Plain = 2,
}

fn image(name: &str, c: usize) -> Tensor {
    random(name, &[EXTENT[0], c, EXTENT[1], EXTENT[2]])
}

/// A batch normalisation as the kernels take it.
struct Norm {
    kind: Kind,
    c: usize,
    relu: bool,
    xs: Numbers,
    /// Mean, 1 / sqrt(var + eps), scale, shift.
    vectors: [Numbers; 4],
}

impl Norm {
    fn grid(&self) -> (usize, usize) {
        (BLOCKS, self.c.div_ceil(8))
    }

    fn forward(&self) -> Numbers {
        let mut ys = Numbers::unset(self.kind, ROWS * self.c);
        let (kind, relu, c) = (self.kind as i32, i32::from(self.relu), self.c as i32);
        let [mean, inverse, scale, shift] = &self.vectors;
        launch!(
            self.grid(),
            normalise(
                ys.at_mut(),
                self.xs.at(),
                kind,
                mean.at(),
                inverse.at(),
                scale.at(),
                shift.at(),
                relu,
                ROWS as i64,
                c,
                CHUNK as i64,
            )
        );
        ys
    }

    fn sums(&self, g: &Numbers, mode: Mode) -> Numbers {
        let mut partial = Numbers::unset(Kind::F32, BLOCKS * 2 * self.c);
        let (kind, relu, c) = (self.kind as i32, i32::from(self.relu), self.c as i32);
        let [mean, inverse, scale, shift] = &self.vectors;
        launch!(
            self.grid(),
            column_sums(
                partial.at_mut(),
                self.xs.at(),
                kind,
                g.at(),
                kind,
                mean.at(),
                inverse.at(),
                scale.at(),
                shift.at(),
                relu,
                mode as i32,
                ROWS as i64,
                c,
                CHUNK as i64,
            )
        );
        partial
    }

    /// Mean, variance and 1 / sqrt(var + eps).
    fn statistics(&self) -> [Numbers; 3] {
        let partial = self.sums(&self.xs, Mode::Statistics);
        let [mut mean, mut var, mut inverse] = [(); 3].map(|()| Numbers::unset(Kind::F32, self.c));
        let (kind, c, blocks) = (self.kind as i32, self.c as i32, BLOCKS as i32);
        launch!(
            (self.c, 1),
            finish_statistics(
                mean.at_mut(),
                var.at_mut(),
                inverse.at_mut(),
                partial.at(),
                blocks,
                self.xs.at(),
                kind,
                ROWS as i64,
                c,
                EPS,
            )
        );
        [mean, var, inverse]
    }

    /// The gradients of the input, the scale and the shift.
    fn backward(&self, g: &Numbers, of_batch: bool) -> [Numbers; 3] {
        let partial = self.sums(g, Mode::Gradients);
        let [mean, inverse, scale, shift] = &self.vectors;
        let [mut dscale, mut dshift, mut mean_g, mut mean_gx] = [(); 4].map(|()| Numbers::unset(Kind::F32, self.c));
        let (kind, relu, c) = (self.kind as i32, i32::from(self.relu), self.c as i32);
        launch!(
            (self.c, 1),
            finish_gradients(
                dscale.at_mut(),
                dshift.at_mut(),
                mean_g.at_mut(),
                mean_gx.at_mut(),
                partial.at(),
                BLOCKS as i32,
                inverse.at(),
                ROWS as i64,
                c,
                i32::from(of_batch),
            )
        );
        let mut dx = Numbers::unset(self.kind, ROWS * self.c);
        launch!(
            self.grid(),
            normalise_back(
                dx.at_mut(),
                self.xs.at(),
                kind,
                g.at(),
                kind,
                mean.at(),
                inverse.at(),
                scale.at(),
                shift.at(),
                mean_g.at(),
                mean_gx.at(),
                relu,
                ROWS as i64,
                c,
                CHUNK as i64,
            )
        );
        [dx, dscale, dshift]
    }
}

/// What both sides compute from: the images rounded to `kind`, far from zero so that the variance needs its centre.
fn operands(kind: Kind, c: usize) -> ([Var; 3], Tensor) {
    let xs = kind.rounded(&((image("xs", c) * 0.5).unwrap() + 3.0).unwrap());
    let scale = (random("scale", &[c]) + 0.2).unwrap();
    let g = kind.rounded(&image("g", c));
    ([&xs, &scale, &random("shift", &[c])].map(variable), g)
}

fn norm(kind: Kind, relu: bool, [xs, scale, shift]: &[Var; 3], mean: Numbers, inverse: Numbers) -> Norm {
    let vector = |t: &Tensor| Numbers::f32(&values(t));
    let vectors = [mean, inverse, vector(scale), vector(shift)];
    Norm { kind, c: xs.dims()[1], relu, xs: Numbers::of(kind, &last(xs)), vectors }
}

fn check_passes(norm: &Norm, variables: &[Var; 3], ys: &Tensor, g: &Tensor, of_batch: bool) {
    let (kind, c) = (norm.kind, norm.c);
    let what = |what: &str| format!("{what}, {kind:?}, {c} channels, relu {}, of batch {of_batch}", norm.relu);
    close(&what("ys"), &norm.forward(), &last(ys), kind.tolerance());
    let [xs, scale, shift] = variables;
    let [dx, dscale, dshift] = norm.backward(&Numbers::of(kind, &last(g)), of_batch);
    let expected = gradients(ys, g, [xs, scale, shift]);
    close(&what("dx"), &dx, &last(&expected[0]), kind.tolerance());
    close(&what("dscale"), &dscale, &values(&expected[1]), kind.tolerance());
    close(&what("dshift"), &dshift, &values(&expected[2]), kind.tolerance());
}

fn cases() -> impl Iterator<Item = (Kind, usize, bool)> {
    KINDS.into_iter().flat_map(|kind| CHANNELS.into_iter().flat_map(move |c| [(kind, c, false), (kind, c, true)]))
}

#[test]
fn statistics_of_the_batch() {
    for (kind, c, relu) in cases() {
        let (variables, g) = operands(kind, c);
        let [xs, scale, shift] = &variables;
        let expected = l0_ops::batch_norm_train(xs, scale, shift, f64::from(EPS), After { plus: None, relu }).unwrap();
        let none = || Numbers::unset(Kind::F32, c);
        let [mean, var, inverse] = norm(kind, relu, &variables, none(), none()).statistics();
        close("mean", &mean, &values(&expected.mean), 1e-5);
        close("var", &var, &values(&expected.var), 1e-5);
        check_passes(&norm(kind, relu, &variables, mean, inverse), &variables, &expected.ys, &g, true);
    }
}

#[test]
fn given_statistics() {
    for (kind, c, relu) in cases() {
        let (variables, g) = operands(kind, c);
        let [xs, scale, shift] = &variables;
        let (mean, var) = ((random("mean", &[c]) + 3.0).unwrap(), random("var", &[c]).sqr().unwrap());
        let ys = l0_ops::batch_norm(xs, scale, shift, &mean, &var, f64::from(EPS), After { plus: None, relu }).unwrap();
        let inverse: Vec<f32> = values(&var).iter().map(|var| 1.0 / (var + EPS).sqrt()).collect();
        let norm = norm(kind, relu, &variables, Numbers::f32(&values(&mean)), Numbers::f32(&inverse));
        check_passes(&norm, &variables, &ys, &g, false);
    }
}

#[test]
fn plain_sums() {
    for (kind, c, relu) in cases() {
        let (variables, g) = operands(kind, c);
        let none = || Numbers::unset(Kind::F32, c);
        let norm = norm(kind, relu, &variables, none(), none());
        let partial = norm.sums(&Numbers::of(kind, &last(&g)), Mode::Plain);
        let mut sums = none();
        launch!((c, 1), finish_sums(sums.at_mut(), partial.at(), BLOCKS as i32, c as i32));
        close("sums", &sums, &values(&g.sum((0, 2, 3)).unwrap()), 1e-5);
    }
}

#[test]
fn means_of_channels() {
    for kind in KINDS {
        let xs = variable(&kind.rounded(&image("xs", 20)));
        let (ys, g) = (l0_ops::global_avg_pool(&xs).unwrap(), random("g", &[3, 20]));
        let (mut found, input) = (Numbers::unset(Kind::F32, 3 * 20), Numbers::of(kind, &last(&xs)));
        launch!(SOME, mean_rows(found.at_mut(), input.at(), kind as i32, 3, 35, 20));
        close("means", &found, &values(&ys), 1e-5);
        let (mut dx, grad) = (Numbers::unset(kind, ROWS * 20), Numbers::f32(&values(&g)));
        launch!(SOME, mean_rows_back(dx.at_mut(), kind as i32, grad.at(), 3, 35, 20));
        let [expected] = gradients(&ys, &g, [&xs]);
        exact("gradient of means", &dx, &last(&expected), kind);
    }
}

#[test]
fn running_statistics() {
    let (old, constants) = (random("old", &[9]), random("constants", &[9]));
    let rates = [0.1, 0.0, 1.0, 0.1, 0.2, 0.3, 0.0, 0.5, 0.1];
    let some = Selection::of(&[true, false, true, true, false, false, true, false, true]);
    for (kept, rates) in [(Selection::all(9), rates), (some.clone(), rates), (some, [0.1; 9])] {
        let fresh = random("fresh", &[kept.len()]);
        for (values, constants) in
            [(Some(&fresh), None), (Some(&fresh), Some(&constants)), (None, Some(&constants)), (None, None)]
        {
            let new = Running { values, factor: 1.25, kept: &kept, constants, rates: &rates };
            let expected = l0_ops::running(&old, &new).unwrap();
            close("running", &run(&old, &new), &crate::numbers::values(&expected), 1e-6);
        }
    }
}

fn run(old: &Tensor, new: &Running) -> Numbers {
    let numbers = |t: &Tensor| values(t);
    let (old, fresh, constants) = (numbers(old), new.values.map(numbers), new.constants.map(numbers));
    let places = (!new.kept.is_all()).then(|| crate::select::places(new.kept));
    let mut out = Numbers::unset(Kind::F32, old.len());
    // As on a GPU: one rate for all comes as a number.
    let differ = new.rates.iter().any(|rate| *rate != new.rates[0]);
    launch!(
        SOME,
        running(
            out.at_mut(),
            old.as_ptr(),
            at_or_null(fresh.as_ref()),
            at_or_null(places.as_ref()),
            at_or_null(constants.as_ref()),
            if differ { new.rates.as_ptr() } else { std::ptr::null() },
            new.rates[0],
            new.factor as f32,
            old.len() as i32,
        )
    );
    out
}
