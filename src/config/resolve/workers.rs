//! The worker loops: how many, on which cores.

use super::section::{Section, in_range, span_of, word};
use super::{Fault, RawNode, RawNodeFile};
use crate::config::raw::RawCpu;
use crate::config::resolved::{NodeConfig, PollMode, WorkersConfig};

/// Most workers.
const MAX_WORKERS: i64 = 64;
/// Highest core number.
const MAX_CPU: i64 = 1023;

/// `workers`, `cpu` and `poll` of `[node]`.
pub(super) fn workers(section: &Section<'_, '_>, raw: &RawNode) -> Option<WorkersConfig> {
    let count = section.optional("workers", &raw.workers, |&count| in_range::<usize>(count, 1..=MAX_WORKERS));
    let cpus = section.optional("cpu", &raw.cpu, cores).map(Option::unwrap_or_default);
    let poll = section.or("poll", &raw.poll, PollMode::default(), |text| {
        word(text, &[("adaptive", PollMode::Adaptive), ("busy", PollMode::Busy)])
    });
    let (count, cpus) = (count?, cpus?);
    let count = count.unwrap_or(cpus.len().max(1));
    if !cpus.is_empty() && cpus.len() != count {
        let have = if cpus.len() == 1 { "1 core".to_owned() } else { format!("{} cores", cpus.len()) };
        let want = if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") };
        let fault = Fault::new(format!("{have} for {want}"), format!("give {count}, or leave the key out"));
        return section.fault("cpu", span_of(section, &raw.cpu), fault);
    }
    Some(WorkersConfig { count, cpus, poll: poll? })
}

fn cores(cpu: &RawCpu) -> Result<Vec<usize>, Fault> {
    let given = match cpu {
        RawCpu::One(core) => core::slice::from_ref(core),
        RawCpu::Each(cores) => cores,
    };
    let mut cores = Vec::new();
    for &core in given {
        let core = in_range(core, 0..=MAX_CPU)?;
        if cores.contains(&core) {
            return Err(Fault::new(format!("core {core} stands twice"), "give every worker a core of its own"));
        }
        cores.push(core);
    }
    match cores[..] {
        [] => Err(Fault::new("the list is empty", "name a core for each worker, or leave the key out")),
        _ => Ok(cores),
    }
}

/// Workers beside the first have something to do only on a node that forwards.
pub(super) fn forward(root: &Section<'_, '_>, raw: &RawNodeFile, config: &NodeConfig) {
    if config.workers.count > 1
        && !config.forwards()
        && let Some(table) = &raw.node
    {
        let section = root.inner("node", table.span());
        let what = "workers beside the first forward packets, and this node is a host";
        let span = span_of(&section, &table.get_ref().workers);
        section.fault::<()>("workers", span, Fault::new(what, "leave the key out, and give one core at the most"));
    }
}
