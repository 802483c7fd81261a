internal import COpenSSL
package import MartletPrimitives

/// An X.509 certificate: development ones are made here, others are looked at.
package enum Certificate {
  package struct Issued: Sendable {
    package let certificatePEM: [UInt8]
    package let privateKeyPEM: [UInt8]
  }

  /// A certificate that signs itself, on P-256, for developing and for tests: browsers warn about it.
  ///
  /// - Parameters:
  ///   - names: host names; the first is also the common name. Wildcards are allowed.
  ///   - addresses: IP addresses as text.
  ///   - days: validity, from a day before `now` so that clocks that differ agree.
  /// - Throws: for a name or an address that cannot stand in a certificate.
  package static func selfSigned(names: [String], addresses: [String] = [], days: Int = 365, now: WallTime) throws(TLSError) -> Issued {
    for name in names + addresses {
      guard (1...253).contains(name.utf8.count), name.utf8.allSatisfy(isNameCharacter) else {
        throw TLSError(.configuration, "\"\(name)\" cannot stand in a certificate")
      }
    }
    OpenSSLFailure.clear()
    guard let key = generateKey(), let certificate = X509_new() else { throw TLSError(.configuration, OpenSSLFailure.take().reason) }
    defer {
      EVP_PKEY_free(key)
      X509_free(certificate)
    }
    let alternatives = names.map { "DNS:\($0)" } + addresses.map { "IP:\($0)" }
    guard fill(certificate, key, names.first ?? addresses.first ?? "martlet", alternatives, days, now),
      let pem = PEM.writing({ PEM_write_bio_X509($0, certificate) }),
      let keyPEM = PEM.writing({ PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) })
    else { throw TLSError(.configuration, OpenSSLFailure.take("a certificate could not be made").reason) }
    return Issued(certificatePEM: pem, privateKeyPEM: keyPEM)
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: ":"),
      UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "*"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func generateKey() -> OpaquePointer? {
    guard let context = EVP_PKEY_CTX_new_from_name(nil, "EC", nil) else { return nil }
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_keygen_init(context) == 1, EVP_PKEY_CTX_set_group_name(context, "P-256") == 1 else { return nil }
    return EVP_PKEY_generate(context, &key) == 1 ? key : nil
  }

  private static func fill(
    _ certificate: OpaquePointer, _ key: OpaquePointer, _ commonName: String, _ alternatives: [String], _ days: Int, _ now: WallTime
  ) -> Bool {
    var serial: UInt64 = 0
    guard RAND_bytes(&serial, 8) == 1 else { return false }
    let seconds = Int(now.milliseconds / 1000)
    let lifetime = min(max(days, 1), 36500) * 86400
    let subject = X509_get_subject_name(certificate)
    guard X509_set_version(certificate, 2) == 1,
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1,
      ASN1_TIME_set(X509_getm_notBefore(certificate), seconds - 86400) != nil,
      ASN1_TIME_set(X509_getm_notAfter(certificate), seconds + lifetime) != nil,
      // A common name holds at most 64 characters (RFC 5280 appendix A).
      X509_NAME_add_entry_by_txt(
        subject, "CN", MBSTRING_UTF8, Array(commonName.utf8.prefix(64)), Int32(min(64, commonName.utf8.count)), -1, 0) == 1,
      X509_set_issuer_name(certificate, subject) == 1, X509_set_pubkey(certificate, key) == 1
    else { return false }
    var extensions = [
      (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
      (NID_ext_key_usage, "serverAuth,clientAuth"),
    ]
    if !alternatives.isEmpty { extensions.append((NID_subject_alt_name, alternatives.joined(separator: ","))) }
    for (kind, value) in extensions {
      guard let part = X509V3_EXT_conf_nid(nil, nil, kind, value) else { return false }
      defer { X509_EXTENSION_free(part) }
      guard X509_add_ext(certificate, part, -1) == 1 else { return false }
    }
    return X509_sign(certificate, key, EVP_sha256()) > 0
  }

  /// SHA-256 over the DER form of the first certificate; `nil` when there is none.
  package static func fingerprint(ofPEM pem: [UInt8]) -> [UInt8]? {
    withFirst(pem) { certificate in
      var digest = [UInt8](repeating: 0, count: 32)
      var size: UInt32 = 0
      return X509_digest(certificate, EVP_sha256(), &digest, &size) == 1 ? digest : nil
    }
  }

  /// When the first certificate expires; `nil` when there is none.
  package static func expiry(ofPEM pem: [UInt8]) -> WallTime? {
    withFirst(pem) { certificate in
      guard let epoch = ASN1_TIME_set(nil, 0) else { return nil }
      defer { ASN1_TIME_free(epoch) }
      var (days, seconds): (Int32, Int32) = (0, 0)
      guard ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate)) == 1 else { return nil }
      return WallTime(milliseconds: (Int64(days) * 86400 + Int64(seconds)) * 1000)
    }
  }

  private static func withFirst<R>(_ pem: [UInt8], _ body: (OpaquePointer) -> R?) -> R? {
    let certificates = PEM.certificates(pem)
    defer { certificates.forEach(X509_free) }
    return certificates.first.flatMap(body)
  }
}
