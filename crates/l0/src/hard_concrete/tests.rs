use candle_core::{DType, Device, Tensor};

use super::scalar::gauss_legendre;
use super::*;
use crate::Estimator;
use crate::testing::{close, gradient, message, normal, numeric_gradient, row, uniform};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// `count` gates of one location.
fn draws(d: &HardConcrete, log_alpha: f64, count: usize) -> Vec<f64> {
    let log_alpha = tensor(&[log_alpha]).to_dtype(DType::F32).unwrap();
    row(&d.sample(&log_alpha, &uniform(&[count, 1], "draws")).unwrap())
}

fn share(zs: &[f64], holds: impl Fn(f64) -> bool) -> f64 {
    zs.iter().filter(|&&z| holds(z)).count() as f64 / zs.len() as f64
}

const PLACES: [f64; 7] = [-4.6, -2.5, -1.0, 0.0, 0.7, 2.0, 4.6];

fn distributions() -> [HardConcrete; 3] {
    [(2.0 / 3.0, -0.1, 1.1), (0.5, -0.1, 1.1), (0.9, -0.3, 1.05)].map(|(b, g, z)| HardConcrete::new(b, g, z).unwrap())
}

// import math
// sg, b = lambda x: 1/(1+math.exp(-x)), 2/3
// def z(la,u): return min(1, max(0, sg((math.log(u/(1-u))+la)/b)*1.2-.1))
// print([round(z(la,u),7) for la,u in ((-1,.3),(-1,.7),(.5,.2),(2,.6),(.3,.45))])
// for la in (-3,0,2): print(la, sg(la+b*math.log(11)), sg(la-b*math.log(11)))
// for la,x in ((0,.1),(0,.5),(1.3,.9),(-2,.25)): v=(x+.1)/1.2; print(sg(b*math.log(v/(1-v))-la))
// for la in (-4.6,-2.5,-1,.7,3): print(sum(z(la,(i+.5)/2e6) for i in range(2_000_000))/2e6)
#[test]
fn numbers_of_an_independent_program() {
    let d = HardConcrete::default();
    for (log_alpha, u, z) in
        [(-1.0, 0.3, 0.0), (-1.0, 0.7, 0.4315829), (0.5, 0.2, 0.1511021), (2.0, 0.6, 1.0), (0.3, 0.45, 0.5446157)]
    {
        close("z", &[d.sample_at(log_alpha, u)], &[z], 1e-7);
    }
    for (log_alpha, open, one) in [
        (-3.0, 0.19759354690064213, 0.009965636296928093),
        (0.0, 0.8318221839916905, 0.16817781600830958),
        (2.0, 0.973366655261484, 0.5990247355990772),
    ] {
        close("open, one", &[d.prob_open_at(log_alpha), d.prob_one_at(log_alpha)], &[open, one], 1e-14);
    }
    for (log_alpha, x, cdf) in
        [(0.0, 0.1, 0.25484084596810075), (1.3, 0.9, 0.4434822243007901), (-2.0, 0.25, 0.8035236477938843)]
    {
        close("cdf", &[d.cdf_at(x, log_alpha)], &[cdf], 1e-14);
    }
    for (log_alpha, mean) in [
        (-4.6, 0.013183348349),
        (-2.5, 0.094118731965),
        (-1.0, 0.292945823203),
        (0.7, 0.648993670751),
        (3.0, 0.939581017379),
    ] {
        close("mean", &[d.mean_at(log_alpha)], &[mean], 2e-12);
    }
}

#[test]
fn probabilities_and_mean_hold_for_draws() {
    for d in distributions() {
        for log_alpha in PLACES {
            let zs = draws(&d, log_alpha, 100_000);
            // Five standard deviations of a share of 1e5 draws are below 0.008.
            close("open", &[share(&zs, |z| z > 0.0)], &[d.prob_open_at(log_alpha)], 8e-3);
            close("one", &[share(&zs, |z| z == 1.0)], &[d.prob_one_at(log_alpha)], 8e-3);
            close("cdf", &[share(&zs, |z| z <= 0.4)], &[d.cdf_at(0.4, log_alpha)], 8e-3);
            close("mean", &[zs.iter().sum::<f64>() / 1e5], &[d.mean_at(log_alpha)], 8e-3);
        }
    }
}

#[test]
fn mean_is_the_integral_of_the_sample_over_the_noise() {
    for d in distributions() {
        for log_alpha in PLACES {
            let n = 200_000;
            let sum: f64 = (0..n).map(|i| d.sample_at(log_alpha, (f64::from(i) + 0.5) / f64::from(n))).sum();
            close("mean", &[d.mean_at(log_alpha)], &[sum / f64::from(n)], 1e-7);
        }
    }
}

#[test]
fn density_integrates_to_the_mass_between_the_points() {
    for d in distributions() {
        for log_alpha in PLACES {
            let inside: f64 =
                gauss_legendre(60).iter().map(|&(t, w)| w / 2.0 * d.density_at(0.5 + t / 2.0, log_alpha)).sum();
            close("mass", &[inside], &[d.prob_open_at(log_alpha) - d.prob_one_at(log_alpha)], 1e-7);
            let slope = (d.cdf_at(0.3 + 1e-6, log_alpha) - d.cdf_at(0.3 - 1e-6, log_alpha)) / 2e-6;
            close("slope", &[slope], &[d.density_at(0.3, log_alpha)], 1e-8);
        }
    }
}

#[test]
fn the_distribution_undoes_the_sample() {
    for d in distributions() {
        for log_alpha in PLACES {
            for u in [0.001, 0.2, 0.5, 0.9, 0.999] {
                let z = d.sample_at(log_alpha, u);
                match z {
                    0.0 => assert!(d.cdf_at(z, log_alpha) >= u),
                    1.0 => assert!(d.cdf_at(z, log_alpha) <= u),
                    // Close to zeta, zeta - z loses digits.
                    _ => close("u", &[d.cdf_at(z, log_alpha)], &[u], 1e-8),
                }
            }
        }
    }
}

#[test]
fn tensor_and_scalar_forms_agree() {
    let places = tensor(&PLACES);
    for d in distributions() {
        let found = row(&d.prob_open(&places).unwrap());
        close("prob_open", &found, &PLACES.map(|a| d.prob_open_at(a)), 1e-12);
    }
}

/// sum of z * weight for fixed noise and weights.
fn loss(d: &HardConcrete, log_alpha: &Tensor, shape: &[usize], composed: bool) -> Tensor {
    let (noise, upstream) = (uniform(shape, "noise"), normal(shape, "upstream"));
    let z = if composed { d.sample_composed(log_alpha, &noise) } else { d.sample(log_alpha, &noise) };
    (z.unwrap() * upstream.to_dtype(log_alpha.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

#[test]
fn closed_form_gradient_is_that_of_the_formula_and_of_differences() {
    let log_alpha = (normal(&[4, 3], "log_alpha") * 1.5).unwrap();
    let double = log_alpha.to_dtype(DType::F64).unwrap();
    for d in distributions() {
        for shape in [&[4, 3][..], &[7, 4, 3]] {
            let fused = gradient(&log_alpha, |a| loss(&d, a, shape, false));
            close("autograd", &fused, &gradient(&log_alpha, |a| loss(&d, a, shape, true)), 2e-6);
            close("differences", &fused, &numeric_gradient(&double, 1e-5, |a| loss(&d, a, shape, false)), 3e-6);
            assert!(fused.iter().any(|g| g.abs() > 0.1));
        }
    }
}

#[test]
fn one_pass_and_composed_samples_agree() {
    let d = HardConcrete::default();
    let (log_alpha, noise) = (normal(&[500], "a"), uniform(&[20, 500], "u"));
    let (fused, composed) = (d.sample(&log_alpha, &noise).unwrap(), d.sample_composed(&log_alpha, &noise).unwrap());
    close("z", &row(&fused), &row(&composed), 2e-6);
    let transposed = noise.t().unwrap().contiguous().unwrap().t().unwrap();
    assert_eq!(row(&d.sample(&log_alpha, &transposed).unwrap()), row(&fused));
}

#[test]
fn extreme_noise_and_places_stay_finite() {
    let d = HardConcrete::default();
    let log_alpha = Tensor::new(&[-90f32, 0.0, 90.0], &Device::Cpu).unwrap();
    for (noise, expected) in [(0f32, [0.0, 0.0, 1.0]), (1.0, [0.0, 1.0, 1.0])] {
        let noise = Tensor::full(noise, 3, &Device::Cpu).unwrap();
        assert_eq!(row(&d.sample(&log_alpha, &noise).unwrap()), expected);
        assert_eq!(row(&d.sample_composed(&log_alpha, &noise).unwrap()), expected);
    }
    let nan = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
    assert!(row(&d.sample(&nan, &uniform(&[1], "u")).unwrap())[0].is_nan(), "a NaN is shown, not hidden");
}

#[test]
fn bad_constants_and_shapes_are_refused() {
    let expected = "hard concrete needs beta > 0, zeta > 1 and gamma <= -zeta / 100^(1 / max(1, beta)), found beta 0, \
                    gamma -0.1, zeta 1.1: nearer to 0, no gate could close";
    assert_eq!(message(HardConcrete::new(0.0, -0.1, 1.1)), expected);
    for (beta, gamma, zeta) in
        [(0.5, 0.0, 1.1), (0.5, -0.01, 1.01), (0.5, -0.1, 1.0), (f64::NAN, -0.1, 1.1), (0.5, -0.1, f64::INFINITY)]
    {
        assert!(HardConcrete::new(beta, gamma, zeta).is_err());
    }
    let d = HardConcrete::default();
    let error = message(d.sample(&normal(&[3], "a"), &uniform(&[4], "u")));
    assert!(error.contains("gates of shape [3] need noise of shape [3] or (b, [3]), found [4]"), "{error}");
    let nothing = || Tensor::zeros(0, candle_core::DType::F32, &Device::Cpu).unwrap();
    let error = message(d.sample(&nothing(), &nothing()));
    assert!(error.contains("log_alpha has shape [0], expected at least 1 gate"), "{error}");
}

#[test]
fn gates_close_by_every_estimator_with_all_constants_that_are_allowed() {
    let lowest = crate::gate::LOG_ALPHA_RANGE.0;
    for (beta, nearest) in [(0.1, -0.011), (1.0, -0.011), (2.0, -0.11), (4.0, -0.347_850_542_618_521_8)] {
        let d = HardConcrete::new(beta, 1.001 * nearest, 1.1).unwrap();
        let values = [Estimator::Mean, Estimator::Median].map(|estimator| estimator.value_at(&d, lowest));
        assert_eq!(values, [0.0; 2], "beta {beta}");
        assert!(HardConcrete::new(beta, 0.999 * nearest, 1.1).is_err(), "beta {beta}");
    }
}

#[test]
fn constants_come_back_from_a_file_and_are_checked() {
    let text = serde_json::to_string(&HardConcrete::default()).unwrap();
    assert_eq!(serde_json::from_str::<HardConcrete>(&text).unwrap(), HardConcrete::default());
    assert!(serde_json::from_str::<HardConcrete>(r#"{"beta":-1,"gamma":-0.1,"zeta":1.1}"#).is_err());
}
