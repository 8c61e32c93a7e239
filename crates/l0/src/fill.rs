//! Gates chosen by rank: as many of the likeliest as fit a constraint, so that what is left meets it from below.

use candle_core::{DType, Device, Tensor};
use l0_net::{Mask, Masks, Plan, Unit, Weights};

use crate::gate::LOG_ALPHA_RANGE;
use crate::penalty::op::squared_norms;
use crate::placement::Placed;
use crate::{Constraint, Error, Estimator, Filling, GatedNet, Ranking, Result, Targets};

/// The share of what a bound allows that may stay unused.
const UNUSED: f64 = 0.02;

/// The share of what a bound allows that is too little to go on looking for gates which still fit.
const CLOSE: f64 = 0.004;

/// How many chunks beyond the first that does not fit are tried in its place: each takes a count of the whole network.
const TRIED: usize = 200;

/// The least that an open gate is worth, as log α: half open (eq. 13).
const REOPENED: f32 = 0.0;

/// Gates of one set that are opened together.
struct Chunk {
    set: usize,
    units: Vec<usize>,
    /// The mean of their log α.
    score: f32,
    /// The share of their set that is open once half of them are; 0 for the first ones.
    share: f32,
    /// How many of their set are open with them.
    reach: usize,
}

impl Chunk {
    /// Whether it is the first of its set: some of each set stay open, whatever share that is.
    fn is_first(&self) -> bool {
        self.reach == self.units.len()
    }
}

/// What decides how many chunks are opened.
struct Filler<'a> {
    /// The gates of each set.
    units: Vec<usize>,
    /// Whether all sets keep the same share of theirs.
    is_uniform: bool,
    /// What is left of the bound.
    room: &'a Room<'a>,
}

impl GatedNet {
    /// The same values with as many gates open as fit the constraint, the others closed: those with the largest log α
    /// in the network, or of each set the same share ([`Ranking`]), and where the next of them does not fit any more,
    /// the likeliest of other sets that does; where all keep the same share, up to the share that that one would have
    /// made. Of equals in a set, those come first that switch the larger weights. The gates of a set are opened
    /// `multiple` at a time, in their order. Where that leaves more than a fiftieth of the bound unused, a gate that did
    /// not fit is opened in place of less costly ones.
    ///
    /// Sets that would lose no more than one gate in `whole_within` keep all of them, as far as the bound allows.
    ///
    /// Under a bound on each layer, gates whose units come to nothing beside the others close, and the next likeliest
    /// of their layer are open in their place; no set is kept whole.
    ///
    /// Gates that are open keep their value, at least half open; where the likeliest alone would leave an output that
    /// is constant, as where a shortcut is the least likely of all, the smallest network that has an output is opened
    /// first. Nothing is changed for a bound that no such choice meets.
    ///
    /// # Errors
    /// If a parameter is missing, there is not one target for each set of gates, `multiple` is 0, or `estimator` ranks
    /// gates itself.
    pub(crate) fn filled(
        &self,
        weights: &Weights,
        constraint: &Constraint,
        estimator: Estimator,
        filling: &Filling,
    ) -> Result<Weights> {
        filling.check()?;
        if estimator == Estimator::TopK {
            let (what, expected) = ("estimator for gates that were chosen already", "mean, median");
            return Err(Error::Unknown { what, found: estimator.to_string(), expected });
        }
        let log_alpha = self.log_alpha(weights)?;
        let chunks = chunks(&log_alpha, &self.norms(weights)?, filling.multiple, filling.ranking);
        let open = match &constraint.targets {
            Targets::Layers(targets) => self.likeliest_of_layers(&chunks, targets)?,
            Targets::Model(_) => self.likeliest_of_all(chunks, constraint, filling)?,
        };
        open.map_or_else(|| Ok(weights.clone()), |open| self.opened(weights, &log_alpha, &open))
    }

    /// Of each layer as many of its likeliest chunks as its bound allows; none if the output would be constant. An open
    /// gate whose unit comes to nothing beside the others, as a feature of a closed channel, would use up what a unit
    /// that counts could have: the next likeliest get it. What nothing reads is out for good. What reads nothing may
    /// read something once that is out, and is tried anew.
    fn likeliest_of_layers(&self, chunks: &[Chunk], targets: &[f64]) -> Result<Option<Vec<Vec<bool>>>> {
        self.one_for_each("targets", targets.len())?;
        let units = self.gated_units();
        let mut read: Vec<&Chunk> = chunks.iter().collect();
        loop {
            let mut alive = read.clone();
            let mut open = fill_each(&alive, &units, targets);
            while self.take_out(&mut alive, &open, |unit| !matches!(unit, Unit::Computed | Unit::Unread))? {
                open = fill_each(&alive, &units, targets);
            }
            if !self.take_out(&mut read, &open, |unit| unit == Unit::Unread)? {
                return Ok((!self.is_constant(&self.plan_of(&open)?)).then_some(open));
            }
        }
    }

    /// The likeliest chunks of the network that fit its bound together; none if no choice does.
    fn likeliest_of_all(
        &self,
        mut chunks: Vec<Chunk>,
        constraint: &Constraint,
        filling: &Filling,
    ) -> Result<Option<Vec<Vec<bool>>>> {
        let room = |open: &[Vec<bool>]| self.room(open, constraint);
        let is_within = |open: &[Vec<bool>]| -> Result<bool> {
            Ok(room(open)?.is_some() && !self.is_constant(&self.plan_of(open)?))
        };
        let filler = Filler { units: self.gated_units(), is_uniform: filling.ranking == Ranking::Uniform, room: &room };
        let mut open = filler.fill(&chunks.iter().collect::<Vec<_>>())?;
        if !is_within(&open)? {
            chunks = needed_first(chunks, &self.smallest(constraint)?.0);
            open = filler.fill(&chunks.iter().collect::<Vec<_>>())?;
            if !is_within(&open)? {
                return Ok(None);
            }
        }
        open = self.exchanged(open, &chunks, &filler)?;
        Ok(Some(self.spared(open, &chunks, filling.whole_within, &filler)?))
    }

    /// Takes out the open chunks all of whose units became such, unless nothing is left of the network; says whether
    /// there were any.
    fn take_out(&self, chunks: &mut Vec<&Chunk>, open: &[Vec<bool>], such: impl Fn(Unit) -> bool) -> Result<bool> {
        let (plan, all) = (self.plan_of(open)?, chunks.len());
        if !self.is_constant(&plan) {
            let became: Vec<Vec<Unit>> = self.gates.iter().map(|placed| self.units(&plan, placed.space)).collect();
            chunks.retain(|chunk| {
                let became = &became[chunk.set];
                !chunk.units.iter().all(|&unit| open[chunk.set][unit] && such(became[unit]))
            });
        }
        Ok(chunks.len() < all)
    }

    /// What is open once at most [`UNUSED`] of the bound is left: a costly gate that did not fit comes first, and as
    /// many of the likeliest as fit beside it. The likeliest such gate that uses the bound so far is taken, or else the
    /// one that comes nearest. How likely the gates are that close for it is not weighed.
    fn exchanged(&self, open: Vec<Vec<bool>>, chunks: &[Chunk], filler: &Filler) -> Result<Vec<Vec<bool>>> {
        let (mut best, mut least) = (open.clone(), (filler.room)(&open)?.unwrap_or(0.0));
        let mut ended = vec![false; self.sets()];
        let is_closed = |chunk: &Chunk| chunk.units.iter().any(|&unit| !open[chunk.set][unit]);
        for (at, chunk) in chunks.iter().enumerate() {
            if least <= UNUSED {
                break;
            }
            if !is_closed(chunk) || std::mem::replace(&mut ended[chunk.set], true) {
                continue;
            }
            let (so_far, later) = chunks.split_at(at + 1);
            let (first, others): (Vec<&Chunk>, Vec<&Chunk>) = so_far.iter().partition(|other| other.set == chunk.set);
            let tried = filler.fill(&[first, others, later.iter().collect()].concat())?;
            let unused = (filler.room)(&tried)?.unwrap_or(f64::INFINITY);
            if unused < least && !self.is_constant(&self.plan_of(&tried)?) {
                (best, least) = (tried, unused);
            }
        }
        Ok(best)
    }

    /// What is open once nearly whole sets are left whole: all of them, or one after the other as far as the bound
    /// allows, those first that would lose least. Inputs are not channels, and no set of them is spared.
    fn spared(&self, open: Vec<Vec<bool>>, chunks: &[Chunk], within: usize, filler: &Filler) -> Result<Vec<Vec<bool>>> {
        if within == 0 {
            return Ok(open);
        }
        let (mut open, mut whole) = (open, vec![false; self.sets()]);
        let mut refused: Vec<bool> = self.gates.iter().map(|placed| placed.space == self.net.space(0)).collect();
        loop {
            let closed = |set: usize| open[set].iter().filter(|&&open| !open).count();
            let is_near = |set: &usize| closed(*set) > 0 && closed(*set).saturating_mul(within) <= open[*set].len();
            let mut near: Vec<usize> = (0..self.sets()).filter(|&set| !refused[set]).filter(is_near).collect();
            near.sort_by_key(|&set| closed(set));
            let Some(&least) = near.first() else { return Ok(open) };
            for together in [&near[..], &[least]] {
                together.iter().for_each(|&set| whole[set] = true);
                if let Some(tried) = self.with_whole(&whole, chunks, filler)? {
                    open = tried;
                    break;
                }
                together.iter().for_each(|&set| whole[set] = false);
            }
            refused[least] |= !whole[least];
        }
    }

    /// The likeliest gates that fit beside these whole sets; none if those alone are too much, if what is left is a
    /// constant, or if what is left lies too far below the bound.
    fn with_whole(&self, whole: &[bool], chunks: &[Chunk], filler: &Filler) -> Result<Option<Vec<Vec<bool>>>> {
        let (first, others): (Vec<&Chunk>, Vec<&Chunk>) = chunks.iter().partition(|chunk| whole[chunk.set]);
        let open = filler.fill(&[first, others].concat())?;
        let are_whole = open.iter().zip(whole).all(|(open, whole)| !whole || open.iter().all(|&open| open));
        let comes_near = (filler.room)(&open)?.is_some_and(|unused| unused <= UNUSED);
        Ok((are_whole && comes_near && !self.is_constant(&self.plan_of(&open)?)).then_some(open))
    }

    fn log_alpha(&self, weights: &Weights) -> Result<Vec<Vec<f32>>> {
        let values = |placed: &Placed| {
            let values: Vec<f32> = weights.get(&placed.parameter())?.detach().to_device(&Device::Cpu)?.to_vec1()?;
            match values.iter().position(|value| value.is_nan()) {
                None => Ok(values),
                Some(unit) => {
                    let (layer, problem) = (&placed.placement.layer, format!("log_alpha of unit {unit} is NaN"));
                    Err(l0_net::Error::Layer { node: layer.clone(), problem: format!("cannot rank gates: {problem}") }
                        .into())
                }
            }
        };
        self.gates.iter().map(values).collect()
    }

    /// The squared norm of what each gate switches, which ranks gates that are equally likely: many are, at both ends of
    /// the range of log α.
    fn norms(&self, weights: &Weights) -> Result<Vec<Vec<f32>>> {
        let norms = |placed: &Placed| -> Result<Vec<f32>> {
            let mut sums = vec![0.0; placed.units];
            for (tensor, dim) in placed.members(weights)? {
                let squares = squared_norms(&tensor.detach(), dim)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                sums.iter_mut().zip(squares).for_each(|(sum, square)| *sum += square);
            }
            Ok(sums)
        };
        self.gates.iter().map(norms).collect()
    }

    /// What is left with these gates open and no others.
    pub(crate) fn plan_of(&self, open: &[Vec<bool>]) -> Result<Plan> {
        let mut masks = Masks::none(&self.net);
        for (placed, open) in self.gates.iter().zip(open) {
            let z: Vec<f32> = open.iter().map(|&open| f32::from(u8::from(open))).collect();
            masks.set(&self.net, placed.space, Mask::Shared(Tensor::new(z, &Device::Cpu)?))?;
        }
        Ok(Plan::new(&self.net, &masks, false))
    }

    /// How much of the bound on the model is left unused, as a share of it; none if it is broken.
    fn room(&self, open: &[Vec<bool>], constraint: &Constraint) -> Result<Option<f64>> {
        let share = self.share(&self.net.cost_of(&self.plan_of(open)?), constraint.quantity);
        let room = |target: &f64| (target - share) / target;
        Ok(constraint.targets.each().first().map(room).filter(|&room| room >= 0.0))
    }

    /// The values with these gates open and no others.
    fn opened(&self, weights: &Weights, log_alpha: &[Vec<f32>], open: &[Vec<bool>]) -> Result<Weights> {
        let value = |(&value, &open): (&f32, &bool)| match open {
            true => value.max(REOPENED),
            false => LOG_ALPHA_RANGE.0 as f32,
        };
        let sets = self.gates.iter().zip(log_alpha.iter().zip(open));
        let values: Vec<(String, Vec<f32>)> = sets
            .map(|(placed, (values, open))| (placed.parameter(), values.iter().zip(open).map(value).collect()))
            .collect();
        let replaced = |(name, old): (&str, &Tensor)| match values.iter().find(|(gates, _)| gates == name) {
            Some((_, new)) => Tensor::new(new.as_slice(), old.device()),
            None => Ok(old.clone()),
        };
        Ok(weights.with(weights.iter().map(replaced).collect::<candle_core::Result<Vec<Tensor>>>()?)?)
    }
}

/// How much of the bound on the model is left with these gates open; none if they are too many.
type Room<'a> = dyn Fn(&[Vec<bool>]) -> Result<Option<f64>> + 'a;

/// The gates of every set in chunks of `multiple`, the likeliest first, of equals that with the larger norm; all chunks
/// by their score, or by the share of their set that is open with them.
fn chunks(log_alpha: &[Vec<f32>], norms: &[Vec<f32>], multiple: usize, ranking: Ranking) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for (set, (values, norms)) in log_alpha.iter().zip(norms).enumerate() {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(norms[b].total_cmp(&norms[a]))); // stable
        for (index, units) in order.chunks(multiple).enumerate() {
            let score = units.iter().map(|&unit| values[unit]).sum::<f32>() / units.len() as f32;
            let share = match index {
                0 => 0.0,
                _ => ((index * multiple) as f32 + 0.5 * units.len() as f32) / values.len() as f32,
            };
            let reach = index * multiple + units.len();
            chunks.push(Chunk { set, units: units.to_vec(), score, share, reach });
        }
    }
    chunks.sort_by(|a, b| b.score.total_cmp(&a.score));
    if ranking == Ranking::Uniform {
        chunks.sort_by(|a, b| a.share.total_cmp(&b.share));
    }
    chunks
}

/// The same chunks in an order that begins with the first one of each set that the smallest network has gates of.
fn needed_first(chunks: Vec<Chunk>, smallest: &[usize]) -> Vec<Chunk> {
    let mut seen = vec![false; smallest.len()];
    let is_needed = |chunk: &Chunk| !std::mem::replace(&mut seen[chunk.set], true) && smallest[chunk.set] > 0;
    let (needed, others): (Vec<Chunk>, Vec<Chunk>) = chunks.into_iter().partition(is_needed);
    needed.into_iter().chain(others).collect()
}

/// Opens of each set as many chunks, in their order, as are within the share of its gates that its target is.
fn fill_each(chunks: &[&Chunk], units: &[usize], targets: &[f64]) -> Vec<Vec<bool>> {
    let mut open: Vec<Vec<bool>> = units.iter().map(|&units| vec![false; units]).collect();
    let (mut count, mut ended) = (vec![0; units.len()], vec![false; units.len()]);
    for chunk in chunks {
        let set = chunk.set;
        ended[set] |= (count[set] + chunk.units.len()) as f64 / units[set] as f64 > targets[set];
        if !ended[set] {
            count[set] += chunk.units.len();
            chunk.units.iter().for_each(|&unit| open[set][unit] = true);
        }
    }
    open
}

impl Filler<'_> {
    /// Opens chunks in their order for as long as they fit, then those of the next ones that still do.
    fn fill(&self, chunks: &[&Chunk]) -> Result<Vec<Vec<bool>>> {
        let first = |n: usize| {
            let mut open: Vec<Vec<bool>> = self.units.iter().map(|&units| vec![false; units]).collect();
            chunks[..n].iter().for_each(|chunk| chunk.units.iter().for_each(|&unit| open[chunk.set][unit] = true));
            open
        };
        // What is left grows with every chunk, so the first that does not fit is found by halving.
        let (mut fit, mut too_many) = (0, chunks.len() + 1);
        while too_many - fit > 1 {
            let middle = fit + (too_many - fit) / 2;
            match (self.room)(&first(middle))? {
                Some(_) => fit = middle,
                None => too_many = middle,
            }
        }
        let mut open = first(fit);
        let Some(mut unused) = (self.room)(&open)? else { return Ok(open) };
        // Of a set that had to leave out a chunk, no later one is opened: its gates stay in their order.
        let mut ended = vec![false; self.units.len()];
        let mut left_out: Option<&Chunk> = None;
        let mut tried = 0;
        for chunk in &chunks[fit..] {
            if ended[chunk.set] || left_out.is_some_and(|other| self.is_beyond(chunk, other)) {
                continue;
            }
            if unused < CLOSE || tried == TRIED {
                break;
            }
            tried += 1;
            chunk.units.iter().for_each(|&unit| open[chunk.set][unit] = true);
            match (self.room)(&open)? {
                Some(left) => unused = left,
                None => {
                    chunk.units.iter().for_each(|&unit| open[chunk.set][unit] = false);
                    ended[chunk.set] = true;
                    left_out = left_out.or((!chunk.is_first()).then_some(*chunk)); // of a set with none, none is a share
                }
            }
        }
        Ok(open)
    }

    /// Whether all sets keep the same share, and a chunk would give its set more than the first one that did not fit
    /// would have given to another.
    fn is_beyond(&self, chunk: &Chunk, left_out: &Chunk) -> bool {
        let is_more = chunk.reach * self.units[left_out.set] > left_out.reach * self.units[chunk.set];
        self.is_uniform && !chunk.is_first() && is_more
    }
}
