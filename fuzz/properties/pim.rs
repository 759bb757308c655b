//! What holds of the parsers of `pim::wire` whatever they are given.

use core::net::Ipv6Addr;
use pim::wire::{
    Bootstrap, CandidateRpAdvertisement, EncodedGroup, EncodedSource, GroupSet, Hello, JoinPrune, LanPruneDelay,
    Message, RpEntry, RpRange,
};
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
        Ok(Message::Bootstrap(bootstrap)) => {
            let mut body = Vec::new();
            bootstrap.emit(&mut body);
            assert_eq!(body.len(), bootstrap.len());
            assert_eq!(Bootstrap::parse(bootstrap.no_forward, &body), Ok(bootstrap));
        }
        Ok(Message::CandidateRpAdvertisement(advertisement)) => {
            let mut body = Vec::new();
            advertisement.emit(&mut body);
            assert_eq!(CandidateRpAdvertisement::parse(&body), Ok(advertisement));
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
    let rp = RpEntry { address: A, holdtime: 150, priority: 192 };
    let bootstrap = Bootstrap {
        no_forward: false,
        fragment_tag: 7,
        hash_mask_length: 126,
        bsr_priority: 64,
        bsr_address: A,
        ranges: vec![
            RpRange { group: EncodedGroup { scope_zone: true, mask_length: 16, ..group }, rp_count: 0, rps: vec![] },
            RpRange { group, rp_count: 3, rps: vec![rp, rp] },
        ],
    };
    let advertisement = CandidateRpAdvertisement { priority: 192, holdtime: 150, address: A, ranges: vec![group; 2] };
    let mut messages = vec![vec![0x20, 0, 0, 0], vec![0x23, 0, 0, 0], vec![0x21, 0, 0, 0, 0, 0, 0, 0, 1]];
    hello.emit(&mut messages[0]);
    join_prune.emit(&mut messages[1]);
    for (kind, body) in [
        (0x24, &(|into: &mut Vec<u8>| bootstrap.emit(into)) as &dyn Fn(&mut Vec<u8>)),
        (0x28, &|into: &mut Vec<u8>| advertisement.emit(into)),
    ] {
        let mut message = vec![kind, 0, 0, 0];
        body(&mut message);
        messages.push(message);
    }
    messages
}
