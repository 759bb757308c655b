//! `pcap`: a port that replays a capture file and records what is sent, and the classic pcap format
//! (draft-ietf-opsawg-pcap), read with either byte order and either resolution, written with nanoseconds.
//!
//! Time is the capture's: what is sent is stamped with the time of the frame that was received last, so that the same
//! input gives the same file.

use super::{ETHERNET_HEADER_LEN, LinkState, Medium, Port, PortCounters, PortError, PortInfo};
use crate::packet::{Batch, FRAME_LEN, HEADROOM, Pool};
use crate::time::{Duration, Instant};
use core::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::RawFd;
use std::path::Path;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const LINKTYPE_ETHERNET: u32 = 1;
const LINKTYPE_RAW: u32 = 101;
const LINKTYPE_IPV6: u32 = 229;
/// The longest record: what capturing programs hold to.
const MAX_RECORD: u32 = 262_144;

/// Writes a capture.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    out: W,
    origin: Duration,
}

impl<W: Write> PcapWriter<W> {
    /// Begins a capture of frames of this kind. `origin` is the time of day, since the Unix epoch, of
    /// [`Instant::ORIGIN`]; zero where only differences matter.
    ///
    /// # Errors
    /// What writing says.
    pub fn new(mut out: W, medium: Medium, origin: Duration) -> io::Result<Self> {
        let linktype = match medium {
            Medium::Ethernet => LINKTYPE_ETHERNET,
            Medium::Ip => LINKTYPE_RAW,
        };
        let mut header = [0; FILE_HEADER];
        header[..4].copy_from_slice(&MAGIC_NANOS.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&MAX_RECORD.to_le_bytes());
        header[20..].copy_from_slice(&linktype.to_le_bytes());
        out.write_all(&header)?;
        Ok(PcapWriter { out, origin })
    }

    /// Appends `frame`, seen at `at`.
    ///
    /// # Errors
    /// What writing says.
    pub fn write(&mut self, at: Instant, frame: &[u8]) -> io::Result<()> {
        let time = self.origin + at.since(Instant::ORIGIN);
        let kept = frame.len().min(MAX_RECORD as usize);
        let mut header = [0; RECORD_HEADER];
        header[..4].copy_from_slice(&(time.as_secs() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&time.subsec_nanos().to_le_bytes());
        header[8..12].copy_from_slice(&(kept as u32).to_le_bytes());
        header[12..].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(&frame[..kept])
    }

    /// Has everything written reach the file.
    ///
    /// # Errors
    /// What writing says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl PcapWriter<BufWriter<File>> {
    /// Begins a capture in a new file at `path`.
    ///
    /// # Errors
    /// [`PortError::File`].
    pub fn create(path: &Path, medium: Medium, origin: Duration) -> Result<Self, PortError> {
        File::create(path)
            .and_then(|file| PcapWriter::new(BufWriter::new(file), medium, origin))
            .map_err(|source| file_error(path, source))
    }
}

fn file_error(path: &Path, source: io::Error) -> PortError {
    PortError::File { path: path.display().to_string(), source }
}

/// Reads a capture.
#[derive(Debug)]
pub struct PcapReader<R: Read> {
    input: R,
    swapped: bool,
    nanos: bool,
    medium: Medium,
}

impl<R: Read> PcapReader<R> {
    /// Reads the header of a capture.
    ///
    /// # Errors
    /// What reading says; [`io::ErrorKind::InvalidData`] for what is no capture of Ethernet frames or IP packets.
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut header = [0; FILE_HEADER];
        input.read_exact(&mut header).map_err(|_| invalid("is too short to be a pcap file"))?;
        let magic = word(&header, 0, false);
        let (swapped, nanos) = match (magic, magic.swap_bytes()) {
            (MAGIC_MICROS, _) => (false, false),
            (MAGIC_NANOS, _) => (false, true),
            (_, MAGIC_MICROS) => (true, false),
            (_, MAGIC_NANOS) => (true, true),
            _ => return Err(invalid("is not a pcap file; a pcapng file can be turned into one: editcap -F nsecpcap")),
        };
        // The upper bits say whether frames end with their checksum.
        let medium = match word(&header, 20, swapped) & 0x03ff_ffff {
            LINKTYPE_ETHERNET => Medium::Ethernet,
            LINKTYPE_RAW | LINKTYPE_IPV6 => Medium::Ip,
            _ => return Err(invalid("holds neither Ethernet frames nor IP packets")),
        };
        Ok(PcapReader { input, swapped, nanos, medium })
    }

    /// What the frames look like.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// Reads the next frame into `frame`, and returns its time; `None` at the end.
    ///
    /// # Errors
    /// What reading says; [`io::ErrorKind::InvalidData`] for a record that is cut off or longer than any can be.
    pub fn read(&mut self, frame: &mut Vec<u8>) -> io::Result<Option<Instant>> {
        let mut header = [0; RECORD_HEADER];
        match self.input.read(&mut header)? {
            0 => return Ok(None),
            read => self.input.read_exact(&mut header[read..]).map_err(|_| invalid("ends within a record"))?,
        }
        let field = |at| word(&header, at, self.swapped);
        let length = field(8);
        if length > MAX_RECORD {
            return Err(invalid("has a record longer than any can be"));
        }
        frame.resize(length as usize, 0);
        self.input.read_exact(frame).map_err(|_| invalid("ends within a record"))?;
        let fraction = u64::from(field(4)) * if self.nanos { 1 } else { 1000 };
        Ok(Some(Instant::from_nanos(u64::from(field(0)) * 1_000_000_000 + fraction)))
    }
}

impl PcapReader<BufReader<File>> {
    /// Opens the capture at `path`.
    ///
    /// # Errors
    /// [`PortError::File`].
    pub fn open(path: &Path) -> Result<Self, PortError> {
        File::open(path)
            .and_then(|file| PcapReader::new(BufReader::new(file)))
            .map_err(|source| file_error(path, source))
    }
}

fn word(header: &[u8], at: usize, swapped: bool) -> u32 {
    let value = u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if swapped { value.swap_bytes() } else { value }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A port that receives the frames of one capture and writes what is sent into another. Its link is down once the
/// first cannot be read, or the second cannot be written, any more; the end of the first is no such thing.
pub struct PcapPort {
    info: PortInfo,
    counters: PortCounters,
    input: Option<PcapReader<Box<dyn Read>>>,
    output: Option<PcapWriter<Box<dyn Write>>>,
    /// A frame that was read and has found no free frame of the pool yet.
    waiting: Vec<u8>,
    waiting_since: Instant,
    /// Time of the frame that was received last.
    now: Instant,
}

impl PcapPort {
    /// A port that looks like `info`, whose kind becomes `pcap`, receives from `input` and sends to `output`.
    ///
    /// # Errors
    /// As [`PcapReader::new`]; [`io::ErrorKind::InvalidData`] too where the capture holds frames of another medium.
    pub fn new(info: PortInfo, input: Option<Box<dyn Read>>, output: Option<Box<dyn Write>>) -> io::Result<Self> {
        let input = input.map(PcapReader::new).transpose()?;
        if input.as_ref().is_some_and(|input| input.medium() != info.medium) {
            return Err(invalid("holds frames of another kind than this port has"));
        }
        let output = output.map(|output| PcapWriter::new(output, info.medium, Duration::ZERO)).transpose()?;
        let info = PortInfo { kind: "pcap", link: LinkState::Up, ..info };
        let counters = PortCounters::default();
        let now = Instant::ORIGIN;
        Ok(PcapPort { info, counters, input, output, waiting: Vec::new(), waiting_since: now, now })
    }

    /// A port over two files, either of which may be left out.
    ///
    /// # Errors
    /// [`PortError::File`].
    pub fn open(info: PortInfo, input: Option<&Path>, output: Option<&Path>) -> Result<Self, PortError> {
        let reader = input
            .map(|path| File::open(path).map_err(|source| file_error(path, source)))
            .transpose()?
            .map(|file| Box::new(BufReader::new(file)) as Box<dyn Read>);
        let writer = output
            .map(|path| File::create(path).map_err(|source| file_error(path, source)))
            .transpose()?
            .map(|file| Box::new(BufWriter::new(file)) as Box<dyn Write>);
        let path = input.or(output).unwrap_or(Path::new("pcap"));
        PcapPort::new(info, reader, writer).map_err(|source| file_error(path, source))
    }

    /// Has everything sent reach the file.
    ///
    /// # Errors
    /// What writing says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.as_mut().map_or(Ok(()), PcapWriter::flush)
    }

    fn largest(&self) -> usize {
        match self.info.medium {
            Medium::Ethernet => self.info.mtu + ETHERNET_HEADER_LEN,
            Medium::Ip => self.info.mtu,
        }
    }

    /// Reads until a frame waits that a port could have received; whether there is one.
    fn read_ahead(&mut self) -> bool {
        let largest = self.largest().min(FRAME_LEN - HEADROOM);
        let Some(input) = &mut self.input else { return !self.waiting.is_empty() };
        while self.waiting.is_empty() {
            match input.read(&mut self.waiting) {
                Ok(Some(at)) => self.waiting_since = at,
                Ok(None) => return false,
                Err(_) => {
                    self.waiting.clear();
                    self.input = None;
                    self.info.link = LinkState::Down;
                    return false;
                }
            }
            if self.waiting.is_empty() || self.waiting.len() > largest {
                self.counters.rx_dropped += 1;
                self.waiting.clear();
            }
        }
        true
    }
}

impl fmt::Debug for PcapPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PcapPort").field("info", &self.info).field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Drop for PcapPort {
    fn drop(&mut self) {
        // Who wants to know whether it worked calls `flush`.
        let _ = self.flush();
    }
}

impl Port for PcapPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn rx_batch(&mut self, pool: &Pool, batch: &mut Batch) -> usize {
        let mut received = 0;
        while !batch.is_full() && self.read_ahead() {
            let Ok(packet) = pool.copy_of(&self.waiting) else { break };
            self.waiting.clear();
            self.now = self.waiting_since;
            self.counters.rx_frames += 1;
            self.counters.rx_octets += packet.len() as u64;
            batch.push(packet);
            received += 1;
        }
        received
    }

    fn tx_batch(&mut self, batch: &mut Batch) {
        let largest = self.largest();
        for packet in batch.drain(..) {
            let written = match &mut self.output {
                Some(output) if self.info.link == LinkState::Up && (1..=largest).contains(&packet.len()) => {
                    output.write(self.now, packet.bytes())
                }
                _ => {
                    self.counters.tx_dropped += 1;
                    continue;
                }
            };
            if written.is_err() {
                self.output = None;
                self.info.link = LinkState::Down;
                self.counters.tx_dropped += 1;
            } else {
                self.counters.tx_frames += 1;
                self.counters.tx_octets += packet.len() as u64;
            }
        }
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capture(frames: &[(Instant, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = PcapWriter::new(&mut bytes, Medium::Ethernet, Duration::ZERO).unwrap();
        for (at, frame) in frames {
            writer.write(*at, frame).unwrap();
        }
        bytes
    }

    fn all(bytes: &[u8]) -> io::Result<Vec<(Instant, Vec<u8>)>> {
        let mut reader = PcapReader::new(bytes)?;
        let (mut frames, mut frame) = (Vec::new(), Vec::new());
        while let Some(at) = reader.read(&mut frame)? {
            frames.push((at, frame.clone()));
        }
        Ok(frames)
    }

    #[test]
    fn the_format_is_that_of_the_draft() {
        let bytes = capture(&[(Instant::from_nanos(1_000_000_002), vec![0xaa, 0xbb])]);
        let expected = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, //
            1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0xaa, 0xbb,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_other_byte_order_and_microseconds_are_read() {
        let mut bytes = vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 255, 255, 0, 0, 0, 101]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x60]);
        assert_eq!(PcapReader::new(&bytes[..]).unwrap().medium(), Medium::Ip);
        assert_eq!(all(&bytes).unwrap(), [(Instant::from_micros(1_000_002), vec![0x60])]);
    }

    #[test]
    fn every_truncation_is_refused_or_ends_at_a_record() {
        let frames = [(Instant::from_secs(1), vec![1; 60]), (Instant::from_secs(2), vec![2; 70])];
        let bytes = capture(&frames);
        for length in 0..bytes.len() {
            match all(&bytes[..length]) {
                Ok(read) => assert!([24, 24 + 76].contains(&length) && read == frames[..read.len()]),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
            }
        }
        assert_eq!(all(&bytes).unwrap(), frames);
    }

    proptest! {
        #[test]
        fn reading_never_panics(position in 0usize..200, octet: u8) {
            let mut bytes = capture(&[(Instant::from_secs(1), vec![1; 60]), (Instant::from_secs(2), vec![2; 70])]);
            let position = position % bytes.len();
            bytes[position] = octet;
            let _ = all(&bytes);
        }
    }
}
