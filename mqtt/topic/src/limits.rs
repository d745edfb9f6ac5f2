//! Limits on topics that an operator may tighten (SECURITY-REQUIREMENTS L6).

/// What MQTT itself allows (a two-byte length).
pub const TEXT_BYTES_MAX: usize = 65_535;

/// How long and how deep a name or filter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicLimits {
    /// Default: 65,535 bytes.
    pub bytes_max: usize,
    /// Default: 128 levels.
    pub levels_max: usize,
}

impl Default for TopicLimits {
    fn default() -> Self {
        Self { bytes_max: TEXT_BYTES_MAX, levels_max: 128 }
    }
}

/// A valid topic that this broker does not accept. A SUBSCRIBE is answered with 0x97.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    #[error("the topic has {bytes} bytes, allowed are {bytes_max}; shorten it or raise the limit")]
    Bytes { bytes: usize, bytes_max: usize },
    #[error("the topic has more than {levels_max} levels; use fewer or raise the limit")]
    Levels { levels_max: usize },
}

/// Checks a name or filter against the limits; validity is checked elsewhere.
///
/// # Errors
/// [`OverLimit`] for the first limit passed.
pub fn check_limits(text: &str, limits: &TopicLimits) -> Result<(), OverLimit> {
    if text.len() > limits.bytes_max {
        return Err(OverLimit::Bytes { bytes: text.len(), bytes_max: limits.bytes_max });
    }
    if text.split('/').take(limits.levels_max + 1).count() > limits.levels_max {
        return Err(OverLimit::Levels { levels_max: limits.levels_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_l6_hold_by_default() {
        let limits = TopicLimits::default();
        assert_eq!(check_limits(&"/".repeat(127), &limits), Ok(()));
        let levels_max = 128;
        assert_eq!(check_limits(&"/".repeat(128), &limits), Err(OverLimit::Levels { levels_max }));
        assert!(check_limits(&"x".repeat(65_535), &limits).is_ok());
        assert!(matches!(
            check_limits(&"x".repeat(65_536), &limits),
            Err(OverLimit::Bytes { bytes: 65_536, .. })
        ));
    }
}
