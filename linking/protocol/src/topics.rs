//! The control topics of a link (2.1): how they are written, how they are read.

/// Everything below this prefix belongs to links; no local subscriber ever sees route or msg.
pub const PREFIX: &str = "$LINK/cluster/";

/// A control topic, read from the topic of a PUBLISH. `cluster` is the cluster that publishes,
/// or for `Response` the one that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlTopic<'a> {
    Route { cluster: &'a str },
    Message { cluster: &'a str },
    Response { cluster: &'a str, actor: &'a str },
}

impl<'a> ControlTopic<'a> {
    /// Reads a topic name. `None` for everything that is not exactly a control topic.
    pub fn parse(topic: &'a str) -> Option<ControlTopic<'a>> {
        let (kind, rest) = topic.strip_prefix(PREFIX)?.split_once('/')?;
        match (kind, rest.split_once('/')) {
            (_, None) if rest.is_empty() => None,
            ("route", None) => Some(ControlTopic::Route { cluster: rest }),
            ("msg", None) => Some(ControlTopic::Message { cluster: rest }),
            ("resp", Some((cluster, actor)))
                if !cluster.is_empty() && !actor.is_empty() && !actor.contains('/') =>
            {
                Some(ControlTopic::Response { cluster, actor })
            }
            _ => None,
        }
    }
}

/// Where the cluster `local` publishes its route operations.
pub fn route(local: &str) -> String {
    format!("{PREFIX}route/{local}")
}

/// Where the cluster `local` publishes the messages it forwards.
pub fn message(local: &str) -> String {
    format!("{PREFIX}msg/{local}")
}

/// Where the actor of the cluster `local` waits for answers.
pub fn response(local: &str, actor: &str) -> String {
    format!("{PREFIX}resp/{local}/{actor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_topics_read_back_as_they_were_written() {
        assert_eq!(
            ControlTopic::parse(&route("cl.a")),
            Some(ControlTopic::Route { cluster: "cl.a" })
        );
        assert_eq!(
            ControlTopic::parse(&message("cl.a")),
            Some(ControlTopic::Message { cluster: "cl.a" })
        );
        assert_eq!(
            ControlTopic::parse(&response("cl.a", "n1@h")),
            Some(ControlTopic::Response { cluster: "cl.a", actor: "n1@h" })
        );
    }

    #[test]
    fn anything_else_below_the_prefix_is_no_control_topic() {
        for topic in [
            "$LINK/cluster/route",
            "$LINK/cluster/route/",
            "$LINK/cluster/route/a/b",
            "$LINK/cluster/msg/a/b",
            "$LINK/cluster/resp/a",
            "$LINK/cluster/resp/a/",
            "$LINK/cluster/resp//b",
            "$LINK/cluster/resp/a/b/c",
            "$LINK/cluster/other/a",
            "$LINK/foo",
            "$link/cluster/route/a",
            "t/1",
            "",
        ] {
            assert_eq!(ControlTopic::parse(topic), None, "{topic}");
        }
    }
}
