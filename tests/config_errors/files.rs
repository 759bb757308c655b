//! Files as a whole: several mistakes in one, files that end early, files of keys.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

#[test]
fn all_mistakes_are_said_in_one_pass() {
    let text = "\
[node]
name = \"x\"
cpu = 5000

[[port]]
name = \"a\"
interface = \"eth0\"
addresses = [\"2001:db8::1\", \"fe80::1/64\"]
mtu = 1

[[port]]
interface = \"eth1\"
";
    let error = parse("x.toml", text, Path::new("")).unwrap_err();
    let lines: Vec<String> = error.0.iter().map(|problem| problem.to_string()).collect();
    assert_eq!(
        lines,
        [
            "x.toml:3: node.cpu: 5000 is too large; give 0 to 1023",
            "x.toml:8: port[0].addresses[0]: \"2001:db8::1\" is not an address with a prefix length; write it as in 2001:db8:1::1/64",
            "x.toml:8: port[0].addresses[1]: fe80::1 is link-local; leave it out, or give it as link_local",
            "x.toml:9: port[0].mtu: 1 is too small; give 1280 to 3570",
            "x.toml:11: port[1].name: this key is missing; give the port a name as name = \"uplink\"",
        ]
    );
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[test]
fn every_truncation_is_accepted_or_complained_about() {
    for file in ["mma.toml", "mobile-terminal.toml", "lab/fig5.toml"] {
        let text = shipped(file);
        for end in (0..text.len()).step_by(if file.starts_with("lab/") { 97 } else { 7 }) {
            if !text.is_char_boundary(end) {
                continue;
            }
            let error = match file.starts_with("lab/") {
                true => parse_lab(file, &text[..end], Path::new("")).err(),
                false => parse(file, &text[..end], Path::new("")).err(),
            };
            for problem in error.iter().flat_map(|error| &error.0) {
                assert!(!problem.to_string().contains('\n') && !problem.remedy.is_empty(), "{problem}");
            }
        }
    }
}

/// A key file with this text and mode.
fn key_file(name: &str, text: &str, mode: u32) -> PathBuf {
    let path = std::env::temp_dir().join(format!("drover-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn key_files() {
    let text = shipped("mma.toml");
    let line = 1 + text[..text.find("key = \"93c4").unwrap()].matches('\n').count();
    let inline = "key = \"93c4e7a10b5d2f68147c9eb03a56d8f2\"";
    let given = |path: &Path| format!("key_file = \"{}\" #", path.display());
    let good = key_file("good", "93c4e7a10b5d2f68147c9eb03a56d8f2\n", 0o600);
    assert_eq!(complaints("mma.toml", inline, &given(&good)), "accepted");
    let open = key_file("open", "93c4e7a10b5d2f68147c9eb03a56d8f2\n", 0o644);
    let shown = open.display();
    assert_eq!(
        complaints("mma.toml", inline, &given(&open)),
        format!(
            "mma.toml:{line}: mma.terminal[0].key_file: {shown} has mode 0644: others can read the key; run chmod 600 {shown}"
        )
    );
    let bad = key_file("bad", "not a key", 0o600);
    assert!(complaints("mma.toml", inline, &given(&bad)).contains("the key is not pairs of hexadecimal digits"));
    assert!(complaints("mma.toml", inline, &given(Path::new("/nonexistent/key"))).contains("cannot be read"));
    assert!(complaints("mma.toml", inline, &given(Path::new("/"))).contains("is not a file"));
    let twice = format!("{inline}\n{}", given(&good));
    assert_eq!(
        complaints("mma.toml", inline, &twice),
        format!(
            "mma.toml:{}: mma.terminal[0].key_file: the key is given twice, inline and as a file; give key or key_file",
            line + 1
        )
    );
    for path in [good, open, bad] {
        std::fs::remove_file(path).unwrap();
    }
}
