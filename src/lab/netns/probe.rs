//! The constant-bit-rate traffic of a lab in namespaces: an ordinary program with an ordinary UDP socket, at both ends.
//!
//! Each packet carries its sequence number. Sender and receiver write a line a packet, sequence number and time in
//! nanoseconds of the system clock, so that loss, duplication, order and silence can be told afterwards.
//!
//! What a machine with other things to do makes of these programs is not to look like what the network does: lines are
//! kept in memory, since a disk may take its time, and a sender that had to stand still does not make up for all of it in
//! one burst, for which the queues on its own host have no room.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Octets of a packet that the probe itself uses.
const MARK_LEN: usize = 8;
/// Packets that are late and are sent without a pause, at the most.
const BURST_MAX: u32 = 32;
/// Octets of a log that are kept in memory.
const LOG_LEN: usize = 4 << 20;

/// One packet at one end.
pub(crate) type Mark = (u64, u64);

/// Sends `count` packets of `size` payload octets, `rate` a second, and writes the log.
pub(crate) fn send(source: Ipv6Addr, to: SocketAddrV6, rate: u32, size: usize, count: u64, log: &Path) -> Result<()> {
    if rate == 0 || size < MARK_LEN {
        bail!("a probe needs a rate of at least 1 and a size of at least {MARK_LEN}");
    }
    let socket =
        UdpSocket::bind(SocketAddrV6::new(source, 0, 0, 0)).with_context(|| format!("cannot bind {source}"))?;
    let mut log = create_log(log)?;
    let mut pace = Pace { due: Instant::now(), interval: Duration::from_nanos(1_000_000_000 / u64::from(rate)) };
    let mut payload = vec![0; size];
    for sequence in 0..count {
        thread::sleep(pace.wait(Instant::now()));
        payload[..MARK_LEN].copy_from_slice(&sequence.to_be_bytes());
        let at = wall_nanos();
        match socket.send_to(&payload, to) {
            Ok(_) => writeln!(log, "{sequence} {at}")?,
            // An ICMPv6 error about an earlier packet: this one was not sent, and counts as lost.
            Err(error) if is_passing(&error) => writeln!(log, "{sequence} {at}")?,
            Err(error) => return Err(error).context(format!("cannot send to {to}")),
        }
    }
    log.flush()?;
    Ok(())
}

/// Receives until standard input ends, then writes the log.
pub(crate) fn receive(at: SocketAddrV6, log: &Path) -> Result<()> {
    let socket = UdpSocket::bind(at).with_context(|| format!("cannot bind {at}"))?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut log = create_log(log)?;
    let ended = stdin_ended();
    println!("ready");
    let mut payload = [0; 65536];
    while !ended.load(Ordering::Relaxed) {
        let length = match socket.recv_from(&mut payload) {
            Ok((length, _)) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error).context("cannot receive"),
        };
        let at = wall_nanos();
        if let Some(mark) = payload[..length].first_chunk::<MARK_LEN>() {
            writeln!(log, "{} {at}", u64::from_be_bytes(*mark))?;
        }
    }
    log.flush()?;
    Ok(())
}

/// When packets are due, one an interval.
struct Pace {
    /// The next one.
    due: Instant,
    interval: Duration,
}

impl Pace {
    /// How long to wait before the next packet is sent. Packets that are late by more than a burst are put off, and all
    /// later ones with them.
    fn wait(&mut self, now: Instant) -> Duration {
        let late = now.saturating_duration_since(self.due);
        self.due += late.saturating_sub(self.interval * BURST_MAX);
        let wait = self.due.saturating_duration_since(now);
        self.due += self.interval;
        wait
    }
}

fn create_log(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::with_capacity(LOG_LEN, file))
}

/// Reads a log of either end.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Mark>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut marks = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line?;
        let mark = line.split_once(' ').and_then(|(sequence, at)| Some((sequence.parse().ok()?, at.parse().ok()?)));
        marks.push(mark.with_context(|| format!("{}: not a probe's line: {line}", path.display()))?);
    }
    Ok(marks)
}

/// A flag that is set when standard input ends: the lab that started this program has stopped, or wants it to.
pub(crate) fn stdin_ended() -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    thread::spawn(move || {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(read) if read > 0) {}
        flag.store(true, Ordering::Relaxed);
    });
    ended
}

/// Nanoseconds of the system clock since 1970.
pub(crate) fn wall_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::Interrupted
            | ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_stood_still_sends_one_short_burst() {
        let interval = Duration::from_millis(1);
        let start = Instant::now();
        let mut pace = Pace { due: start, interval };
        assert_eq!(pace.wait(start), Duration::ZERO);
        assert_eq!(pace.wait(start), interval);
        assert_eq!(pace.wait(start + interval), interval);
        // Late by less than a burst: all that is late is sent, and the rate is what it was on average.
        let mut now = start + interval * 13;
        let burst = (0..).take_while(|_| pace.wait(now).is_zero()).count();
        assert_eq!((burst, pace.due), (11, start + interval * 15));
        // Late by much more: the rest is put off.
        now += Duration::from_millis(500);
        let burst = (0..).take_while(|_| pace.wait(now).is_zero()).count();
        assert_eq!((burst, pace.due), (BURST_MAX as usize + 1, now + interval * 2));
        assert_eq!(pace.wait(now + interval), interval);
    }
}
