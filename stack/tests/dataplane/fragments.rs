//! Fragments.

use super::*;

#[test]
fn fragments_that_overlap_or_never_come_are_given_up() {
    let mut bench = Bench::router(1);
    bench.set_route("2001:db8:c::/64", Route::OnLink(P0));
    bench.set_neighbor(P0, CN);
    let fragment = |offset: u16, more: bool, id: u32, data: &[u8]| {
        let field = (offset | u16::from(more)).to_be_bytes();
        let mut payload = vec![protocol::NONE, 0, field[0], field[1]];
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(data);
        PacketBuilder::new(CN, SELF).payload(protocol::FRAGMENT, &payload)
    };
    bench.receive(P0, &[fragment(0, true, 1, &[0; 16]), fragment(8, false, 1, &[0; 16])]);
    bench.expect_counters(&[("rx", 2), ("punt-reassembly", 1), ("drop-reassembly-invalid", 1)]);
    assert_eq!(bench.plane.held_frames(), 0);
    bench.receive(P0, &[fragment(0, true, 2, &[0; 15])]);
    bench.expect_counters(&[("rx", 1), ("icmp-error-header-field", 1), ("generated", 1), ("output", 1)]);
    let first = fragment(0, true, 3, &[0; 16]);
    bench.receive(P0, &[first.clone(), first, fragment(16, true, 4, &[0; 16])]);
    bench.expect_counters(&[("rx", 3), ("punt-reassembly", 2), ("drop-reassembly-invalid", 1)]);
    let at = bench.plane.poll_timeout().unwrap();
    bench.plane.handle_timeout(at);
    bench.check();
    bench.expect_counters(&[
        ("reassembly-timeouts", 2),
        ("resumed", 1),
        ("icmp-error-reassembly-time", 1),
        ("generated", 1),
        ("output", 1),
    ]);
    assert_eq!(bench.plane.poll_timeout(), None);
}
