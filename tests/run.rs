//! `drover` as a process: what it says where it cannot run, and its exit statuses.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn drover(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drover"));
    command.args(arguments).stdin(Stdio::null()).env_remove("DROVER_SOCKET").output().unwrap()
}

fn standard_error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A node file of this test's own.
fn node_file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("drover-run-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn an_interface_that_does_not_exist_gets_one_line() {
    for kind in ["af_xdp", "af_packet"] {
        let text =
            format!("[node]\nname = \"x\"\n\n[[port]]\nname = \"a\"\nkind = \"{kind}\"\ninterface = \"absent0\"\n");
        let file = node_file(kind, &text);
        let output = drover(&["run", file.to_str().unwrap(), "--seed", "1"]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            standard_error(&output),
            format!(
                "drover: {}: port[0].interface: interface absent0 does not exist here: `ip -brief link` lists those that do\n",
                file.display()
            )
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_with_mistakes_is_not_run() {
    let file = node_file("mistakes", "[node]\nname = \"x\"\nfoo = 1\n");
    let path = file.to_str().unwrap();
    for action in ["run", "check"] {
        let output = drover(&[action, path]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            standard_error(&output),
            format!(
                "{path}:3: node.foo: unknown key; the keys here are name, workers, cpu, poll, seed, frames, \
                 state_dir, tunnel_dscp, clamp_mss, loopback\n"
            )
        );
    }
    std::fs::remove_file(&file).unwrap();
    let output = drover(&["check", path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        standard_error(&output),
        format!(
            "{path}:1: the file cannot be read: No such file or directory (os error 2); name an existing TOML file\n"
        )
    );
}

#[test]
fn check_says_what_is_good() {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = drover(&["check", &format!("{root}/configs/mma.toml"), &format!("{root}/configs/lab/fig4.toml")]);
    assert_eq!(output.status.code(), Some(0), "{}", standard_error(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches(": good: ").count(), 2);
}

#[test]
fn without_a_node_or_with_a_bad_command_line() {
    let output = drover(&["show", "routes", "--socket", "/nonexistent/drover.sock"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(standard_error(&output).starts_with("drover: no node listens at /nonexistent/drover.sock"));
    for words in ["everything", "pim", "pim everything", "pim tib --group 2001:db8::/32", "routes tib"] {
        let arguments: Vec<&str> = ["show"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(drover(&arguments).status.code(), Some(2), "{words}");
    }
    assert_eq!(drover(&["signal", "radio-a", "7"]).status.code(), Some(2));
    assert_eq!(drover(&["lab", "x.toml", "--sim", "--netns"]).status.code(), Some(2));
}

#[test]
fn a_file_of_the_other_kind_gets_one_line() {
    let file = node_file("kind", "[node]\nname = \"x\"\n\n[router]\n");
    let path = file.to_str().unwrap();
    let output = drover(&["lab", "--sim", path]);
    assert_eq!(output.status.code(), Some(1));
    let line = format!("{path}:1: lab: this is a node file; run it with `drover run`, or name a lab file\n");
    assert_eq!(standard_error(&output), line);
    std::fs::remove_file(&file).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/lab/fig5.toml");
    let output = drover(&["run", path]);
    assert_eq!(output.status.code(), Some(1));
    let line = format!("{path}:1: lab: this is a lab file; run it with `drover lab`, or name a node file\n");
    assert_eq!(standard_error(&output), line);
}

#[test]
fn a_standard_output_that_takes_nothing_is_told_of() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/router.toml");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_drover")).args(["check", path]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = standard_error(&output);
    assert!(said.starts_with("drover: standard output cannot be written: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn config_show_prints_what_holds() {
    let root = env!("CARGO_MANIFEST_DIR");
    let file = format!("{root}/configs/mma.toml");
    let output = drover(&["config", "show", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", standard_error(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("max_lifetime_secs = 1800                        # default\n"), "{text}");
    assert!(text.contains("care_of = \"assigned\"\n") && text.contains("key = \"(hidden)\"\n"), "{text}");
    assert!(!text.contains("93c4e7a1"), "{text}");

    let output = drover(&["config", "show", &file, "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["mma"]["max_lifetime_secs"], 1800);
    assert_eq!(value["mma"]["terminal"][0]["key"], "(hidden)");

    let output = drover(&["config", "show", &format!("{root}/configs/lab/fig5.toml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(standard_error(&output).contains("this is a lab file"));
}
