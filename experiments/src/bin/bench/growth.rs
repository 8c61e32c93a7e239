//! How the time of a training step grows with density, width, batch and threads.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use l0::GatedNet;
use l0_experiments::session;
use l0_report::{Growth, GrowthCurve, GrowthPoint, Quantity, Spread};
use l0_train::Training;

use crate::work::{Step, adam, sgd};

/// Shares of each set's gates that are open. Multiply-accumulates fall with the square of them.
const SHARES: [f64; 6] = [0.125, 0.25, 0.375, 0.5, 0.75, 1.0];
const WIDTHS: [f64; 3] = [0.5, 1.0, 2.0];
const BATCHES: [usize; 5] = [16, 32, 64, 128, 256];
const BATCH: usize = 128;
/// For how long each point is timed in each round.
const ROUND: Duration = Duration::from_millis(200);

/// A network of the comparison, at a multiple of its usual width.
struct Subject {
    name: &'static str,
    of_width: fn(f64) -> l0::Result<GatedNet>,
    training: Training,
}

fn subjects() -> Vec<Subject> {
    vec![
        Subject { name: "MLP", of_width: mlp, training: adam() },
        Subject { name: "LeNet-5", of_width: lenet5, training: adam() },
        Subject { name: "ResNet-20", of_width: resnet20, training: sgd() },
    ]
}

fn times(width: f64, units: usize) -> usize {
    (width * units as f64).round() as usize
}

fn mlp(width: f64) -> l0::Result<GatedNet> {
    let hidden = [300, 100].map(|units| times(width, units)).to_vec();
    l0_mlp::l0(&l0_mlp::Config { hidden, ..l0_mlp::lenet_300_100() })
}

fn lenet5(width: f64) -> l0::Result<GatedNet> {
    let [maps1, maps2, hidden] = [20, 50, 500].map(|units| times(width, units));
    l0_lenet5::l0(&l0_lenet5::Config { maps1, maps2, hidden, ..l0_lenet5::lenet5_caffe() })
}

fn resnet20(width: f64) -> l0::Result<GatedNet> {
    let stages = Some([16, 32, 64].map(|units| times(width, units)).to_vec());
    l0_resnet::l0(&l0_resnet::Config { stages, ..l0_resnet::Config::cifar(20) })
}

/// A step that is timed in turns with the others of its curve.
struct Timed {
    at: f64,
    step: Step,
    threads: usize,
    ms: Vec<f64>,
}

/// Times the steps of every network whose name is wanted, those of a curve in turns, `rounds` times.
pub(crate) fn measure(wanted: impl Fn(&str) -> bool, rounds: usize, threads: usize) -> Result<Growth> {
    let mut curves = Vec::new();
    for subject in subjects().iter().filter(|subject| wanted(subject.name)) {
        for quantity in [Quantity::Density, Quantity::Width, Quantity::Batch, Quantity::Threads] {
            let points = time(points(subject, quantity, threads)?, rounds)?;
            print_curve(subject.name, quantity, &points);
            curves.push(GrowthCurve { network: subject.name.into(), quantity, points });
        }
    }
    anyhow::ensure!(!curves.is_empty(), "no network has such a name; there are MLP, LeNet-5 and ResNet-20");
    let machine = l0_record::machine(threads);
    Ok(Growth { machine, revision: Some(session::REVISION.into()), when: l0_record::now(), curves })
}

fn points(subject: &Subject, quantity: Quantity, threads: usize) -> Result<Vec<Timed>> {
    let prepare = |width: f64, share: Option<f64>, batch: usize| {
        let network = (subject.of_width)(width)?;
        let open = share.map(|share| {
            let open = |units: usize| (share * units as f64).ceil() as usize;
            network.gated_units().into_iter().map(open).collect::<Vec<_>>()
        });
        Step::prepare(network, open.as_deref(), batch, subject.training.clone())
    };
    let timed = |at: f64, threads: usize, step: Step| Timed { at, step, threads, ms: Vec::new() };
    match quantity {
        Quantity::Density => {
            let whole = (subject.of_width)(1.0)?.net().cost().macs() as f64 * BATCH as f64;
            let of_share = |share| prepare(1.0, Some(share), BATCH).map(|step| timed(step.macs / whole, 1, step));
            SHARES.into_iter().map(of_share).collect()
        }
        Quantity::Width => WIDTHS.into_iter().map(|width| Ok(timed(width, 1, prepare(width, None, BATCH)?))).collect(),
        Quantity::Batch => {
            BATCHES.into_iter().map(|batch| Ok(timed(batch as f64, 1, prepare(1.0, None, batch)?))).collect()
        }
        Quantity::Threads => {
            (1..=threads).map(|threads| Ok(timed(threads as f64, threads, prepare(1.0, None, BATCH)?))).collect()
        }
    }
}

fn time(mut points: Vec<Timed>, rounds: usize) -> Result<Vec<GrowthPoint>> {
    for _ in 0..rounds {
        for Timed { step, threads, ms, .. } in &mut points {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(*threads).build().context("cannot start the threads")?;
            ms.extend(pool.install(|| times_of(step))?);
        }
    }
    let point = |timed: Timed| GrowthPoint {
        at: timed.at,
        ms: Spread::of(timed.ms),
        macs: timed.step.macs / timed.threads as f64,
    };
    Ok(points.into_iter().map(point).collect())
}

/// The times of a step, repeated for as long as a round is; the first one wakes what sleeps and does not count.
fn times_of(step: &mut Step) -> Result<Vec<f64>> {
    (step.run)()?;
    let (begin, mut ms) = (Instant::now(), Vec::new());
    while ms.is_empty() || begin.elapsed() < ROUND {
        let begin = Instant::now();
        (step.run)()?;
        ms.push(1e3 * begin.elapsed().as_secs_f64());
    }
    Ok(ms)
}

fn print_curve(network: &str, quantity: Quantity, points: &[GrowthPoint]) {
    let name = format!("{network}, {}", quantity.name());
    for (index, point) in points.iter().enumerate() {
        let name = if index == 0 { name.as_str() } else { "" };
        println!(
            "{name:<22} {:>7.3} {:>26} ms {:>12.1} M MACs a thread",
            point.at,
            point.ms.to_string(),
            1e-6 * point.macs
        );
    }
}
