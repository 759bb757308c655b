//! Captures what crosses the links of a lab: one capture file a link, taken on the wire, outside every node.

use super::probe::{stdin_ended, wall_nanos};
use anyhow::{Context, Result, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use stack::packet::{Batch, Pool};
use stack::port::{Medium, PacketPort, PcapWriter, Port};
use stack::time::{Duration, Instant};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Frames of the pool.
const POOL_FRAMES: u32 = 1024;
/// What stands before the number of frames that were not captured, at the end.
pub(super) const DROPPED: &str = "dropped ";
/// How soon the end of standard input is noticed.
const TICK: Duration = Duration::from_millis(50);

/// Captures until standard input ends. `links` are texts such as `radio-a=link3`: a link, and the bridge that it is; a
/// bridge that listens to everything sees each frame once.
pub(crate) fn run(directory: &Path, links: &[String]) -> Result<()> {
    let pool = Pool::new(POOL_FRAMES)?;
    let mut taps: Vec<(PacketPort, PcapWriter<BufWriter<File>>)> = Vec::new();
    for link in links {
        let Some((name, bridge)) = link.split_once('=') else { bail!("{link} is not LINK=BRIDGE") };
        let port = PacketPort::open(bridge, true)?;
        // Times in the file are those of the system clock.
        let file = directory.join(format!("{name}.pcap"));
        taps.push((port, PcapWriter::create(&file, Medium::Ethernet, Duration::ZERO)?));
    }
    let mut poll = Poll::new()?;
    for (index, (port, _)) in taps.iter().enumerate() {
        let descriptor = port.poll_fd().context("a packet socket has a descriptor")?;
        poll.registry().register(&mut SourceFd(&descriptor), Token(index), Interest::READABLE)?;
    }
    let ended = stdin_ended();
    println!("ready");
    let mut events = Events::with_capacity(taps.len().max(1));
    let mut batch = Batch::new();
    while !ended.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        // Readiness is told once: every port is read until it is empty.
        loop {
            let mut read = 0;
            for (port, writer) in &mut taps {
                read += port.rx_batch(&pool, &mut batch);
                let at = Instant::from_nanos(wall_nanos());
                for frame in batch.drain(..) {
                    writer.write(at, frame.bytes())?;
                }
            }
            if read == 0 {
                break;
            }
        }
    }
    for (_, writer) in &mut taps {
        writer.flush()?;
    }
    let dropped: u64 = taps.iter().map(|(port, _)| port.counters().rx_dropped).sum();
    println!("{DROPPED}{dropped}");
    Ok(())
}
