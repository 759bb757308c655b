//! Groups that go to their only listener's own link-layer address (RFC 6085), on the wire: kernel hosts with nothing of ours
//! as listeners, and a terminal of ours.

use crate::listener::{AGENT, CORRESPONDENT, GROUP, HOME_ADDRESS, Listener, udp};
use crate::room::{Room, interface_index, output, shared, until};
use crate::site::{Site, topology};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const ETHERNET_LEN: usize = 14;
/// RFC 2464 §7, of [`GROUP`].
const OF_GROUP: &str = "33:33:fe:10:00:55";

/// Whatever comes in by an interface, from its Ethernet header on.
struct Capture(OwnedFd);

impl Capture {
    /// In the namespace of this thread.
    fn on(interface: &str) -> Self {
        let protocol = (libc::ETH_P_IPV6 as u16).to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
        // SAFETY: no pointer is passed; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(protocol)) };
        assert!(fd >= 0, "{}", io::Error::last_os_error());
        // SAFETY: a descriptor that was just made and that nothing else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all zeros is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = interface_index(interface) as i32;
        // SAFETY: an address as long as is said.
        let bound =
            unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32) };
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        Capture(fd)
    }

    fn next(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 2000];
        // SAFETY: the octets of `frame`.
        let length = unsafe { libc::recv(self.0.as_raw_fd(), frame.as_mut_ptr().cast(), frame.len(), 0) };
        frame.truncate(usize::try_from(length).ok()?);
        Some(frame)
    }

    /// Forgets what has come so far.
    fn clear(&self) {
        while self.next().is_some() {}
    }

    /// The Ethernet destination of the next frame with this text in what the agent sends to the group.
    fn destination_of(&self, text: &[u8]) -> Option<String> {
        core::iter::from_fn(|| self.next()).find_map(|frame| {
            let packet = frame.get(ETHERNET_LEN..)?;
            let ours = packet.get(8..24)? == AGENT.octets() && packet.get(24..40)? == GROUP.octets();
            (ours && frame.ends_with(text)).then(|| {
                let octets: Vec<String> = frame[..6].iter().map(|octet| format!("{octet:02x}")).collect();
                octets.join(":")
            })
        })
    }
}

/// The link-layer address of a host, as the kernel has it.
fn link_address(room: &Room, host: &str) -> String {
    let shown = output(room.command(host, "ip").args(["-br", "link", "show", "eth0"]));
    shown.split_whitespace().nth(2).expect("name, state, address").to_owned()
}

/// Where a node delivers the group.
fn delivery(site: &Site, node: &str) -> Option<String> {
    let groups = site.node(node).rows("groups");
    let group = groups.iter().find(|group| group["group"] == GROUP.to_string())?;
    Some(group["delivery"].as_str()?.to_owned())
}

#[test]
fn the_only_listener_has_frames_of_its_own_until_a_second_one_joins() {
    let Some(_shared) = shared() else { return };
    let table = "[[node.config.access_router.port]]\n";
    let text = topology().replace(table, &format!("{table}unicast_delivery = true\n"));
    assert!(text.contains("unicast_delivery"), "the lab file has access routers");
    let mut site = Site::new(&text);
    for (name, address) in [("first", "2001:db8:200:b::98/64"), ("second", "2001:db8:200:b::99/64")] {
        site.add_host(name, "radio-b", address);
    }
    site.await_registration();
    let room = site.room();
    let sender = udp(&site, "cn", CORRESPONDENT);
    let receiver = udp(&site, "mt", HOME_ADDRESS);
    let to = SocketAddrV6::new(HOME_ADDRESS, receiver.local_addr().expect("it is bound").port(), 0, 0);
    let send = |text: &[u8]| sender.send_to(text, to).expect("it can be sent");

    // A terminal of ours takes its group from frames to itself (§3).
    let of_terminal =
        until("the terminal's own address", || delivery(&site, "a").filter(|delivery| delivery != "group"));
    let neighbors = site.node("a").rows("neighbors");
    assert!(neighbors.iter().any(|row| row["port"] == "radio" && row["link_address"] == *of_terminal), "{neighbors:?}");
    hears(&receiver, "the terminal's program", b"to the terminal", &send);
    assert!(site.node("a").counter("dataplane", "unicast-deliveries") > 0);

    // So does a kernel.
    let capture = room.within("first", || Capture::on("eth0"));
    let (of_first, of_second) = (link_address(room, "first"), link_address(room, "second"));
    let first = room.within("first", || Listener::join("eth0"));
    until("the first host's own address", || (delivery(&site, "b")? == of_first).then_some(()));
    let arrives = |listener: &Listener, text: &[u8]| {
        until("a packet of the group", || {
            send(text);
            let (source, packet) = listener.receive()?;
            assert_eq!(source, AGENT);
            packet.ends_with(text).then_some(())
        });
    };
    arrives(&first, b"to the first");
    let destination = until("its frame", || capture.destination_of(b"to the first"));
    assert_eq!(destination, of_first);

    // A second one joins: the group is for both.
    let second = room.within("second", || Listener::join("eth0"));
    until("the group's own address", || (delivery(&site, "b")? == "group").then_some(()));
    capture.clear();
    arrives(&second, b"to both");
    arrives(&first, b"to both");
    let destination = until("its frame", || capture.destination_of(b"to both"));
    assert_eq!(destination, OF_GROUP);

    // The first leaves: the second has it alone.
    drop(first);
    until("the second host's own address", || (delivery(&site, "b")? == of_second).then_some(()));
    let capture = room.within("second", || Capture::on("eth0"));
    arrives(&second, b"to the second");
    let destination = until("its frame", || capture.destination_of(b"to the second"));
    assert_eq!(destination, of_second);
    drop(second);
    until("the group is gone", || delivery(&site, "b").is_none().then_some(()));
    assert_eq!(site.node("b").show("counters")["tables"]["deliveries"], serde_json::Value::Null);
    hears(&receiver, "the terminal's program", b"to the terminal again", &send);
}

/// A program receives a text that is sent until it does.
fn hears(receiver: &UdpSocket, what: &str, text: &[u8], send: &dyn Fn(&[u8]) -> usize) {
    let mut received = [0; 100];
    until(what, || {
        send(text);
        let (length, _) = receiver.recv_from(&mut received).ok()?;
        (received[..length] == *text).then_some(())
    });
}
