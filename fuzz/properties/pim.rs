//! What holds of the parsers of `pim::wire` whatever they are given.

use core::net::Ipv6Addr;
use pim::wire::{EncodedGroup, EncodedSource, GroupSet, Hello, JoinPrune, LanPruneDelay, Message};
use stack::addr::ALL_PIM_ROUTERS;
use stack::wire::WireError;
use stack::wire::checksum;
use stack::wire::ipv6::protocol;

const A: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff35, 0, 0, 0, 0x200, 0x5eff, 0xfe10, 1);

/// A whole message; its checksum is put right first, so that what is behind it is read.
pub(crate) fn message(input: &[u8]) {
    let mut message = input.to_vec();
    inside(&Message::parse(LOCAL, ALL_PIM_ROUTERS, &message), input);
    let register = message.first().is_some_and(|first| first & 0xf == 1);
    let covered = if register { message.len().min(8) } else { message.len() };
    if covered >= 4 {
        message[2..4].fill(0);
        let sum = checksum::upper_layer(LOCAL, ALL_PIM_ROUTERS, protocol::PIM, &message[..covered]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    let parsed = Message::parse(LOCAL, ALL_PIM_ROUTERS, &message);
    inside(&parsed, input);
    match parsed {
        Ok(Message::Hello(hello)) => {
            let mut body = Vec::new();
            hello.emit(&mut body);
            assert_eq!(Hello::parse(&body), Ok(hello));
        }
        Ok(Message::JoinPrune(join_prune)) => {
            let mut body = Vec::new();
            join_prune.emit(&mut body);
            assert_eq!(body.len(), join_prune.len());
            assert_eq!(JoinPrune::parse(&body), Ok(join_prune));
        }
        _ => {}
    }
}

fn inside<T>(result: &Result<T, WireError>, input: &[u8]) {
    if let Err(error) = result {
        assert!(error.offset <= input.len(), "{error} of {}", input.len());
    }
}

/// Good messages.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let source = EncodedSource::host;
    let group = EncodedGroup::host(GROUP);
    let join_prune = JoinPrune {
        upstream_neighbor: LOCAL,
        holdtime: 210,
        groups: vec![
            GroupSet { group, joined: vec![source(A)], pruned: vec![source(LOCAL)] },
            GroupSet { group, joined: vec![], pruned: vec![source(A)] },
        ],
    };
    let hello = Hello {
        holdtime: Some(105),
        lan_prune_delay: Some(LanPruneDelay {
            tracking_support: true,
            propagation_delay_ms: 500,
            override_interval_ms: 2500,
        }),
        dr_priority: Some(1),
        generation_id: Some(7),
        addresses: vec![A],
    };
    let mut messages = vec![vec![0x20, 0, 0, 0], vec![0x23, 0, 0, 0], vec![0x21, 0, 0, 0, 0, 0, 0, 0, 1]];
    hello.emit(&mut messages[0]);
    join_prune.emit(&mut messages[1]);
    messages
}
