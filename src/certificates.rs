//! Files of certificates: those with which nodes know each other, an authority for the cluster and one certificate a node,
//! and the one that a node shows its clients.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};

use crate::config::Identity;

/// The authority's certificate, which every node has, and its key, which none needs.
const AUTHORITY: &str = "ca";

/// A node's own certificate for its clients, beside its log.
const OWN: &str = "client";
const OWN_VALIDITY: Duration = Duration::days(10 * 365);

/// When a certificate is good for no longer than this, it is time for another.
const RENEWAL: Duration = Duration::days(30);

/// Clocks may differ by as much when a certificate is new.
const LENIENCE: Duration = Duration::days(1);

/// Makes a certificate and a key for each host in `directory`, signed by the authority there, which is made if there is
/// none. They are good for so many days. Gives the files it has written.
///
/// # Errors
/// A file cannot be read or written, one of the authority's two is missing, or a name is not a host's.
pub fn make(directory: &Path, hosts: &[String], days: u32) -> anyhow::Result<Vec<PathBuf>> {
    for host in hosts {
        let name = ServerName::try_from(host.as_str());
        name.with_context(|| format!("{host:?} is neither a host's name nor an address"))?;
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let valid_until = OffsetDateTime::now_utc() + Duration::days(days.into());
    let mut written = Vec::new();
    if !paths(directory, AUTHORITY).iter().any(|path| path.exists()) {
        let key = KeyPair::generate()?;
        let certificate = authority_certificate(valid_until).self_signed(&key)?;
        written.extend(write_pair(directory, AUTHORITY, &certificate, &key)?);
    }
    let issuer = authority(directory)?;
    for host in hosts {
        let key = KeyPair::generate()?;
        let certificate = node_certificate(host, valid_until)?.signed_by(&key, &issuer)?;
        written.extend(write_pair(directory, host, &certificate, &key)?);
    }
    Ok(written)
}

/// The files of a node's own certificate and its key in `directory`, for clients that trust it or do not care. They are
/// made if they are not there.
///
/// # Errors
/// A file cannot be written.
pub fn own(directory: &Path) -> anyhow::Result<Identity> {
    let paths = paths(directory, OWN);
    if !paths.iter().all(|path| path.exists()) {
        let (certificate, key) = self_signed()?;
        write_pair(directory, OWN, &certificate, &key)?;
    }
    let [certificate, key] = paths;
    Ok(Identity { certificate, key })
}

/// A certificate that vouches for itself, as servers make one at their first start.
///
/// # Errors
/// The system has no random numbers.
pub fn self_signed() -> anyhow::Result<(Certificate, KeyPair)> {
    let valid_until = OffsetDateTime::now_utc() + OWN_VALIDITY;
    let key = KeyPair::generate()?;
    let mut params = dated(CertificateParams::default(), valid_until);
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "a Trireme node");
    Ok((params.self_signed(&key)?, key))
}

/// The certificates in a file, which `key` of the configuration names.
///
/// # Errors
/// It cannot be read, or has none.
pub fn read(path: &Path, key: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.with_context(|| unreadable(path, key))?;
    ensure!(
        !read.is_empty(),
        "{} has no certificate ({key})",
        path.display()
    );
    Ok(read)
}

/// A certificate, with those that vouch for it, and its private key, from the files that a `section` of the configuration names.
///
/// # Errors
/// One cannot be read, or has none.
pub fn read_identity(
    Identity { certificate, key }: &Identity,
    section: &str,
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = read(certificate, &format!("{section}.certificate"))?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.with_context(|| unreadable(key, &format!("{section}.key")))?;
    Ok((chain, private))
}

fn unreadable(path: &Path, key: &str) -> String {
    format!(
        "cannot read {} ({key}); `trireme cert` makes such files",
        path.display()
    )
}

/// What is wrong with a certificate whose key is another.
pub fn mismatch(Identity { certificate, key }: &Identity) -> String {
    format!(
        "{} and {} do not go together",
        certificate.display(),
        key.display()
    )
}

/// What there is to say of certificates that have come near their end.
///
/// # Errors
/// A file cannot be read, or has no certificate.
pub fn ageing(files: &[&Path]) -> anyhow::Result<Option<String>> {
    for path in files {
        let shown = path.display();
        let read = || -> anyhow::Result<_> {
            let certificate = CertificateDer::from_pem_file(path)?;
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)?;
            Ok(parsed.validity().not_after.to_datetime())
        };
        let end = read().with_context(|| format!("cannot read {shown}"))?;
        let left = end - OffsetDateTime::now_utc();
        if left < RENEWAL {
            let days = left.whole_days();
            return Ok(Some(format!(
                "{shown} is good for {days} more days; make another (`trireme cert` does), and send the node SIGHUP"
            )));
        }
    }
    Ok(None)
}

/// The authority whose files are in this directory.
fn authority(directory: &Path) -> anyhow::Result<Issuer<'static, KeyPair>> {
    let [certificate, key] = paths(directory, AUTHORITY);
    for (there, missing) in [(&certificate, &key), (&key, &certificate)] {
        ensure!(
            missing.exists(),
            "{} is there and {} is not: bring it back, or make all certificates anew in an empty directory",
            there.display(),
            missing.display()
        );
    }
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let pair = KeyPair::from_pem(&read(&key)?);
    let pair = pair.with_context(|| format!("{} is not a private key", key.display()))?;
    let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, pair);
    issuer.with_context(|| format!("{} is no authority", certificate.display()))
}

fn authority_certificate(valid_until: OffsetDateTime) -> CertificateParams {
    let mut params = dated(CertificateParams::default(), valid_until);
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "a Trireme cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn node_certificate(host: &str, valid_until: OffsetDateTime) -> anyhow::Result<CertificateParams> {
    let mut params = dated(CertificateParams::new([host.to_owned()])?, valid_until);
    params.distinguished_name.push(DnType::CommonName, host);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn dated(mut params: CertificateParams, valid_until: OffsetDateTime) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = OffsetDateTime::now_utc() - LENIENCE;
    params.not_after = valid_until;
    params
}

/// The files of a certificate and its key.
fn paths(directory: &Path, name: &str) -> [PathBuf; 2] {
    ["pem", "key"].map(|kind| directory.join(format!("{name}.{kind}")))
}

/// Writes a certificate, and a key that only its owner can read. Those that are there are replaced.
fn write_pair(
    directory: &Path,
    name: &str,
    certificate: &Certificate,
    key: &KeyPair,
) -> anyhow::Result<[PathBuf; 2]> {
    let paths = paths(directory, name);
    let contents = [certificate.pem(), key.serialize_pem()];
    for ((path, content), mode) in paths.iter().zip(&contents).zip([0o644, 0o600]) {
        let write = || {
            let _ = fs::remove_file(path);
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
            file.write_all(content.as_bytes())
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(written: &[PathBuf]) -> Vec<&str> {
        let names = written.iter().map(|path| path.file_name().unwrap());
        names.map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("new");
        let make = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            make(&directory, &hosts, 1)
        };
        let written = make(&["db1", "10.0.0.1"]).unwrap();
        assert_eq!(
            names(&written),
            [
                "ca.pem",
                "ca.key",
                "db1.pem",
                "db1.key",
                "10.0.0.1.pem",
                "10.0.0.1.key"
            ]
        );
        for path in written {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let is_key = path.extension().unwrap() == "key";
            assert_eq!(mode, if is_key { 0o600 } else { 0o644 }, "{path:?}");
        }
        let authority = fs::read(directory.join("ca.pem")).unwrap();
        assert_eq!(names(&make(&["db1"]).unwrap()), ["db1.pem", "db1.key"]);
        assert_eq!(fs::read(directory.join("ca.pem")).unwrap(), authority);

        fs::remove_file(directory.join("ca.key")).unwrap();
        let error = make(&["db1"]).unwrap_err().to_string();
        assert!(error.contains("ca.key is not: bring it back"), "{error}");
    }

    #[test]
    fn an_old_certificate_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        for (days, is_told) in [(29, true), (31, false)] {
            let directory = directory.path().join(days.to_string());
            let made = make(&directory, &["db1".to_owned()], days).unwrap();
            let files = [&*made[0], &*made[2]];
            assert_eq!(ageing(&files).unwrap().is_some(), is_told, "{days}");
        }
    }

    #[test]
    fn a_nodes_own_certificate_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = own(directory.path()).unwrap();
        let made = fs::read(&files.certificate).unwrap();
        let (chain, _) = read_identity(&files, "").unwrap();
        assert_eq!(chain.len(), 1);
        assert_eq!(own(directory.path()).unwrap(), files);
        assert_eq!(fs::read(&files.certificate).unwrap(), made);
    }

    #[test]
    fn a_name_is_a_hosts() {
        let directory = tempfile::tempdir().unwrap();
        for host in ["a/b", "..", "", "db 1", "é"] {
            let made = make(directory.path(), &[host.to_owned()], 1);
            assert!(made.is_err(), "{host:?}");
        }
    }
}
