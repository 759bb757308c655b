//! The files of a node.

use super::file::StateFile;
use super::record::{Pair, Record};
use super::{Changes, Floors, KeySequences, NodeState, RESERVED, Role, SEQUENCE_MARGIN, TIMESTAMP_MARGIN_SECS};
use crate::config::resolved::NodeConfig;
use ::ha::mobile::Restored;
use ::mma::auth::ReplayFloor;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a node cannot have its state back.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or the directory cannot be read or written.
    #[error("{path}: {source}; make it readable and writable for this process, or give [node] another state_dir")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{0}: another process keeps its state here; stop it, or give [node] another state_dir")]
    InUse(PathBuf),
    /// The file is none that this version knows.
    #[error("{0}: this is no state that this version knows; move it away to start without it")]
    Form(PathBuf),
    /// The file is another node's.
    #[error("{path}: this is the state of another node (`{header}`); give each node a state_dir, or move it away")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its first line.
        header: String,
    },
    /// A line is damaged.
    #[error(
        "{path}:{line}: this line is damaged; move the file away to start without it, by which replays may be taken"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
}

/// Keeps the state of one node on the disk. While it lives nobody else can.
#[derive(Debug)]
pub struct Keeper {
    files: Vec<(Role, StateFile)>,
    directory: PathBuf,
    /// Whether the last write failed, so that this is said once.
    is_failing: bool,
    _lock: File,
}

impl Keeper {
    /// Opens or makes the directory and the files of the node's roles, and returns what the node starts with.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn open(directory: &Path, config: &NodeConfig) -> Result<(Self, NodeState), StateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed(directory))?;
        let lock_path = directory.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path)(error)),
        }
        let roles = [
            (Role::Mma, config.mma.is_some()),
            (Role::HomeAgent, config.home_agent.is_some()),
            (Role::MobileTerminal, config.mobile_terminal.is_some()),
            (Role::Correspondent, config.correspondent_node.as_ref().is_some_and(|n| !n.preconfigured_keys.is_empty())),
        ];
        let (mut files, mut state) = (Vec::new(), NodeState::default());
        for (role, _) in roles.into_iter().filter(|(_, wanted)| *wanted) {
            let mut file = StateFile::open(directory, role, &config.name)?;
            let image = file.image();
            match role {
                Role::Mma => {
                    state.mma = floors(&image.floors);
                    state.mma_keys = image.key_sequences.iter().map(|(&pair, &last)| (pair, last)).collect();
                }
                Role::HomeAgent => state.home_agent = floors(&image.floors),
                Role::Correspondent => state.correspondent = floors(&image.floors),
                Role::MobileTerminal => {
                    state.terminal = Restored {
                        sequences: image.sequences.iter().map(|(&peer, &sequence)| (peer, sequence)).collect(),
                        message_id: image.timestamp.map(later),
                        has_home_binding: image.has_home_binding,
                        home_agent: image.home_agent,
                    };
                }
            }
            // What is used before anything is written again must be written down too.
            let ahead: Vec<Record> = match role {
                Role::MobileTerminal => {
                    let ahead = |&(peer, last): &(_, u16)| Record::Sequence(peer, last.wrapping_add(RESERVED));
                    state.terminal.sequences.iter().map(ahead).collect()
                }
                Role::Mma => keys_ahead(&image.key_sequences, config),
                Role::HomeAgent | Role::Correspondent => Vec::new(),
            };
            file.append(ahead).map_err(failed(directory))?;
            files.push((role, file));
        }
        Ok((Keeper { files, directory: directory.to_owned(), is_failing: false, _lock: lock }, state))
    }

    /// Has changes on the disk when it returns. What cannot be written is said on standard error, once, and tried again
    /// with the next changes.
    pub fn keep(&mut self, changes: &Changes) {
        match self.write(changes) {
            Ok(()) if self.is_failing => {
                self.is_failing = false;
                eprintln!("drover: {}: state is written again", self.directory.display());
            }
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                eprintln!(
                    "drover: {}: state cannot be written: {error}; after a restart replays may be taken",
                    self.directory.display()
                );
            }
            _ => {}
        }
    }

    fn write(&mut self, changes: &Changes) -> io::Result<()> {
        let mut result = Ok(());
        for (role, file) in &mut self.files {
            let written = match role {
                Role::Mma => {
                    let keys: Vec<_> = key_records(file, &changes.mma_keys).collect();
                    file.append(floor_records(&changes.mma).chain(keys))
                }
                Role::HomeAgent => file.append(floor_records(&changes.home_agent)),
                Role::Correspondent => file.append(floor_records(&changes.correspondent)),
                Role::MobileTerminal => {
                    let records = changes.terminal.iter().flat_map(|terminal| terminal_records(file, terminal));
                    let records: Vec<_> = records.collect();
                    file.append(records)
                }
            };
            result = result.and(written);
        }
        result
    }
}

fn floor_records(changes: &[(Ipv6Addr, Option<ReplayFloor>)]) -> impl Iterator<Item = Record> + '_ {
    changes.iter().map(|&(home_address, floor)| match floor {
        Some(floor) => Record::Floor(home_address, floor),
        None => Record::NoFloor(home_address),
    })
}

/// What is to be written where the numbers up to `reserved` stand there and those up to `used` are used: [`RESERVED`]
/// more, when half of them are used.
fn reserve(reserved: Option<u16>, used: u16) -> Option<u16> {
    let left = reserved.map(|reserved| reserved.wrapping_sub(used));
    let is_enough = left.is_some_and(|left| (RESERVED / 2..=RESERVED).contains(&left));
    (!is_enough).then(|| used.wrapping_add(RESERVED))
}

/// The numbers that an agent may use of its keys before more are written, of new keys too. Of keys that are no longer
/// configured nothing is kept.
fn keys_ahead(known: &BTreeMap<Pair, u16>, config: &NodeConfig) -> Vec<Record> {
    let keys = config.mma.iter().flat_map(|mma| &mma.preconfigured_keys);
    let pairs: BTreeSet<Pair> = keys.map(|(correspondent, key)| (key.home_address, *correspondent)).collect();
    let ahead = |pair: &Pair| {
        let last = known.get(pair).copied().unwrap_or_default();
        Record::KeySequence(*pair, last.wrapping_add(RESERVED))
    };
    let gone = known.keys().filter(|pair| !pairs.contains(*pair)).map(|&pair| Record::NoKeySequence(pair));
    pairs.iter().map(ahead).chain(gone).collect()
}

fn key_records<'f>(file: &'f StateFile, used: &'f KeySequences) -> impl Iterator<Item = Record> + 'f {
    let known = &file.image().key_sequences;
    let record = |&(pair, used): &(Pair, u16)| {
        reserve(known.get(&pair).copied(), used).map(|reserved| Record::KeySequence(pair, reserved))
    };
    used.iter().filter_map(record)
}

/// Numbers are written down [`RESERVED`] ahead, all else as it is.
fn terminal_records(file: &StateFile, terminal: &Restored) -> Vec<Record> {
    let known = file.image();
    let mut records = Vec::new();
    for &(peer, used) in &terminal.sequences {
        let reserved = reserve(known.sequences.get(&peer).copied(), used);
        records.extend(reserved.map(|reserved| Record::Sequence(peer, reserved)));
    }
    let in_use = |peer| terminal.sequences.iter().any(|&(used, _)| used == peer);
    records.extend(known.sequences.keys().filter(|&&peer| !in_use(peer)).map(|&peer| Record::NoSequence(peer)));
    if let Some(timestamp) = terminal.message_id.filter(|&timestamp| known.timestamp != Some(timestamp)) {
        records.push(Record::Timestamp(timestamp));
    }
    if terminal.has_home_binding != known.has_home_binding {
        records.push(Record::HomeBinding(terminal.has_home_binding));
    }
    if terminal.home_agent != known.home_agent {
        records.push(terminal.home_agent.map_or(Record::NoHomeAgent, Record::HomeAgent));
    }
    records
}

/// What an agent starts with: beyond what it may have accepted since the file was written.
fn floors<'a>(floors: impl IntoIterator<Item = (&'a Ipv6Addr, &'a ReplayFloor)>) -> Floors {
    let beyond = |floor: &ReplayFloor| ReplayFloor {
        sequence: floor.sequence.wrapping_add(SEQUENCE_MARGIN),
        message_id: floor.message_id.map(later),
    };
    floors.into_iter().map(|(&home_address, floor)| (home_address, beyond(floor))).collect()
}

fn later(timestamp: u64) -> u64 {
    timestamp.wrapping_add(TIMESTAMP_MARGIN_SECS << 32)
}
