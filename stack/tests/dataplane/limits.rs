//! The limits of tables and queues.

use super::*;

#[test]
fn full_tables_refuse_and_count() {
    let mut config = DataplaneConfig::default();
    config.limits.mma_bindings = 1;
    config.limits.output_queue = 2;
    let mut bench = Bench::with(config, (0..2).map(|i| port(i, Medium::Ethernet, 1500)).collect());
    bench.apply(TableUpdate::MmaBindingSet(HOME, binding()));
    bench.apply(TableUpdate::MmaBindingSet(FAR, binding()));
    bench.set_route("2001:db8:9::/64", Route::OnLink(stack::machine::PortId(7)));
    bench.expect_counters(&[("refused-updates", 1), ("refused-ports", 1)]);
    bench.set_route("2001:db8:2::/64", Route::OnLink(P1));
    bench.set_neighbor(P1, FAR);
    bench.receive(P0, &(0..5).map(|n| udp(CN, FAR, 9, &[n])).collect::<Vec<_>>());
    bench.expect_counters(&[("rx", 5), ("output", 2), ("drop-output-queue-full", 3)]);
}
