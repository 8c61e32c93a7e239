//! A network as a list of steps on buffers.

use crate::kernel::Kernel;
use crate::layout::Layout;

/// One step: reads buffers, writes another.
pub(crate) struct Step {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

/// A compiled network.
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// What each buffer holds; the first one the input.
    pub(crate) buffers: Vec<Layout>,
    /// The buffer of the output, which is in one piece.
    pub(crate) output: usize,
}

/// Lets steps write into buffers of the same layout that nobody reads any more. A border stays zero, since nobody
/// writes it.
pub(crate) fn share(mut steps: Vec<Step>, layouts: &[Layout], output: usize) -> Program {
    let mut last_read = vec![0; layouts.len()];
    for (t, step) in steps.iter().enumerate() {
        step.inputs.iter().for_each(|&input| last_read[input] = t);
    }
    last_read[output] = usize::MAX;
    let mut place = vec![0; layouts.len()]; // of the first buffer, the input's, place 0
    let (mut buffers, mut free) = (vec![layouts[0]], Vec::new());
    for (t, step) in steps.iter_mut().enumerate() {
        let layout = layouts[step.output];
        place[step.output] = match free.iter().position(|&buffer: &usize| buffers[buffer] == layout) {
            Some(found) => free.swap_remove(found),
            None => {
                buffers.push(layout);
                buffers.len() - 1
            }
        };
        let done: Vec<usize> = step.inputs.iter().filter(|&&i| last_read[i] == t).map(|&i| place[i]).collect();
        done.into_iter().for_each(|buffer| {
            if !free.contains(&buffer) {
                free.push(buffer);
            }
        });
        step.inputs.iter_mut().for_each(|input| *input = place[*input]);
        step.output = place[step.output];
    }
    Program { steps, output: place[output], buffers }
}
