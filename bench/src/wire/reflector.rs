//! The yardstick: a loop over the same two AF_XDP ports that receives, writes other link-layer addresses, and sends.
//! What a device takes longer than this is its own; what both take is the kernel's and the port's.

use super::forwarder::FRAMES;
use super::stage::{Stage, confine};
use crate::allocations;
use anyhow::{Context, Result, anyhow};
use crossbeam_channel::bounded;
use stack::addr::MacAddress;
use stack::packet::{Batch, Pool};
use stack::port::{Port, Umem, XdpOptions, XdpPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Octets of the two addresses.
const ADDRESSES_LEN: usize = 12;

/// A running reflector.
pub(super) struct Reflector {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
    mode: String,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    allocations: AtomicU64,
}

/// Starts one on a core.
pub(super) fn start(stage: &Stage, core: usize) -> Result<Reflector> {
    let door = stage.door()?;
    let (names, links) = ([stage.near.name.clone(), stage.far.name.clone()], stage.links());
    let shared = Arc::new(Shared::default());
    let (said, outcome) = bounded(1);
    let theirs = shared.clone();
    let thread = thread::Builder::new().name("device".to_owned()).spawn(move || {
        let open = || -> Result<Loop> {
            door.enter_preferred()?;
            confine(0, &[core])?;
            Loop::open(&names, [header(links.generator, links.near), header(links.sink, links.far)])
        };
        match open() {
            Ok(mut reflector) => {
                if said.send(Ok(reflector.mode())).is_ok() {
                    reflector.run(&theirs);
                }
            }
            Err(error) => drop(said.send(Err(error))),
        }
    })?;
    let mode = outcome.recv().context("the reflector's thread broke off")??;
    Ok(Reflector { thread, shared, mode })
}

impl Reflector {
    pub(super) fn mode(&self) -> &str {
        &self.mode
    }

    pub(super) fn allocations(&self) -> u64 {
        self.shared.allocations.load(Ordering::Relaxed)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the reflector broke off"))
    }
}

fn header(destination: MacAddress, source: MacAddress) -> [u8; ADDRESSES_LEN] {
    let mut header = [0; ADDRESSES_LEN];
    header[..6].copy_from_slice(&destination.0);
    header[6..].copy_from_slice(&source.0);
    header
}

struct Loop {
    pool: Pool,
    ports: [XdpPort; 2],
    /// What goes out by each port, until it has.
    batches: [Batch; 2],
    headers: [[u8; ADDRESSES_LEN]; 2],
}

impl Loop {
    fn open(names: &[String; 2], headers: [[u8; ADDRESSES_LEN]; 2]) -> Result<Self> {
        let pool = Pool::new(FRAMES).context("the reflector's frames")?;
        let umem = Umem::new(&pool);
        let open = |name: &str| XdpPort::open(&umem, name, XdpOptions::default());
        let ports = [open(&names[0])?, open(&names[1])?];
        Ok(Loop { pool, ports, batches: [Batch::new(), Batch::new()], headers })
    }

    fn mode(&self) -> String {
        self.ports.iter().map(|port| port.info().mode.as_str()).collect::<Vec<_>>().join("; ")
    }

    fn run(&mut self, shared: &Shared) {
        let before = allocations::count();
        while !shared.stop.load(Ordering::Relaxed) {
            for from in 0..self.ports.len() {
                let to = 1 - from;
                let batch = &mut self.batches[to];
                self.ports[from].rx_batch(&self.pool, batch);
                if batch.is_empty() {
                    continue;
                }
                for packet in batch.iter_mut() {
                    if let Some(addresses) = packet.bytes_mut().first_chunk_mut() {
                        *addresses = self.headers[to];
                    }
                }
                self.ports[to].tx_batch(batch);
            }
            shared.allocations.store(allocations::count() - before, Ordering::Relaxed);
        }
    }
}
