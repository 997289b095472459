//! Whether a server's certificate can be what it is meant to be: better told here than by each worker.

use std::{path::Path, sync::Arc};

use async_nats::rustls::{
    self, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};

use super::{FolderError, files, hosts::Hosts};

fn wrong(path: &Path, reason: impl Into<String>) -> FolderError {
    FolderError::Certificate { path: path.to_owned(), reason: reason.into() }
}

/// Certificates in a file.
fn read(path: &Path) -> Result<(String, Vec<CertificateDer<'static>>), FolderError> {
    let text = files::text(path)?.ok_or_else(|| wrong(path, "there is no such file"))?;
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    match certificates {
        Err(error) => Err(wrong(path, format!("it is damaged: {error}"))),
        Ok(none) if none.is_empty() => Err(wrong(path, "it holds no certificate in PEM")),
        Ok(certificates) => Ok((text, certificates)),
    }
}

/// The certificates of an authority as text.
pub(super) fn authority(path: &Path) -> Result<String, FolderError> {
    let (text, _) = read(path)?;
    if text.contains("PRIVATE KEY") {
        return Err(wrong(
            path,
            "it holds a private key, which no worker may have; give the authority's certificate alone",
        ));
    }
    if text.contains("'''") {
        return Err(wrong(path, "it holds three apostrophes in a row, which nothing in PEM does"));
    }
    Ok(text)
}

/// Refuses a certificate that is not the key's, and, where its authority is named, one that workers would not take, or the other servers
/// of a cluster.
pub(super) fn check(
    certificate: &Path,
    key: &Path,
    authorities: Option<&Path>,
    hosts: &Hosts,
) -> Result<(), FolderError> {
    let (_, chain) = read(certificate)?;
    let text = files::text(key)?.ok_or_else(|| wrong(key, "there is no such file"))?;
    let secret = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| wrong(key, format!("it holds no private key in PEM: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let with_it = |error: rustls::Error| wrong(certificate, format!("with the key {}: {error}", key.display()));
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    builder.map_err(with_it)?.with_no_client_auth().with_single_cert(chain.clone(), secret).map_err(with_it)?;
    let Some(authorities) = authorities else {
        return if hosts.is_cluster() { Err(FolderError::Authority) } else { Ok(()) };
    };
    authority(authorities)?;
    let (_, trusted) = read(authorities)?;
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate).map_err(|error| wrong(authorities, error.to_string()))?;
    }
    let roots = Arc::new(roots);
    let unusable = |error: VerifierBuilderError| wrong(authorities, error.to_string());
    let (own, between) = chain.split_first().expect("read has found one");
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build().map_err(unusable)?;
    for host in hosts.iter() {
        let name = ServerName::try_from(host.name.clone()).map_err(|_| FolderError::Host(host.to_string()))?;
        verifier.verify_server_cert(own, between, &name, &[], UnixTime::now()).map_err(|error| {
            wrong(
                certificate,
                format!("workers would refuse it: {error}; it must be for each name by which they call a server (--host, here {}), and signed by --authority", host.name),
            )
        })?;
    }
    if hosts.is_cluster() {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(unusable)?;
        verifier.verify_client_cert(own, between, UnixTime::now()).map_err(|error| {
            wrong(
                certificate,
                format!("the other servers of the cluster would refuse it: {error}; with it a server also connects to the others, so what it may be used for must be nothing or both (extendedKeyUsage = serverAuth, clientAuth)"),
            )
        })?;
    }
    Ok(())
}
