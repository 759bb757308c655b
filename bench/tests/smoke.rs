//! Every subcommand runs, prints JSON of the documented shape, writes its files, and the data plane allocates nothing. No
//! figure is judged.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().unwrap()
}

/// A directory that belongs to one test.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

/// Runs a benchmark for a test; answers its JSON, which the file has too. The page beside it needs nothing else.
fn run(test: &str, arguments: &[&str]) -> Value {
    let out = directory(test);
    let output = bench(&[arguments, &["--json", "--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = |extension: &str| {
        let files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 2, "{files:?}");
        let file = files.iter().find(|file| file.extension().is_some_and(|found| found == extension)).unwrap();
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with(arguments[0]));
        fs::read_to_string(file).unwrap()
    };
    assert_eq!(serde_json::from_str::<Value>(&file("json")).unwrap(), report);
    let page = file("html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("<svg") && page.contains("<circle"));
    let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http", "<script", "src=", "href", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    report
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
    let tables =
        ["--bindings", "1,300", "--routes", "1,300", "--neighbors", "300", "--groups", "300", "--branches", "1,8"];
    let traffic =
        ["--octets", "64,1500,imix", "--distribution", "uniform,zipf", "--packets", "300", "--repetitions", "2"];
    let arguments = [&["pipeline"][..], &tables, &traffic, &["--ways", "express,stages"]].concat();
    let report = run("pipeline", &arguments);
    check_surroundings(&report, "pipeline");
    assert_eq!(report["method"]["batch"], 32);
    assert!(report["method"]["clock_ns"].is_number());
    let results = report["results"].as_array().unwrap();
    // Two unicast paths of two sizes, neighbours, multicast with two branch counts, six binding paths of two sizes, two
    // terminals; each with three sizes of packets and two distributions, by the express way and by the stages.
    assert_eq!(results.len(), 2 * 3 * 2 * (2 * 2 + 1 + 2 + 6 * 2 + 2));
    for line in results {
        assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
        assert_eq!(line["packets"], 600, "{line}");
        let octets = line["packet_octets"].as_u64().unwrap();
        assert!(line["frame_octets"].as_u64().unwrap() >= octets + 14, "{line}");
        check_spread(&line["mean_ns_per_packet"]);
        check_percentiles(&line["batch_ns"]);
        assert!(line["cycles_per_packet"].is_number() || line["cycles_per_packet"].is_null(), "{line}");
    }
    for path in
        ["unicast", "on-link", "multicast", "mma-group", "mma-group-gre", "mma-reverse", "ha-intercept", "terminal"]
    {
        for distribution in ["uniform", "zipf(1)"] {
            for (size, octets) in [("64", 64), ("1500", 1500), ("imix", 354)] {
                let is = |line: &&Value| {
                    line["path"] == path && line["distribution"] == distribution && line["size"] == size
                };
                assert_eq!(results.iter().find(is).unwrap()["packet_octets"], octets, "{path}");
            }
        }
    }
}

#[test]
fn tables() {
    let arguments = ["tables", "--entries", "20,3000", "--updates", "500", "--lookups", "700", "--repetitions", "2"];
    let report = run("tables", &arguments);
    check_surroundings(&report, "tables");
    let results = report["results"].as_array().unwrap();
    let operations = [
        "fill",
        "insert",
        "replace",
        "delete",
        "lookup",
        "mixed-lookup",
        "mixed-update",
        "reader-alone",
        "reader-beside-writer",
        "writer-beside-readers",
    ];
    for table in ["binding", "home-binding", "mfib", "fib", "fib-lengths", "neighbor"] {
        for operation in operations {
            let path = format!("{table}/{operation}");
            let lines: Vec<_> = results.iter().filter(|line| line["path"] == *path).collect();
            assert_eq!(lines.len(), 2, "{path}");
            for line in lines {
                check_percentiles(&line["latency_ns"]);
                if line["packet_octets"].is_u64() {
                    assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
                }
                if operation == "fill" {
                    assert_eq!(line["packets"], line["entries"]);
                    let longest = line["longest"].as_array().unwrap();
                    assert!(!longest.is_empty() && longest.len() <= 8, "{line}");
                    assert!(line["allocated_octets_per_entry"].as_f64().unwrap() >= 0.0, "{line}");
                    assert!(line["resident_octets_per_entry"].is_number(), "{line}");
                }
            }
        }
    }
    assert_eq!(results.len(), 6 * 2 * operations.len());
}

#[test]
fn compare() {
    let out = directory("compare");
    fs::create_dir_all(&out).unwrap();
    let mut report = run("compare-runs", &["handover", "--moves", "40", "--terminals", "5"]);
    let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
    fs::write(path("a.json"), report.to_string()).unwrap();
    let arguments = ["compare", &path("a.json"), &path("a.json"), "--json"];
    let output = bench(&arguments);
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), comparison["changes"].as_array().unwrap().len()), (Some(0), 6));
    assert!(comparison["changes"].as_array().unwrap().iter().all(|change| change["verdict"] == "same"));

    let slow = report["results"][0]["ns_per_packet"]["max"].as_f64().unwrap() * 3.0;
    report["results"][0]["ns_per_packet"] = serde_json::json!({ "median": slow, "min": slow, "max": slow });
    fs::write(path("b.json"), report.to_string()).unwrap();
    let output = bench(&["compare", &path("a.json"), &path("b.json")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 slower, 0 faster, 5 the same"));
    let output = bench(&["compare", &path("b.json"), &path("a.json")]);
    assert_eq!(output.status.code(), Some(0), "what became faster is no fault");
    assert!(String::from_utf8_lossy(&output.stdout).contains("0 slower, 1 faster, 5 the same"));

    fs::write(path("c.json"), "{}").unwrap();
    for other in ["c.json", "there is none.json"] {
        assert_eq!(bench(&["compare", &path("a.json"), &path(other)]).status.code(), Some(2));
    }
}

#[test]
fn text_is_for_people() {
    let out = directory("text");
    let arguments = ["pipeline", "--paths", "multicast", "--packets-in", "cache,memory", "--packets", "100"];
    let output = bench(&[&arguments[..], &["--repetitions", "1", "--out", out.to_str().unwrap()]].concat());
    assert!(output.status.success() || cfg!(not(target_arch = "x86_64")));
    assert!(String::from_utf8_lossy(&output.stdout).contains("memory") || cfg!(not(target_arch = "x86_64")));
}

#[test]
fn handover() {
    let report = run("handover", &["handover", "--moves", "70", "--terminals", "20"]);
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

/// Every device forwards over interfaces made for the run, and makes of each frame what it should. Without the right to
/// make namespaces the test is left out, and says so; it fails with `DROVER_REQUIRE_NETNS=1`.
#[test]
fn wire() {
    let out = directory("wire-devices");
    let short = ["--trial", "0.01", "--repetitions", "1", "--tries", "1", "--tolerance", "0.5"];
    let both = ["wire", "--devices", "drover", "--octets", "64", "--both", "--out", out.to_str().unwrap(), "--json"];
    let output = bench(&[&both[..], &short].concat());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("run as root"), "{said}");
        assert!(
            std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
            "network namespaces are required (DROVER_REQUIRE_NETNS=1) and not to be had: {said}"
        );
        eprintln!("left out, as it needs root: bench wire");
        return;
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let line = &report["results"][0];
    assert_eq!(
        (&line["path"], &line["directions"], &line["corrupted"]),
        (&"wire/drover/both".into(), &2.into(), &0.into())
    );
    assert_eq!(line["ratio_to_reflector"], Value::Null, "nothing to compare with");

    let report = run("wire", &[&["wire", "--octets", "64,imix"], &short[..]].concat());
    check_surroundings(&report, "wire");
    for key in ["trial_seconds", "generator_core", "device_core", "cores_shared", "absent"] {
        assert!(!report["method"][key].is_null(), "{key}");
    }
    let absent = report["method"]["absent"].as_array().unwrap().len();
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 * (7 - absent));
    for line in results {
        assert!(line["rate_pps"]["min"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["offered_pps"]["min"].as_f64().unwrap() > 0.0, "{line}");
        assert!(line["ratio_to_reflector"].as_f64().unwrap() > 0.0, "{line}");
        for key in ["corrupted", "duplicated", "reordered"] {
            assert_eq!(line[key], 0, "{line}");
        }
        assert!(line["lost"].as_u64().unwrap() <= line["offered"].as_u64().unwrap(), "{line}");
        for latency in line["latency"].as_array().unwrap() {
            check_percentiles(&latency["latency_ns"]);
        }
    }
    assert!(results.iter().any(|line| !line["latency"].as_array().unwrap().is_empty()));
    for path in ["wire/reflector", "wire/drover", "wire/drover-mma", "wire/drover-multicast"] {
        let line = results.iter().find(|line| line["path"] == path).unwrap();
        assert!(line["mode"].as_str().unwrap().contains("queue"), "{line}");
        assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let out = directory("refused");
    let many = "20000000";
    for arguments in [
        &["pipeline", "--octets", "20"][..],
        &["pipeline", "--batch", "65"],
        &["pipeline", "--bindings", many],
        &["pipeline", "--zipf-exponent", "0"],
        &["pipeline", "--distribution", "pareto"],
        &["tables", "--entries", "0"],
        &["tables", "--entries", "2000000", "--tables", "neighbor"],
        &["tables", "--readers", "65"],
        &["handover", "--terminals", "0"],
        &["wire", "--octets", "20"],
        &["wire", "--trial", "0"],
        &["wire", "--tolerance", "1"],
        &["wire", "--devices", "testpmd", "--testpmd", "/nowhere/testpmd"],
        &["wire", "--devices", "switch"],
        &["wire", "--interfaces", "lo,lo,lo"],
    ] {
        let output = bench(&[arguments, &["--out", out.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    // A file is in the way of the directory.
    let output = bench(&["handover", "--moves", "1", "--out", env!("CARGO_BIN_EXE_bench")]);
    assert_eq!(output.status.code(), Some(2));
}
