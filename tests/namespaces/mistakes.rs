//! What keeps a node from starting is told in one line that names the file, the place and a remedy.

use crate::room::{DROVER, Room, shared};

/// Where a port that is wrong has its interface.
const NODE: &str = r#"
[node]
name = "wrong"

[[port]]
name = "good"
interface = "eth0"

[[port]]
name = "bad"
KIND
interface = "INTERFACE"
"#;

/// Runs a node in a namespace of `room` that does not come up; returns its exit status and its one line.
fn refusal(room: &Room, text: &str) -> (Option<i32>, String) {
    let file = room.directory().write("wrong.toml", text);
    let output = room.command("node", DROVER).arg("run").arg(&file).output().expect("drover runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.stdout, b"", "nothing is ready");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(said.contains(file.to_str().expect("UTF-8")), "names the file: {said}");
    (output.status.code(), said)
}

fn with_port(interface: &str, kind: &str) -> String {
    NODE.replace("INTERFACE", interface).replace("KIND", &format!("kind = \"{kind}\""))
}

#[test]
fn a_node_that_cannot_start_says_why_in_a_line() {
    let Some(_shared) = shared() else { return };
    let mut room = Room::new();
    room.add("node");
    room.add("peer");
    for (near, far) in [("eth0", "far0"), ("eth1", "far1"), ("eth2", "far2")] {
        room.veth(("node", near), ("peer", far));
    }
    room.prepare_port("node", "eth0");
    room.prepare_port("node", "eth2");
    room.ip("node", &["tuntap", "add", "tun0", "mode", "tun"]);
    room.ip("node", &["link", "set", "tun0", "up"]);

    for kind in ["af_xdp", "af_packet"] {
        let (status, said) = refusal(&room, &with_port("eth9", kind));
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains("port[1].interface: interface eth9 does not exist here: `ip -brief link`"), "{said}");

        let (status, said) = refusal(&room, &with_port("eth1", kind));
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains("port[1].interface: interface eth1 is down: `ip link set eth1 up`"), "{said}");

        // Devices that carry no Ethernet frames, which is where XDP is not to be had.
        for interface in ["lo", "tun0"] {
            let (status, said) = refusal(&room, &with_port(interface, kind));
            assert_eq!(status, Some(3), "{said}");
            assert!(
                said.contains(&format!("port[1].interface: interface {interface} is not an Ethernet interface")),
                "{said}"
            );
            assert!(said.contains("kind = \"tun\""), "{said}");
        }

        room.ip("node", &["link", "set", "eth2", "mtu", "1279"]);
        let (status, said) = refusal(&room, &with_port("eth2", kind));
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains("port[1].interface: interface eth2 has an MTU of 1279, and IPv6 needs 1280"), "{said}");
        room.ip("node", &["link", "set", "eth2", "mtu", "1500"]);
    }

    // An interface that another node has.
    let mut holder = room.start(
        "node",
        &format!(
            "[node]\nname = \"holder\"\n[admin]\nsocket = \"{}\"\n[[port]]\nname = \"it\"\ninterface = \"eth2\"\n",
            room.socket("node").display()
        ),
    );
    holder.await_ready();
    let (status, said) = refusal(&room, &with_port("eth2", "af_xdp"));
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("port[1].interface: interface eth2 is taken by another XDP program: stop it"), "{said}");
    holder.assert_running();

    // Programs behind a TUN device, and a kernel that would answer on the link what they answer.
    room.sysctl("node", "net/ipv6/conf/eth0/disable_ipv6", "0");
    let correspondent = r#"
        [node]
        name = "wrong"
        [[port]]
        name = "net"
        interface = "eth0"
        kind = "af_packet"
        addresses = ["2001:db8:d::10/64"]
        [[port]]
        name = "programs"
        interface = "programs0"
        kind = "tun"
        [correspondent_node]
        address = "2001:db8:d::10"
        tun = "programs"
    "#;
    let (status, said) = refusal(&room, correspondent);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("port[0].interface: the kernel speaks IPv6 on eth0 as well"), "{said}");
    assert!(said.contains("sysctl -w net.ipv6.conf.eth0.disable_ipv6=1"), "{said}");

    // A mistake in the file: its line, its key, and what would be right.
    let mistaken = with_port("eth2", "af_xdp") + "mtu = 900\n";
    let line = mistaken.lines().count();
    let (status, said) = refusal(&room, &mistaken);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&format!("wrong.toml:{line}: port[1].mtu: 900 is too small; give 1280 to ")), "{said}");

    let missing = room.command("node", DROVER).args(["run", "/nonexistent/node.toml"]).output().expect("drover runs");
    let said = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1), "{said}");
    assert!(said.lines().count() == 1 && said.contains("/nonexistent/node.toml"), "{said}");
}
