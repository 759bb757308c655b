//! `drover` as a process: what it says where it cannot run, and its exit statuses.

use std::os::unix::fs::PermissionsExt;
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
    let output = drover(&["check", &format!("{root}/configs/router.toml"), &format!("{root}/configs/lab/fig4.toml")]);
    assert_eq!(output.status.code(), Some(0), "{}", standard_error(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap().matches(": good: ").count(), 2);
}

/// The keys of the shipped files are no secrets: each is named where it stands, also when it comes from a file.
#[test]
fn a_key_that_everybody_has_is_warned_of() {
    let mut named_keys = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let (name, text) = (path.to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with("key = "));
        let expected: Vec<String> = lines.map(|(index, _)| format!("{name}:{}: ", index + 1)).collect();
        let said = standard_error(&drover(&["check", name]));
        let warnings: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
        assert_eq!(warnings.len(), expected.len(), "{said}");
        for (line, place) in warnings.into_iter().zip(&expected) {
            assert!(line.starts_with(place) && line.contains(": everybody has it; make one"), "{line}");
        }
        named_keys += expected.len();
    }
    assert!(named_keys >= 5, "{named_keys} keys are shipped");

    let mma = include_str!("../configs/mma.toml");
    let key = mma.lines().find_map(|line| line.strip_prefix("key = \"")?.split('"').next()).unwrap();
    let key_file = std::env::temp_dir().join(format!("drover-run-{}-published.key", std::process::id()));
    std::fs::write(&key_file, key).unwrap();
    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600)).unwrap();
    let by_file = |text: &str| mma.replace(&format!("key = \"{key}\""), text);
    let named = node_file("published", &by_file(&format!("key_file = \"{}\"", key_file.display())));
    let output = drover(&["check", named.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        standard_error(&output).contains("mma.terminal[0].key_file: this key is zero, or stands in a file"),
        "{output:?}"
    );
    let zero = node_file("zero", &by_file("key = \"00000000000000000000000000000000\""));
    assert!(
        standard_error(&drover(&["check", zero.to_str().unwrap()])).contains("mma.terminal[0].key: this key is zero")
    );
    let own = node_file("own", &by_file("key = \"93c4e7a10b5d2f68147c9eb03a56d8f3\""));
    assert_eq!(standard_error(&drover(&["check", own.to_str().unwrap()])), "");
    // A node that runs says the same before it looks for its interfaces, which are not there.
    let absent = node_file("absent", &mma.replace("interface = \"eth", "interface = \"absent"));
    let output = drover(&["run", absent.to_str().unwrap(), "--seed", "1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        standard_error(&output).contains("mma.terminal[0].key: this key is zero, or stands in a file"),
        "{output:?}"
    );
    for file in [key_file, named, own, zero, absent] {
        std::fs::remove_file(file).unwrap();
    }
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
