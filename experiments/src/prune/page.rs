//! The page at the end of a pruning: before and after, error over the epochs, which channels went where.

use std::fmt::{self, Write};

use l0_net::{Agreement, Cost};
use l0_prune::Target;
use l0_record::EpochRow;
use l0_report::plot::{Axis, Chart, Color, Figure, Mark};
use l0_train::Score;

use super::files::{COMPACT, ONNX};
use crate::latency::{BEFORE, COMPACT as COMPACT_NETWORK};
use crate::network_file::Format;

/// How a page looks.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.35rem .9rem;text-align:right;border-bottom:1px solid #d8dee4}\
th:first-child,td:first-child{text-align:left}td:last-child{font-weight:600}\
code{background:#f3f5f7;padding:.1rem .3rem;border-radius:3px}svg{max-width:100%;height:auto}\
p.note{color:#57606a}.missed{color:#b42318}";

/// With less of what was asked for than this, there is something to be said.
const WELL_BELOW: f64 = 0.8;

/// How much longer the smaller network has to take to be called slower: two runs of one network differ by less.
const SLOWER: f64 = 1.05;

/// What is said of a pruning.
#[derive(Debug)]
pub struct Page {
    /// The network's name.
    pub name: String,
    /// The form it was brought in.
    pub format: Format,
    /// What was asked for.
    pub target: Target,
    /// The data.
    pub data: String,
    /// What was chosen of it, and by which numbers the network reads it.
    pub said_of_data: String,
    /// How many images, or rows, the errors and the verification are about.
    pub test_images: usize,
    /// What predictions were worth before, if the network had values, and what those of the compact file are.
    pub score: (Option<Score>, Score),
    /// What each costs.
    pub cost: (Cost, Cost),
    /// Bytes of the ONNX files.
    pub bytes: (u64, u64),
    /// Milliseconds in `infer`.
    pub infer: (f64, f64),
    /// Milliseconds in onnxruntime.
    pub onnxruntime: Option<(f64, f64)>,
    /// What multiples of channels bring, where they were asked for.
    pub rounding: Option<Rounding>,
    /// Whether always the same answer would do as well: as what the network was before, and as what it is now.
    pub is_constant: (bool, bool),
    /// The verification.
    pub agreement: Agreement,
    /// Seconds of training.
    pub training: Option<f64>,
    /// In how many epochs gates learned.
    pub learning: u64,
    /// The epochs.
    pub rows: Vec<EpochRow>,
    /// How many of the numbers of an example it reads: columns of a table, channels of an image.
    pub read: usize,
    /// The columns of a table that it reads, where it does not read all.
    pub inputs: Vec<String>,
    /// The network as a drawing.
    pub drawing: String,
    /// The seed.
    pub seed: u64,
}

/// One line of the comparison.
struct Line {
    what: &'static str,
    before: String,
    after: String,
    ratio: String,
}

/// What it brings to keep channels in multiples: milliseconds in `infer` of networks at the target, before training,
/// with channels that chance has chosen.
#[derive(Debug, Clone, Copy)]
pub struct Rounding {
    /// The multiple.
    pub multiple: usize,
    /// With channels in multiples.
    pub rounded: f64,
    /// With any number of them.
    pub free: f64,
    /// What both have of the whole network's multiply-accumulates, with any number of channels and in multiples.
    pub macs: (f64, f64),
}

/// Where multiples take as much less than this of the multiply-accumulates, being faster is no merit of theirs.
const AS_MUCH_WORK: f64 = 0.97;

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { multiple, rounded, free, macs: (of_free, of_rounded) } = self;
        write!(
            f,
            "channels in multiples of {multiple}: {} ms in infer with {of_rounded:.3} of the MACs, {} ms with any number of \
             them and {of_free:.3}",
            digits(*rounded),
            digits(*free),
        )?;
        let change = 100.0 * (rounded / free - 1.0);
        match change < 0.0 {
            true if *of_rounded < AS_MUCH_WORK * of_free => {
                write!(f, " (with less work, too: the time says nothing of multiples)")
            }
            is_faster => write!(f, " ({:.0} % {})", change.abs(), if is_faster { "faster" } else { "slower" }),
        }
    }
}

impl Page {
    /// What is left of what the target bounds: a share, or milliseconds in `infer`.
    pub fn left(&self) -> f64 {
        let (before, after) = &self.cost;
        match self.target {
            Target::Weights(_) | Target::Price(_) => after.weights() as f64 / before.weights() as f64,
            Target::Macs(_) => after.macs() as f64 / before.macs() as f64,
            Target::Latency(_) => self.infer.1,
            Target::Inputs(_) => self.read as f64,
        }
    }

    /// Whether that is what was asked for, or less: as many channels stay as fit, so that a share has no margin, as it
    /// has where training alone brings the gates to it ([`crate::asked`]).
    pub fn meets_its_target(&self) -> bool {
        self.target.is_met_by(self.left())
    }

    fn verdict(&self) -> String {
        let met = match (self.meets_its_target(), self.target) {
            (true, _) => "",
            (false, Target::Price(_)) => ": next to nothing; a smaller lambda leaves more",
            (false, _) => ": missed",
        };
        let left = match self.target {
            Target::Inputs(_) => self.read.to_string(),
            Target::Latency(_) => format!("{} ms", digits(self.left())),
            _ => format!("{:.3}", self.left()),
        };
        format!("asked for {}, got {left}{met}", self.target)
    }

    fn lines(&self) -> Vec<Line> {
        let (before, after) = &self.cost;
        let count = |what, before: usize, after: usize| Line {
            what,
            before: grouped(before as u64),
            after: grouped(after as u64),
            ratio: format!("{:.3}", after as f64 / before as f64),
        };
        let time = |what, (before, after): (f64, f64)| Line {
            what,
            before: format!("{} ms", digits(before)),
            after: format!("{} ms", digits(after)),
            ratio: format!("{:.3}", after / before),
        };
        let error = Line {
            what: if self.score.1.rmse().is_some() { "test RMSE" } else { "test error" },
            before: self.score.0.map_or("-".into(), |score| score.shown()),
            after: self.score.1.shown(),
            ratio: self.score.0.map_or(String::new(), |before| change(before, self.score.1)),
        };
        let mut lines = vec![
            error,
            count("parameters", before.params(), after.params()),
            count("MACs", before.macs(), after.macs()),
            count("bytes as ONNX", self.bytes.0 as usize, self.bytes.1 as usize),
            time("latency in infer", self.infer),
        ];
        lines.extend(self.onnxruntime.map(|times| time("latency in onnxruntime", times)));
        lines
    }

    /// What helps: a network that predicts nothing, one well below what was asked for, one that is slower elsewhere.
    fn advice(&self) -> Option<&'static str> {
        match (self.is_constant, self.target) {
            ((true, true), _) => {
                return Some(
                    "No better than always the same answer, and neither was the network that was brought: is its input \
                     normalised as in training, and are classes or columns in its order?",
                );
            }
            ((_, true), Target::Price(_)) => {
                return Some("No better than always the same answer: more --epochs, or a smaller lambda, may help.");
            }
            ((_, true), _) => {
                return Some(
                    "No better than always the same answer: more --epochs, or a target that leaves more, may help.",
                );
            }
            _ => {}
        }
        if let (Some(_), Target::Weights(share) | Target::Macs(share)) = (self.rounding, self.target)
            && self.left() < WELL_BELOW * share
        {
            return Some(
                "Well below the target: multiples of so many channels leave nothing nearer to it; a smaller --round comes nearer.",
            );
        }
        if let Target::Latency(limit) = self.target
            && self.left() < WELL_BELOW * limit
        {
            return Some(
                "Well below the limit: gates in their order leave nothing nearer to it, or the machine was busy while they were \
                 frozen; --target-macs asks for a share in its place.",
            );
        }
        let is_slower = self.onnxruntime.is_some_and(|(before, after)| after > SLOWER * before);
        is_slower.then_some(match self.rounding {
            None => "The pruned network is slower in onnxruntime, which computes channels in blocks: --round 8 keeps multiples.",
            Some(_) => "The pruned network is slower in onnxruntime; with less left of it, it may be faster.",
        })
    }

    /// The page, with all that it shows inside.
    pub fn html(&self) -> String {
        let name = escaped(&self.name);
        let rows: String = self
            .lines()
            .iter()
            .map(|Line { what, before, after, ratio }| {
                format!("<tr><td>{what}</td><td>{before}</td><td>{after}</td><td>{ratio}</td></tr>\n")
            })
            .collect();
        let class = if self.meets_its_target() { "" } else { " class=\"missed\"" };
        let time = self.training.map_or(String::new(), |seconds| format!(", {seconds:.0} s"));
        let (data, images, seed) = (escaped(&self.data), self.test_images, self.seed);
        let said_of_data = escaped(&self.said_of_data);
        let (verdict, agreement, figure) = (self.verdict(), &self.agreement, self.figure().svg());
        let inputs = match self.inputs.as_slice() {
            [] => String::new(),
            read => format!("<h2>Columns that it reads</h2>\n<p>{}</p>\n", escaped(&read.join(", "))),
        };
        let rounding =
            self.rounding.map_or(String::new(), |rounding| format!(" Measured before training, {rounding}."));
        let advice = self.advice().map_or(String::new(), |advice| format!(" {advice}"));
        let (epochs, learning, drawing) = (self.rows.len(), self.learning, &self.drawing);
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}, pruned</title>\
             <style>{STYLE}</style></head><body>\n<h1>{name}, pruned</h1>\n<p{class}>{verdict}.</p>\n\
             <table><tr><th></th><th>{BEFORE}</th><th>{COMPACT_NETWORK}</th><th>ratio</th></tr>\n{rows}</table>\n\
             <p class=\"note\">Errors over all {images} test examples of {data}: {said_of_data}. Latency of one example on one thread of this \
             machine: processor time, the fastest of many turns. Verification, what was trained against the file: {agreement}.{rounding}{advice}</p>\n\
             <h2>Training</h2>\n<p>{epochs} epochs{time}, seed {seed}: gates learned for {learning}, then the smaller \
             network was fine-tuned.</p>\n{figure}\n\
             {inputs}<h2>Which channels went where</h2>\n{drawing}\n\
             <h2>Files</h2>\n<p><code>{ONNX}</code> has float32 numbers, any number of examples, and the names of input and output of what was brought; \
             <code>{COMPACT}</code> is for \
             <code>l0-infer</code>, <code>just predict</code>, <code>just verify</code> and <code>just inspect</code>.</p>\n\
             </body></html>\n"
        )
    }

    fn figure(&self) -> Figure {
        let learned = self.learning as f64;
        let points: Vec<(f64, f64)> =
            self.score.0.map(|score| (0.0, worth(score))).into_iter().chain(curve(&self.rows)).collect();
        let those = |keep: &dyn Fn(f64) -> bool| points.iter().copied().filter(|&(at, _)| keep(at)).collect();
        let (learning, tuning) = (those(&|at| at <= learned), those(&|at| at >= learned));
        let label = if self.score.1.rmse().is_some() { "test RMSE" } else { "test error, %" };
        // No logarithm shows an error of 0.
        let axis = if points.iter().all(|&(_, worth)| worth > 0.0) { Axis::log(label) } else { Axis::linear(label) };
        let mut chart = Chart::new("", Axis::count("epoch"), axis)
            .with("gates learn", Color::Muted, Mark::Line(learning))
            .with("fine-tuning of the smaller network", Color::Own(0), Mark::Line(tuning));
        if let Some(before) = self.score.0.map(worth) {
            let line = Mark::Dashed(vec![(0.0, before), (self.rows.len() as f64, before)]);
            chart = chart.with(BEFORE, Color::Own(1), line);
        }
        Figure {
            title: "Error over the epochs".into(),
            charts: vec![chart],
            columns: 1,
            width: 640.0,
            ..Figure::default()
        }
    }
}

/// An error in percent, or an RMSE.
fn worth(score: Score) -> f64 {
    score.error_percent().or(score.rmse()).unwrap_or(f64::NAN)
}

/// Points of an error, the ratio of an RMSE.
fn change(before: Score, after: Score) -> String {
    match after.error_percent() {
        Some(error) => format!("{:+.2} points", error - worth(before)),
        None => format!("{:.3}", worth(after) / worth(before)),
    }
}

/// The test error of every epoch, or its RMSE.
fn curve(rows: &[EpochRow]) -> Vec<(f64, f64)> {
    rows.iter().filter_map(|row| Some((row.epoch as f64, row.test_error_percent.or(row.test_rmse)?))).collect()
}

/// Milliseconds, short ones with more digits.
fn digits(ms: f64) -> String {
    match ms {
        ..0.001 => format!("{ms:.6}"),
        ..0.01 => format!("{ms:.5}"),
        ..0.1 => format!("{ms:.4}"),
        _ => format!("{ms:.3}"),
    }
}

/// 1234567 as "1,234,567".
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let mut table = String::new();
        writeln!(table, "{:<24}{:>14}{:>14}{:>16}", "", BEFORE, COMPACT_NETWORK, "ratio")?;
        for Line { what, before, after, ratio } in &lines {
            writeln!(table, "{what:<24}{before:>14}{after:>14}{ratio:>16}")?;
        }
        if !self.inputs.is_empty() {
            let s = if self.inputs.len() == 1 { "" } else { "s" };
            writeln!(table, "reads {} column{s}: {}", self.inputs.len(), self.inputs.join(", "))?;
        }
        if let Some(rounding) = self.rounding {
            writeln!(table, "{rounding}")?;
        }
        if let Some(advice) = self.advice() {
            writeln!(table, "{advice}")?;
        }
        write!(f, "{table}{}\n{}", self.agreement, self.verdict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_called_faster_only_where_they_do_as_much() {
        let said =
            |rounded, of_rounded| Rounding { multiple: 8, rounded, free: 1.0, macs: (0.5, of_rounded) }.to_string();
        assert!(said(0.9, 0.49).ends_with("with any number of them and 0.500 (10 % faster)"), "{}", said(0.9, 0.49));
        assert!(
            said(0.7, 0.34).ends_with("(with less work, too: the time says nothing of multiples)"),
            "{}",
            said(0.7, 0.34)
        );
        assert!(said(1.1, 0.34).ends_with("(10 % slower)"), "{}", said(1.1, 0.34));
    }
}
