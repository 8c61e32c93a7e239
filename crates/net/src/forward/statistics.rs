//! What the running statistics of normalisations learn from a batch.

use candle_core::Tensor;
use l0_ops::{BatchNormed, Running};

use super::Flow;
use super::at::{At, StatisticsUpdate};
use crate::{Result, Unit};

impl At<'_> {
    /// `running = (1 - momentum) running + momentum batch`, the variance with Bessel's correction; none where no unit
    /// learns. `batch` is of the computed units. A constant is its own mean, with variance 0, and a closed channel is
    /// 0, but keeps its statistics where the layer says that it stays zero. A unit that nobody reads is not computed,
    /// so it keeps its statistics too. One value says nothing of a variance: computed units then keep theirs.
    pub(crate) fn taught(
        &self,
        momentum: f64,
        learns: &[bool],
        input: &Flow,
        batch: Option<&BatchNormed>,
    ) -> Result<Option<StatisticsUpdate>> {
        if !learns.contains(&true) {
            return Ok(None);
        }
        let kept = self.kept();
        let n = input.computed.as_ref().map_or(0, |xs| xs.elem_count() / kept.len());
        let learn = |leaf: &str, learns: &[bool], values, factor, constants| -> Result<Tensor> {
            let rates: Vec<f32> = learns.iter().map(|&learns| if learns { momentum as f32 } else { 0.0 }).collect();
            let new = Running { values, factor, kept, constants, rates: &rates };
            Ok(l0_ops::running(self.value(leaf)?, &new)?)
        };
        let mean = batch.map(|batch| &batch.mean);
        let mean = learn("running_mean", learns, mean, 1.0, input.constants.as_ref())?;
        // In such a batch a computed unit is its own mean, so that it becomes `shift` and hands no gradient on: an
        // epoch may end with one example, and the others have taught enough.
        let of_one = kept.mask().into_iter().map(|computed| computed && n == 1);
        let vary: Vec<bool> = learns.iter().zip(of_one).map(|(&learns, of_one)| learns && !of_one).collect();
        let unbiased = n as f64 / (n.max(2) - 1) as f64;
        let var = learn("running_var", &vary, batch.map(|batch| &batch.var), unbiased, None)?;
        Ok(Some(StatisticsUpdate { node: self.name().into(), mean, var }))
    }

    /// For each unit of the normalisation that reads it, whether what it reads is known.
    pub(crate) fn learning(&self, stays_zero: bool) -> Vec<bool> {
        let forgets = |place: usize| stays_zero && self.layer.is_filler(place);
        let learns = |(place, (unit, input)): (usize, (&Unit, &Unit))| match unit {
            _ if forgets(place) => false,
            Unit::Computed | Unit::Constant | Unit::Pattern => true,
            Unit::Zero => false,
            Unit::Unread => *input == Unit::Zero,
        };
        self.layer.units.iter().zip(self.layer.read).enumerate().map(learns).collect()
    }
}
