//! How a command ends.

/// Shown below the help of the whole program.
pub(crate) const HELP: &str = "\
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 4 unreachable, 5 condition not met";

/// The exit codes of all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the codes are one list, also those that only some commands need")]
pub(crate) enum Exit {
    Ok,
    /// It was tried and did not work.
    Failed,
    /// The command line makes no sense. Also what clap exits with.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// Nobody answered.
    Unreachable,
    /// `--wait` or a check: the answer came and was no.
    ConditionNotMet,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Unreachable => 4,
            Self::ConditionNotMet => 5,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
