//! Without root, a lab is the simulation of the same file.

use crate::room::{DROVER, Directory};
use crate::site::short_lab;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user that owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_lab_without_root_is_simulated_and_says_so() {
    let directory = Directory::new();
    let file = directory.write("lab.toml", &short_lab());
    // Where the program stands, nobody may be allowed to look.
    let program = directory.file("drover");
    std::fs::copy(DROVER, &program).expect("the program can be copied");
    for path in [directory.path(), &program] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is this process's own");
    }
    let drover = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("lab").arg(&file).args(arguments).current_dir("/");
        // SAFETY: no pointer is passed.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().expect("drover runs")
    };

    let output = drover(&["--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("not root") && said.contains("simulation"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON alone is on standard output");
    assert_eq!(report["backend"], "sim");

    let output = drover(&["--netns"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.lines().count() == 1 && said.contains("need root") && said.contains("--sim"), "{said}");
}
