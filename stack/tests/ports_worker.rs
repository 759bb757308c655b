//! A worker in its thread on an AF_XDP port, with the kernel at the other end of the veth: it sleeps and is woken by
//! frames, by another MTU, and by an interface that goes away and comes back.

#[path = "ports/namespace.rs"]
mod namespace;

use crossbeam_channel::{Sender, unbounded};
use namespace::{await_carrier, in_namespace, output, run};
use stack::addr::{MacAddress, Prefix};
use stack::machine::{Notice, Output, PortId, RxMeta};
use stack::node::Node;
use stack::packet::Pool;
use stack::pipeline::{Dataplane, DataplaneConfig};
use stack::port::{Port, PortError, Umem, XdpOptions, XdpPort};
use stack::runtime::{Load, Worker, WorkerSpec, spawn};
use stack::tables::{Neighbor, Route, TableUpdate};
use stack::time::Instant;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

const OURS: &str = "2001:db8::1";
const KERNELS: &str = "2001:db8::2";

/// Reports what becomes of its port.
#[derive(Default)]
struct Reporter(VecDeque<Notice>);

impl Node for Reporter {
    type Event = Notice;

    fn handle_packet(&mut self, _: Instant, _: &RxMeta, _: &[u8]) {}

    fn handle_notice(&mut self, _: Instant, notice: Notice) {
        self.0.push_back(notice);
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self) -> Option<Output<Notice>> {
        self.0.pop_front().map(Output::Event)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

enum Command {
    /// How many frames of the pool are neither free nor waiting to be received into.
    Balance(Sender<usize>),
    End,
}

fn link(near: &str, near_address: &str, far: &str, far_address: &str) {
    run(
        "ip",
        &["link", "add", near, "address", near_address, "type", "veth", "peer", "name", far, "address", far_address],
    );
    run("ip", &["link", "set", near, "addrgenmode", "none", "up"]);
    run("ip", &["link", "set", far, "addrgenmode", "none", "up"]);
    run("ip", &["address", "add", &format!("{KERNELS}/64"), "dev", far, "nodad"]);
    run("ip", &["neighbor", "add", OURS, "lladdr", near_address, "dev", far]);
    await_carrier(far);
}

fn worker(umem: &Umem) -> Result<Worker<Reporter>, PortError> {
    let port = XdpPort::open(umem, "near0", XdpOptions { receive_frames: 256, ..XdpOptions::default() })?;
    let config = DataplaneConfig::default();
    let mut dataplane = Dataplane::new(config, umem.pool().clone(), std::slice::from_ref(port.info()));
    let now = Instant::ORIGIN;
    let host = |text: &str| Prefix::host(text.parse().unwrap());
    let neighbor = Neighbor { link_address: MacAddress([2, 0, 0, 0, 0, 2]), notify_use: false };
    dataplane.apply(now, TableUpdate::RouteSet(host(OURS), Route::Local));
    dataplane.apply(now, TableUpdate::RouteSet(host(KERNELS), Route::OnLink(PortId(0))));
    dataplane.apply(now, TableUpdate::NeighborSet(PortId(0), KERNELS.parse().unwrap(), neighbor));
    Ok(Worker::new(dataplane, Reporter::default(), vec![Box::new(port)]))
}

#[test]
fn a_sleeping_worker_answers_the_kernel_and_survives_its_interface() {
    in_namespace(|| {
        let (near, far) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        link("near0", near, "far0", far);
        let load: Arc<Load> = Arc::default();
        let (commands, receiver) = unbounded();
        let (events, reported) = unbounded();
        let spec = WorkerSpec { name: "worker".into(), load: load.clone(), ..WorkerSpec::default() };
        let handle = spawn(
            spec,
            || {
                let pool = Pool::new(512).expect("memory");
                worker(&Umem::new(&pool))
            },
            receiver,
            |worker, _, command| {
                match command {
                    Command::Balance(reply) => {
                        let free = worker.dataplane().pool().free_frames();
                        reply.send(512 - free).unwrap();
                    }
                    Command::End => return ControlFlow::Break(()),
                }
                ControlFlow::Continue(())
            },
            move |_, event| events.send(event).unwrap(),
        )
        .unwrap();
        let ping = || {
            let printed = output("ping", &["-6", "-c", "5", "-i", "0.02", "-W", "20", OURS]);
            assert!(printed.contains("5 received"), "{printed}");
        };
        assert_eq!(reported.recv(), Ok(Notice::LinkUp(PortId(0))));
        ping();
        let sleeps = || load.iter().find(|(name, _)| *name == "sleeps").unwrap().1;
        assert!(sleeps() > 0);
        run("ip", &["link", "set", "near0", "mtu", "1300"]);
        assert_eq!(reported.recv(), Ok(Notice::Mtu(PortId(0), 1300)));
        run("ip", &["link", "set", "near0", "mtu", "1500"]);
        assert_eq!(reported.recv(), Ok(Notice::Mtu(PortId(0), 1500)));
        run("ip", &["link", "set", "far0", "down"]);
        assert_eq!(reported.recv(), Ok(Notice::LinkDown(PortId(0))));
        run("ip", &["link", "delete", "far0"]);
        link("near0", near, "far0", far);
        assert_eq!(reported.recv(), Ok(Notice::LinkUp(PortId(0))));
        ping();
        let (reply, answer) = unbounded();
        commands.send(Command::Balance(reply)).unwrap();
        handle.waker().wake();
        let lent = answer.recv().unwrap();
        assert!((200..=256).contains(&lent), "{lent} frames are lent");
        commands.send(Command::End).unwrap();
        handle.waker().wake();
        handle.join().unwrap();
    });
}
