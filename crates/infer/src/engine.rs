//! Running a compiled network.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use l0_net::{Model, Net, Weights};
use rayon::prelude::*;

use crate::kernel::Inputs;
use crate::layout::{LANES, Layout};
use crate::program::Program;
use crate::{Error, Result};

/// Numbers of all buffers of a piece of the batch: half a mebibyte, which stays in a core's second cache.
const CACHED: usize = 1 << 17;
/// Most examples of a piece: as many share one pass over the weights of a linear layer.
const PIECE: usize = 24;
/// Multiply-accumulates that are worth waking another thread.
const WORTH_A_THREAD: usize = 2_000_000;

/// A plain network, ready to run: weights packed, buffers there.
///
/// Bias, batch normalisation, 2x2 max pooling and functions of each number are part of the convolution or linear layer
/// they follow. A run on one thread allocates nothing but the growth of the output for the largest batch so far, unless
/// the network has a layer without a step of its own. The result of an example depends neither on the rest of the batch
/// nor on the number of threads.
///
/// A clone shares the weights and the threads, and has buffers of its own.
#[derive(Clone)]
pub struct Engine {
    program: Arc<Program>,
    input: usize,
    output: usize,
    macs: usize,
    /// Examples of a piece.
    piece: usize,
    workers: Vec<Worker>,
    pool: Option<Arc<rayon::ThreadPool>>,
    ys: Vec<f32>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (steps, buffers) = (self.program.steps.len(), self.program.buffers.len());
        f.debug_struct("Engine").field("steps", &steps).field("buffers", &buffers).finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles `net` for one thread.
    ///
    /// # Errors
    /// If a parameter is missing or of another shape, or a layer's output is too large.
    pub fn new(net: &Net, weights: &Weights) -> Result<Self> {
        let program = Program::new(net, weights)?;
        let size = |node| net.shape(node).dims().iter().product();
        let (input, output) = (size(0), size(net.output()));
        let piece = (CACHED / program.buffers.iter().map(Layout::len).sum::<usize>().max(1)).clamp(1, PIECE);
        let workers = vec![Worker::new(&program, piece)];
        let macs = net.cost().macs();
        Ok(Self { program: Arc::new(program), input, output, macs, piece, workers, pool: None, ys: Vec::new() })
    }

    /// Reads the file of a model ([`Model::save`]) and compiles it for one thread.
    ///
    /// # Errors
    /// If the file cannot be read or is not that of a model; else as [`Engine::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let (model, _) = Model::load(path, &Device::Cpu)?;
        Self::new(&model.net, &model.weights)
    }

    /// The same network on so many threads: they share out the batch.
    ///
    /// # Errors
    /// If there are none, or they cannot be started.
    pub fn with_threads(mut self, threads: usize) -> Result<Self> {
        let error = |why: String| Error::Threads { found: threads, why };
        if threads == 0 {
            return Err(error("expected one or more".into()));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        self.pool = if threads > 1 { Some(Arc::new(pool.map_err(|e| error(e.to_string()))?)) } else { None };
        self.workers = (0..threads).map(|_| Worker::new(&self.program, self.piece)).collect();
        Ok(self)
    }

    /// Numbers of one example of the input.
    pub fn input_len(&self) -> usize {
        self.input
    }

    /// Bytes of all buffers, of every thread, without the weights and the output: what a run takes at most.
    pub fn memory(&self) -> usize {
        self.workers.iter().map(Worker::memory).sum()
    }

    /// The output (batch, classes) for `xs`, (batch, features) or (batch, c, h, w).
    ///
    /// # Errors
    /// If `xs` does not hold `batch` examples, or `batch` is 0.
    pub fn run(&mut self, xs: &[f32], batch: usize) -> Result<&[f32]> {
        let expected = batch.saturating_mul(self.input);
        if xs.len() != expected {
            return Err(Error::Input { found: xs.len(), expected, batch });
        }
        if batch == 0 {
            return Err(l0_net::Error::EmptyBatch(vec![0, self.input]).into());
        }
        self.ys.resize(batch * self.output, 0.0);
        let threads = (self.macs.saturating_mul(batch) / WORTH_A_THREAD).clamp(1, self.workers.len().min(batch));
        match &self.pool {
            Some(pool) if threads > 1 => {
                let share = batch.div_ceil(threads);
                let (program, input, output, piece) = (&self.program, self.input, self.output, self.piece);
                let shares = xs.par_chunks(share * input).zip(self.ys.par_chunks_mut(share * output));
                let workers = self.workers.par_iter_mut().with_max_len(1);
                pool.install(|| {
                    let each = |(worker, (xs, ys)): (&mut Worker, _)| worker.run(program, piece, xs, input, ys, output);
                    workers.zip(shares).try_for_each(each)
                })?;
            }
            _ => self.workers[0].run(&self.program, self.piece, xs, self.input, &mut self.ys, self.output)?,
        }
        Ok(&self.ys)
    }

    /// The class with the largest output for each example; of equal ones the first.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn predict(&mut self, xs: &[f32], batch: usize) -> Result<Vec<usize>> {
        let classes = self.output;
        let largest = |ys: &[f32]| (1..ys.len()).fold(0, |best, i| if ys[i] > ys[best] { i } else { best });
        Ok(self.run(xs, batch)?.chunks_exact(classes).map(largest).collect())
    }
}

/// The buffers of one thread.
#[derive(Clone)]
struct Worker {
    buffers: Vec<Vec<f32>>,
    scratch: Vec<f32>,
}

impl Worker {
    fn new(program: &Program, piece: usize) -> Self {
        // Vectors at the end of the last row reach beyond it.
        let buffer = |layout: &Layout| vec![0.0; piece * layout.len() + LANES];
        let scratch = program.steps.iter().map(|step| step.kernel.scratch()).max().unwrap_or(0);
        Self { buffers: program.buffers.iter().map(buffer).collect(), scratch: vec![0.0; scratch + LANES] }
    }

    fn memory(&self) -> usize {
        let numbers = self.buffers.iter().map(Vec::len).sum::<usize>() + self.scratch.len();
        numbers * size_of::<f32>()
    }

    fn run(
        &mut self,
        program: &Program,
        piece: usize,
        xs: &[f32],
        input: usize,
        ys: &mut [f32],
        output: usize,
    ) -> Result<()> {
        for (xs, ys) in xs.chunks(piece * input).zip(ys.chunks_mut(piece * output)) {
            let images = xs.len() / input;
            fill(&mut self.buffers[0], &program.buffers[0], xs, input);
            self.steps(program, images)?;
            ys.copy_from_slice(&self.buffers[program.output][..images * output]);
        }
        Ok(())
    }

    fn steps(&mut self, program: &Program, images: usize) -> Result<()> {
        for step in &program.steps {
            // Taken out while it is written; a moved Vec is three words.
            let mut ys = std::mem::take(&mut self.buffers[step.output]);
            let xs = Inputs { buffers: &self.buffers, places: &step.inputs };
            let done = step.kernel.run(images, xs, &mut ys, &mut self.scratch);
            self.buffers[step.output] = ys;
            done?;
        }
        Ok(())
    }
}

/// Lays the images out in the first buffer.
fn fill(buffer: &mut [f32], layout: &Layout, xs: &[f32], input: usize) {
    if layout.is_bare() {
        buffer[..xs.len()].copy_from_slice(xs);
        return;
    }
    for (xs, to) in xs.chunks_exact(input).zip(buffer.chunks_exact_mut(layout.len())) {
        for (row, at) in xs.chunks_exact(layout.w).zip(layout.rows()) {
            to[at..at + layout.w].copy_from_slice(row);
        }
    }
}
