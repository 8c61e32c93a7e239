//! Work in fixed pieces: what a piece is depends on the shapes alone, never on the number of threads, and a piece is
//! computed by one thread. Reductions over pieces run in their order. So the bits of a result do not depend on threads.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use l0_lanes::Eight;

/// Runs `work` on every item, on the threads of the current rayon pool.
pub(crate) fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync + Send) {
    let threads = rayon::current_num_threads().min(items.len());
    if threads < 2 {
        return items.into_iter().for_each(work);
    }
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    on(threads, &|| std::iter::from_fn(next).for_each(&work));
}

/// Runs `work` on so many threads, if they are free; one that comes too late finds nothing left.
fn on(threads: usize, work: &(impl Fn() + Sync)) {
    if threads < 2 {
        return work();
    }
    rayon::join(|| on(threads / 2, work), || on(threads - threads / 2, work));
}

/// How often a thread looks for work before it lets others have its core in between: a fifth of a millisecond.
const PATIENCE: u32 = 2000;

/// How long a thread stays awake for one piece of work, and after how many rounds it looks at the clock.
const LONGEST: Duration = Duration::from_millis(100);
const ROUNDS: u32 = 64;

/// Runs `work` with the other threads of the pool awake, looking for parts of it: waking a thread takes longer than
/// many a part does. They give way to whatever else wants their cores, and longer work finds them asleep in the end.
///
/// They must not stay for as long as the work takes. A thread that waits for another one, within a part of the work,
/// may be set to keep awake just then, on top of what it waits for, and then the work waits for that part. For the same
/// reason one piece of work at a time keeps threads awake: two would delay each other. Nor does the work wait for them
/// in the end: a thread may do something else for long before it finds that it was to keep awake.
pub fn awake<R>(work: impl FnOnce() -> R) -> R {
    let Some(this) = rayon::current_thread_index().filter(|_| rayon::current_num_threads() > 1) else { return work() };
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Acquire) {
        return work();
    }
    let _free = Sets(&TAKEN, false);
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    rayon::spawn_broadcast(move |context| {
        if context.index() != this {
            look_for_work(&is_done);
        }
    });
    let _done = Sets(&done, true);
    work()
}

/// Does what the pool has to do until `done`, or for [`LONGEST`].
fn look_for_work(done: &AtomicBool) {
    let (start, mut idle) = (Instant::now(), 0);
    while start.elapsed() < LONGEST {
        for _ in 0..ROUNDS {
            if done.load(Ordering::Acquire) {
                return;
            }
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => idle = 0,
                _ if idle < PATIENCE => idle += 1,
                _ => std::thread::yield_now(),
            }
            std::hint::spin_loop();
        }
    }
}

/// Sets a flag at the end of work, also when it panics.
struct Sets<'a>(&'a AtomicBool, bool);

impl Drop for Sets<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, Ordering::Release);
    }
}

/// Cuts `0..n` into at most `pieces` ranges of equal length (the last may be shorter), a multiple of `align`.
pub(crate) fn split(n: usize, pieces: usize, align: usize) -> Vec<Range<usize>> {
    let len = n.div_ceil(pieces.max(1)).next_multiple_of(align).max(1);
    (0..n).step_by(len).map(|start| start..(start + len).min(n)).collect()
}

/// How many pieces work of this many multiply-adds is worth: 1 below what waking a thread costs.
pub(crate) fn pieces(macs: usize) -> usize {
    (macs / 400_000).clamp(1, 4)
}

/// Cuts a buffer into disjoint parts of the given lengths.
pub(crate) fn carve<T>(mut data: &mut [T], lens: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let cut = |len| {
        let (head, tail) = std::mem::take(&mut data).split_at_mut(len);
        data = tail;
        head
    };
    lens.into_iter().map(cut).collect()
}

thread_local! {
    static SPARE: RefCell<Vec<Vec<Eight>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer kept by the thread for its next use; what it holds at first is left over from the last one.
pub(crate) struct Scratch {
    data: Vec<Eight>,
    len: usize,
}

/// A scratch buffer of `len` numbers.
pub(crate) fn scratch(len: usize) -> Scratch {
    let mut data = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if data.len() * 8 < len {
        data.resize(len.div_ceil(8), Eight::ZERO);
    }
    Scratch { data, len }
}

impl Scratch {
    /// The numbers eight by eight, as many as fill eights.
    pub(crate) fn eights(&mut self) -> &mut [Eight] {
        &mut self.data[..self.len / 8]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        SPARE.with_borrow_mut(|spare| spare.push(data));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.data)[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.data)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};

    use super::*;

    /// Runs it on a thread of its own, one at a time, and fails if it does not end.
    fn ends(work: impl FnOnce() + Send + 'static) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || {
            work();
            ended.send(()).unwrap();
        });
        assert!(end.recv_timeout(Duration::from_secs(120)).is_ok(), "threads wait for each other");
    }

    #[test]
    fn a_part_that_waits_while_it_should_keep_awake_comes_to_its_end() {
        ends(|| {
            let (started, queued, ended) = (Barrier::new(2), Barrier::new(2), AtomicBool::new(false));
            let work = || {
                queued.wait();
                while !ended.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            };
            let part = || {
                started.wait();
                queued.wait(); // what is to keep this thread awake lies in its queue now
                rayon::yield_now(); // as waiting for another thread would, this takes it up
                ended.store(true, Ordering::Release);
            };
            let whole = || {
                started.wait();
                awake(work);
            };
            rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| rayon::join(whole, part));
        });
    }

    #[test]
    fn work_ends_while_a_thread_that_should_keep_awake_does_something_else() {
        ends(|| {
            let (started, (ended, end)) = (&Barrier::new(2), mpsc::channel());
            let whole = move || {
                started.wait();
                awake(|| ());
                ended.send(()).unwrap();
            };
            let other = move || {
                started.wait();
                end.recv().unwrap(); // waits for the work, and not as rayon does
            };
            rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| rayon::join(whole, other));
        });
    }

    #[test]
    fn two_pieces_of_work_in_one_pool_both_end() {
        ends(|| {
            let count = |n: u64| {
                std::hint::black_box((0..n).map(std::hint::black_box).sum::<u64>());
            };
            let both = Barrier::new(2);
            let work = || {
                both.wait(); // so that each has a thread of its own
                (0..2000).for_each(|_| awake(|| each(vec![20_000; 8], count)));
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
            pool.install(|| rayon::join(work, work));
        });
    }
}
