//! What a node says of its ports when it starts: what costs packets or time, and is the operator's to change.

use super::report::Placement;
use stack::port::PortInfo;

/// A line for each thing, with the remedy. `ports` are the first worker's, in order, and `workers` are all.
pub(super) fn remarks(ports: &[PortInfo], workers: &[Placement]) -> Vec<String> {
    let mut all = of_wide_links(ports);
    all.extend(of_memory_nodes(ports, workers));
    all
}

/// Ports that take shorter packets than their interfaces: what is longer is lost.
fn of_wide_links(ports: &[PortInfo]) -> Vec<String> {
    let remark = |(number, port): (usize, &PortInfo)| {
        let given = port.xdp.filter(|given| given.interface_mtu > port.mtu)?;
        Some(format!(
            "port[{number}].interface: {} has an MTU of {} and the port takes packets of up to {}: longer ones are dropped, \
             and counted as rx_dropped; give all of the link an MTU of {} or less",
            port.name, given.interface_mtu, port.mtu, port.mtu
        ))
    };
    ports.iter().enumerate().filter_map(remark).collect()
}

/// Ports whose queues are served from another memory node than their device's. Nothing is said where the kernel does not
/// tell one of the two.
fn of_memory_nodes(ports: &[PortInfo], workers: &[Placement]) -> Vec<String> {
    let remark = |(number, port): (usize, &PortInfo)| {
        let given = port.xdp?;
        let home = given.memory_node?;
        let serving = workers.iter().enumerate().take(given.queues as usize);
        let foreign = serving.filter_map(|(worker, placement)| {
            let (core, node) = (placement.core?, placement.memory_node.filter(|&node| node != home)?);
            Some(format!("worker {worker} on core {core} of node {node}"))
        });
        let foreign = foreign.collect::<Vec<_>>().join(", ");
        (!foreign.is_empty()).then(|| {
            format!(
                "port[{number}].interface: {} is on memory node {home} and served by {foreign}: its packets cross between \
                 nodes; give node.cpu cores of node {home} (`lscpu -e=cpu,node` lists them)",
                port.name
            )
        })
    };
    ports.iter().enumerate().filter_map(remark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::port::bpf::Hook;
    use stack::port::{LinkState, Medium, XdpGiven};

    fn port(name: &str, queues: u32, memory_node: Option<usize>) -> PortInfo {
        let given = XdpGiven {
            hook: Hook::Native,
            zero_copy: true,
            need_wakeup: true,
            busy_poll_us: 0,
            polls_device: false,
            multi_buffer: false,
            huge_pages: true,
            queues,
            own_queues: queues,
            interface_mtu: 1500,
            memory_node,
        };
        PortInfo {
            name: name.to_owned(),
            kind: "af_xdp",
            mode: given.to_string(),
            medium: Medium::Ethernet,
            link_address: Default::default(),
            mtu: 1500,
            link: LinkState::Up,
            xdp: Some(given),
        }
    }

    fn worker(core: Option<usize>, memory_node: Option<usize>) -> Placement {
        Placement { core, memory_node, ..Placement::default() }
    }

    #[test]
    fn a_port_that_is_served_from_another_node_is_named() {
        let workers = [worker(Some(2), Some(0)), worker(Some(9), Some(1)), worker(Some(3), Some(0))];
        let bare = PortInfo { xdp: None, ..port("packet0", 4, None) };
        let ports = [port("near0", 1, Some(0)), bare, port("far0", 4, Some(1))];
        assert_eq!(
            remarks(&ports, &workers),
            [
                "port[2].interface: far0 is on memory node 1 and served by worker 0 on core 2 of node 0, worker 2 on core \
                 3 of node 0: its packets cross between nodes; give node.cpu cores of node 1 (`lscpu -e=cpu,node` lists \
                 them)"
            ]
        );
    }

    #[test]
    fn a_link_that_takes_more_than_its_port_is_named() {
        let mut wide = port("wide0", 1, None);
        (wide.mtu, wide.xdp.as_mut().unwrap().interface_mtu) = (3570, 9000);
        assert_eq!(
            remarks(&[port("eth0", 1, None), wide], &[]),
            ["port[1].interface: wide0 has an MTU of 9000 and the port takes packets of up to 3570: longer ones are \
                 dropped, and counted as rx_dropped; give all of the link an MTU of 3570 or less"]
        );
    }

    #[test]
    fn nothing_is_said_of_what_is_near_or_not_known() {
        let ports = [port("veth0", 2, None), port("far0", 2, Some(1))];
        let silent = |workers: &[Placement]| remarks(&ports, workers).is_empty();
        assert!(silent(&[worker(None, None), worker(Some(3), None)]));
        assert!(silent(&[worker(Some(9), Some(1)), worker(Some(10), Some(1))]));
        // The third worker has no queue.
        assert!(silent(&[worker(Some(9), Some(1)), worker(Some(10), Some(1)), worker(Some(1), Some(0))]));
    }
}
