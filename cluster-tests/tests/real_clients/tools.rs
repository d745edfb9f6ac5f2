//! Finding the foreign clients, and running them with a limit.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context;
use cluster_tests::harness::eventually;

/// No scenario takes longer, also on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(100);

/// Says that `what` is not here. A test then passes without having tested anything, unless
/// `SPANMQ_TEST_TOOLS=1` promised that all tools are installed.
///
/// # Panics
/// When it was promised.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to know what was not tested")]
pub(crate) fn missing(what: &str, remedy: &str) {
    let promised = std::env::var_os("SPANMQ_TEST_TOOLS").is_some_and(|value| value == "1");
    assert!(!promised, "{what} is missing though SPANMQ_TEST_TOOLS=1; {remedy}");
    eprintln!("NOT TESTED: {what} is missing; {remedy}");
}

/// The program on the search path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Folder of the scripts for foreign clients.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// A child process that does not outlive its test.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts a command whose output is kept for [`Running::finish`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Ok(Self(Some(child)))
    }

    /// Sends each line of output as it comes, with `who` before it; ends with the process.
    ///
    /// # Errors
    /// When the output is read already.
    pub(crate) fn tell_lines(
        &mut self,
        who: usize,
        tell: Sender<(usize, String)>,
    ) -> anyhow::Result<()> {
        let output = self.0.as_mut().and_then(|child| child.stdout.take());
        let lines = BufReader::new(output.context("the output is read already")?).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send((who, line)))
        });
        Ok(())
    }

    /// Waits for the end, which must be a good one, and gives the lines of standard output.
    ///
    /// # Errors
    /// When it does not end in time, or badly; the text carries its output.
    pub(crate) fn finish(mut self) -> anyhow::Result<Vec<String>> {
        let child = self.0.as_mut().context("started above")?;
        let ended = eventually(LIMIT, || child.try_wait()?.context("still running"));
        if ended.is_err() {
            let _ = child.kill();
        }
        let output = self.0.take().context("started above")?.wait_with_output()?;
        anyhow::ensure!(ended.is_ok() && output.status.success(), "{}", told(&output));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
