/// Why a worker could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("core {wanted} cannot be had: this process may use {}", list(.allowed))]
pub struct CpuError {
    /// The core.
    pub wanted: usize,
    /// Those that the process may use.
    pub allowed: Vec<usize>,
}

fn list(cores: &[usize]) -> String {
    match cores {
        [] => "cores that the system does not tell".to_owned(),
        cores => cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Pins the calling thread to a core.
///
/// # Errors
/// [`CpuError`] where the process may not use that core.
pub fn pin(core: usize) -> Result<(), CpuError> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let found = allowed.iter().find(|id| id.id == core);
    if found.is_some_and(|&id| core_affinity::set_for_current(id)) {
        return Ok(());
    }
    Err(CpuError { wanted: core, allowed: allowed.iter().map(|id| id.id).collect() })
}

/// The memory node that a core belongs to; `None` where the kernel does not say.
pub fn numa_node(core: usize) -> Option<usize> {
    let entries = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{core}")).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("node")?.parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_on_no_memory_node() {
        assert_eq!(numa_node(1_000_000), None);
    }

    #[test]
    fn the_first_core_of_the_process_can_be_had_and_another_is_refused() {
        let pinned = std::thread::spawn(|| {
            let first = core_affinity::get_core_ids().unwrap()[0].id;
            pin(first).unwrap();
            core_affinity::get_core_ids().unwrap().iter().map(|id| id.id).eq([first])
        });
        assert!(pinned.join().unwrap());
        let error = pin(1_000_000).unwrap_err();
        assert!(error.to_string().starts_with("core 1000000 cannot be had: this process may use "), "{error}");
    }
}
