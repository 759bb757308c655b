//! The worker loops: how many, on which cores.

use super::section::{Section, in_range, span_of};
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
    let words = [("adaptive", PollMode::Adaptive), ("busy", PollMode::Busy)];
    let poll = section.choice("poll", &raw.poll, &words, PollMode::default());
    let (count, cpus) = (count?, cpus?);
    let count = count.unwrap_or_else(|| {
        let count = cpus.len().max(1);
        section.by_default("workers", count as i64);
        count
    });
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

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use std::path::Path;

    /// What is said about `keys` in the third line of a router's file: the counted workers and their cores, or the mistake.
    fn said(keys: &str, roles: &str) -> Result<(usize, Vec<usize>), String> {
        let text = format!("[node]\nname = \"x\"\n{keys}\n[[port]]\nname = \"a\"\ninterface = \"eth0\"\n{roles}");
        match parse("x.toml", &text, Path::new("")) {
            Ok(config) => Ok((config.workers.count, config.workers.cpus)),
            Err(error) => Err(error.to_string().trim_start_matches("x.toml:3: node.").to_owned()),
        }
    }

    #[test]
    fn workers_and_their_cores() {
        let router = |keys: &str| said(keys, "");
        assert_eq!(router(""), Ok((1, vec![])));
        assert_eq!(router("cpu = 3"), Ok((1, vec![3])));
        assert_eq!(router("workers = 4"), Ok((4, vec![])));
        assert_eq!(router("cpu = [5, 2]"), Ok((2, vec![5, 2])));
        assert_eq!(router("workers = 2;cpu = [5, 2]".replace(';', "\n").as_str()), Ok((2, vec![5, 2])));
        let mistakes = [
            ("workers = 0", "workers: 0 is too small; give 1 to 64"),
            ("workers = 65", "workers: 65 is too large; give 1 to 64"),
            ("cpu = [1, 1024]", "cpu: 1024 is too large; give 0 to 1023"),
            ("cpu = [1, 1]", "cpu: core 1 stands twice; give every worker a core of its own"),
            ("cpu = []", "cpu: the list is empty; name a core for each worker, or leave the key out"),
            ("cpu = [1, 2]\nworkers = 3", "cpu: 2 cores for 3 workers; give 3, or leave the key out"),
            ("cpu = 1\nworkers = 3", "cpu: 1 core for 3 workers; give 3, or leave the key out"),
            ("cpu = [1, 2]\nworkers = 1", "cpu: 2 cores for 1 worker; give 1, or leave the key out"),
            ("cpu = \"all\"", "cpu: "),
        ];
        for (keys, mistake) in mistakes {
            let said = router(keys).unwrap_err();
            assert!(said.starts_with(mistake), "{keys}: {said}");
        }
    }

    #[test]
    fn a_host_has_one_worker() {
        let role = "addresses = [\"2001:db8:c::1/64\"]\n[correspondent_node]\naddress = \"2001:db8:c::1\"\n";
        let mistake = "workers: workers beside the first forward packets, and this node is a host; leave the key out, and \
                       give one core at the most";
        assert_eq!(said("workers = 2", role), Err(mistake.to_owned()));
        assert_eq!(said("workers = 1", role).map(|(count, _)| count), Ok(1));
        assert!(said("cpu = [1, 2]", role).is_err_and(|said| said.contains(mistake)));
    }
}
