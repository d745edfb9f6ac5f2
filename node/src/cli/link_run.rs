//! Carries out `spanmq link …`.

use std::io::Read as _;
use std::path::Path;

use clap::ValueEnum as _;
use comfy_table::{Table, presets::NOTHING};
use serde_json::{Map, Value, json};

use super::Exit;
use super::client::{Client, Failure, confirmed, wait_for};
use super::link::{LinkArgs, LinkCommand, Settings, ShowArgs};
use super::out::{self, Format};
use super::remote::RemoteArgs;

pub(crate) fn run_link(args: &LinkArgs) -> Exit {
    run(args).unwrap_or_else(Failure::end)
}

fn run(args: &LinkArgs) -> Result<Exit, Failure> {
    let remote = &args.remote;
    let client = || Client::new(remote);
    let format = remote.output;
    match &args.command {
        LinkCommand::Ls(_) => Ok(list(&client()?.get("/cluster/links")?, format)),
        LinkCommand::Show(show) => run_show(show, remote),
        LinkCommand::Add(add) => {
            let mut link = settings(&add.settings)?;
            link.insert("name".to_owned(), json!(add.name));
            let made = client()?.post("/cluster/links", &link.into())?;
            Ok(shown(&made, format))
        }
        LinkCommand::Edit(edit) => {
            let change = settings(&edit.settings)?;
            if change.is_empty() {
                return Err(Failure::new(Exit::Usage, "nothing to change was given"));
            }
            change_link(remote, &edit.name, change)
        }
        LinkCommand::Rm(rm) => {
            let question = format!("Delete link {} with what its buffers hold?", rm.name);
            if !rm.yes && !confirmed(&question)? {
                return Err(Failure::new(Exit::Failed, "not deleted"));
            }
            client()?.delete(&one(&rm.name))?;
            out::notice(format!("link {} is deleted; delete it on the other side too", rm.name));
            Ok(Exit::Ok)
        }
        LinkCommand::Enable(link) => set_enabled(remote, &link.name, true),
        LinkCommand::Disable(link) => set_enabled(remote, &link.name, false),
        LinkCommand::Pause(link) => {
            Ok(shown(&client()?.post(&format!("{}/pause", one(&link.name)), &json!({}))?, format))
        }
        LinkCommand::Resume(link) => {
            Ok(shown(&client()?.post(&format!("{}/resume", one(&link.name)), &json!({}))?, format))
        }
        LinkCommand::Test(test) => run_test(remote, &test.name),
        LinkCommand::Explain(explain) => {
            let client = client()?;
            Ok(explained(
                &client.get_with("/cluster/links/explain", "topic", &explain.topic)?,
                format,
            ))
        }
    }
}

/// EMQX's path of a link, which no name shadows.
fn one(name: &str) -> String {
    format!("/cluster/links/link/{name}")
}

/// The file, and the flags over it.
fn settings(given: &Settings) -> Result<Map<String, Value>, Failure> {
    let mut link = match &given.file {
        Some(path) => object(path)?,
        None => Map::new(),
    };
    let mut set = |field: &str, value: Value| link.insert(field.to_owned(), value);
    for (field, value) in
        [("server", &given.server), ("clientid", &given.clientid), ("username", &given.username)]
    {
        if let Some(value) = value {
            set(field, json!(value));
        }
    }
    if !given.topics.is_empty() {
        set("topics", json!(given.topics));
    }
    if let Some(path) = &given.password_file {
        set("password", json!(read(path)?.trim_end_matches(['\r', '\n'])));
    }
    if let Some(path) = &given.cacertfile {
        set("ssl", json!({ "enable": true, "cacertfile": path }));
    }
    Ok(link)
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let got = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text).map(|_| text),
        false => std::fs::read_to_string(path),
    };
    got.map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", path.display())))
}

fn object(path: &Path) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&read(path)?).map_err(|error| {
        Failure::new(Exit::Failed, format!("{}: a JSON object is needed: {error}", path.display()))
    })
}

fn change_link(
    remote: &RemoteArgs,
    name: &str,
    change: Map<String, Value>,
) -> Result<Exit, Failure> {
    let client = Client::new(remote)?;
    let mut link = client.get(&one(name))?;
    for (field, value) in change {
        link[field] = value;
    }
    Ok(shown(&client.put(&one(name), &link)?, remote.output))
}

fn set_enabled(remote: &RemoteArgs, name: &str, enable: bool) -> Result<Exit, Failure> {
    change_link(remote, name, Map::from_iter([("enable".to_owned(), json!(enable))]))
}

fn run_show(args: &ShowArgs, remote: &RemoteArgs) -> Result<Exit, Failure> {
    // The dialect whose status is one word: running, disconnected, …
    let look = |client: &Client| client.get(&format!("/cluster/links/{}", args.name));
    let Some(wanted) = args.wait.and_then(|wait| wait.to_possible_value()) else {
        return Ok(shown(&look(&Client::new(remote)?)?, remote.output));
    };
    let (link, met) = wait_for(remote, look, |link| link["status"] == wanted.get_name())?;
    let printed = shown(&link, remote.output);
    let what = || format!("link {} is {}", args.name, text(&link["status"]));
    if met { Ok(printed) } else { Err(Failure::new(Exit::ConditionNotMet, what())) }
}

fn run_test(remote: &RemoteArgs, name: &str) -> Result<Exit, Failure> {
    let client = Client::new(remote)?;
    let link = client.get(&one(name))?;
    let probe = client.post("/cluster/links/test", &link)?;
    let exit = if probe["ok"] == true { Exit::Ok } else { Exit::ConditionNotMet };
    if remote.output != Format::Table {
        out::document(&probe, remote.output);
        return Ok(exit);
    }
    for step in rows(&probe["steps"]) {
        let word = if step["ok"] == true { "ok" } else { "failed" };
        out::print(format!("{:<10} {word} ({} ms)\n", text(&step["step"]), step["took_ms"]));
    }
    for warning in rows(&probe["warnings"]) {
        out::warning(None, text(warning));
    }
    if exit != Exit::Ok {
        out::error(None, text(&probe["message"]));
    }
    Ok(exit)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn topics(link: &Value) -> String {
    let topics: Vec<_> = rows(&link["topics"]).iter().map(text).collect();
    topics.join(" ")
}

/// The one word of either dialect.
fn status(link: &Value) -> String {
    match link["enable"] == false {
        true => "disabled".to_owned(),
        false => text(&link["status"]),
    }
}

fn list(links: &Value, format: Format) -> Exit {
    if format != Format::Table {
        return out::document(links, format);
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["NAME", "STATUS", "SERVER", "TOPICS", "REASON"]);
    for link in rows(links) {
        let reason = link["reason"]["code"].as_str().unwrap_or_default().to_owned();
        table.add_row([
            text(&link["name"]),
            status(link),
            text(&link["server"]),
            topics(link),
            reason,
        ]);
    }
    out::print(format!("{}\n", table.trim_fmt()))
}

fn shown(link: &Value, format: Format) -> Exit {
    if format != Format::Table {
        return out::document(link, format);
    }
    let mut lines = format!(
        "Link {}: {}\n  server    {}\n  topics    {}\n  client id {}\n",
        text(&link["name"]),
        status(link),
        text(&link["server"]),
        topics(link),
        text(&link["clientid"])
    );
    for node in rows(&link["node_status"]) {
        lines += &format!("  {:<20} {}", text(&node["node"]), text(&node["status"]));
        if let Some(message) = node["reason"]["message"].as_str() {
            lines += &format!(
                "\n    why:    {message}\n    advice: {}",
                text(&node["reason"]["advice"])
            );
        }
        lines += "\n";
    }
    let printed = out::print(lines);
    for warning in rows(&link["warnings"]) {
        out::warning(None, text(warning));
    }
    printed
}

fn explained(answer: &Value, format: Format) -> Exit {
    if format != Format::Table {
        return out::document(answer, format);
    }
    let mut lines = format!("Topic {}\n", text(&answer["topic"]));
    for link in rows(&answer["links"]) {
        let word = if link["forwarded"] == true { "forwarded" } else { "not forwarded" };
        lines += &format!("  {}: {word}: {}\n", text(&link["name"]), text(&link["because"]));
    }
    if rows(&answer["links"]).is_empty() {
        lines += "  there is no link\n";
    }
    out::print(lines)
}
