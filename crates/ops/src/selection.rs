//! Which units of a dimension take part.

use std::sync::Arc;

/// The kept units among `total`: all of them, or an ascending list of indices.
#[derive(Debug, Clone)]
pub struct Selection {
    total: usize,
    kept: Option<Arc<[u32]>>,
    /// The lists that kernels on a GPU read, once they were copied there; clones share them.
    #[cfg(feature = "cuda")]
    lists: Arc<std::sync::OnceLock<crate::cuda::lists::Lists>>,
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        (self.total, &self.kept) == (other.total, &other.kept)
    }
}

impl Eq for Selection {}

impl Selection {
    /// Every unit of `total`.
    pub fn all(total: usize) -> Self {
        Self::new(total, None)
    }

    /// The units for which `open` is true.
    pub fn of(open: &[bool]) -> Self {
        let total = open.len();
        let kept: Arc<[u32]> = (0..total as u32).filter(|&i| open[i as usize]).collect();
        if kept.len() == total { Self::all(total) } else { Self::new(total, Some(kept)) }
    }

    fn new(total: usize, kept: Option<Arc<[u32]>>) -> Self {
        Self {
            total,
            kept,
            #[cfg(feature = "cuda")]
            lists: Arc::default(),
        }
    }

    /// The lists on `device`; those of the first device that asks are kept.
    #[cfg(feature = "cuda")]
    pub(crate) fn lists(&self, device: &candle_core::Device) -> candle_core::Result<crate::cuda::lists::Lists> {
        match self.lists.get() {
            Some(lists) if lists.are_on(device) => Ok(lists.clone()),
            _ => {
                let lists = crate::cuda::lists::Lists::new(self.indices().unwrap_or_default(), self.total, device)?;
                let _ = self.lists.set(lists.clone()); // of two, either serves
                Ok(lists)
            }
        }
    }

    /// How many units there are in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many units are kept.
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or(self.total, |kept| kept.len())
    }

    /// Whether no unit is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every unit is kept.
    pub fn is_all(&self) -> bool {
        self.kept.is_none()
    }

    /// The kept indices, ascending, or `None` where all are kept.
    pub fn indices(&self) -> Option<&[u32]> {
        self.kept.as_deref()
    }

    /// The kept indices, ascending, one by one.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).map(|i| self.kept.as_ref().map_or(i, |kept| kept[i] as usize))
    }

    /// For each unit, whether it is kept.
    pub fn mask(&self) -> Vec<bool> {
        let mut mask = vec![self.is_all(); self.total];
        self.indices().into_iter().flatten().for_each(|&i| mask[i as usize] = true);
        mask
    }
}
