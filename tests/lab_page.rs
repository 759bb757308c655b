//! The page that `drover lab --html` writes, in a real browser: it opens from the disk, and what stands in it is what the
//! report says.
//!
//! Where Chromium is not to be had, the test is left out and one line says so; with `DROVER_REQUIRE_NETNS=1` that is a
//! failure.

use serde_json::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Chromium is called, by the distributions that have it.
const BROWSERS: [&str; 2] = ["chromium", "chromium-browser"];

/// A directory of one test; it goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("drover-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The browser, if there is one; otherwise a line has said so.
fn browser() -> Option<&'static str> {
    let found = BROWSERS.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        assert!(
            std::env::var_os("DROVER_REQUIRE_NETNS").is_none_or(|value| value != "1"),
            "a browser is required (DROVER_REQUIRE_NETNS=1) and not to be had: install the package chromium"
        );
        // Past the harness, which would keep it to itself.
        let _ = io::stderr().write_all(b"left out, as `chromium` is missing (package chromium): the page of a lab\n");
    }
    found
}

/// Runs a shipped lab in the simulation with a page; its report, and where the page is.
fn run(lab: &str, directory: &Path) -> (Value, PathBuf) {
    let page = directory.join("page.html");
    let output = Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("lab")
        .arg(format!("{}/configs/lab/{lab}.toml", env!("CARGO_MANIFEST_DIR")))
        .args(["--sim", "--json", "--html"])
        .arg(&page)
        .output()
        .expect("drover runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    (serde_json::from_slice(&output.stdout).expect("the report is JSON"), page)
}

/// The document as the browser has it once it is loaded.
fn document(browser: &str, page: &Path, directory: &Path) -> String {
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let output = Command::new(browser)
        // The sandbox has no use for a user who is root.
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", &profile])
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What stands between the tags of a part of a document, tags taken for spaces.
fn text(part: &str) -> String {
    let pieces = part.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    let words: Vec<&str> = pieces.flat_map(str::split_whitespace).collect();
    words.join(" ").replace("&gt;", ">").replace("&amp;", "&")
}

/// The parts of a document that begin with `start`, each until the next of them.
fn parts<'a>(document: &'a str, start: &str) -> Vec<&'a str> {
    document.split(start).skip(1).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn millis(value: &Value) -> String {
    format!("{:.3} ms", number(value) as f64 / 1e3)
}

#[test]
fn a_browser_shows_what_the_report_says() {
    let Some(browser) = browser() else { return };
    let directory = Directory::new("page");
    let (report, page) = run("fig5", &directory.0);
    let document = document(browser, &page, &directory.0);
    let handovers = list(&report, "handovers");
    assert!(handovers.len() == 12 && handovers.iter().any(|handover| handover["lost"] != 0));

    let rows: Vec<String> = parts(&document, "<tr>").into_iter().map(text).collect();
    let movements = parts(&document, "<details class=\"movement\"");
    assert_eq!(movements.len(), handovers.len());
    for (index, (handover, movement)) in handovers.iter().zip(&movements).enumerate() {
        let (sent, lost, interruption) = (&handover["sent"], &handover["lost"], millis(&handover["interruption_us"]));
        let start = format!("{} {:.3} s mt intra-site ", index + 1, number(&handover["at_us"]) as f64 / 1e6);
        let row = rows.iter().find(|row| row.starts_with(&start)).unwrap_or_else(|| panic!("no row {start}"));
        assert!(row.contains(&format!(" {interruption} {sent} {lost} {} ", handover["duplicated"])), "{row}");
        let (_, signalling) = row.split_once(" % ").expect("signalling stands behind the share");
        let expected = format!("{} {} ", handover["signalling"]["mld"], handover["signalling"]["pim"]);
        assert!(signalling.starts_with(&expected), "{row}: {expected}");

        let told = text(movement);
        assert!(told.contains(&format!("{interruption}, {lost} lost")), "{told}");
        assert!(told.contains(&format!("{sent} sent until the next movement, {lost} lost")), "{told}");
        // Each lost packet is a mark that tells when it was sent.
        let marks = told.matches(", lost").count();
        assert_eq!(marks as u64, number(lost), "marks of movement {}", index + 1);
        // The path by the new link, and the report by which it was asked for.
        let to = handover["to"].as_str().expect("a name");
        let router = to.strip_prefix("radio-").expect("a radio");
        assert!(told.contains(&format!("after: {router} to mt on {to}, ")), "{told}");
        assert!(told.contains(&format!("mt to {router} on {to}")) && told.contains("MLD report: join"), "{told}");
    }

    let checks = list(&report, "checks");
    assert!(document.contains(&format!("all {} checks hold", checks.len())));
    let whole = text(&document);
    for check in checks {
        let line =
            format!("ok {} : {}", check["name"].as_str().expect("text"), check["detail"].as_str().expect("text"));
        assert!(whole.contains(&line), "{line}");
    }
    assert!(whole.contains(&format!("seed {} ", report["seed"])) && whole.contains("--sim --seed 5"));
    let (_, held) = document.split_once("id=\"report\">").expect("the report is in the page");
    let (held, _) = held.split_once("</script>").expect("it ends");
    assert_eq!(serde_json::from_str::<Value>(held).expect("it is JSON"), report);
}

#[test]
fn the_modes_stand_side_by_side() {
    let directory = Directory::new("modes");
    let (report, page) = run("baselines", &directory.0);
    let page = std::fs::read_to_string(page).expect("a page");
    let comparison = parts(&page, "id=\"comparison\"")[0];
    let rows: Vec<String> = parts(comparison, "<tr>").into_iter().map(text).collect();
    let lines = list(&report, "comparison");
    assert_eq!(lines.len(), 12);
    for line in lines {
        let order = if line["make_before_break"] == true { "make first" } else { "break first" };
        let word = |key: &str| line[key].as_str().expect("text").to_owned();
        let (middle, longest) = (millis(&line["interruption_p50_us"]), millis(&line["interruption_max_us"]));
        let expected = format!(
            "{} {order} {} {} {middle} {longest} {} {} ",
            word("kind"),
            word("mode"),
            line["movements"],
            line["lost"],
            line["duplicated"]
        );
        assert!(rows.iter().any(|row| row.starts_with(&expected)), "{expected}");
    }
    for (index, movement) in parts(&page, "<details class=\"movement\"").into_iter().enumerate() {
        let told = text(movement);
        for run in list(&report, "runs") {
            let handover = &run["report"]["handovers"][index];
            let (mode, interruption) = (run["mode"].as_str().expect("text"), millis(&handover["interruption_us"]));
            assert!(
                told.contains(&format!("{mode}: {interruption}, {} lost", handover["lost"])),
                "movement {index}, {mode}"
            );
        }
    }
}

#[test]
fn the_same_run_makes_the_same_page() {
    let directory = Directory::new("same");
    let first = std::fs::read(run("fig8", &directory.0).1).expect("a page");
    let second = std::fs::read(run("fig8", &directory.0).1).expect("a page");
    assert!(first == second);
}

#[test]
fn a_page_that_cannot_be_written_is_told_of_before_the_run() {
    let output = Command::new(env!("CARGO_BIN_EXE_drover"))
        .args([
            "lab",
            concat!(env!("CARGO_MANIFEST_DIR"), "/configs/lab/fig5.toml"),
            "--sim",
            "--html",
            "/nonexistent/x",
        ])
        .output()
        .expect("drover runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("drover: /nonexistent/x: the page cannot be written: ") && said.lines().count() == 1,
        "{said}"
    );
    assert!(output.stdout.is_empty());
}
