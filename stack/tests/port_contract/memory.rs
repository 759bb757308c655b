//! Ports in memory, and ports on captures.

use super::*;
use stack::addr::MacAddress;
use stack::port::{MemEnd, MemPort, PcapPort, PcapReader, PortInfo};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

// mem

impl Far for MemEnd {
    fn give(&mut self, frame: &[u8]) {
        assert!(self.push(frame));
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.pop()
    }

    fn link(&mut self, link: LinkState) -> bool {
        self.set_link(link);
        true
    }
}

fn described(medium: Medium) -> PortInfo {
    PortInfo {
        name: "m0".into(),
        kind: "",
        mode: String::new(),
        medium,
        link_address: MacAddress(if medium == Medium::Ip { [0; 6] } else { NEAR }),
        mtu: 1500,
        link: LinkState::Up,
        xdp: None,
    }
}

#[test]
fn mem_keeps_the_contract() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let (port, mut end) = MemPort::new(described(medium));
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut end);
    }
}

// pcap

/// A file in memory that is written at one end and read at the other.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Captures {
    replayed: stack::port::PcapWriter<Pipe>,
    recorded: PcapReader<Pipe>,
    number: u64,
}

impl Far for Captures {
    fn give(&mut self, frame: &[u8]) {
        self.number += 1;
        self.replayed.write(stack::time::Instant::from_micros(self.number), frame).unwrap();
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        self.recorded.read(&mut frame).unwrap().map(|_| frame)
    }

    fn link(&mut self, _: LinkState) -> bool {
        false
    }
}

#[test]
fn pcap_keeps_the_contract() {
    for medium in [Medium::Ethernet, Medium::Ip] {
        let (input, output) = (Pipe::default(), Pipe::default());
        let replayed = stack::port::PcapWriter::new(input.clone(), medium, stack::time::Duration::ZERO).unwrap();
        let port = PcapPort::new(described(medium), Some(Box::new(input)), Some(Box::new(output.clone()))).unwrap();
        let recorded = PcapReader::new(output).unwrap();
        let mut far = Captures { replayed, recorded, number: 0 };
        contract(Box::new(port), Pool::new(FRAMES).unwrap(), &mut far);
    }
}

#[test]
fn what_is_replayed_and_sent_again_is_the_same_file() {
    let directory = std::env::temp_dir().join(format!("drover-pcap-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (first, second) = (directory.join("first.pcap"), directory.join("second.pcap"));
    let mut writer = stack::port::PcapWriter::create(&first, Medium::Ethernet, stack::time::Duration::ZERO).unwrap();
    for number in 0..20u32 {
        let at = stack::time::Instant::from_nanos(u64::from(number) * 1_000_000_007);
        writer.write(at, &frame(Medium::Ethernet, number, 64 + number as usize)).unwrap();
    }
    writer.flush().unwrap();
    let pool = Pool::new(4).unwrap();
    let mut port = PcapPort::open(described(Medium::Ethernet), Some(&first), Some(&second)).unwrap();
    let mut batch = Batch::new();
    // One frame at a time, so that each is stamped with its own time.
    loop {
        let held: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        if port.rx_batch(&pool, &mut batch) == 0 {
            break;
        }
        drop(held);
        port.tx_batch(&mut batch);
    }
    port.flush().unwrap();
    let same = std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(same);
    let missing = PcapPort::open(described(Medium::Ip), Some(&first), None).unwrap_err();
    assert!(missing.to_string().contains("first.pcap"), "{missing}");
}
