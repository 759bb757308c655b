//! The contract of [`Port`], on every kind of port: order, sizes, full batches, what does not fit stays, frames balance,
//! a link that is down drops and counts, and comes back.

#[path = "../ports/namespace.rs"]
mod namespace;
#[path = "../ports/wire.rs"]
mod wire;

mod ethernet;
mod frames;
mod given;
mod interface;
mod memory;
mod queues;
mod tun;

use stack::packet::{BATCH_SIZE, Batch, Pool};
use stack::port::{LinkState, Medium, Port};
use wire::wait;

const FRAMES: u32 = 1024;
const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The other side of a port.
trait Far {
    /// Sends a frame to the port.
    fn give(&mut self, frame: &[u8]);
    /// A frame that the port has sent.
    fn take(&mut self) -> Option<Vec<u8>>;
    /// Waits until there may be one.
    fn wait(&mut self) {}
    /// Waits until the far end is ready.
    fn settle(&mut self) {}
    /// Takes the link down or up, where that can be done.
    fn link(&mut self, link: LinkState) -> bool;
    /// Makes the interface go away, and come back under its name.
    fn vanish(&mut self) -> bool {
        false
    }
    fn reappear(&mut self) {}
    /// A frame as the port receives it, as it was given.
    fn given(&self, received: &[u8]) -> Vec<u8> {
        received.to_vec()
    }
}

struct Rig<'a> {
    pool: Pool,
    port: Box<dyn Port>,
    far: &'a mut dyn Far,
}

/// A packet with number and length, in a frame as the port's medium has it. No next header: the kernel lets it be.
fn frame(medium: Medium, number: u32, packet_length: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    if medium == Medium::Ethernet {
        frame.extend(NEAR);
        frame.extend(FAR);
        frame.extend([0x86, 0xdd]);
    }
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(((packet_length - 40) as u16).to_be_bytes());
    frame.extend([59, 64]);
    frame.extend("2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend("2001:db8:1::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    frame.extend(number.to_be_bytes());
    let header = frame.len() - 44;
    frame.resize(header + packet_length, number as u8);
    frame
}

impl Rig<'_> {
    fn frame(&self, number: u32, length: usize) -> Vec<u8> {
        frame(self.port.info().medium, number, length)
    }

    /// Polls the port until `done`, which is given what has come so far.
    fn until(&mut self, mut done: impl FnMut(&dyn Port, &Batch) -> bool) -> Batch {
        let mut batch = Batch::new();
        loop {
            let before = batch.len();
            let received = self.port.rx_batch(&self.pool, &mut batch);
            assert_eq!(batch.len(), before + received);
            if done(&*self.port, &batch) {
                return batch;
            }
            match self.port.poll_fd() {
                Some(fd) => wait(fd),
                None => assert!(received > 0, "what a port in memory has comes at once"),
            }
        }
    }

    fn receive(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let batch = self.until(|_, batch| !batch.is_empty());
            frames.extend(batch.iter().map(|packet| self.far.given(packet.bytes())));
        }
        frames
    }

    /// Sends frames, a batch at a time, and returns those that came out at the far end.
    fn send(&mut self, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut arrived = Vec::new();
        let mut waiting = frames.iter();
        let mut batch = Batch::new();
        let mut idle = Batch::new();
        while arrived.len() < frames.len() {
            while !batch.is_full() {
                let Some(frame) = waiting.next() else { break };
                batch.push(self.pool.copy_of(frame).expect("frames come back"));
            }
            self.port.tx_batch(&mut batch);
            self.port.rx_batch(&self.pool, &mut idle);
            self.far.wait();
            while let Some(frame) = self.far.take() {
                arrived.push(frame);
            }
        }
        assert!(batch.is_empty() && self.far.take().is_none());
        arrived
    }

    fn until_link(&mut self, link: LinkState) {
        self.until(|port, _| port.info().link == link);
        if link == LinkState::Up {
            self.far.settle();
        }
    }
}

fn contract(port: Box<dyn Port>, pool: Pool, far: &mut dyn Far) {
    let mut rig = Rig { pool, port, far };
    rig.until_link(LinkState::Up);
    let info = rig.port.info().clone();

    // Sizes, both ways, and the counters with them.
    let sizes: Vec<usize> = (64..info.mtu).step_by(97).chain([info.mtu]).collect();
    let frames: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, &size)| rig.frame(n as u32, size)).collect();
    let octets: usize = frames.iter().map(Vec::len).sum();
    let before = rig.port.counters();
    frames.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(frames.len()), &frames);
    assert_same(&rig.send(&frames), &frames);
    let after = rig.port.counters();
    assert_eq!(after.rx_frames - before.rx_frames, frames.len() as u64);
    assert_eq!(after.tx_frames - before.tx_frames, frames.len() as u64);
    assert_eq!(
        (after.rx_octets - before.rx_octets, after.tx_octets - before.tx_octets),
        (octets as u64, octets as u64)
    );
    assert_eq!((after.rx_dropped, after.tx_dropped), (before.rx_dropped, before.tx_dropped));

    // More than a batch: no batch overflows, and order holds over batches.
    let many: Vec<Vec<u8>> = (0..200).map(|n| rig.frame(n, 64 + n as usize)).collect();
    many.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(many.len()), &many);
    assert_same(&rig.send(&many), &many);

    // A batch that is full already takes nothing, and what is in it stays.
    rig.far.give(&many[0]);
    let mut full = Batch::new();
    while !full.is_full() {
        full.push(rig.pool.copy_of(&many[1]).unwrap());
    }
    assert_eq!(rig.port.rx_batch(&rig.pool, &mut full), 0);
    assert!(full.len() == BATCH_SIZE && full.iter().all(|packet| packet.bytes() == many[1]));
    drop(full);
    assert_eq!(rig.receive(1), [many[0].clone()]);

    // A frame that no interface would take is lost, and those around it are not.
    let large = rig.frame(7, info.mtu + 1);
    let dropped = rig.port.counters().tx_dropped;
    let mut batch: Batch = [&many[1], &large, &many[2]].iter().map(|f| rig.pool.copy_of(f).unwrap()).collect();
    rig.port.tx_batch(&mut batch);
    assert!(batch.is_empty());
    assert_eq!(rig.port.counters().tx_dropped, dropped + 1);
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        rig.far.wait();
        arrived.extend(rig.far.take());
    }
    assert_eq!(arrived, many[1..3]);

    // Frames of another pool are sent as well.
    let other = Pool::new(4).unwrap();
    let mut batch: Batch = [other.copy_of(&many[3]).unwrap()].into_iter().collect();
    rig.port.tx_batch(&mut batch);
    rig.far.wait();
    assert_eq!((rig.far.take(), other.free_frames()), (Some(many[3].clone()), 4));

    // The pool runs dry and is filled again: the port goes on.
    let mut held = Vec::new();
    while let Ok(packet) = rig.pool.take() {
        held.push(packet);
    }
    for frame in &many[..8] {
        rig.far.give(frame);
    }
    let mut batch = Batch::new();
    rig.port.rx_batch(&rig.pool, &mut batch);
    drop((held, batch));
    loop {
        let mut batch = Batch::new();
        if rig.port.rx_batch(&rig.pool, &mut batch) == 0 {
            break;
        }
    }
    rig.far.give(&many[9]);
    loop {
        // Those that had found no frame may come first.
        if rig.receive(1) == [many[9].clone()] {
            break;
        }
    }

    // The link goes down: what is sent is lost and counted; and comes back.
    if rig.far.link(LinkState::Down) {
        rig.until_link(LinkState::Down);
        assert_down_drops(&mut rig, &many[..3]);
        rig.far.link(LinkState::Up);
        rig.until_link(LinkState::Up);
        assert_passes(&mut rig, &many[..5]);
    }

    // The interface goes away, and another of its name comes.
    if rig.far.vanish() {
        rig.until_link(LinkState::Down);
        assert_down_drops(&mut rig, &many[..3]);
        rig.far.reappear();
        rig.until_link(LinkState::Up);
        assert_passes(&mut rig, &many[..5]);
        assert!(rig.port.counters().reopened >= 1);
    }

    // All frames are back once the port is closed.
    let Rig { pool, port, .. } = rig;
    drop(port);
    assert_eq!(pool.free_frames(), pool.frames() as usize);
}

fn assert_down_drops(rig: &mut Rig, frames: &[Vec<u8>]) {
    let before = rig.port.counters();
    let free = rig.pool.free_frames();
    let mut batch: Batch = frames.iter().map(|frame| rig.pool.copy_of(frame).unwrap()).collect();
    rig.port.tx_batch(&mut batch);
    assert!(batch.is_empty());
    let after = rig.port.counters();
    assert_eq!((after.tx_dropped, after.tx_frames), (before.tx_dropped + frames.len() as u64, before.tx_frames));
    assert_eq!(rig.pool.free_frames(), free);
}

/// As `assert_eq!`, without printing megabytes.
#[track_caller]
fn assert_same(arrived: &[Vec<u8>], frames: &[Vec<u8>]) {
    assert_eq!(arrived.len(), frames.len());
    for (number, (arrived, frame)) in arrived.iter().zip(frames).enumerate() {
        assert!(arrived == frame, "frame {number}: {} octets for {}", arrived.len(), frame.len());
    }
}

fn assert_passes(rig: &mut Rig, frames: &[Vec<u8>]) {
    frames.iter().for_each(|frame| rig.far.give(frame));
    assert_same(&rig.receive(frames.len()), frames);
    assert_same(&rig.send(frames), frames);
}
