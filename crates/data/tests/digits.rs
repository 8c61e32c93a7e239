//! What the drawn digits promise: the same on any number of threads, and not to be told apart by single pixels.

use l0_data::{Benchmark, Digits, Split, order};

#[test]
fn the_number_of_threads_does_not_matter() {
    let digits = Digits { train: 300, test: 60, seed: 5 };
    let drawn_by = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| digits.draw().unwrap().digest().unwrap())
    };
    assert_eq!(drawn_by(1), drawn_by(3));
    assert_ne!(drawn_by(1), Digits { seed: 6, ..digits }.draw().unwrap().digest().unwrap());
}

#[test]
fn classes_are_balanced_and_the_splits_differ() {
    let digits = Digits { train: 100, test: 100, seed: 5 }.draw().unwrap();
    assert_eq!((digits.name.as_str(), digits.train.classes()), (Benchmark::Digits.as_str(), 10));
    for class in 0..10 {
        assert_eq!(digits.train.labels().iter().filter(|&&label| label == class).count(), 10);
    }
    assert_ne!(digits.train.images(), digits.test.images());
}

/// Softmax regression, `logits = x W + b`, by plain stochastic gradient descent in f32.
struct Linear {
    weight: Vec<[f32; 10]>,
    bias: [f32; 10],
}

impl Linear {
    fn logits(&self, image: &[u8]) -> [f32; 10] {
        let mut logits = self.bias;
        for (&pixel, weight) in image.iter().zip(&self.weight).filter(|(pixel, _)| **pixel > 0) {
            let x = f32::from(pixel) / 255.0;
            logits.iter_mut().zip(weight).for_each(|(logit, w)| *logit += x * w);
        }
        logits
    }

    fn step(&mut self, image: &[u8], label: u32, rate: f32) {
        let logits = self.logits(image);
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let mut delta = logits.map(|logit| (logit - largest).exp());
        let sum: f32 = delta.iter().sum();
        delta.iter_mut().for_each(|p| *p *= -rate / sum);
        delta[label as usize] += rate;
        for (&pixel, weight) in image.iter().zip(&mut self.weight).filter(|(pixel, _)| **pixel > 0) {
            let x = f32::from(pixel) / 255.0;
            weight.iter_mut().zip(delta).for_each(|(w, d)| *w += x * d);
        }
        self.bias.iter_mut().zip(delta).for_each(|(b, d)| *b += d);
    }

    fn error_percent(&self, split: &Split) -> f64 {
        let wrong = |&i: &usize| {
            let logits = self.logits(split.image(i));
            let best = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            best as u32 != split.labels()[i]
        };
        100.0 * (0..split.len()).filter(wrong).count() as f64 / split.len() as f64
    }
}

#[test]
fn a_linear_classifier_stays_above_five_percent() {
    let digits = Digits::default().draw().unwrap();
    let mut model = Linear { weight: vec![[0.0; 10]; 784], bias: [0.0; 10] };
    let mut best = f64::MAX;
    for epoch in 0..20 {
        let rate = 0.02 * 0.8f32.powi(epoch);
        for i in order(1, epoch as u64, digits.train.len()) {
            let i = i as usize;
            model.step(digits.train.image(i), digits.train.labels()[i], rate);
        }
        best = best.min(model.error_percent(&digits.test));
    }
    println!("linear classifier: {best:.2} % at best, {:.2} % at the end", model.error_percent(&digits.test));
    assert!(best > 5.0, "a linear classifier reached {best:.2} %");
}
