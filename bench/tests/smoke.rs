//! Every subcommand runs, prints JSON of the documented shape, and the data plane allocates nothing. No figure is judged.

use serde_json::Value;
use std::process::Command;

fn run(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check_surroundings(report: &Value, benchmark: &str) {
    assert_eq!(report["benchmark"], benchmark);
    for key in ["cpu", "kernel", "date"] {
        assert!(!report["machine"][key].as_str().unwrap().is_empty(), "{key}");
    }
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    for probe in ["integer_loop_ns", "load_256_kib_ns", "load_4_mib_ns", "load_64_mib_ns", "dependent_load_ns"] {
        assert!(report["calibration"][probe]["median"].as_f64().unwrap() > 0.0, "{probe}");
    }
    let results = report["results"].as_array().unwrap();
    assert!(!results.is_empty());
    results.iter().for_each(check_line);
}

/// The keys that every result of every subcommand has.
fn check_line(line: &Value) {
    assert!(!line["path"].as_str().unwrap().is_empty(), "{line}");
    assert!(!line["distribution"].as_str().unwrap().is_empty(), "{line}");
    assert!(line["entries"].as_u64().unwrap() > 0, "{line}");
    assert!(line["groups"].is_u64() && line["branches"].is_u64(), "{line}");
    assert!(line["packet_octets"].is_u64() || line["packet_octets"].is_null(), "{line}");
    assert!(line["instructions_per_packet"].is_number() || line["instructions_per_packet"].is_null(), "{line}");
    assert!(line["allocations_per_packet"].as_f64().unwrap() >= 0.0, "{line}");
    assert!(line["packets"].as_u64().unwrap() > 0, "{line}");
    check_spread(&line["ns_per_packet"]);
}

fn check_spread(spread: &Value) {
    let [min, median, max] = ["min", "median", "max"].map(|key| spread[key].as_f64().unwrap());
    assert!(0.0 <= min && min <= median && median <= max && max > 0.0, "{spread}");
}

fn check_percentiles(percentiles: &Value) {
    let [p50, p99, p999, max] = ["p50", "p99", "p999", "max"].map(|key| percentiles[key].as_u64().unwrap());
    assert!(0 < p50 && p50 <= p99 && p99 <= p999 && p999 <= max, "{percentiles}");
}

#[test]
fn pipeline() {
    let sizes =
        ["--bindings", "1,300", "--routes", "1,300", "--groups", "300", "--branches", "1,8", "--octets", "64,1500"];
    let arguments = [&["pipeline", "--json", "--packets", "700", "--repetitions", "2"], &sizes[..]].concat();
    let report = run(&arguments);
    check_surroundings(&report, "pipeline");
    assert_eq!(report["method"]["batch"], 32);
    assert!(report["method"]["clock_ns"].is_number());
    let results = report["results"].as_array().unwrap();
    // Two unicast paths of two sizes, multicast with two branch counts, six binding paths of two sizes, two terminals.
    assert_eq!(results.len(), 2 * (2 * 2 + 2 + 6 * 2 + 2));
    for line in results {
        assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
        assert_eq!(line["packets"], 1400, "{line}");
        let octets = line["packet_octets"].as_u64().unwrap();
        assert!(line["frame_octets"].as_u64().unwrap() >= octets + 14, "{line}");
        check_spread(&line["mean_ns_per_packet"]);
        check_percentiles(&line["batch_ns"]);
    }
    for path in ["unicast", "multicast", "mma-group", "mma-group-gre", "mma-reverse", "ha-intercept", "terminal"] {
        assert!(results.iter().any(|line| line["path"] == path), "{path}");
    }
}

#[test]
fn handover() {
    let report = run(&["handover", "--json", "--moves", "70", "--terminals", "20"]);
    check_surroundings(&report, "handover");
    assert_eq!((&report["method"]["moves"], &report["method"]["terminals"]), (&70.into(), &20.into()));
    let results = report["results"].as_array().unwrap();
    let samples: Vec<_> =
        results.iter().map(|line| (line["stage"].as_str().unwrap(), line["samples"].as_u64().unwrap())).collect();
    let expected = [("access", 140), ("core", 70), ("root", 70), ("crossover", 70), ("arrival", 70), ("handover", 70)];
    assert_eq!(samples, expected);
    for line in results {
        assert_eq!((&line["entries"], &line["groups"]), (&20.into(), &20.into()));
        check_percentiles(&line["ns"]);
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for arguments in
        [&["pipeline", "--octets", "20"][..], &["pipeline", "--batch", "65"], &["handover", "--terminals", "0"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap();
        assert!(!output.status.success());
    }
}
