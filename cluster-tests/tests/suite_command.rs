//! The suite's own command: what it says to wrong input, and how it judges stored runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cluster_tests::chaos::plan::{Mode, Plan};

fn suite(arguments: &[&str]) -> anyhow::Result<Output> {
    // Any file counts as the node's binary here: none of these starts one.
    let me = env!("CARGO_BIN_EXE_cluster-tests");
    Ok(Command::new(me).args(arguments).env("SPANMQ_BIN", me).output()?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_input_is_told_in_one_sentence_and_is_not_a_pass() -> anyhow::Result<()> {
    for (arguments, told) in [
        (&[][..], "say what to run"),
        (&["--soak", "soon"], "is no time"),
        (&["--plan", "/nowhere/plan.json"], "cannot read the plan"),
        (&["check", "/nowhere"], "cannot read /nowhere/history.jsonl"),
    ] {
        let output = suite(arguments)?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(told) && text.lines().count() == 1, "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn the_plan_of_a_seed_is_printed_and_always_the_same() -> anyhow::Result<()> {
    let output = suite(&["plan", "7"])?;
    let printed: Plan = serde_json::from_slice(&output.stdout)?;
    assert_eq!(printed, Plan::of_seed(7, Mode::Short));
    Ok(())
}

fn stored(dir: &Path, history: &str) -> anyhow::Result<()> {
    fs::write(dir.join("plan.json"), serde_json::to_vec(&Plan::of_seed(7, Mode::Short))?)?;
    fs::write(dir.join("history.jsonl"), history)?;
    Ok(())
}

#[test]
fn a_stored_run_is_judged_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().to_str().unwrap_or_default();
    // Nothing happened: unknown, not pass.
    stored(dir.path(), "")?;
    assert_eq!(suite(&["check", path])?.status.code(), Some(2));
    // An acknowledged message never came.
    let history = r##"
{"t_us":1,"kind":"ok","proc":"s","op":"connect","value":{"persistent":true},"node":"a/n1"}
{"t_us":2,"kind":"ok","proc":"s","op":"subscribe","key":"#","value":{"qos":1},"node":"a/n1"}
{"t_us":3,"kind":"invoke","proc":"p","op":"publish","key":"t","value":{"s":1,"qos":1},"node":"a/n1"}
{"t_us":4,"kind":"ok","proc":"p","op":"publish","key":"t","value":{"s":1},"node":"a/n1"}
"##;
    stored(dir.path(), history.trim_start())?;
    let output = suite(&["check", path])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("lost: s never got p#1"));
    assert!(fs::read_to_string(dir.path().join("report.html"))?.contains("first violation: P1"));
    Ok(())
}
