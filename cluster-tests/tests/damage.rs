//! Damaged files of a node: named with the file, the place and the command that helps; never
//! emptied in silence (CHAOS N13). A full disk: writes are refused, reads go on (CHAOS P11).

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cluster_tests::client::{Client, Connect};
use cluster_tests::harness::{Cluster, Node, NodeOptions, binary, eventually};

fn keeper() -> Connect {
    Connect::new("keeper").persistent()
}

/// A stopped node whose session store holds `messages` for a client that is away, read back once,
/// so that they count as synced.
fn stored(messages: u16) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::start("single", 1)?;
    let node = &mut cluster.nodes[0];
    let (mut client, _) = Client::connect(node.mqtt_port(), &keeper())?;
    client.subscribe("q", 1)?;
    client.disconnect()?;
    let mut publisher = Client::simple(node.mqtt_port(), "pub")?;
    for number in 0..messages {
        assert_eq!(publisher.publish("q", &number.to_be_bytes(), 1)?, 0);
    }
    publisher.disconnect()?;
    node.stop()?;
    node.start()?;
    let mut publisher = Client::simple(node.mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("q", &messages.to_be_bytes(), 1)?, 0);
    publisher.disconnect()?;
    node.stop()?;
    Ok(cluster)
}

/// The store's only file, with one byte changed in the body of message `number`.
fn damage(node: &Node, number: u16) -> anyhow::Result<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(node.data_dir().join("sessions"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "seg"));
    assert_eq!(files.len(), 1, "{files:?}");
    let mut bytes = fs::read(&files[0])?;
    // A body begins with topic and payload behind each other: length 1, "q", length 2, number.
    let body = [&[1, b'q', 2][..], &number.to_be_bytes()].concat();
    let at = bytes.windows(body.len()).position(|window| window == body);
    bytes[at.expect("the body is in the store") + 4] ^= 0xFF;
    fs::write(&files[0], bytes)?;
    Ok(files.remove(0))
}

fn repair(node: &Node, more: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let out = Command::new(binary()?)
        .args(["repair", "--data-dir"])
        .arg(node.data_dir())
        .args(more)
        .output()?;
    let text = [out.stdout, out.stderr].concat();
    Ok((out.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn a_damaged_session_store_is_named_and_repaired_but_for_what_is_lost() -> anyhow::Result<()> {
    let mut cluster = stored(50)?;
    let node = &mut cluster.nodes[0];
    assert_eq!(repair(node, &[])?.0, Some(0), "nothing is damaged yet");
    let file = damage(node, 20)?;

    node.spawn()?;
    let (code, log) = node.wait_exit(Duration::from_secs(20))?;
    assert_eq!(code, Some(1));
    for word in [&*file.to_string_lossy(), "offset", "spanmq repair"] {
        assert!(log.contains(word), "{word} is not in:\n{log}");
    }

    let (code, text) = repair(node, &[])?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DAMAGED") && text.contains("1 records are lost"), "{text}");
    let (code, text) = repair(node, &["--apply"])?;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(".damaged-"), "{text}");

    node.start()?;
    assert!(repair(node, &[])?.1.contains("is running"), "not under a running node");
    let (mut client, present) = Client::connect(node.mqtt_port(), &keeper())?;
    assert!(present);
    for number in (0..=50u16).filter(|number| *number != 20) {
        assert_eq!(client.payload()?, number.to_be_bytes());
    }
    Ok(())
}

#[test]
fn a_damaged_raft_log_is_named_and_never_repaired() -> anyhow::Result<()> {
    let mut cluster = stored(1)?;
    let node = &mut cluster.nodes[0];
    let log = node.data_dir().join("raft/raft/log");
    let file = fs::read_dir(&log)?.next().expect("the log has a file")?.path();
    let mut bytes = fs::read(&file)?;
    bytes[60] ^= 0xFF;
    fs::write(&file, &bytes)?;
    node.spawn()?;
    let (code, text) = node.wait_exit(Duration::from_secs(20))?;
    assert_eq!(code, Some(1));
    assert!(text.contains(&*file.to_string_lossy()) && text.contains("spanmq repair"), "{text}");
    let (code, text) = repair(node, &["--apply"])?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("The Raft log is damaged"), "{text}");
    assert_eq!(fs::read(&file)?, bytes, "nothing was changed");
    Ok(())
}

/// A small file system of its own, unmounted when dropped. Needs root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> anyhow::Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let options = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir.path())
            .output()?;
        if !mount.status.success() {
            anyhow::ensure!(
                std::env::var_os("CI").is_none(),
                "CI must be able to mount: {}",
                String::from_utf8_lossy(&mount.stderr)
            );
            told("skipped: a small file system can be mounted by root only");
            return Ok(None);
        }
        Ok(Some(Self(dir)))
    }

    /// Takes all room that is left.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = fs::File::create(self.0.path().join("filler"))?;
        let block = vec![1; 64 << 10];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..512]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.0.path().join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
fn told(text: &str) {
    eprintln!("{text}");
}

fn node_on(disk: &SmallDisk) -> anyhow::Result<Node> {
    let options = NodeOptions {
        name: "n1@127.0.0.1".into(),
        cluster: "full".into(),
        flags: ["--dev", "--init"].map(String::from).to_vec(),
        ..NodeOptions::default()
    };
    Node::new(&disk.0.path().join("n1"), options)
}

/// Goes on until the disk is really full: room that files had taken ahead is used up first.
fn until_refused(mut publish: impl FnMut() -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    for _ in 0..10_000 {
        let code = publish()?;
        if code != 0 {
            return Ok(code);
        }
    }
    anyhow::bail!("the disk is not full")
}

#[test]
fn a_full_disk_refuses_what_must_be_kept_and_nothing_else_until_there_is_room() -> anyhow::Result<()>
{
    let Some(disk) = SmallDisk::new(64)? else { return Ok(()) };
    let mut node = node_on(&disk)?;
    node.start()?;
    let (mut keeper, _) = Client::connect(node.mqtt_port(), &keeper())?;
    keeper.subscribe("q", 1)?;
    let mut listener = Client::simple(node.mqtt_port(), "listener")?;
    listener.subscribe("t", 0)?;
    let mut publisher = Client::simple(node.mqtt_port(), "pub")?;
    assert_eq!(publisher.publish("q", b"kept", 1)?, 0);
    assert_eq!(keeper.payload()?, b"kept");

    disk.fill()?;
    let body = vec![b'x'; 32 << 10];
    let refused = until_refused(|| {
        let code = publisher.publish("q", &body, 1)?;
        if code == 0 {
            assert!(keeper.payload()? == body, "another message came");
        }
        Ok(code)
    })?;
    assert_eq!(refused, 0x97, "quota exceeded");
    publisher.publish("t", b"qos 0 flows", 0)?;
    assert_eq!(listener.payload()?, b"qos 0 flows");
    assert_eq!(node.rest().get("/nodes")?.status, 200, "reads go on");
    // The Raft log has taken room ahead, too; the entry that finds none waits for it, the ones
    // behind it are refused.
    let mut stored = 0;
    let refused = until_refused(|| {
        stored += 1;
        // That one entry is told that there is no answer in time.
        let code = publisher.publish_retained(&format!("kept/{stored}"), &body, 1)?;
        Ok(if matches!(code, 0x10 | 0x83) { 0 } else { code })
    })?;
    assert_eq!(refused, 0x97, "quota exceeded");
    let link = serde_json::json!({"name": "away", "server": "127.0.0.1:1", "topics": []});
    let answer = node.rest().post("/cluster/links", &link)?;
    assert_eq!(answer.status, 507, "{}", answer.text);
    assert!(answer.text.contains("disk"), "{}", answer.text);

    disk.free()?;
    eventually(Duration::from_secs(20), || {
        let code = publisher.publish("q", b"again", 1)?;
        anyhow::ensure!(code == 0, "refused: {code:#x}");
        Ok(())
    })?;
    // A message that was refused may have come all the same: it is only not kept.
    while keeper.payload()? != b"again" {}
    let mut late = Client::simple(node.mqtt_port(), "late")?;
    late.subscribe("late", 1)?;
    assert_eq!(publisher.publish("late", b"control writes work, too", 1)?, 0);
    assert_eq!(late.payload()?, b"control writes work, too");
    node.stop()?;
    node.start()
}
