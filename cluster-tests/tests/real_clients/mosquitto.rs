//! mosquitto_pub, mosquitto_sub and mosquitto_rr of Debian.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use cluster_tests::client::{Client, Packet, Property};
use cluster_tests::harness::eventually;

use crate::node;
use crate::tools::{LIMIT, Running, missing, program};

/// As the tools name them; the second is a part of topics and client ids.
const VERSIONS: [(&str, &str); 2] = [("mqttv311", "311"), ("mqttv5", "5")];
/// One message per line: topic, QoS, retain flag, payload.
const FORMAT: &str = "%t|%q|%r|%p";

fn installed() -> bool {
    let all = ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"];
    let found = all.iter().all(|name| program(name).is_some());
    if !found {
        missing("mosquitto_pub, _sub or _rr", "apt-get install mosquitto-clients");
    }
    found
}

/// One of the tools, with what all of them need.
fn tool(name: &str, port: u16, version: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-V", version, "-p", &port.to_string()]).args(args);
    command
}

/// A `mosquitto_sub` that ends after `count` messages and is known to have subscribed: it also
/// subscribes to a topic of its own, to which we publish until somebody gets it.
fn subscriber(
    port: u16,
    version: &str,
    id: &str,
    count: usize,
    args: &[&str],
) -> anyhow::Result<Running> {
    let (ready, count) = (format!("ready/{id}"), (count + 1).to_string());
    let mut command = tool("mosquitto_sub", port, version, &["-i", id, "-t", &ready, "-C", &count]);
    let running = Running::start(command.args(["-F", FORMAT]).args(args))?;
    let mut probe = Client::simple(port, &format!("probe-{id}"))?;
    eventually(LIMIT, || {
        let code = probe.publish(&ready, b"probe", 1)?;
        anyhow::ensure!(code == 0, "{id} has not subscribed: {code:#x}");
        Ok(())
    })?;
    Ok(running)
}

/// What a subscriber got besides the probe.
fn lines(subscriber: Running) -> anyhow::Result<Vec<String>> {
    let mut lines = subscriber.finish()?;
    lines.retain(|line| !line.starts_with("ready/"));
    Ok(lines)
}

fn publish(port: u16, version: &str, args: &[&str]) -> anyhow::Result<()> {
    Running::start(&mut tool("mosquitto_pub", port, version, args))?.finish()?;
    Ok(())
}

/// Publishes lines over one connection.
fn publish_lines(port: u16, version: &str, args: &[&str], text: &str) -> anyhow::Result<()> {
    let mut command = tool("mosquitto_pub", port, version, args);
    let mut child = command.arg("-l").stdin(Stdio::piped()).spawn()?;
    child.stdin.take().expect("piped").write_all(text.as_bytes())?;
    anyhow::ensure!(child.wait()?.success());
    Ok(())
}

fn numbers(topic: &str, qos: u8, numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("{topic}|{qos}|0|{number}")).collect()
}

#[test]
fn mosquitto_gets_what_mosquitto_sends_at_every_qos_in_order() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    let text: String = (0..50).map(|number| format!("{number}\n")).collect();
    for (version, name) in VERSIONS {
        for qos in 0..=2_u8 {
            let (id, topic) = (format!("m-{name}-{qos}"), format!("mosquitto/{name}/{qos}"));
            let args = ["-q", &qos.to_string(), "-t", &topic];
            let subscriber = subscriber(port, version, &id, 50, &args)?;
            publish_lines(port, version, &args, &text)?;
            assert_eq!(lines(subscriber)?, numbers(&topic, qos, 0..50), "{version}");
        }
    }
    Ok(())
}

#[test]
fn mosquitto_gets_retained_messages_until_they_are_cleared() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    for (version, name) in VERSIONS {
        let topic = format!("mosquitto/{name}/retained");
        publish(port, version, &["-t", &topic, "-m", "on", "-q", "1", "-r"])?;
        let late = subscriber(port, version, &format!("late-{name}"), 1, &["-t", &topic])?;
        assert_eq!(lines(late)?, [format!("{topic}|0|1|on")]);
        publish(port, version, &["-t", &topic, "-n", "-q", "1", "-r"])?;
        let later = subscriber(port, version, &format!("later-{name}"), 1, &["-t", &topic])?;
        publish(port, version, &["-t", &topic, "-m", "live"])?;
        assert_eq!(lines(later)?, [format!("{topic}|0|0|live")]);
    }
    Ok(())
}

#[test]
fn the_will_of_a_killed_mosquitto_is_published() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    for (version, name) in VERSIONS {
        let topic = format!("mosquitto/{name}/will");
        let watcher =
            subscriber(port, version, &format!("watcher-{name}"), 1, &["-q", "1", "-t", &topic])?;
        let will = ["--will-topic", &topic, "--will-payload", "gone", "--will-qos", "1"];
        // Dropped at once: SIGKILL.
        drop(subscriber(port, version, &format!("mortal-{name}"), 1, &will)?);
        assert_eq!(lines(watcher)?, [format!("{topic}|1|0|gone")]);
    }
    Ok(())
}

#[test]
fn two_mosquittos_of_a_shared_group_divide_the_messages() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    for (version, name) in VERSIONS {
        let (topic, filter) = (format!("job/{name}/1"), format!("$share/group/job/{name}/+"));
        let args = ["-q", "1", "-t", &filter];
        // Nobody knows how many messages each will get, so none ends by itself.
        let mut first = subscriber(port, version, &format!("first-{name}"), 100, &args)?;
        let mut second = subscriber(port, version, &format!("second-{name}"), 100, &args)?;
        let (tell, told) = mpsc::channel();
        first.tell_lines(0, tell.clone())?;
        second.tell_lines(1, tell)?;
        let text: String = (0..20).map(|number| format!("{number}\n")).collect();
        publish_lines(port, version, &["-q", "1", "-t", &topic], &text)?;
        let mut shares = [Vec::new(), Vec::new()];
        while shares[0].len() + shares[1].len() < 20 {
            let (member, line): (usize, String) =
                told.recv_timeout(LIMIT).with_context(|| format!("after {shares:?}"))?;
            if !line.starts_with("ready/") {
                shares[member].push(line);
            }
        }
        assert!(shares.iter().all(|share| !share.is_empty()), "{shares:?}");
        let mut got = shares.concat();
        got.sort();
        let mut all = numbers(&topic, 1, 0..20);
        all.sort();
        assert_eq!(got, all);
    }
    Ok(())
}

#[test]
fn a_mosquitto_that_was_away_gets_what_it_missed() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    for (version, name) in VERSIONS {
        let (id, topic) = (format!("keeper-{name}"), format!("mosquitto/{name}/kept"));
        let session = ["-c", "-i", &id, "-q", "2", "-t", &topic];
        let mut command = tool("mosquitto_sub", port, version, &session);
        Running::start(command.arg("-E"))?.finish()?;
        let text: String = (0..20).map(|number| format!("{number}\n")).collect();
        publish_lines(port, version, &["-q", "2", "-t", &topic], &text)?;
        let mut command = tool("mosquitto_sub", port, version, &session);
        let back = Running::start(command.args(["-C", "20", "-F", FORMAT]))?;
        assert_eq!(lines(back)?, numbers(&topic, 2, 0..20), "{version}");
        // A clean start ends the session.
        let mut command = tool("mosquitto_sub", port, version, &["-i", &id, "-t", "x", "-E"]);
        Running::start(&mut command)?.finish()?;
    }
    Ok(())
}

#[test]
fn mosquitto_rr_gets_its_answer() -> anyhow::Result<()> {
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    for (version, name) in VERSIONS {
        let (ask, answer) = (format!("rr/{name}/ask"), format!("rr/{name}/answer"));
        let mut server = Client::simple(port, &format!("server-{name}"))?;
        server.subscribe(&ask, 1)?;
        let args = ["-t", &ask, "-e", &answer, "-m", "?", "-q", "1", "-W", "60"];
        let asker = Running::start(&mut tool("mosquitto_rr", port, version, &args))?;
        let Packet::Publish { properties, payload, .. } = server.message()? else {
            anyhow::bail!("no request")
        };
        assert_eq!(payload, b"?");
        let asked = Property::Text(0x08, answer.clone());
        assert_eq!(properties.contains(&asked), name == "5", "{properties:?}");
        // The asker has subscribed before it asked; correlation data goes back as it came.
        let back: Vec<Property> = properties.into_iter().filter(|p| p.id() == 0x09).collect();
        let id = server.send_publish(&answer, b"!", 1, false, &back)?;
        assert_eq!(server.finish_publish(id, 1)?, 0);
        assert_eq!(asker.finish()?, ["!"]);
    }
    Ok(())
}

#[test]
fn a_password_that_nobody_asked_for_does_no_harm_and_user_properties_arrive() -> anyhow::Result<()>
{
    if !installed() {
        return Ok(());
    }
    let node = node();
    let port = node.mqtt_port();
    let mut subscriber = Client::simple(port, "properties")?;
    subscriber.subscribe("mosquitto/properties", 1)?;
    let properties = ["-D", "publish", "user-property", "k", "v", "-D", "publish"];
    let more = ["message-expiry-interval", "1000", "-u", "somebody", "-P", "something"];
    let message = ["-t", "mosquitto/properties", "-m", "x", "-q", "2"];
    publish(port, "mqttv5", &[&message[..], &properties, &more].concat())?;
    let message = subscriber.received()?;
    assert_eq!(message.property(0x26), Some(&Property::User("k".into(), "v".into())));
    let Some(Property::Four(_, left)) = message.property(0x02) else {
        anyhow::bail!("{message:?}")
    };
    assert!((900..=1_000).contains(left), "{:?}", Duration::from_secs(u64::from(*left)));
    Ok(())
}
