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
    if line["path"].as_str().unwrap().starts_with("lab/") {
        // An interruption, and there may be none.
        assert!(line["ns_per_packet"]["min"].as_f64().unwrap() >= 0.0, "{line}");
    } else {
        check_spread(&line["ns_per_packet"]);
    }
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
        assert_eq!(line["workers"], 1, "{line}");
        check_spread(&line["packets_per_second"]);
        assert!(line["scaling"].is_null(), "nothing to compare with: {line}");
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

/// All workers go every path that forwarders can go, at the same time. A machine with one core refuses.
#[test]
fn pipeline_with_workers() {
    let tables = ["--bindings", "300", "--routes", "300", "--neighbors", "30", "--groups", "300", "--branches", "1,3"];
    let traffic = ["--octets", "64,imix", "--packets", "320", "--repetitions", "3"];
    let arguments = [&["pipeline", "--workers", "2"][..], &tables, &traffic].concat();
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    if cores < 2 {
        assert_eq!(bench(&arguments).status.code(), Some(2));
        return;
    }
    let report = run("pipeline-workers", &arguments);
    check_surroundings(&report, "pipeline");
    assert_eq!((&report["method"]["workers"], &report["machine"]["cores"]), (&2.into(), &cores.into()));
    let results = report["results"].as_array().unwrap();
    // Two unicast paths, neighbours, multicast with two branch counts, six binding paths, each with two sizes.
    assert_eq!(results.len(), 2 * (2 + 1 + 2 + 6));
    for line in results {
        assert_eq!((&line["workers"], &line["packets"]), (&2.into(), &(2 * 3 * 320).into()), "{line}");
        assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
        assert_eq!(line["worker_ns_per_packet"].as_array().unwrap().len(), 2, "{line}");
        line["worker_ns_per_packet"].as_array().unwrap().iter().for_each(check_spread);
        for key in ["packets_per_second", "alone_ns_per_packet", "scaling"] {
            check_spread(&line[key]);
        }
        assert!(!line["path"].as_str().unwrap().starts_with("terminal"), "{line}");
    }
}

#[test]
fn more_workers_than_there_can_be_are_refused() {
    for (arguments, because) in [
        (["--workers", "1000", "--paths", "unicast"], "ask for"),
        (["--workers", "2", "--paths", "terminal"], "express way"),
        (["--workers", "2", "--ways", "stages"], "express way"),
    ] {
        let out = directory("workers-refused");
        let output = bench(&[&["pipeline", "--out", out.to_str().unwrap()][..], &arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        let one_core = std::thread::available_parallelism().unwrap().get() < 2;
        assert!(said.contains("--workers") && (said.contains(because) || one_core), "{said}");
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
        "visible",
    ];
    // Those of which a reader has a copy, which it keeps in step.
    let told = ["fib", "fib-lengths", "neighbor"];
    let share_cores = results.iter().any(|line| line["threads_share_cores"] == true);
    let operations = if share_cores { &operations[..operations.len() - 1] } else { &operations };
    for table in ["binding", "home-binding", "mfib", "fib", "fib-lengths", "neighbor"] {
        for &operation in operations {
            let path = format!("{table}/{operation}");
            let lines: Vec<_> = results.iter().filter(|line| line["path"] == *path).collect();
            assert_eq!(lines.len(), 2, "{path}");
            for line in lines {
                check_percentiles(&line["latency_ns"]);
                if line["packet_octets"].is_u64() && !(operation == "reader-beside-writer" && told.contains(&table)) {
                    assert_eq!(line["allocations_per_packet"], 0.0, "{line}");
                }
                if operation == "reader-beside-writer" {
                    // One of two updates in three takes an entry away, and the next brings it back.
                    assert!(line["missed"].as_f64().is_some_and(|part| (0.0..0.5).contains(&part)), "{line}");
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

/// Every entry is joined, refreshed in full messages, and forgotten.
#[test]
fn trees() {
    let report = run("trees", &["trees", "--entries", "100,5000", "--sources", "1,70"]);
    check_surroundings(&report, "trees");
    let results = report["results"].as_array().unwrap();
    let operations = ["join", "rejoin", "refresh-1", "refresh-2", "refresh-3", "restart", "reroute", "expire"];
    assert_eq!(results.len(), 2 * 2 * operations.len());
    for line in results {
        assert!(operations.contains(&line["operation"].as_str().unwrap()), "{line}");
        assert!(line["calls"].as_u64().unwrap() > 0 && line["longest_call_ns"].as_u64().unwrap() > 0, "{line}");
        if line["operation"] == "join" {
            assert!(line["joins"].as_u64() >= line["entries"].as_u64(), "{line}");
            let octets = line["allocated_octets_per_entry"].as_f64().unwrap();
            assert!(octets > 0.0 && line["resident_octets_per_entry"].is_number(), "{line}");
        }
        if line["operation"].as_str().unwrap().starts_with("refresh") && line["entries"] == 5000 {
            assert!(line["requests_per_message"].as_f64().unwrap() > 30.0, "{line}");
        }
    }
}

#[test]
fn compare() {
    let out = directory("compare");
    fs::create_dir_all(&out).unwrap();
    let mut report =
        run("compare-runs", &["handover", "--parts", "rate", "--moves", "40", "--terminals", "5", "--rate", "10"]);
    let count = report["results"].as_array().unwrap().len();
    let path = |name: &str| out.join(name).to_str().unwrap().to_owned();
    fs::write(path("a.json"), report.to_string()).unwrap();
    let arguments = ["compare", &path("a.json"), &path("a.json"), "--json"];
    let output = bench(&arguments);
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), comparison["changes"].as_array().unwrap().len()), (Some(0), count));
    assert!(comparison["changes"].as_array().unwrap().iter().all(|change| change["verdict"] == "same"));

    let slow = report["results"][0]["ns_per_packet"]["max"].as_f64().unwrap() * 3.0;
    report["results"][0]["ns_per_packet"] = serde_json::json!({ "median": slow, "min": slow, "max": slow });
    fs::write(path("b.json"), report.to_string()).unwrap();
    let output = bench(&["compare", &path("a.json"), &path("b.json")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("1 slower, 0 faster, {} the same", count - 1)));
    let output = bench(&["compare", &path("b.json"), &path("a.json")]);
    assert_eq!(output.status.code(), Some(0), "what became faster is no fault");
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("0 slower, 1 faster, {} the same", count - 1)));

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

/// All movements come to their end, with all their stages, and all trees are as they should be.
#[test]
fn handover() {
    let arguments = ["--moves", "70", "--terminals", "30", "--rate", "100", "--storm", "20", "--repetitions", "2"];
    let report = run("handover", &[&["handover", "--parts", "rate,storm"][..], &arguments].concat());
    check_surroundings(&report, "handover");
    let method = &report["method"];
    assert_eq!((&method["moves"], &method["terminals"], &method["storm"]), (&70.into(), &30.into(), &20.into()));
    let results = report["results"].as_array().unwrap();
    let (up, both) = (["access", "core", "root"].as_slice(), ["tree", "first-packet"].as_slice());
    for (scenario, samples, stages, movements, copies) in [
        ("moves", 70, [&["access", "crossover"], both, &["leave"]].concat(), 70, 70),
        ("arrivals", 70, [up, both, &["leave"]].concat(), 140, 0),
        ("storm-arrivals", 40, [up, both, &["last-tree", "leave"]].concat(), 80, 0),
        ("storm-moves", 40, [&["access", "crossover"], both, &["last-tree", "leave"]].concat(), 40, 40),
    ] {
        let of_it = || results.iter().filter(|line| line["scenario"] == scenario);
        let found: Vec<_> = of_it().filter_map(|line| line["stage"].as_str()).collect();
        assert_eq!(found, stages, "{scenario}");
        for line in of_it().filter(|line| line["stage"].is_string()) {
            let expected = if line["stage"] == "last-tree" { 2 } else { samples };
            assert_eq!(line["samples"], expected, "{line}");
            assert_eq!((&line["entries"], &line["groups"]), (&30.into(), &30.into()));
            check_percentiles(&line["ns"]);
        }
        let routers = of_it().filter(|line| line["router"].is_string());
        let busy: Vec<_> = routers.map(|line| (&line["router"], &line["busy"], &line["signalling"])).collect();
        for (router, busy, signalling) in &busy {
            assert_eq!(busy.is_null(), scenario.starts_with("storm"), "{router}");
            assert!(signalling["join_prune_octets"].is_u64(), "{router}");
        }
        assert!(["core", "access-0", "access-1"].iter().all(|router| busy.iter().any(|(name, ..)| name == router)));

        let site = results.iter().find(|line| line["path"] == format!("{scenario}/load/site")).unwrap();
        assert_eq!((&site["movements"], &site["ended"]), (&movements.into(), &movements.into()), "{site}");
        assert_eq!((&site["streamed"], &site["received"]), (&samples.into(), &samples.into()), "{site}");
        assert_eq!(site["copies"], copies, "{site}");
        for key in ["lost", "routes_wrong", "drops"] {
            assert_eq!(site[key], 0, "{site}");
        }
        assert!(site["routes_checked"].as_u64().unwrap() > 0, "{site}");
        // A Join and a Prune at each router that sends them, and what is refreshed meanwhile.
        let signalling = &site["signalling"];
        assert!(signalling["join_prunes"].as_u64().unwrap() >= movements, "{site}");
        assert!(signalling["joins"].as_u64().unwrap() >= samples && signalling["prunes"] != 0, "{site}");
        assert!(signalling["reports"].as_u64().unwrap() >= movements, "{site}");
    }
}

/// Every agent accepts the updates of all its terminals, one at a time and all at once.
#[test]
fn handover_agents() {
    let arguments = ["--parts", "agents", "--moves", "50", "--terminals", "100", "--storm", "80", "--repetitions", "2"];
    let report = run("handover-agents", &[&["handover"][..], &arguments].concat());
    check_surroundings(&report, "handover");
    let results = report["results"].as_array().unwrap();
    let found: Vec<_> = results.iter().map(|line| (line["path"].as_str().unwrap(), &line["samples"])).collect();
    let agents = ["mobility-agent", "anchor", "home-agent"];
    let expected: Vec<_> =
        agents.iter().flat_map(|agent| [("update", 50), ("storm", 160)].map(|of| (agent, of))).collect();
    for ((path, samples), (agent, (stage, count))) in found.into_iter().zip(expected) {
        assert_eq!((path, samples), (format!("{agent}/{stage}").as_str(), &count.into()));
    }
    assert_eq!(results.len(), 2 * agents.len());
    for line in results {
        assert_eq!(line["entries"], 100);
        check_percentiles(&line["ns"]);
    }
}

/// Reports go up a chain of routers on interfaces made for the run, and a packet comes down. Without the right to make
/// namespaces the test is left out, and says so; it fails with `DROVER_REQUIRE_NETNS=1`.
#[test]
fn handover_over_interfaces() {
    let out = directory("handover-chain-try");
    let arguments = ["handover", "--parts", "chain", "--terminals", "40", "--moves", "30"];
    let output = bench(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    if !output.status.success() {
        left_out("bench handover --parts chain", &output);
        return;
    }
    let report = run("handover-chain", &arguments);
    check_surroundings(&report, "handover");
    assert!(report["method"]["chain"].as_str().unwrap().contains("queue"), "{}", report["method"]);
    let results = report["results"].as_array().unwrap();
    let found: Vec<_> = results.iter().map(|line| (line["path"].as_str().unwrap(), &line["samples"])).collect();
    let samples = Value::from(30);
    assert_eq!(found, ["chain/tree", "chain/first-packet", "chain/leave"].map(|path| (path, &samples)));
    results.iter().for_each(|line| check_percentiles(&line["ns"]));
}

/// Reports to the process of an access router, and what it says upstream. It is left out as the one above, and where the
/// program is not built.
#[test]
fn handover_of_an_access_router() {
    let out = directory("handover-join-try");
    let arguments = ["handover", "--parts", "join", "--terminals", "40", "--moves", "30"];
    let output = bench(&[&arguments[..], &["--out", out.to_str().unwrap()]].concat());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if !said.contains("cargo build") || std::env::var_os("DROVER_REQUIRE_NETNS").is_some() {
            left_out("bench handover --parts join", &output);
        }
        return;
    }
    let report = run("handover-join", &arguments);
    check_surroundings(&report, "handover");
    assert!(report["method"]["join"].as_str().unwrap().contains("queue"), "{}", report["method"]);
    let results = report["results"].as_array().unwrap();
    let found: Vec<_> = results.iter().map(|line| (line["path"].as_str().unwrap(), &line["samples"])).collect();
    let samples = Value::from(30);
    assert_eq!(found, ["join/join", "join/prune"].map(|path| (path, &samples)));
    results.iter().for_each(|line| check_percentiles(&line["ns"]));
    let missing =
        bench(&["handover", "--parts", "join", "--drover", "/nowhere/drover", "--out", out.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(missing.status.code() == Some(2) && said.contains("there is no /nowhere/drover"), "{said}");
}

/// A flood is held by the limits whatever it is made of, and all of the stream comes through.
#[test]
fn flood_of_every_kind() {
    let report =
        run("flood", &["flood", "--rates", "1000000", "--terminals", "20", "--turns", "20", "--repetitions", "2"]);
    check_surroundings(&report, "flood");
    let results = report["results"].as_array().unwrap();
    let kinds = ["reports", "full-reports", "joins", "full-joins", "hellos", "registers", "null-registers", "data"];
    let expected = kinds.iter().flat_map(|kind| ["begins", "goes-on"].map(|phase| format!("{kind}/{phase}/1000000")));
    assert!(results.iter().map(|line| line["path"].as_str().unwrap()).eq(expected), "{results:#?}");
    for line in results {
        assert_eq!(line["packets"], 2 * 20 * 64);
        assert!(line["flood_frames"].as_u64().unwrap() > 0, "{line}");
        let goes_on = line["phase"] == "goes-on";
        assert!(!goes_on || !line["refused"].as_array().unwrap().is_empty(), "a limit says so: {line}");
    }
    let trees = |path: &str| results.iter().find(|line| line["path"] == path).unwrap()["trees"].as_u64();
    assert_eq!(trees("joins/goes-on/1000000"), Some(16_384));
    let refused = bench(&["flood", "--rates", "0"]);
    assert_eq!(refused.status.code(), Some(2));
}

/// Says that a test was left out for want of a right; it fails where that is no excuse.
fn left_out(what: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("run as root"), "{said}");
    assert!(
        std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "network namespaces are required (DROVER_REQUIRE_NETNS=1) and not to be had: {said}"
    );
    eprintln!("left out, as it needs root: {what}");
}

/// Every mode of a lab has its movements within and between sites, near and far, each with what it cost.
#[test]
fn handover_in_the_lab() {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/lab");
    let text = fs::read_to_string(labs.join("baselines.toml")).unwrap();
    let (nodes, _) =
        text.split_once("# ---------------------------------------------------------------- traffic").unwrap();
    let nodes = nodes.replace("\"parts/", &format!("\"{}/parts/", labs.display()));
    let short = nodes.replace("duration_ms = 13500", "duration_ms = 4000");
    assert_ne!(short, nodes);
    let rest = r#"
[[flow]]
name = "udp-down"
kind = "udp"
from = "cn"
to = "mt"
rate_pps = 200
payload_len = 160

[[move]]
terminal = "mt"
to = "radio-b"
at_ms = 500

[[move]]
terminal = "mt"
to = "radio-a"
mode = "break_before_make"
break_ms = 50
at_ms = 1500

[[move]]
terminal = "mt"
to = "radio-c"
at_ms = 2500
"#;
    let directory = directory("handover-lab-file");
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("short.toml");
    fs::write(&file, short + rest).unwrap();
    let arguments = ["handover", "--parts", "lab", "--runs", "2", "--outside", "30", "--lab", file.to_str().unwrap()];
    let report = run("handover-lab", &arguments);
    check_surroundings(&report, "handover");
    assert_eq!(report["method"]["lab_checks_failed"], serde_json::json!([]));
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 3 * 3 * 2, "kinds and orders, modes, distances");
    for mode in ["multicast", "hmipv6", "mipv6"] {
        for distance in ["", "/30ms"] {
            let line = |kind: &str, order: &str| {
                let path = format!("lab/{kind}/{order}/{mode}{distance}");
                results.iter().find(|line| line["path"] == path).unwrap_or_else(|| panic!("no {path}"))
            };
            let (make, cut) = (line("intra-site", "make-first"), line("intra-site", "break-first"));
            let away = line("inter-site", "make-first");
            for line in [make, cut, away] {
                assert_eq!((&line["movements"], &line["runs"]), (&2.into(), &2.into()), "{line}");
                assert!(line["sent"].as_u64().unwrap() > 100, "{line}");
                let [p50, p99, max] = ["p50", "p99", "max"].map(|key| line["ns"][key].as_u64().unwrap());
                assert!(p50 <= p99 && p99 <= max, "{line}");
                assert!(!line["stages"].as_object().unwrap().is_empty(), "{line}");
            }
            // The clock is a virtual one: these are no times of the machine.
            assert_eq!((&make["lost"], &make["duplicated"]), (&0.into(), &0.into()), "{make}");
            assert_eq!(cut["without_link_ns"], 50_000_000, "{cut}");
            assert!(cut["ns"]["p50"].as_u64().unwrap() >= 45_000_000 && cut["lost"].as_u64().unwrap() > 0, "{cut}");
            let outside = |line: &Value| line["signalling"]["outside_site"].as_u64().unwrap();
            assert_eq!(outside(make) > 0, mode == "mipv6", "{make}");
            assert!(outside(away) > 0, "{away}");
            assert_eq!(make["signalling"]["mld"].as_u64().unwrap() > 0, mode == "multicast", "{make}");
            assert_eq!(make["signalling"]["mobility_to_mma"].as_u64().unwrap() > 0, mode == "hmipv6", "{make}");
        }
    }
}

/// Terminals answer when they are asked, so that nobody is forgotten however long it takes.
#[test]
fn terminals_that_answer_are_not_forgotten() {
    let arguments = ["--parts", "rate", "--moves", "300", "--terminals", "6", "--rate", "2", "--spacing", "even"];
    let report = run("handover-long", &[&["handover"][..], &arguments].concat());
    let results = report["results"].as_array().unwrap();
    let site = results.iter().find(|line| line["path"] == "moves/load/site").unwrap();
    assert!(site["seconds"].as_f64().unwrap() > 120.0, "longer than a membership lasts: {site}");
    assert!(site["signalling"]["queries"].as_u64().unwrap() > 0, "{site}");
    assert_eq!((&site["lost"], &site["routes_wrong"]), (&0.into(), &0.into()), "{site}");
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
        left_out("bench wire", &output);
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
    let absent = report["method"]["absent"].as_array().unwrap();
    let appliance = absent.iter().find(|absent| absent["device"] == "appliance").map(|absent| &absent["reason"]);
    assert!(
        appliance.is_none() || std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
        "the appliance is required (DROVER_REQUIRE_NETNS=1) and not to be had: {appliance:?}"
    );
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 * (9 - absent.len()));
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
    for path in ["wire/appliance", "wire/appliance-mma"].iter().filter(|_| appliance.is_none()) {
        let line = results.iter().find(|line| line["path"] == *path).unwrap();
        assert!(line["mode"].as_str().unwrap().contains("queue"), "{line}");
        assert_eq!(line["allocations_known"], false, "{line}");
    }
}

/// A program that is no node, or does not become one, is told of with what it has said; whatever becomes of it, what it was
/// given is taken away.
#[test]
fn an_appliance_leaves_nothing_behind() {
    let out = directory("wire-appliance");
    fs::create_dir_all(&out).unwrap();
    let program = out.join("program");
    fs::write(&program, "#!/bin/sh\necho nothing of the kind >&2\nexit 3\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Where it is given its files; in a directory with a short name, for the path of a socket may not be long.
    let files = std::env::temp_dir().join(format!("bench-smoke-{}", std::process::id()));
    fs::create_dir_all(&files).unwrap();
    let short =
        ["wire", "--octets", "64", "--trial", "0.01", "--repetitions", "1", "--tries", "1", "--tolerance", "0.5"];
    let wire = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command.args(short).args(["--out", out.to_str().unwrap()]).args(arguments).env("TMPDIR", &files);
        command.output().unwrap()
    };
    let missing = wire(&["--devices", "appliance", "--drover", "/nowhere/drover"]);
    let said = String::from_utf8_lossy(&missing.stderr);
    if said.contains("run as root") {
        fs::remove_dir(&files).expect("nothing is in it");
        left_out("bench wire --devices appliance", &missing);
        return;
    }
    assert_eq!(missing.status.code(), Some(2));
    assert!(said.contains("there is no /nowhere/drover") && said.contains("--drover"), "{said}");

    let other = wire(&["--devices", "appliance", "--drover", program.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(2));
    assert!(said.contains("does not start: nothing of the kind"), "{said}");

    let own = wire(&["--devices", "appliance,appliance-mma"]);
    let said = String::from_utf8_lossy(&own.stderr);
    let not_built = said.contains("cargo build") && std::env::var_os("DROVER_REQUIRE_NETNS").is_none();
    assert!(own.status.success() || not_built, "{said}");
    // Not even its directory could be taken away otherwise.
    fs::remove_dir(&files).expect("nothing is left");
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
        &["trees", "--entries", "0"],
        &["trees", "--entries", "10", "--sources", "11"],
        &["handover", "--terminals", "0"],
        &["handover", "--parts", "storm", "--terminals", "10", "--storm", "11"],
        &["handover", "--parts", "rate", "--terminals", "10", "--rate", "1000"],
        &["handover", "--lab", "/nowhere/lab.toml"],
        &["wire", "--octets", "20"],
        &["wire", "--trial", "0"],
        &["wire", "--tolerance", "1"],
        &["wire", "--devices", "testpmd", "--testpmd", "/nowhere/testpmd"],
        &["wire", "--devices", "switch"],
        &["wire", "--devices", "appliance", "--drover", "/nowhere/drover"],
        &["wire", "--interfaces", "lo,lo,lo"],
    ] {
        let output = bench(&[arguments, &["--out", out.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    // A file is in the way of the directory.
    let output = bench(&["handover", "--parts", "rate", "--moves", "1", "--out", env!("CARGO_BIN_EXE_bench")]);
    assert_eq!(output.status.code(), Some(2));
}
