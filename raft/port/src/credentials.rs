//! The certificate files of a node: made, loaded, given by the operator, renewed.
//!
//! All of a node's own files stand in one directory that appears in one rename, complete:
//! `cluster-ca.pem`, `cluster-ca.key` (0600), `node.pem` (certificate and key, 0600).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use time::OffsetDateTime;

use crate::{
    ca::{CaFingerprint, ClusterCa},
    error::CaError,
    tls::{self, TlsSettings},
    token::JoinToken,
};

const CA_FILE: &str = "cluster-ca.pem";
const CA_KEY_FILE: &str = "cluster-ca.key";
const NODE_FILE: &str = "node.pem";

/// The operator's own certificates, in place of a cluster CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenFiles {
    /// This node's certificate, with intermediate ones if there are any. It must be good for
    /// both server and client authentication.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who signs the members.
    pub ca: PathBuf,
    /// A DNS name that all members' certificates carry. Without it, *every* certificate of this
    /// CA opens the cluster port: then the CA must serve this cluster alone.
    pub member_name: Option<String>,
}

/// What a node shows and whom it trusts.
#[derive(Debug)]
pub struct Credentials {
    ca: Option<Arc<ClusterCa>>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    tls: TlsSettings,
}

impl Credentials {
    /// `--init`: makes the cluster's CA and this node's certificate in `dir`, all or nothing.
    ///
    /// # Errors
    /// [`CaError::Exists`] when `dir` is there already, which then stays as it is.
    pub fn init(dir: &Path, cluster_name: &str, node_name: &str) -> Result<Arc<Self>, CaError> {
        let now = OffsetDateTime::now_utc();
        let ca = ClusterCa::create(cluster_name, now)?;
        let node_pem = ca.issue(node_name, now)?;
        Self::store(dir, ca, &node_pem)
    }

    /// Writes a complete directory and reads it back.
    pub(crate) fn store(dir: &Path, ca: ClusterCa, node_pem: &str) -> Result<Arc<Self>, CaError> {
        if dir.exists() {
            return Err(CaError::Exists { path: dir.to_owned() });
        }
        let made = Self::own(Arc::new(ca), node_pem)?;
        let ca = made.ca.as_ref().ok_or(CaError::NoCaKey)?;
        let staged = dir.with_extension("new");
        if staged.exists() {
            // Left by a crash before the rename: nobody has ever used it.
            fs::remove_dir_all(&staged).map_err(at("removing a left-over", &staged))?;
        }
        make_private_dir(&staged)?;
        write_private(&staged.join(CA_FILE), ca.certificate_pem())?;
        write_private(&staged.join(CA_KEY_FILE), ca.key_pem())?;
        write_private(&staged.join(NODE_FILE), node_pem)?;
        sync_dir(&staged)?;
        rename(&staged, dir)?;
        Ok(Arc::new(made))
    }

    /// Loads what [`Credentials::init`] or [`crate::enrol`] wrote; `None` when `dir` is not there.
    ///
    /// # Errors
    /// [`CaError`] when a file is missing or cannot be used.
    pub fn load(dir: &Path) -> Result<Option<Arc<Self>>, CaError> {
        if !dir.exists() {
            return Ok(None);
        }
        let ca_pem = read(dir, CA_FILE)?;
        let ca = ClusterCa::from_pem(ca_pem, read_private(dir, CA_KEY_FILE)?)?;
        let made = Self::own(Arc::new(ca), &read_private(dir, NODE_FILE)?)?;
        Ok(Some(Arc::new(made)))
    }

    /// Loads the operator's own certificates.
    ///
    /// # Errors
    /// [`CaError`] when a file is missing or cannot be used.
    pub fn given(files: &GivenFiles) -> Result<Arc<Self>, CaError> {
        let read = |path: &Path| fs::read(path).map_err(at("reading", path));
        let not_pem = |what, path: &Path| CaError::NotPem { what, path: path.to_owned() };
        let chain = certificates(&read(&files.certificate)?)
            .ok_or_else(|| not_pem("certificate", &files.certificate))?;
        warn_if_readable_by_others(&files.key);
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
            .map_err(|_| not_pem("key", &files.key))?;
        let ca_certificates =
            certificates(&read(&files.ca)?).ok_or_else(|| not_pem("certificate", &files.ca))?;
        let mut roots = RootCertStore::empty();
        for ca in ca_certificates {
            roots.add(ca)?;
        }
        let member_name = files
            .member_name
            .clone()
            .map(|name| ServerName::try_from(name.clone()).map_err(|_| CaError::BadName { name }));
        let (not_before, not_after) = validity(&chain)?;
        let tls = tls::settings(chain, key, roots, member_name.transpose()?, false)?;
        Ok(Arc::new(Self { ca: None, not_before, not_after, tls }))
    }

    fn own(ca: Arc<ClusterCa>, node_pem: &str) -> Result<Self, CaError> {
        let bad = |what, reason: String| CaError::BadCertificate { what, reason };
        let ca_certificate = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes())
            .map_err(|error| bad("cluster CA", error.to_string()))?;
        let mut chain = certificates(node_pem.as_bytes())
            .ok_or_else(|| bad("node certificate", "there is none".to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(node_pem.as_bytes())
            .map_err(|error| bad("node key", error.to_string()))?;
        let (not_before, not_after) = validity(&chain)?;
        // Joiners know the CA by its fingerprint only: it has to be shown to them.
        chain.push(ca_certificate.clone());
        let mut roots = RootCertStore::empty();
        roots.add(ca_certificate)?;
        let tls = tls::settings(chain, key, roots, Some(tls::member_dns_name()), true)?;
        Ok(Self { ca: Some(ca), not_before, not_after, tls })
    }

    /// A join token, good for `valid_for` or without end (`spanmq cluster token`).
    ///
    /// # Errors
    /// [`CaError::NoCaKey`] when the operator's own certificates are in use.
    pub fn token(&self, valid_for: Option<Duration>) -> Result<JoinToken, CaError> {
        let ca = self.ca.as_ref().ok_or(CaError::NoCaKey)?;
        Ok(ca.token(valid_for, OffsetDateTime::now_utc()))
    }

    /// The fingerprint of the cluster CA; none with the operator's own certificates.
    pub fn fingerprint(&self) -> Option<CaFingerprint> {
        self.ca.as_ref().map(|ca| ca.fingerprint())
    }

    /// When this node's certificate ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether less than a third of the certificate's lifetime remains at `now`.
    pub fn renewal_is_due(&self, now: OffsetDateTime) -> bool {
        let lifetime = self.not_after - self.not_before;
        self.not_after - now < lifetime / 3
    }

    /// A new certificate for this node in `dir` when the old one's renewal is due at `now`; the
    /// owner calls this once a day or so and hands the result to
    /// [`crate::PortContext::replace_security`].
    ///
    /// # Errors
    /// [`CaError`]; [`CaError::NoCaKey`] when the operator has to renew it.
    pub fn renew_if_due(
        &self,
        dir: &Path,
        node_name: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Arc<Self>>, CaError> {
        if !self.renewal_is_due(now) {
            return Ok(None);
        }
        let ca = Arc::clone(self.ca.as_ref().ok_or(CaError::NoCaKey)?);
        let node_pem = ca.issue(node_name, now)?;
        let renewed = Self::own(ca, &node_pem)?;
        let (path, staged) = (dir.join(NODE_FILE), dir.join("node.new"));
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("removing a left-over", &staged)(error));
            }
            _ => write_private(&staged, &node_pem)?,
        }
        rename(&staged, &path)?;
        Ok(Some(Arc::new(renewed)))
    }

    pub(crate) fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    pub(crate) fn ca(&self) -> Option<&Arc<ClusterCa>> {
        self.ca.as_ref()
    }
}

/// All certificates of a PEM text; `None` when there is none or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

fn validity(chain: &[CertificateDer<'_>]) -> Result<(OffsetDateTime, OffsetDateTime), CaError> {
    let bad = |reason: String| CaError::BadCertificate { what: "node certificate", reason };
    let first = chain.first().ok_or_else(|| bad("there is none".to_owned()))?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(first).map_err(|error| bad(error.to_string()))?;
    let validity = parsed.validity();
    Ok((validity.not_before.to_datetime(), validity.not_after.to_datetime()))
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::File { doing, path, source }
}

fn read(dir: &Path, name: &str) -> Result<String, CaError> {
    let path = dir.join(name);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CaError::Missing { path, dir: dir.to_owned() })
        }
        other => other.map_err(at("reading", &path)),
    }
}

fn read_private(dir: &Path, name: &str) -> Result<String, CaError> {
    warn_if_readable_by_others(&dir.join(name));
    read(dir, name)
}

/// SECURITY A8: told, not refused, because some platforms mount secrets this way.
fn warn_if_readable_by_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(meta) = fs::metadata(path)
        && meta.permissions().mode() & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "a private key can be read by others; chmod 600 it");
    }
}

fn make_private_dir(path: &Path) -> Result<(), CaError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(at("making the directory", path))
}

fn write_private(path: &Path, text: &str) -> Result<(), CaError> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(at("creating", path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at("writing", path))
}

fn rename(from: &Path, to: &Path) -> Result<(), CaError> {
    fs::rename(from, to).map_err(at("renaming into place", to))?;
    to.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(path: &Path) -> Result<(), CaError> {
    // The parent of a relative path of one part is empty and means the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path).and_then(|dir| dir.sync_all()).map_err(at("syncing", path))
}
