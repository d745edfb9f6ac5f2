//! `spanmq repair`: what the files of a node that does not start hold, and what can be saved.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use spanmq_segment::{Inspection, inspect, salvage};

use super::out::{self, Format};
use super::{Exit, fail};

/// Folder of everything that is Raft's below the data folder, with the lock of the running node.
const RAFT: &str = "raft";

/// Looks through the files of a stopped node, and saves what is sound of damaged ones.
///
/// Without --apply nothing is changed. With it, each damaged session store, peer spool and link
/// buffer is written anew from its sound records; the old files are kept beside it, with
/// `.damaged-` and the time in the name. A Raft log is never repaired: a node with a hole in it
/// must not vote. The command says how such a node comes back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  See what is damaged:
    spanmq repair --data-dir /var/lib/spanmq
  Save what can be saved, then start the node:
    spanmq repair --data-dir /var/lib/spanmq --apply

Exit codes: 0 nothing is damaged (or all of it was repaired), 1 something still is")]
pub(crate) struct RepairArgs {
    /// The node's data folder
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Write damaged stores anew from their sound records
    #[arg(long)]
    apply: bool,
    /// How the findings are printed
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

/// One log of the node.
struct Finding {
    dir: PathBuf,
    is_raft: bool,
    seen: Inspection,
    /// Where the old files are, if it was written anew.
    aside: Option<PathBuf>,
}

impl Finding {
    fn is_open(&self) -> bool {
        !self.seen.damage.is_empty() && self.aside.is_none()
    }
}

pub(crate) fn run_repair(args: &RepairArgs) -> Exit {
    match repair(args) {
        Ok(findings) => {
            let printed = match args.output {
                Format::Table => out::print(table(&findings, &args.data_dir)),
                format => out::document(&document(&findings), format),
            };
            let damaged = findings.iter().any(Finding::is_open);
            if damaged { Exit::Failed } else { printed }
        }
        Err(error) => fail(format!("{error:#}")),
    }
}

fn repair(args: &RepairArgs) -> anyhow::Result<Vec<Finding>> {
    let _lock = lock(&args.data_dir)?;
    let mut dirs = Vec::new();
    logs_below(&args.data_dir, &mut dirs)?;
    dirs.sort();
    dirs.into_iter().map(|dir| look(dir, args)).collect()
}

fn look(dir: PathBuf, args: &RepairArgs) -> anyhow::Result<Finding> {
    let is_raft = dir.starts_with(args.data_dir.join(RAFT));
    let seen = inspect(&dir)?;
    let mut aside = None;
    if args.apply && !is_raft && !seen.damage.is_empty() {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut name = dir.clone().into_os_string();
        name.push(format!(".damaged-{time}"));
        salvage(&dir, Path::new(&name))?;
        aside = Some(name.into());
    }
    Ok(Finding { dir, is_raft, seen, aside })
}

/// A running node holds the same lock.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join(RAFT).join("lock");
    let shown = data_dir.display();
    if !data_dir.join(RAFT).is_dir() {
        bail!("{shown} is not the data folder of a node, or the node never ran");
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("a node is running on {shown}; stop it first"),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Folders with segment files; those that an earlier repair has kept are left out.
fn logs_below(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = dir.read_dir().with_context(|| format!("cannot list {}", dir.display()))?;
    let mut has_segments = false;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            let is_ours = name.contains(".damaged-") || name.ends_with(".salvage");
            if !is_ours {
                logs_below(&path, found)?;
            }
        } else {
            has_segments |= name.ends_with(".seg");
        }
    }
    if has_segments {
        found.push(dir.to_owned());
    }
    Ok(())
}

fn table(findings: &[Finding], data_dir: &Path) -> String {
    let mut text = String::new();
    for finding in findings {
        let Inspection { segments, records, torn_bytes, damage } = &finding.seen;
        let dir = finding.dir.strip_prefix(data_dir).unwrap_or(&finding.dir).display();
        let state = match (damage.is_empty(), &finding.aside) {
            (true, _) => "sound",
            (false, None) => "DAMAGED",
            (false, Some(_)) => "repaired",
        };
        let _ = writeln!(text, "{dir}: {state}, {records} records in {segments} files");
        if *torn_bytes > 0 {
            let _ = writeln!(
                text,
                "  {torn_bytes} bytes at the end were never synced; the next start cuts them off"
            );
        }
        for lost in damage {
            let _ = writeln!(
                text,
                "  {} at offset {}: {} records are lost, from {} on",
                lost.file.display(),
                lost.offset,
                lost.lost,
                lost.first
            );
        }
        if let Some(aside) = &finding.aside {
            let _ = writeln!(text, "  the old files are kept in {}", aside.display());
        }
    }
    if findings.iter().any(|finding| finding.is_open() && !finding.is_raft) {
        text += "\nTo save what is sound: the same command with --apply.\n";
    }
    if findings.iter().any(|finding| finding.is_open() && finding.is_raft) {
        text += "\nThe Raft log is damaged. Of several nodes: remove this one from the cluster (through \
                 any other), move its data folder away and let it join anew. A single node: restore \
                 its data folder from a backup.\n";
    }
    text
}

fn document(findings: &[Finding]) -> Value {
    let one = |finding: &Finding| {
        let damage = finding.seen.damage.iter().map(|lost| {
            json!({"file": lost.file, "offset": lost.offset, "first": lost.first, "lost": lost.lost})
        });
        json!({
            "dir": finding.dir,
            "segments": finding.seen.segments,
            "records": finding.seen.records,
            "torn_bytes": finding.seen.torn_bytes,
            "damage": damage.collect::<Vec<_>>(),
            "kept_in": finding.aside,
        })
    };
    findings.iter().map(one).collect()
}
