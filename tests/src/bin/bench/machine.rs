//! What Linux tells of the machine and of processes: `/proc`.

use std::fs;

use serde_json::{Value, json};

/// Its processor, cores, memory and kernel.
pub fn describe() -> Value {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':'))
            .map(|value| value.trim().to_owned())
    };
    let cores = info.matches("processor\t").count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    json!({
        "processor": value(&info, "model name"),
        "cores": cores,
        "memory": value(&memory, "MemTotal"),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).ok(),
        "load": fs::read_to_string("/proc/loadavg").map(|text| text.trim().to_owned()).ok(),
    })
}

/// Nanoseconds that a process with one thread has run.
pub fn run_time(process: i32) -> u64 {
    fs::read_to_string(format!("/proc/{process}/schedstat"))
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or_default()
}

/// Seconds that a process with all its threads, and the children that it has waited for,
/// have run.
pub fn cpu_seconds(process: u32) -> f64 {
    // Linux counts in hundredths of a second, wherever it runs.
    fields(process).map_or(0.0, |fields| {
        fields[11..15]
            .iter()
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>()
            / 100.0
    })
}

/// The same for a process and its living children.
pub fn cpu_seconds_of_all(parent: u32) -> f64 {
    let children = fs::read_dir("/proc").into_iter().flatten().flatten();
    let children = children.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child =
        |process: &u32| fields(*process).is_some_and(|fields| fields[1].parse() == Ok(parent));
    cpu_seconds(parent) + children.filter(is_child).map(cpu_seconds).sum::<f64>()
}

/// What comes after the name in `/proc/PID/stat`: the state, the parent, and so on.
fn fields(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    Some(after.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Mebibytes that a process has in memory.
pub fn memory(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}
