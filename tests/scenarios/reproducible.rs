//! The same seed gives the same run, and the command line says what came of it.

use drover::config::lab::{Lab, parse_lab};
use drover::lab::{self, Backend};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

/// A shipped lab, made shorter: its text.
fn short(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/lab/{name}.toml"));
    let mut table: toml::Table = std::fs::read_to_string(path).expect("a shipped lab").parse().expect("TOML");
    table["lab"]["settle_ms"] = 3_000.into();
    table["lab"]["duration_ms"] = 4_500.into();
    for flow in table["flow"].as_array_mut().expect("flows") {
        if let Some(rate) = flow.get_mut("rate_pps") {
            *rate = 100.into();
        }
        if let Some(rate) = flow.get_mut("rate_kbps") {
            *rate = 500.into();
        }
    }
    let moves = r#"
        [[move]]
        terminal = "mt"
        to = ["radio-b", "radio-a"]
        at_ms = 1000
        every_ms = 1000
        repeat = 2

        [[move]]
        terminal = "mt"
        to = "radio-b"
        mode = "break_before_make"
        break_ms = 30
        at_ms = 3000
    "#;
    table["move"] = moves.parse::<toml::Table>().expect("TOML")["move"].clone();
    table.to_string()
}

/// With loss and jitter on every link, so that there is chance to reproduce.
fn rough() -> Lab {
    let mut lab = parse_lab("short", &short("fig5"), Path::new("")).expect("a lab");
    for link in &mut lab.links {
        link.loss_ppm = 5_000;
        link.jitter = std::time::Duration::from_micros(700);
    }
    lab
}

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scenarios-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// Report and captures of a run.
fn run(lab: &Lab, seed: u64, name: &str) -> (String, BTreeMap<String, Vec<u8>>) {
    let kept = directory(name);
    let report = lab::run(lab, Backend::Sim, seed, Some(&kept), &AtomicBool::new(false)).expect("a run");
    let files = std::fs::read_dir(&kept).expect("captures").map(|entry| entry.expect("a file").path());
    let captures = files.map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("a capture"))
    });
    (serde_json::to_string(&report).expect("JSON"), captures.collect())
}

#[test]
fn the_same_seed_gives_the_same_report_and_the_same_captures() {
    let lab = rough();
    for seed in [5, 6] {
        let (first, second) = (run(&lab, seed, &format!("{seed}-first")), run(&lab, seed, &format!("{seed}-second")));
        assert_eq!(first.0, second.0);
        assert_eq!(first.1.len(), lab.links.len());
        for (name, octets) in &first.1 {
            assert!(octets.len() > 24, "{name} is empty");
            assert!(*octets == second.1[name], "{name} differs");
        }
    }
    let (fifth, sixth) = (run(&lab, 5, "5-third"), run(&lab, 6, "6-third"));
    assert!(fifth.1 != sixth.1, "another seed, the same chance");
}

/// Runs `drover lab` on this text.
fn drover_lab(name: &str, text: &str, options: &[&str]) -> Output {
    let file = directory(name).join("lab.toml");
    std::fs::write(&file, text).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_drover")).arg("lab").arg(file).args(options).output().expect("drover runs")
}

/// The one JSON object that a run with `--json` prints.
fn object(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().expect("an object").expect("JSON");
    assert!(value.is_object() && values.next().is_none(), "more than one object: {text}");
    assert!(text.starts_with('{') && text.trim_end().ends_with('}'), "{text}");
    value
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_lab_prints_one_object_with_every_key() {
    let output = drover_lab("json", &short("fig5"), &["--sim", "--json", "--seed", "11"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = object(&output);
    assert_eq!(keys(&report), ["backend", "checks", "flows", "handovers", "nodes", "seed"]);
    assert_eq!((&report["backend"], &report["seed"]), (&"sim".into(), &11.into()));
    let all = |name: &str| report[name].as_array().unwrap_or_else(|| panic!("{name} is no list")).clone();
    for node in all("nodes") {
        assert_eq!(keys(&node), ["name", "role"]);
    }
    assert_eq!(all("nodes").len(), 8);
    let handovers = all("handovers");
    assert_eq!(handovers.len(), 3);
    for handover in &handovers {
        let expected = [
            "at_us",
            "duplicated",
            "forwarded",
            "from",
            "interruption_us",
            "kind",
            "lost",
            "make_before_break",
            "reordered",
            "route_optimised_percent",
            "sent",
            "signalling",
            "stages_us",
            "terminal",
            "to",
        ];
        assert_eq!(keys(handover), expected);
        let expected = [
            "at_agents",
            "mld",
            "mobility_to_correspondent",
            "mobility_to_home_agent",
            "mobility_to_mma",
            "outside_site",
            "pim",
        ];
        assert_eq!(keys(&handover["signalling"]), expected);
        assert_eq!(handover["kind"], "intra-site");
        assert!(handover["stages_us"].is_object());
    }
    assert_eq!(handovers[0]["make_before_break"], true);
    assert_eq!(handovers[2]["make_before_break"], false);
    for flow in all("flows") {
        assert_eq!(keys(&flow), ["duplicated", "kind", "lost", "name", "received", "sent", "survived"]);
    }
    for check in all("checks") {
        assert_eq!(keys(&check), ["detail", "name", "ok"]);
        assert_eq!(check["ok"], true, "{check}");
    }
}

#[test]
fn a_lab_succeeds_only_where_every_check_holds() {
    // A terminal with a wrong key gets nothing, so that no flow survives.
    let wrong = short("fig5").replacen("93c4e7a10b5d2f68147c9eb03a56d8f2", "00000000000000000000000000000000", 1);
    for options in [&["--sim", "--json"][..], &["--sim"]] {
        let output = drover_lab("wrong-key", &wrong, options);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        match options.len() {
            2 => {
                let report = object(&output);
                let failed = |check: &Value| check["name"] == "flows survive" && check["ok"] == false;
                assert!(report["checks"].as_array().expect("a list").iter().any(failed), "{report}");
            }
            _ => assert!(text.contains("FAIL  flows survive"), "{text}"),
        }
    }
    // What is no lab is not run: a line on standard error, nothing on standard output.
    let broken = drover_lab("broken", &short("fig5").replacen("settle_ms", "settle_minutes", 1), &["--sim", "--json"]);
    assert_ne!(broken.status.code(), Some(0));
    assert!(broken.stdout.is_empty());
    let error = String::from_utf8_lossy(&broken.stderr);
    assert!(error.contains("lab.settle_minutes"), "{error}");
}
