//! The management API as the command line uses it.

use std::io::{IsTerminal as _, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::remote::RemoteArgs;
use super::{Exit, out};

/// Pause between two looks of `--wait`.
const LOOK: Duration = Duration::from_millis(250);

/// Why a command did not get its answer: what to print, and how to end.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    what: String,
    /// Nobody answers, or not this question yet: a node that starts is like that.
    passes: bool,
}

impl Failure {
    pub(super) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), passes: exit == Exit::Unreachable }
    }

    /// Prints it.
    pub(super) fn end(self) -> Exit {
        out::error(None, self.what);
        self.exit
    }
}

pub(super) type Answer = Result<Value, Failure>;

/// One node, asked as one caller.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    authorization: String,
}

impl Client {
    /// Logs in where the arguments name a user.
    ///
    /// # Errors
    /// Without credentials, with wrong ones, or when nobody answers.
    pub(super) fn new(args: &RemoteArgs) -> Result<Self, Failure> {
        let base = args.api.trim_end_matches('/');
        if !base.starts_with("http://") {
            let what = format!(
                "--api {base}: an address such as http://127.0.0.1:18083 is needed; for https run the \
                 command on the node itself"
            );
            return Err(Failure::new(Exit::Usage, what));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(args.timeout))
            .http_status_as_error(false)
            .build();
        let mut client = Self {
            agent: agent.into(),
            base: format!("{base}/api/v5"),
            authorization: String::new(),
        };
        client.authorization = client.identify(args)?;
        Ok(client)
    }

    fn identify(&self, args: &RemoteArgs) -> Result<String, Failure> {
        let usage = |what: &str| Failure::new(Exit::Usage, what);
        if let Some(key) = &args.api_key {
            let secret = args.api_secret.as_ref().ok_or_else(|| {
                usage("--api-key needs its secret: set SPANMQ_API_SECRET or give --api-secret")
            })?;
            let pair = format!("{key}:{}", secret.0.reveal());
            return Ok(format!("Basic {}", STANDARD.encode(pair)));
        }
        let user = args.user.as_ref().ok_or_else(|| {
            usage(
                "who asks? Set SPANMQ_API_KEY and SPANMQ_API_SECRET, or SPANMQ_USER and \
                 SPANMQ_PASSWORD (or give the flags of these names)",
            )
        })?;
        let password = args
            .password
            .as_ref()
            .ok_or_else(|| usage("--user needs a password: set SPANMQ_PASSWORD or --password"))?;
        let login = json!({ "username": user, "password": password.0.reveal() });
        let answer = self.post("/login", &login)?;
        Ok(format!("Bearer {}", answer["token"].as_str().unwrap_or_default()))
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.answer(request.header("authorization", &self.authorization).call())
    }

    /// With one query parameter, escaped.
    pub(super) fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base)).query(name, value);
        self.answer(request.header("authorization", &self.authorization).call())
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.put(format!("{}{path}", self.base));
        self.answer(request.header("authorization", &self.authorization).send_json(body))
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        self.answer(request.header("authorization", &self.authorization).send_json(body))
    }

    pub(super) fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.base));
        self.answer(request.header("authorization", &self.authorization).call())
    }

    fn answer(&self, got: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
        let unreachable = |error: ureq::Error| {
            let what = format!("{}: {error}; is a node running there?", self.base);
            Failure::new(Exit::Unreachable, what)
        };
        let mut response = got.map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("no reason was given");
        let exit = match status {
            404 => Exit::NotFound,
            _ => Exit::Failed,
        };
        let failure = Failure::new(exit, format!("{} (HTTP {status})", plain(message)));
        Err(Failure { passes: status == 503, ..failure })
    }
}

/// Looks again and again, as one caller, until `met` says yes or the time of `--timeout` is over;
/// gives the last look, and whether it was met.
///
/// # Errors
/// What will not pass at once, all else when the time is over.
pub(super) fn wait_for(
    args: &RemoteArgs,
    look: impl Fn(&Client) -> Answer,
    met: impl Fn(&Value) -> bool,
) -> Result<(Value, bool), Failure> {
    let until = Instant::now() + args.timeout;
    let mut client = None;
    loop {
        let looked = match &client {
            Some(client) => look(client),
            None => Client::new(args).and_then(|new| look(client.insert(new))),
        };
        let over = Instant::now() >= until;
        match looked {
            Ok(seen) if over || met(&seen) => {
                let met = met(&seen);
                return Ok((seen, met));
            }
            Err(failure) if over || !failure.passes => return Err(failure),
            _ => sleep(LOOK),
        }
    }
}

/// A refusal in people's form: those of a link's fields come as JSON text (LINK-SPEC R-1).
fn plain(message: &str) -> String {
    let faults = match serde_json::from_str(message) {
        Ok(Value::Array(faults)) => faults,
        Ok(fault @ Value::Object(_)) => vec![fault],
        _ => return message.to_owned(),
    };
    let sentence = |fault: &Value| {
        let path = fault["path"].as_str().map(|path| path.trim_start_matches("root."));
        let place = path.map(|path| format!("{path}: ")).unwrap_or_default();
        let reason = &fault["reason"];
        reason.as_str().map_or_else(|| format!("{place}{reason}"), |text| format!("{place}{text}"))
    };
    faults.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// Asks the person at the terminal.
///
/// # Errors
/// When there is none.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "nobody is there to be asked; give --yes"));
    }
    let failed = |error: std::io::Error| Failure::new(Exit::Failed, error.to_string());
    write!(std::io::stderr(), "{question} [y/N] ").map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
