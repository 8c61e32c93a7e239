//! The runs of a sweep side by side on one machine, each in a process of its own.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use l0_record::Status;

use super::point::{ELSEWHERE, Point};
use crate::failures::Failures;
use crate::progress::Jobs;
use crate::session;

/// How often processes are looked after.
const GLANCE: Duration = Duration::from_millis(200);

/// Makes all runs that are not finished, `jobs` at a time; one that fails does not stop the others. A process is this
/// program with this command line, its device and precision with it, `--side-job`, as `--index`, and `--threads` added; what it says goes
/// into a file beside its run's folder.
///
/// # Errors
/// If a folder holds a run of other settings, or `stop` was set: then each has saved where it stands.
pub fn side_by_side(points: &[Point], jobs: usize, threads: Option<usize>, stop: &AtomicBool) -> Result<Failures> {
    let mut waiting = VecDeque::new();
    for (index, point) in points.iter().enumerate() {
        if point.status()? != Some(Status::Finished) {
            waiting.push_back(index);
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (threads.unwrap_or(cores) / jobs.min(waiting.len()).max(1)).max(1);
    let mut bar = Jobs::new(points.len() as u64, (points.len() - waiting.len()) as u64);
    let mut running: Vec<Job> = Vec::new();
    let mut failures = Failures::of(points.len());
    let mut told = false;
    while !running.is_empty() || !waiting.is_empty() {
        if stop.load(Ordering::Relaxed) {
            waiting.clear();
            if !std::mem::replace(&mut told, true) {
                running.iter().for_each(Job::interrupt);
            }
        }
        while running.len() < jobs
            && let Some(index) = waiting.pop_front()
        {
            match Job::start(&points[index], index, threads) {
                Ok(job) => running.push(job),
                Err(error) => bar.aside(|| failures.add(points[index].name(), error))?,
            }
        }
        std::thread::sleep(GLANCE);
        let mut still = Vec::with_capacity(running.len());
        for mut job in running {
            // One that cannot be looked after has failed: the others are still at work.
            match job.end().unwrap_or_else(|error| Some(End::Bad(error))) {
                None => still.push(job),
                Some(End::Good(said)) => bar.finished(&said),
                Some(End::Elsewhere(said)) => bar.line(&said),
                Some(End::Bad(error)) if told => bar.line(&format!("{}: {error:#}", job.point.name())),
                Some(End::Bad(error)) => bar.aside(|| failures.add(job.point.name(), error))?,
            }
        }
        running = still;
        bar.running(&running.iter().map(Job::state).collect::<Vec<String>>());
    }
    if told {
        bail!("interrupted; the same command goes on where it stopped");
    }
    Ok(failures)
}

/// A process at work on a run.
struct Job<'a> {
    point: &'a Point,
    child: Child,
    log: PathBuf,
}

/// How a process ended.
enum End {
    /// The run is finished.
    Good(String),
    /// Another process is at it, or was first.
    Elsewhere(String),
    /// The run is not finished, for this reason.
    Bad(Error),
}

impl<'a> Job<'a> {
    fn start(point: &'a Point, index: usize, threads: usize) -> Result<Self> {
        let log = point.path.with_extension("log");
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        // At its end: another process may be at this run and write to the same file.
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command
            .args(std::env::args_os().skip(1))
            .args(["--side-job", &index.to_string(), "--threads", &threads.to_string()])
            .stdin(Stdio::null())
            .stdout(file.try_clone().with_context(|| format!("cannot write {}", log.display()))?)
            .stderr(file);
        // A group of its own: an interrupt from the terminal comes to this program alone, which passes it on once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().with_context(|| format!("cannot start a process for {}", point.name()))?;
        Ok(Self { point, child, log })
    }

    /// Asks the process to save and end.
    fn interrupt(&self) {
        #[cfg(unix)]
        {
            use nix::sys::signal::{Signal, kill};
            use nix::unistd::Pid;
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM); // it may have ended just now
        }
    }

    fn end(&mut self) -> Result<Option<End>> {
        let name = self.point.name();
        let status = self.child.try_wait().with_context(|| format!("cannot wait for {name}"))?;
        let Some(status) = status else { return Ok(None) };
        Ok(Some(match self.point.run()? {
            Some(run) if run.header.status == Status::Finished => End::Good(session::line(&run)),
            _ if status.code() == Some(ELSEWHERE.into()) => {
                End::Elsewhere(format!("{name} is left to another process"))
            }
            Some(run) if run.header.status == Status::Interrupted => {
                End::Bad(anyhow!("it was interrupted, {} epochs are saved", run.rows.len()))
            }
            _ => End::Bad(anyhow!("{}; see {}", self.reason(status), self.log.display())),
        }))
    }

    /// Why the process failed: the error it ended with, or its status if it was not given the time to say one.
    fn reason(&self, status: ExitStatus) -> String {
        let log = if status.code() == Some(1) { std::fs::read(&self.log).unwrap_or_default() } else { Vec::new() };
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rev().find_map(|line| line.strip_prefix("error: "));
        last.map_or(format!("it ended with {status}"), str::to_string)
    }

    fn state(&self) -> String {
        let state = self.point.state().unwrap_or_default(); // its files may be half written
        format!("{}: {state}", self.point.name())
    }
}
