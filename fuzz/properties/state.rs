//! What holds of the files of a state directory whatever is in them: a node starts with what whole lines say, or does not
//! start, says which line of which file it is, and leaves the file as it is.

use core::net::Ipv6Addr;
use drover::config::resolved::NodeConfig;
use drover::state::{Changes, Keeper, NodeState, StateError};
use ha::mobile::Restored;
use mma::auth::ReplayFloor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A node of every role, whose name is in the first line of each file.
const NODE: &str = "every";
const ROLES: [&str; 4] = ["mma", "home-agent", "mobile-terminal", "correspondent-node"];

/// A directory of this input's own, gone at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("drover-hostile-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("there is room");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The configurations of the roles that keep something, each under the same name.
fn configs() -> [NodeConfig; 4] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = if root.join("configs").is_dir() { root } else { root.parent().expect("the fuzz workspace is below") };
    ["mma.toml", "home-agent.toml", "mobile-terminal.toml", "correspondent-node.toml"].map(|name| {
        let text = std::fs::read_to_string(root.join("configs").join(name)).expect("it is shipped");
        let config = drover::config::parse(name, &text, Path::new("")).expect("it holds");
        NodeConfig { name: NODE.into(), ..config }
    })
}

fn checksum(words: &[u8]) -> u32 {
    words.iter().fold(0x811c_9dc5, |sum, octet| (sum ^ u32::from(*octet)).wrapping_mul(0x0100_0193))
}

/// The lines with checksums that hold in the place of what stands for them.
fn sealed(text: &[u8]) -> Vec<u8> {
    let seal = |line: &[u8]| {
        let Some(line) = line.strip_suffix(b"\n") else { return line.to_vec() };
        let words = line.windows(2).rposition(|pair| pair == b" *").map_or(line, |at| &line[..at]);
        [words, format!(" *{:08x}\n", checksum(words)).as_bytes()].concat()
    };
    text.split_inclusive(|&octet| octet == b'\n').flat_map(seal).collect()
}

/// A state file: its role, whether its checksums are to hold, and its lines.
pub(crate) fn file(input: &[u8]) {
    let Some((&head, text)) = input.split_first() else { return };
    let role = usize::from(head % 4);
    let text = if head & 4 == 0 { text.to_vec() } else { sealed(text) };
    thread_local!(static CONFIGS: [NodeConfig; 4] = configs());
    CONFIGS.with(|configs| check(&configs[role], ROLES[role], &text));
}

fn check(config: &NodeConfig, role: &str, text: &[u8]) {
    let directory = Directory::new();
    let path = directory.0.join(format!("{role}.state"));
    std::fs::write(&path, text).expect("there is room");
    match Keeper::open(&directory.0, config) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(&path.display().to_string()), "{said}");
            assert!(!said.contains(char::is_control), "{said:?}");
            if let StateError::Damaged { line, .. } = error {
                let lines = text.split_inclusive(|&octet| octet == b'\n').count();
                assert!((2..=lines).contains(&line), "line {line} of {lines}");
            }
            assert_eq!(std::fs::read(&path).expect("it is there"), text, "it is left as it is");
            assert!(!directory.0.join(format!("{role}.state.new")).exists());
        }
        Ok((keeper, state)) => {
            // What is written in its place says the same, in lines that hold.
            drop(keeper);
            let anew = std::fs::read(&path).expect("it is there");
            assert_eq!(sealed(&anew), anew);
            assert!(anew.starts_with(format!("drover-state 1 {role} {NODE} *").as_bytes()));
            let records = |text: &[u8]| text.iter().filter(|&&octet| octet == b'\n').count();
            let known = state.mma.len() + state.home_agent.len() + state.correspondent.len();
            assert!(known + state.terminal.sequences.len() < records(text), "more than lines");
            let (_keeper, again) = Keeper::open(&directory.0, config).expect("it was written by this version");
            assert_eq!(without_numbers(again), without_numbers(state));
        }
    }
}

/// The state but for the numbers that are set aside whenever it is read.
fn without_numbers(mut state: NodeState) -> NodeState {
    state.terminal.sequences.iter_mut().for_each(|(_, sequence)| *sequence = 0);
    state.mma_keys.iter_mut().for_each(|(_, sequence)| *sequence = 0);
    state
}

/// Good files, each with checksums to be kept and to be mended.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let address = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n);
    let floors = |message_id| {
        let floor = |n: u16| (address(n), Some(ReplayFloor { sequence: 65_530 + n, message_id }));
        (0..5).map(floor).chain([(address(1), None)]).collect::<Vec<_>>()
    };
    let terminal = Restored {
        sequences: vec![(address(1), 7), (address(2), 65_535)],
        message_id: Some(1 << 40),
        has_home_binding: true,
        home_agent: Some(address(3)),
    };
    let changes = Changes {
        mma: floors(None),
        home_agent: floors(Some(1 << 40)),
        correspondent: floors(None),
        terminal: Some(terminal),
        ..Changes::default()
    };
    let file = |(role, config): (usize, &NodeConfig)| {
        let directory = Directory::new();
        let (mut keeper, _) = Keeper::open(&directory.0, config).expect("it is empty");
        keeper.keep(&changes);
        std::fs::read(directory.0.join(format!("{}.state", ROLES[role]))).expect("it was written")
    };
    let files: Vec<_> = configs().iter().enumerate().map(file).collect();
    let with = |head: usize| [&[head as u8][..], &files[head % 4]].concat();
    (0..8).map(with).collect()
}
