//! Signatures that servers want of who asks, other than those of TLS.

use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::http::provider;
use crate::config::Secret;

/// `text`, signed with an RSA key in PEM: PKCS #1 v1.5 with SHA-256, which tokens call `RS256`.
///
/// # Errors
/// When the key is none of RSA.
pub fn rs256(key: &Secret, text: &[u8]) -> Result<Vec<u8>, String> {
    let der = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes());
    let der = der.map_err(|_| "the private key is not in PEM".to_owned())?;
    let key = provider().key_provider.load_private_key(der);
    let key = key.map_err(|error| format!("the private key cannot be used: {error}"))?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
    let signer = signer.ok_or("the private key is not one of RSA")?;
    signer.sign(text).map_err(|error| format!("cannot sign with the private key: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_of_rsa_is_told() {
        let curve = include_str!("../../tests/e2e/tls/server.key");
        assert_eq!(rs256(&Secret::new(curve), b"a"), Err("the private key is not one of RSA".to_owned()));
        assert_eq!(rs256(&Secret::new("x"), b"a"), Err("the private key is not in PEM".to_owned()));
    }
}
