//! Pages of lists: how many rows, and a cursor that the caller hands back without looking inside.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{ApiError, ApiResult};

const DEFAULT: usize = 100;
const MAX: usize = 10_000;

pub(crate) fn limit_of(limit: Option<usize>) -> ApiResult<usize> {
    match limit.unwrap_or(DEFAULT) {
        limit @ 1..=MAX => Ok(limit),
        _ => Err(ApiError::bad_request(format!("limit: use 1 to {MAX}"))),
    }
}

/// A key of several texts as one opaque word.
pub(crate) fn encode(parts: &[&str]) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(parts).unwrap_or_default())
}

/// # Errors
/// 400 for a text that is no cursor of `N` parts.
pub(crate) fn decode<const N: usize>(cursor: Option<&str>) -> ApiResult<Option<[String; N]>> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let parts = bytes.and_then(|bytes| serde_json::from_slice::<Vec<String>>(&bytes).ok());
    let parts = parts.and_then(|parts| <[String; N]>::try_from(parts).ok());
    let bad = || ApiError::bad_request("cursor: pass meta.cursor of the page before, unchanged");
    parts.map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = encode(&["a", "+/#"]);
        assert_eq!(decode::<2>(Some(&cursor)).unwrap(), Some(["a".into(), "+/#".into()]));
        assert_eq!(decode::<2>(None).unwrap(), None);
        for bad in ["%", "e30", &encode(&["a"])] {
            assert_eq!(decode::<2>(Some(bad)).unwrap_err().status, 400, "{bad}");
        }
    }
}
