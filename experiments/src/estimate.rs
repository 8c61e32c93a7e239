//! How long a row will take on this machine, from a few steps of it.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use l0::{GatedNet, Objective};
use l0_data::{Augment, Batch, Dataset, Feed};
use l0_prune::Plan;
use l0_train::{MOST_EPOCHS, Trainer, Training};

use crate::Recipe;
use crate::device::Compute;

/// Images of the first steps, which may be slow ones.
const FEW: usize = 4;
/// How much longer than the last one a measurement may become.
const PATIENCE: Duration = Duration::from_secs(3);
/// An evaluation of an image takes a third of a step with it: there is no way back.
const EVALUATION: f64 = 1.0 / 3.0;

/// A duration that is guessed from a few steps, before gates close.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// Of one step.
    pub step: Duration,
    /// How many there are.
    pub steps: u64,
    /// Of all of them, evaluations included.
    pub total: Duration,
}

/// A training that is to be measured.
struct Work<'a> {
    network: &'a GatedNet,
    objective: &'a Objective,
    training: &'a Training,
    augment: Option<Augment>,
    /// Multiply-accumulates of all its teachers for one example.
    teachers: usize,
}

impl Estimate {
    /// Measures a few steps from the start, with fewer images if a whole batch would take long.
    ///
    /// # Errors
    /// If the images do not fit the network.
    pub fn of(row: &Recipe, data: &Dataset, compute: &Compute) -> Result<Self> {
        let (network, objective) = (row.architecture.network()?, row.objective.clone().unwrap_or_default());
        let (training, augment, teachers) = (&row.training, data.augment, teachers_of(row)?);
        Work { network: &network, objective: &objective, training, augment, teachers }.measured(data, compute)
    }

    /// The same of a pruning, whose steps are as long until its gates are frozen.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub fn of_plan(plan: &Plan, data: &Dataset, compute: &Compute) -> Result<Self> {
        let Plan { network, objective, training, augment, .. } = plan;
        let teachers = plan.teacher.as_ref().map_or(0, l0_train::Teacher::macs);
        Work { network, objective, training, augment: *augment, teachers }.measured(data, compute)
    }
}

impl Work<'_> {
    fn measured(&self, data: &Dataset, compute: &Compute) -> Result<Estimate> {
        ensure!(!data.train.is_empty(), "there is no training image");
        let (Self { network, objective, training, augment, .. }, Compute { device, precision, .. }) = (self, compute);
        precision.apply(device)?;
        let endless = Training { epochs: MOST_EPOCHS, ..(*training).clone() }; // however few steps an epoch has
        let mut trainer = Trainer::new(network, objective, &endless, data.train.len(), 0, device)?;
        let batch = training.batch_size.min(data.train.len());
        let mut images = FEW.min(batch);
        let step = loop {
            let feed = Feed::new(&data.train, data.normalise.clone(), images, device)?.augment(*augment)?;
            let feed = feed.in_dtype(precision.dtype());
            let mut batches = whole_batches(&feed, images);
            let mut timed = || -> Result<Duration> {
                let batch = batches.next().context("there is no training image")??;
                Ok(Duration::from_secs_f64(trainer.step(&batch)?.seconds))
            };
            timed()?; // the first one finds cold caches
            let step = timed()?.min(timed()?);
            let next = (4 * images).min(batch);
            if images == batch || step * (3 * next / images) as u32 > PATIENCE {
                break step.mul_f64(batch as f64 / images as f64);
            }
            images = next;
        };
        let epochs = training.epochs;
        let steps = epochs * training.steps_an_epoch(data.train.len());
        let images = epochs as f64 * (data.train.len() as f64 + data.test.len() as f64 * EVALUATION);
        let total = step.mul_f64((images + self.taught(data)) / batch as f64);
        Ok(Estimate { step, steps, total })
    }

    /// What its teachers take, in images of a training step: by their arithmetic beside that of the network, once for
    /// each way in which an image comes, or in every step where there are more ways than epochs.
    fn taught(&self, data: &Dataset) -> f64 {
        let share = self.teachers as f64 / self.network.net().cost().macs().max(1) as f64;
        let ways = self.augment.map_or(1, |augment| augment.ways());
        let times = (ways as u64).min(self.training.epochs);
        share * EVALUATION * times as f64 * data.train.len() as f64
    }
}

/// Multiply-accumulates of all teachers of a row.
fn teachers_of(row: &Recipe) -> Result<usize> {
    let Some(taught) = &row.teacher else { return Ok(0) };
    let Some(teacher) = crate::recipes::named(&taught.row) else { return Ok(0) };
    Ok(taught.networks as usize * teacher.architecture.network()?.net().cost().macs())
}

/// Batches of `size` images, epoch after epoch: the last of an epoch, which may be smaller, says nothing of the others.
fn whole_batches(feed: &Feed, size: usize) -> impl Iterator<Item = l0_data::Result<Batch>> {
    let batches = (0..).flat_map(|epoch| feed.epoch(0, epoch));
    batches.filter(move |batch| batch.as_ref().map_or(true, |batch| batch.len() == size))
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, steps, total } = self;
        let minutes = total.as_secs_f64() / 60.0;
        let ms = 1e3 * step.as_secs_f64();
        write!(f, "{steps} steps of {ms:.*} ms, ", if ms < 10.0 { 2 } else { 0 })?;
        match minutes {
            minutes if minutes < 1.0 => write!(f, "about {:.0} seconds", 60.0 * minutes),
            minutes if minutes < 120.0 => write!(f, "about {minutes:.0} minutes"),
            minutes if minutes < 48.0 * 60.0 => write!(f, "about {:.0} hours", minutes / 60.0),
            minutes => write!(f, "about {:.0} days", minutes / 60.0 / 24.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_are_enough() {
        let row = crate::recipes::quickstart();
        let data = l0_data::Digits { train: 5, test: 3, seed: 1 }.draw().unwrap();
        assert_eq!(Estimate::of(&row, &data, &Compute::cpu(1)).unwrap().steps, row.training.epochs);
    }

    #[test]
    fn the_smaller_batch_at_the_end_of_an_epoch_is_not_timed() {
        let data = l0_data::Digits { train: 5, test: 1, seed: 1 }.draw().unwrap();
        let sizes = |images: usize| -> Vec<usize> {
            let feed = Feed::new(&data.train, l0_data::Normalise::unit(), images, &candle_core::Device::Cpu).unwrap();
            whole_batches(&feed, images).take(4).map(|batch| batch.unwrap().len()).collect()
        };
        assert_eq!((sizes(3), sizes(4), sizes(5)), (vec![3; 4], vec![4; 4], vec![5; 4]));
    }

    #[test]
    fn a_batch_larger_than_the_data_is_all_of_it() {
        let mut row = crate::recipes::quickstart();
        row.training.batch_size = 1_000_000;
        let data = l0_data::Digits { train: 5, test: 3, seed: 1 }.draw().unwrap();
        let Estimate { step, steps, total } = Estimate::of(&row, &data, &Compute::cpu(1)).unwrap();
        assert_eq!(steps, row.training.epochs);
        assert_eq!(total, step.mul_f64(steps as f64 * 6.0 / 5.0));
    }

    #[test]
    fn a_duration_is_said_in_the_unit_that_people_would_use() {
        let said = |seconds: u64| {
            let total = Duration::from_secs(seconds);
            Estimate { step: Duration::from_millis(220), steps: 7820, total }.to_string()
        };
        assert_eq!(said(40), "7820 steps of 220 ms, about 40 seconds");
        assert_eq!(said(1800), "7820 steps of 220 ms, about 30 minutes");
        assert_eq!(said(9000 * 3600), "7820 steps of 220 ms, about 375 days");
    }
}
