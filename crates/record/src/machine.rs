//! The machine a run was measured on.

use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

/// The machine a run was measured on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Threads the run computes with.
    pub threads: usize,
    /// Bytes of memory, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Operating system and its version.
    pub os: String,
    /// Accelerator, if the run used one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// The numbers that the accelerator computed in: f32, tf32 or bf16. A processor computes in f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
}

impl Machine {
    /// The numbers that the run is computed in.
    pub fn precision(&self) -> &str {
        self.precision.as_deref().unwrap_or("f32")
    }

    /// In a line, as `AMD EPYC 7763, 2 cores, 1 thread, 24 GB, Linux 6.1`; before the system the accelerator and its
    /// precision, as `NVIDIA H200 in bf16`.
    pub fn describe(&self) -> String {
        let memory = self.memory_bytes.map(|bytes| format!("{:.0} GB", bytes as f64 / 1e9));
        let accelerator = self.accelerator.as_ref().map(|name| match &self.precision {
            Some(precision) => format!("{name} in {precision}"),
            None => name.clone(),
        });
        let parts = [
            Some(self.cpu.clone()),
            Some(count(self.cores, "core")),
            Some(count(self.threads, "thread")),
            memory,
            accelerator,
            Some(self.os.clone()),
        ];
        parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Describes this machine; `threads` is what the run computes with.
pub fn machine(threads: usize) -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    Machine {
        cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
        cores: thread::available_parallelism().map_or(1, usize::from),
        threads,
        memory_bytes: kilobytes(&read("/proc/meminfo"), "MemTotal"),
        os: os(&read("/proc/sys/kernel/ostype"), &read("/proc/sys/kernel/osrelease")),
        accelerator: None,
        precision: None,
    }
}

/// The most memory this process has held since it began or [forgot](forget_peak_memory), in bytes, where the system
/// tells.
pub fn peak_memory_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// Counts [`peak_memory_bytes`] from here on, where the system can: several runs in one process have each their own.
pub fn forget_peak_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5"); // else it counts from the start of the process
}

fn os(kind: &str, release: &str) -> String {
    match (kind.trim(), release.trim()) {
        ("", _) => std::env::consts::OS.into(),
        (kind, release) => format!("{kind} {release}").trim().into(),
    }
}

/// What follows `key:` on the first line that begins with it.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_string())
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = field(text, key)?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_systems_tables() {
        let text = "processor\t: 0\nmodel name\t: A Chip 9 @ 3 GHz\nmodel name\t: other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A Chip 9 @ 3 GHz"));
        assert_eq!(kilobytes("MemTotal:       24 kB\n", "MemTotal"), Some(24 * 1024));
        assert_eq!(kilobytes("MemTotal: many kB", "MemTotal"), None);
    }

    #[test]
    fn a_machine_without_tables_is_still_described() {
        assert_eq!(os("", ""), std::env::consts::OS);
        let bare = Machine { cpu: "x86_64".into(), cores: 1, threads: 2, ..Machine::default() };
        assert_eq!(bare.describe(), "x86_64, 1 core, 2 threads");
    }

    #[test]
    fn an_accelerator_is_named_with_its_precision_and_older_files_name_none() {
        let gpu = Machine { accelerator: Some("NVIDIA H200".into()), precision: Some("bf16".into()), ..machine(1) };
        assert!(gpu.describe().contains(", NVIDIA H200 in bf16, "), "{}", gpu.describe());
        assert_eq!(serde_json::from_str::<Machine>(&serde_json::to_string(&gpu).unwrap()).unwrap(), gpu);
        let older = r#"{"cpu":"x86_64","cores":1,"threads":2,"os":"Linux"}"#;
        let read: Machine = serde_json::from_str(older).unwrap();
        assert_eq!((read.precision(), serde_json::to_string(&read).unwrap().as_str()), ("f32", older));
    }

    #[test]
    fn memory_that_was_given_back_is_forgotten() {
        const MUCH: usize = 256 << 20;
        if fs::OpenOptions::new().write(true).open("/proc/self/clear_refs").is_err() {
            return; // a system that counts from the start of the process
        }
        drop(std::hint::black_box(vec![1u8; MUCH]));
        assert!(peak_memory_bytes().unwrap() >= MUCH as u64);
        forget_peak_memory();
        let after = peak_memory_bytes().unwrap();
        assert!(after < MUCH as u64, "{after}");
    }

    #[test]
    fn this_machine_has_a_core() {
        let here = machine(1);
        assert!(here.cores >= 1 && !here.os.is_empty() && !here.cpu.is_empty());
    }
}
