//! Certificates given as PEM text become files of this node (C-10): connections read files, so that
//! a renewed certificate counts from the next connection on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spanmq_link_protocol::config::{LinkConfig, Secret};
use spanmq_segment::{create_private_dir, replace_file};

/// Where the files of one link lie.
pub(crate) fn folder(data_dir: &Path, link: &str) -> PathBuf {
    data_dir.join("certs").join("cluster").join("links").join(link)
}

/// The configuration with paths where it had PEM text; the files are written.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn to_files(data_dir: &Path, config: &Arc<LinkConfig>) -> io::Result<Arc<LinkConfig>> {
    let pems = config.ssl.inline_pems();
    if pems.is_empty() {
        return Ok(config.clone());
    }
    let dir = folder(data_dir, &config.name);
    create_private_dir(&dir).map_err(io::Error::other)?;
    let mut changed = (**config).clone();
    for (field, text) in pems {
        let file = dir.join(format!("{}.pem", field.trim_end_matches("file")));
        replace_file(&file, text.as_bytes()).map_err(io::Error::other)?;
        let path = file.to_string_lossy().into_owned();
        match field {
            "cacertfile" => changed.ssl.cacertfile = Some(path),
            "certfile" => changed.ssl.certfile = Some(path),
            _ => changed.ssl.keyfile = Some(Secret::new(path)),
        }
    }
    Ok(Arc::new(changed))
}

/// Removes what [`to_files`] wrote for a link that is gone.
pub(crate) fn remove(data_dir: &Path, link: &str) {
    let dir = folder(data_dir, link);
    if dir.exists()
        && let Err(error) = std::fs::remove_dir_all(&dir)
    {
        tracing::warn!(%error, dir = %dir.display(), "old certificates of a link cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanmq_link_protocol::config::{ParseContext, parse_create};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn pem_text_becomes_a_private_file_and_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let body = serde_json::json!({
            "name": "eu", "server": "h", "topics": [],
            "ssl": {"enable": true, "cacertfile": pem, "certfile": "/some/path", "keyfile": pem},
        });
        let config = parse_create(&body, ParseContext { local_cluster: "us" }).unwrap();
        let changed = to_files(dir.path(), &Arc::new(config)).unwrap();
        let ca = changed.ssl.cacertfile.clone().unwrap();
        assert!(ca.ends_with("certs/cluster/links/eu/cacert.pem"), "{ca}");
        assert_eq!(std::fs::read_to_string(&ca).unwrap(), pem);
        assert_eq!(changed.ssl.certfile.as_deref(), Some("/some/path"));
        let key = std::fs::metadata(changed.ssl.keyfile.as_ref().unwrap().reveal()).unwrap();
        assert_eq!(key.permissions().mode() & 0o077, 0);
        remove(dir.path(), "eu");
        assert!(!folder(dir.path(), "eu").exists());
    }
}
