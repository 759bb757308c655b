//! `drover explain` of a router with all its state: a path that is broken in several ways, and mended one by one.

use crate::bench::{BESIDE, Bench, SOURCE, UPSTREAM, Wire, group};
use drover::admin::Question;
use drover::node::{self, Explanation, Standing};
use stack::time::Duration;
use std::net::Ipv6Addr;

const ANY_SOURCE_GROUP: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 1);

fn explain(bench: &Bench, about: Ipv6Addr) -> Explanation {
    let question = Question { about, source: None, sources: Vec::new(), more_sources: 0 };
    node::explain(&bench.worker, bench.now, question).expect("it is a router")
}

fn missing(bench: &Bench, about: Ipv6Addr) -> Vec<String> {
    let findings = explain(bench, about).findings.into_iter();
    findings.filter(|finding| finding.standing == Standing::Missing).map(|finding| finding.what).collect()
}

#[test]
fn a_source_specific_path() {
    let mut bench = Bench::new("");
    assert_eq!(
        missing(&bench, group(1)),
        [
            "nobody here wants ff3e::8000:1: no member on any port, no router that has joined",
            "ff3e::8000:1 is source-specific, and nobody here names a source"
        ]
    );
    bench.report(0, [group(1)].into_iter(), Some(SOURCE));
    assert_eq!(
        missing(&bench, group(1)),
        ["no PIM neighbour fe80::1 on core, the next hop to 2001:db8:a::5"],
        "the member is known"
    );
    bench.hello(Wire::Core, UPSTREAM, 1);
    assert_eq!(missing(&bench, group(1)), Vec::<String>::new());
    assert_eq!(
        explain(&bench, group(1)).verdict,
        "nothing is missing here: packets leave by hosts towards members, once some come: ask fe80::1 on core next"
    );
    bench.data(Wire::Core, SOURCE, group(1));
    assert_eq!(explain(&bench, group(1)).verdict, "nothing is missing here: packets leave by hosts towards members");
    bench.pass(Duration::from_secs(106));
    assert_eq!(missing(&bench, group(1)), ["no PIM neighbour fe80::1 on core, the next hop to 2001:db8:a::5"]);
}

#[test]
fn a_source_without_route_and_one_behind_a_boundary() {
    let far = Ipv6Addr::new(0x2001, 0xabc, 0, 0, 0, 0, 0, 5);
    let mut bench = Bench::new("[[router.port]]\nname = \"core\"\nboundary = [\"ff3e::8000:2/128\"]\n");
    bench.hello(Wire::Core, UPSTREAM, 1);
    bench.report(0, [group(1)].into_iter(), Some(far));
    bench.report(1, [group(2)].into_iter(), Some(SOURCE));
    assert_eq!(missing(&bench, group(1)), ["no route to 2001:abc::5"]);
    assert_eq!(missing(&bench, group(2)), ["the way to 2001:db8:a::5 is by core, which ff3e::8000:2 does not pass"]);
}

#[test]
fn a_shared_tree() {
    let mut bench = Bench::new("");
    bench.report(0, [ANY_SOURCE_GROUP].into_iter(), None);
    assert_eq!(missing(&bench, ANY_SOURCE_GROUP)[0], "no rendezvous point for ff15::1");
    let point = "[[router.static_rp]]\naddress = \"2001:db8::9\"\ngroups = [\"ff15::/16\"]\n";
    let mut bench = Bench::new(point);
    bench.report(0, [ANY_SOURCE_GROUP].into_iter(), None);
    assert_eq!(
        missing(&bench, ANY_SOURCE_GROUP),
        ["no PIM neighbour fe80::1 on core, the next hop to 2001:db8::9, the rendezvous point of ff15::1"]
    );
    bench.hello(Wire::Core, UPSTREAM, 1);
    bench.data(Wire::Core, SOURCE, ANY_SOURCE_GROUP);
    let explained = explain(&bench, ANY_SOURCE_GROUP);
    assert_eq!(explained.verdict, "nothing is missing here: packets leave by hosts towards members", "{explained:#?}");
}

#[test]
fn members_of_another_router() {
    let mut bench = Bench::new("[[router.port]]\nname = \"hosts\"\npassive = false\n");
    bench.hello(Wire::Core, UPSTREAM, 1);
    bench.hello(Wire::Hosts, BESIDE, 0);
    bench.report(0, [group(1)].into_iter(), Some(SOURCE));
    assert_eq!(missing(&bench, group(1)), Vec::<String>::new());
    let says = |bench: &Bench, what: &str| {
        let findings = explain(bench, group(1)).findings;
        findings.iter().any(|finding| finding.standing == Standing::Note && finding.what == what)
    };
    bench.assert_against(SOURCE, group(1));
    assert!(says(&bench, "fe80::2 has won the assert on hosts, and forwards there: ask it"));
    bench.hello(Wire::Hosts, BESIDE, 9);
    bench.pass(Duration::from_secs(181));
    bench.hello(Wire::Hosts, BESIDE, 9);
    bench.report(0, [group(1)].into_iter(), Some(SOURCE));
    assert!(says(&bench, "fe80::2 is the designated router on hosts, and forwards there: ask it"));
}

#[test]
fn a_router_knows_no_terminals() {
    let bench = Bench::new("");
    let question = Question { about: SOURCE, source: None, sources: Vec::new(), more_sources: 0 };
    let refused = node::explain(&bench.worker, bench.now, question).expect_err("it is no agent");
    assert!(refused.starts_with("this node is neither mobility agent nor home agent"), "{refused}");
}

#[test]
fn a_source_is_one_whose_packets_are_routed() {
    let bench = Bench::new("");
    for source in ["fe80::1", "ff15::1", "::", "::1"] {
        let source = source.parse().expect("an address");
        let question = Question { about: group(1), source: Some(source), sources: Vec::new(), more_sources: 0 };
        let refused = node::explain(&bench.worker, bench.now, question).expect_err("it is no source");
        assert_eq!(refused, format!("{source} is no source whose packets are routed: give a routable unicast address"));
    }
}
