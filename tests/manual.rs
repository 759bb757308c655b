//! Manual pages and completions as the program makes them: all commands that its help lists, and none that it hides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Commands that only a lab runs.
const HIDDEN: [&str; 3] = ["probe", "tap", "leash"];

fn drover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drover")).args(arguments).output().unwrap()
}

fn standard_output(arguments: &[&str]) -> String {
    let output = drover(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = standard_output(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<String> = lines.map_while(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(names.len() >= 8, "{names:?}");
    names
}

/// The long options that the help of a command lists.
fn options(command: &str) -> BTreeSet<String> {
    let help = standard_output(&[command, "--help"]);
    // `    --seed <SEED>`, `-h, --help`, and what they are for behind them or below.
    let declared = help.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("-h, ").unwrap_or(line).split(' ').next().filter(|word| word.starts_with("--"))
    });
    declared.map(str::to_owned).collect()
}

/// A directory of a test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("drover-manual-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Roff without what it puts before hyphens.
fn page(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")).replace("\\-", "-")
}

#[test]
fn every_command_has_a_manual_page_with_its_options() {
    let directory = Directory::new("pages");
    // A directory in a directory, neither of which is there.
    let pages = directory.0.join("man1");
    assert_eq!(standard_output(&["man", "--dir", pages.to_str().unwrap()]), "");
    let written: BTreeSet<String> =
        std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let commands = commands();
    // Commands of a command have pages of their own.
    let expected =
        commands.iter().map(String::as_str).chain(["config-show"]).map(|command| format!("drover-{command}.1"));
    assert_eq!(written, expected.chain(["drover.1".to_owned()]).collect());
    assert!(page(&pages, "drover-config-show.1").contains("\\fB--json\\fR"));
    let main = page(&pages, "drover.1");
    for command in &commands {
        assert!(main.contains(&format!("drover-{command}(1)")), "{command}: {main}");
        let own = page(&pages, &format!("drover-{command}.1"));
        for option in options(command) {
            assert!(own.contains(&format!("\\fB{option}\\fR")), "{option} of {command}: {own}");
        }
    }
    assert!(options("show").contains("--socket") && options("run").contains("--seed"));
    assert!(main.contains("Exit statuses: 0 done"), "{main}");
    for hidden in HIDDEN {
        assert!(!main.contains(hidden), "{hidden}: {main}");
    }
}

#[test]
fn pages_that_cannot_be_written_are_told_of() {
    let output = drover(&["man", "--dir", "/dev/null/man1"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("drover: /dev/null/man1: the manual pages cannot be written: "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn completions_offer_what_the_help_lists() {
    for shell in ["bash", "zsh", "fish"] {
        let script = standard_output(&["completions", shell]);
        let words: BTreeSet<&str> = script.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').collect();
        for command in commands() {
            assert!(words.contains(command.as_str()), "{shell}: {command}");
            for option in options(&command) {
                // Fish has options without what stands before them.
                let bare = option.trim_start_matches('-');
                assert!(words.contains(option.as_str()) || words.contains(bare), "{shell}: {option} of {command}");
            }
        }
        for hidden in HIDDEN {
            assert!(!words.contains(hidden), "{shell}: {hidden}");
        }
    }
    assert_eq!(drover(&["completions", "tcsh"]).status.code(), Some(2));
}

/// What bash offers behind some words, by its own script.
fn offers(words: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$0" completions bash)
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _drover drover "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, env!("CARGO_BIN_EXE_drover"), "drover"]).args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_by_the_script() {
    assert_eq!(offers(&["sh"]), ["show"]);
    assert_eq!(offers(&["ta"]), [""]);
    assert_eq!(offers(&["show", "bi"]), ["bindings"]);
    assert_eq!(offers(&["show", "--js"]), ["--json"]);
    assert_eq!(offers(&["completions", "z"]), ["zsh"]);
}
