//! Training steps and operations against PyTorch on the same machine, alternating in one run.

mod growth;
mod peer;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use clap::Parser;
use l0_experiments::{cli, session};
use l0_report::{PeerTiming, Spread, Timing, Timings};
use serde::Serialize;
use serde_json::Value;

use peer::Peer;
use work::Row;

/// Time full training steps (forward, loss, penalty, backward, optimiser, clamp, average) and convolutions.
///
/// Where a Python with PyTorch is found, each row is timed against the best of PyTorch eager and compiled, channels
/// first and last, with one thread and with all, in turns. Nothing else should run meanwhile.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Rows whose names contain one of these words, as MLP, LeNet-5, WRN, conv; all if none is given. --growth has MLP,
    /// LeNet-5 and ResNet-20.
    rows: Vec<String>,
    /// How often the two take turns.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = cli::at_least_one)]
    rounds: usize,
    /// The Python that has PyTorch.
    #[arg(long, env = "L0_PYTHON", default_value = "python3")]
    python: String,
    /// Leave the compiled peer out: compiling takes a minute a row. The times are not written then: the README compares
    /// with the better of both.
    #[arg(long)]
    no_compile: bool,
    /// Time how a step grows with density, width, batch and threads, ours alone. Where all networks are timed, the
    /// times go to the folder growth below --out, and `just report` draws them.
    #[arg(long, conflicts_with = "no_compile")]
    growth: bool,
    /// Folder for the figures as JSON.
    #[arg(long, value_name = "DIR", default_value = "results/bench")]
    out: PathBuf,
    #[command(flatten)]
    run: cli::RunArgs,
}

fn main() -> ExitCode {
    let args: Args = cli::parse();
    cli::main(|| args.run.inside(|threads| bench(&args, threads)))
}

fn bench(args: &Args, threads: usize) -> Result<()> {
    let wanted = |name: &str| args.rows.is_empty() || args.rows.iter().any(|word| name.contains(word.as_str()));
    if args.growth {
        let growth = growth::measure(wanted, args.rounds, threads)?;
        if args.rows.is_empty() {
            return write(&args.out.join("growth"), &growth);
        }
        println!("\nnot written: the report draws all networks, of one run");
        return Ok(());
    }
    let rows: Vec<_> = work::all()?.into_iter().filter(|(name, _)| wanted(name)).collect();
    anyhow::ensure!(!rows.is_empty(), "no row's name contains {}; see --help", args.rows.join(" or "));
    let mut peer = match Peer::start(&args.python) {
        Ok(peer) => Some(peer),
        Err(error) => {
            eprintln!("no PyTorch peer ({error:#}); set L0_PYTHON to a Python that has torch. Ours alone:");
            None
        }
    };
    let floor = gflops(threads)?;
    println!("machine: {}", l0_record::machine(threads).describe());
    println!(
        "matmul 1024: {floor:.0} GFLOP/s with {threads} threads; the floor of a row is its arithmetic at that speed\n"
    );
    println!(
        "{:<44} {:>6} {:>22} {:>30} {:>9}",
        "row", "ratio", "ours ms (min..max)", "PyTorch ms (min..max), best of", "floor ms"
    );
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let is_partial = args.no_compile || threads < all;
    if is_partial {
        println!(
            "not to be written: the README compares with PyTorch eager and compiled, with one thread and with all\n"
        );
    }
    let mut timings = Vec::new();
    for (name, prepare) in rows {
        let mut row = prepare()?;
        timings.push(time(name, &mut row, peer.as_mut(), args, threads, floor)?);
    }
    let report = Timings {
        machine: l0_record::machine(threads),
        revision: Some(session::REVISION.into()),
        when: l0_record::now(),
        torch: peer.map(|peer| peer.version),
        threads,
        matmul_gflops: floor,
        rows: timings,
    };
    if is_partial { Ok(()) } else { write(&args.out, &report) }
}

/// Writes a report into `folder`, in a file named by the time.
fn write(folder: &Path, report: &impl Serialize) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(format!("{}.json", l0_record::now().replace(':', "-")));
    let report = serde_json::to_string_pretty(report)?;
    std::fs::write(&path, report).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// Before each turn: the other's threads, which wait by spinning for a while, are asleep by then.
const PAUSE: Duration = Duration::from_millis(50);

fn time(
    name: &str,
    row: &mut Row,
    mut peer: Option<&mut Peer>,
    args: &Args,
    threads: usize,
    floor: f64,
) -> Result<Timing> {
    let mut ours = Vec::new();
    let mut variants = variants(row, threads, args.no_compile);
    for _ in 0..args.rounds {
        std::thread::sleep(PAUSE);
        (row.ours)()?; // each turn begins with one untimed, for both
        for _ in 0..row.times {
            let begin = Instant::now();
            (row.ours)()?;
            ours.push(1e3 * begin.elapsed().as_secs_f64());
        }
        if let Some(peer) = peer.as_deref_mut() {
            for (_, request, spent) in &mut variants {
                request["times"] = (row.times + 1).into();
                std::thread::sleep(PAUSE);
                spent.extend(peer.ask(request)?.into_iter().skip(1));
            }
        }
    }
    let variants = variants.into_iter().filter(|v| !v.2.is_empty());
    let peer = variants.map(|(name, _, spent)| PeerTiming { name, ms: Spread::of(spent) }).collect();
    let timing = Timing::new(name, Spread::of(ours), row.flop / floor / 1e6, peer);
    println!(
        "{:<44} {:>6} {:>22} {:>30} {:>9.2}",
        name,
        timing.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
        timing.ours_ms,
        timing.best().map_or("-".into(), |best| format!("{} {}", best.ms, best.name)),
        timing.floor_ms
    );
    Ok(timing)
}

/// What the peer is asked for: the name of a variant, the request, and the times it takes.
type Variant = (String, Value, Vec<f64>);

fn variants(row: &Row, threads: usize, no_compile: bool) -> Vec<Variant> {
    let is_step = row.peer["work"] == "step";
    let (layouts, ways): (&[bool], &[bool]) = match is_step {
        true => (
            if row.is_of_images { &[false, true] } else { &[false] },
            if no_compile { &[false] } else { &[false, true] },
        ),
        false => (&[false], &[false]),
    };
    let mut all = Vec::new();
    for threads in if threads > 1 { vec![1, threads] } else { vec![1] } {
        for (&compile, &last) in ways.iter().flat_map(|way| layouts.iter().map(move |layout| (way, layout))) {
            let mut request = row.peer.clone();
            request["threads"] = threads.into();
            if is_step {
                (request["compile"], request["channels_last"]) = (compile.into(), last.into());
            }
            let way = if compile { "compiled" } else { "eager" };
            let layout = if last { ", channels last" } else { "" };
            all.push((format!("{way}{layout}, {threads} threads"), request, Vec::new()));
        }
    }
    all
}

fn gflops(threads: usize) -> Result<f64> {
    let n = 1024;
    let random = || Tensor::from_vec(work::stream("matmul").normals(n * n), (n, n), &Device::Cpu);
    let (a, b) = (random()?, random()?);
    let mut times = Vec::new();
    for _ in 0..8 + threads {
        let begin = Instant::now();
        a.matmul(&b)?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(2e-9 * (n as f64).powi(3) / Spread::of(times).min)
}
